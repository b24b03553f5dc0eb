"""Segments: runs of file entries, in path order.

A segment ends after an entry whose path hashes to 14 zero bits, at 65,536 entries, or at 16 MiB of
sha256sum lines. So its bounds depend on paths alone: a local change rewrites one segment, and repacking
moves none.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    runs: list[list[tuple[wire.Count, wire.Count, wire.Count]]]
    packs: list[tuple[bytes, wire.Count, wire.Count]]


class _Written(wire.Envelope):
    """The same on the way out: the columns that would be many objects are encoded already."""

    salt: bytes
    path: Sequence[str]
    size: msgspec.Raw
    sha: bytes
    runs: msgspec.Raw
    packs: list[tuple[bytes, int, int]]


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


def encode_segment(segment: Segment) -> wire.StoredObject:
    """The stored bytes of a segment, and its id; equal segments give equal bytes."""
    table = _Written(
        v=wire.VERSION,
        f=[],
        salt=segment.salt,
        path=segment.paths,
        size=wire.encode_list(segment.sizes),
        sha=segment.shas,
        runs=wire.encode_list(segment.runs),
        packs=[(pack.id, pack.size_bytes, pack.footer_bytes) for pack in segment.packs],
    )
    return wire.stored(codec.compress_table(wire.encode(table)))


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
    known = len(packs)
    for runs in table.runs:
        for pack, first, chunks in runs:
            if pack >= known or not 0 < chunks <= PACK_LIMIT_CHUNKS - first:
                raise wire.malformed(what, "a run lies outside of its pack")
    return Segment(
        paths=table.path,
        sizes=array("Q", table.size),
        shas=table.sha,
        runs=Runs(table.runs),
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
