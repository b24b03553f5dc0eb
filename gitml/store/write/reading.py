"""What is done to the bytes of files before anything is decided about them: read, cut, hash, compress.

Nothing here knows of a store; a bounded pool does most of it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from gitml.store.formats import chunker
from gitml.store.formats.codec import compress_chunk, is_worth_it
from gitml.store.media.medium import Buffer
from gitml.store.write.source import SourceFile

_AT_ONCE_S = 0.0002  # for a file; whoever takes longer waits for a medium
_PATIENCE_S = 0.003

Chunk = tuple[bytes, Buffer]
"""Id and bytes."""

Read = tuple[bytes, list[Chunk]]
"""What a file holds: its digest, and its chunks unless they need not be looked at."""


class Strand:
    """Hashes the blocks of one file in order, on the pool, one task at a time."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._hasher = hashlib.sha256()
        self._blocks: deque[memoryview] = deque()
        self._changed = threading.Condition()
        self._running = False

    def feed(self, block: memoryview) -> None:
        """Hash a block after those before it; it is kept until then."""
        with self._changed:
            self._blocks.append(block)
            if self._running:
                return
            self._running = True
        self._pool.submit(self._run)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._blocks:
                    self._running = False
                    self._changed.notify_all()
                    return
                block = self._blocks[0]
            self._hasher.update(block)
            del block
            with self._changed:
                self._blocks.popleft()
                self._changed.notify_all()

    def wait(self, most: int) -> None:
        """Wait until at most so many blocks are left to hash."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._blocks) <= most)

    def digest(self) -> bytes:
        """The digest of all blocks."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running)
        return self._hasher.digest()


def read_at_once(files: Sequence[SourceFile], known: Collection[bool]) -> list[Read]:
    """The first of some tiny files, until they had to be waited for.

    What is in the system's memory is read sooner than another thread could be asked for it; what is not is read by
    many threads.
    """
    read: list[Read] = []
    limit = perf_counter() + _PATIENCE_S
    for file, is_known in zip(files, known, strict=True):
        read.append(_read(file, is_known))
        limit += _AT_ONCE_S
        if perf_counter() > limit:
            break
    return read


def read_batch(files: Sequence[SourceFile], known: Collection[bool]) -> list[Read]:
    """What files hold, but not of those whose digest is `known`."""
    return [_read(file, is_known) for file, is_known in zip(files, known, strict=True)]


def _read(file: SourceFile, is_known: bool) -> Read:  # noqa: FBT001
    if is_known and file.digest is not None:
        return file.digest, []
    return _read_whole(file)


def _read_whole(file: SourceFile) -> Read:
    blocks = list(file.blocks())
    data = blocks[0] if len(blocks) == 1 else memoryview(b"".join(blocks))
    sha = hashlib.sha256(data).digest()
    if len(data) <= chunker.ONE_CHUNK_BYTES:
        return sha, [(sha, data)] if data else []
    return sha, hash_chunks(chunker.cut(data))


def hash_chunks(chunks: Sequence[memoryview]) -> list[Chunk]:
    """Chunks with their ids."""
    return [(hashlib.sha256(chunk).digest(), chunk) for chunk in chunks]


def compress(data: Buffer) -> bytes | None:
    """A chunk's frame; None where that saves too little."""
    frame = compress_chunk(data)
    return frame if is_worth_it(len(data), len(frame)) else None


def compress_all(chunks: Sequence[Buffer]) -> list[bytes | None]:
    """As :func:`compress`, for many."""
    return [compress(chunk) for chunk in chunks]
