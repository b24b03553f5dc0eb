"""Lists too long for memory: the latest items are kept as they are, those before them in a nameless temporary file.

Items are structures of one kind that msgspec knows. They are written and read in blocks, so that an item takes about as
much time as in a list, and a few bytes of memory at most.
"""

from __future__ import annotations

import contextlib
import heapq
import io
import os
import tempfile
import threading
import weakref
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, overload

import msgspec

_BLOCK_ITEMS: Final = 512
_MOST_ITEMS: Final = 24_576  # in memory as they are
_KEPT_BLOCKS: Final = 16

_T = TypeVar("_T")


class Spool(Sequence[_T], Generic[_T]):
    """A list that items are added to at its end; read in order, or by number from several threads.

    Args:
        kind: What the items are.
        items: The first ones.
        folder: Where the temporary file goes; None, or a folder that cannot be written: where the system has them.
    """

    def __init__(self, kind: type[_T], items: Iterable[_T] = (), *, folder: Path | None = None) -> None:
        self._blocks = _Blocks(kind, folder)
        self._latest: list[_T] = []
        self._spilled = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, list[_T]] = OrderedDict()
        self.extend(items)

    def append(self, item: _T) -> None:
        """Add an item.

        Raises:
            OSError: There is no room for it.
        """
        self._latest.append(item)
        if len(self._latest) > _MOST_ITEMS:
            self._spill()

    def extend(self, items: Iterable[_T]) -> None:
        """Add items; see :meth:`append`."""
        rest = iter(items)
        while batch := list(islice(rest, _BLOCK_ITEMS)):
            self._latest += batch
            if len(self._latest) > _MOST_ITEMS:
                self._spill()

    def _spill(self) -> None:
        whole = len(self._latest) // _BLOCK_ITEMS * _BLOCK_ITEMS
        self._blocks.write(self._latest[:whole])
        del self._latest[:whole]
        self._spilled += whole

    def __len__(self) -> int:
        return self._spilled + len(self._latest)

    def __iter__(self) -> Iterator[_T]:
        for number in range(len(self._blocks)):
            yield from self._blocks.read(number)
        yield from self._latest

    @overload
    def __getitem__(self, number: int) -> _T: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[_T]: ...
    def __getitem__(self, number: int | slice) -> _T | Sequence[_T]:
        if isinstance(number, slice):
            return [self[at] for at in range(*number.indices(len(self)))]
        at = number if number >= 0 else number + len(self)
        if at >= self._spilled:
            return self._latest[at - self._spilled]
        return self._block(at // _BLOCK_ITEMS)[at % _BLOCK_ITEMS]

    def _block(self, number: int) -> list[_T]:
        with self._lock:
            block = self._kept.get(number)
            if block is None:
                block = self._kept[number] = self._blocks.read(number)
                if len(self._kept) > _KEPT_BLOCKS:
                    self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(number)
            return block


class Sorter(Generic[_T]):
    """Takes items in any order from several threads, and gives them back sorted.

    Args:
        kind: What the items are.
        key: What they are sorted by.
        folder: See :class:`Spool`.
    """

    def __init__(self, kind: type[_T], key: Callable[[_T], Any], *, folder: Path | None = None) -> None:
        self._blocks = _Blocks(kind, folder)
        self._key = key
        self._latest: list[_T] = []
        self._runs = [0]  # which block each sorted run begins with, and where the next one will
        self._lock = threading.Lock()

    def add(self, item: _T) -> None:
        """Take an item.

        Raises:
            OSError: There is no room for it.
        """
        with self._lock:
            self._latest.append(item)
            if len(self._latest) >= _MOST_ITEMS:
                self._blocks.write(sorted(self._latest, key=self._key))
                self._runs.append(len(self._blocks))
                self._latest.clear()

    def __iter__(self) -> Iterator[_T]:
        latest = sorted(self._latest, key=self._key)
        if len(self._runs) == 1:
            return iter(latest)
        runs = [self._run(*bounds) for bounds in zip(self._runs, self._runs[1:], strict=False)]
        return heapq.merge(*runs, latest, key=self._key)

    def _run(self, begin: int, end: int) -> Iterator[_T]:
        for number in range(begin, end):
            yield from self._blocks.read(number)


class _Blocks(Generic[_T]):
    """Blocks of items in a nameless temporary file."""

    def __init__(self, kind: type[_T], folder: Path | None) -> None:
        self._folder = folder
        self._decoder = msgspec.msgpack.Decoder(list[kind])  # type: ignore[valid-type]
        self._starts = array("Q", [0])
        self._file: io.FileIO | None = None

    def __len__(self) -> int:
        return len(self._starts) - 1

    def write(self, items: Sequence[_T]) -> None:
        """Add blocks; only the last one may have less than the usual number of items."""
        if self._file is None:
            self._file = nameless(self._folder)
            weakref.finalize(self, self._file.close)
        for start in range(0, len(items), _BLOCK_ITEMS):
            data = memoryview(msgspec.msgpack.encode(items[start : start + _BLOCK_ITEMS]))
            self._starts.append(self._starts[-1] + len(data))
            while data:
                data = data[self._file.write(data) :]

    def read(self, number: int) -> list[_T]:
        """A block; from any thread."""
        start, end = self._starts[number], self._starts[number + 1]
        data = b"" if self._file is None else os.pread(self._file.fileno(), end - start, start)
        return self._decoder.decode(data)


def nameless(folder: Path | None) -> io.FileIO:
    """A temporary file that is gone when it is closed; in the system's folder where its own cannot be written."""
    if folder is not None:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryFile(buffering=0, dir=folder)
    return tempfile.TemporaryFile(buffering=0)
