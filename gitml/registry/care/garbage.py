"""Looking after stores: letting versions go, and collecting what nothing needs any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gitml.errors import (
    GitMLError,
    IntegrityError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    PolicyRefused,
    UsageError,
)
from gitml.model.digest import Digest
from gitml.model.names import AssetId, Version, VersionId
from gitml.model.reference import AssetRef
from gitml.registry.care.stored import open_store_named
from gitml.registry.resolve import LATEST
from gitml.registry.sent import forget_sent
from gitml.registry.snapshot import POINTER_FILE
from gitml.registry.stores import EMBEDDED
from gitml.registry.workspace import Workspace
from gitml.store.care.garbage import Garbage, collect_garbage
from gitml.store.care.marking import key_of
from gitml.store.care.usage import disk_usage
from gitml.store.formats.root import Root
from gitml.store.store import RootKey, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What `store forget` let go.

    Attributes:
        ref: The version.
        store: Store that kept it.
        digest: Its contents; null where its root is damaged.
        size_bytes: Bytes of its contents.
        unique_bytes: Stored bytes that no other version uses: `store gc` frees them; null where a damaged object
            keeps that from being known.
        dry_run: Nothing was done.
    """

    ref: VersionId
    store: str
    digest: Digest | None
    size_bytes: int | None
    unique_bytes: int | None
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadObject:
    """An object that nothing needs.

    Attributes:
        object: Its name in the store.
        size_bytes: Its size.
        reason: Why it is dead.
        condemned: When it was found dead first; null if just now.
    """

    object: str
    size_bytes: int
    reason: str
    condemned: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnnamedVersion:
    """A version that the store keeps and no branch of this clone names.

    Attributes:
        ref: The version.
        digest: Its contents.
        size_bytes: Their bytes.
    """

    ref: VersionId
    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GarbageCollection:
    """What `store gc` found and did, or would do.

    Attributes:
        store: The store.
        objects: How many objects were looked at.
        size_bytes: Their bytes.
        condemned: Found dead for the first time; they stay for two weeks.
        waiting: Found dead less than two weeks ago.
        deleted: Dead for two weeks: these went, or would go.
        deleted_bytes: Bytes of those.
        runs: Records of earlier collections that went, or would go.
        unnamed: Versions that no branch of this clone names; they stay until `store forget`.
        dry_run: Nothing was done.
    """

    store: str
    objects: int
    size_bytes: int
    condemned: tuple[DeadObject, ...]
    waiting: tuple[DeadObject, ...]
    deleted: tuple[DeadObject, ...]
    deleted_bytes: int
    runs: tuple[str, ...]
    unnamed: tuple[UnnamedVersion, ...]
    dry_run: bool


def forget(ws: Workspace, ref: str, *, store: str | None = None, dry_run: bool = False) -> Forgotten:
    """Remove a version from a store: see :meth:`gitml.api.Stores.forget`."""
    key = version_key(ws, ref)
    name, opened = open_store_named(ws.stores(ws.config), store, asset_type=key.id.asset.type)
    root = _root_or_none(opened, key, name)
    if name != EMBEDDED or not _is_shared(ws, key.id):
        refuse_named(
            ws, key.id, hint="gitml push, after which another store has it" if name == EMBEDDED else None
        )
    result = Forgotten(
        ref=key.id,
        store=name,
        digest=root.tree if root else None,
        size_bytes=root.size_bytes if root else None,
        unique_bytes=_unique_bytes(opened, key),
        dry_run=dry_run,
    )
    if not dry_run:
        delete_root(opened, key)
        if name == EMBEDDED and root is not None:
            forget_sent(ws.stores(ws.config), key, root.tree)
    return result


def gc(ws: Workspace, name: str | None = None, *, dry_run: bool = False) -> GarbageCollection:
    """Collect garbage in a store: see :meth:`gitml.api.Stores.gc`."""
    chosen, store = open_store_named(ws.stores(ws.config), name)
    found = collect_garbage(store, dry_run=dry_run, progress=ws.progress)
    return GarbageCollection(
        store=chosen,
        objects=found.objects,
        size_bytes=found.size_bytes,
        condemned=tuple(map(_dead, found.condemned)),
        waiting=tuple(map(_dead, found.waiting)),
        deleted=tuple(map(_dead, found.deleted)),
        deleted_bytes=sum(one.size_bytes for one in found.deleted),
        runs=found.runs,
        unnamed=_unnamed(ws, found.roots),
        dry_run=dry_run,
    )


