"""The verb `verify --history`: did every change of a stage come by an approved request?

Judges again, from git alone, what merged: the events of the requests and the first-parent chain of the stage are
held against each other, in both directions. Stores and other branches are not asked, since they have moved on.
Events of requests that live in refs can be rewritten by whoever may push; this finds what went around them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from gitml.errors import GitMLError, NotFound, PolicyRefused
from gitml.forge.base import Forge, Request
from gitml.forge.detect import open_forge
from gitml.git.types import Commit, MergedTree
from gitml.model.digest import Digest
from gitml.model.names import AssetId, Version, VersionId
from gitml.model.pointer import Input, Pointer
from gitml.promotion.case import Case, Found, Needed
from gitml.promotion.chain import need_whole_history, since_default
from gitml.promotion.history import birth_among
from gitml.promotion.judging import reviews_of, shape_of
from gitml.promotion.policy import OF_GIT_ALONE, judge
from gitml.promotion.stated import stated_in
from gitml.promotion.target import Blobs, folder_files, listing, tree_view
from gitml.promotion.view import Defect, File, Listing
from gitml.registry.workspace import Workspace


class Way(Enum):
    """In which way a change of a stage went around the requests."""

    PAST_REQUESTS = "past-requests"
    LOST_MERGE = "lost-merge"
    ALTERED_MERGE = "altered-merge"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detour:
    """One thing that the requests do not account for.

    Attributes:
        commit: Commit on the stage's first-parent chain; None where it is gone.
        request: Number of the request that it concerns.
        who: Author of the commit, or who merged the request.
        rule: Rule that refuses it; None where no request was judged.
    """

    way: Way
    commit: str | None
    request: int | None
    who: str
    time: datetime
    rule: str | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryVerification:
    """What `verify --history` checked and found right.

    Attributes:
        history: The stage.
        tip: Its tip.
        birth: Commit that it was born from.
        commits: Commits of its first-parent chain since then, each the merge of a request.
        approvals: Approvals that counted.
        moves: Changes of what it runs.
    """

    history: str
    tip: str
    birth: str | None
    commits: int
    approvals: int
    moves: int


def verify_history(ws: Workspace, stage: str) -> HistoryVerification:
    """Judge again every change of a stage since its birth.

    Raises:
        NotFound: No such stage, nothing was promoted to it yet, or this clone is shallow.
        PolicyRefused: Something went around the requests; `context["faults"]` lists all of it.
        StoreUnavailable: The remote cannot be reached.
    """
    forge = open_forge(ws)
    requests = forge.merged_requests(stage)
    tip = forge.branch(stage)
    if not requests and (tip is None or stage not in ws.config.stages):
        declared = stage in ws.config.stages
        raise NotFound(
            f"nothing was promoted to {stage} yet" if declared else f"{stage} is no stage in gitml.yaml",
            code="stage-unborn" if declared else "no-such-stage",
            hint=f"gitml promote TYPE/NAME -t {stage}" if declared else "gitml list",
            context={"stage": stage},
        )
    if ws.repo.is_shallow:
        need_whole_history(ws, f"the whole history of {stage}")
    audit = _Audit(ws, forge, stage)
    detours = [*audit.lost(requests), *(audit.walk(tip, requests) if tip else ())]
    if detours:
        raise _refusal(stage, detours, audit.commits)
    return HistoryVerification(
        history=stage,
        tip=tip or "",
        birth=audit.birth,
        commits=audit.commits,
        approvals=audit.approvals,
        moves=audit.moves,
    )


def _refusal(stage: str, detours: Sequence[Detour], commits: int) -> PolicyRefused:
    faults = [
        {
            "way": one.way.value,
            "commit": one.commit,
            "request": one.request,
            "who": one.who,
            "time": f"{one.time:%Y-%m-%dT%H:%M:%SZ}",
            "rule": one.rule,
            "problem": one.problem,
        }
        for one in detours
    ]
    return PolicyRefused(
        f"{len(detours)} thing(s) about {stage} came by no approved request, in {commits} commit(s); "
        f"{detours[0].problem}",
        code="history",
        hint=f"git log --first-parent {stage}; protect the branch, so that it moves by request only",
        context={"faults": faults, "stage": stage, "commits": commits},
    )


class _Audit:
    """One walk over one stage, oldest commit first."""

    def __init__(self, ws: Workspace, forge: Forge, stage: str) -> None:
        self._ws = ws
        self._forge = forge
        self._stage = stage
        self._files: tuple[str, Listing] = ("", {})
        self._ran: set[tuple[AssetId, Version]] = set()
        self.birth: str | None = None
        self.commits = self.approvals = self.moves = 0

    def lost(self, requests: Sequence[Request]) -> Iterator[Detour]:
        """Merges that the requests record, and the stage has not."""
        for request in requests:
            if request.merged_commit is None:
                problem = (
                    f"request {request.number} was merged onto {request.base[:12]}, and {self._stage} has no such "
                    "merge: it was forced back or replaced, or the remote died within the merge"
                )
                yield Detour(
                    way=Way.LOST_MERGE,
                    commit=None,
                    request=request.number,
                    who=str(request.merged_by or request.author),
                    time=request.merged or request.updated,
                    rule=None,
                    problem=problem,
                )

    def walk(self, tip: str, requests: Sequence[Request]) -> Iterator[Detour]:
        """What is wrong with the commits of the stage."""
        self.birth = birth_among(self._ws, tip, requests)
        if (
            self.birth is None
        ):  # born past the requests, it has changes of its own since it left the default branch
            chain = since_default(self._ws, tip)
            first = chain[-1] if chain else self._commit(tip)
            yield self._past(first, f"{self._stage} was born by no request")
        else:
            chain = list(self._ws.repo.first_parents(tip, stop=self.birth))
            yield from self._prepared(self.birth)
        chain.reverse()
        self.commits = len(chain)
        by_merge: dict[str, Request] = {}
        for request in requests:
            if request.merged_commit:
                by_merge.setdefault(request.merged_commit, request)
        for commit in chain:
            found = by_merge.get(commit.oid)
            if found is None:
                what = (
                    f"commit {commit.oid[:12]} by {commit.author.email} came to {self._stage} by no request"
                )
                yield self._past(commit, f"{what}: {commit.subject[:80]}")
            else:
                yield from self._judge_again(commit, found)
            self._remember(commit)

    def _prepared(self, birth: str) -> Iterator[Detour]:
        """Changes of the stage's own files that were made on the way to its birth, off the default branch itself."""
        aside = since_default(self._ws, birth)
        for commit in aside:
            changes = self._ws.repo.changed_paths(commit.parents[0] if commit.parents else None, commit.oid)
            if any(change.path.endswith(f"/{self._stage}.yaml") for change in changes):
                what = f"commit {commit.oid[:12]} by {commit.author.email} set what {self._stage} runs before its birth"
                yield self._past(commit, f"{what}: {commit.subject[:80]}")

    def _past(self, commit: Commit, problem: str) -> Detour:
        return Detour(
            way=Way.PAST_REQUESTS,
            commit=commit.oid,
            request=None,
            who=str(commit.author.identity),
            time=commit.committer.time,
            rule=None,
            problem=problem,
        )

    def _commit(self, oid: str) -> Commit:
        return self._ws.repo.commits([oid])[0]

    def _judge_again(self, commit: Commit, request: Request) -> Iterator[Detour]:
        def detour(way: Way, problem: str, rule: str | None = None) -> Detour:
            return Detour(
                way=way,
                commit=commit.oid,
                request=request.number,
                who=str(request.merged_by or request.author),
                time=request.merged or commit.committer.time,
                rule=rule,
                problem=f"request {request.number}, merged as {commit.oid[:12]}: {problem}",
            )

        merged = self._ws.repo.merge_trees(commit.parents[0], request.head)
        if not isinstance(merged, MergedTree) or merged.oid != commit.tree:
            yield detour(Way.ALTERED_MERGE, "it holds more, or less, than the head that was reviewed")
        try:
            case = self._case(commit, request)
        except GitMLError as error:
            yield detour(Way.REFUSED, f"it cannot be judged: {error.message}", "schema")
            return
        self.approvals += len(request.approvals)
        self.moves += len(case.moves)
        for problem in judge(case, OF_GIT_ALONE):
            yield detour(Way.REFUSED, problem.message, problem.rule.value)

    def _case(self, commit: Commit, request: Request) -> Case:
        """The case as it stood when it merged: the policy is that of the first parent."""
        parent = commit.parents[0]
        before, after = self._listing(parent), self._listing(commit.oid)
        config = self._ws.at(parent).config
        policy = config.stages.get(self._stage)
        if policy is None:
            raise NotFound(f"{self._stage} was no stage in gitml.yaml at {parent[:12]}", code="no-such-stage")
        types = {*config.known_types, *_types(self._ws, commit.oid)}
        blobs, head = Blobs(self._ws), self._commit(request.head)
        return Case(
            stage=self._stage,
            policy=policy,
            stores=None,
            directions=config.metrics,
            teams=config.teams,
            before=tree_view(self._ws, types, before, blobs),
            after=tree_view(self._ws, types, after, blobs),
            born=parent != self.birth,
            shape=shape_of(self._ws, parent, head),
            evidence=_Recorded(self._ws, parent, request, frozenset(self._ran), self._sources(request)),
            reviews=reviews_of(request),
            stated=stated_in(head),
        )

    def _sources(self, request: Request) -> Collection[str]:
        """Tips of the branches that what was promoted came from, as far as they are still there."""
        names = {request.source, self._ws.config.default_branch, *self._ws.config.stages} - {self._stage}
        tips = (self._forge.branch(name) for name in names if name)
        return {tip for tip in tips if tip is not None}

    def _listing(self, commit: str) -> Listing:
        """Files of a commit; those of the last one asked for are kept, since it is the next one's parent."""
        if self._files[0] != commit:
            self._files = (commit, listing(self._ws, commit))
        return self._files[1]

    def _remember(self, commit: Commit) -> None:
        """What the stage ran from this commit on."""
        view = tree_view(self._ws, _types(self._ws, commit.oid), self._listing(commit.oid), Blobs(self._ws))
        for asset, version in view.currents(self._stage).items():
            if not isinstance(version, Defect):
                self._ran.add((asset, version))


