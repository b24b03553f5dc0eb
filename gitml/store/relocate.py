"""Writing a tree's objects again under names that no collection of garbage ever condemned.

A collector deletes only what stood in a list of dead names for days. A writer that finds an object it uses in such a
list gives its bytes a new home with a random salt, and thereby a new name; whoever deletes the old one then deletes
nothing that is used.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from gitml.store import layout
from gitml.store.listing import salted, salted_manifest
from gitml.store.manifest import Manifest, Row, decode_manifest, encode_manifest
from gitml.store.medium import Medium
from gitml.store.objects import put_named
from gitml.store.pack import PackRef, encode_footer, pack_tail, split_pack
from gitml.store.root import Root
from gitml.store.segment import Segment, decode_segment, encode_segment

_SALT_BYTES = 16


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


def relocate(medium: Medium, root: Root, condemned: Collection[str]) -> Root:
    """Write again what is condemned of a tree, and what names it; the equivalent root, which is not written."""
    manifest = load_manifest(medium, root)
    moved: dict[bytes, PackRef] = {}
    rows: list[Row] = []
    embedded = manifest.embedded
    for row in manifest.rows:
        segment = load_segment(medium, manifest, row)
        for pack in segment.packs:
            if layout.pack_name(pack.hex) in condemned and pack.id not in moved:
                moved[pack.id] = _move_pack(medium, pack)
        is_condemned = layout.segment_name(row.segment_id.hex()) in condemned
        if is_condemned or any(pack.id in moved for pack in segment.packs):
            packs = [moved.get(pack.id, pack) for pack in segment.packs]
            stored = encode_segment(salted(replace(segment, packs=packs)))
            if embedded is None:
                put_named(medium, layout.segment_name(stored.hex), [stored.data])
            else:
                embedded = stored.data
            row = replace(row, segment_id=stored.id)
        rows.append(row)
    stored = encode_manifest(salted_manifest(replace(manifest, rows=rows, embedded=embedded)))
    put_named(medium, layout.manifest_name(stored.hex), [stored.data])
    return replace(root, manifest=stored.hex)


def _move_pack(medium: Medium, pack: PackRef) -> PackRef:
    name = layout.pack_name(pack.hex)
    payload, footer = split_pack(medium.get(name), pack.id, name)
    salt = secrets.token_bytes(_SALT_BYTES)
    stored = encode_footer(footer.ids, footer.raw, footer.stored, footer.codecs, salt=salt)
    tail = pack_tail(stored.data)
    put_named(medium, layout.pack_name(stored.hex), [payload, tail])
    return PackRef(id=stored.id, size_bytes=len(payload) + len(tail), footer_bytes=len(stored.data))
