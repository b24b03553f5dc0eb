"""What GitML is about to do with locks of git, written down before it does it: `<common dir>/gitml/operations/`.

A record names its owner (process, start time, boot, host) and what it will touch. The owner, and every git process
that acts for it, holds a lock of the operating system on the record, which ends with the last of them: a record
whose lock can be had belongs to nobody any more. Where the file system has no locks, a record belongs to those that
have it open, as far as that can be seen here; where it cannot be seen, it is left alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final

from gitml.errors import AccessDenied, NoSpace
from gitml.git.failures import NO_ROOM

UNREADABLE: Final = "unreadable"
"""Kind of a record that a power cut tore: only its name is known, which is that of its operation."""

_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An operation in progress; git processes inherit the descriptor."""

    id: str
    descriptor: int
    file: Path

    def record(self, facts: Mapping[str, Any]) -> None:
        """Replace the facts of the record, durably."""
        # One write, which also covers what was longer before: a death leaves the old facts or the new ones.
        data = _encode(self.id, facts).ljust(os.fstat(self.descriptor).st_size)
        os.pwrite(self.descriptor, data, 0)
        os.fsync(self.descriptor)

    def is_pending(self) -> bool:
        """Whether the record still says that something has to be put right."""
        return _needs_recovery(self.descriptor)


@contextmanager
def operation(common_dir: Path, facts: Mapping[str, Any], *, durable: bool = False) -> Iterator[Held]:
    """Keep a record while the block runs; it goes when the block ends, also by an error.

    The record appears complete and locked, or not at all.

    Raises:
        AccessDenied: The repository cannot be written.
        NoSpace: No room is left.
    """
    number = uuid.uuid4().hex
    folder = common_dir / "gitml" / "operations"
    file, early = folder / f"{number}.json", folder / f"{number}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(early)
    except OSError as exc:
        raise _translated(exc, folder) from exc
    try:
        try:
            os.write(descriptor, _encode(number, facts))
            if durable:
                os.fsync(descriptor)
            early.rename(file)
            if durable:
                sync_folder(folder)
        except OSError as exc:
            early.unlink(missing_ok=True)
            raise _translated(exc, folder) from exc
        yield Held(id=number, descriptor=descriptor, file=file)
        file.unlink(missing_ok=True)
    except BaseException:
        # The block has put things right again, or the next recovery does: it needs the record for that.
        if not _needs_recovery(descriptor):
            file.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def orphans(common_dir: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Give the records whose owner is dead, each while it is locked by this process."""
    folder = common_dir / "gitml" / "operations"
    try:
        names = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as exc:
        raise _translated(exc, folder) from exc
    for name in names:
        file = folder / name
        if not name.endswith(".json"):
            _sweep(file)
            continue
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            facts = _dead(descriptor)
            if facts is not None:
                yield {**facts, "id": file.stem}, file
                file.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked(early: Path) -> int:
    """Create a file and lock it; again, when a sweep took it for a dead one in between."""
    while True:
        descriptor = os.open(early, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def _sweep(early: Path) -> None:
    """Remove a record that was never finished, unless its writer holds it."""
    with suppress(OSError):
        descriptor = os.open(early, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if (
                early.suffix == ".tmp"
                and _hold(descriptor) is not _Hold.TAKEN
                and os.fstat(descriptor).st_nlink
            ):
                early.unlink()
        finally:
            os.close(descriptor)


class _Hold(Enum):
    """What came of the attempt to have a record for oneself."""

    LOCKED = "nobody else has it, wherever they are"
    SEEN = "nobody else here has it open"
    TAKEN = "somebody has it, or might"


def _hold(descriptor: int) -> _Hold:
    """Have an open record for oneself for as long as it is open; of two who try at once, at most one gets it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _Hold.TAKEN
    except OSError:
        return _Hold.TAKEN if _is_open_elsewhere(descriptor) else _Hold.SEEN
    return _Hold.LOCKED


def _is_open_elsewhere(descriptor: int) -> bool:
    """Whether anybody else has a record open; also when that cannot be known."""
    record = os.fstat(descriptor)
    if record.st_uid != os.geteuid():
        return True  # what another user's processes have open is not to be seen
    own = f"/proc/{os.getpid()}/fd/{descriptor}"
    if not Path(own).exists():
        return True
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            for opened in folder.iterdir():
                with suppress(OSError):
                    if str(opened) != own and os.path.samestat(opened.stat(), record):
                        return True
    return False


def _encode(number: str, facts: Mapping[str, Any]) -> bytes:
    owner = {"pid": os.getpid(), "start": _start_time(os.getpid()), "boot": _boot(), "host": socket.gethostname(),
             "namespace": _namespace()}  # fmt: skip
    return json.dumps(
        {**facts, "version": _VERSION, "id": number, "owner": owner, "began": time.time()}
    ).encode()


def _needs_recovery(descriptor: int) -> bool:
    try:
        facts = json.loads(os.pread(descriptor, 1 << 24, 0))
    except (OSError, ValueError):
        return False
    return isinstance(facts, dict) and bool(facts.get("pending"))


def _dead(descriptor: int) -> dict[str, Any] | None:
    """Have a record for oneself, and return its facts if its owner is provably gone; None otherwise."""
    hold = _hold(descriptor)
    if hold is _Hold.TAKEN or os.fstat(descriptor).st_nlink == 0:
        return None
    try:
        facts = json.loads(os.pread(descriptor, 1 << 24, 0))
    except ValueError:
        return {"kind": UNREADABLE}
    if not isinstance(facts, dict) or not isinstance(facts.get("owner"), dict):
        return {"kind": UNREADABLE}
    if facts.get("version") != _VERSION:
        return None  # of a newer GitML, which knows what to do with it
    owner = facts["owner"]
    if owner.get("boot") != _boot():
        return facts if owner.get("host") == socket.gethostname() else None
    if hold is _Hold.SEEN and owner.get("namespace") != _namespace():
        return None
    same_process = owner.get("namespace") == _namespace() and owner.get("start") == _start_time(
        owner.get("pid", 0)
    )
    return None if same_process and owner.get("start") and owner.get("pid") != os.getpid() else facts


@cache
def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return "unknown"


def _namespace() -> str:
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return "unknown"


def _start_time(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty when there is none or it cannot be known.

    Source: proc(5), field 22 of stat; the second field may itself hold spaces and parentheses. A process that has
    ended but was not waited for counts as none.
    """
    with suppress(OSError, IndexError):
        fields = (
            Path(f"/proc/{int(pid)}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()
        )
        return "" if fields[0] in "ZX" else fields[19]
    return ""


def _translated(exc: OSError, folder: Path) -> AccessDenied | NoSpace:
    error = NoSpace if exc.errno in NO_ROOM else AccessDenied
    return error(
        f"{folder} cannot be written: {exc.strerror}",
        code="git-permission",
        hint=f"get the right, or the room, to write {folder}",
    )
