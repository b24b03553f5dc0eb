"""What the hook `pre-receive` of a bare repository asks: do stages move by request only?

Judges a push before any ref moves. A stage takes exactly one merge at a time, of a request whose `merged` event is in
the same push (or was recorded before), and only where the rules of the stage's old tip allow it. Requests only grow.
Stores are not asked: a git server need not reach them, and `gitml check` does. Who an event says to be is believed,
unless the server says who pushes.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path

from gitml.errors import GitMLError, InvalidInput, NotFound, PolicyRefused, UsageError
from gitml.forge.base import Request
from gitml.forge.events import Chain, EventReader, Link, read_request
from gitml.forge.local import LocalForge
from gitml.forge.shared import HEADS, REQUESTS, Shared
from gitml.git.repository import Repository
from gitml.git.types import Commit, MergedTree
from gitml.model.config import StagePolicy
from gitml.model.digest import Digest
from gitml.model.names import VersionId
from gitml.model.pointer import Pointer
from gitml.model.progress import SILENT, Progress
from gitml.model.request import EventKind
from gitml.promotion.case import Case
from gitml.promotion.evidence import RepositoryEvidence
from gitml.promotion.history import birth_of
from gitml.promotion.judging import case_of, reviews_of, shape_of
from gitml.promotion.policy import OF_GIT_ALONE, judge
from gitml.promotion.rules import coming, tree
from gitml.promotion.target import Blobs, Target, find_target, listing
from gitml.registry.settings import load_settings
from gitml.registry.setup.hooks import PRE_PUSH, PRE_RECEIVE
from gitml.registry.share.outgoing import Hooked, RefChange, judge_outgoing, pushed_refs, received_refs
from gitml.registry.snapshot import CONFIG_FILE
from gitml.registry.workspace import Workspace

_RULES = (*OF_GIT_ALONE, coming.from_)
_OURS = "refs/gitml/"
_MOST_COMMITS = 10_000


class Server(Workspace):
    """A registry in the repository that people push to; whatever remotes it has are none of its business."""

    @cached_property
    def remotes(self) -> dict[str, str]:
        """None."""
        return {}


def open_server(path: Path) -> Server | None:
    """The registry of a bare repository, with what a push brings; None where its HEAD holds none.

    Raises:
        NotFound, AccessDenied: No repository there, or none that may be used.
    """
    repo = Repository.receiving(path)
    commit = repo.head().commit
    if commit is None:
        return None
    if repo.entry(commit, CONFIG_FILE) is not None:
        return Server(repo, "", path, load_settings())
    found = [one.path for one in repo.tree(commit) if one.path.endswith(f"/{CONFIG_FILE}")]
    if not found:
        return None
    return Server(
        repo, min(found, key=lambda one: (one.count("/"), one)).rpartition("/")[0], path, load_settings()
    )


def run_hook(
    name: str,
    arguments: Sequence[str],
    lines: Iterable[str],
    *,
    path: Path,
    registry: str | Path | None = None,
    progress: Progress = SILENT,
) -> Hooked:
    """Judge what git tells one of its hooks; where there is no registry, there is nothing to judge.

    Args:
        name: `pre-push` or `pre-receive`.
        arguments: Of the hook; `pre-push` gets the remote's name.
        lines: What git writes to the hook.
        path: Where git runs it.
        registry: The registry's folder, if it is not at or above `path`.
        progress: Where it reports to.

    Raises:
        UsageError: No such hook.
        PolicyRefused: The push must not happen.
    """
    if name == PRE_RECEIVE:
        changes = received_refs(lines)
        server = open_server(path)
        if server is None:
            return Hooked(hook=name, refs=len(changes), note="there is no registry here yet, and no stage")
        return judge_incoming(server, changes, pusher=_pusher())
    if name != PRE_PUSH:
        raise UsageError(f"{name!r} is no hook that gitml has", code="no-such-hook", hint="gitml install")
    changes = pushed_refs(lines)
    try:
        ws = Workspace.open(path, registry, progress=progress)
    except NotFound:
        return Hooked(hook=name, refs=len(changes), note="there is no registry here")
    return judge_outgoing(ws, arguments[0] if arguments else "origin", changes)


def _pusher() -> str | None:
    """Who pushes, where the web server has asked for a name and names are e-mail addresses."""
    name = os.environ.get("REMOTE_USER", "")
    return name if "@" in name else None


def judge_incoming(ws: Workspace, changes: Sequence[RefChange], *, pusher: str | None = None) -> Hooked:
    """Judge a push.

    Args:
        ws: See :func:`open_server`.
        changes: What the push moves.
        pusher: E-mail address of who pushes, where the server knows it.

    Raises:
        PolicyRefused: Something in it is not allowed; `context["reasons"]` lists all of it.
    """
    push = _Push(ws, changes, pusher)
    reasons = [reason for change in changes for reason in push.objections(change)]
    if reasons:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        raise PolicyRefused(
            f"{reasons[0]}{more}",
            code="push-refused",
            hint="gitml promote TYPE/NAME -t STAGE, then gitml pr merge N",
            context={"reasons": reasons},
        )
    return Hooked(
        hook="pre-receive", refs=len(changes), versions=tuple(push.versions), stages=tuple(push.stages)
    )


class _WithoutStores(RepositoryEvidence):
    """Evidence of a server, which has the git objects and nothing else."""

    def missing_bytes(self, pointer: Pointer) -> Sequence[str]:
        return []

    def digests(self, pointer: Pointer, paths: Collection[str]) -> Mapping[str, Digest] | None:
        return None

    def paths(self, pointer: Pointer) -> Sequence[str] | None:
        return None


class _Push:
    """One push, judged ref by ref."""

    def __init__(self, ws: Workspace, changes: Sequence[RefChange], pusher: str | None) -> None:
        self._ws = ws
        self._repo = ws.repo
        self._shared = Shared(ws.repo, None)
        self._pusher = pusher
        self._events = EventReader(ws.repo)
        self._moved = {change.ref: change.new for change in changes}
        self.stages: list[str] = []
        self.versions: list[VersionId] = []

    def objections(self, change: RefChange) -> Iterator[str]:
        """What speaks against moving one ref."""
        if change.ref.startswith(REQUESTS):
            yield from self._request(change)
        elif change.ref.startswith(_OURS):
            yield f"{change.ref}: nobody keeps anything there but requests"
        elif change.ref.startswith(HEADS):
            branch = change.ref.removeprefix(HEADS)
            if self._is_stage(branch, change.old):
                yield from (f"{branch}: {problem}" for problem in self._stage(branch, change))
            elif branch in (self._ws.config.default_branch, self._ws.branch()):
                yield from (f"{branch}: {problem}" for problem in self._default(change))

    def _is_stage(self, branch: str, old: str | None) -> bool:
        """Whether the default branch or the branch itself says so; what cannot be read is protected."""
        if branch in self._ws.config.stages:
            return True
        try:
            return old is not None and branch in self._ws.at(old).config.stages
        except NotFound:
            return False
        except GitMLError:
            return branch != self._ws.config.default_branch

    # --- stages -------------------------------------------------------------------------------------------------

    def _stage(self, stage: str, change: RefChange) -> Iterator[str]:
        if change.new is None:
            yield "it is a stage, and stages are never deleted"
            return
        try:
            target = find_target(self._ws, self._shared, stage)
            commit = self._commit(change.new)
            request = None if commit is None else self._merge(target, commit)
            if commit is None or request is None:
                yield self._no_merge(target, change)
                return
            yield from self._judged(target, commit, request)
        except GitMLError as error:
            yield f"it cannot be judged: {error.message}"

    def _no_merge(self, target: Target, change: RefChange) -> str:
        if change.old and change.new and not self._repo.is_ancestor(change.old, change.new):
            return "it is a stage, and would be forced back"
        return (
            "it is a stage, and moves by one merged request at a time; this push is no merge of one "
            f"into {target.tip[:12]}"
        )

    def _commit(self, oid: str) -> Commit | None:
        return self._repo.commits([oid])[0] if self._repo.resolve(oid) == oid else None

    def _merge(self, target: Target, commit: Commit) -> Request | None:
        """The request that this commit is the merge of, as its events will stand after the push."""
        if len(commit.parents) != 2 or commit.parents[0] != target.tip:
            return None
        for number, chain in self._chains.items():
            last = chain[-1].event
            wanted = (EventKind.MERGED, target.stage, *commit.parents)
            if (last.kind, last.target, last.base, last.head) == wanted:
                brought = self._repo.between(target.tip, last.head)
                emails = [person.email for one in brought for person in (one.author, one.committer)]
                return read_request(chain, number, emails, commit.oid)
        return None

    def _judged(self, target: Target, commit: Commit, request: Request) -> Iterator[str]:
        merged = self._repo.merge_trees(target.tip, request.head)
        if not isinstance(merged, MergedTree) or merged.oid != commit.tree:
            yield f"{commit.oid[:12]} holds more, or less, than what request {request.number} proposes"
        case = self._case(target, commit, request)
        for problem in judge(case, _RULES):
            yield f"request {request.number}: {problem.rule.value}: {problem.message}"
        self.stages.append(target.stage)
        self.versions += case.added

    def _case(self, target: Target, commit: Commit, request: Request) -> Case:
        forge = LocalForge(self._shared, self._ws.config.default_branch)
        return case_of(
            self._ws,
            self._shared,
            target,
            listing(self._ws, commit.oid),
            Blobs(self._ws),
            shape=shape_of(self._ws, target.tip, self._repo.commits([request.head])[0]),
            evidence=_WithoutStores(
                self._ws,
                self._shared,
                target,
                head=request.head,
                birth=lambda: birth_of(self._ws, forge, target.stage),
                prefer=request.source,
            ),
            reviews=reviews_of(request),
        )

    # --- the default branch -------------------------------------------------------------------------------------

    def _default(self, change: RefChange) -> Iterator[str]:
        """It says which branches are stages, so it stays, and stays readable; its versions stay what they are."""
        if change.new is None:
            yield "it is the default branch, which says what the stages are, and is never deleted"
            return
        try:
            commit = self._commit(change.new)
            if commit is None:
                yield "it would name no commit"
                return
            self._ws.at(commit.oid).config  # noqa: B018 - it has to be readable
        except GitMLError as error:
            yield f"the registry could not be read any more: {error.message}"
            return
        if change.old is None:
            return
        goal = Target(
            stage="",
            tip=change.old,
            born=True,
            config=self._ws.at(change.old).config,
            policy=StagePolicy(name=""),
        )
        evidence = _WithoutStores(self._ws, self._shared, goal, head=commit.oid)
        case = case_of(
            self._ws, self._shared, goal, listing(self._ws, commit.oid), Blobs(self._ws),
            shape=shape_of(self._ws, goal.tip, commit), evidence=evidence,
        )  # fmt: skip
        yield from (f"{problem.rule.value}: {problem.message}" for problem in tree.write_once(case))

    # --- requests -----------------------------------------------------------------------------------------------

    @cached_property
    def _chains(self) -> dict[int, Chain]:
        """The requests that can be believed, as they will stand after the push."""
        tips = {f"{REQUESTS}{number}": tip for number, tip in self._shared.requests().items()}
        tips |= {ref: tip for ref, tip in self._moved.items() if tip and _number(ref)}
        numbered = {number: tip for ref, tip in tips.items() if (number := _number(ref))}
        chains = self._events.chains(numbered)
        return {number: chain for number, chain in chains.items() if not isinstance(chain, InvalidInput)}

    def _request(self, change: RefChange) -> Iterator[str]:
        number = _number(change.ref)
        if number is None:
            yield f"{change.ref}: the name of a request is a number"
            return
        if change.new is None:
            yield f"request {number}: its events are kept, and cannot be deleted"
            return
        chain = self._events.chains({number: change.new})[number]
        if isinstance(chain, InvalidInput):
            yield chain.message
            return
        known = [link.oid for link in chain]
        if change.old is not None and change.old not in known:
            yield f"request {number}: its events would be rewritten"
            return
        for link in chain[known.index(change.old) + 1 if change.old else 0 :]:
            yield from self._event(number, link)

    def _event(self, number: int, link: Link) -> Iterator[str]:
        event = link.event
        if self._pusher and event.actor.email.casefold() != self._pusher.casefold():
            yield (
                f"request {number}: {event.actor.email} is said to have {event.kind.value} it, "
                f"and {self._pusher} pushes that"
            )
        if event.kind is EventKind.MERGED and not self._is_merged(event.target, event.base, event.head):
            yield f"request {number}: it is said to be merged, and {event.target} would have no such merge"

    def _is_merged(self, stage: str, base: str, head: str) -> bool:
        ref = HEADS + stage
        tip = self._moved[ref] if ref in self._moved else self._shared.branch(stage)
        if tip is None or self._repo.resolve(tip) != tip:
            return False
        chain = islice(self._repo.first_parents(tip), _MOST_COMMITS)
        return any(tuple(commit.parents) == (base, head) for commit in chain)


def _number(ref: str) -> int | None:
    text = ref.removeprefix(REQUESTS)
    plain = (
        text != ref and text.isascii() and text.isdecimal() and not text.startswith("0") and len(text) < 10
    )
    return int(text) if plain else None
