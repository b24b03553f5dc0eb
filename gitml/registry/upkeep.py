"""Giving what a store keeps a better layout: repack."""

from __future__ import annotations

from dataclasses import dataclass

from gitml.registry.stored import open_store_named
from gitml.registry.workspace import Workspace
from gitml.store.repack import plan_repack
from gitml.store.repack import repack as run_repack


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
