"""What `doctor` says of each store: where it is, who one is there, and what is allowed.

Nothing is written but what changes nothing: a create-only write of the marker, where there is one already.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from gitml.errors import AccessDenied, GitMLError, NotFound
from gitml.registry.places import refuse_unchecked
from gitml.registry.setup.health import Check, Health, failed
from gitml.registry.stores import DEFAULT, StoreSet
from gitml.store.media.folder import FolderMedium
from gitml.store.media.identity import Identifies, Identity
from gitml.store.media.layout import MARKER
from gitml.store.media.medium import HasCredentials, Medium

_DOCTOR: Final = "`gitml doctor`"


def store_checks(stores: StoreSet) -> Iterator[Check]:
    """A check for each configured store, the default first."""
    names = stores.names()
    if DEFAULT not in names:
        taken = ", ".join(sorted({name for store in stores.config.stores.values() for name in store.types}))
        yield Check(
            name="store",
            health=Health.WARNING,
            found=f"none configured: bytes{' other than ' + taken if taken else ''} stay in this clone's embedded store",
            hint="gitml init --store URL|PATH",
        )
    for name in sorted(names, key=lambda name: (name != DEFAULT, name)):
        label = "store" if name == DEFAULT else f"store {name}"
        try:
            refuse_unchecked(stores.location(name), stores.settings)
            medium = stores.medium(name)
            stores.refuse_gone(name, medium)
            yield _examined(label, medium)
        except GitMLError as error:
            yield _failed(label, error, error.message)


def _examined(label: str, medium: Medium) -> Check:
    """Who one is, then each call that a store needs."""
    who = _who(medium)
    try:
        marked, refusals = _tried(medium)
    except GitMLError as error:
        return _failed(label, error, error.message + who)
    if refusals:
        calls = ", ".join(dict.fromkeys(str(error.context.get("call", "a call")) for error in refusals))
        first = refusals[0]
        said = first.message.partition("; credentials: ")[0]  # who one is follows in more words
        return _failed(label, first, f"refused were {calls}: {said}{who}")
    if marked:
        allowed = "reading, listing and writing are allowed"
    else:
        allowed = "reading and listing are allowed; writing was not tried, for nothing was registered yet"
    return Check(name=label, health=Health.OK, found=f"{medium.url}: {allowed}{who}")


def _failed(label: str, error: GitMLError, found: str) -> Check:
    """A check that failed; nobody is sent to where they are."""
    hint = (
        None
        if error.hint is None
        else "; ".join(part for part in error.hint.split("; ") if _DOCTOR not in part)
    )
    return replace(failed(label, error), found=found, hint=hint)


def _tried(medium: Medium) -> tuple[bool, list[AccessDenied]]:
    """Whether the store was ever written to, and what was refused.

    The marker is read, not looked at: the answer to a look has no words for why it is refused.
    """
    refusals: list[AccessDenied] = []

    def asked(call: Callable[[], object]) -> object:
        try:
            return call()
        except NotFound:
            return None
        except AccessDenied as error:
            refusals.append(error)
            return None

    marked = asked(lambda: medium.get(MARKER)) is not None
    asked(lambda: next(iter(medium.list("gc/condemned/")), None))
    if marked:
        asked(lambda: _write(medium))
    return marked, refusals


def _write(medium: Medium) -> None:
    if not isinstance(medium, FolderMedium):
        medium.put_if_absent(MARKER, [medium.get(MARKER)])
    elif not os.access(medium.path, os.W_OK):
        raise AccessDenied(
            f"{medium.url} may not be written to",
            hint=f"get the right to write {medium.path}",
            context={"call": "writing"},
        )


def _who(medium: Medium) -> str:
    """Who one is there, and by which of the credentials that were looked for."""
    if not isinstance(medium, Identifies):
        return f"; used was {medium.credentials()}" if isinstance(medium, HasCredentials) else ""
    try:
        return _said(medium.identity())
    except GitMLError as error:
        # whoever has none is refused for the same reason, which is said there
        return "" if error.code == "no-credentials" else f"; credentials: {error.message}"


def _said(identity: Identity) -> str:
    region = f"; region {identity.region}" if identity.region else ""
    looked = "; then ".join(identity.tried)
    if identity.used is None:
        return f"{region}; no credentials; looked for were {looked}"
    who = f" ({identity.who})" if identity.who else ""
    return f"{region}; used was {identity.used}{who}; looked for were {looked}"
