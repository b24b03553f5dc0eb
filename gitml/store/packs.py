"""Reading chunks out of packs: footers first, then as few ranges as make sense, and every chunk checked."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import secrets
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

from gitml.errors import GitMLError, IntegrityError
from gitml.store import layout
from gitml.store.codec import Codec, decode_chunk
from gitml.store.medium import Buffer, Medium, ReadsInto
from gitml.store.pack import Footer, PackRef, decode_footer, split_pack

_GAP_BYTES: Final = 512 * 1024
_ROW_BYTES: Final = 40  # of a footer, for a chunk: id, two lengths, codec
_MOST_KEPT_CHUNKS: Final = 60_000
_PAGES_BYTES: Final = 33 * 1024 * 1024  # most packs and their footers fit


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
    return KnownFooter(footer=footer, raw_starts=list(accumulate(footer.raw, initial=0)))


class PackBody:
    """Bytes of a pack, or of ranges of it; safe to read from several threads.

    Args:
        parts: Ranges in order: where each starts in the pack, and its bytes.
        pages: The memory that they lie in, if it is to be used again.
    """

    def __init__(
        self,
        name: str,
        footer: KnownFooter,
        parts: Sequence[tuple[int, memoryview]],
        pages: mmap.mmap | None = None,
    ) -> None:
        self.name = name
        self.pages = pages
        self.known = footer
        self._footer = footer.footer
        self._begins = [start for start, _ in parts]
        self._parts = parts
        self._checked = bytearray(footer.footer.chunks)
        self._latest: tuple[int, Buffer] = (-1, b"")

    @property
    def held_bytes(self) -> int:
        """Bytes it holds in memory."""
        return sum(len(view) for _, view in self._parts)

    def holds(self, first: int, chunks: int) -> bool:
        """Whether a run of chunks is inside of what was read."""
        start, end = self._footer.starts[first], self._footer.starts[first + chunks]
        part = bisect_right(self._begins, start) - 1
        return part >= 0 and end <= self._begins[part] + len(self._parts[part][1])

    def chunk(self, number: int) -> Buffer:
        """The raw bytes of a chunk.

        Raises:
            IntegrityError: They are not what the chunk's id says.
        """
        footer = self._footer
        codec = footer.codecs[number]
        if codec != Codec.RAW:
            latest = self._latest
            if latest[0] == number:
                return latest[1]
        start, end = footer.starts[number], footer.starts[number + 1]
        part = bisect_right(self._begins, start) - 1
        begin, view = self._parts[part]
        data: Buffer = view[start - begin : end - begin]
        if codec != Codec.RAW or end - start != footer.raw[number]:
            data = decode_chunk(data, codec, footer.raw[number], f"chunk {number}")
            self._latest = (number, data)
        if not self._checked[number]:
            if hashlib.sha256(data).digest() != footer.ids[number * 32 : number * 32 + 32]:
                raise IntegrityError(
                    f"chunk {number} is damaged: its bytes do not match its id", code="chunk-damaged"
                )
            self._checked[number] = 1
        return data


class PackReader:
    """Reads footers and chunks of one medium; safe to use from several threads.

    Args:
        cache: Folder for footers, which are small and asked for again and again. What is read from it is checked
            against the pack's id, so it may be shared or damaged.
    """

    def __init__(self, medium: Medium, cache: Path | None = None) -> None:
        self._medium = medium
        self._cache = cache
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
        self._save(pack.hex, data)
        return known

    def footer_if_known(self, pack: PackRef) -> KnownFooter | None:
        """The footer of a pack if that costs no request."""
        with self._lock:
            known = self._footers.get(pack.id)
        if known is None and self._cache is not None:
            with contextlib.suppress(OSError, GitMLError):
                data = (self._cache / "footers" / pack.hex[:2] / pack.hex).read_bytes()
                known = self._keep(pack, decode_footer(data, pack.id, layout.pack_name(pack.hex)))
        return known

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
            if isinstance(self._medium, ReadsInto):
                return self._load_whole(pack, name)
            ranges = [(ranges[0][0], ranges[-1][1])]
        parts = [(start, memoryview(self._medium.get(name, start, end))) for start, end in ranges]
        return PackBody(name, known, parts)

    def load_span(self, pack: PackRef, first: int, chunks: int) -> PackBody:
        """The bytes of a run of chunks, with one request besides the footer's."""
        known = self.footer(pack)
        name = layout.pack_name(pack.hex)
        ((start, end),) = _ranges(known.footer, [(first, chunks)], 0)
        return PackBody(name, known, [(start, memoryview(self._medium.get(name, start, end)))])

    def _load_whole(self, pack: PackRef, name: str) -> PackBody:
        pages: mmap.mmap | None = None
        if isinstance(self._medium, ReadsInto):
            pages = self._take(pack.size_bytes)
            view = memoryview(pages)
            data = view[: self._medium.get_into(name, view)]
        else:
            data = memoryview(self._medium.get(name))
        payload, footer = split_pack(data, pack.id, name)
        known = self._keep(pack, footer)
        if self._cache is not None:
            self._save(pack.hex, data[len(payload) : len(data) - 12])
        return PackBody(name, known, [(0, payload)], pages)

    def _take(self, size_bytes: int) -> mmap.mmap:
        """Memory for a pack: what an earlier one has left, for fresh pages cost more than reading into them."""
        with self._lock:
            for number, pages in enumerate(self._pages):
                if len(pages) >= size_bytes:
                    return self._pages.pop(number)
            self._pages.clear()
        return mmap.mmap(-1, max(size_bytes, _PAGES_BYTES))

    def recycle(self, body: PackBody) -> None:
        """Take a body's memory back; nobody may look at its chunks any more."""
        if body.pages is not None:
            with self._lock:
                self._pages.append(body.pages)
            body.pages = None

    def _keep(self, pack: PackRef, footer: Footer) -> KnownFooter:
        known = known_footer(footer)
        with self._lock:
            if pack.id not in self._footers:
                self._footers[pack.id] = known
                self._kept_chunks += footer.chunks
            while self._kept_chunks > _MOST_KEPT_CHUNKS and len(self._footers) > 1:
                self._kept_chunks -= self._footers.popitem(last=False)[1].footer.chunks
        return known

    def _save(self, pack_hex: str, data: Buffer) -> None:
        if self._cache is None:
            return
        file = self._cache / "footers" / pack_hex[:2] / pack_hex
        temporary = file.with_name(f".{pack_hex[:16]}.{secrets.token_hex(8)}")
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            temporary.replace(file)


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
