"""What the hook `pre-push` asks: are the bytes of every version that is about to be pushed in the store?

Owns the lines that git gives its hooks (:class:`RefChange`). Only versions that the push brings are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gitml.errors import GitMLError, InvalidInput, NotFound, PolicyRefused
from gitml.model.names import VersionId
from gitml.registry.snapshot import Snapshot
from gitml.registry.workspace import REMOTES, Workspace

_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefChange:
    """A ref that a push moves: what it names now, and then; None where it does not exist."""

    ref: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooked:
    """What a hook judged, and found right.

    Attributes:
        hook: Its name.
        refs: How many refs the push moves.
        versions: Versions whose bytes, or whose way to a stage, were judged.
        stages: Stages that move.
        note: What a person should know.
    """

    hook: str
    refs: int
    versions: tuple[VersionId, ...] = ()
    stages: tuple[str, ...] = ()
    note: str | None = None


def pushed_refs(lines: Iterable[str]) -> list[RefChange]:
    """Read what git tells its `pre-push` hook: `LOCAL-REF NEW REMOTE-REF OLD` a line."""
    return [_change(parts[2], parts[3], parts[1]) for parts in _parts(lines, 4)]


def received_refs(lines: Iterable[str]) -> list[RefChange]:
    """Read what git tells its `pre-receive` hook: `OLD NEW REF` a line."""
    return [_change(parts[2], parts[0], parts[1]) for parts in _parts(lines, 3)]


def _parts(lines: Iterable[str], count: int) -> Iterable[list[str]]:
    for line in lines:
        if not line.strip():
            continue
        parts = line.rstrip("\n").split(" ")
        if len(parts) != count:
            raise InvalidInput(
                f"{line[:80]!r} is not what git tells a hook", code="hook-input", hint="let git run the hook"
            )
        yield parts


def _change(ref: str, old: str, new: str) -> RefChange:
    for oid in (old, new):
        if _OID.fullmatch(oid) is None:
            raise InvalidInput(
                f"{oid[:80]!r} is no object id", code="hook-input", hint="let git run the hook"
            )
    return RefChange(ref=ref, old=old if old.strip("0") else None, new=new if new.strip("0") else None)


def judge_outgoing(ws: Workspace, remote: str, changes: Sequence[RefChange]) -> Hooked:
    """Look for the bytes of the versions that a push brings.

    Args:
        ws: The registry.
        remote: Name of the remote, or its address where it has no name.
        changes: What the push moves.

    Raises:
        PolicyRefused: The store lacks some; `context["missing"]` says which.
    """
    wanted: dict[VersionId, Snapshot] = {}
    for change in changes:
        commit = ws.repo.resolve(change.new) if change.new else None
        if commit is not None:
            snapshot = ws.at(commit)
            wanted |= dict.fromkeys(_brought(ws, remote, change, snapshot), snapshot)
    missing: dict[str, str] = {}
    for version, snapshot in wanted.items():
        try:
            why = ws.stores(snapshot.config).missing(snapshot.pointer(version), shared=True)
        except GitMLError as error:
            why = [error.message]
        if why:
            missing[str(version)] = why[0]
    if missing:
        name, why_first = next(iter(missing.items()))
        raise PolicyRefused(
            f"{len(missing)} of {len(wanted)} version(s) that would be pushed have no bytes in the store; "
            f"{name}: {why_first}",
            code="pointers-without-bytes",
            hint="gitml push, which sends the bytes first",
            context={"missing": missing},
        )
    return Hooked(hook="pre-push", refs=len(changes), versions=tuple(wanted))


def _brought(ws: Workspace, remote: str, change: RefChange, snapshot: Snapshot) -> list[VersionId]:
    """Versions of a commit that what the remote has does not hold in the same form."""
    try:
        ids = {snapshot.path(version.folder, "asset.yaml"): version for version in snapshot.ids()}
        default = f"{REMOTES}{remote}/{snapshot.config.default_branch}"
    except NotFound:
        return []  # no registry there
    base = ws.repo.resolve(change.old) if change.old else None
    if base is None:
        tip = ws.repo.refs(default).get(default) if ":" not in remote and "/" not in remote else None
        base = ws.repo.merge_base(tip, snapshot.commit) if tip else None
    changed = ws.repo.changed_paths(base, snapshot.commit, ws.folder)
    return sorted({ids[one.path] for one in changed if one.new_oid and one.path in ids}, key=str)
