"""The verb `check`: would the rules of a branch let a commit land there?

The required check of a request, on any forge and on none. What the target is, its stores and its policy come from
its tip in the shared repository, never from the change. Nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass

from gitml.errors import Conflict, PolicyRefused
from gitml.forge.base import Forge, Request
from gitml.forge.detect import open_forge_if_possible
from gitml.forge.shared import Shared
from gitml.git.types import MergeConflict
from gitml.model.config import StagePolicy
from gitml.model.names import VersionId
from gitml.promotion.case import Case, Move
from gitml.promotion.history import birth_of
from gitml.promotion.judging import Judged, judge_merge, reviews_of
from gitml.promotion.merge import explained
from gitml.promotion.policy import OF_ANY_BRANCH, RULES, RuleResult, Verdict, by_rule
from gitml.promotion.prepare import refused
from gitml.promotion.span import Span, branch_name, commit_of, parse_span, span_of_ci
from gitml.promotion.target import Target, find_target
from gitml.registry.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What of the findings stands on the request's page now.

    Attributes:
        request: Number of the request; None where it is not known.
        comment: Whether the one comment says this.
        status: Whether the status of the commit says this.
        problems: Why not, where it does not.
    """

    request: int | None = None
    comment: bool = False
    status: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What `check` found.

    Attributes:
        passed: Whether no rule objects.
        target: Branch that the change was judged for.
        is_stage: Whether that is a stage; on other branches only versions and their bytes are judged.
        base: Its tip.
        head: Commit that was judged.
        request: Number of the open request with this head; None where there is none, and approvals were left aside.
        versions: Versions that the change brings.
        moves: What the stage would run differently.
        changed_paths: How many files the change touches.
        rules: What became of each rule.
        posted: What stands on the request's page; None where that was not asked for.
    """

    passed: bool
    target: str
    is_stage: bool
    base: str
    head: str
    request: int | None
    versions: tuple[VersionId, ...]
    moves: tuple[Move, ...]
    changed_paths: int
    rules: tuple[RuleResult, ...]
    posted: Posted | None = None

    @property
    def error(self) -> PolicyRefused | None:
        """What the objections come to, where there are any."""
        problems = [problem for result in self.rules for problem in result.problems]
        if not problems:
            return None
        count = f"{len(problems)} objection{'s' * (len(problems) > 1)}"
        return refused(
            problems, f"{self.head[:12]} is refused for {self.target}: {count}; {problems[0].message}"
        )

    def count(self, verdict: Verdict) -> int:
        """How many rules had this verdict."""
        return sum(result.verdict is verdict for result in self.rules)


def check(ws: Workspace, commits: str | None = None, *, target: str | None = None) -> Checked:
    """Judge a change as a merge into a branch.

    Args:
        ws: The registry.
        commits: `BASE..HEAD`; without BASE the branch that CI names, the target of the open request with that
            head, or the default branch; without HEAD the one that CI names, or what is checked out.
        target: The stage; else BASE, where that names a stage.

    Raises:
        UsageError: The range is none.
        NotFound: No such stage or revision.
        InvalidInput: The target's own configuration is malformed.
        Conflict: The change does not merge into the target.
        StoreUnavailable: The remote cannot be reached.
    """
    return check_on_forge(ws, commits, target=target)[0]


def check_on_forge(
    ws: Workspace, commits: str | None = None, *, target: str | None = None
) -> tuple[Checked, Forge | None]:
    """The same, and the forge that was asked; None where this machine has no way to ask it."""
    span = parse_span(commits)
    ci = span_of_ci() if span == Span() and target is None else Span()
    shared, forge = open_forge_if_possible(ws)
    head = commit_of(ws, shared, span.head or ci.head)
    stage = _stage(ws, forge, target, span.base or ci.base, head)
    if stage is None:
        goal, name = _plain(ws, shared, span.base or ci.base)
        judged = judge_merge(ws, shared, goal, head, birth=lambda: None, rules=OF_ANY_BRANCH)
        return _checked(judged, goal, name, head, None), forge
    request = forge.find_by_head(head, stage) if forge else None
    goal = find_target(ws, shared, stage)
    judged = judge_merge(
        ws,
        shared,
        goal,
        head,
        birth=lambda: birth_of(ws, forge, stage) if forge else None,
        prefer=request.source if request else None,
        reviews=reviews_of(request) if request else None,
    )
    return _checked(judged, goal, stage, head, request), forge


def _stage(ws: Workspace, forge: Forge | None, target: str | None, base: str | None, head: str) -> str | None:
    """The stage that the change is for; None where it is for a branch that is none."""
    if target is not None:
        return branch_name(ws, target)
    if base is not None:
        name = branch_name(ws, base)
        return name if name in ws.config.stages else None
    request = forge.find_by_head(head) if forge else None
    return request.target if request else None


def _plain(ws: Workspace, shared: Shared, base: str | None) -> tuple[Target, str]:
    """A branch that is no stage."""
    name = branch_name(ws, base) if base else ws.config.default_branch
    tip = shared.branch(name) or commit_of(ws, shared, base or name)
    goal = Target(stage="", tip=tip, born=True, config=ws.at(tip).config, policy=StagePolicy(name=""))
    return goal, name


def _checked(
    judged: Judged | MergeConflict, goal: Target, name: str, head: str, request: Request | None
) -> Checked:
    if isinstance(judged, MergeConflict):
        paths = judged.paths
        more = f" and {len(paths) - 10} more" if len(paths) > 10 else ""
        raise Conflict(
            f"{head[:12]} does not merge into {name}; both changed {', '.join(paths[:10])}{more}",
            code="merge-conflict",
            hint=f"git merge {name}, resolve, and push",
            context={"paths": list(paths), "head": head, "target": name},
        )
    case: Case = judged.case
    problems = [explained(problem, request) if request else problem for problem in judged.problems]
    return Checked(
        passed=not problems,
        target=name,
        is_stage=bool(goal.stage),
        base=goal.tip,
        head=head,
        request=request.number if request else None,
        versions=tuple(case.added),
        moves=case.moves,
        changed_paths=len(case.changed),
        rules=by_rule(case, problems, RULES if goal.stage else OF_ANY_BRANCH),
    )
