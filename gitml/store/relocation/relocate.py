"""What a tree is made of: its manifest, its segments, and the names of all objects that its root reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitml.store.formats.manifest import Manifest, Row, decode_manifest
from gitml.store.formats.pack import PackRef
from gitml.store.formats.root import Root
from gitml.store.formats.segment import Segment, decode_segment
from gitml.store.media import layout
from gitml.store.media.medium import Medium


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedObject:
    """An object that a tree needs, and the size it must have where that is known."""

    name: str
    size_bytes: int | None
    pack: PackRef | None = None


def load_manifest(medium: Medium, root: Root) -> Manifest:
    """The manifest that a root names."""
    name = layout.manifest_name(root.manifest)
    return decode_manifest(medium.get(name), bytes.fromhex(root.manifest), name)


def load_segment(medium: Medium, manifest: Manifest, row: Row) -> Segment:
    """The segment of a row."""
    name = layout.segment_name(row.segment_id.hex())
    data = medium.get(name) if manifest.embedded is None else manifest.embedded
    return decode_segment(data, row.segment_id, name)


def used_objects(medium: Medium, root: Root) -> Iterator[UsedObject]:
    """All objects that a root reaches: the manifest, each segment, each pack once.

    Raises:
        NotFound: The manifest or a segment is missing; it was the last one named.
    """
    yield UsedObject(name=layout.manifest_name(root.manifest), size_bytes=None)
    manifest = load_manifest(medium, root)
    seen: set[bytes] = set()
    for row in manifest.rows:
        if manifest.embedded is None:
            yield UsedObject(name=layout.segment_name(row.segment_id.hex()), size_bytes=None)
        for pack in load_segment(medium, manifest, row).packs:
            if pack.id not in seen:
                seen.add(pack.id)
                yield UsedObject(name=layout.pack_name(pack.hex), size_bytes=pack.size_bytes, pack=pack)
