"""Which versions' bytes this clone has handed to a configured store: what nobody need ask the store again.

A mark is an empty file in the clone's own folder, and goes with the bytes that it is about. One that is lost costs a
request; the store itself may lose what it was given, which is for `verify` to find.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gitml.errors import GitMLError
from gitml.registry.stores import StoreSet

if TYPE_CHECKING:
    from gitml.model.digest import Digest
    from gitml.model.pointer import Pointer
    from gitml.store.store import RootKey


def is_sent(stores: StoreSet, pointer: Pointer) -> bool:
    """Whether the store that a pointer names was seen to have these contents under this version."""
    return pointer.contents.store in stores.names() and _mark(stores, pointer).exists()


def remember_sent(stores: StoreSet, pointer: Pointer) -> None:
    """Note that it has."""
    mark = _mark(stores, pointer)
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def forget_sent(stores: StoreSet, key: RootKey, tree: Digest) -> None:
    """Let the marks of a version go whose bytes are here no longer, and so are never sent again."""
    for name in stores.names():
        with suppress(GitMLError, OSError):
            _place(stores, name, key, tree).unlink(missing_ok=True)


def _mark(stores: StoreSet, pointer: Pointer) -> Path:
    return _place(stores, pointer.contents.store, stores.key(pointer.id), pointer.contents.digest)


def _place(stores: StoreSet, store: str, key: RootKey, tree: Digest) -> Path:
    said = f"{stores.location(store)}\n{key.name}\n{tree}"
    return stores.state / "sent" / hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
