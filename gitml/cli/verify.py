"""`gitml verify`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gitml.cli.render import check as render_check
from gitml.cli.render import work as render
from gitml.cli.terminal.click_parts import command
from gitml.cli.terminal.session import Session

PART_HELP = "Read only part K of N; N such runs read each byte once."
WITHIN_HELP = "Stop after this time, as 10m; the next run goes on there."


@command(
    "verify",
    arguments=[("REF…", "Only these versions; every version of HEAD if left out.")],
    examples=[
        "gitml verify",
        "gitml verify models/digits@production --deep",
        "gitml verify --all --deep --within 10m",
        "gitml verify --all --deep --part 2/7",
        "gitml verify --history production",
    ],
)
@click.argument("refs", metavar="[REF…]", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Every version of every branch.")
@click.option("--deep", is_flag=True, help="Read all bytes and hash them again.")
@click.option("--part", metavar="K/N", help=PART_HELP)
@click.option("--within", metavar="TIME", help=WITHIN_HELP)
@click.option(
    "--history", metavar="STAGE", help="Instead: every change of STAGE came by an approved request."
)
def verify(
    session: Session,
    refs: Sequence[str],
    *,
    all_: bool,
    deep: bool,
    part: str | None,
    within: str | None,
    history: str | None,
) -> None:
    """Check that every version's bytes are in the store.

    Exits with 6 and the list of what is wrong, if anything is; --history with 12.

    With --part the order of the chunks of a file that lies
    in several packs is not looked at, but every chunk is.
    """
    from gitml.registry.care.verification import Verification

    registry = session.registry()
    result = registry.verify(*refs, all=all_, deep=deep, part=part, within=within, history=history)
    if isinstance(result, Verification):
        session.finish(result, render.verification)
    else:
        session.finish(result, render_check.history_verification)
