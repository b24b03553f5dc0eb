"""Placing a tree into a folder, as planned by :mod:`gitml.store.place.planning`.

Each file is written under a temporary name beside its place and renamed over it, so that a name never shows half a
file, a symbolic or hard link is replaced and what it points to is untouched, and a run that was killed can be run
again. Nothing is flushed to disk: whatever a crash of the machine takes can be placed again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from gitml.errors import Busy, Conflict
from gitml.model.progress import SILENT, Progress
from gitml.store.place.filecache import FileCache, Row, beside, overlaid, without
from gitml.store.place.folders import Folders, NotAFolder, in_the_way, translated
from gitml.store.place.planning import Blocked, PlacePlan, parents, plan_placement, stamp_of
from gitml.store.place.scanning import FolderState, scan
from gitml.store.place.writing import Writer
from gitml.store.read.entries import Fetches, FileEntry

__all__ = ["Blocked", "FolderState", "PlacePlan", "Placed", "place", "plan_placement", "scan"]

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What was done: numbers of files, and the bytes written."""

    written: int
    kept: int
    removed: int
    written_bytes: int


def place(
    plan: PlacePlan,
    reader: Fetches,
    cache: FileCache,
    *,
    progress: Progress = SILENT,
    jobs: int | None = None,
) -> Placed:
    """Execute a plan; what is in place already is kept by the cache even when it fails.

    Args:
        cache: The one that the plan was made with; a new one takes its place.
        jobs: Threads.

    Raises:
        Conflict: Something is in the way, or a file was changed since the plan was made.
        Busy: Another process places files there, or has since the plan was made.
        NoSpace, AccessDenied: As the file system says; files in place are whole.
        IntegrityError: The store does not have the bytes that were registered.
    """
    if plan.blocked:
        raise _blocked(plan)
    if not (plan.write or plan.remove or plan.left or plan.learned or plan.leftovers):
        return Placed(written=0, kept=plan.keep, removed=0, written_bytes=0)
    try:
        with Folders(plan.destination, trusted=plan.trusted, create=True) as folders, _alone(folders, plan):
            return _place(plan, reader, cache, folders, progress, jobs)
    except NotAFolder as error:
        raise in_the_way(error.path, f"{error.what} is where a folder must be") from error
    except OSError as error:
        raise translated(error, str(plan.destination), "write to") from error


def _place(
    plan: PlacePlan,
    reader: Fetches,
    cache: FileCache,
    folders: Folders,
    progress: Progress,
    jobs: int | None,
) -> Placed:
    if not cache.is_current():
        raise _busy(plan, "has placed")
    if plan.write:
        cache.save(_intended(_known(plan, cache), plan.write), cache.stamp_ns, anew=True)
    remover = _Remover(plan, folders)
    writer = Writer(plan, cache)
    done = False
    progress.begin("placing", total_bytes=plan.write_bytes, total_files=len(plan.write))
    try:
        remover.leftovers()
        remover.clear()
        remover.remove(row for row in plan.remove if row.path in plan.first)
        remover.hollow()
        if plan.write:
            reader.fetch(plan.write, writer, progress=progress, jobs=jobs)
        remover.remove(row for row in plan.remove if row.path not in plan.first)
        done = True
    finally:
        writer.close()
        rows = _known(plan, cache)
        if done:
            rows = overlaid(without(without(rows, plan.remove), plan.left), writer.placed)
        else:
            rows = overlaid(_intended(rows, plan.write), writer.placed)
        cache.save(
            rows,
            None if cache.shares_clock(plan.destination) else min(writer.last_ns, cache.now_ns()),
            anew=True,
        )
        progress.end()
    return Placed(
        written=len(plan.write), kept=plan.keep, removed=len(plan.remove), written_bytes=plan.write_bytes
    )


def _known(plan: PlacePlan, cache: FileCache) -> Iterator[Row]:
    """The rows of the cache with what the plan has learned."""
    return overlaid(cache.rows(), plan.learned) if plan.learned else cache.rows()


def _intended(rows: Iterable[Row], entries: Iterable[FileEntry]) -> Iterator[Row]:
    """Rows that say what is about to be written, so that a run after a kill knows its own files."""
    for row, entry in beside(rows, entries):
        if entry is not None:
            yield msgspec.structs.replace(row or Row(entry.path), pending=entry.digest)
        elif row is not None:
            yield row


class _Remover:
    """Takes away what a plan says, and folders that are empty then."""

    def __init__(self, plan: PlacePlan, folders: Folders) -> None:
        self._plan = plan
        self._folders = folders

    def leftovers(self) -> None:
        """Remove temporary files of a killed run; only one run at a time is in a folder."""
        for path in self._plan.leftovers:
            with contextlib.suppress(FileNotFoundError, NotAFolder):
                self._unlink(path)

    def clear(self) -> None:
        """Remove what is where folders must be, if that was forced."""
        for path in self._plan.clear:
            with contextlib.suppress(FileNotFoundError):
                self._unlink(path)

    def hollow(self) -> None:
        """Take away folders without files that are where files go: a killed run leaves such folders, too."""
        for folder in self._plan.hollow:
            self._take_away(folder)

    def _take_away(self, folder: str) -> None:
        parent, _, name = folder.rpartition("/")
        with contextlib.suppress(FileNotFoundError):
            for inner in os.listdir(self._folders.open(folder)):  # noqa: PTH208, by descriptor
                self._take_away(f"{folder}/{inner}")
            self._folders.forget(folder)
            os.rmdir(name, dir_fd=self._folders.open(parent))

    def remove(self, rows: Iterable[Row]) -> None:
        """Remove files that are still as the plan saw them, and the folders they leave empty."""
        emptied: set[str] = set()
        for row in rows:
            path = row.path
            parent, _, name = path.rpartition("/")
            try:
                stat = os.stat(name, dir_fd=self._folders.open(parent), follow_symlinks=False)
                if stamp_of(stat) != (row.size_bytes, row.mtime_ns, row.ctime_ns, row.inode):
                    raise in_the_way(path, "it was changed meanwhile")
                self._unlink(path)
            except FileNotFoundError:
                pass
            if parent not in emptied:
                emptied.update(parents(path))
        for folder in sorted(emptied, key=len, reverse=True):
            parent, _, name = folder.rpartition("/")
            self._folders.forget(folder)
            with contextlib.suppress(OSError, NotAFolder):
                os.rmdir(name, dir_fd=self._folders.open(parent))

    def _unlink(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        os.unlink(name, dir_fd=self._folders.open(parent))


@contextlib.contextmanager
def _alone(folders: Folders, plan: PlacePlan) -> Iterator[None]:
    """Hold the folder against other placements; the lock ends with the process."""
    try:
        fcntl.flock(folders.top, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise _busy(plan, "places") from error
    yield  # closing the folder unlocks it; a file system without locks does without


def _busy(plan: PlacePlan, doing: str) -> Busy:
    return Busy(
        f"another process {doing} files in {plan.destination}",
        hint="wait for it, then run it again",
        context={"path": str(plan.destination)},
    )


def _blocked(plan: PlacePlan) -> Conflict:
    shown = ", ".join(f"{one.path} ({one.reason})" for one in plan.blocked[:_SHOWN])
    more = f" and {len(plan.blocked) - _SHOWN} more" if len(plan.blocked) > _SHOWN else ""
    return Conflict(
        f"{len(plan.blocked)} in the way in {plan.destination}: {shown}{more}",
        code="blocked",
        hint="move them away, or use --force",
        context={"blocked": [{"path": one.path, "reason": one.reason} for one in plan.blocked]},
    )
