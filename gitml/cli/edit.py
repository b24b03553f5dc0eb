"""`gitml alias` and `gitml deprecate`."""

from __future__ import annotations

import click

from gitml.cli.render import registry as render
from gitml.cli.terminal.click_parts import command, dry_run_option
from gitml.cli.terminal.session import Session

_branch_option = click.option("--branch", metavar="B", help="Commit to this branch, for a request, instead.")


@command(
    "alias",
    arguments=[
        ("TYPE/NAME", "The asset."),
        ("ALIAS", "The movable name."),
        ("VERSION", "What it is to mean."),
    ],
    examples=["gitml alias models/digits champion 2"],
)
@click.argument("asset", metavar="TYPE/NAME")
@click.argument("alias_", metavar="ALIAS")
@click.argument("version", metavar="VERSION")
@_branch_option
@dry_run_option
def alias(
    session: Session, asset: str, alias_: str, version: str, *, branch: str | None, dry_run: bool
) -> None:
    """Point a movable name at a version.

    One commit on the default branch, which is where aliases are read.
    """
    result = session.registry().alias(asset, alias_, version, branch=branch, dry_run=dry_run)
    session.finish(result, render.edited, refs=[f"{result.asset}@{alias_}"], dry_run=dry_run)


@command(
    "deprecate",
    arguments=[("REF", "The version.")],
    examples=["gitml deprecate models/digits@1 -m 'trained on bad labels' --replaced-by models/digits@2"],
)
@click.argument("ref", metavar="REF")
@click.option("-m", "--message", metavar="TEXT", help="Why.")
@click.option("--replaced-by", metavar="REF", help="What to use instead.")
@_branch_option
@dry_run_option
def deprecate(
    session: Session,
    ref: str,
    *,
    message: str | None,
    replaced_by: str | None,
    branch: str | None,
    dry_run: bool,
) -> None:
    """Mark a version as one that should not be used.

    One commit on the default branch; `latest` then passes the version over.
    """
    result = session.registry().deprecate(
        ref, message=message, replaced_by=replaced_by, branch=branch, dry_run=dry_run
    )
    session.finish(result, render.edited, refs=[result.asset], dry_run=dry_run)
