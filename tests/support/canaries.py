"""The whole program, called by every door, under watch: what it starts, connects to, opens, and leaves behind.

A :class:`Watch` sees every process, socket and file of this process through Python's audit events; a
:class:`Footprint` sees what changed on the disk, whoever changed it; :func:`call` runs a verb by one of the
three doors (command line, command line with `--json`, Python) and gives the same :class:`Outcome` for each.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from click.testing import CliRunner

import gitml
from gitml.api import Registry, init
from gitml.cli.app import root
from gitml.errors import GitMLError, PartlyDone

SECRET = "CANARY-a3f1c9d7-never-to-be-read"
"""What stands in the files outside; it must turn up nowhere."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SPAWNING = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "pty.spawn", "os.fork"}
_NEVER = {"pickle.find_class", "ftplib.connect", "urllib.Request", "http.client.connect"}
_CHANGING = {"os.rename": 2, "os.link": 2, "os.symlink": 1, "os.remove": 1, "os.rmdir": 1, "os.mkdir": 1,
             "os.truncate": 1, "os.chmod": 1, "os.chown": 1}  # fmt: skip
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass
class Watch:
    """What this process did while it was watched.

    Attributes:
        inside: Folders that may be written to.
        outside: Folders that may not even be read.
        violations: What was done all the same.
    """

    inside: tuple[str, ...]
    outside: tuple[str, ...]
    violations: list[str] = field(default_factory=list)

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            self._process(arguments)
        elif event in _SPAWNING or event in _NEVER or event.startswith("socket."):
            if event not in ("socket.gethostname", "socket.__new__"):
                self.violations.append(f"{event} {arguments[:2]!r}")
        elif event == "open":
            self._open(*arguments)
        elif event in _CHANGING:
            for number in range(_CHANGING[event]):
                self._changed(event, arguments[number], _folder_of(event, arguments, number))

    def _process(self, arguments: tuple[Any, ...]) -> None:
        words = [os.fsdecode(word) for word in arguments[1]]
        if Path(words[0]).name == "env" and os.path.isabs(words[0]):
            words = words[1:]
            while words[:1] == ["-u"]:
                words = words[2:]
        if not words or words[0] != shutil.which("git"):
            self.violations.append(f"process {arguments[1]!r}")

    def _open(self, path: Any, mode: Any, flags: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        text = os.fsdecode(path)
        if not os.path.isabs(text):
            return  # relative to a folder that this event does not name; the footprint sees it
        if _below(text, self.outside):
            self.violations.append(f"open {text}")
        writes = (isinstance(flags, int) and flags & _WRITING) or (
            isinstance(mode, str) and set(mode) & set("wax+")
        )
        if writes:
            self._changed("open", text, None)

    def _changed(self, event: str, path: Any, folder: str | None) -> None:
        if isinstance(path, int):
            return
        text = os.path.join(folder or os.getcwd(), os.fsdecode(path))
        allowed = ("/dev/null", "/dev/tty", *self.inside)
        if text.startswith(os.path.join(tempfile.gettempdir(), "gitml-")):
            return  # a folder of its own, made for this call; the footprint of the folder shows what stays
        if not _below(text, allowed) and "__pycache__" not in text and not text.startswith("/proc/self/"):
            self.violations.append(f"{event} {text}")


def _folder_of(event: str, arguments: tuple[Any, ...], number: int) -> str | None:
    """The folder a path is relative to, where the call named one by its descriptor."""
    places = {"os.rename": (2, 3), "os.link": (2, 3), "os.symlink": (2,), "os.remove": (1,), "os.rmdir": (1,),
              "os.mkdir": (2,), "os.chmod": (2,), "os.chown": (3,)}  # fmt: skip
    if event not in places:
        return None
    handle = arguments[places[event][number]]
    if not isinstance(handle, int) or handle < 0:
        return None
    try:
        return os.readlink(f"/proc/self/fd/{handle}")
    except OSError:
        return None


def _below(path: str, folders: Sequence[str]) -> bool:
    plain = os.path.normpath(path)
    return any(plain == folder or plain.startswith(folder.rstrip("/") + "/") for folder in folders)


_watches: list[Watch] = []
_hooked = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for watch in tuple(_watches):
        watch.see(event, arguments)


@contextmanager
def watched(*inside: Path, outside: Sequence[Path] = ()) -> Iterator[Watch]:
    """Fail unless what runs here starts only git, connects to nothing, and writes only inside these folders."""
    global _hooked
    if not _hooked:
        # Audit hooks cannot be taken out again, so there is one, and it sleeps when nobody watches.
        sys.addaudithook(_hook)
        _hooked = True
    watch = Watch(
        inside=tuple(os.path.realpath(path) for path in inside) + tuple(str(path) for path in inside),
        outside=tuple(str(path) for path in outside),
    )
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)
    assert not watch.violations, watch.violations


