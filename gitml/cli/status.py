"""`gitml status`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gitml.cli.render import work as render
from gitml.cli.terminal.click_parts import command
from gitml.cli.terminal.session import Session
from gitml.errors import DifferencesExist


@command(
    "status",
    arguments=[("REF…", "Only these versions.")],
    examples=["gitml status", "gitml status --remote --exit-code"],
)
@click.argument("refs", metavar="[REF…]", nargs=-1)
@click.option("--remote", is_flag=True, help="Fetch first, and ask the store for every version's bytes.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where anything differs.")
def status(session: Session, refs: Sequence[str], *, remote: bool, exit_code: bool) -> None:
    """Show what differs: working files, store, remote."""
    result = session.registry().status(*refs, remote=remote)
    differs = DifferencesExist("working files, store or remote differ")
    error = differs if exit_code and not result.clean else None
    session.finish(result, render.status, refs=render.status_refs(result), error=error)
