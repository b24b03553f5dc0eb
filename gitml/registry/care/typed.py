"""Stores as people type them: a name, or a URL or path, which may be that of a configured store."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from gitml.errors import GitMLError, NotFound, UsageError
from gitml.model.config import STORE_NAME
from gitml.registry.care.stored import open_store_named
from gitml.registry.stores import EMBEDDED
from gitml.registry.workspace import Workspace
from gitml.store.media import layout
from gitml.store.store import Store


def typed_store(ws: Workspace, text: str) -> Store:
    """The store that somebody typed; one that is configured with the server and settings that it has there.

    Raises:
        UsageError: A word that is no store's name.
        InvalidInput, AccessDenied, PolicyRefused: As for any store that is opened.
    """
    found = ws.stores(ws.config)
    names = found.names()
    if text == EMBEDDED or text in names:
        return open_store_named(found, text)[1]
    refuse_word(text, names, ws.caller)
    same = name_at(found.location, names, text, ws.caller)
    return found.elsewhere(text, ws.caller) if same is None else found.configured(same)


def need_store(store: Store) -> None:
    """Refuse to look for anything in a place that is no store.

    Raises:
        NotFound: Nobody ever wrote to it as one.
    """
    if store.medium.head(layout.MARKER) is None:
        raise NotFound(f"{store.url} is no GitML store", code="not-a-store", hint="gitml store list")


def refuse_word(text: str, names: Sequence[str], caller: Path) -> None:
    """A plain word is the name of a store, mistyped perhaps, unless there is such a folder.

    Raises:
        UsageError: It is no name.
    """
    if STORE_NAME.fullmatch(text) is None or (caller / text).exists():
        return
    raise UsageError(
        f"no store {text!r} is configured, and there is no folder of that name",
        code="no-store",
        hint=f"gitml store list, or ./{text} for a folder that is to be made",
        context={"store": text, "configured": list(names)},
    )


def name_at(location: Callable[[str], str], names: Sequence[str], text: str, caller: Path) -> str | None:
    """The configured store that lies at a URL or path; None where none does."""
    said = text.rstrip("/") if "://" in text else os.path.normpath(caller / text)
    for name in names:
        try:
            if location(name) == said:
                return name
        except GitMLError:
            continue
    return None
