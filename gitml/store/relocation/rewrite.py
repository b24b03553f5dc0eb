"""Giving chunks a new home: new packs, and trees that are laid out with them.

Nothing is deleted here, and what a tree says does not change: rows and logical digests stay, so that its listing
digest and its tree digest do, and pointers in git go on being right. Chunks are copied as they are stored, after
being compared with their ids.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from gitml.model.progress import SILENT, Progress
from gitml.store.formats.manifest import EMBEDDED_LIMIT_BYTES, Manifest, Row, encode_manifest
from gitml.store.formats.pack import Footer, PackRef, split_pack
from gitml.store.formats.root import Root
from gitml.store.formats.runs import Run
from gitml.store.formats.segment import Segment, encode_segment
from gitml.store.formats.wire import StoredObject
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.media.objects import condemned_names, put_named
from gitml.store.read.naming import naming
from gitml.store.read.packs import PackBody, PackReader, known_footer
from gitml.store.relocation.relocate import load_manifest, load_segment, used_objects
from gitml.store.write.dedup import KnownChunks
from gitml.store.write.journal import Journal
from gitml.store.write.listing import salted, salted_manifest
from gitml.store.write.packing import PackWriter, extend_runs, join_place, split_place

_HELD_BYTES: Final = 64 * 1024 * 1024
_JOBS: Final = 2
NOWHERE: Final = (1 << 64) - 1
"""The place of a chunk that has not moved."""


class _Every(frozenset[str]):
    """Holds every name."""

    def __contains__(self, name: object) -> bool:
        return True


@dataclass(slots=True, kw_only=True)
class PackUse:
    """Which chunks of a pack are wanted.

    Attributes:
        pack: The pack.
        footer: Its table of contents.
        wanted: A byte for each chunk: 1 where a tree uses it.
    """

    pack: PackRef
    footer: Footer
    wanted: bytearray

    @property
    def wanted_bytes(self) -> int:
        """Stored bytes of the wanted chunks."""
        return sum(size for size, flag in zip(self.footer.stored, self.wanted, strict=True) if flag)


def pack_uses(
    medium: Medium, roots: Iterable[Root], *, among: Collection[bytes] | None = None
) -> dict[bytes, PackUse]:
    """What trees use of each pack, in the order of their paths; of some packs only, where `among` names them.

    Raises:
        NotFound: An object is missing.
        IntegrityError: An object is damaged.
    """
    packs = PackReader(medium)
    uses: dict[bytes, PackUse] = {}
    seen: set[bytes] = set()
    for root in roots:
        manifest = load_manifest(medium, root)
        for row in manifest.rows:
            if row.segment_id in seen:
                continue
            seen.add(row.segment_id)
            segment = load_segment(medium, manifest, row)
            for runs in segment.runs:
                for number, first, chunks in runs:
                    pack = segment.packs[number]
                    if among is not None and pack.id not in among:
                        continue
                    if pack.id not in uses:
                        footer = packs.footer(pack).footer
                        uses[pack.id] = PackUse(pack=pack, footer=footer, wanted=bytearray(footer.chunks))
                    uses[pack.id].wanted[first : first + chunks] = b"\1" * chunks
    return uses


class Relayout:
    """Chunks that have moved, and trees that follow them.

    Args:
        medium: The store's.
        uses: The packs to leave, and which of their chunks are wanted.
        progress: Learns of the bytes that were copied.
        fresh: Salt every new object, so that nothing ever had its name.
    """

    def __init__(
        self,
        medium: Medium,
        uses: Mapping[bytes, PackUse],
        progress: Progress = SILENT,
        *,
        fresh: bool = False,
    ) -> None:
        self._medium = medium
        self._condemned = _Every() if fresh else condemned_names(medium)
        self._places: dict[bytes, array[int]] = {}
        self._segments: dict[bytes, bytes] = {}
        self._known = KnownChunks()
        with ThreadPoolExecutor(_JOBS, thread_name_prefix="gitml-repack") as pool:
            self._packs = PackWriter(medium, Journal(None, medium.url), pool, self._condemned)
            for use in uses.values():
                self._places[use.pack.id] = self._copy(use)
                progress.advance(size_bytes=use.pack.size_bytes)
            self._packs.finish()

    @property
    def packs_written(self) -> int:
        """Packs that were filled."""
        return self._packs.written

    def root(self, root: Root, leaving: Collection[str] = ()) -> Root:
        """The same tree in the new layout; its objects are durable, and no root names them yet.

        Args:
            root: The tree as it is laid out now.
            leaving: Names of manifests and segments that must not be used any more.

        Raises:
            NotFound: An object is missing.
            IntegrityError: An object is damaged.
        """
        manifest = load_manifest(self._medium, root)
        embedded = manifest.embedded
        if embedded is None:
            rows = [self._row(manifest, row, leaving) for row in manifest.rows]
        else:
            rows = list(manifest.rows)
            moved = self._moved(load_segment(self._medium, manifest, rows[0]))
            if moved is not None:
                embedded = moved.data if len(moved.data) <= EMBEDDED_LIMIT_BYTES else None
                if embedded is None:
                    put_named(self._medium, layout.segment_name(moved.hex), [moved.data])
                rows = [replace(rows[0], segment_id=moved.id)]
        if rows == list(manifest.rows) and layout.manifest_name(root.manifest) not in leaving:
            return root
        changed = replace(manifest, rows=rows, embedded=embedded, salt=b"")
        stored = encode_manifest(changed)
        if layout.manifest_name(stored.hex) in self._condemned:
            stored = encode_manifest(salted_manifest(changed))
        put_named(self._medium, layout.manifest_name(stored.hex), [stored.data])
        return replace(root, manifest=stored.hex)

    def _row(self, manifest: Manifest, row: Row, leaving: Collection[str]) -> Row:
        """The row of a segment in its new layout, which is durable; segments that versions share move once."""
        moved_id = self._segments.get(row.segment_id)
        if moved_id is None:
            has_to = layout.segment_name(row.segment_id.hex()) in leaving
            moved = self._moved(load_segment(self._medium, manifest, row), has_to=has_to)
            moved_id = row.segment_id if moved is None else moved.id
            if moved is not None:
                put_named(self._medium, layout.segment_name(moved.hex), [moved.data])
            self._segments[row.segment_id] = moved_id
        return replace(row, segment_id=moved_id)

    def _copy(self, use: PackUse) -> array[int]:
        """Copy the wanted chunks of a pack; where each of its chunks is now."""
        name = layout.pack_name(use.pack.hex)
        payload, footer = split_pack(self._medium.get(name), use.pack.id, name)
        body = PackBody(name, known_footer(footer), [(0, payload)])
        places = array("Q", [NOWHERE]) * footer.chunks
        with naming("", name):
            for number, flag in enumerate(use.wanted):
                if not flag:
                    continue
                chunk = footer.place(number)
                place = self._known.get(chunk.id)
                if place is None:
                    body.chunk(number)  # compares it with its id
                    # A copy, so that a few chunks do not keep their whole pack in memory.
                    stored = bytes(payload[chunk.start : chunk.end])
                    place = self._packs.add(chunk.id, stored, chunk.codec, chunk.raw_bytes)
                    self._known.add(chunk.id, place)
                    while self._packs.held_bytes > _HELD_BYTES and self._packs.settle(wait=True):
                        pass
                places[number] = place
        return places

    def _moved(self, segment: Segment, *, has_to: bool = False) -> StoredObject | None:
        """A segment whose runs name the new places; None where none of its packs has moved, unless it has to."""
        if not has_to and all(pack.id not in self._places for pack in segment.packs):
            return None
        packs: dict[PackRef, int] = {}
        all_runs = []
        for runs in segment.runs:
            moved: list[Run] = []
            for number, first, chunks in runs:
                pack = segment.packs[number]
                places = self._places.get(pack.id)
                if places is None:
                    moved.append((packs.setdefault(pack, len(packs)), first, chunks))
                    continue
                for step, place in enumerate(places[first : first + chunks]):
                    there, at = pack, first + step
                    if place != NOWHERE:
                        filled, at = split_place(place)
                        there = self._packs.ref(filled)
                    extend_runs(moved, join_place(packs.setdefault(there, len(packs)), at))
            all_runs.append(moved)
        changed = replace(segment, runs=all_runs, packs=list(packs), salt=b"")
        stored = encode_segment(changed)
        if layout.segment_name(stored.hex) in self._condemned:
            stored = encode_segment(salted(changed))
        return stored


def relocate(medium: Medium, root: Root, condemned: Collection[str]) -> Root:
    """Write again what is condemned of a tree, and what names it; the equivalent root, which is not written.

    A collector deletes only what stood in a list of dead names. A writer that finds an object it uses in such a list
    gives the chunks it needs a new home under names that no list ever had; whoever deletes the old ones then deletes
    nothing that is used.

    Raises:
        NotFound: An object is gone already.
        IntegrityError: An object is damaged.
    """
    among = {
        used.pack.id
        for used in used_objects(medium, root)
        if used.pack is not None and used.name in condemned
    }
    uses = pack_uses(medium, [root], among=among)
    return Relayout(medium, uses, fresh=True).root(root, condemned)
