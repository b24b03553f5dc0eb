"""Listing the files of a tree while it is written: segments as they close, and the rows of the manifest."""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Collection, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from itertools import dropwhile

from gitml.model.digest import TreeHasher
from gitml.store.formats.manifest import EMBEDDED_LIMIT_BYTES, Manifest, Row, encode_manifest
from gitml.store.formats.runs import Run
from gitml.store.formats.segment import (
    SEGMENT_LIMIT_ENTRIES,
    SEGMENT_LIMIT_LINE_BYTES,
    Segment,
    SegmentBuilder,
    ends_segment,
)
from gitml.store.formats.wire import StoredObject
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.media.objects import put_named
from gitml.store.write.packing import PackWriter

_SALT_BYTES = 16
_FLYING = 4
_WAITING_ENTRIES = 131_072


@dataclass(frozen=True, slots=True)
class _Closed:
    """A segment that has all its files and waits for its packs; where the store has it, only its row is kept."""

    row: Row
    builder: SegmentBuilder | None

    @property
    def packs(self) -> Collection[int]:
        """Numbers of the packs that it names."""
        return () if self.builder is None else self.builder.packs

    @property
    def kept_entries(self) -> int:
        """Entries in memory."""
        return 0 if self.builder is None else self.builder.entries


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
        self._builder = SegmentBuilder()
        self._line_bytes = 0
        self._lines = hashlib.sha256()
        self._tree = TreeHasher()
        self._waiting: deque[_Closed] = deque()
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
        if self._builder.entries and self._line_bytes + len(text) > SEGMENT_LIMIT_LINE_BYTES:
            self._close()
        self._lines.update(text)
        self._line_bytes += len(text)
        self._builder.add(path, size_bytes, sha, runs)
        if self._builder.entries == SEGMENT_LIMIT_ENTRIES or ends_segment(path):
            self._close()

    def _close(self) -> None:
        builder, logical = self._builder, self._lines.digest()
        if builder.entries:
            known = self._known.get(logical)
            row = Row(
                first_path=builder.first_path,
                entries=builder.entries,
                size_bytes=builder.size_bytes,
                logical=logical,
                segment_id=known or b"",
            )
            self._waiting.append(_Closed(row, builder if known is None else None))
        self._builder, self._line_bytes, self._lines = SegmentBuilder(), 0, hashlib.sha256()
        self._let_go()

    def _let_go(self) -> None:
        """Keep memory flat where so few files are new that no pack gets full for long."""
        if self._entries_behind(self._packs.open_pack) > _WAITING_ENTRIES:
            self._packs.close()
        self.flush()
        while self._entries_behind(None) > 2 * _WAITING_ENTRIES and self._packs.settle(wait=True):
            self.flush()

    def _entries_behind(self, pack: int | None) -> int:
        """Entries that wait for a pack, or for a segment that does; without a pack, all that wait."""
        waiting = dropwhile(lambda closed: pack is not None and pack not in closed.packs, self._waiting)
        return sum(closed.kept_entries for closed in waiting)

    def flush(self) -> None:
        """Write the segments whose packs are durable."""
        while self._waiting and all(map(self._packs.is_durable, self._waiting[0].packs)):
            self._write(self._waiting.popleft())

    def _write(self, closed: _Closed) -> None:
        row = closed.row
        if self._held is not None:
            self._put(self._held)
            self._held = None
        if closed.builder is not None:
            stored = self._encode(closed.builder)
            row = replace(row, segment_id=stored.id)
            if not self._rows:
                self._held = stored
            else:
                self._put(stored)
        self._rows.append(row)

    def _encode(self, builder: SegmentBuilder) -> StoredObject:
        packs = [self._packs.ref(number) for number in builder.packs]
        stored = builder.encode(packs)
        if layout.segment_name(stored.hex) in self._condemned:
            stored = builder.encode(packs, salt=secrets.token_bytes(_SALT_BYTES))
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
