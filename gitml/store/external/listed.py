"""Lists of references too long for memory: sorted on their way into a store, and looked up on their way out.

Both lie in nameless temporary files, a line a reference as in `references.jsonl`. In memory are some lines at a time,
and where every so many of them begin.
"""

from __future__ import annotations

import heapq
import os
import threading
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from gitml.model.references import FILE, Reference, known_reference, parse_references, path_of, registrable
from gitml.store.place.folders import translated
from gitml.store.read.spool import nameless
from gitml.store.write.diskfile import BLOCK_BYTES as SOURCE_BLOCK_BYTES

_RUN_REFERENCES: Final = 16_384  # sorted in memory at a time
_GROUP_LINES: Final = 64  # read for one that is looked up
_STEP_BYTES: Final = 64 << 10
_WRITE_BYTES: Final = 4 << 20


class LinesSource:
    """`references.jsonl` on its way into a store, held in a nameless temporary file.

    Args:
        lines: Its lines.
        scratch: Folder for the temporary file; None is the system's.
    """

    def __init__(self, lines: Iterable[bytes], scratch: Path | None = None) -> None:
        self.path = FILE
        self.digest: bytes | None = None
        self.warnings: list[str] = []
        self._file = _Lines(scratch)
        for line in lines:
            self._file.add(line)
        self.size_bytes = self._file.flush()

    def files(self) -> Iterator[LinesSource]:
        """The one file, which is its own source."""
        yield self

    def totals(self) -> tuple[int, int]:
        """One file, and its bytes."""
        return 1, self.size_bytes

    def blocks(self) -> Iterator[memoryview]:
        """See :class:`gitml.store.write.source.SourceFile`."""
        for start in range(0, self.size_bytes, SOURCE_BLOCK_BYTES):
            yield memoryview(self._file.read(start, min(self.size_bytes, start + SOURCE_BLOCK_BYTES)))

    def close(self) -> None:
        """Let the temporary file go."""
        self._file.close()


class SortedReferences:
    """References in the order in which they are found, and their lines in the order of their paths.

    Args:
        scratch: Folder for the temporary file; None is the system's.
    """

    def __init__(self, scratch: Path | None = None) -> None:
        self._file = _Lines(scratch)
        self._waiting: list[tuple[bytes, bytes]] = []
        self._runs: list[int] = []  # where each begins
        self._last = b""

    def add(self, reference: Reference) -> None:
        """One more.

        Raises:
            InvalidInput: It says what no reader would accept.
        """
        self._waiting.append((reference.path.encode("utf-8", "surrogatepass"), reference.line()))
        if len(self._waiting) == _RUN_REFERENCES:
            self._write_waiting()

    def _write_waiting(self) -> None:
        if not self._waiting:
            return
        self._waiting.sort()
        if not self._runs or self._waiting[0][0] < self._last:
            self._runs.append(self._file.size_bytes)
        for _, line in self._waiting:
            self._file.add(line)
        self._last = self._waiting[-1][0]
        self._waiting.clear()

    def lines(self) -> Iterator[bytes]:
        """Their lines; none may be added any more.

        Raises:
            InvalidInput: A path may not be registered, or two of them cannot lie in one folder.
        """
        self._write_waiting()
        ends = [*self._runs[1:], self._file.flush()]
        runs = [self._file.lines(start, end) for start, end in zip(self._runs, ends, strict=False)]
        in_order = runs[0] if len(runs) == 1 else heapq.merge(*runs, key=_sort_key)
        return registrable(in_order)

    def close(self) -> None:
        """Let the temporary file go."""
        self._file.close()


class ReferenceList:
    """What a version refers to, in path order; safe to use from several threads.

    Args:
        lines: Lines of `references.jsonl`.
        label: Names it in messages.
        scratch: Folder for the temporary file; None is the system's.
        judge: Raises where a reference may not be used.

    Raises:
        InvalidInput: They are not exactly what is written.
    """

    def __init__(
        self,
        lines: Iterable[bytes],
        *,
        label: str = FILE,
        scratch: Path | None = None,
        judge: Callable[[Reference], None] | None = None,
    ) -> None:
        self.size_bytes = 0
        self._count = 0
        self._file = _Lines(scratch)
        self._paths: list[bytes] = []  # of the first reference of each group
        self._starts: list[int] = []
        self._lock = threading.Lock()
        self._group: tuple[int, dict[str, Reference]] = (-1, {})
        for reference in parse_references(self._kept(lines), label=label):
            if judge is not None:
                judge(reference)
            if self._count % _GROUP_LINES == 0:
                self._paths.append(reference.path.encode())
                self._starts.append(self._began)
            self._count += 1
            self.size_bytes += reference.size_bytes
        self._starts.append(self._file.flush())

    def _kept(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            self._began = self._file.size_bytes
            self._file.add(line)
            yield line

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Reference]:
        return map(known_reference, self._file.lines(0, self._starts[-1]))

    def find(self, path: str) -> Reference | None:
        """The reference of a path; those of one path after the other cost little."""
        number = bisect_right(self._paths, path.encode("utf-8", "surrogatepass")) - 1
        if number < 0:
            return None
        with self._lock:
            if self._group[0] != number:
                lines = self._file.lines(self._starts[number], self._starts[number + 1])
                self._group = (number, {one.path: one for one in map(known_reference, lines)})
            return self._group[1].get(path)


class _Lines:
    """Lines in a nameless temporary file, which goes with them, or when `close` is called."""

    def __init__(self, folder: Path | None) -> None:
        self.size_bytes = 0
        self._file = nameless(folder)
        self._block = bytearray()
        self.close = weakref.finalize(self, self._file.close)

    def add(self, line: bytes) -> None:
        self._block += line
        self.size_bytes += len(line)
        if len(self._block) >= _WRITE_BYTES:
            self.flush()

    def flush(self) -> int:
        """Write what was added; the size of the file."""
        write_all(self._file.fileno(), self._block)
        self._block = bytearray()
        return self.size_bytes

    def read(self, start: int, end: int) -> bytes:
        return os.pread(self._file.fileno(), end - start, start)

    def lines(self, start: int, end: int) -> Iterator[bytes]:
        """Lines between two places where lines begin."""
        rest = b""
        for position in range(start, end, _STEP_BYTES):
            *lines, rest = (rest + self.read(position, min(end, position + _STEP_BYTES))).split(b"\n")
            for line in lines:
                yield line + b"\n"


def _sort_key(line: bytes) -> bytes:
    return path_of(line).encode()


def write_all(descriptor: int, block: bytes | bytearray) -> None:
    """Write a block to a temporary file.

    Raises:
        NoSpace: There is no room for it.
    """
    view = memoryview(block)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise translated(error, "a temporary file", "write") from error
