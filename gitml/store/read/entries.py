"""What readers hand out: one file of a tree, and the places that the bytes of many files are sent to."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Protocol, overload

import msgspec

from gitml.model.progress import SILENT, Progress
from gitml.store.media.medium import Buffer


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A file of a tree: its path in it, its size, and the SHA-256 of its bytes (32 bytes)."""

    path: str
    size_bytes: int
    digest: bytes


class Entries(Sequence[FileEntry]):
    """A list of entries in columns, of 50 bytes and a path each; files are added at its end.

    Attributes:
        paths: The paths, in the order of the files.
    """

    __slots__ = ("_digests", "_sizes", "paths")

    def __init__(self, entries: Iterable[FileEntry] = ()) -> None:
        self.paths: list[str] = []
        self._sizes = array("Q")
        self._digests = bytearray()
        for entry in entries:
            self.append(entry)

    def append(self, entry: FileEntry) -> None:
        """Add a file."""
        self.paths.append(entry.path)
        self._sizes.append(entry.size_bytes)
        self._digests += entry.digest

    def digest(self, number: int) -> bytes:
        """Digest of the file with a number."""
        return bytes(self._digests[32 * number : 32 * number + 32])

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(self._sizes)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, number: int) -> FileEntry: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[FileEntry]: ...
    def __getitem__(self, number: int | slice) -> FileEntry | Sequence[FileEntry]:
        if isinstance(number, slice):
            return [self[at] for at in range(*number.indices(len(self)))]
        at = number if number >= 0 else number + len(self)
        return FileEntry(path=self.paths[at], size_bytes=self._sizes[at], digest=self.digest(at))


class Target(Protocol):
    """A large file on its way; its parts come from several threads, in any order, each byte once."""

    def write(self, offset: int, parts: Sequence[Buffer]) -> None:
        """Put parts one after the other at an offset in bytes."""

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Read back what was written; number of bytes read."""

    def finish(self, digest: bytes | None = None) -> None:
        """All is written and its digest is right; the digest, where it was not known at the beginning."""

    def discard(self) -> None:
        """It will not be finished; called instead of `finish`, after all writes ended."""


class Fetches(Protocol):
    """What can send the bytes of files to a sink."""

    def fetch(
        self,
        entries: Iterable[FileEntry],
        sink: Sink,
        *,
        progress: Progress = SILENT,
        jobs: int | None = None,
    ) -> None:
        """Send files to a sink, each only with the right bytes."""


class Sink(Protocol):
    """Where fetched files go; called from several threads."""

    def whole(self, entry: FileEntry, parts: Sequence[Buffer]) -> None:
        """Take a file whose bytes are all here and right; the parts are gone when the call returns."""

    def begin(self, entry: FileEntry) -> Target:
        """Start a file that comes in several steps."""
