"""A local cache of what remote stores hold: bounded, shared by all processes of a user, and never believed.

Owns one folder with a sub-folder for each kind of object; a file's name is the id of what it holds. There are no
locks: a file appears by `rename`, goes by `unlink`, and whoever finds none asks the store. What is read is compared
with its id by the reader (manifests and segments here, footers and chunks in :mod:`gitml.store.read.packs`), so a file that
was cut short, damaged or planted is thrown away and read from the store. Nothing here is needed: trouble with the disk
ends in a miss, never in an error. Roots, the marker and all that can change are never kept.

Files that were not used for longest go when the cache has grown over its limit. It is not weighed at every write but at
random, more likely the more was written, so that a short command need not look at the whole folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import stat
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from gitml.store.media import layout
from gitml.store.media.cache_options import CacheOptions
from gitml.store.media.cachefile import BLOCK_BYTES, TEMPORARY, write_file
from gitml.store.media.folder import FolderMedium
from gitml.store.media.medium import Buffers, Medium, PutOutcome, body_size

_FREE_BYTES: Final = 1 << 30  # what packs leave free on the cache's disk
_WEIGHINGS: Final = 64  # how often, on average, the cache is weighed while its limit is written
_MOST_FILES: Final = 1 << 16
_SMALL_BYTES: Final = 64 << 20  # larger objects but packs are not kept
_STALE_NS: Final = 3600 * 10**9
_NAME: Final = re.compile(r"[0-9a-f]{64}")
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Kind(Enum):
    """What is kept; the value is the name of its folder."""

    PACK = "packs"
    FOOTER = "footers"
    SEGMENT = "segments"
    MANIFEST = "manifests"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUsage:
    """What a cache holds.

    Attributes:
        path: The folder.
        limit_bytes: Most bytes that it may hold; 0 where it is off.
        used_bytes, files: What it holds.
        problem: Why it is not used; None where it is.
    """

    path: Path
    limit_bytes: int
    used_bytes: int
    files: int
    problem: str | None


@dataclass(frozen=True, slots=True, order=True)
class _File:
    used_ns: int
    size_bytes: int
    kind: str
    name: str


class Cache:
    """One cache folder; safe to use from several threads, and beside other processes.

    Attributes:
        problem: Why the folder is not used; None where it is.
        healed: Files that were wrong, and were thrown away.
    """

    def __init__(self, options: CacheOptions) -> None:
        self.options = options
        self.problem: str | None = None
        self.healed = 0
        self._is_writable = options.limit_bytes > 0
        self._folders: dict[str, int] = {}
        self._opening = threading.Lock()
        self._weighing = threading.Lock()
        weakref.finalize(self, _close, self._folders)
        if self._is_writable:
            self._folder("")

    # -- reading

    def read(self, kind: Kind, hex_id: str) -> bytes | None:
        """A whole file, not compared with its id."""
        with contextlib.suppress(OSError):
            handle = self._opened(kind, hex_id)
            if handle is not None:
                with os.fdopen(handle, "rb", buffering=0) as stream:
                    if os.fstat(handle).st_size <= _SMALL_BYTES:
                        return stream.read()
        return None

    def has(self, kind: Kind, hex_id: str) -> bool:
        """Whether there is such a file at the moment."""
        folder = self._folder(kind.value)
        try:
            return folder is not None and stat.S_ISREG(
                os.stat(hex_id, dir_fd=folder, follow_symlinks=False).st_mode
            )
        except OSError:
            return False

    def read_into(self, kind: Kind, hex_id: str, buffer: memoryview) -> bool:
        """Fill a buffer with a file of just its size, not compared with its id."""
        with contextlib.suppress(OSError):
            handle = self._opened(kind, hex_id)
            if handle is not None:
                with os.fdopen(handle, "rb", buffering=0) as stream:
                    filled = 0
                    while filled < len(buffer) and (count := stream.readinto(buffer[filled:])):
                        filled += count
                    if filled == len(buffer) and not stream.read(1):
                        return True
                self.discard(kind, hex_id)
        return False

    def read_ranges(
        self, kind: Kind, hex_id: str, ranges: Sequence[tuple[int, int]]
    ) -> list[tuple[int, memoryview]] | None:
        """Ranges [start, end) of a file: where each starts, and its bytes, not compared with anything."""
        with contextlib.suppress(OSError):
            handle = self._opened(kind, hex_id)
            if handle is not None:
                try:
                    parts = [(start, os.pread(handle, end - start, start)) for start, end in ranges]
                finally:
                    os.close(handle)
                if all(
                    len(part) == end - start for (_, part), (start, end) in zip(parts, ranges, strict=True)
                ):
                    return [(start, memoryview(part)) for start, part in parts]
                self.discard(kind, hex_id)
        return None

    def _opened(self, kind: Kind, hex_id: str) -> int | None:
        """A file opened for reading, and used last of all."""
        folder = self._folder(kind.value)
        if folder is None:
            return None
        handle = os.open(hex_id, _READ, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            return None
        with contextlib.suppress(OSError):
            os.utime(handle)
        return handle

    # -- writing

    def keep(self, kind: Kind, hex_id: str, body: Buffers, *, spare_bytes: int = 0) -> bool:
        """Keep an object, if there is room; whether it was kept.

        Args:
            hex_id: The id that `body` was compared with, or will be at each read.
            spare_bytes: Bytes of the disk that somebody else is about to need.
        """
        size = body_size(body)
        if not self._is_writable or not self._has_room(kind, size, spare_bytes):
            return False
        try:
            folder = self._folder(kind.value, make=True)
            if folder is None:
                return False
            write_file(folder, hex_id, body)
        except OSError:
            self._is_writable = False  # it will not be better for the rest of this command
            return False
        if random.random() * self.options.limit_bytes < size * _WEIGHINGS:  # noqa: S311, no secret
            self._evict()
        return True

    def discard(self, kind: Kind, hex_id: str) -> None:
        """Throw away a file that does not hold what its name says."""
        self.healed += 1
        self._unlink(kind.value, hex_id)

    def clear(self) -> None:
        """Let everything go that was kept so far."""
        for file in list(self._scan()):
            if _NAME.fullmatch(file.name):
                self._unlink(file.kind, file.name)

    def _unlink(self, kind: str, name: str) -> None:
        with contextlib.suppress(OSError):
            folder = self._folder(kind)
            if folder is not None:
                os.unlink(name, dir_fd=folder)

    def _has_room(self, kind: Kind, size_bytes: int, spare_bytes: int) -> bool:
        if kind is not Kind.PACK:
            return size_bytes <= _SMALL_BYTES
        if size_bytes * 2 > self.options.limit_bytes:
            return False
        with contextlib.suppress(OSError):
            folder = self._folder(kind.value, make=True)
            if folder is not None:
                disk = os.fstatvfs(folder)
                return disk.f_bavail * disk.f_frsize >= size_bytes + spare_bytes + _FREE_BYTES
        return False

    # -- its size

    def usage(self) -> CacheUsage:
        """What it holds."""
        files = [file for file in self._scan() if _NAME.fullmatch(file.name)]
        return CacheUsage(
            path=self.options.path,
            limit_bytes=self.options.limit_bytes,
            used_bytes=sum(file.size_bytes for file in files),
            files=len(files),
            problem=self.problem,
        )

    def _evict(self) -> None:
        """Let the files go that were not used for longest, where the cache is near its limit."""
        if not self._weighing.acquire(blocking=False):
            return
        try:
            self._remove_oldest(sorted(self._scan()))
        finally:
            self._weighing.release()

    def _remove_oldest(self, files: Sequence[_File]) -> None:
        """Weighed at random, it may hold some more until the next time: so it is kept well below its limit."""
        limit, stale_ns = self.options.limit_bytes, time.time_ns() - _STALE_NS
        total, count = sum(file.size_bytes for file in files), len(files)
        is_over = total > limit * 7 // 8 or count > _MOST_FILES
        for file in files:
            is_left = not _NAME.fullmatch(file.name)
            if is_left and file.used_ns > stale_ns:
                continue  # somebody may be writing it
            if is_left or (is_over and (total > limit * 3 // 4 or count > _MOST_FILES * 3 // 4)):
                self._unlink(file.kind, file.name)
                total, count = total - file.size_bytes, count - 1

    def _scan(self) -> Iterator[_File]:
        """Every file that this room may have written; what else lies there is not touched."""
        for kind in Kind:
            folder = self._folder(kind.value)
            if folder is None:
                continue
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    if _NAME.fullmatch(entry.name) or TEMPORARY.fullmatch(entry.name):
                        with contextlib.suppress(OSError):
                            status = entry.stat(follow_symlinks=False)
                            blocks = -(-status.st_size // BLOCK_BYTES)
                            yield _File(status.st_mtime_ns, blocks * BLOCK_BYTES, kind.value, entry.name)

    # -- folders

    def _folder(self, name: str, *, make: bool = False) -> int | None:
        """A sub-folder, or the cache itself for ""; opened once, so that nobody can put another in its place."""
        if self.problem is not None or not self.options.limit_bytes:
            return None
        handle = self._folders.get(name)
        if handle is not None:
            return handle
        with self._opening:
            try:
                return self._open_folder(name, make=make)
            except OSError as error:
                if isinstance(error, FileNotFoundError) and not make:
                    return None
                self.problem = f"{self.options.path}: {error.strerror}"
                return None

    def _open_folder(self, name: str, *, make: bool) -> int | None:
        if "" not in self._folders:
            if make:
                self.options.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._admit("", os.open(self.options.path, _FOLDER))
        if self.problem is None and name not in self._folders:
            top = self._folders[""]
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=top)
            self._admit(name, os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=top))
        return self._folders.get(name) if self.problem is None else None

    def _admit(self, name: str, handle: int) -> None:
        """Use a folder that nobody else can write to."""
        status = os.fstat(handle)
        path = self.options.path / name
        if status.st_uid != os.geteuid():
            self.problem = f"{path} belongs to another user"
        elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            self.problem = f"others may write to {path}: chmod go-w {path}"
        if self.problem is None:
            self._folders[name] = handle
        else:
            os.close(handle)


class CachedMedium:
    """A medium whose manifests and segments are kept; all else is its own business.

    What was written through it is kept, too. Packs are read by ranges and into recycled memory, which
    :class:`gitml.store.read.packs.PackReader` does.
    """

    def __init__(self, medium: Medium, cache: Cache) -> None:
        self._medium = medium
        self._cache = cache

    @property
    def url(self) -> str:
        """Where the medium is."""
        return self._medium.url

    def head(self, name: str) -> int | None:
        return self._medium.head(name)

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        kind = _kind(name)
        if kind is None or start or end is not None:
            return self._medium.get(name, start, end)
        hex_id = layout.id_of(name)
        kept = self._cache.read(kind, hex_id)
        if kept is not None:
            if hashlib.sha256(kept).hexdigest() == hex_id:
                return kept
            self._cache.discard(kind, hex_id)
        data = self._medium.get(name)
        if hashlib.sha256(data).hexdigest() == hex_id:
            self._cache.keep(kind, hex_id, [data])
        return data

    def put(self, name: str, body: Buffers) -> None:
        self._medium.put(name, body)
        self._keep(name, body)

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        outcome = self._medium.put_if_absent(name, body)
        self._keep(name, body)
        return outcome

    def delete(self, name: str) -> bool:
        return self._medium.delete(name)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        return self._medium.list(prefix)

    def _keep(self, name: str, body: Buffers) -> None:
        kind = _kind(name)
        if kind is not None:
            self._cache.keep(kind, layout.id_of(name), body)


def cache_for(medium: Medium, options: CacheOptions | None) -> Cache | None:
    """The cache before a medium; None where it is off, and before a folder, which is as near as any cache."""
    if options is None or not options.limit_bytes or isinstance(medium, FolderMedium):
        return None
    return Cache(options)


def cache_usage(options: CacheOptions) -> CacheUsage:
    """What the cache of a user holds."""
    return Cache(options).usage()


def _kind(name: str) -> Kind | None:
    """What a name stands for, where that is kept whole and named by its bytes."""
    if name.startswith(layout.SEGMENTS):
        return Kind.SEGMENT
    return Kind.MANIFEST if name.startswith(layout.MANIFESTS) else None


def _close(folders: dict[str, int]) -> None:
    for handle in folders.values():
        with contextlib.suppress(OSError):
            os.close(handle)
    folders.clear()
