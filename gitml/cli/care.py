"""`gitml store forget|gc|repack|purge|replicate|repair`: looking after stores; what lets bytes go asks first."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from gitml.cli.render import care as render
from gitml.cli.terminal.click_parts import command, dry_run_option
from gitml.cli.terminal.confirm import require_yes
from gitml.cli.terminal.output import Printer
from gitml.cli.terminal.session import Session
from gitml.cli.terminal.text import count, size

_NAME = ("NAME", "Name of the store, or `embedded`; the configured default if left out.")
_name_argument = click.argument("name", metavar="[NAME]", required=False)
_store_option = click.option("--store", metavar="NAME", help="The store; the configured default if left out.")


@command(
    "forget",
    arguments=[("REF", "The version: TYPE/NAME@VERSION.")],
    examples=["gitml store forget models/digits@1 --dry-run", "gitml store forget models/digits@1"],
)
@click.argument("ref", metavar="REF")
@_store_option
@dry_run_option
def forget(session: Session, ref: str, *, store: str | None, dry_run: bool) -> None:
    """Stop keeping a version in a store.

    Refused while a branch of this clone, fetched ones included, has its pointer; in the store `embedded` only while no
    other has its bytes. `gitml store gc` frees its bytes two weeks later.
    """
    stores = session.registry().stores
    result = stores.forget(ref, store=store, dry_run=True)
    if not dry_run:
        require_yes(session, f"Forget {result.ref} in the store {result.store}, {render.freed(result)}?")
        result = stores.forget(ref, store=store)
    session.finish(result, render.forgotten, refs=[result.ref], dry_run=dry_run)


@command("gc", arguments=[_NAME], examples=["gitml store gc --dry-run", "gitml store gc --yes"])
@_name_argument
@dry_run_option
def gc(session: Session, name: str | None, *, dry_run: bool) -> None:
    """Delete what no version has needed for two weeks.

    What is found dead for the first time is only recorded. Safe while others register, push and read.
    """
    stores = session.registry().stores
    if not (dry_run or session.yes):
        planned = stores.gc(name, dry_run=True)
        if planned.deleted:
            render.dead_objects(planned.deleted, Printer(sys.stderr))
            require_yes(
                session,
                f"Delete {count(len(planned.deleted), 'object')}, {size(planned.deleted_bytes)}, "
                f"from the store {planned.store}?",
            )
    result = stores.gc(name, dry_run=dry_run)
    session.finish(result, render.collection, refs=[one.object for one in result.deleted], dry_run=dry_run)


@command("repack", arguments=[_NAME], examples=["gitml store repack --dry-run", "gitml store repack"])
@_name_argument
@dry_run_option
def repack(session: Session, name: str | None, *, dry_run: bool) -> None:
    """Merge small packs and leave dead bytes behind.

    Versions stay what they are. The old packs are freed by `gitml store gc`.
    """
    result = session.registry().stores.repack(name, dry_run=dry_run)
    session.finish(result, render.repacked, refs=[result.store], dry_run=dry_run)


@command(
    "purge",
    arguments=[("REF", "The version: TYPE/NAME@VERSION.")],
    examples=["gitml store purge datasets/faces@2 --dry-run", "gitml store purge datasets/faces@2"],
)
@click.argument("ref", metavar="REF")
@_store_option
@dry_run_option
def purge(session: Session, ref: str, *, store: str | None, dry_run: bool) -> None:
    """Remove a version's bytes from a store, at once and for good.

    For what must not exist any more. Bytes that other versions use stay; a file that another version has as well is a
    reason to refuse. The store refuses these contents from then on.
    """
    stores = session.registry().stores
    if not (dry_run or session.yes):
        planned = stores.purge(ref, store=store, dry_run=True)
        require_yes(
            session,
            f"Purge {planned.ref}, {size(planned.purged_bytes)} stored, from the store {planned.store}, for good?",
        )
    result = stores.purge(ref, store=store, dry_run=dry_run)
    session.finish(result, render.purged, refs=[result.ref], dry_run=dry_run)


@command(
    "replicate",
    arguments=[
        ("A", "The store to read: a name, URL or path."),
        ("B", "The store to bring up to date: a name, URL or path."),
    ],
    examples=[
        "gitml store replicate default s3://backup/registry",
        "gitml store replicate /mnt/copy default --deep",
    ],
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--deep", is_flag=True, help="Read all of B first, and heal what is damaged, too.")
@dry_run_option
def replicate(session: Session, a: str, b: str, *, deep: bool, dry_run: bool) -> None:
    """Copy every version of a store to another, and heal that.

    What B lost is restored from A. Nothing of B is deleted; run it again to go on where it was stopped.
    """
    result = session.registry().stores.replicate(a, b, deep=deep, dry_run=dry_run)
    session.finish(result, render.replicated, refs=[one.ref for one in result.versions], dry_run=dry_run)


@command(
    "repair",
    arguments=[_NAME],
    examples=[
        "gitml store repair",
        "gitml store repair --dry-run",
        "gitml store repair default --from s3://backup/registry --files /mnt/old/models",
    ],
)
@_name_argument
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="STORE",
    help="Look in this store: a name, URL or path; in every store that is known if left out.",
)
@click.option(
    "--files",
    multiple=True,
    metavar="FOLDER",
    help="Look here, too, for files of versions; what get placed is known.",
)
@dry_run_option
def repair(
    session: Session, name: str | None, *, sources: Sequence[str], files: Sequence[str], dry_run: bool
) -> None:
    """Restore what a store lost, from whatever still has the bytes.

    Reads all of the store, then looks in other stores, in the cache, and among the files that were placed from this
    clone. Nothing is deleted, and what is right is left alone. Exits with 13 and the list of files and bytes that are
    lost, if any are.
    """
    result = session.registry().stores.repair(name, sources=sources, files=files, dry_run=dry_run)
    session.finish(result, render.repaired, refs=[one.object for one in result.healed], dry_run=dry_run)
