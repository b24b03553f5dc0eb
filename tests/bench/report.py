"""What a row found, as a Markdown table for people and as JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.measure import Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One goal.

    Attributes:
        what: What is compared with what.
        limit: The goal: at most this.
        measured: What came out; None where the program to compare with is missing.
        unit: Printed behind both numbers.
        detail: Printed behind the measured number.
    """

    what: str
    limit: float
    measured: float | None
    unit: str = "×"
    detail: str = ""

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        return "PASS" if self.measured <= self.limit else "MISS"


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one row found."""

    checks: Sequence[Check]
    times: Mapping[str, Measured] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)


def markdown(results: Mapping[str, Outcome], titles: Mapping[str, str], *, judge: bool = True) -> str:
    """Goals and verdicts first, absolute figures below; without verdicts where the data is too small for one."""
    lines = ["| work | compared | goal | measured | |", "|---|---|---|---|---|"]
    for name, outcome in results.items():
        for number, check in enumerate(outcome.checks):
            title = titles[name] if number == 0 else ""
            measured = (
                "–" if check.measured is None else f"{_number(check.measured)} {check.unit}{check.detail}"
            )
            goal = f"≤ {_number(check.limit)} {check.unit}"
            verdict = check.verdict if judge or check.measured is None else "too small to tell"
            lines.append(f"| {title} | {check.what} | {goal} | {measured} | {verdict} |")
    lines += ["", "| work | absolute figures on this machine |", "|---|---|"]
    for name, outcome in results.items():
        parts = [
            f"{who} {_seconds(found)} ({found.peak_bytes / 1e6:.0f} MB)"
            for who, found in outcome.times.items()
        ]
        parts += [f"{key} {value}" for key, value in outcome.figures.items()]
        lines.append(f"| {titles[name]} | {'; '.join(parts)} |")
    return "\n".join(lines)


def write_json(path: Path, results: Mapping[str, Outcome], about: Mapping[str, Any]) -> None:
    """The same, with every single time."""
    document = dict(about) | {"rows": {name: _plain(outcome) for name, outcome in results.items()}}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def missed(results: Iterable[Outcome]) -> int:
    """How many goals were missed."""
    return sum(check.verdict == "MISS" for outcome in results for check in outcome.checks)


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {
        "checks": [
            {"what": check.what, "limit": check.limit, "measured": check.measured, "unit": check.unit}
            | {"verdict": check.verdict}
            for check in outcome.checks
        ],
        "times": {
            who: {
                "elapsed_s": [run.elapsed_s for run in found.runs],
                "cpu_s": [run.cpu_s for run in found.runs],
                "peak_bytes": found.peak_bytes,
            }
            for who, found in outcome.times.items()
        },
        "figures": dict(outcome.figures),
    }


def _seconds(found: Measured) -> str:
    return f"{found.median_s:.2f} s" if found.median_s >= 1 else f"{found.median_s * 1000:.0f} ms"


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if value < 10 else f"{value:.0f}"
