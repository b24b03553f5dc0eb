"""Checking what a store holds: of one tree, or all of it. Faults are collected, not raised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from gitml.errors import GitMLError, IntegrityError, InvalidInput, NotFound
from gitml.model.progress import SILENT, Progress
from gitml.store import layout
from gitml.store.manifest import decode_manifest
from gitml.store.medium import Medium
from gitml.store.pack import TAIL_BYTES, PackRef, pack_tail, split_pack
from gitml.store.packs import PackBody, known_footer
from gitml.store.reader import Located, Promised, TreeReader
from gitml.store.root import Root, decode_root, encode_root
from gitml.store.segment import decode_segment

_BATCH_BYTES: Final = 128 << 20
_BATCH_FILES: Final = 4096
_JOBS: Final = 2  # each holds a pack or two in memory
_HEADS: Final = 8
_OF_ONE_FILE: Final = frozenset(
    {"chunk-damaged", "chunk-length", "zstd", "too-large", "file-damaged", "file-size", "run-outside"}
)

_T = TypeVar("_T")
_R = TypeVar("_R")


class HasMedium(Protocol):
    """A store."""

    @property
    def medium(self) -> Medium: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong in a store.

    Attributes:
        object: Name of the object.
        path: A file that cannot be read because of it; None where none is known, or no single one.
        problem: What is wrong.
    """

    object: str
    path: str | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """What :func:`verify_store` found: numbers of objects and versions looked at, their bytes, and faults."""

    objects: int
    versions: int
    size_bytes: int
    faults: tuple[Fault, ...]


def verify_tree(
    store: HasMedium,
    root: Root,
    *,
    expected: Promised | None = None,
    label: str = "",
    deep: bool = False,
    progress: Progress = SILENT,
) -> list[Fault]:
    """Check that a tree is complete, and when `deep`, that each byte of it is right.

    Args:
        expected: What the pointer promises.
        label: Names the asset in problems.
        deep: Read and hash everything; otherwise the store is only asked for the size of each object.

    Raises:
        StoreUnavailable, AccessDenied: The store cannot be asked.
    """
    faults: list[Fault] = []
    try:
        reader = TreeReader(store.medium, root, expected=expected, label=label)
        count = len(reader.rows)
    except (IntegrityError, InvalidInput) as error:
        return [_fault(error)]
    progress.begin("verifying", total_bytes=root.size_bytes if deep else None, total_files=root.files)
    try:
        packs: dict[bytes, tuple[PackRef, str]] = {}
        readable: list[int] = []
        for number in range(count):
            try:
                segment = reader.segment(number)
            except (IntegrityError, InvalidInput) as error:
                faults.append(_fault(error))
                continue
            readable.append(number)
            for at, runs in enumerate(segment.runs):
                for pack, _, _ in runs:
                    ref = segment.packs[pack]
                    packs.setdefault(ref.id, (ref, segment.paths[at]))
            if not deep:
                progress.advance(files=len(segment.paths))
        if len(readable) == count:
            faults.extend(_tree_faults(reader))
        missing = _missing_packs(store.medium, packs.values())
        faults.extend(missing)
        if deep:
            bad = {fault.object for fault in missing}
            faults.extend(_bad_tails(store.medium, packs.values(), bad))
            faults.extend(_deep(reader, readable, bad, progress))
    finally:
        progress.end()
    return faults


def verify_store(store: HasMedium, *, progress: Progress = SILENT) -> StoreReport:
    """Check that every object matches its name and that the tree of every root is complete.

    Raises:
        StoreUnavailable, AccessDenied: The store cannot be asked.
    """
    medium = store.medium
    sizes: dict[str, int] = {}
    for prefix in (layout.PACKS, layout.SEGMENTS, layout.MANIFESTS, layout.ROOTS):
        sizes.update(medium.list(prefix))
    progress.begin("verifying", total_bytes=sum(sizes.values()), total_files=len(sizes))
    try:
        faults: list[Fault] = []
        checked = _spread(lambda name: _object_faults(medium, name), sorted(sizes), _JOBS)
        for name, found in zip(sorted(sizes), checked, strict=True):
            faults.extend(found)
            progress.advance(size_bytes=sizes[name], files=1)
        names = sorted(name for name in sizes if name.startswith(layout.ROOTS))
        complete: set[Root] = set()
        for name in names:
            faults.extend(_root_faults(medium, name, sizes, complete))
    finally:
        progress.end()
    return StoreReport(
        objects=len(sizes),
        versions=len(names),
        size_bytes=sum(sizes.values()),
        faults=tuple(dict.fromkeys(faults)),
    )


def _fault(error: GitMLError) -> Fault:
    return Fault(
        object=str(error.context.get("object") or "?"), path=error.context.get("file"), problem=error.message
    )


def _tree_faults(reader: TreeReader) -> list[Fault]:
    try:
        for _ in reader.entries():
            pass
    except (IntegrityError, InvalidInput) as error:
        return [_fault(error)]
    return []


def _missing_packs(medium: Medium, packs: Iterable[tuple[PackRef, str]]) -> list[Fault]:
    wanted = list(packs)
    found = _spread(lambda one: medium.head(layout.pack_name(one[0].hex)), wanted, _HEADS)
    faults = []
    for (ref, path), size in zip(wanted, found, strict=True):
        if size != ref.size_bytes:
            problem = (
                "the store lost it" if size is None else f"it has {size} bytes instead of {ref.size_bytes}"
            )
            faults.append(Fault(object=layout.pack_name(ref.hex), path=path, problem=problem))
    return faults


