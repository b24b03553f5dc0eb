"""`gitml push`."""

from __future__ import annotations

import click

from gitml.cli.render import work as render
from gitml.cli.terminal.click_parts import command, dry_run_option
from gitml.cli.terminal.session import Session


@command(
    "push",
    arguments=[("REMOTE", "The git remote; the team's if left out.")],
    examples=["gitml push", "gitml push origin --dry-run"],
)
@click.argument("remote", metavar="[REMOTE]", required=False)
@click.option("--verify/--no-verify", default=True, help="Run the pre-push hook, or do not.")
@dry_run_option
def push(session: Session, remote: str | None, *, verify: bool, dry_run: bool) -> None:
    """Send bytes to the store, then branches to the remote.

    Sets the upstream of the branch the first time.
    """
    result = session.registry().push(remote, verify=verify, dry_run=dry_run)
    versions = [ref for branch in result.branches for ref in branch.versions]
    session.finish(result, render.pushed, refs=dict.fromkeys([*result.sent, *versions]), dry_run=dry_run)