def version_key(ws: Workspace, ref: str) -> RootKey:
    """The root of a version that need not be on any branch, and so must be named in full.

    Raises:
        UsageError: The reference is not TYPE/NAME@VERSION.
    """
    parsed = AssetRef.parse(ref, ws.config.known_types)
    if parsed.type is None or parsed.selector is None or parsed.path or parsed.repo:
        raise UsageError(
            f"{ref}: name the version in full, as models/digits@3",
            code="not-a-version",
            hint="gitml store du",
        )
    try:
        version = None if parsed.selector == LATEST else Version.parse(parsed.selector)
    except InvalidInput:
        version = None
    if version is None:
        raise UsageError(
            f"{ref}: {parsed.selector} is no version", code="not-a-version", hint="gitml store du"
        )
    asset = AssetId(type=parsed.type, name=parsed.name)
    return ws.stores(ws.config).key(VersionId(asset=asset, version=version))


def holding_branches(ws: Workspace, id_: VersionId) -> list[str]:
    """Branches, local and remote-tracking, that have a version's pointer; HEAD where it is on none."""
    return [ref.removeprefix("refs/heads/").removeprefix("refs/remotes/") for ref, _ in holding(ws, id_)]


def holding(ws: Workspace, id_: VersionId) -> list[tuple[str, str]]:
    """Refs that have a version's pointer, and their commits."""
    tips = ws.branch_tips()
    head = ws.repo.head().commit
    if head is not None and head not in tips.values():
        tips = tips | {"HEAD": head}
    return [
        (ref, commit)
        for ref, commit in sorted(tips.items())
        if ws.repo.entry(commit, ws.at(commit).path(id_.folder, POINTER_FILE)) is not None
    ]


def _is_shared(ws: Workspace, id_: VersionId) -> bool:
    """Whether a configured store has all the bytes of every pointer of a version, so that those here are a copy."""
    snapshots = [ws.at(commit) for commit in {commit for _, commit in holding(ws, id_)}]
    return all(ws.stores(one.config).holds(one.pointer(id_), shared=True) for one in snapshots)


def refuse_named(ws: Workspace, id_: VersionId, *, hint: str | None = None) -> None:
    """Refuse to let go what a branch still names.

    Args:
        ws: The registry.
        id_: The version.
        hint: What to do, where that is not to take it off the branches.

    Raises:
        PolicyRefused: A branch of this clone has the version's pointer.
    """
    branches = holding_branches(ws, id_)
    if branches:
        raise PolicyRefused(
            f"{id_} is still on {len(branches)} branch(es): {', '.join(branches[:5])}",
            code="still-named",
            hint=hint
            or f"git rm -r {id_.folder} on each of them, commit, push, and git fetch --prune; or gitml deprecate {id_}",
            context={
                "ref": str(id_),
                "branches": branches,
                "reasons": [f"{name} names it" for name in branches],
            },
        )


def delete_root(store: Store, key: RootKey) -> None:
    """Remove a root; where the reply is lost, it is removed again.

    Raises:
        OutcomeUnknown: A reply was lost, and the second try failed too.
    """
    try:
        store.medium.delete(key.name)
    except OutcomeUnknown:
        store.medium.delete(key.name)


def _root_or_none(store: Store, key: RootKey, name: str) -> Root | None:
    """The root of a version; None where it is there and damaged."""
    try:
        root = store.root(key)
    except IntegrityError:
        return None
    if root is None:
        raise not_kept(key.id, name)
    return root


def not_kept(id_: VersionId, store: str) -> NotFound:
    """What is said of a version that a store has no root of."""
    return NotFound(
        f"the store {store} does not keep {id_}",
        code="not-in-store",
        hint="gitml store du",
        context={"ref": str(id_), "store": store},
    )


def _unique_bytes(store: Store, key: RootKey) -> int | None:
    try:
        usage = disk_usage(store)
    except (IntegrityError, NotFound):
        return None
    return next((row.unique_bytes for row in usage.versions if row.key == key), None)


def _dead(one: Garbage) -> DeadObject:
    since = None if one.condemned_s is None else datetime.fromtimestamp(one.condemned_s, UTC)
    return DeadObject(object=one.object, size_bytes=one.size_bytes, reason=one.reason.value, condemned=since)


def _unnamed(ws: Workspace, roots: dict[str, Root]) -> tuple[UnnamedVersion, ...]:
    """Roots of this registry that no branch of this clone names."""
    named: set[VersionId] = set()
    head = ws.repo.head().commit
    for commit in {*ws.branch_tips().values(), *([head] if head else [])}:
        try:
            named.update(ws.at(commit).ids())
        except NotFound:
            continue
        except GitMLError as error:
            ws.progress.note(f"commit {commit[:12]} is not counted: {error.message}")
    found = []
    for name, root in sorted(roots.items()):
        key = key_of(name)
        if key is not None and key.registry == ws.config.registry and key.id not in named:
            found.append(UnnamedVersion(ref=key.id, digest=root.tree, size_bytes=root.size_bytes))
    return tuple(found)
