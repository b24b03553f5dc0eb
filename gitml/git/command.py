"""Runs git: one absolute program, fixed argument templates, a scrubbed environment, no program of the repository.

Everything goes through GitPython's command object with a list of arguments; no shell is ever involved. The
environment that git sees holds no `GIT_*` variable but those of :data:`KEPT_VARIABLES` and the ones set here.

Why these are kept: the author's and committer's name, and files that say whom to trust, are what a person or a
build server sets on purpose, and none of them names a program or a repository. `GIT_CONFIG_GLOBAL`,
`GIT_CONFIG_SYSTEM` and `GIT_CONFIG_NOSYSTEM` choose the user's configuration, as `HOME` does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Final, Protocol, cast

from gitml import _lazy
from gitml.errors import AccessDenied, NotFound
from gitml.git.failures import failure

KEPT_VARIABLES: Final = frozenset(
    {
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "GIT_AUTHOR_DATE",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
        "GIT_COMMITTER_DATE",
        "GIT_CEILING_DIRECTORIES",
        "GIT_DISCOVERY_ACROSS_FILESYSTEM",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_SSL_CAINFO",
        "GIT_SSL_CAPATH",
        "GIT_SSL_CERT",
        "GIT_SSL_KEY",
    }
)

_SETTINGS: Final[tuple[tuple[str, str], ...]] = (
    ("core.fsmonitor", "false"),
    ("core.pager", "cat"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("core.fsync", "all"),
    ("core.fsyncMethod", "fsync"),
    ("core.quotePath", "false"),
    ("core.commentChar", "#"),
    ("core.alternateRefsCommand", ""),
    ("i18n.commitEncoding", "UTF-8"),
    ("i18n.logOutputEncoding", "UTF-8"),
    ("log.showSignature", "false"),
    ("diff.external", ""),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("push.gpgSign", "false"),
    ("push.followTags", "false"),
    ("transfer.fsckObjects", "true"),
    ("fetch.fsckObjects", "true"),
    ("transfer.bundleURI", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("safe.bareRepository", "explicit"),
    ("advice.detachedHead", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
)
_NO_HOOKS: Final = ("core.hooksPath", os.devnull)
_PROTOCOLS: Final = "file:https:ssh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a git command ended."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output without the last newline; undecodable bytes are kept as surrogates."""
        return self.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


class Process(Protocol):
    """A running git command whose pipes the caller drives."""

    pid: int
    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]

    def communicate(self, data: bytes | None = None) -> tuple[bytes, bytes]:
        """Send the data, and read both outputs to their end."""

    def terminate(self) -> None:
        """Ask it to end."""

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitCommand:
    """The way to run git in one repository, or in a folder where there is none yet.

    Attributes:
        cwd: Folder the command runs in.
        git_dir: Git folder of the work tree; None lets git look for it.
        work_tree: Top of the work tree; None when there is none.
        incoming: Variables by which git sees what a push brings; see :mod:`gitml.git.quarantine`.
    """

    cwd: Path
    git_dir: Path | None = None
    work_tree: Path | None = None
    incoming: tuple[tuple[str, str], ...] = ()

    def run(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        settings: Iterable[tuple[str, str]] = (),
        hooks: bool = False,
        ok: Sequence[int] = (0,),
        what: str = "git failed",
        held: int | None = None,
    ) -> Result:
        """Run a command to its end.

        Args:
            arguments: The command after `git`, from a template of this room.
            stdin: What it reads; nothing when None.
            env: Further variables.
            settings: Further git settings.
            hooks: Whether the hooks of the user run.
            ok: Exit statuses that are answers; others raise.
            what: What failed, for the message of the error.
            held: A file descriptor that the command keeps open as long as it lives.

        Raises:
            GitMLError: As :func:`gitml.git.failures.failure` reads git's words.
        """
        process = self.start(
            *arguments, env=env, settings=settings, hooks=hooks, piped=stdin is not None, held=held
        )
        try:
            stdout, stderr = process.communicate(stdin)
        except BaseException:
            _end(process)
            raise
        finally:
            process.stdout.close()
            process.stderr.close()
        result = Result(
            status=process.poll() or 0, stdout=stdout, stderr=stderr.decode("utf-8", "replace").strip()
        )
        if result.status not in ok:
            raise failure(result.stderr, result.status, what=what)
        return result

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        settings: Iterable[tuple[str, str]] = (),
        hooks: bool = False,
        piped: bool = True,
        held: int | None = None,
    ) -> Process:
        """Start a command and leave its pipes to the caller."""
        program = git_program(self.work_tree or _likely_top(self.cwd))
        variables = self._variables(settings, hooks=hooks) | dict(env or {})
        command = [*_without(_inherited(variables)), program, *arguments]
        git_class = _git_class(program)
        try:
            process = git_class(str(self.cwd)).execute(
                command,
                istream=subprocess.PIPE if piped else None,
                as_process=True,
                shell=False,
                env=variables,
                pass_fds=() if held is None else (held,),
            )
        except OSError as exc:
            raise AccessDenied(f"git cannot be run: {exc.strerror}", code="git-not-run") from exc
        return cast(Process, process)

    def _variables(self, settings: Iterable[tuple[str, str]], *, hooks: bool) -> dict[str, str]:
        pairs = [*_SETTINGS, *settings]
        if not hooks:
            pairs.append(_NO_HOOKS)
        variables = {
            "LC_ALL": "C",
            "LANGUAGE": "C",
            "PATH": _safe_path(),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_PAGER": "cat",
            "GIT_EDITOR": ":",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_CONFIG_COUNT": str(len(pairs)),
        }
        if not hooks:
            variables["GIT_LITERAL_PATHSPECS"] = "1"
        for number, (key, value) in enumerate(pairs):
            variables[f"GIT_CONFIG_KEY_{number}"] = key
            variables[f"GIT_CONFIG_VALUE_{number}"] = value
        if self.git_dir is not None:
            variables["GIT_DIR"] = str(self.git_dir)
            if self.work_tree is not None:
                variables["GIT_WORK_TREE"] = str(self.work_tree)
        return variables | dict(self.incoming)


