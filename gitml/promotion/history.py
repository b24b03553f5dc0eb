"""The verb `history`: who put what on a stage, when, and by which request.

Walks the first-parent chain of a stage down to the commit it was born from. The time of an entry is that of the
request's `merged` event where a request made it; else the committer's date, never earlier than the entry before,
and marked as guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import Enum

from gitml.errors import NotFound, UsageError
from gitml.forge.base import Forge, Request
from gitml.forge.detect import open_forge
from gitml.git.types import Commit
from gitml.model.names import AssetId, Version
from gitml.model.statement import Statement
from gitml.promotion.chain import need_whole_history, version_at
from gitml.promotion.stated import stated_in
from gitml.registry.resolve import resolve_asset
from gitml.registry.workspace import Workspace


class EntryKind(Enum):
    """How an entry came about."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    MOVED = "moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedCheck:
    """What the head of a request states of one rule, as it was judged when the request was made."""

    rule: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One change of what a stage runs.

    Attributes:
        commit: Commit on the stage's first-parent chain.
        time: When; see `time_guessed`.
        time_guessed: Whether the time is the committer's date, because no request recorded one.
        from_version: What ran before; None where nothing did.
        to_version: What ran from then on; None where the asset left the stage.
        request: Number of the request; None where it came past the requests.
        author: Who asked for it, or wrote the commit.
        approvers: Whose approval counted.
        checks: Rules that were required, and what became of them; none where the head states nothing.
        kind: `moved` is a change that came past the requests.
    """

    stage: str
    commit: str
    time: datetime
    time_guessed: bool
    asset: AssetId
    from_version: Version | None
    to_version: Version | None
    request: int | None
    author: str
    approvers: tuple[str, ...]
    checks: tuple[StatedCheck, ...]
    kind: EntryKind


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Entries, newest first; with `at`, the last one of each asset and stage that is not after it."""

    what: str
    at: datetime | None
    entries: tuple[HistoryEntry, ...]


def history(ws: Workspace, what: str, *, at: str | None = None) -> History:
    """Tell the history of a stage, or of an asset on all stages.

    Args:
        ws: The registry.
        what: A stage, or TYPE/NAME.
        at: ISO 8601 date or time; a date alone means the end of that day, a time without zone is UTC.

    Raises:
        UsageError: The date is no ISO 8601.
        NotFound: No such stage or asset, nothing at that time, or this clone is shallow.
        StoreUnavailable: The remote cannot be reached.
    """
    moment = parse_moment(at) if at is not None else None
    forge = open_forge(ws)
    stages, asset = _scope(ws, forge, what)
    entries = [entry for stage in stages for entry in stage_entries(ws, forge, stage, asset)]
    entries.sort(key=lambda entry: entry.time)
    if moment is not None:
        entries = _at(entries, moment)
        if not entries:
            raise NotFound(
                f"nothing ran on {', '.join(stages)} at {moment:%Y-%m-%dT%H:%M:%SZ}" if asset is None
                else f"{asset} ran on no stage at {moment:%Y-%m-%dT%H:%M:%SZ}",
                code="nothing-then",
                hint=f"gitml history {what}",
            )  # fmt: skip
    return History(what=what, at=moment, entries=tuple(reversed(entries)))


def _scope(ws: Workspace, forge: Forge, what: str) -> tuple[list[str], AssetId | None]:
    """Stages to walk, and the asset where only one is asked for."""
    stages = list(ws.config.stages)
    if what in stages:
        if forge.shared.branch(what) is None:
            raise NotFound(
                f"nothing was promoted to the stage {what} yet",
                code="stage-unborn",
                hint=f"gitml promote TYPE/NAME -t {what}",
                context={"stage": what},
            )
        return [what], None
    born = [stage for stage in stages if forge.shared.branch(stage) is not None]
    for rev in [None, *(forge.shared.branch(stage) for stage in born)]:
        try:
            return born, resolve_asset(ws, what, rev=rev)[0]
        except NotFound:
            continue
    raise NotFound(
        f"{what} is neither a stage ({', '.join(stages) or 'none is declared'}) nor an asset here or on a stage",
        code="not-found",
        hint="gitml list",
        context={"what": what, "stages": stages},
    )


def _at(entries: Iterable[HistoryEntry], moment: datetime) -> list[HistoryEntry]:
    """The last entry of each asset and stage that is not after a moment; what had left by then is left out."""
    last: dict[tuple[str, AssetId], HistoryEntry] = {}
    for entry in entries:
        if entry.time <= moment:
            last[entry.stage, entry.asset] = entry
    return [entry for entry in last.values() if entry.to_version is not None]


def stage_entries(
    ws: Workspace, forge: Forge, stage: str, asset: AssetId | None = None
) -> list[HistoryEntry]:
    """Every change of what a stage runs, oldest first.

    Raises:
        NotFound: This clone is shallow and lacks some of it.
    """
    tip = forge.branch(stage)
    if tip is None:
        return []
    requests = forge.merged_requests(stage)
    birth = birth_among(ws, tip, requests)
    if birth is None:
        need_whole_history(ws, f"the whole history of {stage}")
    chain = list(ws.repo.first_parents(tip, stop=birth))
    chain.reverse()
    by_merge = {request.merged_commit: request for request in requests if request.merged_commit}
    return _entries(ws, stage, chain, by_merge, asset)


