"""`gitml store`: the stores that hold the bytes."""

from __future__ import annotations

import click

from gitml.cli import render_work as render
from gitml.cli.click_parts import LazyGroup, command
from gitml.cli.commands import STORE
from gitml.cli.session import Session, wrapped

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


@command("trust", arguments=[("NAME", "Name of the store.")], examples=["gitml store trust default"])
@click.argument("name", metavar="NAME")
def trust(session: Session, name: str) -> None:
    """Accept the present location of a store on this machine.

    Needed when gitml.yaml names another location than the one that was used here before.
    """
    result = session.registry().stores.trust(name)
    session.finish(result, render.trusted, refs=[result.name])


@command("verify", arguments=[_NAME], examples=["gitml store verify"])
@_name_argument
def verify(session: Session, name: str | None) -> None:
    """Check every object of a store.

    Exits with 6 and the list of what is wrong, if anything is.
    """
    result = session.registry().stores.verify(name)
    session.finish(result, render.store_verification, refs=[result.store])


@command("du", arguments=[_NAME], examples=["gitml store du"])
@_name_argument
def du(session: Session, name: str | None) -> None:
    """Show the bytes that each version takes in a store.

    Unique bytes would be freed without the version; shared bytes serve others, too.
    """
    result = session.registry().stores.du(name)
    session.finish(result, render.disk_usage, refs=[row.ref for row in result.versions])
