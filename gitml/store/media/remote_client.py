"""What speaks to a server for a remote medium: one attempt of each call, and the bodies that go either way."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol

from gitml.store.media.identity import Identity
from gitml.store.media.medium import Buffers, Flight
from gitml.store.media.retry import Failure

_BLOCK_BYTES: Final = 256 << 10
MARK: Final = "gitmlwrite"  # key of metadata; letters only, which every server keeps


class Pulse:
    """When a transfer last moved, and whether it ever did."""

    def __init__(self) -> None:
        self.beat_s = time.monotonic()
        self.has_moved = False

    def beat(self) -> None:
        """Something moved."""
        self.beat_s = time.monotonic()
        self.has_moved = True


class UploadBody:
    """The parts of an object as something to read or to iterate over, without joining them."""

    def __init__(self, parts: Buffers, pulse: Pulse) -> None:
        self._parts = [memoryview(part).cast("B") for part in parts if len(part)]
        self._starts = list(accumulate(map(len, self._parts), initial=0))
        self._size = self._starts[-1]
        self._pulse = pulse
        self._position = 0

    def __len__(self) -> int:
        return self._size

    def joined(self) -> bytes:
        """All parts in one."""
        return b"".join(self._parts)

    def parts(self) -> list[memoryview]:
        """The parts, for one who takes all at once and does not tell how they move."""
        self._pulse.beat()
        return [memoryview(part) for part in self._parts]

    def release(self) -> None:
        """Let go of the parts: who remembers how an attempt failed would keep them in memory."""
        for part in self._parts:
            part.release()
        self._parts.clear()

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to an offset from the beginning, from here, or from the end."""
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, at most `size` of them."""
        stop = self._size if size is None or size < 0 else min(self._size, self._position + size)
        data = b"".join(self._between(self._position, stop))
        self._position += len(data)
        return data

    def _between(self, start: int, stop: int) -> Iterator[memoryview]:
        number = bisect_right(self._starts, start) - 1
        while number < len(self._parts) and (offset := self._starts[number]) < stop:
            yield self._parts[number][max(0, start - offset) : stop - offset]
            number += 1

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Blocks of a size that is worth a system call; copies, so that nothing looks at the parts in between."""
        self._pulse.beat()
        start = 0
        while self._parts and start < self._size:
            block = b"".join(self._between(start, start + _BLOCK_BYTES))
            start += len(block)
            yield block
            self._pulse.beat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Which object is meant, where one that was written over it would be another.

    Attributes:
        etag: What the server calls its bytes, without quotes.
        version_id: The bucket's name of this version of it.
    """

    etag: str | None = None
    version_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a look at an object says."""

    size_bytes: int
    mark: str | None
    etag: str | None = None
    version_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The beginning of an answer with an object's bytes.

    Attributes:
        start: Offset of its first byte in the object.
        size_bytes: Bytes that will follow.
        object_bytes: Size of the whole object.
        etag: What the server calls its bytes, without quotes.
    """

    start: int
    size_bytes: int
    object_bytes: int
    blocks: AsyncIterator[bytes]
    etag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An object in a listing."""

    key: str
    size_bytes: int
    etag: str | None = None
    version_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a listing, and how to ask for the next."""

    objects: tuple[Listed, ...]
    following: str | None


def bare_etag(text: str | None) -> str | None:
    """An etag without its quotes; None for one that stands for similar bytes only."""
    return None if not text or text.startswith("W/") else text.strip('"')


class Client(Protocol):
    """One attempt of each call, as coroutines of one loop; raises what its SDK raises."""

    @property
    def calls(self) -> Mapping[str, str]:
        """head, get, put, delete and list, as the server's documentation calls them."""

    @property
    def flight(self) -> Flight:
        """How many bytes of packs an operation may have in memory at a time."""

    @property
    def meters_reads(self) -> bool:
        """Whether the blocks of a reply come as they arrive, so that a stall can be seen here."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...

    @property
    def url(self) -> str: ...

    async def head(self, key: str, pin: Pin | None = None) -> Held:
        """Look at an object; where one is pinned, at no other."""

    def get(
        self, key: str, start: int, end: int | None, pin: Pin | None = None
    ) -> AbstractAsyncContextManager[Reply]:
        """The bytes [start, end) of an object; where one is pinned, of no other."""

    async def put(self, key: str, body: UploadBody, mark: str, *, create: bool) -> None: ...

    async def delete(self, key: str) -> None: ...

    async def page(self, prefix: str, following: str | None, *, versions: bool = False) -> Page:
        """A part of a listing; with `versions` it says version ids, where the server keeps any."""

    async def renew(self) -> None:
        """Ask the chain of credentials anew."""

    def failure(self, error: Exception) -> Failure | None:
        """What an exception of the SDK means; None for one that is no failure of the store."""

    async def identity(self) -> Identity:
        """Who one is to the server."""

    def credentials(self) -> str:
        """Which credentials are used, in words, without secrets."""
