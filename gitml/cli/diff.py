"""`gitml diff`."""

from __future__ import annotations

import click

from gitml.cli.render import registry as render
from gitml.cli.terminal.click_parts import cached_option, command, rev_option
from gitml.cli.terminal.session import Session
from gitml.errors import DifferencesExist


@command(
    "diff",
    arguments=[("A", "The version to start from."), ("B", "The version to compare with it.")],
    examples=["gitml diff models/digits@production models/digits@latest"],
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@rev_option
@cached_option
@click.option("--exit-code", is_flag=True, help="Exit with 1 where they differ.")
def diff(session: Session, a: str, b: str, *, rev: str | None, cached: bool, exit_code: bool) -> None:
    """Compare two versions.

    Tells the fields, metrics and parameters that differ, the files that were added, removed and changed, and
    the bytes that going from A to B would move.
    """
    result = session.registry(a, b).diff(a, b, rev=rev, cached=cached)
    refs = [] if result.equal else [result.old, result.new]
    differs = DifferencesExist(f"{a} and {b} differ")
    error = differs if exit_code and not result.equal else None
    session.finish(result, render.difference, refs=refs, error=error)
