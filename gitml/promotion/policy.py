"""Whether a change of a stage is allowed.

Pure: judges the target's tree before and after the change, with the rules that the target itself states, and
with evidence (stores, branches, reviews) that it is given. Every rule reports all of its objections, so that
a person sees the whole list at once. What it does not know, it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from gitml.promotion.case import Case, Problem, Rule, Shape
from gitml.promotion.rules import coming, people, quality, stating, tree

Judge = Callable[[Case], Iterator[Problem]]

RULES: tuple[Judge, ...] = (
    tree.schema,
    tree.scope,
    tree.write_once,
    tree.current,
    coming.inputs,
    coming.bytes_,
    coming.review,
    coming.from_,
    quality.metrics,
    quality.fields,
    quality.formats,
    people.signed,
    people.require,
    stating.statement,
    people.approvals,
)
OF_ANY_BRANCH: tuple[Judge, ...] = (tree.schema, tree.write_once, coming.bytes_, coming.review)
"""What holds on a branch that is no stage."""

OF_GIT_ALONE: tuple[Judge, ...] = (
    tree.schema,
    tree.scope,
    tree.write_once,
    tree.current,
    coming.inputs,
    coming.from_,
    quality.metrics,
    quality.fields,
    people.signed,
    people.require,
    stating.statement,
    people.approvals,
)
"""What can be judged again later, without stores and whatever became of other branches."""

_SPEAKS: dict[Judge, tuple[Rule, ...]] = {
    tree.schema: (Rule.SCHEMA,),
    tree.scope: (Rule.SCOPE,),
    tree.write_once: (Rule.WRITE_ONCE,),
    tree.current: (Rule.CURRENT,),
    coming.inputs: (Rule.INPUTS,),
    coming.bytes_: (Rule.BYTES,),
    coming.review: (Rule.REVIEW,),
    coming.from_: (Rule.FROM, Rule.NOT_PUSHED),
    quality.metrics: (Rule.METRICS,),
    quality.fields: (Rule.FIELDS,),
    quality.formats: (Rule.FORMATS,),
    people.signed: (Rule.SIGNED,),
    people.require: (Rule.REQUIRE,),
    stating.statement: (Rule.STATEMENT,),
    people.approvals: (Rule.APPROVALS, Rule.OWNERS, Rule.REJECTED),
}


class Verdict(Enum):
    """What became of a rule."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REQUIRED = "not-required"
    LEFT_ASIDE = "left-aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """One rule, and its objections."""

    rule: Rule
    verdict: Verdict
    problems: tuple[Problem, ...] = ()


def judge(case: Case, rules: Iterable[Judge] | None = None) -> list[Problem]:
    """Every objection to a change; empty when it may land.

    Args:
        case: What is to be judged.
        rules: Only these; None is all of them.

    Returns:
        Objections in the order of the rules, then of the names.
    """
    return [problem for rule in (RULES if rules is None else rules) for problem in rule(case)]


def by_rule(
    case: Case, problems: Iterable[Problem], rules: Iterable[Judge] = RULES
) -> tuple[RuleResult, ...]:
    """What became of each rule.

    Args:
        case: What was judged.
        problems: What :func:`judge` gave.
        rules: The rules that were asked.
    """
    found: dict[Rule, list[Problem]] = {}
    for problem in problems:
        found.setdefault(problem.rule, []).append(problem)
    spoke = [rule for one in rules for rule in _SPEAKS[one]]
    spoke += [rule for rule in found if rule not in spoke]
    return tuple(
        RuleResult(
            rule=rule,
            verdict=Verdict.FAILED if rule in found else _unopposed(case, rule),
            problems=tuple(found.get(rule, ())),
        )
        for rule in spoke
    )


def _unopposed(case: Case, rule: Rule) -> Verdict:
    """What it means that a rule did not object."""
    required = case.requirements
    asked = {
        Rule.SCOPE: case.shape is Shape.BY_ASSET,
        Rule.FROM: not case.is_rollback,
        Rule.METRICS: bool(required.metrics) and not case.is_rollback,
        Rule.FIELDS: bool(required.fields),
        Rule.FORMATS: bool(required.formats),
        Rule.SIGNED: required.signed is not None,
        Rule.APPROVALS: case.approvals.count > 0,
        Rule.OWNERS: bool(case.approvals.owners),
        Rule.STATEMENT: case.stated is not None,
    }
    if not asked.get(rule, True):
        return Verdict.NOT_REQUIRED
    is_aside = case.reviews is None and rule in _SPEAKS[people.approvals]
    return Verdict.LEFT_ASIDE if is_aside else Verdict.PASSED
