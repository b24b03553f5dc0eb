"""Paths inside an asset's contents: what every reader enforces, and what registering refuses besides.

A path is relative, POSIX and UTF-8. No function here touches a file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from gitml.errors import InvalidInput
from gitml.model.names import is_windows_device
from gitml.model.shown import shown

MAX_PATH_BYTES = 1024
MAX_PART_BYTES = 255

# Parts that are not `.` or `..`, without backslash, control characters (Unicode Cc) and lone surrogates.
_GOOD = re.compile(r"(?:(?!\.{1,2}(?:/|\Z))[^/\\\x00-\x1f\x7f-\x9f\ud800-\udfff]+(?:/(?!\Z)|\Z))+").fullmatch
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_WINDOWS_FORBIDDEN = re.compile(r'[<>:"|?*]')
# What no path without a problem matches, and few others do: most paths are judged by one search.
_WINDOWS_DOUBT = re.compile(
    _WINDOWS_FORBIDDEN.pattern + r"|[. ](?:/|\Z)|(?:\A|/)(?:con|prn|aux|nul|com|lpt)[^/]{0,4} *(?:\.|/|\Z)",
    re.IGNORECASE,
)
# What no folded list of names without any problem matches; alternatives begin with few characters, so it is quick.
_DOUBT = re.compile(
    r"""[\\<>:"|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]|[. ]/|//|/(?:con|prn|aux|nul|com|lpt)[^/]{0,4} *[./]"""
)
_RESERVED_TOP = frozenset(["asset.yaml", "about.yaml"])


def check_path(path: str) -> None:
    """Refuse a path that no tree may contain.

    Raises:
        InvalidInput: It is absolute, leaves its folder, is too long, or has a forbidden character.
    """
    problem = path_problem(path)
    if problem is not None:
        raise InvalidInput(
            f"the path {shown(path)} is refused: {problem}",
            code="bad-path",
            hint="rename the file",
            context={"path": ascii(path[:MAX_PATH_BYTES])},
        )


def path_problem(path: str) -> str | None:
    """Say which rule of :func:`check_path` a path breaks; None where it breaks none."""
    if _GOOD(path) is not None:
        too_long = len(path) > MAX_PATH_BYTES or (not path.isascii() and len(path.encode()) > MAX_PATH_BYTES)
        return f"it has more than {MAX_PATH_BYTES} bytes" if too_long else None
    if not path:
        return "it is empty"
    if _SURROGATE.search(path):
        return "it is not UTF-8"
    if _CONTROL.search(path):
        return "it has a control character"
    if "\\" in path:
        return "it has a backslash"
    if path.startswith("/"):
        return "it is absolute"
    parts = path.split("/")
    if ".." in parts:
        return "it has a part `..`"
    return "it has a part `.`" if "." in parts else "it has an empty part"


def check_portable(path: str) -> None:
    """Refuse to register a path that other machines would spell or store differently.

    Raises:
        InvalidInput: It breaks a rule of :func:`check_path`, is not in Unicode's form NFC, or has a part of
            more than 255 bytes.
    """
    check_path(path)
    if path.isascii():
        if len(path) <= MAX_PART_BYTES:
            return
    elif not unicodedata.is_normalized("NFC", path):
        raise InvalidInput(
            f"the path {shown(path)} is not in Unicode's composed form (NFC), so systems would disagree about it",
            code="path-not-nfc",
            hint=f"mv {_ansi_quoted(path)} {_ansi_quoted(unicodedata.normalize('NFC', path))}",
            context={"path": path},
        )
    for part in path.split("/"):
        size_bytes = len(part.encode())
        if size_bytes > MAX_PART_BYTES:
            raise InvalidInput(
                f"the path {shown(path)} has a part of {size_bytes} bytes, and most file systems hold {MAX_PART_BYTES}",
                code="path-part-too-long",
                hint="rename the file or folder",
                context={"path": path},
            )