def _bad_tails(medium: Medium, packs: Iterable[tuple[PackRef, str]], bad: set[str]) -> list[Fault]:
    """Packs that ranged reads can use, and whose last bytes a read of the whole would stumble over."""
    faults = []
    for ref, path in packs:
        name = layout.pack_name(ref.hex)
        if name in bad:
            continue
        tail = medium.get(name, ref.size_bytes - TAIL_BYTES, ref.size_bytes)
        if tail != pack_tail(b"\0" * ref.footer_bytes)[-TAIL_BYTES:]:
            faults.append(Fault(object=name, path=path, problem="it does not end as a pack does"))
    return faults


def _deep(reader: TreeReader, segments: Sequence[int], bad: set[str], progress: Progress) -> list[Fault]:
    """Read every file; objects in `bad` are known to be wrong and not read again."""
    faults: list[Fault] = []
    batches = (batch for number in segments for batch in _batches(reader, number))
    for found in _spread(lambda batch: _read_all(reader, batch, bad, progress), batches, _JOBS):
        faults.extend(found)
    return faults


def _batches(reader: TreeReader, number: int) -> Iterator[list[Located]]:
    batch: list[Located] = []
    size = 0
    for one in reader.locate(reader.segment_entries(number)):
        batch.append(one)
        size += one.entry.size_bytes
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _read_all(reader: TreeReader, batch: Sequence[Located], bad: set[str], progress: Progress) -> list[Fault]:
    faults: list[Fault] = []
    # Asked again before each file: what is bad is learned on the way.
    whole = (one for one in batch if not any(layout.pack_name(ref.hex) in bad for ref, _, _ in one.runs))
    for _, blocks in reader.stream_located(whole):
        try:
            for block in blocks:
                progress.advance(size_bytes=len(block))
        except (IntegrityError, InvalidInput) as error:
            name = str(error.context.get("object"))
            if error.code in _OF_ONE_FILE:
                faults.append(_fault(error))
            elif name not in bad:
                bad.add(name)
                faults.append(_fault(error))
        progress.advance(files=1)
    return faults


def _object_faults(medium: Medium, name: str) -> list[Fault]:
    try:
        data = medium.get(name)
    except (IntegrityError, NotFound) as error:
        return [Fault(object=name, path=None, problem=error.message)]
    return object_faults(name, data)


def object_faults(name: str, data: bytes) -> list[Fault]:
    """Compare the bytes of one object with its name."""
    try:
        if name.startswith(layout.ROOTS):
            if encode_root(decode_root(data, name)) != data:
                return [Fault(object=name, path=None, problem="it is not written as a root is")]
            return []
        hex_id = layout.id_of(name)
        if name not in (layout.pack_name(hex_id), layout.segment_name(hex_id), layout.manifest_name(hex_id)):
            return [Fault(object=name, path=None, problem="no object has such a name")]
        identity = bytes.fromhex(hex_id)
        if name.startswith(layout.PACKS):
            return _pack_faults(data, identity, name)
        if name.startswith(layout.SEGMENTS):
            decode_segment(data, identity, name)
        else:
            decode_manifest(data, identity, name)
    except (IntegrityError, InvalidInput) as error:
        return [Fault(object=name, path=None, problem=error.message)]
    return []


def _pack_faults(data: bytes, identity: bytes, name: str) -> list[Fault]:
    payload, footer = split_pack(data, identity, name)
    body = PackBody(name, known_footer(footer), [(0, payload)])
    faults = []
    for number in range(footer.chunks):
        try:
            body.chunk(number)
        except IntegrityError as error:
            faults.append(Fault(object=name, path=None, problem=error.message))
    return faults


def _root_faults(medium: Medium, name: str, sizes: dict[str, int], complete: set[Root]) -> list[Fault]:
    """Check that all the objects of a root's tree are listed with their sizes."""
    try:
        root = decode_root(medium.get(name), name)
    except (IntegrityError, InvalidInput, NotFound):
        return []  # said already
    if root in complete:
        return []
    label = name.removeprefix(layout.ROOTS).partition("/")[2]
    faults: list[Fault] = []
    try:
        reader = TreeReader(medium, root, label=label)
        for number in range(len(reader.rows)):
            segment = reader.segment(number)
            for ref in segment.packs:
                pack = layout.pack_name(ref.hex)
                # A listing is a hint: what it does not show is asked for by name.
                size = sizes.get(pack, medium.head(pack) if pack not in sizes else None)
                if size != ref.size_bytes:
                    problem = (
                        f"{label} needs it, and the store lost it" if size is None else "it has a wrong size"
                    )
                    faults.append(Fault(object=pack, path=None, problem=problem))
        faults.extend(_tree_faults(reader))
    except (IntegrityError, InvalidInput) as error:
        return [*faults, _fault(error)]
    if not faults:
        complete.add(root)
    return faults


def _spread(work: Callable[[_T], _R], items: Iterable[_T], jobs: int) -> Iterator[_R]:
    """`map` in a pool, results in order, with no more than a few items taken ahead."""
    with ThreadPoolExecutor(jobs, thread_name_prefix="verify") as pool:
        ahead = []
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) > jobs * 2:
                yield ahead.pop(0).result()
        for future in ahead:
            yield future.result()
