"""Asking a place whether it keeps the promises that a store relies on: `store check`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gitml.errors import NotFound, UsageError
from gitml.model.config import DEFAULT_STORE, EMBEDDED_STORE
from gitml.model.progress import Progress
from gitml.registry.care.typed import name_at, refuse_word
from gitml.registry.places import place, unproven
from gitml.registry.settings import CheckedStores, Settings, load_settings
from gitml.registry.workspace import Workspace
from gitml.store.media.capabilities import Capabilities, Finding
from gitml.store.media.medium import HasCredentials, Medium
from gitml.store.media.probe import check as probe

_OUTAGE_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCheck:
    """What `store check` found of a place that can be a store.

    Attributes:
        store: Name of the store; null for a place that was named by its URL or path.
        url: The place.
        credentials: Which credentials were used; null where none are needed.
        findings: Each promise, and what was seen.
        write_bytes_per_s: Speed of one writer.
        read_bytes_per_s: Speed of one reader.
        request_ms: Time of a small call, in the middle of several.
        remembered: Whether this machine remembers the answer: its kind may be used only where a check found it fit.
    """

    store: str | None
    url: str
    credentials: str | None
    findings: tuple[Finding, ...]
    write_bytes_per_s: int
    read_bytes_per_s: int
    request_ms: float
    remembered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What is to be checked; `text` is what says where it is."""

    name: str | None
    text: str
    medium: Medium


def check(
    find: Callable[[], Workspace], where: str | None, *, caller: Path, progress: Progress
) -> StoreCheck:
    """Check a place: see :meth:`gitml.api.Stores.check`.

    Args:
        find: Opens the registry; not needed for a URL or path.
        where: Name, URL or path; None for the default store.
        caller: Folder that a relative path starts from.
        progress: Told what is tried.
    """
    settings = hasty(load_settings())
    found = _place(find, where, caller, settings)
    location = unproven(found.text, settings)
    answer = probe(found.medium, progress=progress)
    remembered = location is not None and CheckedStores().remember(location, fit=answer.usable)
    answer.require()
    return _result(found, answer, remembered=remembered)


def hasty(settings: Settings) -> Settings:
    """Who asks whether a place works does not want to wait for long where it does not."""
    options = {
        name: replace(entry, timeout_s=min(entry.timeout_s, _OUTAGE_S))
        for name, entry in settings.store_options.items()
    }
    rest = settings.options("")
    return replace(
        settings,
        store_options={"*": replace(rest, timeout_s=min(rest.timeout_s, _OUTAGE_S)), **options},
    )


def _place(find: Callable[[], Workspace], where: str | None, caller: Path, settings: Settings) -> _Place:
    try:
        ws = find()
        ws.settings = settings
        stores = ws.stores(ws.config)
    except NotFound:
        if where is None:
            raise
        refuse_word(where, [], caller)
        return _Place(name=None, text=where, medium=_future(where, caller, settings))
    name = where or DEFAULT_STORE
    if name == EMBEDDED_STORE:
        medium = stores.embedded.medium
        return _Place(name=name, text=medium.url, medium=medium)
    if name in stores.names():
        return _Place(name=name, text=stores.location(name), medium=stores.medium(name))
    if where is None:
        raise UsageError(
            "no store is configured", code="no-store", hint="gitml store check URL|PATH", context={}
        )
    refuse_word(where, stores.names(), caller)
    same = name_at(stores.location, stores.names(), where, caller)
    if same is not None:
        return _Place(name=same, text=stores.location(same), medium=stores.medium(same))
    found = place if DEFAULT_STORE in stores.names() else _future
    return _Place(name=None, text=where, medium=found(where, caller, settings))


def _future(where: str, caller: Path, settings: Settings) -> Medium:
    """A place that may become the default store, where there is none yet: what is set for that holds for it."""
    return place(
        where, caller, settings, otherwise="" if DEFAULT_STORE in settings.store_urls else DEFAULT_STORE
    )


def _result(found: _Place, answer: Capabilities, *, remembered: bool) -> StoreCheck:
    medium = found.medium
    return StoreCheck(
        store=found.name,
        url=answer.url,
        credentials=medium.credentials() if isinstance(medium, HasCredentials) else None,
        findings=answer.findings,
        write_bytes_per_s=answer.write_bytes_per_s,
        read_bytes_per_s=answer.read_bytes_per_s,
        request_ms=answer.requests_ms,
        remembered=remembered,
    )
