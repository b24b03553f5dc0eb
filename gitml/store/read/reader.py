"""Reading a tree: from a root to manifest, segments and packs, with every step checked.

The pointer in git promises a tree digest and a listing digest. The listing digest covers the rows of the manifest, a
row's logical digest covers the paths and file digests of its segment, and a file digest covers the bytes. So what a
reader returns is right even where somebody else can write to the store; whatever is not raises an
:class:`IntegrityError` that names the asset, the file and the object.
"""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from gitml.errors import NotFound
from gitml.model.digest import Digest
from gitml.model.paths import path_problem
from gitml.model.progress import SILENT, Progress
from gitml.model.shown import shown
from gitml.store.formats.manifest import Manifest, Row, decode_manifest
from gitml.store.formats.pack import PackRef
from gitml.store.formats.root import Root
from gitml.store.formats.segment import Segment, decode_segment
from gitml.store.media import layout
from gitml.store.media.cache import Cache, CachedMedium
from gitml.store.media.medium import Medium
from gitml.store.read.changes import changes
from gitml.store.read.entries import FileEntry, Sink
from gitml.store.read.fetching import Fetch
from gitml.store.read.handle import FileHandle, Run
from gitml.store.read.naming import damaged, naming
from gitml.store.read.packs import PackReader
from gitml.store.read.resending import TreeSource
from gitml.store.read.spool import Spool
from gitml.store.read.streaming import stream

__all__ = ["FileEntry", "Located", "Promised", "TreeReader", "TreeSource", "changes"]

_KEPT_ENTRIES: Final = 100_000


