"""What a write need not store again.

Asked in this order: chunks that this process wrote; files with the same digest in an earlier tree; chunks
of the packs that hold the earlier version of the same path; packs that an interrupted write left durable.
Each memory is bounded, since a missed duplicate costs space and never correctness.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from gitml.store.formats.manifest import Manifest, decode_manifest
from gitml.store.formats.pack import Footer, PackRef
from gitml.store.formats.root import Root
from gitml.store.formats.segment import Segment, decode_segment
from gitml.store.media import layout
from gitml.store.media.medium import Medium

PackRun = tuple[PackRef, int, int]
"""Pack, first chunk, number of chunks."""

_KNOWN_CHUNKS = 200_000
_INDEXED_FILES = 100_000
_WINDOW_CHUNKS = 65_536
_SEGMENTS_KEPT = 2
LARGE_BYTES = 4 * 1024 * 1024
"""Files over this size are read block by block, and hashed first where the earlier tree has one of their size."""


class KnownChunks:
    """The chunks met last, and where they are: about the last 200,000."""

    def __init__(self, limit: int = _KNOWN_CHUNKS) -> None:
        self._half = limit // 2
        self._young = _Places()
        self._old = _Places()

    def get(self, chunk_id: bytes) -> int | None:
        """What was remembered of a chunk."""
        place = self._young.get(chunk_id)
        return self._old.get(chunk_id) if place is None and self._old else place

    def add(self, chunk_id: bytes, place: int) -> None:
        """Remember a chunk, and let go of the oldest."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, _Places()
        self._young.add(chunk_id, place)


class _Places:
    """Chunk ids and places in arrays: some 50 bytes a chunk, where a dictionary takes 200."""

    __slots__ = ("_ids", "_mask", "_places", "_slots")

    def __init__(self) -> None:
        self._ids = bytearray()
        self._places = array("Q")
        self._resize(1024)

    def __len__(self) -> int:
        return len(self._places)

    def get(self, chunk_id: bytes) -> int | None:
        number = self._slots[self._slot(chunk_id)]
        return self._places[number - 1] if number else None

    def add(self, chunk_id: bytes, place: int) -> None:
        slot = self._slot(chunk_id)
        if self._slots[slot]:
            self._places[self._slots[slot] - 1] = place
            return
        self._ids += chunk_id
        self._places.append(place)
        self._slots[slot] = len(self._places)
        if len(self._places) * 2 > self._mask:
            self._resize(4 * (self._mask + 1))

    def _slot(self, chunk_id: bytes) -> int:
        """Where the chunk is, or the free slot where it belongs; ids are digests, so any of their bits will do."""
        slot = int.from_bytes(chunk_id[:4], "little") & self._mask
        while (number := self._slots[slot]) and self._ids[32 * number - 32 : 32 * number] != chunk_id:
            slot = (slot + 1) & self._mask
        return slot

    def _resize(self, slots: int) -> None:
        self._mask = slots - 1
        self._slots = array("I", bytes(4 * slots))
        for number in range(1, len(self._places) + 1):
            self._slots[self._slot(bytes(self._ids[32 * number - 32 : 32 * number]))] = number


class _Digests:
    """Which entry of a tree has a digest, in one sorted array of 8 bytes an entry.

    A number holds 40 bits of the digest over 24 bits that say which entry: a hint, for the segment has the
    whole digest.
    """

    __slots__ = ("_sorted",)

    def __init__(self, digests: Iterator[bytes]) -> None:
        numbers = array("Q")
        for entry, sha in enumerate(digests):
            numbers.append(int.from_bytes(sha[:5], "big") << 24 | entry)
        self._sorted = array("Q", sorted(numbers))

    def find(self, sha: bytes) -> Iterator[int]:
        """Numbers of the entries that may have that digest."""
        low = int.from_bytes(sha[:5], "big") << 24
        at = bisect_left(self._sorted, low)
        while at < len(self._sorted) and self._sorted[at] < low + (1 << 24):
            yield self._sorted[at] & 0xFFFFFF
            at += 1


