"""Changing what a store keeps without changing versions, but for the one that has to go: repack, purge."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from gitml.errors import GitMLError, NotFound, PolicyRefused
from gitml.model.digest import Digest
from gitml.model.names import VersionId
from gitml.registry.care.garbage import holding, holding_branches, not_kept, version_key
from gitml.registry.care.stored import open_store_named
from gitml.registry.sent import forget_sent
from gitml.registry.stores import EMBEDDED
from gitml.registry.workspace import Workspace
from gitml.store.care.marking import key_of
from gitml.store.care.purge import Holder, plan_purge
from gitml.store.care.purge import purge as run_purge
from gitml.store.care.repack import plan_repack
from gitml.store.care.repack import repack as run_repack
from gitml.store.formats.root import RootKey
from gitml.store.media import layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Repacked:
    """What `store repack` did, or would do.

    Attributes:
        store: The store.
        packs: Packs that versions no longer use, or would no longer use.
        packs_bytes: Their bytes; `store gc` frees them.
        kept_bytes: Bytes of them that versions use, and that were, or would be, stored again.
        packs_written: New packs; null before they are written.
        versions: Versions with a new layout.
        skipped: Versions that somebody else changed meanwhile, and that still use the old packs.
        dry_run: Nothing was done.
    """

    store: str
    packs: int
    packs_bytes: int
    kept_bytes: int
    packs_written: int | None
    versions: int
    skipped: int
    dry_run: bool


def repack(ws: Workspace, name: str | None = None, *, dry_run: bool = False) -> Repacked:
    """Merge small packs and leave dead chunks behind: see :meth:`gitml.api.Stores.repack`."""
    chosen, store = open_store_named(ws.stores(ws.config), name)
    plan = plan_repack(store)
    done = None if dry_run else run_repack(store, plan, progress=ws.progress)
    return Repacked(
        store=chosen,
        packs=len(plan.uses),
        packs_bytes=plan.size_bytes,
        kept_bytes=plan.kept_bytes,
        packs_written=None if done is None else done.packs_written,
        versions=len(done.replaced) if done else 0,
        skipped=len(done.skipped) if done else 0,
        dry_run=dry_run,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What `store purge` removed, or would remove.

    Attributes:
        ref: The version.
        store: The store.
        digest: Its contents, which the store refuses from now on.
        size_bytes: Bytes of its contents.
        purged_bytes: Stored bytes that only it used.
        objects: Objects that were, or would be, deleted; null before it is known.
        versions: Other versions that were laid out anew.
        branches: Branches of this clone that still have its pointer, which leads nowhere now.
        out_of_reach: Where its bytes may be besides, in words.
        dry_run: Nothing was done.
    """

    ref: VersionId
    store: str
    digest: Digest
    size_bytes: int
    purged_bytes: int
    objects: int | None
    versions: int
    branches: tuple[str, ...]
    out_of_reach: tuple[str, ...]
    dry_run: bool


def purge(ws: Workspace, ref: str, *, store: str | None = None, dry_run: bool = False) -> Purged:
    """Remove what only one version uses, at once: see :meth:`gitml.api.Stores.purge`."""
    key = version_key(ws, ref)
    name, opened = open_store_named(ws.stores(ws.config), store, asset_type=key.id.asset.type)
    try:
        plan = plan_purge(opened, key)
    except NotFound as error:
        raise not_kept(key.id, name) from error
    if plan.holders:
        raise _shared(key, plan.holders)
    done = None if dry_run else run_purge(opened, plan, progress=ws.progress)
    if done is not None and opened.cache is not None:
        # Packs in other layouts, of before a repack say, may hold the bytes as well.
        opened.cache.clear()
    if done is not None and name == EMBEDDED:
        forget_sent(ws.stores(ws.config), key, plan.root.tree)
    return Purged(
        ref=key.id,
        store=name,
        digest=plan.root.tree,
        size_bytes=plan.root.size_bytes,
        purged_bytes=plan.purged_bytes,
        objects=None if done is None else len(done.deleted),
        versions=0 if done is None else len(done.replaced),
        branches=tuple(holding_branches(ws, key.id)),
        out_of_reach=(
            *_sources(ws, key.id),
            *_other_stores(ws, key, name),
            "caches of other users and machines; this machine's is emptied",
            "files that get or pull placed, and what was copied from them",
            "the copies of small files that git keeps for reviewers, also in its history",
            "embedded stores of other clones, and other registries' stores",
            "copies of this store: replicas, backups, earlier versions of objects that a bucket keeps",
        ),
        dry_run=dry_run,
    )


def _shared(key: RootKey, found: tuple[Holder, ...]) -> PolicyRefused:
    holders = sorted(found, key=lambda one: (one.root, one.path))
    files = [{"version": _version(one.root), "path": one.path} for one in holders]
    versions = list(dict.fromkeys(_version(one.root) for one in holders))
    return PolicyRefused(
        f"{key.id} shares files with {len(versions)} other version(s); {versions[0]}: {holders[0].path}",
        code="shared-files",
        hint=f"gitml store forget each of them, then purge {key.id}; --json lists every file",
        context={
            "ref": str(key.id),
            "files": files,
            "reasons": [f"{name} has a file of it" for name in versions],
        },
    )


def _version(root_name: str) -> str:
    key = key_of(root_name)
    return root_name.removeprefix(layout.ROOTS) if key is None else str(key.id)


def _sources(ws: Workspace, id_: VersionId) -> list[str]:
    """Where the data of a version lies that refers to it, as far as a branch still says so."""
    found: dict[str, None] = {}
    for _, commit in holding(ws, id_):
        with suppress(GitMLError):
            external = ws.at(commit).pointer(id_).contents.external
            found |= dict.fromkeys(str(url) for url in external.sources) if external else {}
    return [f"the data itself, which stays in {url}" for url in found]


def _other_stores(ws: Workspace, key: RootKey, purged: str) -> list[str]:
    """The stores this clone knows of that keep the version as well, or could not be asked."""
    found = ws.stores(ws.config)
    told = []
    for name in [*found.names(), *([EMBEDDED] if found.has_embedded else [])]:
        if name == purged:
            continue
        try:
            if open_store_named(found, name)[1].root(key) is not None:
                told.append(f"the store {name}: gitml store purge {key.id} --store {name}")
        except GitMLError as error:
            told.append(f"the store {name}, which could not be asked: {error.message}")
    return told
