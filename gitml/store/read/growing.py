"""A file that is written in several steps, from several threads, while its digest follows."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import Final

from gitml.store.formats.pack import PackRef
from gitml.store.media.medium import Buffer
from gitml.store.read.entries import FileEntry, Target

_BLOCK_BYTES: Final = 1 << 20


class WrongDigestError(Exception):
    """A file is complete, and is not the one that was registered."""


class Growing:
    """Such a file; its digest follows the part that is complete from the start.

    Args:
        entry: The file.
        target: Takes its bytes.
        runs: Where they are stored.
    """

    def __init__(self, entry: FileEntry, target: Target, runs: Sequence[tuple[PackRef, int, int]]) -> None:
        self.entry = entry
        self.runs = runs
        self._target = target
        self._lock = threading.Lock()
        self._hasher = hashlib.sha256()
        self._hashed = 0
        self._front = 0
        self._islands: dict[int, int] = {}
        self._busy = False
        self._writers = 0
        self._closed = False

    def write(self, offset: int, parts: Sequence[Buffer], size_bytes: int) -> bool:
        """Write parts, and take the digest as far as that is possible; True when the file is complete and right."""
        with self._lock:
            in_order = not self._busy and offset == self._hashed
            self._busy = self._busy or in_order
            self._writers += 1
        self._target.write(offset, parts)
        if in_order:
            for part in parts:
                self._hasher.update(part)
            self._hashed += size_bytes
        with self._lock:
            self._writers -= 1
            self._islands[offset] = offset + size_bytes
            while (end := self._islands.pop(self._front, None)) is not None:
                self._front = end
            if not in_order:
                if self._busy or self._hashed >= self._front:
                    return False
                self._busy = True
        return self._follow()

    def discard(self) -> None:
        """Give the file up, unless it is complete."""
        if not self._closed:
            self._closed = True
            self._target.discard()

    def _follow(self) -> bool:
        """Hash what was written beyond the hashed part; the caller made it busy."""
        buffer: memoryview | None = None
        while True:
            with self._lock:
                front = self._front
                if self._hashed >= front:
                    self._busy = False
                    break
            if buffer is None:
                buffer = memoryview(bytearray(_BLOCK_BYTES))
            while self._hashed < front:
                count = self._target.read_into(
                    self._hashed, buffer[: min(_BLOCK_BYTES, front - self._hashed)]
                )
                if not count:
                    raise OSError(f"{self.entry.path} became shorter while it was written")
                self._hasher.update(buffer[:count])
                self._hashed += count
        with self._lock:
            if self._closed or self._hashed != self.entry.size_bytes:
                return False
            self._closed = True
        if self._hasher.digest() != self.entry.digest:
            self._target.discard()
            raise WrongDigestError
        self._target.finish()
        return True
