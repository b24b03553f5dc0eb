"""Giving a version another layout of its tree, while collectors, purges, and others who do the same are at work.

A version that was acknowledged must lead to its bytes at every moment, and a root cannot be compared and swapped. So
the layout it is given is safe before the root names it, and what the root named before is never needed again: it may
be collected from the moment when the root was written. The order is

    intent -> lists of condemned names -> root -> the intent goes.

Why no object x of the new layout can go, however the runs of collectors interleave with this: a run deletes only what
stands in a list that it wrote itself, and what its look after that does not reach; and a look reads the intents first.
A list that was complete before the lists were read here is seen, and what it names is given another place, in the
same order, while the root is what it was. Otherwise the run's look begins after the intent was written. It finds the
intent, and x by it, unless the intent has gone; then it reads the roots after this one was written, and finds x by it.
Nothing in this depends on a clock, or on who else replaces the same root at the same time: whoever does has an intent
of his own, and the last one to write the root leaves it as safe as the first. A purge deletes as a collector does.

Where an operation is killed, its intent stays, and costs space until collectors remove it, after four weeks.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Sequence
from typing import Final

from gitml.errors import (
    AccessDenied,
    GitMLError,
    NoSpace,
    NotFound,
    OutcomeUnknown,
    PolicyRefused,
    StoreUnavailable,
)
from gitml.store.formats.root import Root, decode_root, encode_root
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.media.objects import condemned_names
from gitml.store.relocation.elapsed import Moment
from gitml.store.relocation.intents import write_intent
from gitml.store.relocation.relocate import used_objects
from gitml.store.relocation.rewrite import relocate

_LOOKS: Final = 8
_SLOW_S: Final = 7 * 24 * 3600


def replace_root(medium: Medium, name: str, old: Root, new: Root) -> Root | None:
    """Let a version name another layout of its tree; None where it does not name `old`, or is being purged.

    What was condemned meanwhile is stored again, so that the layout may be yet another one.

    Raises:
        StoreUnavailable: An object of the layout is gone already; the version is as it was. Run the command again.
        OutcomeUnknown: A reply was lost, and the look failed too.
    """
    intents: list[str] = []
    for _ in range(_LOOKS):
        began = Moment()
        intents.append(write_intent(medium, name, new))
        moved = _moved(medium, new, intents)
        if moved is not None:
            new = moved
            continue
        if began.elapsed_s() > _SLOW_S:
            raise _too_slow(medium)  # the intent may have gone
        if _is_purged(medium, name, new) or root_at(medium, name) != old:
            _remove(medium, intents)
            return None
        try:
            put_root(medium, name, new)
        except (AccessDenied, NoSpace):
            _remove(medium, intents)  # nothing was written, so nothing is about to use that layout
            raise
        is_purged = _is_purged(medium, name, new)
        if is_purged:
            medium.delete(name)  # a purge removed the root between the look and the write
        _remove(medium, intents)
        return None if is_purged else new
    raise _too_slow(medium)


def leave_condemned(medium: Medium, name: str, root: Root) -> Root:
    """What has to follow any write of a root: give what it names and collectors condemned another place.

    Raises:
        PolicyRefused: The version is being purged.
        StoreUnavailable: An object is gone already: write the tree again.
        OutcomeUnknown: A reply was lost, and the look failed too.
    """
    standing = root
    for _ in range(_LOOKS):
        condemned = condemned_names(medium)
        gone: NotFound | None = None
        try:
            if not _uses_any(medium, standing, condemned):
                return standing
            moved = replace_root(medium, name, standing, relocate(medium, standing, condemned))
            if moved is not None:
                return moved
        except NotFound as error:
            gone = error
        if _is_purged(medium, name, standing):
            medium.delete(name)  # a purge removed the root before it was written
            raise PolicyRefused(
                f"the contents {root.tree} were purged from {medium.url} and are refused",
                code="purged",
                hint="register other contents",
                context={"tree": str(root.tree)},
            )
        found = root_at(medium, name)
        if found is None or found.tree != root.tree or (gone is not None and found == standing):
            raise objects_gone(root, medium.url, [name if gone is None else gone.message]) from gone
        standing = found  # somebody else gave it another layout meanwhile
    raise _too_slow(medium)


def objects_gone(root: Root, url: str, missing: Sequence[str]) -> StoreUnavailable:
    """What a writer is told whose objects were collected before it could name them."""
    return StoreUnavailable(
        f"{len(missing)} objects of {root.tree} are no longer in {url}: {missing[0]}",
        code="objects-gone",
        hint="run the command again",
        context={"missing": list(missing)},
    )


def root_at(medium: Medium, name: str) -> Root | None:
    """The root of that name, None where there is none."""
    try:
        return decode_root(medium.get(name), name)
    except NotFound:
        return None


def put_root(medium: Medium, name: str, root: Root) -> None:
    """Write a root over another; a lost reply is resolved by reading."""
    try:
        medium.put(name, [encode_root(root)])
    except OutcomeUnknown:
        if root_at(medium, name) != root:
            raise


def _moved(medium: Medium, root: Root, intents: Collection[str]) -> Root | None:
    """The layout of a tree without what is condemned; None where nothing of it is."""
    condemned = condemned_names(medium)
    try:
        return relocate(medium, root, condemned) if _uses_any(medium, root, condemned) else None
    except NotFound as error:
        _remove(medium, intents)
        raise objects_gone(root, medium.url, [error.message]) from error


def _uses_any(medium: Medium, root: Root, condemned: Collection[str]) -> bool:
    return bool(condemned) and any(used.name in condemned for used in used_objects(medium, root))


def _is_purged(medium: Medium, name: str, root: Root) -> bool:
    """Whether a purge of this version was begun; one of another version that had the same tree is none of it."""
    with contextlib.suppress(NotFound):
        mark = medium.get(layout.purged_name(root.tree.hex))
        try:
            return bool(json.loads(mark)["name"] == name)
        except (ValueError, KeyError, TypeError):
            return False
    return False


def _remove(medium: Medium, intents: Collection[str]) -> None:
    """Let intents go; one that stays, where deleting is not allowed, say, costs space for four weeks."""
    for name in intents:
        with contextlib.suppress(GitMLError):
            medium.delete(name)


def _too_slow(medium: Medium) -> StoreUnavailable:
    return StoreUnavailable(
        f"collections of garbage in {medium.url} are faster than this", hint="run the command again"
    )
