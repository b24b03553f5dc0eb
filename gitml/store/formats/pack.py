"""Packs: many chunks in one object.

`chunk payload…`, footer, length of the footer (u32, little endian), magic. The id of a pack is the SHA-256
of its footer, so whoever knows the id can authenticate each chunk in it, also when reading a range.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from gitml.store.formats import wire
from gitml.store.formats.codec import CHUNK_LIMIT_BYTES, Codec
from gitml.store.media.medium import Buffer

MAGIC = b"GITMLPK1"
TAIL_BYTES = 4 + len(MAGIC)
PACK_LIMIT_BYTES = 64 * 1024 * 1024
PACK_LIMIT_CHUNKS = 65_536
FOOTER_LIMIT_BYTES = 4 * 1024 * 1024

_LENGTH = struct.Struct("<I")


class _Wire(wire.Envelope):
    salt: bytes
    id: bytes
    raw: list[wire.Count]
    stored: list[wire.Count]
    codec: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRef:
    """Which pack, and enough of its layout to fetch the footer with one ranged read."""

    id: bytes
    size_bytes: int
    footer_bytes: int

    @property
    def hex(self) -> str:
        """The id as it stands in the pack's name."""
        return self.id.hex()

    @property
    def footer_range(self) -> tuple[int, int]:
        """Where the footer lies, [start, end)."""
        end = self.size_bytes - TAIL_BYTES
        return end - self.footer_bytes, end


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkPlace:
    """Where a chunk lies in its pack, and how."""

    id: bytes
    start: int
    stored_bytes: int
    raw_bytes: int
    codec: int

    @property
    def end(self) -> int:
        """End of the payload, exclusive."""
        return self.start + self.stored_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """The table of contents of a pack, column by column."""

    ids: bytes
    raw: Sequence[int]
    stored: Sequence[int]
    codecs: bytes
    starts: Sequence[int]
    salt: bytes = b""

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return len(self.codecs)

    @property
    def payload_bytes(self) -> int:
        """Where the footer begins in the pack."""
        return self.starts[-1]

    def id(self, number: int) -> bytes:
        """Id of a chunk by its number."""
        return self.ids[number * wire.DIGEST_BYTES : (number + 1) * wire.DIGEST_BYTES]

    def place(self, number: int) -> ChunkPlace:
        """Where a chunk lies, by its number."""
        return ChunkPlace(
            id=self.id(number),
            start=self.starts[number],
            stored_bytes=self.stored[number],
            raw_bytes=self.raw[number],
            codec=self.codecs[number],
        )


def encode_footer(
    ids: bytes, raw: Sequence[int], stored: Sequence[int], codecs: bytes, *, salt: bytes = b""
) -> wire.StoredObject:
    """The stored bytes of a footer, and the pack's id."""
    return wire.stored(
        wire.encode(
            _Wire(v=wire.VERSION, f=[], salt=salt, id=ids, raw=list(raw), stored=list(stored), codec=codecs)
        )
    )


def pack_tail(footer: bytes) -> bytes:
    """What follows the payload: footer, its length, magic."""
    return footer + _LENGTH.pack(len(footer)) + MAGIC


def decode_footer(data: Buffer, pack_id: bytes | None, what: str) -> Footer:
    """Read a footer.

    Args:
        data: The stored bytes of the footer alone.
        pack_id: The id it must have; None only where the id is not known yet.
        what: Names the pack in errors.

    Raises:
        IntegrityError: It is not the footer of that pack.
        InvalidInput: It needs a newer GitML.
    """
    wire.check_id(data, pack_id, what)
    if len(data) > FOOTER_LIMIT_BYTES:
        raise wire.malformed(what, f"its footer has {len(data)} bytes, {FOOTER_LIMIT_BYTES} are allowed")
    table = wire.decode(data, _Wire, what)
    count = len(table.codec)
    if not 0 < count <= PACK_LIMIT_CHUNKS:
        raise wire.malformed(what, f"it has {count} chunks")
    if len(table.id) != count * wire.DIGEST_BYTES or len(table.raw) != count or len(table.stored) != count:
        raise wire.malformed(what, "the columns of its footer differ in length")
    for codec in set(table.codec):
        if codec not in (Codec.RAW, Codec.ZSTD):
            raise wire.needs_newer(f"{what} uses codec {codec}", "the one that wrote it")
    if max(table.raw) > CHUNK_LIMIT_BYTES or min(table.raw) < 1:
        raise wire.malformed(what, "a chunk is empty or longer than allowed")
    if sum(table.stored) > PACK_LIMIT_BYTES:
        raise wire.malformed(what, "it is longer than allowed")
    return Footer(
        ids=table.id,
        raw=array("I", table.raw),
        stored=array("I", table.stored),
        codecs=table.codec,
        starts=array("I", accumulate(table.stored, initial=0)),
        salt=table.salt,
    )


def split_pack(data: Buffer, pack_id: bytes | None, what: str) -> tuple[memoryview, Footer]:
    """Payload and footer of a whole pack.

    Raises:
        IntegrityError: It is no whole pack, or another one.
        InvalidInput: It needs a newer GitML.
    """
    view = memoryview(data)
    if len(view) < TAIL_BYTES or bytes(view[-len(MAGIC) :]) != MAGIC:
        raise wire.malformed(what, "it does not end as a pack does")
    length = _LENGTH.unpack(view[-TAIL_BYTES : -len(MAGIC)])[0]
    start = len(view) - TAIL_BYTES - length
    if start < 0:
        raise wire.malformed(what, "its footer is longer than the pack")
    footer = decode_footer(view[start : len(view) - TAIL_BYTES], pack_id, what)
    if footer.payload_bytes != start:
        raise wire.malformed(what, f"its chunks take {footer.payload_bytes} bytes, {start} are there")
    return view[:start], footer


def pack_id_of(footer: Buffer) -> bytes:
    """Id of the pack with that footer."""
    return hashlib.sha256(footer).digest()
