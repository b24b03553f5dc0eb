"""Segments: runs of file entries, in path order.

A segment ends after an entry whose path hashes to 14 zero bits, at 65,536 entries, or at 16 MiB of
sha256sum lines. So its bounds depend on paths alone: a local change rewrites one segment, and repacking
moves none.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import msgspec

from gitml.model.digest import sum_line
from gitml.store.formats import codec, wire
from gitml.store.formats.pack import PACK_LIMIT_BYTES, PACK_LIMIT_CHUNKS, TAIL_BYTES, PackRef
from gitml.store.formats.runs import Run, Runs
from gitml.store.media.medium import Buffer

SEGMENT_LIMIT_ENTRIES = 65_536
SEGMENT_LIMIT_LINE_BYTES = 16 * 1024 * 1024
_BOUNDARY_SHIFT = 32 - 14
_BLOCK_ENTRIES = 1024


class _Wire(wire.Envelope):
    salt: bytes
    path: list[str]
    size: list[wire.Count]
    sha: bytes
    runs: list[msgspec.Raw]
    packs: list[tuple[bytes, wire.Count, wire.Count]]


_FileRuns = list[tuple[wire.Count, wire.Count, wire.Count]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """File entries, column by column, and the packs that hold them; runs name packs by their numbers in `packs`."""

    paths: Sequence[str]
    sizes: Sequence[int]
    shas: bytes
    runs: Sequence[Sequence[Run]]
    packs: Sequence[PackRef]
    salt: bytes = b""

    def sha(self, number: int) -> bytes:
        """Digest of a file by its number."""
        return self.shas[number * wire.DIGEST_BYTES : (number + 1) * wire.DIGEST_BYTES]

    def lines(self) -> Iterator[bytes]:
        """The sha256sum lines, in blocks of many."""
        for start in range(0, len(self.paths), _BLOCK_ENTRIES):
            block = enumerate(self.paths[start : start + _BLOCK_ENTRIES], start)
            yield b"".join([sum_line(path, self.sha(number)) for number, path in block])

    def logical_digest(self) -> bytes:
        """SHA-256 of the sha256sum lines: what the segment says, however it is laid out."""
        hasher = hashlib.sha256()
        for block in self.lines():
            hasher.update(block)
        return hasher.digest()


def ends_segment(path: str) -> bool:
    """Whether a segment ends after the entry with that path."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "big") >> _BOUNDARY_SHIFT == 0


class SegmentBuilder:
    """Takes the entries of a segment one by one, nearly as they are stored: some 70 bytes each.

    Attributes:
        first_path, entries, size_bytes: What the manifest says of the segment.
        packs: The packs that its runs name, each with its number in the segment; a key is whatever the caller has
            for a pack.
    """

    __slots__ = ("_paths", "_runs", "_shas", "_sizes", "entries", "first_path", "packs", "size_bytes")

    def __init__(self) -> None:
        self.first_path = ""
        self.entries = 0
        self.size_bytes = 0
        self.packs: dict[int, int] = {}
        self._paths = wire.ListEncoder()
        self._sizes = wire.ListEncoder()
        self._shas = bytearray()
        self._runs = wire.ListEncoder()

    def add(self, path: str, size_bytes: int, sha: bytes, runs: Iterable[Run]) -> None:
        """Add a file; its runs name packs by their keys."""
        if not self.entries:
            self.first_path = path
        self.entries += 1
        self.size_bytes += size_bytes
        self._paths.append(path)
        self._sizes.append(size_bytes)
        self._shas += sha
        packs = self.packs
        self._runs.append([(packs.setdefault(key, len(packs)), first, chunks) for key, first, chunks in runs])

    def encode(self, packs: Sequence[PackRef], salt: bytes = b"") -> wire.StoredObject:
        """The stored bytes of the segment, and its id; equal segments give equal bytes.

        Args:
            packs: Those of `self.packs`, in that order.
            salt: Gives the segment another name.
        """
        table = {
            "v": wire.VERSION,
            "f": [],
            "salt": salt,
            "path": self._paths,
            "size": self._sizes,
            "sha": self._shas,
            "runs": self._runs,
            "packs": [(pack.id, pack.size_bytes, pack.footer_bytes) for pack in packs],
        }
        return wire.stored(codec.compress_table(wire.encode_map(table)))


def encode_segment(segment: Segment) -> wire.StoredObject:
    """See :class:`SegmentBuilder`."""
    builder = SegmentBuilder()
    builder.packs = {number: number for number in range(len(segment.packs))}
    for number, (path, size_bytes, runs) in enumerate(
        zip(segment.paths, segment.sizes, segment.runs, strict=True)
    ):
        builder.add(path, size_bytes, segment.sha(number), runs)
    return builder.encode(segment.packs, segment.salt)


def decode_segment(data: Buffer, segment_id: bytes | None, what: str) -> Segment:
    """Read a segment; its logical digest and its paths are the caller's to judge.

    Raises:
        IntegrityError: It is not that segment, or not well-formed.
        InvalidInput: It needs a newer GitML.
    """
    wire.check_id(data, segment_id, what)
    table = wire.decode(codec.decompress(data, codec.SEGMENT_LIMIT_BYTES, what), _Wire, what)
    count = len(table.path)
    if not 0 < count <= SEGMENT_LIMIT_ENTRIES:
        raise wire.malformed(what, f"it has {count} entries")
    if len(table.size) != count or len(table.runs) != count or len(table.sha) != count * wire.DIGEST_BYTES:
        raise wire.malformed(what, "its columns differ in length")
    packs = [_pack_ref(*row, what) for row in table.packs]
    runs = Runs()
    for block in wire.decode_items(table.runs, _FileRuns, what):
        for pack, first, chunks in chain.from_iterable(block):
            if pack >= len(packs) or not 0 < chunks <= PACK_LIMIT_CHUNKS - first:
                raise wire.malformed(what, "a run lies outside of its pack")
        runs.extend(block)
    return Segment(
        paths=table.path,
        sizes=array("Q", table.size),
        shas=table.sha,
        runs=runs,
        packs=packs,
        salt=table.salt,
    )


def _pack_ref(pack_id: bytes, size_bytes: int, footer_bytes: int, what: str) -> PackRef:
    if (
        len(pack_id) != wire.DIGEST_BYTES
        or footer_bytes + TAIL_BYTES > size_bytes
        or size_bytes > PACK_LIMIT_BYTES
    ):
        raise wire.malformed(what, "a row of its table of packs makes no sense")
    return PackRef(id=pack_id, size_bytes=size_bytes, footer_bytes=footer_bytes)
