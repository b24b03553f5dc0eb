"""How much room versions take in a store, and how much of it they share."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from gitml.store.formats.pack import PackRef
from gitml.store.formats.root import Root, RootKey
from gitml.store.media.cache import Cache
from gitml.store.media.medium import Medium
from gitml.store.read.packs import PackReader
from gitml.store.read.reader import TreeReader

_SHARED: Final = 0xFFFFFFFF


class HasRoots(Protocol):
    """A store."""

    @property
    def medium(self) -> Medium: ...

    def all_roots(self) -> Iterator[tuple[RootKey, Root]]:
        """Every version in the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionUsage:
    """One version.

    Attributes:
        size_bytes: Its contents.
        unique_bytes: Stored bytes of chunks that no other version uses.
        shared_bytes: Stored bytes of chunks that others use too.
    """

    key: RootKey
    size_bytes: int
    unique_bytes: int
    shared_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A store.

    Attributes:
        stored_bytes: All objects in it.
        contents_bytes: Contents of all versions, counted once for each.
    """

    versions: tuple[VersionUsage, ...]
    stored_bytes: int
    contents_bytes: int


def disk_usage(store: HasRoots, *, cache: Cache | None = None) -> Usage:
    """Say what each version takes; reads manifests, segments and footers.

    Raises:
        IntegrityError: A version cannot be read.
    """
    roots = sorted(store.all_roots(), key=lambda pair: pair[0].name)
    packs = PackReader(store.medium, cache)
    # Versions of one tree share all of it, so a chunk's users are counted by tree.
    users: dict[bytes, array[int]] = {}
    used: list[dict[bytes, bytearray]] = []
    for number, (key, root) in enumerate(roots):
        mine: dict[bytes, bytearray] = {}
        for ref, first, chunks in _runs(TreeReader(store.medium, root, label=str(key.id))):
            if ref.id not in users:
                users[ref.id] = array("I", bytes(4 * packs.footer(ref).footer.chunks))
            flags = mine.setdefault(ref.id, bytearray(len(users[ref.id])))
            flags[first : first + chunks] = b"\1" * chunks
        for pack, flags in mine.items():
            owners = users[pack]
            at = flags.find(1)
            while at >= 0:
                owners[at] = number + 1 if owners[at] == 0 else _SHARED
                at = flags.find(1, at + 1)
        used.append(mine)
    refs = {ref.id: ref for _, root in roots for ref in _packs(TreeReader(store.medium, root))}
    versions = []
    for number, (key, root) in enumerate(roots):
        unique = shared = 0
        for pack, flags in used[number].items():
            footer, owners = packs.footer(refs[pack]).footer, users[pack]
            for at in range(len(flags)):
                if flags[at] and owners[at] == number + 1:
                    unique += footer.stored[at]
                elif flags[at]:
                    shared += footer.stored[at]
        versions.append(
            VersionUsage(key=key, size_bytes=root.size_bytes, unique_bytes=unique, shared_bytes=shared)
        )
    return Usage(
        versions=tuple(versions),
        stored_bytes=sum(size for _, size in store.medium.list("")),
        contents_bytes=sum(root.size_bytes for _, root in roots),
    )


def _runs(reader: TreeReader) -> Iterator[tuple[PackRef, int, int]]:
    for number in range(len(reader.rows)):
        segment = reader.segment(number)
        for runs in segment.runs:
            for pack, first, chunks in runs:
                yield segment.packs[pack], first, chunks


def _packs(reader: TreeReader) -> Iterator[PackRef]:
    for number in range(len(reader.rows)):
        yield from reader.segment(number).packs
