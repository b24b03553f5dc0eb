"""`gitml show`."""

from __future__ import annotations

import click

from gitml.cli.render import registry as render
from gitml.cli.terminal.click_parts import cached_option, command, rev_option
from gitml.cli.terminal.session import Session


@command(
    "show",
    arguments=[("REF", "The version, such as models/digits@production.")],
    examples=["gitml show models/digits@production --files"],
)
@click.argument("ref", metavar="REF")
@rev_option
@cached_option
@click.option("--files", is_flag=True, help="List the files of its contents.")
@click.option("--lineage", is_flag=True, help="Show what it was made from.")
@click.option("--raw", is_flag=True, help="Print the pointer as it stands in git.")
def show(
    session: Session, ref: str, *, rev: str | None, cached: bool, files: bool, lineage: bool, raw: bool
) -> None:
    """Show everything the registry says of a version."""
    result = session.registry(ref).show(ref, rev=rev, files=files, lineage=lineage, cached=cached)
    session.finish(result, render.pointer_text if raw else render.shown, refs=[result.ref])
