"""What trees want of packs: for each pack the runs of its chunks, the files they make, and where those are listed.

Some 60 bytes for each file, however it is called; versions that share a segment count once.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from gitml.errors import GitMLError
from gitml.store.care.coverage import piece
from gitml.store.care.faults import Fault
from gitml.store.formats.pack import PackRef
from gitml.store.formats.root import Root
from gitml.store.media.medium import Medium
from gitml.store.read.handle import Run
from gitml.store.read.naming import damaged
from gitml.store.read.reader import TreeReader

_DIGEST_BYTES: Final = 32
_SPAN: Final = 4


@dataclass(slots=True)
class Unit:
    """A segment: where it is listed first, and whom it serves."""

    root: Root
    number: int
    labels: list[str]


@dataclass(slots=True)
class ScatteredFile:
    """A file whose chunks lie in several runs."""

    unit: int
    entry: int
    size_bytes: int
    digest: bytes
    runs: list[Run]


@dataclass(slots=True)
class WantedPack:
    """What is wanted of one pack.

    Attributes:
        place: Sorts packs so that files meet theirs in order: a path, and the chunks of that file before.
        where: Unit and entry of each file that is one run of this pack.
        runs: First chunk and number of chunks of each.
        sizes: Its size.
        digests: Its digest.
        spans: First chunk, number of chunks, scattered file and number of the run in it, of runs of other files.
        spans_bytes: About how many bytes those are.
    """

    ref: PackRef
    place: tuple[str, int]
    where: array[int] = field(default_factory=lambda: array("I"))
    runs: array[int] = field(default_factory=lambda: array("I"))
    sizes: array[int] = field(default_factory=lambda: array("Q"))
    digests: bytearray = field(default_factory=bytearray)
    spans: array[int] = field(default_factory=lambda: array("I"))
    spans_bytes: int = 0

    @property
    def name(self) -> str:
        """What all of this is called in a record of what was read, in whatever order it was added."""
        rows = {
            b"%d %d %d " % (first, chunks, self.sizes[number]) + self.digest(number)
            for number, first, chunks in self.files()
        }
        rows |= {b"%d %d" % (first, chunks) for first, chunks, _, _ in self.parts()}
        return piece(self.ref.id, *sorted(rows))

    def files(self) -> Iterator[tuple[int, int, int]]:
        """Number, first chunk and number of chunks of each file that is one run."""
        for number in range(len(self.sizes)):
            yield number, self.runs[2 * number], self.runs[2 * number + 1]

    def digest(self, number: int) -> bytes:
        """Digest of a file by its number."""
        return bytes(self.digests[number * _DIGEST_BYTES : (number + 1) * _DIGEST_BYTES])

    def parts(self) -> Iterator[tuple[int, int, int, int]]:
        """First chunk, number of chunks, scattered file and number of the run in it."""
        for at in range(0, len(self.spans), _SPAN):
            first, chunks, file, run = self.spans[at : at + _SPAN]
            yield first, chunks, file, run

    def all_runs(self) -> list[tuple[int, int]]:
        """Every run that anything wants, those that touch or overlap joined."""
        found = [(first, chunks) for _, first, chunks in self.files()]
        found += [(first, chunks) for first, chunks, _, _ in self.parts()]
        return joined(found)

    @property
    def wanted_bytes(self) -> int:
        """About how many bytes are wanted."""
        return sum(self.sizes) + self.spans_bytes


def joined(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs in order, those that touch or overlap as one."""
    found: list[tuple[int, int]] = []
    for first, chunks in sorted(runs):
        if found and first <= found[-1][0] + found[-1][1]:
            start = found[-1][0]
            found[-1] = (start, max(start + found[-1][1], first + chunks) - start)
        else:
            found.append((first, chunks))
    return found


def _merged(runs: list[Run]) -> list[Run]:
    """Runs with those joined that follow each other in one pack."""
    found = runs[:1]
    for ref, first, chunks in runs[1:]:
        before, start, count = found[-1]
        if before.id == ref.id and start + count == first:
            found[-1] = (ref, start, count + chunks)
        else:
            found.append((ref, first, chunks))
    return found


