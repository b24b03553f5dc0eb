"""`gitml list`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gitml.cli.render import registry as render
from gitml.cli.terminal.click_parts import cached_option, command, rev_option
from gitml.cli.terminal.session import Session
from gitml.errors import PartlyDone


@command(
    "list",
    arguments=[
        (
            "TYPE[/NAME]",
            "One type, or every version of one asset; all assets if left out. REPO// before it: of another registry.",
        )
    ],
    examples=[
        "gitml list models",
        "gitml list git@git.example.com:team/registry//models",
        "gitml list models/digits --where 'metrics.accuracy>=0.9' --sort -accuracy",
    ],
)
@click.argument("pattern", metavar="[TYPE[/NAME]]", required=False)
@rev_option
@cached_option
@click.option(
    "--where", metavar="EXPR", multiple=True, help="FIELD=|!=|<|<=|>|>=VALUE; repeatable, all must hold."
)
@click.option("--sort", metavar="KEY", help="Field to sort by; a `-` before it: greatest first.")
def list_(
    session: Session,
    pattern: str | None,
    *,
    rev: str | None,
    cached: bool,
    where: Sequence[str],
    sort: str | None,
) -> None:
    """List assets, or the versions of one.

    Shows the newest version of each asset that is not deprecated, on the branch of a stage the one that runs there;
    with the stages that run it. Exits with 13 where something that was asked for cannot be read; all else is listed.
    """
    result = session.registry(pattern).list(pattern, rev=rev, where=where, sort=sort, cached=cached)
    refs = [row.ref for row in result.versions]
    lacking = PartlyDone(
        f"{len(result.failed)} of what was asked for cannot be read",
        done=[str(ref) for ref in refs],
        failed=result.failed,
        hint="gitml verify, which names the rule and the fix of each",
    )
    session.finish(result, render.listing, refs=refs, error=lacking if result.failed else None)