def _ansi_quoted(path: str) -> str:
    """A path as bash reads it, byte for byte: two spellings that look the same stay apart."""
    plain = re.fullmatch(r"[A-Za-z0-9._/@%+=:,-]+", path)
    escaped = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and chr(byte) not in "\\'" else f"\\x{byte:02x}"
        for byte in path.encode()
    )
    return path if plain else f"$'{escaped}'"


def fold(name: str) -> str:
    """What two names share that some file system cannot tell apart."""
    return (name if name.isascii() else unicodedata.normalize("NFC", name)).casefold()


def check_siblings(names: Iterable[str]) -> None:
    """Refuse names of one folder that a file system without upper and lower case would merge.

    Raises:
        InvalidInput: Two different names are equal after `casefold(NFC(name))`.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(fold(name), name)
        if other != name:
            raise InvalidInput(
                f"{shown(other)} and {shown(name)} are one name on systems that ignore case",
                code="path-collision",
                hint=f"rename one: mv {_ansi_quoted(name)} {_ansi_quoted('other-' + name)}",
                context={"paths": [other, name]},
            )


def are_plain(folder: str, names: Sequence[str]) -> bool:
    """Whether no rule for paths below the top has anything against files of these names in one folder.

    One look at all of them together, which spares a look at each; False says no more than that some want one.

    Args:
        folder: Path of the folder with `/` at its end; empty at the top.
        names: What is in it.
    """
    joined = "/".join(names)
    folded = fold(joined)
    if _DOUBT.search(f"/{folder.lower()}{folded}/") or len(set(folded.split("/"))) != len(names):
        return False
    if joined.isascii() and folder.isascii():
        longest = len(max(names, key=len))
    elif unicodedata.is_normalized("NFC", folder + joined):
        longest = max(len(name.encode()) for name in names)
    else:
        return False
    return len(folder.encode()) + longest <= MAX_PART_BYTES


def check_top_level(name: str) -> None:
    """Refuse a name at the top of the contents that would stand in for a file of the registry or of git.

    Raises:
        InvalidInput: Ignoring case it is `asset.yaml` or `about.yaml`, or starts with `.git`.
    """
    folded = fold(name)
    if folded in _RESERVED_TOP or folded.startswith(".git"):
        owner = "git" if folded.startswith(".git") else "GitML"
        raise InvalidInput(
            f"{shown(name)} at the top of the contents is a name that {owner} uses itself",
            code="reserved-path",
            hint="rename it, or put it into a folder",
            context={"path": name},
        )


def windows_problem(path: str) -> str | None:
    """Say why Windows cannot hold a path; None where it can."""
    if _WINDOWS_DOUBT.search(path) is None:
        return None
    for part in path.split("/"):
        if is_windows_device(part):
            return f"{shown(part)} is a device there"
        if part.endswith((".", " ")):
            return f"{shown(part)} ends with a full stop or space, which is dropped there"
        forbidden = _WINDOWS_FORBIDDEN.search(part)
        if forbidden:
            return f"{shown(part)} has the character {forbidden[0]}"
    return None


def glob_matcher(include: Sequence[str], exclude: Sequence[str]) -> Callable[[str], bool]:
    """Make the test for `-I` and `-X`.

    Patterns are anchored at the top of the contents. `*` and `?` stop at `/`, `**` does not, a part `**`
    also stands for no folder at all, and `/` at the end means all below that folder. No pattern at all
    includes everything; excluding wins.

    Raises:
        InvalidInput: A pattern is empty or too long.
    """
    from gitml.model.glob import compile_glob

    wanted = [compile_glob(pattern) for pattern in include]
    unwanted = [compile_glob(pattern) for pattern in exclude]

    def matches(path: str) -> bool:
        if wanted and not any(test(path) for test in wanted):
            return False
        return not any(test(path) for test in unwanted)

    return matches
