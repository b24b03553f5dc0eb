"""Repairing a store with all that this clone knows of: `store repair`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitml.errors import GitMLError, IntegrityError, NotFound, PartlyDone, UsageError
from gitml.model.names import VersionId
from gitml.registry.care.stored import open_store_named
from gitml.registry.care.typed import need_store, typed_store
from gitml.registry.place.placed import records
from gitml.registry.snapshot import Snapshot
from gitml.registry.stores import EMBEDDED, StoreSet
from gitml.registry.workspace import Workspace
from gitml.store.care.copies import Expected, Origins
from gitml.store.care.repair import Repair
from gitml.store.care.repair import repair as run_repair
from gitml.store.store import Store

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HealedObject:
    """An object that is right again.

    Attributes:
        object: Its name in the store.
        origin: Where its bytes came from.
    """

    object: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What `store repair` did, or would do.

    Attributes:
        store: The store.
        origins: Other stores that were looked in.
        wrong: Number of objects that were missing or damaged.
        healed: Those that are right again.
        healed_bytes: Bytes that were written for that.
        versions: Versions that were laid out anew, with what was left of packs that nobody has.
        unneeded: Damaged objects that no version needs; `store gc` frees them.
        dry_run: Nothing was done.
    """

    store: str
    origins: tuple[str, ...]
    wrong: int
    healed: tuple[HealedObject, ...]
    healed_bytes: int
    versions: tuple[VersionId, ...]
    unneeded: tuple[str, ...]
    dry_run: bool


def repair(
    ws: Workspace,
    name: str | None = None,
    *,
    sources: Sequence[str] = (),
    files: Sequence[str | Path] = (),
    dry_run: bool = False,
) -> Repaired:
    """Restore what a store lost: see :meth:`gitml.api.Stores.repair`."""
    found = ws.stores(ws.config)
    chosen, store = open_store_named(found, name)
    others = _others(ws, found, chosen, store, sources)
    origins = Origins(
        stores=others,
        folders=_folders(ws, files),
        expected=() if chosen == EMBEDDED else _expected(ws, chosen, others.get(EMBEDDED)),
    )
    done = run_repair(store, origins, dry_run=dry_run, progress=ws.progress)
    if done.missing:
        raise _partly(chosen, done)
    return Repaired(
        store=chosen,
        origins=tuple(others),
        wrong=len(done.wrong),
        healed=_healed(done),
        healed_bytes=done.healed_bytes,
        versions=tuple(key.id for key in done.versions),
        unneeded=tuple(done.unneeded),
        dry_run=dry_run,
    )


def _healed(done: Repair) -> tuple[HealedObject, ...]:
    return tuple(HealedObject(object=one, origin=origin) for one, origin in sorted(done.healed.items()))


def _others(
    ws: Workspace, found: StoreSet, chosen: str, store: Store, sources: Sequence[str]
) -> dict[str, Store]:
    """The stores to look in: those that were named, else every one that this clone knows and can open."""
    others: dict[str, Store] = {}
    for text in sources:
        others[text] = typed_store(ws, text)
        if others[text].url == store.url:
            raise UsageError(f"{text} is the store to repair", code="same-store", hint="gitml store list")
        need_store(others[text])
    if sources:
        return others
    for text in [*([EMBEDDED] if found.has_embedded else []), *found.names()]:
        if text != chosen:
            try:
                other = open_store_named(found, text)[1]
                other.medium.head("gitml-store.json")
            except GitMLError as error:
                ws.progress.note(f"store {text} is not looked in: {error.message}")
            else:
                others[text] = other
    return others


def _folders(ws: Workspace, files: Sequence[str | Path]) -> list[Path]:
    """Folders that may hold files of versions: those that were named, and those that GitML filled.

    Raises:
        NotFound: A named folder does not exist.
    """
    folders = []
    for one in files:
        folder = ws.caller / one
        if not folder.is_dir():
            raise NotFound(f"there is no folder {folder}", code="no-folder", hint="--files FOLDER")
        folders.append(folder)
    folders += [record.destination for record in records(ws)]
    if ws.directory is not None:
        folders += [
            folder
            for snapshot in _snapshots(ws)
            for id_ in snapshot.ids()
            if (folder := ws.directory / id_.folder).is_dir()
        ]
    return list(dict.fromkeys(folders))


def _expected(ws: Workspace, store: str, embedded: Store | None) -> list[Expected]:
    """Versions whose pointers say that they are in a store, but for those that wait in the embedded one."""
    found: dict[VersionId, Expected] = {}
    for snapshot in _snapshots(ws):
        for id_ in snapshot.ids():
            try:
                pointer = snapshot.pointer(id_)
            except GitMLError:
                continue
            key = ws.stores(snapshot.config).key(id_)
            contents = pointer.contents
            if contents.store != store or id_ in found or _waits(embedded, key.name):
                continue
            found[id_] = Expected(
                key=key,
                digest=contents.digest,
                listing=contents.listing,
                size_bytes=contents.size_bytes,
                files=contents.files,
                created=pointer.created,
            )
    return list(found.values())


def _waits(embedded: Store | None, root_name: str) -> bool:
    return embedded is not None and embedded.medium.head(root_name) is not None


def _snapshots(ws: Workspace) -> list[Snapshot]:
    """HEAD and every branch that is a registry."""
    head = ws.repo.head().commit
    commits = dict.fromkeys([*([head] if head else []), *sorted(ws.branch_tips().values())])
    found = []
    for commit in commits:
        snapshot = ws.at(commit)
        try:
            _ = snapshot.config
        except GitMLError:
            continue
        found.append(snapshot)
    return found


def _partly(store: str, done: Repair) -> PartlyDone:
    failed: dict[str, GitMLError] = {}
    for one in done.missing:
        where = f"{one.ref}: {one.path or 'its list of files'}, bytes {one.start:,} to {one.end:,}"
        failed.setdefault(
            one.object, IntegrityError(f"{where}", code="bytes-lost", context={"object": one.object})
        )
    first = "; ".join(error.message for error in list(failed.values())[:_SHOWN])
    versions = {one.ref for one in done.missing}
    return PartlyDone(
        f"the store {store}: {len(done.healed)} object(s) healed, {len(failed)} that {len(versions)} version(s) "
        f"need are lost: {first}",
        done=sorted(done.healed),
        failed=failed,
        code="partly-repaired",
        hint="--from a store, or --files a folder, that still has these bytes; --json lists all of them",
        context={
            "missing": [
                {"ref": one.ref, "object": one.object, "path": one.path, "start": one.start, "end": one.end}
                for one in done.missing
            ],
            "versions": [str(key.id) for key in done.versions],
            "unneeded": done.unneeded,
        },
    )
