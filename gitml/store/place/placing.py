"""Placing a tree into a folder, as planned by :mod:`gitml.store.place.planning`.

Each file is written under a temporary name beside its place and renamed over it, so that a name never shows half a
file, a symbolic or hard link is replaced and what it points to is untouched, and a run that was killed can be run
again. Nothing is flushed to disk: whatever a crash of the machine takes can be placed again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import msgspec

from gitml.errors import Busy, Conflict, GitMLError
from gitml.model.progress import SILENT, Progress
from gitml.store.media.medium import Buffer
from gitml.store.place.filecache import FileCache, Row, beside, overlaid, right_row, without
from gitml.store.place.folders import Folders, NotAFolder, translated
from gitml.store.place.planning import Blocked, PlacePlan, Replacement, parents, plan_placement, stamp_of
from gitml.store.place.scanning import FolderState, scan
from gitml.store.read.entries import Fetches, FileEntry
from gitml.store.read.spool import Sorter

__all__ = ["Blocked", "FolderState", "PlacePlan", "Placed", "place", "plan_placement", "scan"]

_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o666  # narrowed by the umask, as for any file that a person makes
_MOST_OPEN: Final = 64
_MOST_PARTS: Final = 512
_SHOWN: Final = 5
_PATH: Final = attrgetter("path")


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
        raise _in_the_way(error.path, f"{error.what} is where a folder must be") from error
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
    writer = _Writer(plan, cache)
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
                    raise _in_the_way(path, "it was changed meanwhile")
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


class _Writer:
    """Writes fetched files; each thread walks the folders on its own."""

    def __init__(self, plan: PlacePlan, cache: FileCache) -> None:
        self._plan = plan
        self._local = threading.local()
        self._lock = threading.Lock()
        self._walkers: list[Folders] = []
        self._made: set[str] = set()
        self._prefix = f".gitml-placing-{secrets.token_hex(8)}-"
        self._count = itertools.count()
        self.open_targets = 0
        self.placed = Sorter(Row, _PATH, folder=cache.file.parent)
        self.last_ns = 0

    def whole(self, entry: FileEntry, parts: Sequence[Buffer]) -> None:
        """Write a small file."""
        path = entry.path
        folder, _, name = path.rpartition("/")
        temporary = self.temporary()
        try:
            descriptor = os.open(temporary, _CREATE, _MODE, dir_fd=self.folder(folder))
            try:
                if len(parts) == 1:
                    size = os.write(descriptor, parts[0])
                    if size != len(parts[0]):
                        _write_at(descriptor, size, [memoryview(parts[0])[size:]])
                elif parts:
                    _write_at(descriptor, 0, parts)
                self.rename(entry, temporary, folder, name, descriptor)
            except BaseException:
                self.unlink(folder, temporary)
                raise
            finally:
                os.close(descriptor)
        except (OSError, NotAFolder) as error:
            raise _explanation(error, path) from error

    def begin(self, entry: FileEntry) -> _TargetFile:
        """Start a large file."""
        with _explained(entry.path):
            return _TargetFile(self, entry, self.temporary())

    def temporary(self) -> str:
        """A name that nobody else uses, and that the next run knows for what it is."""
        return self._prefix + str(next(self._count))

    def folder(self, path: str) -> int:
        """Descriptor of a folder, made if need be, for this thread."""
        walker: Folders | None = getattr(self._local, "walker", None)
        if walker is None:
            walker = Folders(self._plan.destination, trusted=self._plan.trusted, create=True)
            walker.made = self._made
            self._local.walker = walker
            with self._lock:
                self._walkers.append(walker)
        return walker.open(path)

    def rename(self, entry: FileEntry, temporary: str, folder: str, name: str, descriptor: int) -> None:
        """Give a complete file its name, unless something came into the way since the plan was made."""
        at = self.folder(folder)
        if folder not in self._made and not self._plan.force:
            self._check_prior(entry, name, at)
        os.rename(temporary, name, src_dir_fd=at, dst_dir_fd=at)
        stat = os.fstat(descriptor)
        self.placed.add(right_row(entry.path, stat, entry.digest, ours=True))
        if stat.st_ctime_ns > self.last_ns:
            self.last_ns = stat.st_ctime_ns

    def unlink(self, folder: str, temporary: str) -> None:
        """Remove a temporary file if it is there."""
        with contextlib.suppress(OSError, NotAFolder):
            os.unlink(temporary, dir_fd=self.folder(folder))

    def close(self) -> None:
        """Close all folders; no other thread is at work any more."""
        for walker in self._walkers:
            walker.close()
        self._walkers.clear()

    @staticmethod
    def _check_prior(entry: FileEntry, name: str, at: int) -> None:
        try:
            found = os.stat(name, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not isinstance(entry, Replacement) or stamp_of(found) != entry.prior:
            raise _in_the_way(entry.path, "it came or was changed meanwhile")


class _TargetFile:
    """A large file under its temporary name.

    Few of them are open at a time; when there are more, the rest are opened for each step.
    """

    def __init__(self, writer: _Writer, entry: FileEntry, temporary: str) -> None:
        self._writer = writer
        self._entry = entry
        self._folder, _, self._name = entry.path.rpartition("/")
        self._temporary = temporary
        descriptor = os.open(temporary, _CREATE, _MODE, dir_fd=writer.folder(self._folder))
        self._descriptor: int | None = descriptor
        if writer.open_targets >= _MOST_OPEN:
            os.close(descriptor)
            self._descriptor = None
        else:
            writer.open_targets += 1

    def write(self, offset: int, parts: Sequence[Buffer]) -> None:
        """See :class:`gitml.store.read.entries.Target`."""
        with _explained(self._entry.path), self._opened() as descriptor:
            _write_at(descriptor, offset, parts)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """See :class:`gitml.store.read.entries.Target`."""
        with _explained(self._entry.path), self._opened() as descriptor:
            return os.preadv(descriptor, [buffer], offset)

    def finish(self, digest: bytes | None = None) -> None:
        """See :class:`gitml.store.read.entries.Target`."""
        entry = self._entry if digest is None else msgspec.structs.replace(self._entry, digest=digest)
        try:
            with _explained(self._entry.path), self._opened() as descriptor:
                self._writer.rename(entry, self._temporary, self._folder, self._name, descriptor)
        except BaseException:
            self._writer.unlink(self._folder, self._temporary)
            raise
        finally:
            self._close()

    def discard(self) -> None:
        """See :class:`gitml.store.read.entries.Target`."""
        self._close()
        self._writer.unlink(self._folder, self._temporary)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        if self._descriptor is not None:
            yield self._descriptor
            return
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._temporary, flags, dir_fd=self._writer.folder(self._folder))
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._writer.open_targets -= 1


def _write_at(descriptor: int, offset: int, parts: Sequence[Buffer]) -> None:
    """Write all parts, however many calls that takes."""
    for start in range(0, len(parts), _MOST_PARTS):
        rest = [memoryview(part) for part in parts[start : start + _MOST_PARTS]]
        while rest:
            count = os.pwritev(descriptor, rest, offset)
            offset += count
            while rest and count >= len(rest[0]):
                count -= len(rest[0])
                del rest[0]
            if count:
                rest[0] = rest[0][count:]


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


class _explained(contextlib.AbstractContextManager[None]):  # noqa: N801, used as a verb
    """Turns failed calls into errors that name the file."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError | NotAFolder):
            raise _explanation(error, self._path) from error


def _explanation(error: OSError | NotAFolder, path: str) -> GitMLError:
    if isinstance(error, NotAFolder):
        return _in_the_way(error.path, f"{error.what} is where a folder must be")
    if isinstance(error, IsADirectoryError):
        return _in_the_way(path, "a folder is there")
    return translated(error, path, "write")


def _in_the_way(path: str, reason: str) -> Conflict:
    return Conflict(
        f"{path} is in the way: {reason}",
        code="blocked",
        hint="move it away, or use --force",
        context={"blocked": [{"path": path, "reason": reason}]},
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