@dataclass(frozen=True)
class Footprint:
    """Everything below some folders: path -> kind, mode, and what it holds."""

    entries: Mapping[str, tuple[str, int, str]]

    @classmethod
    def of(cls, *folders: Path, without: Sequence[str] = ()) -> Footprint:
        """Look at the folders, but not at paths that hold one of the words."""
        entries: dict[str, tuple[str, int, str]] = {}
        pending = [str(folder) for folder in folders]
        while pending:
            path = pending.pop()
            if any(word in path for word in without):
                continue
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISDIR(status.st_mode):
                entries[path] = ("folder", mode, "")
                pending.extend(entry.path for entry in os.scandir(path))
            elif stat.S_ISLNK(status.st_mode):
                entries[path] = ("link", 0, os.readlink(path))
            elif stat.S_ISREG(status.st_mode):
                digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
                entries[path] = ("file", mode, digest)
            else:
                entries[path] = ("special", mode, str(status.st_rdev))
        return cls(entries)

    def changes(self, later: Footprint) -> list[str]:
        """What came, went or changed since."""
        names = sorted(self.entries.keys() | later.entries.keys())
        return [
            f"{'+' if name not in self.entries else '-' if name not in later.entries else '~'} {name}"
            for name in names
            if self.entries.get(name) != later.entries.get(name)
        ]


