"""`gitml store`: the stores that hold the bytes."""

from __future__ import annotations

from functools import partial

import click

from gitml.cli.commands import STORE
from gitml.cli.render import store as render_store
from gitml.cli.render import work as render
from gitml.cli.terminal.click_parts import LazyGroup, command, dry_run_option
from gitml.cli.terminal.session import Session, wrapped

_NAME = ("NAME", "Name of the store; the configured default if left out.")
_name_argument = click.argument("name", metavar="[NAME]", required=False)


@click.group("store", cls=LazyGroup, sections=[("Commands", STORE)])
def store() -> None:
    """Look after the stores that hold the bytes."""


@command("list", examples=["gitml store list"])
def list_(session: Session) -> None:
    """List the stores that are configured."""
    result = session.registry().stores.list()
    session.finish(
        wrapped("stores", result),
        lambda _, out: render.stores(result, out),
        refs=[one.name for one in result],
    )


@command(
    "check",
    arguments=[("WHERE", "Name of a store, or a URL or path; the configured default if left out.")],
    examples=[
        "gitml store check",
        "gitml store check s3://team-ml/registry",
        "gitml store check /mnt/nfs/store",
    ],
)
@click.argument("where", metavar="[URL|NAME]", required=False)
def check(session: Session, where: str | None) -> None:
    """Check what a place guarantees before it is a store.

    Writes a few objects, races writers for a name, reads ranges, tries unusual names, measures speed, and removes all
    of it again. Exits with 12 and the broken promises where the place cannot be a store. A URL or path needs no registry.
    """
    result = session.stores().check(where)
    session.finish(result, render_store.checked, refs=[result.url])


@command(
    "trust",
    arguments=[
        (
            "NAME",
            "Name of the store, REPO//NAME for one of another registry; or the URL of data that versions refer to.",
        )
    ],
    examples=["gitml store trust default", "gitml store trust s3://team-data/raw"],
)
@click.argument("name", metavar="NAME")
@dry_run_option
def trust(session: Session, name: str, *, dry_run: bool) -> None:
    """Accept the present location of a store on this machine.

    Needed when gitml.yaml names another location than the one that was used here before, and for data that somebody
    registered elsewhere with --reference: nothing is read from where nobody here said that it may be.
    """
    result = session.registry(name).stores.trust(name, dry_run=dry_run)
    text = partial(render.trusted, dry_run=dry_run)
    session.finish(result, text, refs=[result.name], dry_run=dry_run)


@command(
    "verify",
    arguments=[_NAME],
    examples=[
        "gitml store verify",
        "gitml store verify --within 10m",
        "gitml store verify backup --part 2/7",
    ],
)
@_name_argument
@click.option("--part", metavar="K/N", help="Read only part K of N; N such runs read each object once.")
@click.option("--within", metavar="TIME", help="Stop after this time, as 10m; the next run goes on there.")
def verify(session: Session, name: str | None, *, part: str | None, within: str | None) -> None:
    """Check every object of a store.

    Exits with 6 and the list of what is wrong, if anything is.
    """
    result = session.registry().stores.verify(name, part=part, within=within)
    session.finish(result, render.store_verification, refs=[result.store])


@command("du", arguments=[_NAME], examples=["gitml store du"])
@_name_argument
def du(session: Session, name: str | None) -> None:
    """Show the bytes that each version takes in a store.

    Unique bytes would be freed without the version; shared bytes serve others, too.
    """
    result = session.registry().stores.du(name)
    session.finish(result, render.disk_usage, refs=[row.ref for row in result.versions])