def _end(process: Process) -> None:
    """End a command that nobody waits for any more; git removes its locks when it is asked to end."""
    with suppress(OSError):
        process.terminate()
    while process.poll() is None:
        time.sleep(0.005)


def git_program(work_tree: Path | None = None) -> str:
    """Return the absolute path of git.

    Only absolute folders of `PATH` are searched, and none inside the work tree: a repository must not bring its git.

    Raises:
        NotFound: There is no git.
    """
    found = find_program("git", work_tree)
    if found is None:
        raise NotFound(
            "git is not installed", code="git-not-found", hint="install git 2.38 or newer, and put it on PATH"
        )
    return found


def find_program(name: str, work_tree: Path | None = None) -> str | None:
    """Return the absolute path of a program, as :func:`git_program` finds git; None where there is none."""
    return _find(name, _safe_path(), None if work_tree is None else str(work_tree))


def _likely_top(folder: Path) -> Path | None:
    """Return the nearest folder upwards that looks like the top of a work tree, before git has said so."""
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), None)


@cache
def _find(name: str, path: str, work_tree: str | None) -> str | None:
    inside = None if work_tree is None else Path(work_tree).resolve()
    for folder in path.split(os.pathsep):
        found = shutil.which(name, path=folder) if folder else None
        if found is None:
            continue
        if inside is None or not Path(found).resolve().is_relative_to(inside):
            return found
    return None


def _safe_path() -> str:
    """Return `PATH` without relative folders, which would mean the repository that git runs in."""
    return _absolute_folders(os.environ.get("PATH", os.defpath))


@cache
def _absolute_folders(path: str) -> str:
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if Path(folder).is_absolute())


def _inherited(variables: Mapping[str, str]) -> list[str]:
    return [
        name
        for name in os.environ
        if name.upper().startswith("GIT_") and name not in KEPT_VARIABLES and name not in variables
    ]


def _without(names: Sequence[str]) -> list[str]:
    """Return the arguments that take variables out of the environment: GitPython can only add to it."""
    if not names:
        return []
    program = shutil.which("env", path=os.defpath) or "/usr/bin/env"
    return [program, *(part for name in names for part in ("-u", name))]


_import_lock = threading.Lock()


def _git_class(program: str) -> Any:
    """Import GitPython without letting it look for a git by itself."""
    with _import_lock:
        if "git" not in sys.modules and _lazy.own_process:
            return _git_class_alone()
        name, mode = "GIT_PYTHON_GIT_EXECUTABLE", "GIT_PYTHON_REFRESH"
        before = {key: os.environ.get(key) for key in (name, mode)}
        os.environ.update({name: program, mode: "quiet"})
        traces = {key: os.environ.pop(key) for key in list(os.environ) if key.startswith("GIT_TRACE")}
        try:
            from git.cmd import Git
        finally:
            os.environ.update(traces)
            for key, value in before.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value
    return Git


@cache
def _git_class_alone() -> Any:
    """Import the one module of GitPython that is used here, without its package.

    The package imports all of its modules and runs git twice, which takes as long as most commands. Where other code
    lives in the process it has to find the whole package, so this is for the program `gitml` alone.
    """
    spec = find_spec("git")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("GitPython is not installed")
    package = ModuleType("git")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["git"] = package
    try:
        return import_module("git.cmd").Git
    finally:
        for name in [name for name in sys.modules if name == "git" or name.startswith("git.")]:
            del sys.modules[name]
