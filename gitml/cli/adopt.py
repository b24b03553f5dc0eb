"""`gitml store adopt`."""

from __future__ import annotations

import click

from gitml.cli.render import registry as render
from gitml.cli.terminal.click_parts import command, dry_run_option
from gitml.cli.terminal.session import Session


@command(
    "adopt",
    arguments=[("REF", "The version, registered with --reference.")],
    examples=["gitml store adopt datasets/raw@1 --dry-run", "gitml store adopt datasets/raw"],
)
@click.argument("ref", metavar="REF")
@dry_run_option
def adopt(session: Session, ref: str, *, dry_run: bool) -> None:
    """Copy the data that a version refers to into the store.

    It becomes the asset's next version, with the same fields, and with the version it was copied from as its input.
    Every file is judged on the way; one that is gone or changed ends it with 6, and no version is made.
    """
    result = session.registry().stores.adopt(ref, dry_run=dry_run)
    for warning in result.warnings:
        session.warn(warning)
    session.finish(result, render.registered, refs=[result.ref], dry_run=dry_run)
