"""Carrying a plan out: refuse what the target's rules refuse, open or update the request, say what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gitml.errors import UsageError
from gitml.forge.base import Draft, Forge, Request
from gitml.forge.local import utc_now
from gitml.git.types import Identity, MergedTree
from gitml.model.statement import Statement, with_statement
from gitml.promotion.body import render
from gitml.promotion.case import Move, Problem
from gitml.promotion.evidence import RepositoryEvidence
from gitml.promotion.facts import Facts, gather
from gitml.promotion.policy import judge
from gitml.promotion.prepare import Kind, Prepared, PromotionPlan, refuse
from gitml.promotion.rules import people, stating
from gitml.promotion.stated import stated_in
from gitml.promotion.stating import state
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
        body: Text of the request as it was proposed, as Markdown; empty where there is nothing to propose.
        statement: The in-toto statement that the head carries; None in a rehearsal and where it states nothing.
        retries: How often others were first, and it was tried again.
    """

    request: Request | None
    plan: PromotionPlan
    created: bool = False
    updated: bool = False
    summary: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    body: str = ""
    statement: dict[str, Any] | None = None
    retries: int = 0


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
    facts = gather(ws, prepared, _asker(ws, dry_run=dry_run))
    may_stay = not title and not body
    body = render(facts, body)
    if dry_run:
        return Promotion(request=None, plan=plan, summary=lines, body=body)
    tree = ws.repo.write_tree(prepared.tree, prepared.changes)
    title = " ".join((title or _title(plan)).split())
    head, statement = _head(ws, prepared, facts, tree, title)
    refuse(_unsigned(ws, forge, prepared, head), f"cannot promote to {plan.target}")
    draft = Draft(
        source=plan.source,
        target=plan.target,
        base=plan.base,
        head=head,
        refs=plan.refs,
        title=title,
        body=body.strip(),
        may_stay=may_stay,
        is_draft=is_draft,
        reviewers=tuple(reviewers),
        auto_merge=auto_merge,
    )

    def proposes(request: Request) -> bool:
        merged = ws.repo.merge_trees(prepared.target.tip, request.head)
        same = isinstance(merged, MergedTree) and merged.oid == tree and _is_true(ws, prepared, request.head)
        return same and all(ws.repo.is_ancestor(parent, request.head) for parent in prepared.parents[1:])

    opened = forge.open_or_update(draft, proposes=proposes)
    return Promotion(
        request=opened.request,
        plan=plan,
        created=opened.created,
        updated=opened.updated,
        summary=lines,
        next=_next(plan, opened.request),
        body=body,
        statement=statement.to_dict() if statement else None,
        retries=opened.retries,
    )


def _asker(ws: Workspace, *, dry_run: bool) -> Identity | None:
    try:
        return ws.repo.identity()
    except UsageError:
        if not dry_run:
            raise
        return None


def _head(
    ws: Workspace, prepared: Prepared, facts: Facts, tree: str, title: str
) -> tuple[str, Statement | None]:
    """Make the head, which carries the statement in its message and has its time."""
    asker, when = facts.asker or ws.repo.identity(), utc_now()
    statement = state(prepared, facts, asker, when)
    message = _message(prepared.plan, title)
    if statement is not None:
        message = with_statement(message, statement)
    return ws.repo.write_commit(tree, prepared.parents, message, when=when), statement


def _is_true(ws: Workspace, prepared: Prepared, head: str) -> bool:
    """Whether what an open request's head states is so, or it states nothing."""
    stated = stated_in(ws.repo.commits([head])[0])
    return not judge(replace(prepared.case, stated=stated), [stating.statement])


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
