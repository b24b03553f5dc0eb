"""How requests, promotions and the history of stages look to a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gitml.cli.terminal.markdown import markdown
from gitml.cli.terminal.output import Column, Piece, Printer, Style, Styled
from gitml.cli.terminal.text import count, moment, short_commit

if TYPE_CHECKING:
    from gitml.forge.base import Request, Review
    from gitml.promotion.case import Move
    from gitml.promotion.history import History, HistoryEntry
    from gitml.promotion.merge import Merged
    from gitml.promotion.propose import Promotion

_STATES = {"open": Style.WARN, "merged": Style.GOOD, "closed": Style.DIM}


def promotion(result: Promotion, out: Printer) -> None:
    """`promote` and `rollback`."""
    request_ = result.request
    if request_ is not None:
        verb = "opened" if result.created else "brought up to date" if result.updated else "is open already"
        if request_.merged_commit is not None:
            verb = f"merged into {request_.target}, commit {short_commit(request_.merged_commit)}"
        out.line("request ", Styled(str(request_.number), Style.NAME), f" {verb}: {request_.title}")
    for line in result.summary:
        out.line(f"  {line}")
    for command in result.next:
        out.line(Styled("next: ", Style.DIM), command)


def promotion_refs(result: Promotion) -> Iterator[str]:
    """What the stage would run."""
    return _moved(result.plan.moves)


def merged(result: Merged, out: Printer) -> None:
    """`pr merge`."""
    number = Styled(str(result.request.number), Style.NAME)
    if result.already:
        out.line("request ", number, f" is on {result.target} already")
    elif result.commit is None:
        out.line("request ", number, f" could be merged into {result.target} now")
    else:
        out.line("request ", number, f" merged into {result.target}, commit {short_commit(result.commit)}")
    for line in result.summary:
        out.line(f"  {line}")


def merged_refs(result: Merged) -> Iterator[str]:
    """What the stage runs now."""
    return _moved(result.moves)


def _moved(moves: Sequence[Move]) -> Iterator[str]:
    return (f"{move.asset}@{move.to_version}" for move in moves if move.to_version is not None)


def requests(result: Sequence[Request], out: Printer) -> None:
    """`pr list`."""
    rows: list[list[Piece]] = [
        [
            Styled(str(one.number), Style.NAME),
            Styled(one.state.value, _STATES.get(one.state.value, Style.PLAIN)),
            one.source,
            one.target,
            one.title,
            one.author.name,
            _verdict(one),
            moment(one.updated),
        ]
        for one in result
    ]
    if rows:
        heads: list[Column | str] = [
            "STATE",
            Column("SOURCE", spare=1),
            "TARGET",
            "TITLE",
            Column("AUTHOR", spare=2),
            "REVIEWS",
        ]
        out.table([Column("N", right=True), *heads, Column("UPDATED", spare=3)], rows)
    out.line(Styled(count(len(rows), "request"), Style.DIM))


def _verdict(one: Request) -> str:
    approvals, rejections = len(one.approvals), len(one.rejections)
    parts = [f"{approvals} approved"] if approvals else []
    if rejections:
        parts.append(f"{rejections} rejected")
    return ", ".join(parts)


def request(one: Request, out: Printer) -> None:
    """`pr show`."""
    state = one.state.value
    out.line(
        Styled(f"request {one.number}", Style.NAME),
        " ",
        Styled(state, _STATES.get(state, Style.PLAIN)),
        f"  {one.title}",
    )
    facts: list[tuple[str, Piece]] = [
        ("from", f"{one.source} to {one.target}"),
        ("assets", ", ".join(one.refs) or f"what {one.source} added, with its code"),
        ("author", str(one.author)),
        ("opened", moment(one.opened)),
        ("updated", moment(one.updated)),
        ("head", one.head),
        ("base", one.base),
    ]
    if one.merged_commit:
        facts.append(("merged", one.merged_commit))
    out.fields(facts, indent=2)
    if one.body:
        out.blank()
        markdown(one.body, out)
        out.blank()
    if one.reviews:
        out.line(Styled("  reviews", Style.DIM))
        for review in one.reviews:
            _review(review, out)


def _review(review: Review, out: Printer) -> None:
    style = (Style.GOOD if review.kind.value == "approved" else Style.BAD) if review.counts else Style.DIM
    out.line(
        "    ",
        Styled(review.kind.value, style),
        f" by {review.actor} at {moment(review.time)}",
        f": {review.comment}" if review.comment else "",
        "" if review.counts else Styled(f"  does not count: {review.ignored or 'another head'}", Style.DIM),
    )


def approved(one: Request, out: Printer, *, dry_run: bool) -> None:
    """`pr approve`."""
    _reviewed("approved", one, out, dry_run=dry_run)


def rejected(one: Request, out: Printer, *, dry_run: bool) -> None:
    """`pr reject`."""
    _reviewed("rejected", one, out, dry_run=dry_run)


def closed(one: Request, out: Printer, *, dry_run: bool) -> None:
    """`pr close`."""
    would = "could be " if dry_run and one.state.value != "closed" else ""
    out.line("request ", Styled(str(one.number), Style.NAME), f" {would}closed: {one.title}")


def _reviewed(verb: str, one: Request, out: Printer, *, dry_run: bool) -> None:
    verb = f"could be {verb}" if dry_run else verb
    out.line(
        "request ",
        Styled(str(one.number), Style.NAME),
        f" {verb} at head {short_commit(one.head)}: {one.title}",
    )
    out.line(
        f"  {count(len(one.approvals), 'approval')} and {count(len(one.rejections), 'rejection')} of this head count"
    )
    if one.approvals and not one.rejections and not dry_run:
        out.line(Styled("next: ", Style.DIM), f"gitml pr merge {one.number}")


def history(result: History, out: Printer) -> None:
    """`history`."""
    rows: list[list[Piece]] = [_history_row(entry) for entry in result.entries]
    if rows:
        # Where a stage was asked for, every row is of that one.
        stage = Column("STAGE", spare=3 if len({entry.stage for entry in result.entries}) == 1 else 0)
        heads: list[Column | str] = [
            "TIME",
            stage,
            "ASSET",
            "FROM",
            "TO",
            "HOW",
            "REQUEST",
            Column("AUTHOR", spare=1),
        ]
        out.table([*heads, "APPROVED BY", Column("CHECKS", spare=4), Column("COMMIT", spare=2)], rows)
    when = f" at {moment(result.at)}" if result.at else ""
    noun = ("version ran", "versions ran") if result.at else ("change", "changes")
    out.line(Styled(f"{result.what}{when}: {count(len(rows), *noun)}", Style.DIM))
    if any(entry.time_guessed for entry in result.entries):
        out.line(Styled("~ the committer's date: no request recorded the time", Style.DIM))


def _history_row(entry: HistoryEntry) -> list[Piece]:
    return [
        moment(entry.time) + ("~" if entry.time_guessed else ""),
        entry.stage,
        Styled(str(entry.asset), Style.NAME),
        str(entry.from_version or "-"),
        str(entry.to_version or "-"),
        Styled(entry.kind.value, Style.WARN if entry.kind.value == "moved" else Style.PLAIN),
        str(entry.request) if entry.request is not None else "",
        _name(entry.author),
        ", ".join(map(_name, entry.approvers)),
        _checked(entry),
        short_commit(entry.commit),
    ]


def _checked(entry: HistoryEntry) -> str:
    """How many rules were judged, and how many of them were content."""
    judged = [one.verdict for one in entry.checks if one.verdict in ("passed", "failed")]
    passed = judged.count("passed")
    if not judged:
        return ""
    return f"{passed} passed" if passed == len(judged) else f"{passed} of {len(judged)} passed"


def _name(person: str) -> str:
    """The name alone, where there is one: a row has little room."""
    return person.partition(" <")[0] or person


def history_refs(result: History) -> Iterator[str]:
    """Versions that came to run, newest first."""
    return (f"{entry.asset}@{entry.to_version}" for entry in result.entries if entry.to_version is not None)
