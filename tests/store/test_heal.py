"""Every damage to a small store: found by judging the store, by deep verification and by reads, and healed to the byte."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import pytest
from support.store import MadeSource, key, lay_out, noise, text
from support.trees import fetched, opened, streamed

from gitml.errors import IntegrityError, InvalidInput
from gitml.model.portion import Part
from gitml.store.care.copies import Expected, Origins
from gitml.store.care.faults import Share
from gitml.store.care.repair import Repair, repair
from gitml.store.care.verify import Tree, verify_store, verify_trees
from gitml.store.formats.codec import Codec, decode_chunk
from gitml.store.formats.pack import split_pack
from gitml.store.media import layout
from gitml.store.media.memory import MemoryMedium
from gitml.store.store import Store

SEED = os.environ.get("GITML_TEST_SEED", "1")
SECTOR_BYTES = 512
VERSIONS = {
    "1": {
        "weights.bin": noise(24_000, 1),
        "notes.txt": text(30_000, 2),
        "none": b"",
        **{f"d/{n}": b"%d" % n for n in range(20)},
    },
    "2": {"weights.bin": noise(24_000, 1), "more.bin": noise(33_000, 3), "same.bin": noise(33_000, 3)},
}
READS = {"fetch": fetched, "stream": streamed, "open": opened}

Change = Mapping[str, bytes | None]
"""Objects that are something else, or gone."""
Changes = Iterator[tuple[str, Callable[[], Change]]]
"""What is done, and the doing: a list of all damages would be large."""


@dataclass(frozen=True)
class Small:
    """The objects of the store, and what pointers say of its versions."""

    objects: dict[str, bytes]
    expected: tuple[Expected, ...]

    def store(self, change: Change | None = None) -> Store:
        medium = MemoryMedium()
        for name, data in {**self.objects, **(change or {})}.items():
            if data is not None:
                medium.put(name, [data])
        return Store(medium)


@cache
def small() -> Small:
    store = Store(MemoryMedium())
    earlier = []
    for version, contents in VERSIONS.items():
        written = store.write(MadeSource(contents), earlier=earlier)
        store.claim(key(version), written)
        earlier.append(written.root)
    objects = {name: store.medium.get(name) for name, _ in store.medium.list("")}
    assert 60_000 < sum(map(len, objects.values())) < 100_000
    expected = tuple(
        Expected(
            key=one,
            digest=root.tree,
            listing=root.listing,
            size_bytes=root.size_bytes,
            files=root.files,
            created=root.created,
        )
        for one, root in store.all_roots()
    )
    return Small(objects, expected)


def named(prefixes: tuple[str, ...] = (layout.PACKS, layout.SEGMENTS, layout.MANIFESTS)) -> list[str]:
    return sorted(name for name in small().objects if name.startswith(prefixes))


def flipped(name: str, at: int) -> Change:
    data = small().objects[name]
    return {name: data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]}


def is_damage(name: str, at: int) -> bool:
    """Whether a flip is one: some reserved bits inside a zstd block are looked at by no decoder."""
    if not name.startswith(layout.PACKS):
        return True
    payload, footer = split_pack(small().objects[name], bytes.fromhex(layout.id_of(name)), name)
    for number in range(footer.chunks):
        place = footer.place(number)
        start, end = footer.starts[number], footer.starts[number + 1]
        if start <= at < end and place.codec == Codec.ZSTD and at != start + 4:
            frame = flipped(name, at)[name]
            assert frame is not None
            try:
                raw = decode_chunk(frame[start:end], Codec.ZSTD, footer.raw[number], "chunk")
            except IntegrityError:
                return True
            return raw != decode_chunk(payload[start:end], Codec.ZSTD, footer.raw[number], "chunk")
    return True


def cut(name: str, length: int) -> Change:
    return {name: small().objects[name][:length]}


def flips() -> Changes:
    for name in named():
        for at in range(len(small().objects[name])):
            if is_damage(name, at):
                yield f"{name}: byte {at}", partial(flipped, name, at)


def cuts() -> Changes:
    for name in named():
        for length in range(len(small().objects[name])):
            yield f"{name}: cut to {length}", partial(cut, name, length)


def sectors() -> Changes:
    for name in named():
        data = small().objects[name]
        for start in range(0, len(data), SECTOR_BYTES):
            end = min(start + SECTOR_BYTES, len(data))
            zeroed = data[:start] + bytes(end - start) + data[end:]
            if zeroed != data:
                yield f"{name}: sector at {start} zeroed", partial(dict, {name: zeroed})


def swaps() -> Changes:
    names, objects = named(), small().objects
    for at, name in enumerate(names):
        for other in names[at + 1 :]:
            change = {name: objects[other], other: objects[name]}
            yield f"{name} and {other} swapped", partial(dict, change)


def others() -> Changes:
    for name in named():
        data = small().objects[name]
        yield f"{name}: gone", partial(dict, {name: None})
        for garbage in (b"\0", b"garbage" * 9, data):
            yield f"{name}: {len(garbage)} bytes appended", partial(dict, {name: data + garbage})
    yield "all packs gone", partial(dict.fromkeys, named((layout.PACKS,)))
    yield "all lists gone", partial(dict.fromkeys, named((layout.MANIFESTS, layout.SEGMENTS)))
    yield "everything gone", partial(dict.fromkeys, named())


def root_changes() -> Changes:
    """Every flip of what a root says, but of the moment of its making, which says nothing about its tree."""
    for name in named((layout.ROOTS,)):
        data = small().objects[name]
        for at in range(data.index(b'"created"')):
            yield f"{name}: byte {at}", partial(flipped, name, at)
        for length in range(len(data)):
            yield f"{name}: cut to {length}", partial(cut, name, length)
        yield f"{name}: longer", partial(dict, {name: data + b"{}"})
        yield f"{name}: gone", partial(dict, {name: None})


def read_or_refused(store: Store, read: str) -> bool:
    """Whether some version cannot be read; none is read wrongly."""
    refused = False
    for version, contents in VERSIONS.items():
        try:
            root = store.root(key(version))
            if root is None:
                refused = True
                continue
            promised = next(one for one in small().expected if one.key == key(version))
            assert READS[read](store.tree(root, expected=promised)) == contents
        except (IntegrityError, InvalidInput):
            refused = True
    return refused


def found_deep(store: Store, share: Share | None = None) -> bool:
    """Whether deep verification of all versions finds anything wrong."""
    trees = []
    for one in small().expected:
        try:
            root = store.root(one.key)
        except (IntegrityError, InvalidInput):
            return True
        if root is None:
            return True
        trees.append(Tree(root=root, expected=one, label=str(one.key.id)))
    return bool(verify_trees(store, trees, deep=True, share=share).faults)


def judge(label: str, change: Change, read: str) -> None:
    """A damage is found by all three, and a repair from a sound copy brings every byte back."""
    try:
        store = small().store(change)
        is_root = any(name.startswith(layout.ROOTS) for name in change)
        is_found = bool(verify_store(store).faults)
        refused = read_or_refused(store, read)
        deep = found_deep(store)
        assert is_found or is_root, "judging the store does not see it"
        assert deep >= refused, "deep verification does not see what a read stumbles over"
        assert is_found or deep or None in change.values()
        found = repair(store, Origins(stores={"copy": small().store()}, expected=small().expected))
        assert found.missing == []
        assert {name: store.medium.get(name) for name, _ in store.medium.list("")} == small().objects
        assert set(change) <= set(found.healed) or not is_found
    except BaseException as error:
        error.add_note(label)
        raise


def sampled(changes: Changes, count: int) -> list[tuple[str, Change]]:
    every = list(changes)
    return [(label, make()) for label, make in random.Random(SEED).sample(every, min(count, len(every)))]


KINDS = {
    "flips": flips,
    "cuts": cuts,
    "sectors": sectors,
    "swaps": swaps,
    "others": others,
    "roots": root_changes,
}


def test_a_sound_store_raises_no_alarm(tmp_path: Path) -> None:
    store = small().store()
    assert verify_store(store).faults == () and not found_deep(store)
    assert not any(read_or_refused(store, read) for read in READS)
    assert repair(store, Origins(stores={}, expected=small().expected)) == Repair()
    for number in range(1, 6):
        share = Share(part=Part(number=number, of=5))
        assert verify_store(store, share=share).faults == () and not found_deep(store, share)


@pytest.mark.parametrize("kind", KINDS)
def test_some_damage_is_found_and_healed(kind: str) -> None:
    reads = list(READS)
    for number, (label, change) in enumerate(sampled(KINDS[kind](), 40)):
        judge(label, change, reads[number % 3])


@pytest.mark.nightly
@pytest.mark.parametrize("slice_", range(16))
@pytest.mark.parametrize("kind", KINDS)
def test_all_damage_is_found_and_healed(kind: str, slice_: int) -> None:
    reads = list(READS)
    for number, (label, make) in enumerate(KINDS[kind]()):
        if number % 16 == slice_:
            judge(label, make(), reads[number // 16 % 3])


def test_duplicates_under_other_names_are_told_and_do_no_harm() -> None:
    for name in named():
        folder, _, own = name.rpartition("/")
        for other in (f"{folder}/{own[:2]}{'f' * 62}", f"{folder[:-2]}00/{'0' * 64}", f"{folder}/copy"):
            store = small().store({other: small().objects[name]})
            assert [fault.object for fault in verify_store(store).faults] == [other]
            assert not found_deep(store) and not read_or_refused(store, "fetch")
            found = repair(store, Origins(stores={"copy": small().store()}, expected=small().expected))
            assert (found.unneeded, found.healed, found.missing) == ([other], {}, [])
            assert store.medium.get(other) == small().objects[name]


def heal_with_files(changes: Iterable[tuple[str, Change]], folder: Path) -> None:
    """Without another store: every version is whole afterwards, and a pack of which enough is left is as it was."""
    folders = [lay_out(folder / version, contents) for version, contents in VERSIONS.items()]
    for label, change in changes:
        store = small().store(change)
        found = repair(store, Origins(stores={}, folders=folders, expected=small().expected))
        assert found.missing == [], label
        assert not read_or_refused(store, "fetch") and not found_deep(store), label
        wrong = {fault.object for fault in verify_store(store).faults}
        assert wrong <= set(found.unneeded), label
        if "zeroed" in label:
            name = next(iter(change))
            footer = small().objects[name][-12:-8]
            whole_footer = int(label.split("sector at ")[1].split()[0]) + SECTOR_BYTES < len(
                small().objects[name]
            ) - 12 - int.from_bytes(footer, "little")
            if name.startswith(layout.PACKS) and whole_footer:
                assert store.medium.get(name) == small().objects[name], label


@pytest.mark.parametrize("kind", ["sectors", "cuts", "others", "swaps", "flips", "roots"])
def test_some_damage_is_healed_with_files(kind: str, tmp_path: Path) -> None:
    heal_with_files(sampled(KINDS[kind](), 8), tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["sectors", "others", "swaps"])
def test_all_damage_is_healed_with_files(kind: str, tmp_path: Path) -> None:
    heal_with_files(((label, make()) for label, make in KINDS[kind]()), tmp_path)


def test_parts_find_between_them_what_the_whole_finds() -> None:
    shares = [Share(part=Part(number=number, of=4)) for number in range(1, 5)]
    for label, change in [*sampled(sectors(), 15), *sampled(flips(), 15)]:
        store = small().store(change)
        assert any(verify_store(store, share=share).faults for share in shares), label
        whole = found_deep(store)
        assert any(found_deep(store, share) for share in shares) == whole, label
