"""Purging: the bytes that only one version uses leave the store at once, and stay out.

For what must not exist any more. The order: a mark forbids the tree, and the names of every object that holds such a
chunk are condemned, where writers at work see them; versions that use other chunks of those packs get new ones; the
packs are deleted; then the root goes, and the list of the purged files. So a purge that was killed is taken up again
by the same call.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from gitml.errors import Conflict, GitMLError, IntegrityError, NotFound, StoreUnavailable
from gitml.model.progress import SILENT, Progress
from gitml.store.care.condemned import write_run
from gitml.store.care.marking import Marking
from gitml.store.formats.pack import FOOTER_LIMIT_BYTES, MAGIC, TAIL_BYTES, Footer, decode_footer
from gitml.store.formats.root import Root, RootKey, decode_root, encode_root
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.relocation.moving import replace_root
from gitml.store.relocation.relocate import load_manifest, load_segment, used_objects
from gitml.store.relocation.rewrite import PackUse, Relayout, pack_uses

SCHEMA: Final = "gitml/purged/v1"
_TAIL_GUESS_BYTES: Final = 64 * 1024
_ROUNDS: Final = 8


class HasMedium(Protocol):
    """A store."""

    @property
    def medium(self) -> Medium: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A file to be purged that another version has as well.

    Attributes:
        root: Name of the other version's root.
        path: Where the file is in that version.
    """

    root: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgePlan:
    """What would leave the store.

    Attributes:
        name: Name of the version's root.
        root: Its tree.
        done: A purge of it had already come to its end.
        holders: Files that other versions have as well: while there are any, nothing is purged.
        chunks: Ids of the chunks that only this version uses.
        purged_bytes: Stored bytes of those in the version's own packs.
        packs: Every pack that holds one, with its size; the version's own after all others.
        lists: Manifest and segments that only this version uses, the manifest last.
    """

    name: str
    root: Root
    done: bool
    holders: tuple[Holder, ...]
    chunks: frozenset[bytes] = field(repr=False)
    purged_bytes: int
    packs: Mapping[str, int]
    lists: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeResult:
    """What a purge did: the objects it deleted, and the roots of other versions it laid out anew."""

    deleted: tuple[str, ...]
    replaced: tuple[str, ...]


def plan_purge(store: HasMedium, key: RootKey) -> PurgePlan:
    """Find what only one version uses; reads every manifest and segment, and the footer of every pack.

    Raises:
        NotFound: There is no such version, and no purge of it was begun.
        IntegrityError: A version cannot be followed, or a pack cannot be read.
    """
    medium = store.medium
    standing = _root(medium, key.name)
    root = standing or _purged_root(medium, key.name)
    try:
        own = _own_lists(medium, root)
    except NotFound:
        # The manifest goes last. A root that stands all the same came back, by a write that was on its way.
        if standing is None or medium.head(layout.purged_name(root.tree.hex)) is not None:
            return _done(key.name, root)
        own = []  # the look at all roots says what is lost
    marking = Marking(medium)
    marking.look()
    others = {name: other for name, other in marking.roots.items() if name != key.name}
    try:
        return _planned(medium, key.name, root, others, own)
    except NotFound as error:
        raise _overtaken(error) from error


def _done(name: str, root: Root) -> PurgePlan:
    return PurgePlan(
        name=name,
        root=root,
        done=True,
        holders=(),
        chunks=frozenset(),
        purged_bytes=0,
        packs={},
        lists=(),
    )


def _planned(
    medium: Medium, name: str, root: Root, others: Mapping[str, Root], own: Sequence[str]
) -> PurgePlan:
    own_packs = _own_packs(medium, root)
    chunks = _chunks(medium, root, own_packs)
    kept: set[str] = set()
    for other in others.values():
        kept.update(used.name for used in used_objects(medium, other))
    for use in pack_uses(medium, others.values()).values():
        for number, flag in enumerate(use.wanted):
            if flag:
                chunks.pop(use.footer.id(number), None)
    ids = frozenset(chunks)
    # A purge that is taken up again reads what is to go from the version's own packs, so these go last.
    packs = sorted(_packs_with(medium, ids, set()), key=lambda found: (found[0] in own_packs, found[0]))
    return PurgePlan(
        name=name,
        root=root,
        done=False,
        holders=tuple(_holders(medium, root, others)),
        chunks=ids,
        purged_bytes=sum(chunks.values()),
        packs=dict(packs),
        lists=tuple(one for one in own if one not in kept),
    )


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
        if _root(store.medium, plan.name) == plan.root:
            _delete(store.medium, plan.name)
        return PurgeResult(deleted=(), replaced=())
    progress.begin("Purging")
    try:
        return _Purge(store.medium, plan, time.time() if now_s is None else now_s).run()
    except NotFound as error:
        raise _overtaken(error) from error
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
        self._medium.put(layout.purged_name(plan.root.tree.hex), [_mark(plan.name, plan.root)])
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
            packs = dict(_packs_with(self._medium, plan.chunks, seen))
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


