"""How much an import in a pickle matters: whether it reaches what runs programs, files or connections.

A list of names can only ever be too short: what it does not name is still shown, and nothing decides by it.
"""

from __future__ import annotations

from typing import Final

from gitml.model.findings import Grade
from gitml.registry.inspection.opcodes import UNKNOWN, Import

# Modules whose functions run programs, read files, open connections or reach everything else.
# fmt: off
_REACHING: Final = frozenset(
    (
        "__builtin__", "__main__", "_io", "_pickle", "_posixsubprocess", "_winapi", "aiohttp",
        "asyncio", "bdb", "builtins", "cloudpickle", "code", "codeop", "commands", "compileall",
        "ctypes", "dill", "distutils", "ensurepip", "fileinput", "ftplib", "functools", "gc",
        "glob", "http", "httplib", "imaplib", "importlib", "imp", "inspect", "io", "joblib",
        "lib2to3", "linecache", "logging", "marshal", "mmap", "msvcrt", "multiprocessing",
        "nntplib", "nt", "ntpath", "operator", "os", "pathlib", "pdb", "pickle", "pip", "pkgutil",
        "platform", "popen2", "poplib", "posix", "posixpath", "profile", "pty", "pydoc", "requests",
        "resource", "runpy", "setuptools", "shelve", "shutil", "signal", "site", "smtplib",
        "socket", "socketserver", "ssl", "subprocess", "sys", "telnetlib", "tempfile", "threading",
        "timeit", "trace", "turtle", "types", "urllib", "urllib2", "uuid", "venv", "webbrowser",
        "winreg", "wsgiref", "xmlrpc", "zipimport",
    )
)
_VALUES: Final = (
        "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list",
        "long", "object", "range", "set", "slice", "str", "tuple", "unicode", "xrange",
)
# fmt: on
_PLAIN: Final = frozenset(
    f"{module}.{name}" for module in ("builtins", "__builtin__") for name in _VALUES
) | {
    "functools.partial",
    "joblib.numpy_pickle.NumpyArrayWrapper",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "types.SimpleNamespace",
    "uuid.UUID",
}
"""Names in those modules that only make plain values."""


def grade_of(one: Import) -> Grade:
    """How much it matters; what only running the pickle would tell is the worst."""
    if UNKNOWN in (one.module, one.name):
        return Grade.DANGER
    if f"{one.module}.{one.name}" in _PLAIN:
        return Grade.NOTICE
    # A dotted name walks from the module to what that imported.
    parts = {one.module.split(".")[0], *one.name.split(".")[:-1]}
    return Grade.DANGER if parts & _REACHING else Grade.NOTICE
