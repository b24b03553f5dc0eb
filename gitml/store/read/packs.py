"""Reading chunks out of packs: footers first, then as few ranges as make sense, and every chunk checked."""

from __future__ import annotations

import hashlib
import mmap
import threading
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeAlias

from gitml.errors import GitMLError, IntegrityError
from gitml.store.formats.codec import Codec, decode_chunk
from gitml.store.formats.pack import TAIL_BYTES, Footer, PackRef, decode_footer, split_pack
from gitml.store.media import layout
from gitml.store.media.cache import Cache, Kind
from gitml.store.media.medium import Buffer, Medium, ReadsInto, flight_of
from gitml.store.media.pages import fresh_pages

_GAP_BYTES: Final = 512 * 1024
_ROW_BYTES: Final = 40  # of a footer, for a chunk: id, two lengths, codec
_MOST_KEPT_CHUNKS: Final = 60_000
_PAGES_BYTES: Final = 33 * 1024 * 1024  # most packs and their footers fit

Parts: TypeAlias = Sequence[tuple[int, memoryview]]
"""Ranges of a pack in order: where each starts in it, and its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFooter:
    """A footer, and where each chunk's raw bytes begin if all were laid end to end."""

    footer: Footer
    raw_starts: Sequence[int]

    def raw_bytes(self, first: int, chunks: int) -> int:
        """Raw length of a run of chunks."""
        return self.raw_starts[first + chunks] - self.raw_starts[first]


def known_footer(footer: Footer) -> KnownFooter:
    """A footer with its sums."""
    return KnownFooter(footer=footer, raw_starts=array("Q", accumulate(footer.raw, initial=0)))


class _Held:
    """Ranges of a pack in memory, and which of its chunks in them were checked."""

    __slots__ = ("begins", "checked", "parts")

    def __init__(self, parts: Parts, chunks: int) -> None:
        self.begins = [start for start, _ in parts]
        self.parts = parts
        self.checked = bytearray(chunks)


