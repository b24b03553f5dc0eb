"""Purging: the bytes that only one version uses leave the store at once, and stay out.

For what must not exist any more. The order: a mark forbids the tree, and the names of every object that holds such a
chunk are condemned, where writers at work see them; versions that use other chunks of those packs get new ones; the
packs are deleted; then the root goes, and the list of the purged files. So a purge that was killed is taken up again
by the same call.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gitml.errors import Conflict, NotFound, StoreUnavailable
from gitml.model.progress import SILENT, Progress
from gitml.store.care.condemned import write_run
from gitml.store.care.exclusive import (
    HasMedium,
    Holder,
    PurgePlan,
    mark_of,
    overtaken,
    packs_with,
    plan_purge,
    root_if_any,
)
from gitml.store.care.marking import Marking
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.relocation.moving import replace_root
from gitml.store.relocation.relocate import load_manifest, load_segment, used_objects
from gitml.store.relocation.rewrite import PackUse, Relayout, pack_uses

__all__ = ["Holder", "PurgePlan", "PurgeResult", "plan_purge", "purge"]

_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeResult:
    """What a purge did: the objects it deleted, and the roots of other versions it laid out anew."""

    deleted: tuple[str, ...]
    replaced: tuple[str, ...]


def purge(
    store: HasMedium, plan: PurgePlan, *, now_s: float | None = None, progress: Progress = SILENT
) -> PurgeResult:
    """Forbid the tree, and delete every object that holds a chunk of it that nothing else uses.

    Raises:
        Conflict: Another version has one of its files, or was registered with one meanwhile.
        StoreUnavailable, OutcomeUnknown, NoSpace: As the medium says; run it again.
    """
    if plan.holders:
        raise Conflict(f"{plan.name} shares files with other versions", code="shared-files")
    if plan.done:
        if root_if_any(store.medium, plan.name) == plan.root:
            _delete(store.medium, plan.name)
        return PurgeResult(deleted=(), replaced=())
    progress.begin("Purging")
    try:
        return _Purge(store.medium, plan, time.time() if now_s is None else now_s).run()
    except NotFound as error:
        raise overtaken(error) from error
    finally:
        progress.end()


class _Purge:
    def __init__(self, medium: Medium, plan: PurgePlan, now_s: float) -> None:
        self._medium = medium
        self._plan = plan
        self._now_s = now_s
        self._replaced: list[str] = []
        self._clean: set[str] = set()
        self._marking = Marking(medium)

    def run(self) -> PurgeResult:
        plan = self._plan
        self._medium.put(layout.purged_name(plan.root.tree.hex), [mark_of(plan.name, plan.root)])
        deleted: list[str] = []
        seen: set[str] = set()
        packs = dict(plan.packs)
        lists = plan.lists
        for _ in range(_ROUNDS):
            doomed = {*packs, *lists, *self._naming(packs)}
            if doomed:
                write_run(self._medium, doomed, self._now_s)
                self._move_others(packs, doomed)
            # What names the chunks' places goes after them, the purged version's own manifest last of all.
            order = [*packs, *sorted(doomed - set(packs) - set(lists))]
            for name in order:
                _delete(self._medium, name)
            deleted += order
            seen.update(packs)
            # A writer at work may have copied a pack before it went.
            packs = dict(packs_with(self._medium, plan.chunks, seen))
            if not packs:
                # The root until now kept collectors from what a purge that is taken up again has to read.
                for name in (plan.name, *lists):
                    _delete(self._medium, name)
                return PurgeResult(deleted=(*deleted, *lists), replaced=tuple(dict.fromkeys(self._replaced)))
        raise _too_slow(self._medium, ())

    def _naming(self, packs: Collection[str]) -> Iterator[str]:
        """Manifests and segments of other versions that name one of the packs."""
        for root in self._others().values():
            manifest = load_manifest(self._medium, root)
            for row in manifest.rows:
                segment = load_segment(self._medium, manifest, row)
                if any(layout.pack_name(pack.hex) in packs for pack in segment.packs):
                    yield layout.manifest_name(root.manifest)
                    if manifest.embedded is None:
                        yield layout.segment_name(row.segment_id.hex())

    def _others(self) -> dict[str, Root]:
        self._marking = Marking(self._medium)
        self._marking.look()
        return {name: root for name, root in self._marking.roots.items() if name != self._plan.name}

    def _held(self, doomed: Collection[str]) -> list[str]:
        """Intents of the latest look that name what is about to go: whoever wrote them may be about to use it."""
        return [
            name
            for name, intent in self._marking.intents.items()
            if intent.version != self._plan.name and self._uses_any(intent.root, doomed, complete=False)
        ]

    def _move_others(self, packs: Collection[str], doomed: Collection[str]) -> None:
        """Lay out anew what uses an object that is about to go, until a look finds nothing that does."""
        ids = {bytes.fromhex(layout.id_of(name)) for name in packs}
        self._clean.clear()
        for _ in range(_ROUNDS):
            affected = {name: root for name, root in self._others().items() if self._uses_any(root, doomed)}
            held = self._held(doomed)
            if not affected and not held:
                return
            uses = pack_uses(self._medium, affected.values(), among=ids)
            if self._wants_purged(uses):
                raise _registered_meanwhile(
                    name
                    for name, root in affected.items()
                    if self._wants_purged(pack_uses(self._medium, [root], among=ids))
                )
            moved = Relayout(self._medium, uses)
            for name, root in affected.items():
                if replace_root(self._medium, name, root, moved.root(root)) is not None:
                    self._replaced.append(name)
        raise _too_slow(self._medium, held)

    def _wants_purged(self, uses: Mapping[bytes, PackUse]) -> bool:
        return any(
            flag and use.footer.id(number) in self._plan.chunks
            for use in uses.values()
            for number, flag in enumerate(use.wanted)
        )

    def _uses_any(self, root: Root, doomed: Collection[str], *, complete: bool = True) -> bool:
        if root.manifest in self._clean:
            return False
        try:
            if any(used.name in doomed for used in used_objects(self._medium, root)):
                return True
        except NotFound:
            if complete:
                raise
            return False
        self._clean.add(root.manifest)
        return False


def _delete(medium: Medium, name: str) -> None:
    """Delete an object, and see that it is gone: a store that only says so keeps what must not exist.

    Raises:
        StoreUnavailable: It is still there.
    """
    medium.delete(name)
    if medium.head(name) is not None:
        raise StoreUnavailable(
            f"{medium.url} says that it deleted {name}, and still has it",
            code="delete-ignored",
            hint="look for versioning or a retention rule of the store, then run the command again",
            context={"object": name},
        )


def _too_slow(medium: Medium, intents: Sequence[str]) -> StoreUnavailable:
    if not intents:
        return StoreUnavailable(
            f"writers in {medium.url} are faster than this purge", hint="run the command again"
        )
    return StoreUnavailable(
        f"somebody is about to use an object of {medium.url} that has to go, as {intents[0]} says",
        code="layout-changing",
        hint="run the command again; where nothing else is at work on that store, it was killed: delete that object",
        context={"intents": list(intents)},
    )


def _registered_meanwhile(names: Iterator[str]) -> Conflict:
    affected = sorted(names)
    return Conflict(
        f"the same bytes were registered meanwhile: {', '.join(affected[:3])}",
        code="registered-meanwhile",
        hint="let that version go with gitml store forget, then run the command again",
        context={"roots": affected},
    )