class Promised(Protocol):
    """What the pointer in git says of the contents."""

    @property
    def digest(self) -> Digest: ...
    @property
    def listing(self) -> Digest: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def files(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A file of a tree, and the chunks it is made of."""

    entry: FileEntry
    runs: Sequence[Run]


class TreeReader:
    """Reads one tree; safe to use from several threads.

    Args:
        expected: What the pointer promises; the root must agree.
        label: Names the asset in errors, `models/digits@3`.
        cache: Keeps what was read and never changes.
        jobs: Threads of a bulk read.
        kept_entries: Entries of segments to keep in memory; one segment is kept in any case.

    Raises:
        IntegrityError: The root is not the promised one.
    """

    def __init__(
        self,
        medium: Medium,
        root: Root,
        *,
        expected: Promised | None = None,
        label: str = "",
        cache: Cache | None = None,
        jobs: int | None = None,
        kept_entries: int = _KEPT_ENTRIES,
    ) -> None:
        self.root = root
        self._kept_entries = kept_entries
        self.label = label
        self.packs = PackReader(medium, cache)
        self._medium = medium if cache is None else CachedMedium(medium, cache)
        self._jobs = jobs
        self._lock = threading.RLock()
        self._manifest: Manifest | None = None
        self._segments: OrderedDict[int, Segment] = OrderedDict()
        if expected is not None:
            self._check_root(expected)

    @property
    def files(self) -> int:
        """Number of files."""
        return self.root.files

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return self.root.size_bytes

    @property
    def rows(self) -> Sequence[Row]:
        """The segments, as the manifest lists them; one request the first time."""
        return self.manifest().rows

    def manifest(self) -> Manifest:
        """The manifest, checked against the root.

        Raises:
            IntegrityError: It is lost, damaged, or of another tree.
        """
        with self._lock:
            if self._manifest is None:
                self._manifest = self._read_manifest()
            return self._manifest

    def segment(self, number: int) -> Segment:
        """A segment, checked against its row of the manifest; kept for a while.

        Raises:
            IntegrityError: It is lost, damaged, or not what the row says.
        """
        manifest = self.manifest()
        with self._lock:
            segment = self._segments.get(number)
            if segment is None:
                segment = self._read_segment(manifest, number)
                self._segments[number] = segment
                while (
                    len(self._segments) > 1
                    and sum(len(s.paths) for s in self._segments.values()) > self._kept_entries
                ):
                    self._segments.popitem(last=False)
            else:
                self._segments.move_to_end(number)
            return segment

    def _passing(self, number: int) -> Segment:
        """A segment on the way through all of them, which is kept where all can be."""
        if self.files <= self._kept_entries or number in self._segments:
            return self.segment(number)
        return self._read_segment(self.manifest(), number)

    def segment_name(self, number: int) -> str:
        """Name of the object that holds a segment: the manifest where it is embedded."""
        manifest = self.manifest()
        if manifest.embedded is not None:
            return layout.manifest_name(self.root.manifest)
        return layout.segment_name(manifest.rows[number].segment_id.hex())

    def entries(self) -> Iterator[FileEntry]:
        """Every file in path order; the tree digest is checked after the last.

        Raises:
            IntegrityError: A file list is not what the pointer promises.
        """
        tree = hashlib.sha256()
        for number in range(len(self.rows)):
            segment = self._passing(number)
            for lines in segment.lines():
                tree.update(lines)
            for at in range(len(segment.paths)):
                yield _entry(segment, at)
        self.check_tree(tree.digest())

    def check_tree(self, digest: bytes) -> None:
        """Compare the digest of all lines that the segments list with the tree's.

        Raises:
            IntegrityError: They make another tree.
        """
        if digest != self.root.tree.raw:
            name = layout.manifest_name(self.root.manifest)
            raise damaged(
                "its files do not make the tree that was registered", self.label, name, code="tree-digest"
            )

    def entries_below(self, path: str) -> Iterator[FileEntry]:
        """The file at a path, or the files of the folder there, in path order; the rest of the list is not read.

        Raises:
            IntegrityError: A file list is not what the pointer promises.
        """
        below = path + "/"
        first, last = _before(self.rows, path), _before(self.rows, path + chr(ord("/") + 1))
        for number in range(max(0, first), last + 1):
            for entry in self.segment_entries(number):
                if entry.path == path or entry.path.startswith(below):
                    yield entry

    def segment_entries(self, number: int) -> Iterator[FileEntry]:
        """The files that one segment lists."""
        segment = self.segment(number)
        for at in range(len(segment.paths)):
            yield _entry(segment, at)

    def entry(self, path: str) -> FileEntry:
        """One file, found without reading the rest of the list.

        Raises:
            NotFound: The tree has no such file.
            IntegrityError: What was read on the way is not right.
        """
        return self._find(path).entry

    def open(self, path: str) -> FileHandle:
        """Open one file for reading by ranges; each chunk is checked.

        Raises:
            NotFound: The tree has no such file.
            IntegrityError: What was read on the way is not right.
        """
        found = self._find(path)
        return FileHandle(self.packs, found.entry, found.runs, self.label)

    def stream(self, entries: Iterable[FileEntry]) -> Iterator[tuple[FileEntry, Iterator[bytes]]]:
        """The bytes of files, one file after the other; each digest is checked with the last byte.

        Entries in path order are read fastest. A file's bytes must be used before the next file is asked for.

        Raises:
            IntegrityError: A file cannot be had as it was registered.
        """
        return self.stream_located(self.locate(entries))

    def stream_located(self, located: Iterable[Located]) -> Iterator[tuple[FileEntry, Iterator[bytes]]]:
        """See :meth:`stream`; for files that were located already."""
        return stream(self.packs, located, self.label)

    def fetch(
        self,
        entries: Iterable[FileEntry],
        sink: Sink,
        *,
        progress: Progress = SILENT,
        jobs: int | None = None,
    ) -> None:
        """Send files to a sink, in the order of the packs that hold them.

        Every file reaches the sink at most once, and only with the right bytes; a large one is `finish`ed only
        then. At most as many packs are in memory at a time as the medium says (`flight`).

        Raises:
            IntegrityError: A file cannot be had as it was registered; others may have reached the sink.
        """
        listed = entries if isinstance(entries, Sequence) else Spool(FileEntry, entries)
        work = Fetch(
            self.packs,
            listed,
            self.locate(listed),
            sink,
            label=self.label,
            jobs=jobs or self._jobs,
            advance=progress.advance,
        )
        with self._lock:
            self._segments.clear()
        work.run()

    def locate(self, entries: Iterable[FileEntry]) -> Iterator[Located]:
        """Where the chunks of files lie.

        Raises:
            NotFound: The tree has no such file.
        """
        number, at = -1, -1
        segment: Segment | None = None
        for entry in entries:
            at += 1
            if segment is None or at >= len(segment.paths) or segment.paths[at] != entry.path:
                before, number = number, self._row_of(entry.path)
                segment = self._passing(number) if number > before else self.segment(number)
                at = self._position(segment, entry.path)
            yield Located(entry=entry, runs=_runs(segment, at))

    def _find(self, path: str) -> Located:
        segment = self.segment(self._row_of(path))
        at = self._position(segment, path)
        return Located(entry=_entry(segment, at), runs=_runs(segment, at))

    def _row_of(self, path: str) -> int:
        row = _before(self.rows, path)
        if row < 0:
            raise self._no_such_file(path)
        return row

    def _position(self, segment: Segment, path: str) -> int:
        key = path.encode("utf-8", "surrogatepass")
        at = bisect_left(segment.paths, key, key=lambda other: other.encode())
        if at == len(segment.paths) or segment.paths[at] != path:
            raise self._no_such_file(path)
        return at

    def _no_such_file(self, path: str) -> NotFound:
        return NotFound(
            f"{self.label or 'this tree'} has no file {shown(path)}",
            code="no-such-file",
            hint=f"gitml show --files {self.label}" if self.label else "list its files",
            context={"asset": self.label or None, "file": ascii(path)},
        )

    def _check_root(self, expected: Promised) -> None:
        root = self.root
        for what, found, promised in (
            ("tree digest", root.tree, expected.digest),
            ("listing digest", root.listing, expected.listing),
            ("size", root.size_bytes, expected.size_bytes),
            ("number of files", root.files, expected.files),
        ):
            if found != promised:
                raise damaged(
                    f"the root in the store says {what} {found}, the pointer says {promised}",
                    self.label,
                    layout.ROOTS + (self.label.replace("@", "/") or "?"),
                    code="root-differs",
                )

    def _read_manifest(self) -> Manifest:
        root = self.root
        name = layout.manifest_name(root.manifest)
        with naming(self.label, name):
            manifest = decode_manifest(self._medium.get(name), bytes.fromhex(root.manifest), name)
            if manifest.listing() != root.listing.raw or manifest.tree != root.tree.raw:
                raise damaged("it lists another tree", self.label, name, code="listing-digest")
            if (manifest.files, manifest.size_bytes) != (root.files, root.size_bytes):
                raise damaged("its totals differ from the root's", self.label, name, code="listing-totals")
        return manifest

    def _read_segment(self, manifest: Manifest, number: int) -> Segment:
        row = manifest.rows[number]
        name = self.segment_name(number)
        with naming(self.label, name):
            stored = manifest.embedded if manifest.embedded is not None else self._medium.get(name)
            segment = decode_segment(stored, row.segment_id, name)
            if segment.logical_digest() != row.logical:
                raise damaged("it lists other files", self.label, name, code="logical-digest")
            if len(segment.paths) != row.entries or sum(segment.sizes) != row.size_bytes:
                raise damaged(
                    "its totals differ from the manifest's", self.label, name, code="listing-totals"
                )
            following = manifest.rows[number + 1].first_path if number + 1 < len(manifest.rows) else None
            self._check_paths(segment.paths, row.first_path, following, name)
        return segment

    def _check_paths(self, paths: Sequence[str], first: str, following: str | None, name: str) -> None:
        for path in paths:
            if problem := path_problem(path):
                raise damaged(
                    f"the path {shown(path)} is refused: {problem}", self.label, name, code="bad-path"
                )
        # Texts are in the order of their UTF-8: both compare code points.
        in_order = all(map(str.__lt__, paths, islice(paths, 1, None)))
        if not in_order or paths[0] != first or (following is not None and paths[-1] >= following):
            raise damaged("its paths are not in order", self.label, name, code="path-order")


def _before(rows: Sequence[Row], path: str) -> int:
    """Number of the last row that begins at a path or before it; -1 where none does."""
    key = path.encode("utf-8", "surrogatepass")
    return bisect_right(rows, key, key=lambda row: row.first_path.encode("utf-8", "surrogatepass")) - 1


def _entry(segment: Segment, at: int) -> FileEntry:
    return FileEntry(path=segment.paths[at], size_bytes=segment.sizes[at], digest=segment.sha(at))


def _runs(segment: Segment, at: int) -> list[tuple[PackRef, int, int]]:
    return [(segment.packs[pack], first, chunks) for pack, first, chunks in segment.runs[at]]
