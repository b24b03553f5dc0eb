"""What a bulk read wants of each pack, and how that is cut into slices that any worker may do."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from gitml.store.formats.pack import PackRef
from gitml.store.media import layout
from gitml.store.read.entries import FileEntry, Sink
from gitml.store.read.growing import Growing
from gitml.store.read.naming import damaged, naming
from gitml.store.read.packs import KnownFooter, PackBody, PackReader

_WHOLE_BYTES: Final = 2 << 20  # larger files are written in steps
_SLICE_BYTES: Final = 4 << 20
_SLICE_FILES: Final = 512
_STRIDE: Final = 5


class Located(Protocol):
    """An entry and where its chunks lie."""

    @property
    def entry(self) -> FileEntry: ...

    @property
    def runs(self) -> Sequence[tuple[PackRef, int, int]]: ...


@dataclass(slots=True)
class PackWork:
    """What is wanted of a pack, in pieces: the same run of each of several files that follow each other in it.

    Attributes:
        pieces: Number of the first file, number of the run in it, first chunk, chunks of each file, files; flat.
    """

    ref: PackRef
    pieces: array[int] = field(default_factory=lambda: array("I"))
    following: tuple[int, int, int, int] | None = None  # what would lengthen the last piece
    wanted_bytes: int = 0
    run_bytes: dict[tuple[int, int], int] = field(default_factory=dict)
    begun: bool = False
    ready: threading.Event = field(default_factory=threading.Event)

    def add(self, number: int, which: int, first: int, chunks: int) -> None:
        """Want one run of a file more."""
        if self.following == (number, which, first, chunks):
            self.pieces[-1] += 1
        else:
            self.pieces.extend((number, which, first, chunks, 1))
        self.following = (number + 1, which, first + chunks, chunks)

    def wanted(self) -> Iterator[tuple[int, int, int, int]]:
        """Each run: number of its file, its number in it, first chunk, number of chunks."""
        pieces = self.pieces
        for at in range(0, len(pieces), _STRIDE):
            number, which, first, chunks, files = pieces[at : at + _STRIDE]
            for _ in range(files):
                yield number, which, first, chunks
                number += 1
                first += chunks

    def runs(self) -> list[tuple[int, int]]:
        """What is wanted of the pack: first chunk and number of chunks."""
        pieces = self.pieces
        return [(pieces[at + 2], pieces[at + 3] * pieces[at + 4]) for at in range(0, len(pieces), _STRIDE)]


@dataclass(slots=True)
class Held:
    """A pack in memory, and how many slices of it are still to do."""

    body: PackBody
    size_bytes: int
    slices: int = 0


@dataclass(slots=True)
class Slice:
    """Work on chunks of one pack: whole files (file, first, chunks) or a part of one growing file."""

    held: Held
    files: list[tuple[int, int, int]] = field(default_factory=list)
    growing: Growing | None = None
    offset: int = 0
    first: int = 0
    chunks: int = 0


class Cutter:
    """All that a bulk read wants.

    Args:
        entries: The files.
        located: The same files, each with its place.
        label: Names the asset in errors.

    Attributes:
        works: What is wanted of each pack, in the order in which the files need them.
        empty: Files without a chunk.
        growing: Files that come in several steps, by their numbers.
        size_bytes: Of all files.
        error: What made the read fail; set by whoever runs it.
    """

    def __init__(
        self,
        packs: PackReader,
        entries: Sequence[FileEntry],
        located: Iterable[Located],
        sink: Sink,
        label: str,
    ) -> None:
        self._packs = packs
        self._entries = entries
        self._sink = sink
        self._label = label
        self._lock = threading.Lock()
        self._several: dict[int, Sequence[tuple[PackRef, int, int]]] = {}
        self._reached: dict[int, tuple[int, int]] = {}
        self._by_id: dict[bytes, PackWork] = {}
        self.empty: list[FileEntry] = []
        self.growing: dict[int, Growing] = {}
        self.size_bytes = 0
        self.error: BaseException | None = None
        for number, one in enumerate(located):
            self.size_bytes += one.entry.size_bytes
            self._add(number, one)

    @property
    def works(self) -> Collection[PackWork]:
        return self._by_id.values()

    def _add(self, number: int, one: Located) -> None:
        entry, runs = one.entry, one.runs
        if not runs:
            self.empty.append(entry)
            return
        if len(runs) > 1:
            self._several[number] = runs
        for which, (ref, first, chunks) in enumerate(runs):
            work = self._by_id.get(ref.id)
            if work is None:
                work = self._by_id[ref.id] = PackWork(ref)
            work.add(number, which, first, chunks)
            if len(runs) == 1:
                work.wanted_bytes += entry.size_bytes

    def cut(self, work: PackWork, held: Held) -> list[Slice]:
        """All that is wanted of a pack, which is in memory now.

        Raises:
            IntegrityError: The pack does not hold what the manifest says.
        """
        slices: list[Slice] = []
        current, current_bytes = Slice(held), 0
        known, chunks_known = held.body.known, held.body.known.footer.chunks
        for number, which, first, chunks in work.wanted():
            entry = self._entries[number]
            if first + chunks > chunks_known:
                raise damaged("a run lies outside of its pack", self._label, held.body.name, entry.path)
            size = known.raw_bytes(first, chunks)
            if number not in self._several and size != entry.size_bytes:
                raise self._wrong_size(entry, size, held)
            if number in self._several or size > _WHOLE_BYTES:
                slices.extend(self._cut_growing(number, which, (work.ref, first, chunks), held))
                continue
            current.files.append((number, first, chunks))
            current_bytes += size
            if current_bytes >= _SLICE_BYTES or len(current.files) >= _SLICE_FILES:
                slices.append(current)
                current, current_bytes = Slice(held), 0
        if current.files:
            slices.append(current)
        return slices

    def _cut_growing(self, number: int, which: int, run: tuple[PackRef, int, int], held: Held) -> list[Slice]:
        _, first, chunks = run
        entry, known = self._entries[number], held.body.known
        offset = self._offset(number, which)
        runs = self._several.get(number)
        size = known.raw_bytes(first, chunks)
        last = runs is None or which == len(runs) - 1
        if offset + size > entry.size_bytes or (last and offset + size != entry.size_bytes):
            raise self._wrong_size(entry, offset + size, held)
        with self._lock:
            growing = self.growing.get(number)
            if growing is None:
                growing = self.growing[number] = Growing(entry, self._sink.begin(entry), runs or (run,))
        slices: list[Slice] = []
        begin, end = first, first + chunks
        while begin < end:
            stop, size = begin, 0
            while stop < end and (size == 0 or size < _SLICE_BYTES):
                size += known.footer.raw[stop]
                stop += 1
            slices.append(Slice(held, growing=growing, offset=offset, first=begin, chunks=stop - begin))
            offset += size
            begin = stop
        return slices

    def measure(self, work: PackWork, known: KnownFooter, name: str) -> None:
        """Note how long the runs of files in several runs are."""
        if not self._several:
            return
        chunks_known = known.footer.chunks
        for number, which, first, chunks in work.wanted():
            if number in self._several:
                if first + chunks > chunks_known:
                    raise damaged(
                        "a run lies outside of its pack", self._label, name, self._entries[number].path
                    )
                work.run_bytes[number, which] = known.raw_bytes(first, chunks)

    def _offset(self, number: int, which: int) -> int:
        """Where a run's bytes begin in its file; the packs of the runs before it say how long those are."""
        runs = self._several.get(number)
        if runs is None or not which:
            return 0
        at, offset = self._reached.get(number, (0, 0))
        if at > which:
            at, offset = 0, 0
        for step in range(at, which):
            offset += self._run_bytes(number, step, runs[step][0])
        self._reached[number] = (which, offset)
        return offset

    def _run_bytes(self, number: int, which: int, ref: PackRef) -> int:
        work = self._by_id[ref.id]
        if work.begun:
            work.ready.wait()
        known = work.run_bytes.get((number, which))
        if known is None:
            if self.error is not None:
                raise self.error
            name = layout.pack_name(ref.hex)
            with naming(self._label, name, self._entries[number].path):
                self.measure(work, self._packs.footer(ref), name)
            known = work.run_bytes[number, which]
        return known

    def _wrong_size(self, entry: FileEntry, size_bytes: int, held: Held) -> Exception:
        return damaged(
            f"its chunks have {size_bytes} bytes, {entry.size_bytes} were registered",
            self._label,
            held.body.name,
            entry.path,
            code="file-size",
        )
