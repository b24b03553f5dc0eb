"""Stores made by hand, so that tests can lay out trees in ways that the writer does not, and in ways nobody should."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gitml.model.digest import Digest
from gitml.store.formats import codec, wire
from gitml.store.formats.manifest import Manifest, Row, encode_manifest
from gitml.store.formats.pack import PackRef, encode_footer, pack_tail
from gitml.store.formats.root import Root
from gitml.store.formats.segment import Segment, encode_segment
from gitml.store.media import layout
from gitml.store.media.memory import MemoryMedium


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@dataclass
class Crafted:
    """A store under construction."""

    medium: MemoryMedium = field(default_factory=MemoryMedium)

    def pack(
        self,
        chunks: Sequence[bytes],
        *,
        compress: Sequence[int] = (),
        raw: Sequence[int] | None = None,
        **codecs: Any,
    ) -> PackRef:
        """Write a pack; `compress` numbers the chunks to store as zstd, `raw` lies about lengths."""
        stored = [codec.compress_chunk(c) if n in compress else c for n, c in enumerate(chunks)]
        stored = [codecs["stored"].get(n, s) for n, s in enumerate(stored)] if "stored" in codecs else stored
        footer = encode_footer(
            b"".join(map(sha, chunks)),
            list(raw) if raw is not None else [len(c) for c in chunks],
            [len(s) for s in stored],
            bytes(1 if n in compress else 0 for n in range(len(chunks))),
        )
        body = b"".join(stored) + pack_tail(footer.data)
        self.medium.put(layout.pack_name(footer.hex), [body])
        return PackRef(id=footer.id, size_bytes=len(body), footer_bytes=len(footer.data))

    def segment(
        self, files: Sequence[tuple[str, int, bytes, list]], packs: Sequence[PackRef]
    ) -> tuple[Row, bytes]:
        """Write a segment of (path, size, digest, runs)."""
        segment = Segment(
            paths=[f[0] for f in files],
            sizes=[f[1] for f in files],
            shas=b"".join(f[2] for f in files),
            runs=[f[3] for f in files],
            packs=packs,
        )
        body = encode_segment(segment)
        self.medium.put(layout.segment_name(body.hex), [body.data])
        row = Row(
            first_path=segment.paths[0] if segment.paths else "",
            entries=len(files),
            size_bytes=sum(f[1] for f in files),
            logical=segment.logical_digest(),
            segment_id=body.id,
        )
        return row, body.data

    def root(self, rows: Sequence[Row], lines: bytes, *, embedded: bytes | None = None, **lies: Any) -> Root:
        """Write a manifest, and give its root."""
        manifest = Manifest(
            tree=sha(lines),
            files=sum(row.entries for row in rows),
            size_bytes=sum(row.size_bytes for row in rows),
            rows=rows,
            embedded=embedded,
        )
        manifest = replace(manifest, **lies)
        body = encode_manifest(manifest)
        self.medium.put(layout.manifest_name(body.hex), [body.data])
        return Root(
            tree=Digest(manifest.tree),
            listing=Digest(manifest.listing()),
            manifest=body.hex,
            size_bytes=manifest.size_bytes,
            files=manifest.files,
            created="2026-11-21T00:00:00Z",
        )

    def tree(
        self, segments: Sequence[Sequence[tuple[str, int, bytes, list]]], packs: Sequence[PackRef]
    ) -> Root:
        """Write segments and a manifest."""
        rows = [self.segment(files, packs)[0] for files in segments]
        lines = b"".join(f"{f[2].hex()}  {f[0]}\n".encode() for files in segments for f in files)
        return self.root(rows, lines)

    def raw_segment(self, table: dict[str, Any]) -> bytes:
        """Write any msgpack as a segment; its id."""
        body = wire.stored(codec.compress_table(wire.encode(table)))
        self.medium.put(layout.segment_name(body.hex), [body.data])
        return body.id
