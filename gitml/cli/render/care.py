"""How results about the care of stores look to a person: forget, gc, repack, purge, replicate, repair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gitml.cli.terminal.output import Column, Piece, Printer, Style, Styled
from gitml.cli.terminal.text import count, moment, size

if TYPE_CHECKING:
    from gitml.registry.care.garbage import DeadObject, Forgotten, GarbageCollection
    from gitml.registry.care.repair import Repaired
    from gitml.registry.care.replication import Replicated
    from gitml.registry.care.upkeep import Purged, Repacked


def freed(result: Forgotten) -> str:
    """What letting a version go gives back."""
    if result.unique_bytes is None:
        return "of which it cannot be said how much only it uses"
    whole = "" if result.size_bytes is None else f" of {size(result.size_bytes)}"
    return f"which alone uses {size(result.unique_bytes)} stored{whole}"


def forgotten(result: Forgotten, out: Printer) -> None:
    """`store forget`."""
    verb = "would be forgotten in" if result.dry_run else "is forgotten in"
    out.line(Styled(str(result.ref), Style.NAME), f" {verb} the store {result.store}")
    if result.unique_bytes is None:
        out.line("  a damaged object keeps from saying what only it used")
    else:
        out.line(
            f"  {size(result.unique_bytes)} stored for it alone: "
            f"gitml store gc {result.store} records that as dead, and two weeks later deletes it"
        )


def dead_objects(found: Sequence[DeadObject], out: Printer) -> None:
    """Names, sizes and reasons."""
    rows: list[list[Piece]] = [
        [
            one.object,
            size(one.size_bytes),
            one.reason,
            "just now" if one.condemned is None else moment(one.condemned),
        ]
        for one in found
    ]
    if rows:
        out.table(["OBJECT", Column("SIZE", right=True), "REASON", "DEAD SINCE"], rows)


def collection(result: GarbageCollection, out: Printer) -> None:
    """`store gc`."""
    dead_objects([*result.deleted, *result.waiting, *result.condemned], out)
    for one in result.unnamed:
        out.line(
            Styled(str(one.ref), Style.NAME),
            f" ({size(one.size_bytes)}) is on no branch of this clone, and kept: gitml store forget {one.ref}",
        )
    waiting_bytes = sum(one.size_bytes for one in (*result.waiting, *result.condemned))
    goes = "would be deleted" if result.dry_run else "deleted"
    out.line(
        f"store {result.store}: {count(result.objects, 'object')}, {size(result.size_bytes)}; "
        f"{len(result.deleted):,} {goes} ({size(result.deleted_bytes)}), "
        f"{len(result.waiting):,} waiting and {len(result.condemned):,} newly found dead ({size(waiting_bytes)})"
    )


def repacked(result: Repacked, out: Printer) -> None:
    """`store repack`."""
    if not result.packs:
        out.line(f"store {result.store}: 0 packs are worth repacking")
        return
    old = f"{count(result.packs, 'pack')}, {size(result.packs_bytes)}, of which {size(result.kept_bytes)} are used"
    if result.packs_written is None:
        out.line(f"store {result.store}: {old}, would be repacked")
        return
    out.line(
        f"store {result.store}: {old}, became {count(result.packs_written, 'pack')}; "
        f"{count(result.versions, 'version')} laid out anew, {result.skipped:,} changed by others meanwhile"
    )
    out.line(Styled("gitml store gc frees the old packs", Style.DIM))


def purged(result: Purged, out: Printer) -> None:
    """`store purge`."""
    ref = Styled(str(result.ref), Style.NAME)
    if result.objects is None:
        out.line(
            ref,
            f" would be purged from the store {result.store}: {size(result.purged_bytes)} stored for it alone",
        )
    else:
        out.line(
            ref,
            f" is purged from the store {result.store}: {count(result.objects, 'object')} deleted, "
            f"{count(result.versions, 'other version')} laid out anew",
        )
        out.line(f"  {result.digest} is refused from now on")
    if result.branches:
        out.line(Styled(f"  its pointer is still on {', '.join(result.branches)}", Style.WARN))
    out.line("  out of reach, and for you to look after:")
    for place in result.out_of_reach:
        out.line(f"    {place}")


def replicated(result: Replicated, out: Printer) -> None:
    """`store replicate`."""
    for version in result.versions:
        out.line(Styled(str(version.ref), Style.NAME), f"  of registry {version.registry}")
    verb = "would go" if result.dry_run else "went"
    out.line(
        f"{count(len(result.versions), 'version')} {verb} from {result.source} to {result.target}, "
        f"{result.present:,} already there; {count(result.objects, 'object')} copied ({size(result.copied_bytes)}), "
        f"{len(result.healed):,} of them healed, {len(result.unhealed):,} missing in both"
    )
    if not result.deep:
        out.line(Styled("--deep reads all of the target and finds damage, too", Style.DIM))


def repaired(result: Repaired, out: Printer) -> None:
    """`store repair`."""
    rows: list[list[Piece]] = [[one.object, one.origin] for one in result.healed]
    if rows:
        out.table(["OBJECT", "FROM"], rows)
    verb = "would be healed" if result.dry_run else "healed"
    out.line(
        "store ",
        Styled(result.store, Style.NAME),
        f": {count(result.wrong, 'object')} missing or damaged, {len(result.healed):,} {verb} "
        f"({size(result.healed_bytes)}), {count(len(result.versions), 'version')} laid out anew, "
        f"{len(result.unneeded):,} that no version needs, 0 lost",
    )
    if result.unneeded:
        out.line(Styled("gitml store gc frees what no version needs", Style.DIM))
