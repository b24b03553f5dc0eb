"""`gitml init`."""

from __future__ import annotations

import click

from gitml.cli.render import registry as render
from gitml.cli.terminal.click_parts import command, dry_run_option
from gitml.cli.terminal.session import Session


@command(
    "init",
    arguments=[("DIR", "The registry's folder; the current one if left out. Made where it is not there.")],
    examples=["gitml init", "gitml init registry --store ../store --remote git@host:team/registry.git"],
)
@click.argument("directory", metavar="[DIR]", default=".")
@click.option("--store", metavar="URL|PATH", help="Where the team's bytes go.")
@click.option("--remote", metavar="URL", help="The git remote that the team shares.")
@dry_run_option
def init(session: Session, directory: str, *, store: str | None, remote: str | None, dry_run: bool) -> None:
    """Make a git repository a registry.

    Writes gitml.yaml and commits it. Again: nothing changes, but --store adds a store where there is none.
    """
    from gitml import api

    result = api.init(directory, store=store, remote=remote, dry_run=dry_run)
    session.finish(result, render.initialised, refs=[result.directory], dry_run=dry_run)
