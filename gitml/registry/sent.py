"""Which versions' bytes this clone has handed to a configured store: what nobody need ask the store again.

A mark is an empty file in the clone's own folder. One that is lost costs a request; the store itself may lose what it
was given, which is for `verify` to find.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gitml.registry.stores import StoreSet

if TYPE_CHECKING:
    from gitml.model.pointer import Pointer


def is_sent(stores: StoreSet, pointer: Pointer) -> bool:
    """Whether the store that a pointer names was seen to have these contents under this version."""
    return pointer.contents.store in stores.names() and _mark(stores, pointer).exists()


def remember_sent(stores: StoreSet, pointer: Pointer) -> None:
    """Note that it has."""
    mark = _mark(stores, pointer)
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _mark(stores: StoreSet, pointer: Pointer) -> Path:
    where = stores.location(pointer.contents.store)
    said = f"{where}\n{stores.key(pointer.id).name}\n{pointer.contents.digest}"
    return stores.state / "sent" / hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
