"""What the stores hold, and one file out of them: `store list|trust|verify|du`, and reading `REF:PATH`."""

from __future__ import annotations

import io
from dataclasses import dataclass

from gitml.errors import GitMLError, IntegrityError, UsageError
from gitml.model.names import VersionId
from gitml.model.source_url import is_url, typed_source
from gitml.registry.care.verification import Limits
from gitml.registry.external.contents import contents_of
from gitml.registry.external.origins import Origins
from gitml.registry.resolve import resolve
from gitml.registry.stores import DEFAULT, EMBEDDED, StoreSet
from gitml.registry.workspace import Workspace
from gitml.store.care.usage import disk_usage
from gitml.store.care.verify import verify_store
from gitml.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInfo:
    """One store.

    Attributes:
        name: Name in the configuration, or `embedded`.
        location: Where it lies; null where what is said of it names no place.
        endpoint: Its server, where the repository or the user's settings name one.
        types: Asset types that are registered there; the default one takes the others.
        origin: Who says where it lies: repository, settings, or built in.
        trusted: Whether that location was used or confirmed on this machine.
        moved_from: Where it was when it was last used on this machine, if that was elsewhere.
        problem: Why it cannot be used.
    """

    name: str
    location: str | None
    endpoint: str | None
    types: tuple[str, ...]
    origin: str
    trusted: bool
    moved_from: str | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """What `store trust` did: the location that is trusted now, and the one before."""

    name: str
    location: str
    before: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreVerification:
    """What `store verify` checked and found right.

    Attributes:
        store: The store.
        objects, versions: How many it holds.
        size_bytes: Their bytes.
        read_bytes: Bytes that this run read.
        covered_bytes: Those, and what earlier runs have read since all was read last.
        total_bytes: Bytes to read, in as many runs as it takes; of the part, where one was named.
        complete: Whether nothing of that is left for the next run.
        part: The part that was named.
    """

    store: str
    objects: int
    versions: int
    size_bytes: int
    read_bytes: int
    covered_bytes: int
    total_bytes: int
    complete: bool
    part: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionUsage:
    """Bytes of one version in a store: `unique` would be freed without it, `shared` serve others, too."""

    ref: VersionId
    registry: str
    size_bytes: int
    unique_bytes: int
    shared_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """What `store du` found: per version, and for the store as a whole."""

    store: str
    versions: tuple[VersionUsage, ...]
    stored_bytes: int
    contents_bytes: int


def open_file(ws: Workspace, ref: str, *, rev: str | None = None) -> io.RawIOBase:
    """Open the file that `REF:PATH` names; see :meth:`gitml.Registry.open`."""
    found = resolve(ws, ref, rev=rev)
    if found.path is None:
        raise UsageError(f"{ref} names no file", code="no-path", hint=f"{found.id}:PATH")
    return contents_of(ws, ws.at(found.commit).config, found.pointer).open(found.path)


def stores(ws: Workspace) -> tuple[StoreInfo, ...]:
    """Every store of the present configuration, the embedded one last."""
    found = ws.stores(ws.config)
    embedded = StoreInfo(
        name=EMBEDDED,
        location=str(ws.repo.common_dir / "gitml" / "store"),
        endpoint=None,
        types=(),
        origin="built in",
        trusted=True,
        moved_from=None,
        problem=None,
    )
    return (*(_info(ws, found, name) for name in found.names()), embedded)


def _info(ws: Workspace, found: StoreSet, name: str) -> StoreInfo:
    location = endpoint = problem = None
    try:
        location = found.location(name)
        found.check_endpoint(name)
        endpoint = found.options(name).endpoint_url
    except GitMLError as error:
        problem = error.message
    trusted, known = found.trusted(name), found.last_location(name)
    return StoreInfo(
        name=name,
        location=location,
        endpoint=endpoint,
        types=ws.config.stores[name].types if name in ws.config.stores else (),
        origin="settings" if name in ws.settings.store_urls else "repository",
        trusted=trusted,
        moved_from=None if trusted else known,
        problem=problem,
    )


def trust(ws: Workspace, name: str, *, dry_run: bool = False) -> Trusted:
    """Accept the present location of a store on this machine, or a location that versions may refer to."""
    if is_url(name):
        source = typed_source(name)
        known, said = Origins(ws.stores(ws.config), ws.identity_url()).trust(source, dry_run=dry_run)
        return Trusted(name=str(source), location=said, before=known)
    before, location = ws.stores(ws.config).trust(name, dry_run=dry_run)
    return Trusted(name=name, location=location, before=before)


def open_store_named(
    found: StoreSet, name: str | None, *, asset_type: str | None = None
) -> tuple[str, Store]:
    """The store of that name, `embedded` included.

    Without a name it is the one that takes the asset type, or else the default; where that is not configured, the
    embedded one.
    """
    usual = DEFAULT if asset_type is None else found.config.store_for(asset_type)
    chosen = name or (usual if usual in found.names() else EMBEDDED)
    return chosen, found.embedded if chosen == EMBEDDED else found.configured(chosen)


def verify(
    ws: Workspace, name: str | None = None, *, part: str | None = None, within: str | None = None
) -> StoreVerification:
    """Check a whole store; see :meth:`gitml.api.Stores.verify`."""
    limits = Limits.parse(part, within)
    chosen, store = open_store_named(ws.stores(ws.config), name)
    report = verify_store(store, share=limits.share(ws, "objects", store), progress=ws.progress)
    if not report.objects and _is_needed(ws, chosen) and not store.has_anything():
        raise ws.stores(ws.config).empty(chosen, "gitml push")
    counts = {
        "read_bytes": report.read_bytes,
        "covered_bytes": report.covered_bytes,
        "total_bytes": report.total_bytes,
    }
    if report.faults:
        first = report.faults[0]
        raise IntegrityError(
            f"{len(report.faults)} fault(s) in the store {chosen}; {first.object}: {first.problem}",
            code="verification-failed",
            hint=f"gitml store repair {chosen}; --json lists every fault",
            context={
                "faults": [{"object": f.object, "path": f.path, "problem": f.problem} for f in report.faults],
                **counts,
                "complete": report.is_complete,
            },
        )
    return StoreVerification(
        store=chosen,
        objects=report.objects,
        versions=report.versions,
        size_bytes=report.size_bytes,
        **counts,
        complete=report.is_complete,
        part=part,
    )


def _is_needed(ws: Workspace, store: str) -> bool:
    """Whether a version of HEAD is in that store."""
    snapshot = ws.head()
    found = snapshot.pointers(snapshot.ids(), {})  # one that is malformed says nothing
    return any(one.contents.store == store for one in found.values())


def du(ws: Workspace, name: str | None = None) -> DiskUsage:
    """Unique and shared bytes of each version in a store."""
    chosen, store = open_store_named(ws.stores(ws.config), name)
    usage = disk_usage(store)
    rows = tuple(
        VersionUsage(
            ref=row.key.id,
            registry=row.key.registry,
            size_bytes=row.size_bytes,
            unique_bytes=row.unique_bytes,
            shared_bytes=row.shared_bytes,
        )
        for row in usage.versions
    )
    return DiskUsage(
        store=chosen, versions=rows, stored_bytes=usage.stored_bytes, contents_bytes=usage.contents_bytes
    )
