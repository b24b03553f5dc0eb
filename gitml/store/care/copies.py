"""Where the bytes of a store may still be, and how a repair reads and writes single objects."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from gitml.errors import IntegrityError, NotFound
from gitml.model.digest import Digest
from gitml.store.care.judging import object_faults
from gitml.store.formats.root import RootKey
from gitml.store.media import layout
from gitml.store.media.cache import Kind
from gitml.store.media.medium import Buffers, Medium, PutOutcome, body_size
from gitml.store.media.objects import CountedMedium
from gitml.store.store import Store

CACHED: Final = {
    layout.MANIFESTS: Kind.MANIFEST,
    layout.SEGMENTS: Kind.SEGMENT,
    layout.PACKS: Kind.PACK,
}
"""Kinds of objects that are named by their bytes, in the order in which one tells of the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A version that the store must have, whoever says so.

    Attributes:
        key: Which version.
        digest, listing, size_bytes, files: What the pointer promises of its tree.
        created: When it was registered.
    """

    key: RootKey
    digest: Digest
    listing: Digest
    size_bytes: int
    files: int
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Where bytes may still be; only read.

    Attributes:
        stores: Other stores by what they are called, the likeliest first.
        folders: Folders of this machine that may hold files of versions.
        expected: Versions that the store must have.
    """

    stores: Mapping[str, Store]
    folders: Sequence[Path] = ()
    expected: Sequence[Expected] = ()

    def copies(self, store: Store, name: str) -> Iterator[tuple[str, Callable[[], bytes | None]]]:
        """Each place that may have an object of `store`, and how to read it there."""
        for origin, other in self.stores.items():
            yield origin, partial(read_object, other.medium, name)
        kind = next(kind for prefix, kind in CACHED.items() if name.startswith(prefix))
        for one in (store, *self.stores.values()):
            if one.cache is not None:
                yield "the cache", partial(one.cache.read, kind, layout.id_of(name))


def read_object(medium: Medium, name: str) -> bytes | None:
    """An object, whatever it is worth; None where there is none."""
    try:
        return medium.get(name)
    except (NotFound, IntegrityError):
        return None


class Overwriting(CountedMedium):
    """A medium on which an object that fails its check gives way to the right one.

    Args:
        wrong: Names of objects that were found missing or damaged.
    """

    def __init__(self, medium: Medium, wrong: Collection[str]) -> None:
        super().__init__(medium)
        self._wrong = wrong
        self.written: list[tuple[str, int]] = []

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        """See :class:`gitml.store.media.medium.Medium`."""
        if name not in self._wrong:
            return super().put_if_absent(name, body)
        with contextlib.suppress(NotFound, IntegrityError):
            if not object_faults(name, self.get(name)):
                return PutOutcome.EXISTS
        self.put(name, body)
        self.written.append((name, body_size(body)))
        return PutOutcome.CREATED
