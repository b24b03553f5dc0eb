"""The verb `pr merge`: judge a request against the stage as it is now, and land it as a real merge commit.

Stage and `merged` event move together or not at all, each only from the value that was judged. Nobody's work
tree, index or branch is touched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gitml.errors import Conflict
from gitml.forge.base import Forge, Landing, Request, RequestState
from gitml.git.racing import Race
from gitml.git.types import Commit, MergeConflict
from gitml.promotion.case import Move, Problem, Rule
from gitml.promotion.chain import version_at
from gitml.promotion.history import birth_of
from gitml.promotion.judging import Judged, judge_merge, reviews_of
from gitml.promotion.prepare import refuse
from gitml.promotion.propose import describe_move
from gitml.promotion.rules import people
from gitml.promotion.target import Target, find_target, is_own_file
from gitml.registry.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What `pr merge` did.

    Attributes:
        commit: The merge commit; in a rehearsal, and where there was nothing to merge, None.
        moves: What the stage runs differently.
        already: Whether it was merged, or all of it was on the stage, before.
        retries: How often others moved the stage first, and it was judged again.
    """

    request: Request
    commit: str | None
    target: str
    moves: tuple[Move, ...] = ()
    already: bool = False
    summary: tuple[str, ...] = ()
    retries: int = 0


def merge_request(ws: Workspace, forge: Forge, number: int, *, dry_run: bool = False) -> Merged:
    """Merge a request into its stage.

    Raises:
        NotFound: No such request, or this shallow clone lacks what has to be compared.
        Conflict: The request is closed, does not merge, or (without a remote) the stage is checked out.
        PolicyRefused: The stage's rules forbid it; all that they object to is named.
        StoreUnavailable: The remote cannot be reached.
        Busy: Others moved the stage at every attempt.
    """
    race = Race(f"merge request {number} into its stage")
    for attempt in race.attempts():
        if attempt:
            forge.refresh()
        request = forge.get(number)
        done = _settled(ws, forge, request, dry_run=dry_run)
        if done is not None:
            return replace(done, retries=race.retries)
        judged = _judge(ws, forge, request)
        if judged.target.born and not judged.case.changed:
            return _close(forge, request, dry_run=dry_run)
        problems = [explained(problem, request) for problem in judged.problems]
        refuse(problems, f"cannot merge request {number}")
        _must_not_be_checked_out(ws, forge, request.target)
        lines = tuple(describe_move(move, request.target) for move in judged.case.moves)
        if dry_run:
            return Merged(
                request=request, commit=None, target=request.target, moves=judged.case.moves, summary=lines
            )
        message = f"Merge request {number}: {request.title}\n\n" + "\n".join(lines) + "\n"
        target = judged.target
        commit = ws.repo.write_commit(judged.tree, [target.tip, request.head], message)
        if forge.land(request, merge=commit, onto=target.tip, tip=target.stage_tip) is Landing.LANDED:
            request = forge.get(number)
            return Merged(
                request=request,
                commit=request.merged_commit or commit,
                target=request.target,
                moves=judged.case.moves,
                summary=lines,
                retries=race.retries,
            )
    raise race.lost(hint=f"gitml pr merge {number}", said=forge.shared.lost)


def _settled(ws: Workspace, forge: Forge, request: Request, *, dry_run: bool) -> Merged | None:
    """The answer where there is nothing left to merge."""
    number, stage = request.number, request.target
    if request.state is RequestState.MERGED and not _half_landed(ws, forge, request):
        said = f"request {number} was merged before, by {request.merged_by}"
        return Merged(
            request=request, commit=request.merged_commit, target=stage, already=True, summary=(said,)
        )
    if request.state is RequestState.CLOSED:
        raise Conflict(
            f"request {number} was closed without merging",
            code="request-closed",
            hint=f"gitml pr show {number}",
        )
    tip = forge.shared.branch(stage)
    if tip is None or not ws.repo.is_ancestor(request.head, tip):
        return None
    return _record(ws, forge, request, tip, dry_run=dry_run)


def _half_landed(ws: Workspace, forge: Forge, request: Request) -> bool:
    """Whether only the event says merged: the two refs move together, but a remote that dies may keep the first alone."""
    if ws.repo.is_shallow or forge.capabilities.makes_merges:
        return False
    tip = forge.shared.branch(request.target)
    return tip is None or not ws.repo.is_ancestor(request.head, tip)