class Door(Enum):
    """A way to call the program."""

    CLI = "cli"
    JSON = "json"
    PYTHON = "python"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a call ended, whichever door was used.

    Attributes:
        exit_code: 0, or what the error stands for.
        code, message, hint: Of the error; empty where there was none, and `code` is empty on the plain command line.
        said: Everything that was printed or can be read of the error and the result.
        document: The JSON document; None by other doors.
        result: What the Python call gave; None by other doors.
    """

    door: Door
    exit_code: int
    code: str = ""
    message: str = ""
    hint: str = ""
    said: str = ""
    document: Any = None
    result: Any = None


_GROUPS = {"requests": "pr", "stores": "store"}
_REPEATED = {"labels": "--label", "metrics": "--metric", "params": "--param", "inputs": "--input",
             "include": "--include", "exclude": "--exclude", "where": "--where", "reviewers": "--reviewer"}  # fmt: skip


def arguments_of(verb: str, words: Sequence[Any], options: Mapping[str, Any]) -> list[str]:
    """The command line that says what a call of the Python interface says."""
    group, _, name = verb.rpartition(".")
    line = [*([_GROUPS[group]] if group else []), name]
    for option, value in options.items():
        if option == "direction":
            line.append(f"--{value}")
        elif option in _REPEATED:
            items = value.items() if isinstance(value, Mapping) else [(None, one) for one in value]
            for key, one in items:
                text = one if isinstance(one, str) else json.dumps(one)
                line.append(f"{_REPEATED[option]}={text if key is None else f'{key}={text}'}")
        elif value is True:
            line.append("--" + option.replace("_", "-"))
        elif value is not None and value is not False:
            line.append(f"--{option.replace('_', '-')}={value}")
    return [*line, "--", *(str(word) for word in words)]


def call(door: Door, folder: Path, verb: str, *words: Any, **options: Any) -> Outcome:
    """Call a verb in a folder. `requests.approve` is `pr approve`; `init` takes no registry."""
    if door is not Door.PYTHON:
        return typed(folder, *arguments_of(verb, words, options), json_asked=door is Door.JSON)
    before = os.getcwd()
    os.chdir(folder)
    try:
        if verb == "init":
            result = init(*words, **options)
        else:
            target: Any = Registry(folder)
            for part in verb.split("."):
                target = getattr(target, part)
            result = target(*words, **options)
    except GitMLError as error:
        said = "\n".join(
            [error.message, error.hint or "", json.dumps(error.context, default=str)]
            + [
                f"{name}: {one.message}"
                for name, one in (error.failed if isinstance(error, PartlyDone) else {}).items()
            ]
        )
        return Outcome(door=door, exit_code=error.exit_code, code=error.code, message=error.message,
                       hint=error.hint or "", said=said)  # fmt: skip
    finally:
        os.chdir(before)
    return Outcome(door=door, exit_code=0, said=repr(result), result=result)


def typed(folder: Path, *line: str, json_asked: bool = False) -> Outcome:
    """Type a command line in a folder."""
    done = CliRunner().invoke(root, ["-C", str(folder), *(["--json"] if json_asked else []), *line])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return printed(done.exit_code, done.stdout, done.stderr, json_asked=json_asked)


def printed(exit_code: int, stdout: str, stderr: str, *, json_asked: bool = False) -> Outcome:
    """Read what the program printed, and hold it to the form that failures have."""
    said = stdout + stderr
    assert "Traceback" not in said, said
    door = Door.JSON if json_asked else Door.CLI
    if json_asked:
        document = json.loads(stdout)
        assert document["schema"].startswith("gitml/"), document
        error = document.get("error") or {}
        assert bool(error) == (exit_code != 0), (exit_code, document)
        assert (exit_code == 13) == ("done" in document), (exit_code, document)
        return Outcome(door=door, exit_code=exit_code, code=error.get("code", ""), message=error.get("message", ""),
                       hint=error.get("hint") or "", said=said, document=document)  # fmt: skip
    assert not _CONTROL.search(said), ascii(said)
    if exit_code == 0:
        return Outcome(door=door, exit_code=0, said=said)
    lines = stderr.splitlines()
    start = max((number for number, one in enumerate(lines) if one.startswith("gitml: ")), default=None)
    assert start is not None, said
    hints = [one.removeprefix("Try: ") for one in lines[start:] if one.startswith("Try: ")]
    return Outcome(door=door, exit_code=exit_code, message=lines[start].removeprefix("gitml: "),
                   hint=hints[0] if hints else "", said=said)  # fmt: skip


def assert_refused(outcome: Outcome, exit_code: int | Sequence[int], *words: str) -> None:
    """Fail unless the call ended with that exit code and one line that holds the words, and said what to try."""
    codes = (exit_code,) if isinstance(exit_code, int) else tuple(exit_code)
    assert outcome.exit_code in codes, f"exit {outcome.exit_code}, not {codes}: {outcome.said}"
    assert outcome.message and "\n" not in outcome.message, repr(outcome.message)
    assert not _CONTROL.search(outcome.message) or outcome.door is not Door.CLI, ascii(outcome.message)
    assert outcome.hint, f"no hint: {outcome.message}"
    if outcome.door is not Door.CLI:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", outcome.code), outcome.code
    for word in words:
        assert word.casefold() in outcome.message.casefold(), f"{word!r} is not in {outcome.message!r}"
    assert SECRET not in outcome.said
    assert len(outcome.message) <= 2000, len(outcome.message)


def program(*line: str) -> list[str]:
    """The installed program as a child process would be started."""
    return [sys.executable, "-m", "gitml.cli", *line]


def program_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of such a child, with this source tree importable."""
    return {**environment, "PYTHONPATH": str(Path(gitml.__file__).parents[1])}
