"""Where the bytes of lost files may still be: files on this machine, and trees that can be read.

Nothing is believed: a file counts only when all of it was read and has the wanted SHA-256, and each chunk of it is
compared with its id again when it is used.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from gitml.errors import GitMLError
from gitml.store.formats import chunker
from gitml.store.read.reader import TreeReader

_BLOCK_BYTES: Final = 4 << 20
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Copy(Protocol):
    """A copy of a file."""

    def read(self, start: int, size_bytes: int) -> bytes:
        """So many bytes from `start`; fewer, or none, where it is not what it was."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A chunk in a copy of a file."""

    copy: Copy
    start: int
    size_bytes: int
    id: bytes

    def read(self) -> bytes | None:
        """The chunk, if it is still there."""
        data = self.copy.read(self.start, self.size_bytes)
        return data if hashlib.sha256(data).digest() == self.id else None


@dataclass(frozen=True, slots=True)
class _OnDisk:
    path: Path

    def read(self, start: int, size_bytes: int) -> bytes:
        try:
            handle = os.open(self.path, _OPEN)
            try:
                return os.pread(handle, size_bytes, start)
            finally:
                os.close(handle)
        except OSError:
            return b""


@dataclass(frozen=True, slots=True)
class _InTree:
    reader: TreeReader
    path: str

    def read(self, start: int, size_bytes: int) -> bytes:
        try:
            with self.reader.open(self.path) as handle:
                handle.seek(start)
                return handle.read(size_bytes) or b""
        except GitMLError:
            return b""


class Survivors:
    """Copies of wanted files.

    Args:
        wanted: Size of each wanted file, by its digest.
        folders: Folders of this machine to look in.
        trees: Trees to look in; a file that cannot be read there is passed over.
    """

    def __init__(
        self, wanted: Mapping[bytes, int], folders: Iterable[Path], trees: Iterable[TreeReader]
    ) -> None:
        self._on_disk: dict[int, list[Path]] = {}
        self._in_trees: dict[bytes, list[_InTree]] = {}
        sizes = set(wanted.values())
        for folder in folders if wanted else ():
            for path, size_bytes in _files(folder):
                if size_bytes in sizes:
                    self._on_disk.setdefault(size_bytes, []).append(path)
        for reader in trees if wanted else ():
            self._look(reader, wanted)
        self._by_digest: dict[bytes, _OnDisk] = {}

    def slices(self, digest: bytes, size_bytes: int) -> list[Slice] | None:
        """The chunks of a file with that digest, in a copy that is right; None where there is none."""
        for path in self._on_disk.pop(size_bytes, ()):
            self._by_digest.setdefault(_digest(_OnDisk(path)), _OnDisk(path))
        on_disk = self._by_digest.get(digest)
        for copy in (*([on_disk] if on_disk else []), *self._in_trees.get(digest, ())):
            found, slices = _cut(copy, size_bytes)
            if found == digest:
                return slices
        return None

    def _look(self, reader: TreeReader, wanted: Mapping[bytes, int]) -> None:
        try:
            for number in range(len(reader.rows)):
                for entry in reader.segment_entries(number):
                    if wanted.get(entry.digest) == entry.size_bytes:
                        self._in_trees.setdefault(entry.digest, []).append(_InTree(reader, entry.path))
        except GitMLError:
            return


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Regular files below a folder, and their sizes; links are not followed."""
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base, name)
            try:
                status = path.lstat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, status.st_size


def _digest(copy: Copy) -> bytes:
    hasher, position = hashlib.sha256(), 0
    while block := copy.read(position, _BLOCK_BYTES):
        hasher.update(block)
        position += len(block)
    return hasher.digest()


def _cut(copy: Copy, size_bytes: int) -> tuple[bytes, list[Slice]]:
    """Digest of a file, and its chunks as a writer cuts them."""
    hasher, slices, start = hashlib.sha256(), [], 0

    def note(cuts: Iterable[memoryview]) -> None:
        nonlocal start
        for cut in cuts:
            slices.append(Slice(copy, start, len(cut), hashlib.sha256(cut).digest()))
            start += len(cut)

    if size_bytes <= chunker.ONE_CHUNK_BYTES:
        data = copy.read(0, size_bytes + 1)
        hasher.update(data)
        note([memoryview(data)] if data else [])
        return hasher.digest(), slices
    cutter, position = chunker.Cutter(), 0
    while block := copy.read(position, _BLOCK_BYTES):
        hasher.update(block)
        position += len(block)
        note(cutter.feed(memoryview(block)))
    note(cutter.finish())
    return hasher.digest(), slices
