"""Where files are cut into chunks.

FastCDC, with frozen parameters: cut points decide what deduplicates, so they never change. They never
matter to reading. The cut points of a file do not depend on the blocks in which it is read.

Source: W. Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
Systems", IEEE TPDS 31(9), 2020.
"""

from __future__ import annotations

from pyfastcdc import FastCDC

AVERAGE_BYTES = 65_536
MINIMUM_BYTES = 16_384
MAXIMUM_BYTES = 262_144
ONE_CHUNK_BYTES = 65_536
"""A file of at most this size is one chunk, whose id is the digest of the file."""


class Cutter:
    """Cuts one file that arrives block by block; not safe to share between threads.

    A cut point depends on at most MAXIMUM_BYTES that follow the one before. So a cut is final as soon as
    that many bytes were at hand, and what is left of a block waits for the next one.
    """

    def __init__(self) -> None:
        self._cdc = FastCDC(
            AVERAGE_BYTES,
            min_size=MINIMUM_BYTES,
            max_size=MAXIMUM_BYTES,
            normalized_chunking=1,
            seed=0,
        )
        self._rest = b""

    def feed(self, block: memoryview) -> list[memoryview]:
        """The chunks that are complete now: views of the block, but for those across its start."""
        chunks: list[memoryview] = []
        start = 0
        while self._rest:
            joined = memoryview(self._rest + bytes(block[start : start + MAXIMUM_BYTES - len(self._rest)]))
            if len(joined) < MAXIMUM_BYTES:
                self._rest = bytes(joined)
                return chunks
            length = next(iter(self._cdc.cut_buf(joined))).length
            chunks.append(joined[:length])
            if length >= len(self._rest):
                start += length - len(self._rest)
                self._rest = b""
            else:
                self._rest = self._rest[length:]
        return chunks + self._cut_block(block, start)

    def finish(self) -> list[memoryview]:
        """The chunks of what is left at the end of the file."""
        rest, self._rest = memoryview(self._rest), b""
        return [rest[c.offset : c.offset + c.length] for c in self._cdc.cut_buf(rest)] if rest else []

    def _cut_block(self, block: memoryview, start: int) -> list[memoryview]:
        chunks: list[memoryview] = []
        position = start
        if len(block) - start >= MAXIMUM_BYTES:
            for chunk in self._cdc.cut_buf(block[start:]):
                if start + chunk.offset + MAXIMUM_BYTES > len(block):
                    break
                position = start + chunk.offset + chunk.length
                chunks.append(block[start + chunk.offset : position])
        self._rest = bytes(block[position:])
        return chunks


def cut(data: memoryview) -> list[memoryview]:
    """The chunks of a whole file; none of an empty one."""
    if len(data) <= ONE_CHUNK_BYTES:
        return [data] if data else []
    cutter = Cutter()
    return cutter.feed(data) + cutter.finish()