def _types(ws: Workspace, commit: str) -> Collection[str]:
    try:
        return ws.at(commit).config.known_types
    except GitMLError:
        return ws.config.known_types


@dataclass(frozen=True, slots=True)
class _Recorded:
    """Evidence that git alone keeps; what it does not keep is not asked for."""

    ws: Workspace
    parent: str
    request: Request
    ran: Collection[tuple[AssetId, Version]]
    sources: Collection[str]

    def missing_bytes(self, pointer: Pointer) -> Sequence[str]:
        return []

    def found(self, version: VersionId, files: dict[str, File], *, as_current: bool) -> Found:
        """Branches may be gone since; one that still has the version bears witness to what it is."""
        there = [folder_files(self.ws, tip, version.folder) for tip in self.sources]
        return Found.OTHERWISE if any(there) and files not in there else Found.YES

    def foreign_code(self) -> Sequence[str]:
        return []

    def foreign(self, item: Input, *, promoted: bool) -> Needed | None:
        return None

    def ran_before(self, asset: AssetId, version: Version) -> bool:
        return (asset, version) in self.ran

    def digests(self, pointer: Pointer, paths: Collection[str]) -> Mapping[str, Digest] | None:
        return None

    def paths(self, pointer: Pointer) -> Sequence[str] | None:
        return None

    def unsigned(self, allowed_signers: bytes, revoked: bytes | None) -> Sequence[str]:
        commits = [commit.oid for commit in self.ws.repo.between(self.parent, self.request.head)]
        at = self.request.merged or self.request.updated
        faults = self.ws.repo.unsigned(commits, allowed_signers=allowed_signers, revoked=revoked, at=at)
        return [f"commit {oid[:12]}: {why}" for oid, why in faults.items()]
