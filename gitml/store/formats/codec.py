"""How bytes are stored: raw or as zstd frames, and what decoding may cost.

Every frame that GitML writes carries a content checksum, since without one a flipped bit usually decodes to
other bytes in silence. A decoder never allocates more than the limit its caller states.
"""

from __future__ import annotations

import io
import threading
from enum import IntEnum

import zstandard

from gitml.errors import IntegrityError
from gitml.store.formats.wire import needs_newer
from gitml.store.media.medium import Buffer

CHUNK_LIMIT_BYTES = 256 * 1024
SEGMENT_LIMIT_BYTES = 128 * 1024 * 1024
MANIFEST_LIMIT_BYTES = 64 * 1024 * 1024

_CHUNK_LEVEL = 1
_TABLE_LEVEL = 6

_local = threading.local()  # zstandard contexts are not safe to share between threads


class Codec(IntEnum):
    """How a chunk is stored; the number stands in pack footers."""

    RAW = 0
    ZSTD = 1


def compress_chunk(data: Buffer) -> bytes:
    """A chunk as a zstd frame with a checksum."""
    return _compressor(_CHUNK_LEVEL).compress(data)


def compress_table(data: Buffer) -> bytes:
    """A segment or manifest as a zstd frame with a checksum."""
    return _compressor(_TABLE_LEVEL).compress(data)


def is_worth_it(raw_bytes: int, stored_bytes: int) -> bool:
    """Whether compression saves the tenth that it must save."""
    return stored_bytes * 10 <= raw_bytes * 9


def decode_chunk(stored: Buffer, codec: int, raw_bytes: int, what: str) -> Buffer:
    """The bytes of a chunk.

    Args:
        stored: What the pack holds.
        codec: Number from the pack's footer.
        raw_bytes: Length that the footer promises; at most 256 KiB.
        what: Names the chunk in errors.

    Raises:
        IntegrityError: It does not decode to that many bytes.
        InvalidInput: A codec that this GitML does not know.
    """
    if codec == Codec.RAW:
        data: Buffer = stored
    elif codec == Codec.ZSTD:
        data = decompress(stored, min(raw_bytes, CHUNK_LIMIT_BYTES), what)
    else:
        raise needs_newer(f"{what} is stored with codec {codec}", "the one that wrote it")
    if len(data) != raw_bytes:
        raise IntegrityError(f"{what} has {len(data)} bytes instead of {raw_bytes}", code="chunk-length")
    return data


def decompress(frame: Buffer, limit_bytes: int, what: str) -> bytes:
    """Decode one zstd frame of at most `limit_bytes`.

    Raises:
        IntegrityError: It is no whole frame, its checksum is wrong, or it would be longer.
    """
    try:
        declared = zstandard.frame_content_size(frame)
        if declared > limit_bytes:
            raise IntegrityError(
                f"{what} would decode to {declared} bytes, more than the {limit_bytes} allowed",
                code="too-large",
            )
        if declared >= 0:
            return _decompressor().decompress(frame, allow_extra_data=False)
        return _decompress_unsized(frame, limit_bytes, what)
    except zstandard.ZstdError as error:
        raise IntegrityError(f"{what} is damaged: {error}", code="zstd") from error


def _decompress_unsized(frame: Buffer, limit_bytes: int, what: str) -> bytes:
    parts, total = io.BytesIO(), 0
    with _decompressor().stream_reader(frame) as reader:
        while part := reader.read(min(1 << 20, limit_bytes + 1 - total)):
            total += parts.write(part)
            if total > limit_bytes:
                raise IntegrityError(
                    f"{what} decodes to more than the {limit_bytes} bytes allowed", code="too-large"
                )
    return parts.getvalue()


def _compressor(level: int) -> zstandard.ZstdCompressor:
    compressors: dict[int, zstandard.ZstdCompressor] | None = getattr(_local, "compressors", None)
    if compressors is None:
        compressors = _local.compressors = {}
    if level not in compressors:
        compressors[level] = zstandard.ZstdCompressor(
            level=level, write_checksum=True, write_content_size=True
        )
    return compressors[level]


def _decompressor() -> zstandard.ZstdDecompressor:
    decompressor: zstandard.ZstdDecompressor | None = getattr(_local, "decompressor", None)
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    return decompressor
