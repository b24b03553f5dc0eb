"""`gitml lineage`."""

from __future__ import annotations

from functools import partial

import click

from gitml.cli.render import registry as render
from gitml.cli.terminal.click_parts import cached_option, command, rev_option
from gitml.cli.terminal.session import Session


@command(
    "lineage",
    arguments=[("REF", "The version.")],
    examples=[
        "gitml lineage models/digits@production",
        "gitml lineage datasets/digits@1 --down --format mermaid",
    ],
)
@click.argument("ref", metavar="REF")
@click.option("--up", "direction", flag_value="up", default=True, help="What it was made from; the default.")
@click.option("--down", "direction", flag_value="down", help="What was made from it.")
@rev_option
@cached_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["tree", "mermaid", "json"]),
    default="tree",
    help="Form of the output.",
)
def lineage(
    session: Session, ref: str, *, direction: str, rev: str | None, cached: bool, format_: str
) -> None:
    """Show what a version was made from, or what uses it."""
    session.json = session.json or format_ == "json"
    result = session.registry(ref).lineage(ref, rev=rev, direction=direction, cached=cached)
    text = (
        partial(render.lineage_mermaid, down=direction == "down")
        if format_ == "mermaid"
        else render.lineage_tree
    )
    session.finish(result, text, refs=dict.fromkeys(render.lineage_refs(result)))
