"""Review copies: the small texts of a version that stand beside its pointer, for the eye of a reviewer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gitml.store.read.reader import TreeReader
from gitml.store.write.source import Learns, Source, SourceFile

_PATTERNS = (
    "readme*",
    "*card*.md",
    "requirements*",
    "*.lock",
    "*.yaml",
    "*.yml",
    "*.toml",
    "*.json",
    "dockerfile",
)
_MAX_BYTES = 64 * 1024
_MAX_FILES = 8


def is_reviewed(path: str) -> bool:
    """Whether a file of the contents is one that reviewers want to read."""
    return "/" not in path and any(fnmatchcase(path.lower(), pattern) for pattern in _PATTERNS)


class ReviewedSource:
    """A source whose files that are meant for reading are remembered on their way into the store.

    These are the first ones at the top of the contents; files over 64 KiB and files that are not UTF-8 text are left
    out, and at most 8 are taken.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._learns = source if isinstance(source, Learns) else None
        self._copies: dict[str, bytes | None] = {}

    @property
    def warnings(self) -> list[str]:
        """See :class:`gitml.store.write.source.Source`."""
        return self._source.warnings

    def totals(self) -> tuple[int, int] | None:
        """See :class:`gitml.store.write.source.Source`."""
        return self._source.totals()

    def files(self) -> Iterator[SourceFile]:
        """See :class:`gitml.store.write.source.Source`."""
        self._copies.clear()
        for file in self._source.files():
            is_wanted = len(self._copies) < _MAX_FILES and file.size_bytes <= _MAX_BYTES
            yield self._remembered(file) if is_wanted and is_reviewed(file.path) else file

    def learn(self, file: SourceFile, digest: bytes) -> None:
        """See :class:`gitml.store.write.source.Learns`."""
        if self._learns is not None:
            self._learns.learn(file.file if isinstance(file, _ReadFile) else file, digest)

    def copies(self, tree: TreeReader) -> dict[str, bytes]:
        """The files that are meant for reading: path -> bytes, as they were registered.

        Args:
            tree: What was written from this source.
        """
        found = {}
        for path, data in self._copies.items():
            if data is None:
                with tree.open(path) as file:
                    data = file.read() or b""
            if _is_text(data):
                found[path] = data
        return found

    def _remembered(self, file: SourceFile) -> SourceFile:
        """The file with the bytes that it has at this moment, which are what is stored."""
        data = b"".join(file.blocks())
        if file.digest is not None and hashlib.sha256(data).digest() != file.digest:
            self._copies[file.path] = None  # its digest is believed, so the store knows better what it had
            return file
        if _is_text(data):
            self._copies[file.path] = data
        return _ReadFile(file=file, data=data)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadFile:
    """A file that was read already."""

    file: SourceFile
    data: bytes

    @property
    def path(self) -> str:
        return self.file.path

    @property
    def size_bytes(self) -> int:
        return self.file.size_bytes

    @property
    def digest(self) -> bytes | None:
        return self.file.digest

    def blocks(self) -> Iterator[memoryview]:
        if self.data:
            yield memoryview(self.data)


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode("utf-8")
    except UnicodeDecodeError:
        return False
