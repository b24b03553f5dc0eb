"""`gitml install` and the hooks that it sets."""

from __future__ import annotations

import sys

import click

from gitml.cli.render import install as render
from gitml.cli.terminal.click_parts import command, dry_run_option
from gitml.cli.terminal.session import Session


@command(
    "install",
    examples=[
        "gitml install",
        "gitml install --chain",
        "gitml install --server /srv/git/registry.git",
        "gitml install --uninstall",
    ],
)
@click.option(
    "--server",
    metavar="[DIR]",
    is_flag=False,
    flag_value=".",
    help="Set the pre-receive hook of this bare repository instead.",
)
@click.option("--chain", is_flag=True, help="Keep a hook that is there, and run it first.")
@click.option("--uninstall", is_flag=True, help="Take the hook away; put back what was there before.")
@dry_run_option
def install(session: Session, *, server: str | None, chain: bool, uninstall: bool, dry_run: bool) -> None:
    """Set the git hooks that look before a push.

    In a clone: pre-push, which refuses versions whose bytes are not in the store. On a server (gitml has to be
    installed there): pre-receive, which lets stages move by request only.
    """
    from gitml import api

    result = api.install(".", server=server, chain=chain, uninstall=uninstall, dry_run=dry_run)
    session.finish(result, render.installed, refs=[result.path], dry_run=dry_run)


@command(
    "hook",
    arguments=[
        ("NAME", "pre-push or pre-receive."),
        ("ARGUMENT...", "What git gives the hook."),
    ],
    examples=[
        "gitml hook pre-push origin git@host:team/registry.git < updates",
        "gitml hook pre-receive < updates",
    ],
)
@click.argument("name", metavar="NAME")
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1)
@click.option(
    "--updates", metavar="FILE", type=click.File("r"), default="-", help="What git tells it; else stdin."
)
def hook(session: Session, name: str, arguments: tuple[str, ...], *, updates: object) -> None:
    """Judge a push as git's hook; `gitml install` sets it."""
    from gitml import api

    lines = list(updates) if updates is not None else list(sys.stdin)  # type: ignore[call-overload]
    result = api.hook(
        name, *arguments, updates=lines, registry=session.registry_path, progress=session.progress
    )
    session.finish(result, render.hooked, refs=result.versions)
