"""How the verdict of the rules looks to a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gitml.cli.terminal.output import Column, Piece, Printer, Style, Styled
from gitml.cli.terminal.text import count, listed, moment, short_commit

if TYPE_CHECKING:
    from gitml.promotion.audit import HistoryVerification
    from gitml.promotion.check import Checked
    from gitml.promotion.events import Event, Events

_STYLES = {"passed": Style.GOOD, "failed": Style.BAD}


def checked(result: Checked, out: Printer) -> None:
    """`check`."""
    for move in result.moves:
        old, new = move.from_version or "nothing", move.to_version or "nothing"
        out.line(Styled(str(move.asset), Style.NAME), f": {result.target} runs {old}, and would run {new}")
    if result.versions:
        out.line(f"brings {listed(result.versions, 10)}")
    rows: list[list[Piece]] = [
        [
            one.rule.value,
            Styled(one.verdict.value, _STYLES.get(one.verdict.value, Style.DIM)),
            str(len(one.problems)) if one.problems else "",
        ]
        for one in result.rules
    ]
    out.table(["RULE", "RESULT", Column("OBJECTIONS", right=True)], rows)
    for one in result.rules:
        for problem in one.problems:
            out.line(Styled(problem.rule.value, Style.BAD), f": {problem.message}")
            if problem.hint:
                out.line(Styled("  Try: ", Style.DIM), problem.hint)
    _total(result, out)


def _total(result: Checked, out: Printer) -> None:
    verdicts = [one.verdict.value for one in result.rules]
    tally = ", ".join(
        f"{verdicts.count(name)} {name.replace('-', ' ')}"
        for name in ("passed", "failed", "not-required", "left-aside")
        if name in verdicts
    )
    what = f"{count(result.changed_paths, 'file')} changed, {count(len(result.versions), 'version')} brought"
    said = "passes" if result.passed else "is refused"
    out.line(
        f"{short_commit(result.head)} {said} for {result.target} ({short_commit(result.base)}): ",
        f"{what}, {count(len(result.moves), 'move')}; {count(len(verdicts), 'rule')}: {tally}",
    )
    if result.request is not None:
        out.line(Styled(f"judged with the reviews of request {result.request}", Style.DIM))
    elif "left-aside" in verdicts:
        out.line(Styled("approvals were left aside: no open request with this head is known here", Style.DIM))
    if result.posted is not None:
        there = [name for name in ("comment", "status") if getattr(result.posted, name)]
        where = f"request {result.posted.request}" if result.posted.request is not None else "the forge"
        out.line(Styled(f"posted to {where}: {listed(there, 2) if there else 'nothing'}", Style.DIM))


def events(result: Events, out: Printer) -> None:
    """`events`."""
    rows: list[list[Piece]] = [_event_row(one) for one in result.events]
    if rows:
        heads: list[Column | str] = [
            "EVENT",
            "ASSET",
            "VERSION",
            "BEFORE",
            "WHERE",
            "REQUEST",
            Column("BY", spare=1),
        ]
        out.table([Column("TIME", spare=2), *heads, Column("COMMIT", spare=3)], rows)
    span = f"{short_commit(result.base)}..{short_commit(result.head)}"
    out.line(Styled(f"{span}: {count(len(rows), 'event')}", Style.DIM))


def _event_row(one: Event) -> list[Piece]:
    return [
        moment(one.time),
        one.type.value,
        Styled(str(one.asset), Style.NAME),
        str(one.version or "-"),
        str(one.before or "-"),
        one.stage or (f"alias {one.alias}" if one.alias else ""),
        str(one.request) if one.request is not None else "",
        one.actor.partition(" <")[0] or one.actor,
        short_commit(one.commit),
    ]


def event_refs(result: Events) -> Iterator[str]:
    """Versions that something happened to, oldest event first."""
    return (f"{one.asset}@{one.version}" for one in result.events if one.version is not None)


def history_verification(result: HistoryVerification, out: Printer) -> None:
    """`verify --history`."""
    born = f", since its birth from {short_commit(result.birth)}" if result.birth else ""
    out.line(
        f"{result.history} ({short_commit(result.tip)}): {count(result.commits, 'change')} by approved requests{born}: "
        f"{count(result.moves, 'move')}, {count(result.approvals, 'approval')}, 0 past the requests"
    )
