"""A tree of one store as the source of a write into another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitml.store.read.reader import TreeReader


@dataclass(slots=True, kw_only=True)
class TreeFile:
    """A file on its way from store to store; its digest is known, and checked as it is read."""

    path: str
    size_bytes: int
    digest: bytes | None
    reader: TreeReader
    contents: Iterator[bytes] | None

    def blocks(self) -> Iterator[memoryview]:
        """The contents; cheapest the first time, before the next file is asked for."""
        contents, self.contents = self.contents, None
        if contents is None:
            entry = self.reader.entry(self.path)
            ((_, contents),) = self.reader.stream([entry])
        for block in contents:
            yield memoryview(block)


class TreeSource:
    """Feeds a tree to :meth:`gitml.store.store.Store.write`."""

    def __init__(self, reader: TreeReader) -> None:
        self._reader = reader
        self.warnings: list[str] = []

    def files(self) -> Iterator[TreeFile]:
        """Every file, in path order."""
        for entry, contents in self._reader.stream(self._reader.entries()):
            yield TreeFile(
                path=entry.path,
                size_bytes=entry.size_bytes,
                digest=entry.digest,
                reader=self._reader,
                contents=contents,
            )

    def totals(self) -> tuple[int, int]:
        """Number of files, and their bytes."""
        return self._reader.files, self._reader.size_bytes
