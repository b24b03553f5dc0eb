"""Manifests: the table of contents of one tree.

A row for each segment. The listing digest is taken over the rows without the segments' ids, so it does not
change when the tree is laid out anew; it stands in the pointer and authenticates each row, and through it
each file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from gitml.store.formats import codec, wire
from gitml.store.formats.segment import SEGMENT_LIMIT_ENTRIES
from gitml.store.media.medium import Buffer

EMBEDDED_LIMIT_BYTES = 256 * 1024


class _Wire(wire.Envelope):
    salt: bytes
    tree: bytes
    files: wire.Count
    size: wire.Count = msgspec.field(name="bytes")
    rows: list[tuple[str, wire.Count, wire.Count, bytes, bytes]]
    seg: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One segment as the manifest knows it."""

    first_path: str
    entries: int
    size_bytes: int
    logical: bytes
    segment_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Which tree, and which segments list it."""

    tree: bytes
    files: int
    size_bytes: int
    rows: Sequence[Row]
    embedded: bytes | None = None
    """Stored bytes of the only segment, where it is small."""
    salt: bytes = b""

    def listing(self) -> bytes:
        """The listing digest: what the pointer promises about the rows."""
        return listing_digest(self.rows)


def listing_digest(rows: Sequence[Row]) -> bytes:
    """SHA-256 of the msgpack of the rows without the segments' ids."""
    return hashlib.sha256(
        wire.encode([[row.first_path, row.entries, row.size_bytes, row.logical] for row in rows])
    ).digest()


def encode_manifest(manifest: Manifest) -> wire.StoredObject:
    """The stored bytes of a manifest, and its id."""
    table = _Wire(
        v=wire.VERSION,
        f=[],
        salt=manifest.salt,
        tree=manifest.tree,
        files=manifest.files,
        size=manifest.size_bytes,
        rows=[
            (row.first_path, row.entries, row.size_bytes, row.logical, row.segment_id)
            for row in manifest.rows
        ],
        seg=manifest.embedded,
    )
    return wire.stored(codec.compress_table(wire.encode(table)))


def decode_manifest(data: Buffer, manifest_id: bytes | None, what: str) -> Manifest:
    """Read a manifest; its listing digest is the caller's to judge.

    Raises:
        IntegrityError: It is not that manifest, or not well-formed.
        InvalidInput: It needs a newer GitML.
    """
    wire.check_id(data, manifest_id, what)
    table = wire.decode(codec.decompress(data, codec.MANIFEST_LIMIT_BYTES, what), _Wire, what)
    rows = [
        Row(first_path=first, entries=entries, size_bytes=size, logical=logical, segment_id=segment)
        for first, entries, size, logical, segment in table.rows
    ]
    _check(table, rows, what)
    return Manifest(
        tree=table.tree,
        files=table.files,
        size_bytes=table.size,
        rows=rows,
        embedded=table.seg,
        salt=table.salt,
    )


def _check(table: _Wire, rows: Sequence[Row], what: str) -> None:
    if len(table.tree) != wire.DIGEST_BYTES or not rows:
        raise wire.malformed(what, "it names no tree or has no rows")
    for row in rows:
        if len(row.logical) != wire.DIGEST_BYTES or len(row.segment_id) != wire.DIGEST_BYTES:
            raise wire.malformed(what, "a digest has a wrong length")
        if not 0 < row.entries <= SEGMENT_LIMIT_ENTRIES:
            raise wire.malformed(what, f"a segment claims {row.entries} entries")
    firsts = [row.first_path.encode() for row in rows]
    if any(later <= earlier for earlier, later in pairwise(firsts)):
        raise wire.malformed(what, "its rows are not in path order")
    if sum(row.entries for row in rows) != table.files or sum(row.size_bytes for row in rows) != table.size:
        raise wire.malformed(what, "its rows do not add up to its totals")
    if table.seg is not None and len(rows) != 1:
        raise wire.malformed(what, "it embeds one segment and has several rows")
