"""Judging the merge of a commit into a branch as it is at this moment; `pr merge` and `check` ask the same.

Nothing is written but unreferenced objects of git's own merge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gitml.errors import Conflict
from gitml.forge.base import Request
from gitml.forge.shared import Shared
from gitml.git.types import Commit, MergeConflict
from gitml.model.statement import Statement
from gitml.promotion.case import Case, Evidence, Problem, Reviews, Shape
from gitml.promotion.chain import need_whole_history
from gitml.promotion.evidence import RepositoryEvidence
from gitml.promotion.policy import Judge, judge
from gitml.promotion.stated import stated_in
from gitml.promotion.target import Blobs, Target, listing, views
from gitml.promotion.view import Defect, Listing
from gitml.registry.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A merge, and all that is said against it.

    Attributes:
        target: The branch as it was read.
        tree: Tree that it would have.
    """

    target: Target
    tree: str
    case: Case
    problems: tuple[Problem, ...]


def case_of(
    ws: Workspace,
    shared: Shared,
    target: Target,
    after: Listing,
    blobs: Blobs,
    *,
    shape: Shape,
    evidence: Evidence,
    reviews: Reviews | None = None,
    stated: Statement | Defect | None = None,
) -> Case:
    """The case of a target that would have these files."""
    view_before, view_after = views(ws, target, after, blobs)
    return Case(
        stage=target.stage,
        policy=target.policy,
        stores=frozenset(target.config.stores) if shared.remote else None,
        directions=target.config.metrics,
        teams=target.config.teams,
        before=view_before,
        after=view_after,
        born=target.born,
        shape=shape,
        evidence=evidence,
        reviews=reviews,
        stated=stated,
    )


def judge_merge(
    ws: Workspace,
    shared: Shared,
    target: Target,
    head: str,
    *,
    birth: Callable[[], str | None],
    prefer: str | None = None,
    reviews: Reviews | None = None,
    rules: Sequence[Judge] | None = None,
) -> Judged | MergeConflict:
    """Judge the merge of a commit into a stage.

    Args:
        ws: The registry.
        shared: The shared repository, refreshed.
        target: The stage.
        head: The commit.
        birth: Gives the commit that the stage was born from, where it is known.
        prefer: Branch that versions are looked for on first.
        reviews: Reviews of this head that count; None leaves approvals aside.
        rules: Only these rules; None is all of them.
    """
    try:
        merged = ws.repo.merge_trees(target.tip, head)
    except Conflict:
        # No commit in common: a shallow clone may just not have it.
        need_whole_history(ws, f"where {head[:12]} left the target")
        raise
    if isinstance(merged, MergeConflict):
        return merged
    blobs, commit = Blobs(ws), ws.repo.commits([head])[0]
    case = case_of(
        ws,
        shared,
        target,
        listing(ws, merged.oid),
        blobs,
        shape=shape_of(ws, target.tip, commit),
        evidence=RepositoryEvidence(ws, shared, target, head=head, birth=birth, prefer=prefer),
        reviews=reviews,
        stated=stated_in(commit),
    )
    return Judged(target=target, tree=merged.oid, case=case, problems=tuple(judge(case, rules)))


def shape_of(ws: Workspace, tip: str, head: Commit) -> Shape:
    """One commit on the stage is a promotion by asset, whatever its author calls it."""
    if len(head.parents) != 1:
        return Shape.BY_BRANCH
    if head.oid == tip:
        return Shape.BY_ASSET  # what the tip was made from is on the stage, whether or not this clone has it
    if ws.repo.resolve(head.parents[0]) is None:
        need_whole_history(ws, f"what {head.oid[:12]} was made from")
    on_stage = ws.repo.is_ancestor(head.parents[0], tip)
    return Shape.BY_ASSET if on_stage else Shape.BY_BRANCH


def reviews_of(request: Request) -> Reviews:
    """The reviews of a request that count."""
    return Reviews(
        approved_by=tuple(review.actor.email.casefold() for review in request.approvals),
        rejected_by=tuple(review.actor.email.casefold() for review in request.rejections),
    )
