"""What `check` found, as Markdown for the request's own page: one comment, found again by its hidden marker."""

from __future__ import annotations

import re
from typing import Final

from gitml.promotion.case import Move, Problem
from gitml.promotion.check import Checked
from gitml.promotion.policy import RuleResult, Verdict

MARKER: Final = "<!-- gitml:check -->"
_SIGNS: Final = {
    Verdict.PASSED: "✅ passed",
    Verdict.FAILED: "❌ failed",
    Verdict.NOT_REQUIRED: "– not required",
    Verdict.LEFT_ASIDE: "– left aside",
}
_ACTIVE: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~@&])")
_MAX_ROWS: Final = 100


def markdown(checked: Checked) -> str:
    """The report; nothing in it that comes from the change can act as Markdown or HTML."""
    verdict = "passes" if checked.passed else "is refused"
    lines = [MARKER, f"### gitml check: {checked.head[:12]} {verdict} for {plain(checked.target)}", ""]
    lines += [f"- {_move(move, checked.target)}" for move in checked.moves[:_MAX_ROWS]]
    brought = ", ".join(plain(str(version)) for version in checked.versions[:_MAX_ROWS])
    lines += [f"- brings {brought}"] if brought else []
    lines += ["", "| rule | result | objections |", "|---|---|---:|"]
    lines += [_row(result) for result in checked.rules]
    problems = [problem for result in checked.rules for problem in result.problems]
    if problems:
        lines += ["", f"#### {len(problems)} objection{'s' if len(problems) > 1 else ''}", ""]
        lines += [_problem(problem) for problem in problems[:_MAX_ROWS]]
        if len(problems) > _MAX_ROWS:
            lines.append(f"- and {len(problems) - _MAX_ROWS} more")
    if checked.count(Verdict.LEFT_ASIDE):
        lines += ["", "Approvals are left aside: no open request with this head is known here."]
    lines += ["", f"Judged as a merge into {checked.base[:12]}, with the rules of that commit."]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Text that says what it says, on one line, without any formatting."""
    return _ACTIVE.sub(r"\\\1", "".join(char if char.isprintable() else " " for char in text))


def _move(move: Move, stage: str) -> str:
    old, new = (
        plain(str(version)) if version else "nothing" for version in (move.from_version, move.to_version)
    )
    return f"**{plain(str(move.asset))}** on {plain(stage)}: {old} → {new}"


def _row(result: RuleResult) -> str:
    return f"| {result.rule.value} | {_SIGNS[result.verdict]} | {len(result.problems) or ''} |"


def _problem(problem: Problem) -> str:
    hint = f"  \n  Try: {plain(problem.hint)}" if problem.hint else ""
    return f"- **{problem.rule.value}**: {plain(problem.message)}{hint}"
