"""The verb `events`: what happened to assets between two commits, for whoever acts on it.

Told commit by commit along the first parents, oldest first. What a stage's own file says counts where the commit
is on that stage's chain, since elsewhere it means nothing. A purge is a matter of stores and leaves no commit: as
purged is told a commit that takes a version away whose contents its store refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from gitml.errors import GitMLError, InvalidInput, NotFound, StoreUnavailable
from gitml.forge.base import Request
from gitml.forge.detect import open_forge_if_possible
from gitml.forge.shared import Shared
from gitml.git.types import Change, Commit
from gitml.model.about import About
from gitml.model.names import AssetId, Version, VersionId, check_name
from gitml.model.stagefile import StageFile
from gitml.promotion.chain import need_whole_history, ran, since_default
from gitml.promotion.span import commit_of, parse_span
from gitml.promotion.view import ABOUT_FILE, POINTER_FILE
from gitml.registry.workspace import Workspace


class EventType(Enum):
    """What happened."""

    REGISTERED = "registered"
    REMOVED = "removed"
    PURGED = "purged"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    WITHDRAWN = "withdrawn"
    DEPRECATED = "deprecated"
    RESTORED = "restored"
    ALIAS_MOVED = "alias-moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to an asset.

    Attributes:
        version: The version that came, runs from then on, is deprecated, or that an alias names; None where
            an alias or an asset on a stage went.
        before: What ran there, or what the alias named, before.
        stage: Where it was promoted, rolled back or withdrawn.
        alias: The alias that moved.
        commit: Commit that did it.
        actor: Who asked for it, or wrote the commit.
        time: When the request merged, or the committer's date.
        request: Number of the request that did it, where that is known.
        note: Why it was deprecated.
    """

    type: EventType
    asset: AssetId
    version: Version | None
    before: Version | None = None
    stage: str | None = None
    alias: str | None = None
    commit: str
    actor: str
    time: datetime
    request: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Events between two commits, oldest first."""

    base: str | None
    head: str
    events: tuple[Event, ...]


def events(ws: Workspace, commits: str) -> Events:
    """Tell what happened from BASE to HEAD.

    Args:
        ws: The registry.
        commits: `BASE..HEAD`; without BASE (or with zeros, as CI says of a branch that is new) from where HEAD left
            the default branch, without HEAD up to what is checked out.

    Raises:
        UsageError: The range is none.
        NotFound: No such revision, or this clone is shallow.
        StoreUnavailable: The remote cannot be reached.
    """
    span = parse_span(commits)
    shared, merges = _requests(ws)
    head = commit_of(ws, shared, span.head)
    is_new = span.base is None or not span.base.strip("0")
    if is_new:
        need_whole_history(ws, "where HEAD left the default branch")
        chain = since_default(ws, head)
    else:
        chain = list(ws.repo.first_parents(head, stop=commit_of(ws, shared, span.base)))
    chain.reverse()
    start = chain[0].parents[0] if chain and chain[0].parents else None
    teller = _Teller(ws, shared, merges)
    return Events(base=start, head=head, events=tuple(one for commit in chain for one in teller.tell(commit)))


def _requests(ws: Workspace) -> tuple[Shared, Mapping[str, Request]]:
    """The shared repository, refreshed, and the merged requests, by merge commit; none where nobody can be asked."""
    shared, forge = open_forge_if_possible(ws)
    if forge is None:
        return shared, {}
    found = [request for stage in ws.config.stages for request in forge.merged_requests(stage)]
    return shared, {request.merged_commit: request for request in found if request.merged_commit}


class _Teller:
    """Tells the events of commits."""

    def __init__(self, ws: Workspace, shared: Shared, merges: Mapping[str, Request]) -> None:
        self._ws = ws
        self._shared = shared
        self._merges = merges
        self._chains: dict[str, frozenset[str]] = {}
        self._silent: set[str] = set()

    def tell(self, commit: Commit) -> Iterator[Event]:
        """What a commit changed against its first parent, sorted by path."""
        parent = commit.parents[0] if commit.parents else None
        request = self._merges.get(commit.oid)
        changes = self._ws.repo.changed_paths(parent, commit.oid, self._ws.folder)
        on_stage = any(self._is_on(stage, commit.oid) for stage in self._stages(commit))
        is_stage = commit.oid in self._merges or (not self._merges and on_stage)
        for change in sorted(changes, key=lambda one: one.path):
            parts = change.path.removeprefix(f"{self._ws.folder}/" if self._ws.folder else "").split("/")
            for event in self._of(commit, parent, change, parts, is_stage=is_stage):
                yield (
                    event
                    if request is None
                    else replace(
                        event,
                        request=request.number,
                        actor=str(request.author),
                        time=request.merged or event.time,
                    )
                )

    def _of(
        self, commit: Commit, parent: str | None, change: Change, parts: Sequence[str], *, is_stage: bool
    ) -> Iterator[Event]:
        try:
            if parts[0] not in self._ws.at(commit.oid).config.known_types or len(parts) not in (3, 4):
                return
            asset = AssetId(type=parts[0], name=check_name(parts[1]))
            if len(parts) == 4 and parts[3] == POINTER_FILE and not is_stage:
                version = VersionId(asset=asset, version=Version.parse(parts[2]))
                yield from self._version(commit, parent, change, version)
            elif len(parts) == 3 and parts[2] == ABOUT_FILE and not is_stage:
                yield from self._about(commit, change, asset)
            elif len(parts) == 3 and parts[2].endswith(".yaml"):
                yield from self._moved(commit, parent, change, asset, parts[2].removesuffix(".yaml"))
        except InvalidInput:
            return  # a file that is malformed tells nothing; `check` and `verify` say what is wrong

    def _event(self, kind: EventType, commit: Commit, asset: AssetId, version: Version | None) -> Event:
        return Event(
            type=kind,
            asset=asset,
            version=version,
            commit=commit.oid,
            actor=str(commit.author.identity),
            time=commit.committer.time,
        )

    def _version(
        self, commit: Commit, parent: str | None, change: Change, version: VersionId
    ) -> Iterator[Event]:
        if change.old_oid is None:
            yield self._event(EventType.REGISTERED, commit, version.asset, version.version)
        elif change.new_oid is None and parent is not None:
            kind = EventType.PURGED if self._is_purged(parent, version) else EventType.REMOVED
            yield self._event(kind, commit, version.asset, version.version)

    def _is_purged(self, commit: str, version: VersionId) -> bool:
        """Whether a version's store refuses the contents that it had; not where the store cannot be asked."""
        snapshot = self._ws.at(commit)
        try:
            contents = snapshot.pointer(version).contents
            if contents.store in self._silent:
                return False
            store = self._ws.stores(snapshot.config).configured(contents.store)
            return store.has_purged(contents.digest)
        except StoreUnavailable:
            self._silent.add(contents.store)  # it would be waited for once for each version
            return False
        except GitMLError:
            return False

    def _moved(
        self, commit: Commit, parent: str | None, change: Change, asset: AssetId, stage: str
    ) -> Iterator[Event]:
        if not self._is_on(stage, commit.oid):
            return
        old, new = (self._current(oid, change.path) for oid in (change.old_oid, change.new_oid))
        if old == new:
            return
        kind = EventType.PROMOTED
        if new is None:
            kind = EventType.WITHDRAWN
        elif old is not None and parent is not None and self._ran(stage, parent, asset, new):
            kind = EventType.ROLLED_BACK
        yield replace(self._event(kind, commit, asset, new), before=old, stage=stage)

    def _ran(self, stage: str, tip: str, asset: AssetId, version: Version) -> bool:
        try:
            return ran(self._ws, stage, tip, asset, version)
        except NotFound:
            return False  # a shallow clone cannot tell

    def _current(self, oid: str | None, path: str) -> Version | None:
        return None if oid is None else StageFile.parse(self._ws.repo.blobs([oid])[oid], file=path).current

    def _about(self, commit: Commit, change: Change, asset: AssetId) -> Iterator[Event]:
        old, new = (self._about_at(oid, change.path) for oid in (change.old_oid, change.new_oid))
        for name in sorted(old.deprecated.keys() ^ new.deprecated.keys()):
            kind = EventType.DEPRECATED if name in new.deprecated else EventType.RESTORED
            entry = new.deprecated.get(name)
            yield replace(
                self._event(kind, commit, asset, Version.parse(name)), note=entry.reason if entry else None
            )
        for alias in sorted(old.aliases.keys() | new.aliases.keys()):
            was, now = old.aliases.get(alias), new.aliases.get(alias)
            if was != now:
                event = self._event(EventType.ALIAS_MOVED, commit, asset, Version.parse(now) if now else None)
                yield replace(event, alias=alias, before=Version.parse(was) if was else None)

    def _about_at(self, oid: str | None, path: str) -> About:
        return About() if oid is None else About.parse(self._ws.repo.blobs([oid])[oid], file=path)

    def _stages(self, commit: Commit) -> Sequence[str]:
        try:
            return list(self._ws.at(commit.oid).config.stages)
        except GitMLError:
            return list(self._ws.config.stages)

    def _is_on(self, stage: str, commit: str) -> bool:
        """Whether a commit is on the first-parent chain of a stage, and not older than the stage itself."""
        request = self._merges.get(commit)
        if request is not None and request.target == stage:
            return True
        if stage not in self._chains:
            tip = self._shared.branch(stage) if stage in self._ws.config.stages else None
            self._chains[stage] = frozenset(one.oid for one in (since_default(self._ws, tip) if tip else ()))
        return commit in self._chains[stage]