def _own_lists(medium: Medium, root: Root) -> list[str]:
    """Segments and manifest of a tree, the manifest last."""
    manifest = load_manifest(medium, root)
    segments = (
        [layout.segment_name(row.segment_id.hex()) for row in manifest.rows]
        if manifest.embedded is None
        else []
    )
    return [*dict.fromkeys(segments), layout.manifest_name(root.manifest)]


def _own_packs(medium: Medium, root: Root) -> frozenset[str]:
    """Names of the packs of a tree that are still there."""
    there = {name for name, _ in medium.list(layout.PACKS)}
    return frozenset(used.name for used in used_objects(medium, root) if used.name in there)


def _chunks(medium: Medium, root: Root, packs: Collection[str]) -> dict[bytes, int]:
    """Ids and stored bytes of the chunks of a tree in some packs."""
    among = {bytes.fromhex(layout.id_of(name)) for name in packs}
    found: dict[bytes, int] = {}
    for use in pack_uses(medium, [root], among=among).values():
        for number, flag in enumerate(use.wanted):
            if flag:
                found[use.footer.id(number)] = use.footer.stored[number]
    return found


def _holders(medium: Medium, root: Root, others: Mapping[str, Root]) -> Iterator[Holder]:
    """Files of a tree, empty ones aside, that other trees have as well."""
    manifest = load_manifest(medium, root)
    digests = {
        segment.sha(at)
        for segment in (load_segment(medium, manifest, row) for row in manifest.rows)
        for at, size in enumerate(segment.sizes)
        if size
    }
    known: dict[bytes, tuple[str, ...]] = {}
    for name, other in others.items():
        manifest = load_manifest(medium, other)
        for row in manifest.rows:
            if row.segment_id not in known:
                segment = load_segment(medium, manifest, row)
                known[row.segment_id] = tuple(
                    path for at, path in enumerate(segment.paths) if segment.sha(at) in digests
                )
            for path in known[row.segment_id]:
                yield Holder(root=name, path=path)


def _packs_with(
    medium: Medium, chunks: Collection[bytes], seen: Collection[str]
) -> Iterator[tuple[str, int]]:
    """Packs, used or not, that hold one of the chunks, and their sizes."""
    for name, size_bytes in sorted(medium.list(layout.PACKS)):
        if name in seen:
            continue
        try:
            footer = _footer(medium, name, size_bytes)
        except NotFound:
            continue
        if any(footer.id(number) in chunks for number in range(footer.chunks)):
            yield name, size_bytes


def _footer(medium: Medium, name: str, size_bytes: int) -> Footer:
    """The footer of a pack of which no more is known than its name and size."""
    tail = medium.get(name, max(0, size_bytes - _TAIL_GUESS_BYTES), size_bytes)
    length = int.from_bytes(tail[-TAIL_BYTES : -len(MAGIC)], "little")
    if not tail.endswith(MAGIC) or length > min(FOOTER_LIMIT_BYTES, size_bytes - TAIL_BYTES):
        raise IntegrityError(
            f"{name} in {medium.url} does not end as a pack does, so what it holds is not known",
            code="object-malformed",
            hint="gitml store verify",
            context={"object": name},
        )
    if length + TAIL_BYTES > len(tail):
        tail = medium.get(name, size_bytes - TAIL_BYTES - length, size_bytes)
    end = len(tail) - TAIL_BYTES
    return decode_footer(tail[end - length : end], bytes.fromhex(layout.id_of(name)), name)


def _mark(name: str, root: Root) -> bytes:
    body = {"schema": SCHEMA, "name": name, "root": json.loads(encode_root(root))}
    return json.dumps(body, indent=1).encode() + b"\n"


def _purged_root(medium: Medium, name: str) -> Root:
    """The root of a version whose purge was begun."""
    for mark, _ in medium.list(layout.PURGED):
        try:
            body: Any = json.loads(medium.get(mark))
            if body["schema"] == SCHEMA and body["name"] == name:
                return decode_root(json.dumps(body["root"]).encode(), mark)
        except (ValueError, KeyError, TypeError, GitMLError):
            continue  # an empty mark, or somebody else's, forbids its tree all the same
    raise NotFound(
        f"{medium.url} keeps no {name.removeprefix(layout.ROOTS).partition('/')[2]}",
        code="not-in-store",
        hint="gitml store du",
        context={"root": name},
    )


def _root(medium: Medium, name: str) -> Root | None:
    try:
        return decode_root(medium.get(name), name)
    except NotFound:
        return None


def _overtaken(error: NotFound) -> StoreUnavailable:
    return StoreUnavailable(
        f"the store changed meanwhile: {error.message}", code="objects-gone", hint="run the command again"
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
