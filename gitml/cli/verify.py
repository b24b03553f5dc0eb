"""`gitml verify`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gitml.cli import render_work as render
from gitml.cli.click_parts import command
from gitml.cli.session import Session


@command(
    "verify",
    arguments=[("REF…", "Only these versions; every version of HEAD if left out.")],
    examples=["gitml verify", "gitml verify models/digits@production --deep"],
)
@click.argument("refs", metavar="[REF…]", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Every version of every branch.")
@click.option("--deep", is_flag=True, help="Read all bytes and hash them again.")
def verify(session: Session, refs: Sequence[str], *, all_: bool, deep: bool) -> None:
    """Check that every version's bytes are in the store.

    Exits with 6 and the list of what is wrong, if anything is.
    """
    result = session.registry().verify(*refs, all=all_, deep=deep)
    session.finish(result, render.verification)
