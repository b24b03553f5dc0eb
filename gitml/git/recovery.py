"""Puts right what a killed GitML process left behind, as far as its journal proves that it was GitML's.

A commit on a checked-out branch has one commit point, the ref: if the ref has moved, the index is finished; if not,
the files in the work tree are taken back. Either way the locks go, and the same command can be run again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from gitml.errors import Busy
from gitml.git import exclude, journal
from gitml.git.objects import ObjectReader
from gitml.git.placing import FileState, put_back
from gitml.git.scratch import SCRATCH, remove_scratch
from gitml.git.types import Change

# An empty lock of a ref names no owner. It is taken for the dead process's only when it is older than this: a living
# git holds one for a few milliseconds.
_EMPTY_LOCK_AGE_S: Final = 1.0

FETCH: Final = "fetch"
"""Kind of the record of a fetch."""

CONFIG: Final = "config"
"""Kind of the record of a change of git's settings."""

_PACKED: Final = "packed-refs.lock"
_FETCHED: Final = ("refs/remotes", "refs/gitml", "refs/tags")
_FETCHED_AT_ONCE: Final = (_PACKED, "shallow.lock")


def recover(reader: ObjectReader, common_dir: Path) -> list[str]:
    """Settle every operation whose process is dead; return the lock files that were removed."""
    removed: list[str] = []
    for facts, file in journal.orphans(common_dir):
        kind = str(facts.get("kind"))
        if kind in ("ref", "commit"):
            removed += _ref_locks(common_dir, str(facts["ref"]), facts.get("new"), float(facts["began"]))
        if kind == "ref" and facts.get("new") is None:
            removed += _left_locks([common_dir / _PACKED], float(facts["began"]))
        if kind in _LOCKS:
            removed += _left_locks(_LOCKS[kind](common_dir), float(facts["began"]))
        if kind == "commit":
            removed += _settle(reader, facts)
        if kind == SCRATCH:
            remove_scratch(common_dir, str(facts["id"]))
        if kind == exclude.EXCLUDE:
            exclude.remove_unfinished(common_dir, str(facts["id"]))
        if kind == journal.UNREADABLE:
            removed += _settle_torn(common_dir, str(facts["id"]))
        file.with_suffix(".tmp").unlink(missing_ok=True)
    return removed


@contextmanager
def recorded(common_dir: Path, kind: str) -> Iterator[int]:
    """Keep a record while git changes what a kind of operation locks, so that the locks of a dead git can go.

    Gives the descriptor that git has to keep open as long as it lives.
    """
    with journal.operation(common_dir, {"kind": kind, "pending": True}) as held:
        try:
            yield held.descriptor
        except BaseException as error:
            # A git that ended by itself took its locks with it; one that was killed did not, though GitML lives on.
            if isinstance(error, Busy) or not _LOCKS[kind](common_dir):
                held.record({"kind": kind})
            raise


def lock_text(operation: str) -> bytes:
    """Return what an index lock of GitML holds; git's own holds an index."""
    return f"gitml {operation}\n".encode()


def is_ours(lock: Path, operation: str) -> bool:
    """Whether an index lock is that of the operation."""
    try:
        with lock.open("rb") as stream:
            return stream.read(100) == lock_text(operation)
    except OSError:
        return False


def _settle(reader: ObjectReader, facts: dict[str, Any]) -> list[str]:
    new, ref, operation = str(facts["new"]), str(facts["ref"]), str(facts["id"])
    tip = reader.info(ref)
    moved = tip is not None and (tip[0] == new or _has_commit(reader, tip[0], new))
    removed = []
    for tree in facts.get("trees", []):
        git_dir = Path(tree["git_dir"])
        lock, prepared = git_dir / "index.lock", git_dir / f"gitml-index-{operation}"
        if is_ours(lock, operation):
            if moved:
                with suppress(FileNotFoundError):
                    prepared.replace(git_dir / "index")
            else:
                changes = [Change(**change) for change in tree["changes"]]
                absent = [FileState.ABSENT.value == state for state in tree["before"]]
                put_back(reader, Path(tree["top"]), changes, absent, tag=operation)
            lock.unlink(missing_ok=True)
            removed.append(str(lock))
        prepared.unlink(missing_ok=True)
        prepared.with_name(prepared.name + ".lock").unlink(missing_ok=True)
        (git_dir / f"gitml-lock-{operation}").unlink(missing_ok=True)
    return removed


