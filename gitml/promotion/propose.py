"""Carrying a plan out: refuse what the target's rules refuse, open or update the request, say what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gitml.forge.base import Draft, Forge, Request
from gitml.git.types import MergedTree
from gitml.promotion.case import Move, Problem
from gitml.promotion.evidence import RepositoryEvidence
from gitml.promotion.policy import judge
from gitml.promotion.prepare import Kind, Prepared, PromotionPlan, refuse
from gitml.promotion.rules import people
from gitml.registry.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What `promote` or `rollback` did.

    Attributes:
        request: The request; None in a rehearsal, and where the stage has all of it already.
        created: Whether the request is new.
        updated: Whether an open request was changed.
        summary: What it amounts to, one line each.
        next: Commands that come next.
    """

    request: Request | None
    plan: PromotionPlan
    created: bool = False
    updated: bool = False
    summary: tuple[str, ...] = ()
    next: tuple[str, ...] = ()


def propose(
    ws: Workspace,
    forge: Forge,
    prepared: Prepared,
    *,
    title: str | None,
    body: str | None,
    dry_run: bool,
    is_draft: bool = False,
    reviewers: Sequence[str] = (),
    auto_merge: bool = False,
) -> Promotion:
    """Carry a plan out: make its head, and open or update the request that names it."""
    plan = prepared.plan
    refuse(plan.problems, f"cannot promote to {plan.target}")
    if prepared.is_empty:
        count = len(plan.already)
        said = f"nothing to do: {plan.target} has it all already ({count} of {count} run there, 0 folders to bring)"
        return Promotion(request=None, plan=plan, summary=(said,))
    lines = describe(plan)
    if dry_run:
        return Promotion(request=None, plan=plan, summary=lines)
    tree = ws.repo.write_tree(prepared.tree, prepared.changes)
    title = title or _title(plan)
    head = ws.repo.write_commit(tree, prepared.parents, _message(plan, title))
    refuse(_unsigned(ws, forge, prepared, head), f"cannot promote to {plan.target}")
    draft = Draft(
        source=plan.source,
        target=plan.target,
        base=plan.base,
        head=head,
        refs=plan.refs,
        title=" ".join(title.split()),
        body=(body or "").strip(),
        is_draft=is_draft,
        reviewers=tuple(reviewers),
        auto_merge=auto_merge,
    )

    def proposes(request: Request) -> bool:
        merged = ws.repo.merge_trees(prepared.target.tip, request.head)
        same = isinstance(merged, MergedTree) and merged.oid == tree
        return same and all(ws.repo.is_ancestor(parent, request.head) for parent in prepared.parents[1:])

    opened = forge.open_or_update(draft, proposes=proposes)
    return Promotion(
        request=opened.request,
        plan=plan,
        created=opened.created,
        updated=opened.updated,
        summary=lines,
        next=_next(plan, opened.request),
    )


def _unsigned(ws: Workspace, forge: Forge, prepared: Prepared, head: str) -> list[Problem]:
    """What the rule `signed` says of the head, which the plan could not know."""
    evidence = RepositoryEvidence(ws, forge.shared, prepared.target, head=head)
    return judge(replace(prepared.case, evidence=evidence), [people.signed])


def describe(plan: PromotionPlan) -> tuple[str, ...]:
    """What moves from which version to which, what travels, and who has to approve."""
    lines = [describe_move(move, plan.target) for move in plan.moves]
    moved = {(move.asset, move.to_version) for move in plan.moves}
    inputs = [version for version in plan.folders if (version.asset, version.version) not in moved]
    if inputs:
        lines.append(f"travels along: {', '.join(map(str, inputs))}")
    if plan.code:
        lines.append(f"code of {plan.source} ({plan.code[:12]}) is merged")
    if not plan.born:
        lines.append(f"{plan.target} is born with this, from {plan.base[:12]}")
    if plan.already:
        lines.append(f"runs there already: {', '.join(map(str, plan.already))}")
    count = plan.approvals_needed
    if count:
        lines.append(f"needs the approval of {count} other{'s' if count > 1 else ''} than its authors")
    return tuple(lines)


def describe_move(move: Move, stage: str) -> str:
    """One move in words."""
    if move.to_version is None:
        return f"{move.asset}: {move.from_version} leaves {stage}"
    if move.from_version is None:
        return f"{move.asset}: {move.to_version} is new on {stage}"
    return f"{move.asset}: {move.from_version} -> {move.to_version} on {stage}"


def _title(plan: PromotionPlan) -> str:
    if plan.kind is Kind.BY_BRANCH:
        return f"Promote {plan.source} to {plan.target}"
    verb = "Roll back" if plan.kind is Kind.ROLLBACK else "Promote"
    names = plan.refs if len(plan.refs) <= 3 else (*plan.refs[:2], f"{len(plan.refs) - 2} more")
    joined = ", ".join(names)
    return (
        f"{verb} {plan.target} to {joined}"
        if plan.kind is Kind.ROLLBACK
        else f"{verb} {joined} to {plan.target}"
    )


def _message(plan: PromotionPlan, title: str) -> str:
    return f"{title}\n\n" + "\n".join(describe(plan)) + "\n"


def _next(plan: PromotionPlan, request: Request) -> tuple[str, ...]:
    missing = plan.approvals_needed - len({review.actor.email.casefold() for review in request.approvals})
    approve = [f"gitml pr approve {request.number}"] if missing > 0 else []
    return (*approve, f"gitml pr merge {request.number}")
