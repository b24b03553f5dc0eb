"""A store: trees go in, and are claimed by versions.

The order of a write is the promise: packs, segments, manifest, and then the root, which is created only. What a
root names is there; a crash leaves garbage, never a hole. A root claims its version: one that exists with another
tree is never overwritten.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePath

from gitml.errors import (
    GitMLError,
    IntegrityError,
    InvalidInput,
    NotFound,
)
from gitml.model.digest import Digest
from gitml.model.names import AssetId, Version, VersionId
from gitml.model.progress import SILENT, Progress
from gitml.model.shown import size
from gitml.store.formats.manifest import Manifest
from gitml.store.formats.marker import check_marker
from gitml.store.formats.pack import Footer, PackRef
from gitml.store.formats.root import Root, RootKey
from gitml.store.media import layout
from gitml.store.media.cache import Cache, CachedMedium, Kind, cache_for
from gitml.store.media.cache_options import CacheOptions
from gitml.store.media.medium import HasRoom, Medium, flight_of
from gitml.store.media.objects import CountedMedium, condemned_names
from gitml.store.media.opening import open_medium
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.read.packs import PackReader
from gitml.store.read.reader import Promised, TreeReader
from gitml.store.relocation.claims import Claims
from gitml.store.relocation.elapsed import Moment
from gitml.store.relocation.moving import leave_condemned, root_at
from gitml.store.write.dedup import EarlierTree, PackWindow
from gitml.store.write.journal import Journal
from gitml.store.write.listing import ListingWriter
from gitml.store.write.packing import PackWriter
from gitml.store.write.source import Learns, Source
from gitml.store.write.writer import Totals, TreeWriter

__all__ = [
    "Claimed",
    "Root",
    "RootKey",
    "Store",
    "Taken",
    "WriteStats",
    "WrittenTree",
    "open_store",
]

_OLD_S = 7 * 24 * 3600
_MOST_JOBS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteStats:
    """What a write took.

    Attributes:
        new_bytes: Bytes of the files that were found nowhere.
        reused_bytes: Bytes of the files that were stored already.
        stored_bytes: Bytes that were put into the store.
        requests: Calls of the medium.
    """

    files: int
    size_bytes: int
    new_bytes: int
    reused_bytes: int
    stored_bytes: int
    packs: int
    segments: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenTree:
    """A tree whose objects are durable, and which no root names yet."""

    root: Root
    stats: WriteStats
    packs: frozenset[bytes] = field(default=frozenset(), repr=False, compare=False)
    started: Moment = field(default_factory=Moment, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The version is this tree's."""

    root: Root


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The version is another tree's."""

    root: Root


