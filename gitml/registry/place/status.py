"""What differs: working files from their version, this clone from its store, this clone from its remote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitml._lazy import LazyModule
from gitml.errors import AccessDenied, IntegrityError, NotFound, StoreUnavailable
from gitml.model.names import VersionId
from gitml.registry.place.placed import Record, records
from gitml.registry.sent import is_sent
from gitml.registry.snapshot import POINTER_FILE, Snapshot
from gitml.registry.workspace import REMOTES, Workspace

if TYPE_CHECKING:
    from gitml.registry import resolve
    from gitml.registry.external import contents as external
    from gitml.store.place import filecache, scanning
else:
    # What there is nothing of need not be looked at.
    external = LazyModule("gitml.registry.external.contents")
    resolve = LazyModule("gitml.registry.resolve")
    filecache = LazyModule("gitml.store.place.filecache")
    scanning = LazyModule("gitml.store.place.scanning")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedState:
    """A folder that GitML filled, compared with what was placed.

    Attributes:
        ref: The version placed there.
        destination: The folder.
        files: How many files were placed.
        modified, missing, untracked: Paths that differ.
    """

    ref: str
    destination: Path
    files: int
    modified: tuple[str, ...]
    missing: tuple[str, ...]
    untracked: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """Data that a version refers to and that is no longer what was registered.

    Attributes:
        ref: The version.
        url: Where the data lies; None where none of it may be read.
        path: File of the contents.
        problem: What is wrong, in words.
    """

    ref: VersionId
    url: str | None
    path: str | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What `status` found.

    Attributes:
        branch: Branch that is checked out, if any.
        commit: HEAD.
        versions: How many versions HEAD has.
        placed: Folders with contents, differing or not.
        embedded: Versions of HEAD whose bytes are only in this clone's embedded store.
        missing: Versions of HEAD whose bytes are in no store that this clone reads; only with `remote`.
        sources: What versions of HEAD refer to and that is gone or changed: on this machine, and with `remote`
            wherever it lies.
        unpushed: Versions of HEAD that the remote's branch does not have, as of the last fetch.
        incoming: Versions of the remote's branch that HEAD does not have, as of the last fetch.
        clean: Nothing differs.
    """

    branch: str | None
    commit: str
    versions: int
    placed: tuple[PlacedState, ...]
    embedded: tuple[VersionId, ...]
    missing: tuple[VersionId, ...]
    sources: tuple[SourceState, ...]
    unpushed: tuple[VersionId, ...]
    incoming: tuple[VersionId, ...]
    clean: bool


def status(ws: Workspace, refs: Sequence[str] = (), *, remote: bool = False) -> Status:
    """Compare working files, store and remote with what HEAD says.

    Opens no contents file whose stat is known and older than the cache that knows it.

    Args:
        ws: The registry.
        refs: Only these versions; default is every version of HEAD and every folder that was filled.
        remote: Fetch first, and ask the store for the bytes of each version.

    Raises:
        NotFound: No such version.
        StoreUnavailable: The remote or the store did not answer; only with `remote`.
    """
    if remote and ws.remote:
        ws.repo.fetch(ws.remote)
    branch, snapshot = ws.checked_out()
    chosen = [resolve.resolve_whole(ws, ref).id for ref in refs]
    ids = chosen or snapshot.ids()
    wanted = {str(id_) for id_ in chosen}
    placed = tuple(
        _compare(record)
        for record in records(ws)
        if (not wanted or record.ref in wanted) and record.destination.is_dir()
    )
    embedded = _embedded_only(ws, snapshot, ids)
    missing = tuple(id_ for id_ in ids if not _held(ws, snapshot, id_)) if remote else ()
    sources = tuple(_sources(ws, snapshot, ids, remote=remote))
    unpushed, incoming = _against_remote(ws, branch, snapshot, ids)
    differing = [state for state in placed if state.modified or state.missing]
    return Status(
        branch=branch,
        commit=snapshot.commit,
        versions=len(snapshot.ids()),
        placed=placed,
        embedded=embedded,
        missing=missing,
        sources=sources,
        unpushed=unpushed,
        incoming=incoming,
        clean=not (differing or embedded or missing or sources or unpushed or incoming),
    )


def _compare(record: Record) -> PlacedState:
    cache = filecache.FileCache.load(record.cache_path)
    # In the work tree the pointer lies beside the contents; no version has a file of that name at its top.
    state = scanning.scan(record.destination, cache, ignore=(POINTER_FILE,))
    return PlacedState(
        ref=record.ref,
        destination=record.destination,
        files=state.files,
        modified=state.modified,
        missing=state.missing,
        untracked=state.untracked,
    )


def _embedded_only(ws: Workspace, snapshot: Snapshot, ids: Sequence[VersionId]) -> tuple[VersionId, ...]:
    """Versions whose bytes no push has sent yet; cheap: no store but the embedded one is looked at."""
    stores = ws.stores(snapshot.config)
    if not stores.has_embedded or not ws.remote:
        return ()
    here = [id_ for id_ in ids if stores.embedded.root(stores.key(id_)) is not None]
    pointers = snapshot.pointers(here)
    return tuple(id_ for id_, pointer in pointers.items() if not is_sent(stores, pointer))


def _held(ws: Workspace, snapshot: Snapshot, id_: VersionId) -> bool:
    return ws.stores(snapshot.config).holds(snapshot.pointer(id_))


def _sources(
    ws: Workspace, snapshot: Snapshot, ids: Sequence[VersionId], *, remote: bool
) -> Iterator[SourceState]:
    """Changed sources; without `remote` no server is asked for data, and what cannot be known is passed over."""
    for id_, pointer in snapshot.pointers(snapshot.may_refer(ids)).items():
        if pointer.contents.external is None or not (remote or external.is_local(pointer)):
            continue
        try:
            for fault in external.look_at_sources(ws, snapshot.config, pointer):
                yield SourceState(ref=id_, url=fault.url, path=fault.path, problem=fault.problem)
        except (AccessDenied, IntegrityError) as error:
            yield SourceState(ref=id_, url=None, path=None, problem=error.message)
        except (NotFound, StoreUnavailable):
            if remote and _held(ws, snapshot, id_):
                raise


def _against_remote(
    ws: Workspace, branch: str | None, snapshot: Snapshot, ids: Sequence[VersionId]
) -> tuple[tuple[VersionId, ...], tuple[VersionId, ...]]:
    if ws.remote is None or branch is None:
        return (), ()
    tips = ws.branch_tips()
    tip = tips.get(f"{REMOTES}{ws.remote}/{branch}")
    if tip == snapshot.commit:
        return (), ()
    if tip is None:
        prefix = f"{REMOTES}{ws.remote}/"
        remote_tips = {commit for ref, commit in tips.items() if ref.startswith(prefix)}
        there = {id_ for commit in remote_tips for id_ in ws.at(commit).ids()}
        return tuple(id_ for id_ in ids if id_ not in there), ()
    theirs, ours = ws.at(tip), set(ids)
    return (
        tuple(id_ for id_ in ids if not theirs.has(id_)),
        tuple(id_ for id_ in theirs.ids() if id_ not in ours and not snapshot.has(id_)),
    )
