"""`gitml promote` and `gitml rollback`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gitml.cli.render import promotion as render
from gitml.cli.terminal.click_parts import command, dry_run_option
from gitml.cli.terminal.session import Session


@command(
    "promote",
    arguments=[("REF…", "The versions; left out: what the branch SOURCE added, with its code.")],
    examples=[
        "gitml promote models/digits@3 -t staging",
        "gitml promote -s working/newmodel -t staging -r git@github.com/contoso/mlproject",
    ],
)
@click.argument("refs", metavar="[REF…]", nargs=-1)
@click.option(
    "-s", "--source", metavar="BRANCH", help="Branch to promote; with REF: the branch they are read on."
)
@click.option("-t", "--target", metavar="STAGE", required=True, help="The stage.")
@click.option("-r", "--repo", metavar="REPO", help="Repository it goes to; default is this clone's remote.")
@click.option("--title", metavar="T", help="Title of the request.")
@click.option("--body", metavar="B", help="Its text.")
@click.option("--draft", is_flag=True, help="Not to be merged yet.")
@click.option("--reviewer", "reviewers", metavar="R", multiple=True, help="Who should look at it.")
@click.option("--auto-merge", is_flag=True, help="Merge as soon as the policy allows.")
@click.option(
    "--no-inputs", is_flag=True, help="Leave what they were made from behind, if the stage allows it."
)
@dry_run_option
def promote(
    session: Session,
    refs: Sequence[str],
    *,
    source: str | None,
    target: str,
    repo: str | None,
    title: str | None,
    body: str | None,
    draft: bool,
    reviewers: Sequence[str],
    auto_merge: bool,
    no_inputs: bool,
    dry_run: bool,
) -> None:
    """Ask to move versions to a stage.

    Opens a request, or brings the open one up to date. What merging would refuse is refused here, approvals
    aside.
    """
    result = session.registry().promote(
        *refs,
        target=target,
        source=source,
        repo=repo,
        title=title,
        body=body,
        draft=draft,
        reviewers=reviewers,
        auto_merge=auto_merge,
        no_inputs=no_inputs,
        dry_run=dry_run,
    )
    session.finish(result, render.promotion, refs=render.promotion_refs(result), dry_run=dry_run)


@command(
    "rollback",
    arguments=[("TYPE/NAME", "The asset.")],
    examples=[
        "gitml rollback models/digits -t production",
        "gitml rollback models/digits -t production --to 2",
        "gitml rollback models/digits -t production --now",
    ],
)
@click.argument("asset", metavar="TYPE/NAME")
@click.option("-t", "--target", metavar="STAGE", required=True, help="The stage.")
@click.option(
    "--to", metavar="VERSION", help="A version that ran there; default is the one before the present one."
)
@click.option("--now", is_flag=True, help="Merge it at once, if the stage's policy needs no approval of it.")
@dry_run_option
def rollback(session: Session, asset: str, *, target: str, to: str | None, now: bool, dry_run: bool) -> None:
    """Ask to let a stage run an earlier version again.

    Opens a request that only changes which version the stage runs; with --now merges it, too.
    """
    result = session.registry().rollback(asset, target=target, to=to, now=now, dry_run=dry_run)
    session.finish(result, render.promotion, refs=render.promotion_refs(result), dry_run=dry_run)
