"""`generated.py BYTES`: store one stream of so many bytes, none of them twice, where packs are let go when they come.

What is left is the work of the writer: cutting, hashing, packing, listing. Prints the seconds that it took.
"""

from __future__ import annotations

import random
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gitml.store.media.medium import Buffers, PutOutcome, body_size
from gitml.store.media.memory import MemoryMedium
from gitml.store.store import Store

_BLOCK_BYTES = 16 << 20
_MARK_BYTES = 8 << 10  # less than any chunk: each holds a number that no other has


class _Forgetful(MemoryMedium):
    """Keeps all but the packs, of which it knows the sizes."""

    def __init__(self) -> None:
        super().__init__()
        self._packs: dict[str, int] = {}

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        if not name.startswith("packs/"):
            return super().put_if_absent(name, body)
        self._packs[name] = body_size(body)
        return PutOutcome.CREATED

    def head(self, name: str) -> int | None:
        return self._packs.get(name) or super().head(name)


@dataclass(frozen=True, slots=True)
class _Stream:
    """One file that exists while it is read."""

    size_bytes: int
    path: str = "stream.bin"
    digest: bytes | None = None

    def blocks(self) -> Iterator[memoryview]:
        base = random.Random("stream").randbytes(_BLOCK_BYTES)
        number = 0
        for start in range(0, self.size_bytes, _BLOCK_BYTES):
            block = bytearray(base)
            for mark in range(0, _BLOCK_BYTES, _MARK_BYTES):
                struct.pack_into("<Q", block, mark, number)
                number += 1
            yield memoryview(block)[: min(_BLOCK_BYTES, self.size_bytes - start)]


class _Source:
    """A tree of that file."""

    def __init__(self, size_bytes: int) -> None:
        self._file = _Stream(size_bytes)
        self.warnings: list[str] = []

    def files(self) -> Iterator[_Stream]:
        yield self._file

    def totals(self) -> tuple[int, int]:
        return 1, self._file.size_bytes


def main(size_bytes: int) -> None:
    """Store it."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(_Forgetful(), journal=Path(folder, "journal"))
        begin = time.perf_counter()
        written = store.write(_Source(size_bytes))
        elapsed_s = time.perf_counter() - begin
    if written.stats.new_bytes < size_bytes * 0.99:
        raise SystemExit("some of it was stored already")
    print(elapsed_s)


if __name__ == "__main__":
    main(int(sys.argv[1]))