class Wanted:
    """What some trees of one store want."""

    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self._known: dict[bytes, int] = {}
        self._units: list[Unit] = []
        self._shown: tuple[int, Sequence[str]] = (-1, ())
        self.packs: dict[bytes, WantedPack] = {}
        self.scattered: list[ScatteredFile] = []

    def add(self, reader: TreeReader, number: int) -> list[Fault]:
        """Add the files of a segment, which the reader has checked; files that say nonsense are told."""
        segment_id = reader.rows[number].segment_id
        known = self._known.get(segment_id)
        if known is not None:
            if reader.label not in self._units[known].labels:
                self._units[known].labels.append(reader.label)
            return []
        unit = self._known[segment_id] = len(self._units)
        self._units.append(Unit(reader.root, number, [reader.label]))
        segment = reader.segment(number)
        empty: list[Fault] = []
        for entry, runs in enumerate(segment.runs):
            path, size, sha = segment.paths[entry], segment.sizes[entry], segment.sha(entry)
            if not runs and (size or sha != hashlib.sha256().digest()):
                name = reader.segment_name(number)
                error = damaged("the segment names no chunks for it", reader.label, name, path)
                empty.append(Fault(object=name, path=path, problem=error.message, label=reader.label))
            found = _merged([(segment.packs[pack], first, chunks) for pack, first, chunks in runs])
            if len(found) == 1:
                ref, first, chunks = found[0]
                pack = self._pack(ref, path, 0)
                pack.where.extend((unit, entry))
                pack.runs.extend((first, chunks))
                pack.sizes.append(size)
                pack.digests += sha
            elif found:
                self._scatter(ScatteredFile(unit, entry, size, sha, found), path)
        return empty

    def _scatter(self, file: ScatteredFile, path: str) -> None:
        before, all_chunks = 0, sum(chunks for _, _, chunks in file.runs)
        for run, (ref, first, chunks) in enumerate(file.runs):
            pack = self._pack(ref, path, before)
            pack.spans.extend((first, chunks, len(self.scattered), run))
            pack.spans_bytes += file.size_bytes * chunks // all_chunks
            before += chunks
        self.scattered.append(file)

    def _pack(self, ref: PackRef, path: str, before: int) -> WantedPack:
        pack = self.packs.get(ref.id)
        if pack is None:
            pack = self.packs[ref.id] = WantedPack(ref, (path, before))
        elif (path, before) < pack.place:
            pack.place = (path, before)
        return pack

    # -- for people

    def users(self, pack: WantedPack) -> list[tuple[str, str | None]]:
        """Each asset that wants something of a pack, and a file of it that does."""
        found: dict[str, str | None] = {}
        for at in range(0, len(pack.where), 2):
            self._note_user(found, pack.where[at], pack.where[at + 1])
        for _, _, number, _ in pack.parts():
            file = self.scattered[number]
            self._note_user(found, file.unit, file.entry)
        return list(found.items())

    def _note_user(self, found: dict[str, str | None], unit: int, entry: int) -> None:
        for label in self._units[unit].labels:
            if label not in found:
                found[label] = self.path(unit, entry)

    def faults(self, unit: int, entry: int, object_name: str, problem: str, code: str) -> list[Fault]:
        """What is wrong with a file, for each asset that has it."""
        path = self.path(unit, entry)
        return [
            Fault(
                object=object_name,
                path=path,
                problem=damaged(problem, label, object_name, path, code=code).message,
                label=label,
            )
            for label in self._units[unit].labels
        ]

    def path(self, unit: int, entry: int) -> str | None:
        """Path of a file; None where its segment cannot be read any more."""
        if self._shown[0] != unit:
            one = self._units[unit]
            try:
                paths = TreeReader(self._medium, one.root).segment(one.number).paths
            except GitMLError:
                return None
            self._shown = (unit, paths)
        return self._shown[1][entry]
