"""`gitml get`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gitml.cli.render import work as render
from gitml.cli.terminal.click_parts import cached_option, command, dry_run_option, rev_option
from gitml.cli.terminal.session import Session


@command(
    "get",
    arguments=[("REF", "The version, or a file or folder in it (REF:PATH).")],
    examples=[
        "gitml get models/digits@production -o model",
        "gitml get datasets/digits@1 -I 'images/**' -X '*.tmp'",
        "gitml get https://git.example.com/team/registry//models/digits@production -o model",
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
@cached_option
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
    cached: bool,
    dry_run: bool,
) -> None:
    """Place the contents of a version in a folder.

    Every byte is verified, and only what differs is written; run again after an interruption, it goes on.

    A version of another registry is REPO//REF, where REPO is a name of `registries:` in gitml.yaml, or a git URL; that
    needs no clone and no registry here, and without -o places the contents below the current folder.
    """
    result = session.registry(ref).get(
        ref,
        output,
        rev=rev,
        include=include,
        exclude=exclude,
        force=force,
        cached=cached,
        dry_run=dry_run,
    )
    session.finish(result, render.placement, refs=[result.ref], dry_run=dry_run)