class EarlierTree:
    """A tree that a root names, as a source of whole files.

    Args:
        medium: The store's.
        root: As it stands in the store.
        condemned: Names of objects that must not be used any more.

    Raises:
        NotFound: An object is missing.
        IntegrityError: An object is damaged.
    """

    def __init__(self, medium: Medium, root: Root, condemned: Collection[str] = ()) -> None:
        self._medium = medium
        self._condemned = condemned
        name = layout.manifest_name(root.manifest)
        self._manifest: Manifest = decode_manifest(medium.get(name), bytes.fromhex(root.manifest), name)
        self._firsts = [row.first_path for row in self._manifest.rows]
        self._recent: OrderedDict[int, Segment] = OrderedDict()
        self._starts: list[int] = []
        self._large: set[int] = set()
        self.segments: dict[bytes, bytes] = {}
        """Logical digest and id of each segment object that may be named again."""
        digests = self._read()
        self._digests = _Digests(islice(digests, _INDEXED_FILES))
        deque(digests, maxlen=0)  # the rest is noted, and its digests let go

    def find(self, path: str, size_bytes: int, sha: bytes) -> list[PackRun] | None:
        """Where a file of that digest lies; the one at the same path first."""
        place = self._at(path)
        if place is not None:
            segment, entry = place
            if segment.sha(entry) == sha and segment.sizes[entry] == size_bytes:
                return self._usable(segment, entry)
        for number in self._digests.find(sha):
            which = bisect_right(self._starts, number) - 1
            segment, entry = self._segment(which), number - self._starts[which]
            if segment.sha(entry) == sha and segment.sizes[entry] == size_bytes:
                return self._usable(segment, entry)
        return None

    def packs_of(self, path: str) -> list[PackRef]:
        """The packs that hold the file at a path, in the order of its bytes."""
        place = self._at(path)
        if place is None:
            return []
        segment, entry = place
        packs = dict.fromkeys(segment.packs[number] for number, _, _ in segment.runs[entry])
        return [pack for pack in packs if layout.pack_name(pack.hex) not in self._condemned]

    def may_hold(self, size_bytes: int) -> bool:
        """Whether a large file of that size is there; it may then be the same file."""
        return size_bytes in self._large

    def _read(self) -> Iterator[bytes]:
        """Go through all entries once, and note what is asked for later; their digests."""
        entries = 0
        for number, row in enumerate(self._manifest.rows):
            segment = self._segment(number)
            self._starts.append(entries)
            entries += len(segment.sizes)
            name = layout.segment_name(row.segment_id.hex())
            usable = all(layout.pack_name(pack.hex) not in self._condemned for pack in segment.packs)
            if usable and self._manifest.embedded is None and name not in self._condemned:
                self.segments[row.logical] = row.segment_id
            self._large.update(size for size in segment.sizes if size > LARGE_BYTES)
            yield from map(segment.sha, range(len(segment.sizes)))
            self._recent.clear()

    def _at(self, path: str) -> tuple[Segment, int] | None:
        number = bisect_right(self._firsts, path) - 1
        if number < 0:
            return None
        segment = self._segment(number)
        entry = bisect_right(segment.paths, path) - 1
        return (segment, entry) if entry >= 0 and segment.paths[entry] == path else None

    def _segment(self, number: int) -> Segment:
        if number in self._recent:
            self._recent.move_to_end(number)
            return self._recent[number]
        segment_id = self._manifest.rows[number].segment_id
        name = layout.segment_name(segment_id.hex())
        embedded = self._manifest.embedded
        data = self._medium.get(name) if embedded is None else embedded
        while len(self._recent) >= _SEGMENTS_KEPT:  # first, for decoding takes as much again
            self._recent.popitem(last=False)
        segment = self._recent[number] = decode_segment(data, segment_id, name)
        return segment

    def _usable(self, segment: Segment, entry: int) -> list[PackRun] | None:
        runs = [(segment.packs[pack], first, chunks) for pack, first, chunks in segment.runs[entry]]
        if self._condemned and any(layout.pack_name(pack.hex) in self._condemned for pack, _, _ in runs):
            return None
        return runs


@dataclass(slots=True)
class _OpenPack:
    """A pack of a window: number of each chunk, and when one of them was found last."""

    pack: PackRef
    numbers: dict[bytes, int]
    found: int = 0


class PackWindow:
    """Chunks of a long series of packs, of which a part that moves on with the matches is looked at.

    A file that has grown often has its middle in packs that were written late, which hold its end, too. So what was
    passed stays, and goes only where there is no more room: of the packs before the present one that which gave
    nothing for longest.

    Args:
        packs: In the order in which their chunks are expected.
        footer: Reads the footer of a pack; None where the pack must not be used.
    """

    def __init__(self, packs: Sequence[PackRef], footer: Callable[[PackRef], Footer | None]) -> None:
        self._packs = packs
        self._footer = footer
        self._next = 0
        self._open: list[_OpenPack] = []
        self._chunks = 0
        self._latest = 0
        self._moves = 0

    def find(self, chunk_id: bytes) -> tuple[PackRef, int] | None:
        """Pack and number of a chunk."""
        if not self._packs:
            return None
        if self._open and (number := self._open[self._latest].numbers.get(chunk_id)) is not None:
            return self._open[self._latest].pack, number
        position = 0
        while position < len(self._open) or self._load():
            held = self._open[position]
            if (number := held.numbers.get(chunk_id)) is not None:
                self._move(position)
                return held.pack, number
            position += 1
        return None

    def _load(self) -> bool:
        while self._chunks < _WINDOW_CHUNKS and self._next < len(self._packs):
            pack = self._packs[self._next]
            self._next += 1
            footer = self._footer(pack)
            if footer is not None:
                numbers = {footer.id(number): number for number in range(footer.chunks)}
                self._open.append(_OpenPack(pack, numbers))
                self._chunks += footer.chunks
                return True
        return False

    def _move(self, position: int) -> None:
        """A chunk was found in another pack than the last one; where the window is full, it moves on."""
        self._moves += 1
        self._open[self._latest].found = self._open[position].found = self._moves
        self._latest = position
        while self._chunks >= _WINDOW_CHUNKS and self._latest > 1:
            longest = min(range(self._latest), key=lambda at: self._open[at].found)
            self._chunks -= len(self._open.pop(longest).numbers)
            self._latest -= 1
