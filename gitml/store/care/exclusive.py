"""What only one version of a store uses: what would leave it with that version, and the mark that says so."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from gitml.errors import GitMLError, IntegrityError, NotFound, StoreUnavailable
from gitml.store.care.marking import Marking
from gitml.store.formats.pack import FOOTER_LIMIT_BYTES, MAGIC, TAIL_BYTES, Footer, decode_footer
from gitml.store.formats.root import Root, RootKey, decode_root, encode_root
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.relocation.relocate import load_manifest, load_segment, used_objects
from gitml.store.relocation.rewrite import pack_uses

SCHEMA: Final = "gitml/purged/v1"
_TAIL_GUESS_BYTES: Final = 64 * 1024


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


def plan_purge(store: HasMedium, key: RootKey) -> PurgePlan:
    """Find what only one version uses; reads every manifest and segment, and the footer of every pack.

    Raises:
        NotFound: There is no such version, and no purge of it was begun.
        IntegrityError: A version cannot be followed, or a pack cannot be read.
    """
    medium = store.medium
    standing = root_if_any(medium, key.name)
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
        raise overtaken(error) from error


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
    packs = sorted(packs_with(medium, ids, set()), key=lambda found: (found[0] in own_packs, found[0]))
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


def packs_with(medium: Medium, chunks: Collection[bytes], seen: Collection[str]) -> Iterator[tuple[str, int]]:
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


def mark_of(name: str, root: Root) -> bytes:
    """What forbids a tree, and says which version it was of."""
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


def root_if_any(medium: Medium, name: str) -> Root | None:
    """The root that has a name."""
    try:
        return decode_root(medium.get(name), name)
    except NotFound:
        return None


def overtaken(error: NotFound) -> StoreUnavailable:
    """The error for an object that went while it was about to be read."""
    return StoreUnavailable(
        f"the store changed meanwhile: {error.message}", code="objects-gone", hint="run the command again"
    )
