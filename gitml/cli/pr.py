"""`gitml pr`: the requests of the repository's forge."""

from __future__ import annotations

from functools import partial

import click

from gitml.cli.commands import PR
from gitml.cli.render import promotion as render
from gitml.cli.terminal.click_parts import LazyGroup, command, dry_run_option
from gitml.cli.terminal.session import Session, wrapped

_NUMBER = ("N", "Number of the request.")
_number_argument = click.argument("number", metavar="N", type=click.IntRange(1))


@click.group("pr", cls=LazyGroup, sections=[("Commands", PR)])
def pr() -> None:
    """Look at requests to promote; approve, merge, reject or close them."""


@command("list", examples=["gitml pr list", "gitml pr list --state all --json"])
@click.option(
    "--state",
    type=click.Choice(["open", "merged", "closed", "all"]),
    default="open",
    show_default=True,
    help="Requests in this state.",
)
def list_(session: Session, *, state: str) -> None:
    """List requests."""
    result = session.registry().requests.list(state)
    session.finish(
        wrapped("requests", result),
        lambda _, out: render.requests(result, out),
        refs=[one.number for one in result],
    )


@command("show", arguments=[_NUMBER], examples=["gitml pr show 3"])
@_number_argument
def show(session: Session, number: int) -> None:
    """Show a request with its reviews."""
    result = session.registry().requests.show(number)
    session.finish(result, render.request, refs=[result.number])


@command("approve", arguments=[_NUMBER], examples=["gitml pr approve 3 -m 'checked on last week'"])
@_number_argument
@click.option("-m", "--message", metavar="TEXT", help="What to say with it.")
@dry_run_option
def approve(session: Session, number: int, *, message: str | None, dry_run: bool) -> None:
    """Approve what a request would change now.

    Nobody can approve their own work, and the approval counts for the present head only.
    """
    result = session.registry().requests.approve(number, message, dry_run=dry_run)
    text = partial(render.approved, dry_run=dry_run)
    session.finish(result, text, refs=[result.number], dry_run=dry_run)


@command("reject", arguments=[_NUMBER], examples=["gitml pr reject 3 -m 'accuracy on class 8 fell'"])
@_number_argument
@click.option("-m", "--message", metavar="TEXT", required=True, help="Why.")
@dry_run_option
def reject(session: Session, number: int, *, message: str, dry_run: bool) -> None:
    """Reject a request, saying why."""
    result = session.registry().requests.reject(number, message, dry_run=dry_run)
    text = partial(render.rejected, dry_run=dry_run)
    session.finish(result, text, refs=[result.number], dry_run=dry_run)


@command("merge", arguments=[_NUMBER], examples=["gitml pr merge 3"])
@_number_argument
@dry_run_option
def merge(session: Session, number: int, *, dry_run: bool) -> None:
    """Judge a request and merge it.

    Judged is the stage as it is now, by the stage's own policy; every rule that fails is listed.
    """
    result = session.registry().requests.merge(number, dry_run=dry_run)
    session.finish(result, render.merged, refs=render.merged_refs(result), dry_run=dry_run)


@command("close", arguments=[_NUMBER], examples=["gitml pr close 3"])
@_number_argument
@dry_run_option
def close(session: Session, number: int, *, dry_run: bool) -> None:
    """Close a request without merging it."""
    result = session.registry().requests.close(number, dry_run=dry_run)
    text = partial(render.closed, dry_run=dry_run)
    session.finish(result, text, refs=[result.number], dry_run=dry_run)