def _settle_torn(common_dir: Path, operation: str) -> Iterator[str]:
    """Take away what carries the name of an operation whose record was torn.

    Nothing in a work tree or index is half done then: the record is durable before that begins, and is written again
    only when it has ended. What it was about is not known, so that a lock without its name stays.
    """
    for git_dir in (common_dir, *(common_dir / "worktrees").glob("*")):
        lock = git_dir / "index.lock"
        if is_ours(lock, operation):
            lock.unlink(missing_ok=True)
            yield str(lock)
        for name in (f"gitml-index-{operation}", f"gitml-index-{operation}.lock", f"gitml-lock-{operation}"):
            (git_dir / name).unlink(missing_ok=True)
    remove_scratch(common_dir, operation)
    exclude.remove_unfinished(common_dir, operation)


def _has_commit(reader: ObjectReader, tip: str, wanted: str) -> bool:
    """Whether `wanted` is on the first-parent chain near the tip (others may have committed since)."""
    for _ in range(1000):
        raw = reader.read(tip)
        if raw is None or raw.kind != "commit":
            return False
        parents = [
            line[7:].decode()
            for line in raw.data.partition(b"\n\n")[0].split(b"\n")
            if line[:7] == b"parent "
        ]
        if wanted in parents:
            return True
        if not parents:
            return False
        tip = parents[0]
    return False


def _ref_locks(common_dir: Path, ref: str, new: str | None, began: float) -> Iterator[str]:
    """Remove the locks that a git process of the operation left on the ref and on the HEADs that name it."""
    lock = Path(f"{common_dir / ref}.lock")
    content = _content(lock, began)
    if (content is not None and content.strip() == (new or "-").encode()) or (
        content == b"" and _grown_old(lock)
    ):
        lock.unlink(missing_ok=True)
        yield str(lock)
    elif content is not None:
        return
    for git_dir in (common_dir, *(common_dir / "worktrees").glob("*")):
        head = git_dir / "HEAD.lock"
        if _content(head, began) == b"" and _names(git_dir / "HEAD", ref) and _grown_old(head):
            head.unlink(missing_ok=True)
            yield str(head)


def _locks_of_fetch(common_dir: Path) -> list[Path]:
    """Return the locks that are held on what a fetch writes, by whomever."""
    found = [lock for folder in _FETCHED for lock in sorted((common_dir / folder).rglob("*.lock"))]
    return found + [common_dir / name for name in _FETCHED_AT_ONCE if (common_dir / name).exists()]


def _locks_of_config(common_dir: Path) -> list[Path]:
    """Return the lock that is held on git's settings, by whomever."""
    return [lock for lock in (common_dir / "config.lock",) if lock.exists()]


_LOCKS: Final[Mapping[str, Callable[[Path], list[Path]]]] = {
    FETCH: _locks_of_fetch,
    CONFIG: _locks_of_config,
}


def _left_locks(locks: Iterable[Path], began: float) -> Iterator[str]:
    """Remove locks that a dead git left: they are as young as it, and nobody has done anything with them since."""
    for lock in locks:
        if _content(lock, began) is not None and _grown_old(lock, empty=False):
            lock.unlink(missing_ok=True)
            yield str(lock)


def _content(lock: Path, began: float) -> bytes | None:
    """Return what a lock holds; None when there is none, or it is older than the operation."""
    try:
        if lock.lstat().st_mtime < began - 2:
            return None
        return lock.read_bytes()[:200]
    except OSError:
        return None


def _grown_old(lock: Path, *, empty: bool = True) -> bool:
    """Wait until a lock is old enough; False when it changes or goes meanwhile."""
    try:
        first = lock.lstat()
        while (rest := first.st_mtime + _EMPTY_LOCK_AGE_S - time.time()) > 0:
            time.sleep(min(rest, _EMPTY_LOCK_AGE_S))
        now = lock.lstat()
    except OSError:
        return False
    same = os.path.samestat(first, now) and now.st_mtime == first.st_mtime
    return same and (now.st_size == 0 or not empty)


def _names(head: Path, ref: str) -> bool:
    try:
        return head.read_text(encoding="utf-8").strip() == f"ref: {ref}"
    except (OSError, UnicodeDecodeError):
        return False
