"""Judging all of a store: every object against its name, and every version's tree for completeness."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from gitml.errors import IntegrityError, InvalidInput, NotFound
from gitml.model.progress import SILENT, Progress
from gitml.store.care.coverage import piece
from gitml.store.care.faults import Fault, Share, fault_of
from gitml.store.care.marking import key_of
from gitml.store.formats.codec import Codec
from gitml.store.formats.manifest import decode_manifest
from gitml.store.formats.pack import split_pack
from gitml.store.formats.root import Root, decode_root, encode_root
from gitml.store.formats.segment import decode_segment
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.read.packs import PackBody, known_footer
from gitml.store.read.reader import TreeReader

JOBS: Final = 2  # each holds a pack or two in memory
_DESCRIPTOR: Final = 4  # byte of a zstd frame, RFC 8878 section 3.1.1.1.1
_UNUSED_BIT: Final = 0x10
_ID: Final = re.compile(r"[0-9a-f]{64}")

_T = TypeVar("_T")
_R = TypeVar("_R")


class HasMedium(Protocol):
    """A store."""

    @property
    def medium(self) -> Medium: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """What :func:`verify_store` found.

    Attributes:
        objects, versions: How many are in the store.
        size_bytes: Bytes of all objects.
        faults: What is wrong.
        read_bytes: Bytes of the objects that were read.
        covered_bytes: Those, and the bytes of what earlier runs have read.
        total_bytes: Bytes of all objects of the run's part.
    """

    objects: int
    versions: int
    size_bytes: int
    faults: tuple[Fault, ...]
    read_bytes: int
    covered_bytes: int
    total_bytes: int

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left for the next run."""
        return self.covered_bytes == self.total_bytes


def verify_store(store: HasMedium, *, share: Share | None = None, progress: Progress = SILENT) -> StoreReport:
    """Check that every object matches its name and that the tree of every root is complete.

    Raises:
        StoreUnavailable, AccessDenied: The store cannot be asked.
    """
    run = _Run(store.medium, share or Share())
    progress.begin("verifying", total_bytes=run.total_bytes, total_files=len(run.mine))
    try:
        run.objects(progress)
        run.roots(progress)
        run.end()
    finally:
        progress.end()
    return StoreReport(
        objects=len(run.sizes),
        versions=sum(name.startswith(layout.ROOTS) for name in run.sizes),
        size_bytes=sum(run.sizes.values()),
        faults=tuple(dict.fromkeys(run.faults)),
        read_bytes=run.read_bytes,
        covered_bytes=run.covered_bytes,
        total_bytes=run.total_bytes,
    )


def object_faults(name: str, data: bytes) -> list[Fault]:
    """Compare the bytes of one object with its name."""
    try:
        if name.startswith(layout.ROOTS):
            if encode_root(decode_root(data, name)) != data:
                return [Fault(object=name, path=None, problem="it is not written as a root is")]
            return []
        hex_id = layout.id_of(name)
        if name not in (layout.pack_name(hex_id), layout.segment_name(hex_id), layout.manifest_name(hex_id)):
            return [Fault(object=name, path=None, problem="no object has such a name")]
        identity = bytes.fromhex(hex_id)
        if name.startswith(layout.PACKS):
            return _pack_faults(data, identity, name)
        if name.startswith(layout.SEGMENTS):
            decode_segment(data, identity, name)
        else:
            decode_manifest(data, identity, name)
    except (IntegrityError, InvalidInput) as error:
        return [Fault(object=name, path=None, problem=error.message)]
    return []


def spread(work: Callable[[_T], _R], items: Iterable[_T], jobs: int) -> Iterator[tuple[_T, _R]]:
    """Items and what came of them, done by a pool, in order, with no more than a few items taken ahead."""
    with ThreadPoolExecutor(jobs, thread_name_prefix="verify") as pool:
        ahead = []
        for item in items:
            ahead.append((item, pool.submit(work, item)))
            if len(ahead) > jobs * 2:
                done, future = ahead.pop(0)
                yield done, future.result()
        for done, future in ahead:
            yield done, future.result()