class Store:
    """Trees on a medium; safe to share between threads and processes, without locks.

    Args:
        medium: Where the objects are.
        journal: File that remembers the packs of interrupted writes; None remembers nothing.
        cache: Keeps what was read once and never changes; None keeps nothing.
        jobs: Threads of one operation.
    """

    def __init__(
        self,
        medium: Medium,
        *,
        journal: Path | None = None,
        cache: Cache | None = None,
        jobs: int | None = None,
    ) -> None:
        self.medium = medium
        self._journal = Journal(journal, medium.url)
        self.cache = cache
        self._jobs = jobs or min(_MOST_JOBS, (os.cpu_count() or 2) + 2)
        self._claims = Claims(medium, self._jobs)

    @property
    def url(self) -> str:
        """Where the store is, without credentials."""
        return self.medium.url

    # -- writing

    def write(
        self, source: Source, *, earlier: Sequence[Root] = (), progress: Progress = SILENT
    ) -> WrittenTree:
        """Make the contents of a tree durable; a rerun goes on where an interrupted one stopped.

        Args:
            source: The files.
            earlier: Roots of trees in this store that may share files with it, the likeliest first.
            progress: Learns of files and bytes.

        Raises:
            InvalidInput: A file is refused, or there is none; the store needs a newer GitML.
            Conflict: A file changed while it was read.
            NoSpace, AccessDenied, StoreUnavailable, OutcomeUnknown: As the medium says.
        """
        started = Moment()
        totals = source.totals()
        files, size_bytes = totals if totals is not None else (None, None)
        _warn_of_room(self.medium, size_bytes, progress)
        progress.begin("Storing", total_bytes=size_bytes, total_files=files)
        try:
            medium = CountedMedium(self.medium)
            # A root that was read tells the format as well: the marker is written once, and before any root.
            is_new = not earlier and check_marker(medium)
            condemned = frozenset() if is_new else condemned_names(medium)
            with _pool(self._jobs, "gitml-write") as pool, _pool(self._jobs, "gitml-put") as putting:
                root, stats, packs = self._write(medium, pool, putting, source, earlier, condemned, progress)
        finally:
            progress.end()
        return WrittenTree(root=root, stats=stats, packs=packs, started=started)

    def _write(
        self,
        medium: CountedMedium,
        pool: ThreadPoolExecutor,
        putting: ThreadPoolExecutor,  # waits for the network while the other one hashes
        source: Source,
        earlier: Sequence[Root],
        condemned: Collection[str],
        progress: Progress,
    ) -> tuple[Root, WriteStats, frozenset[bytes]]:
        cached = medium if self.cache is None else CachedMedium(medium, self.cache)
        trees = list(_earlier_trees(cached, earlier, condemned))
        known = {logical: segment for tree in reversed(trees) for logical, segment in tree.segments.items()}
        footers = PackReader(medium, self.cache)
        packs = PackWriter(medium, self._journal, putting, condemned, written=self._keep_footer)
        listing = ListingWriter(cached, packs, pool, known, condemned)

        def footer(pack: PackRef) -> Footer | None:
            with contextlib.suppress(NotFound, IntegrityError, InvalidInput):
                return footers.footer(pack).footer
            return None

        writer = TreeWriter(
            packs,
            listing,
            pool,
            earlier=trees,
            windows=lambda path: [PackWindow(tree.packs_of(path), footer) for tree in trees],
            resumed=self._resumed(medium, condemned),
            progress=progress,
            flight_bytes=flight_of(self.medium).writing_bytes,
            learn=source.learn if isinstance(source, Learns) else None,
        )
        writer.write(source.files())
        manifest, stored = listing.finish()
        root = _root(manifest, stored.hex)
        return root, _stats(writer.totals, medium, packs, listing), packs.used()

    def _keep_footer(self, pack: PackRef, footer: bytes) -> None:
        """The next version is compared with it; the pack itself is kept by those who read it."""
        if self.cache is not None:
            self.cache.keep(Kind.FOOTER, pack.hex, [footer])

    def _resumed(self, medium: Medium, condemned: Collection[str]) -> PackWindow:
        def footer(pack: PackRef) -> Footer | None:
            if medium.head(layout.pack_name(pack.hex)) != pack.size_bytes:
                return None
            return self._journal.footer(pack)

        packs = [pack for pack in self._journal.packs() if layout.pack_name(pack.hex) not in condemned]
        return PackWindow(packs, footer)

    # -- claiming

    def claim(self, key: RootKey, written: WrittenTree) -> Claimed | Taken:
        """Let a version name a tree, durably; the same tree again is no conflict.

        Raises:
            PolicyRefused: The tree was purged.
            StoreUnavailable: An object of the tree is gone: write it again.
            OutcomeUnknown: A reply was lost, and the look failed too.
        """
        root = written.root
        if written.started.elapsed_s() > _OLD_S:
            self._claims.refuse_incomplete(root)
        standing = self._claims.standing(key.name, root)
        if standing.tree != root.tree:
            return Taken(root=standing)
        standing = leave_condemned(self.medium, key.name, standing)
        if written.started.elapsed_s() > _OLD_S:
            self._claims.refuse_incomplete(standing)  # the lists that told of it may have gone
        self._journal.forget(written.packs)  # a root names them now, or nothing ever will
        return Claimed(root=standing)

    # -- reading

    def root(self, key: RootKey) -> Root | None:
        """The root of a version, None where the store does not hold it."""
        return root_at(self.medium, key.name)

    def has_anything(self) -> bool:
        """Whether anybody ever wrote here; False as well where a file system is not mounted."""
        if self.medium.head(layout.MARKER) is not None:
            return True
        return next(iter(self.medium.list(layout.ROOTS)), None) is not None

    def has_purged(self, tree: Digest) -> bool:
        """Whether a tree was purged from here, and is refused from then on."""
        return self.medium.head(layout.purged_name(tree.hex)) is not None

    def has_root(self, key: RootKey) -> bool:
        """Whether a version is taken."""
        return self.medium.head(key.name) is not None

    def versions(self, registry: str, asset: AssetId) -> list[Version]:
        """Versions of an asset that have roots, in order; a hint."""
        prefix = layout.roots_prefix(registry, asset.folder)
        found = (_version(name.removeprefix(prefix)) for name, _ in self.medium.list(prefix))
        return sorted(version for version in found if version is not None)

    def all_roots(self) -> Iterator[tuple[RootKey, Root]]:
        """Every root of every registry; a hint."""
        for name, _ in sorted(self.medium.list(layout.ROOTS)):
            key = _root_key(name)
            root = None if key is None else self.root(key)
            if key is not None and root is not None:
                yield key, root

    def tree(self, root: Root, *, expected: Promised | None = None, label: str = "") -> TreeReader:
        """Open a tree for reading.

        Args:
            root: From `root`.
            expected: What the pointer promises.
            label: Names the asset in errors.

        Raises:
            IntegrityError: The root is not the promised one.
        """
        return TreeReader(
            self.medium, root, expected=expected, label=label, cache=self.cache, jobs=self._jobs
        )

    def missing(self, root: Root) -> list[str]:
        """Objects of a tree that the store does not have with the size they must have."""
        return self._claims.missing(root)