def _record(ws: Workspace, forge: Forge, request: Request, tip: str, *, dry_run: bool) -> Merged:
    """Finish what a killed merge, or a merge past GitML, left: the head is on the stage, and no event says so."""
    merge = _merge_of(ws, tip, request.head)
    target = find_target(ws, forge.shared, request.target)
    earned = merge is not None and _is_approved(ws, forge, request, target, merge.parents[0])
    if merge is None or not earned:
        return _close(forge, request, dry_run=dry_run)
    if not dry_run:
        forge.record_merged(request, onto=merge.parents[0])
        request = forge.get(request.number)
    said = f"request {request.number} is on {request.target} already"
    return Merged(request=request, commit=merge.oid, target=request.target, already=True, summary=(said,))


def _close(forge: Forge, request: Request, *, dry_run: bool) -> Merged:
    """Close a request whose every change the stage has already, by whatever way it came there."""
    said = f"{request.target} has all of request {request.number} already"
    if not dry_run:
        request = forge.close(request.number, said)
    return Merged(request=request, commit=None, target=request.target, already=True, summary=(said,))


def _is_approved(ws: Workspace, forge: Forge, request: Request, target: Target, onto: str) -> bool:
    """Whether the reviews meet the policy; the head's authors are those of what it brought to `onto`."""
    authors = set(request.authors)
    for commit in ws.repo.between(onto, request.head):
        authors |= {commit.author.email.casefold(), commit.committer.email.casefold()}
    given = reviews_of(request)
    judged = judge_merge(
        ws,
        forge.shared,
        replace(target, tip=onto),
        request.head,
        birth=lambda: birth_of(ws, forge, request.target),
        reviews=replace(given, approved_by=tuple(who for who in given.approved_by if who not in authors)),
        rules=[people.approvals],
    )
    return isinstance(judged, Judged) and not judged.problems


def _merge_of(ws: Workspace, tip: str, head: str) -> Commit | None:
    chain = ws.repo.first_parents(tip, stop=head)
    return next((commit for commit in chain if len(commit.parents) == 2 and commit.parents[1] == head), None)


def _judge(ws: Workspace, forge: Forge, request: Request) -> Judged:
    target = find_target(ws, forge.shared, request.target)
    judged = judge_merge(
        ws,
        forge.shared,
        target,
        request.head,
        birth=lambda: birth_of(ws, forge, request.target),
        prefer=request.source,
        reviews=reviews_of(request),
    )
    if isinstance(judged, MergeConflict):
        raise _conflict(ws, target, request, judged)
    return judged


def explained(problem: Problem, request: Request) -> Problem:
    """Tell an approval that is missing from one that does not count."""
    if problem.rule is Rule.OWNERS and problem.hint:
        hint = problem.hint.removesuffix("N") + str(request.number)
        return replace(problem, hint=hint)
    if problem.rule is not Rule.APPROVALS:
        return problem
    ignored = [f"that of {r.actor.email} does not count: {r.ignored}" for r in request.reviews if r.ignored]
    message = "; ".join([problem.message, *dict.fromkeys(ignored)])
    hint = f"somebody other than {', '.join(request.authors)} runs: gitml pr approve {request.number}"
    return Problem(rule=problem.rule, asset=problem.asset, message=message, hint=hint)


def _conflict(ws: Workspace, target: Target, request: Request, conflict: MergeConflict) -> Conflict:
    refs = " ".join(request.refs)
    said = [_winner(ws, target, path) or f"both changed {path}" for path in conflict.paths[:10]]
    return Conflict(
        f"request {request.number} does not merge into {request.target} any more; {'; '.join(said)}",
        code="merge-conflict",
        hint=f"gitml promote {refs or '-s ' + request.source} -t {request.target}, which updates it",
        context={"paths": list(conflict.paths), "number": request.number},
    )


def _winner(ws: Workspace, target: Target, path: str) -> str | None:
    """Who came first, of a file that says what the stage runs; None for any other."""
    if not target.born or not is_own_file(ws, target, path):
        return None
    commit = next(iter(ws.repo.first_parents(target.tip, path=path)), None)
    asset, version = "/".join(path.split("/")[-3:-1]), version_at(ws, target.tip, path)
    runs = f"{target.stage} runs {asset}@{version} now" if version else f"{target.stage} runs no {asset} now"
    return f"{runs} ({commit.subject}, by {commit.author.identity})" if commit else runs


def _must_not_be_checked_out(ws: Workspace, forge: Forge, stage: str) -> None:
    """Without a remote the stage's own branch moves, and a work tree on it would silently fall behind."""
    if forge.shared.remote is not None:
        return
    where = ws.repo.checked_out(stage)
    if where:
        raise Conflict(
            f"{stage} is checked out in {', '.join(map(str, where))}, and a merge would move it under that work tree",
            code="stage-checked-out",
            hint=f"git -C {where[0]} switch {ws.config.default_branch}",
            context={"paths": [str(path) for path in where]},
        )
