"""Listing the files of a tree while it is written: segments as they close, and the rows of the manifest."""

from __future__ import annotations

import hashlib
import secrets
from array import array
from collections import deque
from collections.abc import Collection, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from gitml.model.digest import TreeHasher
from gitml.store.formats.manifest import EMBEDDED_LIMIT_BYTES, Manifest, Row, encode_manifest
from gitml.store.formats.pack import PackRef
from gitml.store.formats.runs import Run, Runs
from gitml.store.formats.segment import (
    SEGMENT_LIMIT_ENTRIES,
    SEGMENT_LIMIT_LINE_BYTES,
    Segment,
    encode_segment,
    ends_segment,
)
from gitml.store.formats.wire import StoredObject
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.media.objects import put_named
from gitml.store.write.packing import PackWriter

_SALT_BYTES = 16
_FLYING = 4


@dataclass(slots=True)
class _Draft:
    """Entries of one segment; their runs name packs by the numbers of the pack writer."""

    paths: list[str] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("Q"))
    shas: bytearray = field(default_factory=bytearray)
    runs: Runs = field(default_factory=Runs)
    packs: set[int] = field(default_factory=set)
    line_bytes: int = 0


class ListingWriter:
    """Takes the files of a tree in path order; a segment follows the packs it names.

    Args:
        medium: Where segments and the manifest go.
        packs: Knows the packs that runs name.
        pool: Runs the puts.
        known: Logical digest and id of segments that the store holds.
        condemned: Names that new objects must not have.
    """

    def __init__(
        self,
        medium: Medium,
        packs: PackWriter,
        pool: Executor,
        known: Mapping[bytes, bytes],
        condemned: Collection[str] = (),
    ) -> None:
        self._medium = medium
        self._packs = packs
        self._pool = pool
        self._known = known
        self._condemned = condemned
        self._draft = _Draft()
        self._lines = hashlib.sha256()
        self._tree = TreeHasher()
        self._waiting: deque[tuple[_Draft, bytes]] = deque()
        self._held: StoredObject | None = None  # the first segment: embedded if it stays the only one
        self._flying: deque[Future[None]] = deque()
        self._rows: list[Row] = []
        self.written = 0

    def add(self, path: str, size_bytes: int, sha: bytes, runs: list[Run]) -> None:
        """List a file.

        Raises:
            ValueError: Its path does not come after the one before.
        """
        text = self._tree.add(path, sha)
        draft = self._draft
        if draft.paths and draft.line_bytes + len(text) > SEGMENT_LIMIT_LINE_BYTES:
            self._close()
            draft = self._draft
        self._lines.update(text)
        draft.paths.append(path)
        draft.sizes.append(size_bytes)
        draft.shas += sha
        draft.runs.append(runs)
        draft.packs.update(run[0] for run in runs)
        draft.line_bytes += len(text)
        if len(draft.paths) == SEGMENT_LIMIT_ENTRIES or ends_segment(path):
            self._close()

    def _close(self) -> None:
        if self._draft.paths:
            self._waiting.append((self._draft, self._lines.digest()))
        self._draft, self._lines = _Draft(), hashlib.sha256()
        self.flush()

    def flush(self) -> None:
        """Write the segments whose packs are durable."""
        while self._waiting and all(map(self._packs.is_durable, self._waiting[0][0].packs)):
            self._write(*self._waiting.popleft())

    def _write(self, draft: _Draft, logical: bytes) -> None:
        known = self._known.get(logical)
        if self._held is not None:
            self._put(self._held)
            self._held = None
        if known is not None:
            segment_id = known
        else:
            stored = self._encode(draft)
            segment_id = stored.id
            if not self._rows:
                self._held = stored
            else:
                self._put(stored)
        self._rows.append(
            Row(
                first_path=draft.paths[0],
                entries=len(draft.paths),
                size_bytes=sum(draft.sizes),
                logical=logical,
                segment_id=segment_id,
            )
        )

    def _encode(self, draft: _Draft) -> StoredObject:
        numbers: dict[int, int] = {}
        packs: list[PackRef] = []
        for runs in draft.runs:
            for pack, _, _ in runs:
                if pack not in numbers:
                    numbers[pack] = len(packs)
                    packs.append(self._packs.ref(pack))
        segment = Segment(
            paths=draft.paths,
            sizes=draft.sizes,
            shas=bytes(draft.shas),
            runs=Runs(
                [(numbers[pack], first, chunks) for pack, first, chunks in runs] for runs in draft.runs
            ),
            packs=packs,
        )
        stored = encode_segment(segment)
        if layout.segment_name(stored.hex) in self._condemned:
            stored = encode_segment(salted(segment))
        return stored

    def _put(self, stored: StoredObject) -> None:
        while len(self._flying) >= _FLYING:
            self._flying.popleft().result()
        name = layout.segment_name(stored.hex)
        self._flying.append(self._pool.submit(put_named, self._medium, name, [stored.data]))
        self.written += 1

    def finish(self) -> tuple[Manifest, StoredObject]:
        """Write what is left, and the manifest, once all packs are durable; both it and its stored form."""
        self._close()
        embedded = None
        if self._held is not None:
            if len(self._rows) == 1 and len(self._held.data) <= EMBEDDED_LIMIT_BYTES:
                embedded = self._held.data
            else:
                self._put(self._held)
            self._held = None
        while self._flying:
            self._flying.popleft().result()
        manifest = Manifest(
            tree=self._tree.digest().raw,
            files=sum(row.entries for row in self._rows),
            size_bytes=sum(row.size_bytes for row in self._rows),
            rows=self._rows,
            embedded=embedded,
        )
        stored = encode_manifest(manifest)
        if layout.manifest_name(stored.hex) in self._condemned:
            stored = encode_manifest(salted_manifest(manifest))
        put_named(self._medium, layout.manifest_name(stored.hex), [stored.data])
        return manifest, stored


def salted(segment: Segment) -> Segment:
    """The same segment under a name that nothing ever had."""
    return Segment(
        paths=segment.paths,
        sizes=segment.sizes,
        shas=segment.shas,
        runs=segment.runs,
        packs=segment.packs,
        salt=secrets.token_bytes(_SALT_BYTES),
    )


def salted_manifest(manifest: Manifest) -> Manifest:
    """The same manifest under a name that nothing ever had."""
    return Manifest(
        tree=manifest.tree,
        files=manifest.files,
        size_bytes=manifest.size_bytes,
        rows=manifest.rows,
        embedded=manifest.embedded,
        salt=secrets.token_bytes(_SALT_BYTES),
    )