class PackBody:
    """Bytes of a pack, or of ranges of it; safe to read from several threads.

    Args:
        parts: Ranges in order: where each starts in the pack, and its bytes.
        pages: The memory that they lie in, if it is to be used again.
        instead: Reads the same ranges from the store, where `parts` are from a cache and may be wrong.
    """

    def __init__(
        self,
        name: str,
        footer: KnownFooter,
        parts: Parts,
        pages: mmap.mmap | None = None,
        *,
        instead: Callable[[], Parts] | None = None,
    ) -> None:
        self.name = name
        self.pages = pages
        self.known = footer
        self._footer = footer.footer
        self._held = _Held(parts, footer.footer.chunks)
        self._latest: tuple[int, Buffer] = (-1, b"")
        self._instead = instead
        self._healing = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Bytes it holds in memory."""
        return sum(len(view) for _, view in self._held.parts)

    def holds(self, first: int, chunks: int) -> bool:
        """Whether a run of chunks is inside of what was read."""
        held = self._held
        start, end = self._footer.starts[first], self._footer.starts[first + chunks]
        part = bisect_right(held.begins, start) - 1
        return part >= 0 and end <= held.begins[part] + len(held.parts[part][1])

    def chunk(self, number: int, *, check: bool = True) -> Buffer:
        """The raw bytes of a chunk.

        Args:
            check: False leaves it to the caller to find out whether they are right, by the digest of a whole file;
                what a cache has is compared all the same.

        Raises:
            IntegrityError: They are not what the chunk's id says.
        """
        held = self._held
        try:
            return self._chunk(held, number, check or self._instead is not None)
        except IntegrityError:
            if not self._heal(held):
                raise
        return self._chunk(self._held, number, check)

    def _chunk(self, held: _Held, number: int, check: bool) -> Buffer:  # noqa: FBT001
        footer = self._footer
        codec = footer.codecs[number]
        if codec != Codec.RAW:
            latest = self._latest
            if latest[0] == number:
                return latest[1]
        start, end = footer.starts[number], footer.starts[number + 1]
        part = bisect_right(held.begins, start) - 1
        begin, view = held.parts[part]
        data: Buffer = view[start - begin : end - begin]
        if codec != Codec.RAW or end - start != footer.raw[number]:
            data = decode_chunk(data, codec, footer.raw[number], f"chunk {number}")
        if check and not held.checked[number]:
            if hashlib.sha256(data).digest() != footer.ids[number * 32 : number * 32 + 32]:
                raise IntegrityError(
                    f"chunk {number} is damaged: its bytes do not match its id", code="chunk-damaged"
                )
            held.checked[number] = 1
        if codec != Codec.RAW:
            self._latest = (number, data)
        return data

    def _heal(self, wrong: _Held) -> bool:
        """Read from the store what a cache had wrong; False where the store itself was read."""
        with self._healing:
            if self._held is wrong:
                if self._instead is None:
                    return False
                self._held = _Held(self._instead(), self._footer.chunks)
                self._instead = None
            return True


class PackReader:
    """Reads footers and chunks of one medium; safe to use from several threads.

    Args:
        cache: Keeps footers, which are small and asked for again and again, and packs that were read whole. What
            is read from it is checked as what the store says is, and where it is wrong the store is asked.

    Attributes:
        cache: See above.
        flight: How much of the medium may be in memory at a time.
        spare_bytes: Bytes that are about to be written elsewhere; the cache leaves room for them.
    """

    def __init__(self, medium: Medium, cache: Cache | None = None) -> None:
        self._medium = medium
        self.flight = flight_of(medium)
        self.cache = cache
        self.spare_bytes = 0
        # A tree larger than the cache would push out itself; a part of it that stays serves the next time.
        self._keeps_bytes = 0 if cache is None else cache.options.limit_bytes // 2
        self._lock = threading.Lock()
        self._footers: OrderedDict[bytes, KnownFooter] = OrderedDict()
        self._pages: list[mmap.mmap] = []
        self._kept_chunks = 0

    def footer(self, pack: PackRef) -> KnownFooter:
        """The footer of a pack: from memory, from the cache, or with one ranged read.

        Raises:
            IntegrityError: The pack's footer does not match its id.
            NotFound: There is no such pack.
        """
        known = self.footer_if_known(pack)
        if known is not None:
            return known
        name = layout.pack_name(pack.hex)
        data = self._medium.get(name, *pack.footer_range)
        known = self._keep(pack, decode_footer(data, pack.id, name))
        if self.cache is not None:
            self.cache.keep(Kind.FOOTER, pack.hex, [data])
        return known

    def footer_if_known(self, pack: PackRef) -> KnownFooter | None:
        """The footer of a pack if that costs no request."""
        with self._lock:
            known = self._footers.get(pack.id)
        if known is None and self.cache is not None:
            known = self._kept_footer(self.cache, pack)
        return known

    def _kept_footer(self, cache: Cache, pack: PackRef) -> KnownFooter | None:
        """The footer that the cache has by itself, or in the pack."""
        kind, data = Kind.FOOTER, cache.read(Kind.FOOTER, pack.hex)
        if data is None:
            kind, parts = Kind.PACK, cache.read_ranges(Kind.PACK, pack.hex, [pack.footer_range])
            data = None if parts is None else bytes(parts[0][1])
        if data is None:
            return None
        try:
            return self._keep(pack, decode_footer(data, pack.id, layout.pack_name(pack.hex)))
        except GitMLError:
            cache.discard(kind, pack.hex)
            return None

    def load(self, pack: PackRef, runs: Sequence[tuple[int, int]], wanted_bytes: int = 0) -> PackBody:
        """The bytes of some chunks of a pack.

        With more than half of the pack wanted it is read whole with one request, else footer and ranges.

        Args:
            runs: First chunk and number of chunks.
            wanted_bytes: Raw bytes that are wanted, as far as the caller knows.

        Raises:
            IntegrityError: A run lies outside of the pack, or the pack is damaged.
            NotFound: There is no such pack.
        """
        name = layout.pack_name(pack.hex)
        known = self.footer_if_known(pack)
        wanted_chunks = sum(count for _, count in runs)
        if known is None and (
            wanted_bytes * 2 > pack.size_bytes or wanted_chunks * 2 * _ROW_BYTES > pack.footer_bytes
        ):
            return self._load_whole(pack, name)
        if known is None:
            known = self.footer(pack)
        ranges = _ranges(known.footer, runs, _GAP_BYTES)
        if sum(end - start for start, end in ranges) * 2 > pack.size_bytes:
            if self.cache is not None or isinstance(self._medium, ReadsInto):
                return self._load_whole(pack, name)
            ranges = [(ranges[0][0], ranges[-1][1])]
        return self._load_ranges(pack, known, ranges)

    def load_span(self, pack: PackRef, first: int, chunks: int) -> PackBody:
        """The bytes of a run of chunks, with one request besides the footer's."""
        known = self.footer(pack)
        return self._load_ranges(pack, known, _ranges(known.footer, [(first, chunks)], 0))

    def _load_ranges(self, pack: PackRef, known: KnownFooter, ranges: Sequence[tuple[int, int]]) -> PackBody:
        name = layout.pack_name(pack.hex)

        def stored() -> Parts:
            return [(start, memoryview(self._medium.get(name, start, end))) for start, end in ranges]

        if self.cache is not None:
            kept = self.cache.read_ranges(Kind.PACK, pack.hex, ranges)
            if kept is not None:
                return PackBody(name, known, kept, instead=self._instead(self.cache, pack, stored))
        return PackBody(name, known, stored())

    def _load_whole(self, pack: PackRef, name: str) -> PackBody:
        kept = None if self.cache is None else self._load_kept(self.cache, pack, name)
        if kept is not None:
            return kept
        pages: mmap.mmap | None = None
        if isinstance(self._medium, ReadsInto):
            pages = self._take(pack.size_bytes)
            view = memoryview(pages)
            data = view[: self._medium.get_into(name, view)]
        else:
            data = memoryview(self._medium.get(name))
        payload, footer = split_pack(data, pack.id, name)
        known = self._keep(pack, footer)
        if self.cache is not None:
            self.cache.keep(Kind.FOOTER, pack.hex, [data[len(payload) : len(data) - TAIL_BYTES]])
            self._keep_whole(self.cache, pack, data)
        return PackBody(name, known, [(0, payload)], pages)

    def _load_kept(self, cache: Cache, pack: PackRef, name: str) -> PackBody | None:
        """A whole pack as the cache has it."""
        if not cache.has(Kind.PACK, pack.hex):
            return None
        pages = self._take(pack.size_bytes)
        data = memoryview(pages)[: pack.size_bytes]
        if cache.read_into(Kind.PACK, pack.hex, data):
            try:
                payload, footer = split_pack(data, pack.id, name)
            except GitMLError:
                cache.discard(Kind.PACK, pack.hex)
            else:

                def stored() -> Parts:
                    return [(0, split_pack(self._medium.get(name), pack.id, name)[0])]

                instead = self._instead(cache, pack, stored)
                return PackBody(name, self._keep(pack, footer), [(0, payload)], pages, instead=instead)
        with self._lock:
            self._pages.append(pages)
        return None

    def _keep_whole(self, cache: Cache, pack: PackRef, data: memoryview) -> None:
        with self._lock:
            if self._keeps_bytes < len(data):
                return
            self._keeps_bytes -= len(data)
        cache.keep(Kind.PACK, pack.hex, [data], spare_bytes=self.spare_bytes)

    def _instead(self, cache: Cache, pack: PackRef, stored: Callable[[], Parts]) -> Callable[[], Parts]:
        """What to read in place of a pack that turns out to be damaged in the cache."""

        def read() -> Parts:
            cache.discard(Kind.PACK, pack.hex)
            return stored()

        return read

    def _take(self, size_bytes: int) -> mmap.mmap:
        """Memory for a pack: what an earlier one has left, for fresh pages cost more than reading into them."""
        with self._lock:
            for number, pages in enumerate(self._pages):
                if len(pages) >= size_bytes:
                    return self._pages.pop(number)
            self._pages.clear()
        return fresh_pages(max(size_bytes, _PAGES_BYTES))

    def recycle(self, body: PackBody) -> None:
        """Take a body's memory back; nobody may look at its chunks any more."""
        if body.pages is not None:
            with self._lock:
                self._pages.append(body.pages)
            body.pages = None

    def release(self) -> None:
        """Let go of the memory that is kept for more packs."""
        with self._lock:
            self._pages.clear()

    def _keep(self, pack: PackRef, footer: Footer) -> KnownFooter:
        known = known_footer(footer)
        with self._lock:
            if pack.id not in self._footers:
                self._footers[pack.id] = known
                self._kept_chunks += footer.chunks
            while self._kept_chunks > _MOST_KEPT_CHUNKS and len(self._footers) > 1:
                self._kept_chunks -= self._footers.popitem(last=False)[1].footer.chunks
        return known


def _ranges(footer: Footer, runs: Iterable[tuple[int, int]], gap_bytes: int) -> list[tuple[int, int]]:
    """Byte ranges that hold the runs, joined where the gap between them is small."""
    ranges: list[tuple[int, int]] = []
    for first, count in sorted(runs):
        if first + count > footer.chunks:
            raise IntegrityError(
                f"chunks {first} to {first + count} are wanted of {footer.chunks}", code="run-outside"
            )
        start, end = footer.starts[first], footer.starts[first + count]
        if ranges and start - ranges[-1][1] <= gap_bytes:
            ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
        else:
            ranges.append((start, end))
    return ranges
