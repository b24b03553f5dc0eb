"""What readers hand out: one file of a tree, and the places that the bytes of many files are sent to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from gitml.model.progress import SILENT, Progress
from gitml.store.media.medium import Buffer


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A file of a tree: its path in it, its size, and the SHA-256 of its bytes (32 bytes)."""

    path: str
    size_bytes: int
    digest: bytes


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
