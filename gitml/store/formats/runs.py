"""The runs of many files in flat columns: some 16 bytes for a file with one run, where a list of tuples takes 200."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

Run = tuple[int, int, int]
"""Number of a pack, first chunk, number of chunks."""


class Runs(Sequence[Sequence[Run]]):
    """A list of the runs of each file; files are added at its end."""

    __slots__ = ("_chunks", "_ends", "_firsts", "_packs")

    def __init__(self, files: Iterable[Sequence[Run]] = ()) -> None:
        self._packs = array("I")
        self._firsts = array("I")
        self._chunks = array("I")
        self._ends = array("I")
        self.extend(files)

    def extend(self, files: Iterable[Sequence[Run]]) -> None:
        """Add the runs of the next files."""
        for runs in files:
            self.append(runs)

    def append(self, runs: Sequence[Run]) -> None:
        """Add the runs of the next file."""
        for pack, first, chunks in runs:
            self._packs.append(pack)
            self._firsts.append(first)
            self._chunks.append(chunks)
        self._ends.append(len(self._packs))

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[Sequence[Run]]:
        begin = 0
        for end in self._ends:
            yield self._between(begin, end)
            begin = end

    @overload
    def __getitem__(self, number: int) -> Sequence[Run]: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Sequence[Run]]: ...
    def __getitem__(self, number: int | slice) -> Sequence[Run] | Sequence[Sequence[Run]]:
        if isinstance(number, slice):
            return [self[at] for at in range(*number.indices(len(self)))]
        end = self._ends[number]
        at = number if number >= 0 else number + len(self._ends)
        return self._between(self._ends[at - 1] if at else 0, end)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Runs) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # files are added

    def _between(self, begin: int, end: int) -> Sequence[Run]:
        if end - begin == 1:
            return [(self._packs[begin], self._firsts[begin], self._chunks[begin])]
        return list(
            zip(self._packs[begin:end], self._firsts[begin:end], self._chunks[begin:end], strict=True)
        )