def _entries(
    ws: Workspace,
    stage: str,
    chain: Sequence[Commit],
    by_merge: dict[str, Request],
    asset: AssetId | None,
) -> list[HistoryEntry]:
    entries: list[HistoryEntry] = []
    runs: dict[AssetId, Version | None] = {}
    ran: set[tuple[AssetId, Version | None]] = set()
    files = StageFiles(ws, stage)
    latest: datetime | None = None
    for commit in chain:
        request = by_merge.get(commit.oid)
        guessed = request is None or request.merged is None
        when = commit.committer.time if request is None or request.merged is None else request.merged
        if guessed and latest is not None and when < latest:
            when = latest
        latest = when if latest is None else max(latest, when)
        now = files.at(commit)
        checks = () if request is None or now == runs else _checks(ws, commit)
        for changed in sorted(
            {name for name in now.keys() | runs.keys() if now.get(name) != runs.get(name)}, key=str
        ):
            version = now.get(changed)
            if request is None:
                kind = EntryKind.MOVED
            else:
                kind = EntryKind.ROLLED_BACK if (changed, version) in ran else EntryKind.PROMOTED
            entry = HistoryEntry(
                stage=stage,
                commit=commit.oid,
                time=when,
                time_guessed=guessed,
                asset=changed,
                from_version=runs.get(changed),
                to_version=version,
                request=request.number if request else None,
                author=str(request.author if request else commit.author.identity),
                approvers=tuple(str(review.actor) for review in request.approvals) if request else (),
                checks=checks,
                kind=kind,
            )
            entries.append(entry)
            ran.add((changed, version))
        runs = dict(now)
    return [entry for entry in entries if asset in (None, entry.asset)]


def _checks(ws: Workspace, commit: Commit) -> tuple[StatedCheck, ...]:
    """What the head that a commit of the stage merged states; a squashed one carries the statement itself."""
    head = ws.repo.commits([commit.parents[1]])[0] if len(commit.parents) == 2 else commit
    stated = stated_in(head)
    if not isinstance(stated, Statement):
        return ()
    return tuple(StatedCheck(rule=str(one["rule"]), verdict=str(one["verdict"])) for one in stated.rules)


class StageFiles:
    """What a stage's files name at many commits; each git tree is read once."""

    def __init__(self, ws: Workspace, stage: str) -> None:
        self._ws = ws
        self._name = f"{stage}.yaml"
        self._types: dict[str, dict[str, str]] = {}
        self._assets: dict[str, str | None] = {}
        self._versions: dict[tuple[str, AssetId], Version | None] = {}

    def at(self, commit: Commit) -> dict[AssetId, Version | None]:
        """Asset -> version; a file that cannot be read counts as none."""
        found: dict[AssetId, Version | None] = {}
        for entry in self._ws.repo.tree(commit.oid, self._ws.folder, recursive=False):
            if entry.kind != "tree":
                continue
            asset_type = entry.path.rpartition("/")[2]
            for name, oid in self._files(entry.oid).items():
                asset = AssetId(type=asset_type, name=name)
                version = self._version(commit, asset, oid)
                if version is not None:
                    found[asset] = version
        return found

    def _files(self, tree: str) -> dict[str, str]:
        """Asset name -> stage file, of one type's folder."""
        if tree not in self._types:
            found: dict[str, str] = {}
            for entry in self._ws.repo.tree(tree, recursive=False):
                oid = self._file(entry.oid) if entry.kind == "tree" else None
                if oid is not None:
                    found[entry.path] = oid
            self._types[tree] = found
        return self._types[tree]

    def _file(self, tree: str) -> str | None:
        if tree not in self._assets:
            entries = self._ws.repo.tree(tree, recursive=False)
            self._assets[tree] = next(
                (e.oid for e in entries if e.path == self._name and e.kind == "blob"), None
            )
        return self._assets[tree]

    def _version(self, commit: Commit, asset: AssetId, oid: str) -> Version | None:
        if (oid, asset) not in self._versions:
            path = self._ws.at(commit.oid).path(asset.folder, self._name)
            self._versions[oid, asset] = version_at(self._ws, commit.oid, path)
        return self._versions[oid, asset]


def birth_of(ws: Workspace, forge: Forge, stage: str) -> str | None:
    """The commit that a stage was born from; None where unknown.

    That is the base of the oldest merge on its chain that a request made, where nothing of the stage is older. A base
    that is not on the default branch is a commit of the stage itself, so changes came past the requests before; then
    the whole chain counts.
    """
    tip = forge.branch(stage)
    return None if tip is None else _born(ws, forge.oldest_merge(stage, list(ws.repo.first_parents(tip))))


def birth_among(ws: Workspace, tip: str, requests: Sequence[Request]) -> str | None:
    """As :func:`birth_of`, for one that has read all merged requests of the stage."""
    made = {request.merged_commit: request for request in requests}
    oldest = None
    for commit in ws.repo.first_parents(tip):
        oldest = made.get(commit.oid, oldest)
    return _born(ws, oldest)


def _born(ws: Workspace, oldest: Request | None) -> str | None:
    if oldest is None or not ws.repo.is_ancestor(oldest.base, ws.default_tip().commit):
        return None
    return oldest.base


_MOMENT = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(?P<zone>Z|[+-]\d{2}:\d{2})?)?"
)


def parse_moment(text: str) -> datetime:
    """Read an ISO 8601 date or time.

    Raises:
        UsageError: It is neither.
    """
    match = _MOMENT.fullmatch(text)
    try:
        if match is None:
            raise ValueError("it does not have the form YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
        if match["time"] is None:
            return datetime.combine(datetime.fromisoformat(match["date"]).date(), time.max, UTC)
        zone = match["zone"] or "+00:00"
        moment = datetime.fromisoformat(f"{match['date']}T{match['time']}{'+00:00' if zone == 'Z' else zone}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{text[:60]!r} is no ISO 8601 date or time: {error}",
            code="bad-date",
            hint="--at 2026-11-21, or --at 2026-11-21T04:30:00Z",
        ) from error
