"""Making up for packs that no copy of the store has: out of what is left of them, and of files that survived.

A pack whose footer is known is put together again, byte for byte, where every chunk of it can be had. Otherwise what
can be had moves to new packs, and the trees that use it are laid out with those: what a tree says stays as it is, and
chunks that nobody has go on being named where they were.
"""

from __future__ import annotations

import contextlib
import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gitml.errors import GitMLError
from gitml.store.care.survivors import Slice, Survivors
from gitml.store.formats.codec import Codec, compress_chunk, decode_chunk, is_worth_it
from gitml.store.formats.pack import Footer, PackRef, decode_footer, pack_tail
from gitml.store.formats.root import Root
from gitml.store.formats.segment import Segment
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.relocation.relocate import load_manifest, load_segment
from gitml.store.relocation.rewrite import NOWHERE, PackUse, Relayout

_HELD_BYTES: Final = 64 << 20


@dataclass(slots=True)
class LostPack:
    """A pack that is lost or damaged, and what is left of it.

    Attributes:
        ref: The pack.
        wanted: A byte for each chunk: 1 where a tree uses it; as long as is known.
        footer: Its table of contents, where that survived, and the bytes of it.
        slices: Chunks that were found in files, by number.
    """

    ref: PackRef
    wanted: bytearray = field(default_factory=bytearray)
    footer: Footer | None = None
    footer_data: bytes = b""
    slices: dict[int, Slice] = field(default_factory=dict)

    def want(self, first: int, chunks: int) -> None:
        """Note that a tree uses a run of chunks."""
        self.wanted.extend(bytes(max(0, first + chunks - len(self.wanted))))
        self.wanted[first : first + chunks] = b"\1" * chunks

    def learn_footer(self, data: bytes) -> None:
        """Take a footer, if it is this pack's."""
        if self.footer is None:
            with contextlib.suppress(GitMLError):
                self.footer = decode_footer(data, self.ref.id, layout.pack_name(self.ref.hex))
                self.footer_data = data


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk that can be had: its id, its bytes as a pack holds them, how they are stored, and its raw length."""

    id: bytes
    stored: bytes
    codec: int
    raw_bytes: int


class Remains:
    """What is left of lost packs.

    Args:
        lost: The packs.
        media: Where damaged copies of them may be.
    """

    def __init__(self, lost: Mapping[bytes, LostPack], media: Sequence[Medium]) -> None:
        self._lost = lost
        self._media = media

    def find(self, survivors: Survivors, files: Mapping[bytes, LostFile]) -> None:
        """Look in the surviving files for the chunks that no damaged copy has."""
        needed = {pack_id: self._needed(lost) for pack_id, lost in self._lost.items()}
        for digest, file in files.items():
            if not any(
                needed[pack_id].intersection(range(first, first + chunks))
                for pack_id, first, chunks, _ in file.runs
            ):
                continue
            slices = survivors.slices(digest, file.size_bytes)
            if slices is None or len(slices) != file.chunks:
                continue  # cut by another rule, nobody can tell which chunk is which
            for pack_id, first, chunks, before in file.runs:
                for step in range(chunks):
                    self._lost[pack_id].slices.setdefault(first + step, slices[before + step])

    def chunks(self, lost: LostPack) -> Iterator[tuple[int, StoredChunk | None]]:
        """Number of every chunk of a pack that is known of, and the chunk; None where nobody has it."""
        copies = self._copies(lost)
        count = len(lost.wanted) if lost.footer is None else lost.footer.chunks
        for number in range(count):
            found = lost.slices.get(number)
            if lost.footer is not None:
                yield number, _known_chunk(copies, lost.footer, number, found)
            else:
                yield number, None if found is None else _new_chunk(found)

    def whole(self, lost: LostPack) -> list[bytes] | None:
        """The body of a pack as it was; None where a chunk of it is lost."""
        body = []
        for number, chunk in self.chunks(lost):
            if chunk is None or lost.footer is None or len(chunk.stored) != lost.footer.stored[number]:
                return None
            body.append(chunk.stored)
        return [*body, pack_tail(lost.footer_data)] if body else None

    def gains(self, lost: LostPack) -> bool:
        """Whether anything of a pack can be had that the store itself does not have."""
        own = Remains(self._lost, self._media[:1])
        needed = own._needed(lost)
        return any(chunk is not None for number, chunk in self.chunks(lost) if number in needed)

    def _needed(self, lost: LostPack) -> set[int]:
        """Chunks that no damaged copy of a pack has."""
        copies, footer = self._copies(lost), lost.footer
        if footer is None:
            return set(range(len(lost.wanted)))
        return {number for number in range(footer.chunks) if _intact(copies, footer, number) is None}

    def _copies(self, lost: LostPack) -> list[bytes]:
        """Damaged copies of a pack; the footer is learnt from one if it is not known yet."""
        copies = []
        for medium in self._media:
            with contextlib.suppress(GitMLError):
                data = medium.get(layout.pack_name(lost.ref.hex))
                start, end = lost.ref.footer_range
                lost.learn_footer(data[start:end])
                copies.append(data)
        return copies


@dataclass(slots=True)
class LostFile:
    """A file that has chunks in lost packs.

    Attributes:
        size_bytes: Its size.
        chunks: Number of its chunks.
        runs: Of those in lost packs: pack, first chunk, number of chunks, chunks of the file before.
    """

    size_bytes: int
    chunks: int
    runs: list[tuple[bytes, int, int, int]]


def lost_files(
    medium: Medium, roots: Iterable[Root], lost: Mapping[bytes, LostPack]
) -> dict[bytes, LostFile]:
    """Files that have chunks in lost packs, by digest; what each pack is wanted for is noted in it."""
    found: dict[bytes, LostFile] = {}
    seen: set[bytes] = set()
    for root in roots:
        manifest = load_manifest(medium, root)
        for row in manifest.rows:
            if row.segment_id not in seen:
                seen.add(row.segment_id)
                _note_lost(load_segment(medium, manifest, row), lost, found)
    return found


def _note_lost(segment: Segment, lost: Mapping[bytes, LostPack], found: dict[bytes, LostFile]) -> None:
    if all(pack.id not in lost for pack in segment.packs):
        return
    for entry, runs in enumerate(segment.runs):
        before, mine = 0, []
        for number, first, chunks in runs:
            pack = segment.packs[number]
            if pack.id in lost:
                lost[pack.id].want(first, chunks)
                mine.append((pack.id, first, chunks, before))
            before += chunks
        if mine:
            file = found.setdefault(segment.sha(entry), LostFile(segment.sizes[entry], before, []))
            file.runs += mine if file.chunks == before else []


class Mended(Relayout):
    """Trees laid out without what was lost: see :class:`gitml.store.relocation.rewrite.Relayout`."""

    def __init__(self, medium: Medium, lost: Mapping[bytes, LostPack], remains: Remains) -> None:
        self._lost = lost
        self._remains = remains
        super().__init__(
            medium,
            {
                pack_id: PackUse(pack=one.ref, footer=_NO_FOOTER, wanted=one.wanted)
                for pack_id, one in lost.items()
            },
        )

    def _copy(self, use: PackUse) -> array[int]:
        lost = self._lost[use.pack.id]
        places = array("Q", [NOWHERE]) * max(
            len(lost.wanted), 0 if lost.footer is None else lost.footer.chunks
        )
        for number, chunk in self._remains.chunks(lost):
            if chunk is None or number >= len(lost.wanted) or not lost.wanted[number]:
                continue
            place = self._known.get(chunk.id)
            if place is None:
                place = self._packs.add(chunk.id, chunk.stored, chunk.codec, chunk.raw_bytes)
                self._known.add(chunk.id, place)
                while self._packs.held_bytes > _HELD_BYTES and self._packs.settle(wait=True):
                    pass
            places[number] = place
        return places


_NO_FOOTER: Final = Footer(ids=b"", raw=(), stored=(), codecs=b"", starts=(0,))


def _known_chunk(
    copies: Sequence[bytes], footer: Footer, number: int, found: Slice | None
) -> StoredChunk | None:
    """A chunk that a footer tells of: from a damaged copy of the pack, else from a file."""
    stored, codec, raw_bytes = _intact(copies, footer, number), footer.codecs[number], footer.raw[number]
    if stored is None and found is not None and found.id == footer.id(number):
        raw = found.read()
        stored = raw if raw is None or codec == Codec.RAW else compress_chunk(raw)
    if stored is None:
        return None
    return StoredChunk(footer.id(number), stored, codec, raw_bytes)


def _new_chunk(found: Slice) -> StoredChunk | None:
    """A chunk of a file, stored as a writer might have stored it."""
    raw = found.read()
    if raw is None:
        return None
    frame = compress_chunk(raw)
    if is_worth_it(len(raw), len(frame)):
        return StoredChunk(found.id, frame, Codec.ZSTD, len(raw))
    return StoredChunk(found.id, raw, Codec.RAW, len(raw))


def _intact(copies: Sequence[bytes], footer: Footer, number: int) -> bytes | None:
    """The stored bytes of a chunk in a damaged pack, if they are right."""
    start, end = footer.starts[number], footer.starts[number + 1]
    for data in copies:
        stored = data[start:end]
        with contextlib.suppress(GitMLError):
            raw = decode_chunk(stored, footer.codecs[number], footer.raw[number], "a chunk")
            if hashlib.sha256(raw).digest() == footer.id(number):
                return stored
    return None
