"""`gitml get`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gitml.cli import render_work as render
from gitml.cli.click_parts import command, dry_run_option, rev_option
from gitml.cli.session import Session


@command(
    "get",
    arguments=[("REF", "The version, or a file or folder in it (REF:PATH).")],
    examples=[
        "gitml get models/digits@production -o model",
        "gitml get datasets/digits@1 -I 'images/**' -X '*.tmp'",
    ],
)
@click.argument("ref", metavar="REF")
@click.option("-o", "--output", metavar="PATH", help="Folder for the contents; default is TYPE/NAME/VERSION.")
@rev_option
@click.option(
    "-I",
    "--include",
    metavar="GLOB",
    multiple=True,
    help="Only these files; `*` stops at `/`, `**` does not.",
)
@click.option("-X", "--exclude", metavar="GLOB", multiple=True, help="Not these files.")
@click.option("--force", is_flag=True, help="Write over files that are in the way.")
@dry_run_option
def get(
    session: Session,
    ref: str,
    *,
    output: str | None,
    rev: str | None,
    include: Sequence[str],
    exclude: Sequence[str],
    force: bool,
    dry_run: bool,
) -> None:
    """Place the contents of a version in a folder.

    Every byte is verified, and only what differs is written; run again after an interruption, it goes on.
    """
    result = session.registry().get(
        ref, output, rev=rev, include=include, exclude=exclude, force=force, dry_run=dry_run
    )
    session.finish(result, render.placement, refs=[result.ref], dry_run=dry_run)
