"""Filling packs, and putting them into the store while others are filled.

Chunks are packed in the order in which they are added, so that the same input and history give the same
packs.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future

from gitml.store.formats.pack import PACK_LIMIT_CHUNKS, PackRef, encode_footer, pack_tail
from gitml.store.media import layout
from gitml.store.media.medium import Buffer, Medium
from gitml.store.media.objects import put_named
from gitml.store.media.pages import fresh_pages
from gitml.store.write.journal import Journal

PACK_BYTES = 32 * 1024 * 1024
_NUMBER_BITS = 16
_SALT_BYTES = 16
_COPIED_BYTES = 4 * 1024  # up to here a chunk is better off copied: a pack of them would be very many objects
_GATHERED_BYTES = 1024 * 1024


class PackWriter:
    """The packs that one tree uses: those it fills, and those it finds.

    A place is one integer: number of the pack among them, and number of the chunk in the pack.

    Args:
        medium: Where packs go.
        journal: Learns of each pack that is durable.
        pool: Runs the puts.
        condemned: Names that new packs must not have.
        written: Told each pack that is durable, and its footer.
    """

    def __init__(
        self,
        medium: Medium,
        journal: Journal,
        pool: Executor,
        condemned: Collection[str] = (),
        *,
        written: Callable[[PackRef, bytes], None] | None = None,
    ) -> None:
        self._medium = medium
        self._journal = journal
        self._pool = pool
        self._condemned = condemned
        self._written = written
        self._refs: list[PackRef | None] = []
        self._numbers: dict[bytes, int] = {}
        self._flying: deque[tuple[int, int, Future[None]]] = deque()
        self._not_durable: set[int] = set()
        self.written = 0
        self._start()

    def _start(self) -> None:
        self._open: int | None = None
        self._parts: list[Buffer] = []
        self._gathered: memoryview | None = None  # holds the last part, where that was copied
        self._gathered_bytes = 0
        self._ids: list[bytes] = []
        self._raw: list[int] = []
        self._stored: list[int] = []
        self._codecs = bytearray()
        self._payload_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes in the open pack and in those on their way."""
        return self._payload_bytes + sum(size for _, size, _ in self._flying)

    @property
    def open_pack(self) -> int | None:
        """Number of the pack that is being filled."""
        return self._open

    def add(
        self, chunk_id: bytes, stored: Buffer, codec: int, raw_bytes: int, *, copied: bool = False
    ) -> int:
        """Append a chunk to the open pack, with `copied` so that the memory it lies in can go; its place."""
        if self._open is None:
            self._open = len(self._refs)
            self._refs.append(None)
            self._not_durable.add(self._open)
        place = self._open << _NUMBER_BITS | len(self._codecs)
        if copied or len(stored) <= _COPIED_BYTES:
            self._gather(stored)
        else:
            self._parts.append(stored)
            self._gathered = None
        self._ids.append(chunk_id)
        self._raw.append(raw_bytes)
        self._stored.append(len(stored))
        self._codecs.append(codec)
        self._payload_bytes += len(stored)
        if self._payload_bytes >= PACK_BYTES or len(self._codecs) == PACK_LIMIT_CHUNKS:
            self.close()
        return place

    def _gather(self, stored: Buffer) -> None:
        """Copy a chunk behind those before it."""
        end = self._gathered_bytes + len(stored)
        if self._gathered is None or end > len(self._gathered):
            self._gathered, self._gathered_bytes, end = (
                memoryview(fresh_pages(_GATHERED_BYTES)),
                0,
                len(stored),
            )
            self._parts.append(b"")
        self._gathered[self._gathered_bytes : end] = stored
        self._gathered_bytes = end
        self._parts[-1] = self._gathered[:end]

    def found(self, pack: PackRef, number: int) -> int:
        """The place of a chunk in a pack that is in the store already."""
        if pack.id not in self._numbers:
            self._numbers[pack.id] = len(self._refs)
            self._refs.append(pack)
        return self._numbers[pack.id] << _NUMBER_BITS | number

    def close(self) -> None:
        """Send the open pack on its way, if there is one."""
        if self._open is None:
            return
        ids, codecs = b"".join(self._ids), bytes(self._codecs)
        footer = encode_footer(ids, self._raw, self._stored, codecs)
        if layout.pack_name(footer.hex) in self._condemned:
            salt = secrets.token_bytes(_SALT_BYTES)
            footer = encode_footer(ids, self._raw, self._stored, codecs, salt=salt)
        tail = pack_tail(footer.data)
        size = self._payload_bytes + len(tail)
        pack = PackRef(id=footer.id, size_bytes=size, footer_bytes=len(footer.data))
        body = [*self._parts, tail]
        number, self._refs[self._open] = self._open, pack
        self._start()
        self._flying.append((number, size, self._pool.submit(self._put, pack, footer.data, body)))
        self.written += 1

    def _put(self, pack: PackRef, footer: bytes, body: list[Buffer]) -> None:
        put_named(self._medium, layout.pack_name(pack.hex), body)
        body.clear()
        self._journal.append(pack, footer)
        if self._written is not None:
            self._written(pack, footer)

    def settle(self, *, wait: bool) -> bool:
        """Take note of puts that ended; with `wait`, of the oldest at least. False if none was on its way."""
        if not self._flying:
            return False
        while self._flying and (wait or self._flying[0][2].done()):
            number, _, future = self._flying.popleft()
            future.result()
            self._not_durable.discard(number)
            wait = False
        return True

    def finish(self) -> None:
        """Close the open pack and wait until all are durable."""
        self.close()
        while self.settle(wait=True):
            pass

    def used(self) -> frozenset[bytes]:
        """Ids of the packs that were written, or found in the store and used."""
        return frozenset(pack.id for pack in self._refs if pack is not None)

    def is_durable(self, number: int) -> bool:
        """Whether the pack of that number is in the store."""
        return number not in self._not_durable

    def ref(self, number: int) -> PackRef:
        """The pack of that number, which must be closed."""
        pack = self._refs[number]
        if pack is None:
            raise ValueError("the pack is still open")
        return pack


def split_place(place: int) -> tuple[int, int]:
    """Number of the pack and number of the chunk in it."""
    return place >> _NUMBER_BITS, place & ((1 << _NUMBER_BITS) - 1)


def join_place(pack: int, number: int) -> int:
    """The place of a chunk: number of the pack and number of the chunk in it."""
    return pack << _NUMBER_BITS | number


def extend_runs(runs: list[tuple[int, int, int]], place: int) -> None:
    """Add a chunk to the runs of a file."""
    pack, number = split_place(place)
    if runs and runs[-1][0] == pack and runs[-1][1] + runs[-1][2] == number:
        runs[-1] = (pack, runs[-1][1], runs[-1][2] + 1)
    else:
        runs.append((pack, number, 1))
