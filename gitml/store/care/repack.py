"""Repacking: small packs become few, and dead chunks are left behind.

Versions are given an equivalent layout, one after the other; the old objects stay where they are, for readers and
writers at work, until they are collected as garbage. So it may run beside everything else, be killed and run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from gitml.errors import NotFound, StoreUnavailable
from gitml.model.progress import SILENT, Progress
from gitml.store.care.marking import Marking
from gitml.store.formats.root import Root
from gitml.store.media.medium import Medium
from gitml.store.relocation.moving import replace_root
from gitml.store.relocation.rewrite import PackUse, Relayout, pack_uses
from gitml.store.write.packing import PACK_BYTES

SMALL_BYTES: Final = PACK_BYTES // 4
_LIVE_PERCENT: Final = 75


class HasMedium(Protocol):
    """A store."""

    @property
    def medium(self) -> Medium: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackPlan:
    """What is worth repacking.

    Attributes:
        uses: The packs to leave, by id, and the chunks of them that versions use.
        roots: Every root by name.
    """

    uses: Mapping[bytes, PackUse]
    roots: Mapping[str, Root]

    @property
    def size_bytes(self) -> int:
        """Bytes of the packs to leave."""
        return sum(use.pack.size_bytes for use in self.uses.values())

    @property
    def kept_bytes(self) -> int:
        """Stored bytes of the chunks that move, each place counted."""
        return sum(use.wanted_bytes for use in self.uses.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackResult:
    """What a repack did.

    Attributes:
        packs_written: Packs that hold the moved chunks.
        replaced: Roots that name a new layout.
        skipped: Roots that somebody else changed meanwhile; they are as they were left.
    """

    packs_written: int
    replaced: tuple[str, ...]
    skipped: tuple[str, ...]


def plan_repack(store: HasMedium, *, small_bytes: int = SMALL_BYTES) -> RepackPlan:
    """Find packs that are small, or that hold much that nothing uses; reads manifests, segments and footers.

    Raises:
        IntegrityError: A version cannot be followed.
    """
    marking = Marking(store.medium)
    marking.look()
    try:
        uses = pack_uses(store.medium, marking.roots.values())
    except NotFound as error:
        raise _overtaken(error) from error
    return RepackPlan(uses=_worthwhile(uses, small_bytes), roots=marking.roots)


def repack(store: HasMedium, plan: RepackPlan, *, progress: Progress = SILENT) -> RepackResult:
    """Copy what is wanted of the planned packs into new ones, and let each version that used them use those.

    Raises:
        IntegrityError: A chunk is damaged; no version that uses it was changed.
        StoreUnavailable, OutcomeUnknown, NoSpace: As the medium says; run it again.
    """
    if not plan.uses:
        return RepackResult(packs_written=0, replaced=(), skipped=())
    progress.begin("Repacking", total_bytes=plan.size_bytes)
    replaced: list[str] = []
    skipped: list[str] = []
    try:
        moved = Relayout(store.medium, plan.uses, progress)
        for name, root in plan.roots.items():
            new = moved.root(root)
            if new == root:
                continue
            found = replace_root(store.medium, name, root, new)
            (skipped if found is None else replaced).append(name)
    except NotFound as error:
        raise _overtaken(error) from error
    finally:
        progress.end()
    return RepackResult(packs_written=moved.packs_written, replaced=tuple(replaced), skipped=tuple(skipped))


def _worthwhile(uses: Mapping[bytes, PackUse], small_bytes: int) -> dict[bytes, PackUse]:
    wasteful = {
        id_ for id_, use in uses.items() if use.wanted_bytes * 100 < use.footer.payload_bytes * _LIVE_PERCENT
    }
    small = {id_ for id_, use in uses.items() if use.footer.payload_bytes < small_bytes} - wasteful
    chosen = wasteful | small if len(wasteful | small) > 1 else wasteful
    return {id_: use for id_, use in uses.items() if id_ in chosen}


def _overtaken(error: NotFound) -> StoreUnavailable:
    return StoreUnavailable(
        f"the store changed meanwhile: {error.message}", code="objects-gone", hint="run the command again"
    )