@dataclass(slots=True)
class _Run:
    """One run over a store."""

    medium: Medium
    share: Share
    sizes: dict[str, int] = field(default_factory=dict)
    mine: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    judged: set[str] = field(default_factory=set)
    complete: set[Root] = field(default_factory=set)
    total_bytes: int = 0
    read_bytes: int = 0
    covered_bytes: int = 0

    def __post_init__(self) -> None:
        for prefix in (layout.PACKS, layout.SEGMENTS, layout.MANIFESTS, layout.ROOTS):
            self.sizes.update(self.medium.list(prefix))
        self.mine = [name for name in sorted(self.sizes) if self.share.is_mine(_identity(name))]
        self.total_bytes = sum(self.sizes[name] for name in self.mine)

    def objects(self, progress: Progress) -> None:
        """Judge packs, segments and manifests."""
        names = [name for name in self.mine if not name.startswith(layout.ROOTS)]
        for name, found in spread(self._object, self._in_time(names), JOBS):
            self._take(name, found, progress)

    def roots(self, progress: Progress) -> None:
        """Judge versions."""
        names = [name for name in self.mine if name.startswith(layout.ROOTS)]
        for name in self._in_time(names):
            found = self._object(name)
            self._take(name, [*found, *self._tree(name)], progress)

    def end(self) -> None:
        """Tell again of damage that was not looked at; where nothing is left, the next run begins anew."""
        coverage = self.share.coverage
        is_complete = self.covered_bytes == self.total_bytes
        left = coverage.damaged - self.judged - {fault.object for fault in self.faults}
        gone = {name for name in left if name not in self.sizes}
        if is_complete:
            coverage.note_right(sorted(gone))
            left -= gone
        for name in sorted(left):
            problem = "an earlier run found it damaged or lost, and this one did not look again"
            self.faults.append(Fault(object=name, path=None, problem=problem))
        if is_complete and self.share.until_s is not None:
            coverage.begin_anew(coverage.damaged)

    def _in_time(self, names: Sequence[str]) -> Iterator[str]:
        """The names to look at: those that were damaged first, then those that no earlier run has read."""
        suspects = [name for name in names if name in self.share.coverage.damaged]
        others = [name for name in names if name not in self.share.coverage.damaged]
        for name in (*suspects, *others):
            if name not in suspects and self.share.is_done(self._piece(name)):
                self.covered_bytes += self.sizes[name]
            elif not self.share.is_over():
                yield name

    def _piece(self, name: str) -> str:
        return piece(name.encode(), b"%d" % self.sizes[name])

    def _take(self, name: str, found: list[Fault], progress: Progress) -> None:
        self.faults += found
        self.judged.add(name)
        self.read_bytes += self.sizes[name]
        self.covered_bytes += self.sizes[name]
        self.share.note_judged(self._piece(name), [name], {fault.object for fault in found})
        progress.advance(size_bytes=self.sizes[name], files=1)

    def _object(self, name: str) -> list[Fault]:
        try:
            data = self.medium.get(name)
        except (IntegrityError, NotFound) as error:
            return [Fault(object=name, path=None, problem=error.message)]
        return object_faults(name, data)

    def _tree(self, name: str) -> list[Fault]:
        """Check that all the objects of a root's tree are there with their sizes."""
        try:
            root = decode_root(self.medium.get(name), name)
        except (IntegrityError, InvalidInput, NotFound):
            return []  # said already
        if root in self.complete:
            return []
        key = key_of(name)
        label = name.removeprefix(layout.ROOTS) if key is None else str(key.id)
        faults: list[Fault] = []
        tree = hashlib.sha256()
        try:
            reader = TreeReader(self.medium, root, label=label, kept_entries=0)
            for number in range(len(reader.rows)):
                segment = reader.segment(number)
                tree.update(b"".join(segment.lines()))
                for ref in segment.packs:
                    faults += self._pack(layout.pack_name(ref.hex), ref.size_bytes, label)
            reader.check_tree(tree.digest())
        except (IntegrityError, InvalidInput) as error:
            return [*faults, fault_of(error)]
        if not faults:
            self.complete.add(root)
        return faults

    def _pack(self, name: str, size_bytes: int, label: str) -> list[Fault]:
        # A listing is a hint: what it does not show is asked for by name.
        size = self.sizes.get(name, self.medium.head(name) if name not in self.sizes else None)
        if size == size_bytes:
            return []
        problem = f"{label} needs it, and the store lost it" if size is None else "it has a wrong size"
        return [Fault(object=name, path=None, problem=problem)]


def _identity(name: str) -> bytes:
    """What a part is chosen by: the id that is in a name, or its digest."""
    last = layout.id_of(name)
    return bytes.fromhex(last) if _ID.fullmatch(last) else hashlib.sha256(name.encode()).digest()


def _pack_faults(data: bytes, identity: bytes, name: str) -> list[Fault]:
    payload, footer = split_pack(data, identity, name)
    body = PackBody(name, known_footer(footer), [(0, payload)])
    faults = []
    for number in range(footer.chunks):
        try:
            body.chunk(number)
        except IntegrityError as error:
            faults.append(Fault(object=name, path=None, problem=error.message))
            continue
        place = footer.place(number)
        if place.codec == Codec.ZSTD and payload[place.start + _DESCRIPTOR] & _UNUSED_BIT:
            problem = f"chunk {number} has a bit set that no decoder looks at"
            faults.append(Fault(object=name, path=None, problem=problem))
    return faults
