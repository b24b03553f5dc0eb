"""`gitml pull`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gitml.cli.render import work as render
from gitml.cli.terminal.click_parts import command, dry_run_option
from gitml.cli.terminal.session import Session


@command(
    "pull",
    arguments=[
        ("REF…", "What to place; the newest version of each asset if left out, on a stage what it runs.")
    ],
    examples=["gitml pull", "gitml pull models/digits@production"],
)
@click.argument("refs", metavar="[REF…]", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Place every version.")
@click.option("--force", is_flag=True, help="Write over files that are in the way.")
@dry_run_option
def pull(session: Session, refs: Sequence[str], *, all_: bool, force: bool, dry_run: bool) -> None:
    """Fetch, fast-forward, and place contents.

    Contents go to TYPE/NAME/VERSION in the work tree. A branch that has diverged: nothing is placed.
    """
    result = session.registry().pull(*refs, all=all_, force=force, dry_run=dry_run)
    session.finish(result, render.pulled, refs=[placed.ref for placed in result.placements], dry_run=dry_run)
