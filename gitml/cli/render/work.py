"""How results about bytes and work trees look to a person: get, pull, push, status, verify, store, doctor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gitml.cli.terminal.output import Column, Piece, Printer, Style, Styled
from gitml.cli.terminal.text import count, short_commit, size

if TYPE_CHECKING:
    from gitml.registry.care.stored import DiskUsage, StoreInfo, StoreVerification, Trusted
    from gitml.registry.care.verification import Verification
    from gitml.registry.place.placement import Placement
    from gitml.registry.place.status import PlacedState, Status
    from gitml.registry.setup.doctor import Diagnosis
    from gitml.registry.share.sync import Pulled, Pushed

_MAX_PATHS = 20


def placement(result: Placement, out: Printer) -> None:
    """`get`."""
    ref = Styled(str(result.ref), Style.NAME)
    plan = result.plan
    if plan is None:
        out.line(ref, " is in ", str(result.destination))
        out.line(
            f"  {count(result.written, 'file')} written ({size(result.written_bytes)}), "
            f"{result.kept:,} already there, {result.removed:,} removed, 0 failed"
        )
        return
    out.line(ref, " would go to ", str(result.destination))
    out.line(
        f"  {count(plan.write, 'file')} to write ({size(plan.write_bytes)}), "
        f"{plan.keep:,} already there, {plan.remove:,} to remove, {len(plan.blocked):,} in the way"
    )
    _paths("in the way", plan.blocked, Style.BAD, out)


def pulled(result: Pulled, out: Printer) -> None:
    """`pull`."""
    if result.remote is None:
        out.line("no remote to fetch from")
    elif result.old == result.new:
        out.line(
            f"fetched {result.remote}: {result.branch or 'no branch'} stays at {short_commit(result.new)}"
        )
    else:
        out.line(
            f"fetched {result.remote}: {result.branch} moved from {short_commit(result.old)} to {short_commit(result.new)}"
        )
    for placed in result.placements:
        placement(placed, out)
    written = sum(placed.written for placed in result.placements)
    sent_bytes = sum(placed.written_bytes for placed in result.placements)
    kept = sum(placed.kept for placed in result.placements)
    out.line(
        Styled(
            f"{count(len(result.placements), 'version')}: {count(written, 'file')} written ({size(sent_bytes)}), "
            f"{kept:,} already there",
            Style.DIM,
        )
    )


def pushed(result: Pushed, out: Printer) -> None:
    """`push`."""
    would = "would be " if result.dry_run else ""
    for branch in result.branches:
        moved = (
            f"{short_commit(branch.old)} -> {short_commit(branch.new)}"
            if branch.old
            else short_commit(branch.new)
        )
        out.line(
            Styled(branch.name, Style.NAME),
            f" {would}pushed to {result.remote}: {moved}" + ("" if branch.old else " (new)"),
        )
        for ref in branch.versions:
            out.line(f"  {ref}")
    out.line(
        f"{count(result.checked, 'branch', 'branches')} compared: {len(result.branches):,} {would}pushed, "
        f"{result.checked - len(result.branches):,} already there"
    )
    out.line(
        f"{count(len(result.sent), 'version')} {would}sent to the store: {size(result.new_bytes)} new, "
        f"{size(result.reused_bytes)} already there (saved by deduplication), {size(result.stored_bytes)} sent"
    )


def status(result: Status, out: Printer) -> None:
    """`status`."""
    where = f"on {result.branch}" if result.branch else "HEAD is detached"
    out.line(
        where,
        Styled(f", commit {short_commit(result.commit)}, {count(result.versions, 'version')}", Style.DIM),
    )
    for state in result.placed:
        _placed(state, out)
    for title, refs, hint in (
        ("only in this clone's embedded store", result.embedded, "gitml push"),
        ("not pushed yet", result.unpushed, "gitml push"),
        ("on the remote, not here yet", result.incoming, "gitml pull"),
        (
            "without bytes in any store",
            result.missing,
            "gitml push in the clone that registered it, unless it was purged",
        ),
    ):
        if refs:
            out.line(Styled(title, Style.WARN), Styled(f"  ({hint})", Style.DIM))
            _paths("", [str(ref) for ref in refs], Style.NAME, out)
    if result.sources:
        title = "not what was registered, where it lies"
        out.line(Styled(title, Style.WARN), Styled("  (register it again, or restore it)", Style.DIM))
        _paths("", [f"{one.ref}: {one.problem}" for one in result.sources], Style.BAD, out)
    differing = sum(bool(state.modified or state.missing or state.untracked) for state in result.placed)
    out.line(
        Styled(
            f"{count(len(result.placed), 'folder')} compared, {differing:,} differ; "
            f"{len(result.unpushed):,} to push, {len(result.incoming):,} to pull, "
            f"{len(result.embedded):,} in the embedded store only, {len(result.missing):,} without bytes",
            Style.GOOD if result.clean else Style.WARN,
        )
    )


def _placed(state: PlacedState, out: Printer) -> None:
    out.line(Styled(state.ref, Style.NAME), f" in {state.destination}: {count(state.files, 'file')} placed")
    _paths("modified", state.modified, Style.WARN, out)
    _paths("missing", state.missing, Style.BAD, out)
    _paths("untracked", state.untracked, Style.DIM, out)


def _paths(what: str, paths: Sequence[str], style: Style, out: Printer) -> None:
    lead = f"  {what}: " if what else "  "
    for path in paths[:_MAX_PATHS]:
        out.line(lead, Styled(path, style))
    if len(paths) > _MAX_PATHS:
        out.line(f"{lead}and {len(paths) - _MAX_PATHS:,} more; --json lists them all")


def status_refs(result: Status) -> Iterator[str]:
    """Versions with a difference."""
    differing = [state.ref for state in result.placed if state.modified or state.missing or state.untracked]
    yield from dict.fromkeys(
        [
            *differing,
            *(str(ref) for ref in (*result.embedded, *result.missing, *result.unpushed, *result.incoming)),
        ]
    )


def verification(result: Verification, out: Printer) -> None:
    """`verify`."""
    how = _read_so_far(result) if result.deep else "every object is there"
    if result.sources:
        how += f"; {count(result.sources, 'file')} elsewhere are what was registered"
    out.line(
        f"{count(result.versions, 'version')} checked, {count(result.files, 'file')}, {size(result.size_bytes)}: {how}; ",
        Styled("0 faults", Style.GOOD),
    )
    if not result.deep:
        out.line(Styled("--deep reads and hashes every byte", Style.DIM))


def _read_so_far(result: Verification | StoreVerification) -> str:
    """How much of the bytes was read and hashed."""
    if result.complete and result.read_bytes == result.total_bytes:
        of_part = f" of part {result.part}" if result.part else ""
        return f"every byte{of_part} was read and hashed ({size(result.total_bytes)})"
    earlier = result.covered_bytes - result.read_bytes
    before = f", {size(earlier)} in earlier runs" if earlier else ""
    rest = "that is all" if result.complete else "the rest next time"
    return f"read {size(result.read_bytes)} of {size(result.total_bytes)}{before}, {rest}"


def stores(result: Sequence[StoreInfo], out: Printer) -> None:
    """`store list`."""
    rows: list[list[Piece]] = [
        [
            Styled(one.name, Style.NAME),
            _place(one),
            ", ".join(one.types) or ("all other types" if one.name == "default" else "-"),
            one.origin,
            _standing(one),
        ]
        for one in result
    ]
    if rows:
        out.table(["NAME", "LOCATION", "TAKES", "SAID BY", "ON THIS MACHINE"], rows)
    for one in result:
        if one.problem is not None:
            out.line(Styled(f"{one.name}: {one.problem}", Style.BAD))
        elif one.moved_from is not None:
            text = f"{one.name}: it was {one.moved_from} when it was last used; gitml store trust {one.name}, if that is right"
            out.line(Styled(text, Style.WARN))
    out.line(Styled(count(len(rows), "store"), Style.DIM))


def _place(store: StoreInfo) -> str:
    at = f" at {store.endpoint}" if store.endpoint else ""
    return (store.location or "-") + at


def _standing(store: StoreInfo) -> Piece:
    if store.problem is not None:
        return Styled("not usable", Style.BAD)
    if store.moved_from is not None:
        return Styled("moved", Style.WARN)
    return Styled("trusted", Style.GOOD) if store.trusted else Styled("not used here yet", Style.WARN)


def trusted(result: Trusted, out: Printer, *, dry_run: bool) -> None:
    """`store trust`."""
    is_ = "would be" if dry_run else "is"
    name = Styled(result.name, Style.NAME)
    what = "" if "://" in result.name else "store "
    at = "" if result.location == result.name else f" at {result.location}"
    if result.before == result.location:
        out.line(what, name, f" was trusted{at} already")
    elif result.before is None:
        out.line(what, name, f" {is_} trusted{at} on this machine")
    else:
        out.line(what, name, f" {is_} trusted{at}, no longer at {result.before}")


def store_verification(result: StoreVerification, out: Printer) -> None:
    """`store verify`."""
    out.line(
        "store ",
        Styled(result.store, Style.NAME),
        f": {count(result.objects, 'object')} of {count(result.versions, 'version')}, "
        f"{size(result.size_bytes)}: {_read_so_far(result)}; ",
        Styled("0 faults", Style.GOOD),
    )


def disk_usage(result: DiskUsage, out: Printer) -> None:
    """`store du`."""
    rows: list[list[Piece]] = [
        [
            Styled(str(row.ref), Style.NAME),
            size(row.size_bytes),
            size(row.unique_bytes),
            size(row.shared_bytes),
        ]
        for row in result.versions
    ]
    if rows:
        heads = [Column(title, right=True) for title in ("CONTENTS", "UNIQUE", "SHARED")]
        out.table(["REFERENCE", *heads], rows)
    saved_bytes = max(0, result.contents_bytes - result.stored_bytes)
    out.line(
        Styled(
            f"store {result.store}: {count(len(rows), 'version')}, {size(result.contents_bytes)} of contents in "
            f"{size(result.stored_bytes)}, {size(saved_bytes)} saved by deduplication and compression",
            Style.DIM,
        )
    )


def diagnosis(result: Diagnosis, out: Printer) -> None:
    """`doctor`."""
    styles = {"ok": Style.GOOD, "warning": Style.WARN, "failed": Style.BAD}
    width = max((len(check.name) for check in result.checks), default=0)
    for check in result.checks:
        word = check.health.value
        out.line(Styled(word.ljust(7), styles[word]), f"  {check.name.ljust(width)}  {check.found}")
        if check.hint:
            out.line(" " * (width + 11), Styled(f"Try: {check.hint}", Style.DIM))
    numbers = {word: sum(check.health.value == word for check in result.checks) for word in styles}
    out.line(
        Styled(
            f"{count(len(result.checks), 'check')}: "
            + ", ".join(f"{number} {word}" for word, number in numbers.items()),
            Style.DIM,
        )
    )


def diagnosis_refs(result: Diagnosis) -> Iterator[str]:
    """Names of the checks that are not all right."""
    return (check.name for check in result.checks if check.health.value != "ok")