@contextlib.contextmanager
def _pool(jobs: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Threads for one operation; what has not begun when it fails is not begun."""
    pool = ThreadPoolExecutor(jobs, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def open_store(
    url: str,
    *,
    base: PurePath | None = None,
    journal: Path | None = None,
    cache: CacheOptions | None = None,
    jobs: int | None = None,
    options: RemoteOptions | None = None,
) -> Store:
    """The store at a URL or path.

    Args:
        url: A path, `file://`, `s3://`, `az://` or `abfs[s]://`.
        base: Folder that a relative path starts from.
        journal: See :class:`Store`.
        cache: Of a remote store: where what was read is kept. A folder is as near as any cache.
        jobs: See :class:`Store`.
        options: Server and credentials of a remote store, where they are not the SDK's defaults.

    Raises:
        InvalidInput: The URL is malformed or of a kind that is not allowed.
        UsageError: The extra that brings its client is not installed, or the URL says too little.
    """
    medium = open_medium(url, base=base, options=options)
    return Store(medium, journal=journal, cache=cache_for(medium, cache), jobs=jobs)


def _earlier_trees(
    medium: Medium, roots: Sequence[Root], condemned: Collection[str]
) -> Iterator[EarlierTree]:
    """The earlier trees that can be read; one that cannot only costs space."""
    for root in roots:
        with contextlib.suppress(NotFound, IntegrityError, InvalidInput):
            yield EarlierTree(medium, root, condemned)


def _warn_of_room(medium: Medium, size_bytes: int | None, progress: Progress) -> None:
    """Say before any work that the contents are larger than the room for them; most may be stored already."""
    free = medium.free_bytes() if isinstance(medium, HasRoom) else None
    if free is not None and size_bytes is not None and size_bytes > free:
        progress.note(
            f"warning: the contents have {size(size_bytes)}, and {medium.url} has room for {size(free)}: "
            "it will not do unless they are stored already, or shrink"
        )


def _root(manifest: Manifest, manifest_hex: str) -> Root:
    return Root(
        tree=Digest(manifest.tree),
        listing=Digest(manifest.listing()),
        manifest=manifest_hex,
        size_bytes=manifest.size_bytes,
        files=manifest.files,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _stats(totals: Totals, medium: CountedMedium, packs: PackWriter, listing: ListingWriter) -> WriteStats:
    return WriteStats(
        files=totals.files,
        size_bytes=totals.size_bytes,
        new_bytes=totals.new_bytes,
        reused_bytes=totals.size_bytes - totals.new_bytes,
        stored_bytes=medium.stored_bytes,
        packs=packs.written,
        segments=listing.written,
        requests=medium.requests,
    )


def _version(text: str) -> Version | None:
    try:
        return Version.parse(text)
    except GitMLError:
        return None


def _root_key(name: str) -> RootKey | None:
    parts = name.split("/")
    version = _version(parts[-1])
    if len(parts) != 5 or version is None:
        return None
    return RootKey(
        registry=parts[1], id=VersionId(asset=AssetId(type=parts[2], name=parts[3]), version=version)
    )
