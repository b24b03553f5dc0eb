"""`gitml history`."""

from __future__ import annotations

import click

from gitml.cli.render import promotion as render
from gitml.cli.terminal.click_parts import command
from gitml.cli.terminal.session import Session


@command(
    "history",
    arguments=[("TYPE/NAME|STAGE", "A stage, or an asset on all of them.")],
    examples=[
        "gitml history production",
        "gitml history models/digits",
        "gitml history production --at 2026-11-01",
    ],
)
@click.argument("what", metavar="TYPE/NAME|STAGE")
@click.option("--at", metavar="DATE", help="What ran then: an ISO 8601 date or time.")
def history(session: Session, what: str, *, at: str | None) -> None:
    """Show who put what on a stage, when, by which request."""
    result = session.registry().history(what, at=at)
    session.finish(result, render.history, refs=render.history_refs(result))
