"""Writing the files of a tree as they are fetched: each under a temporary name, which is renamed when all is there."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from gitml.errors import GitMLError
from gitml.store.media.medium import Buffer
from gitml.store.place.filecache import FileCache, Row, right_row
from gitml.store.place.folders import Folders, NotAFolder, in_the_way, translated
from gitml.store.place.planning import PlacePlan, Replacement, stamp_of
from gitml.store.read.entries import FileEntry
from gitml.store.read.spool import Sorter

_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o666  # narrowed by the umask, as for any file that a person makes
_MOST_OPEN: Final = 64
_MOST_PARTS: Final = 512
_PATH: Final = attrgetter("path")


class Writer:
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
            raise in_the_way(entry.path, "it came or was changed meanwhile")


class _TargetFile:
    """A large file under its temporary name.

    Few of them are open at a time; when there are more, the rest are opened for each step.
    """

    def __init__(self, writer: Writer, entry: FileEntry, temporary: str) -> None:
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
        return in_the_way(error.path, f"{error.what} is where a folder must be")
    if isinstance(error, IsADirectoryError):
        return in_the_way(path, "a folder is there")
    return translated(error, path, "write")
