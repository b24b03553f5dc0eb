"""Replicating: the other store has every version afterwards, and what it had lost is there again, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.store import Died, Fault, FaultyMedium, MadeSource, key, noise, reachable

from gitml.errors import Conflict, IntegrityError, InvalidInput, NotFound, PolicyRefused, StoreUnavailable
from gitml.store.care.purge import plan_purge, purge
from gitml.store.care.repack import plan_repack, repack
from gitml.store.care.replicate import Replication, replicate
from gitml.store.care.verify import verify_store
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.folder import FolderMedium
from gitml.store.media.medium import Medium
from gitml.store.media.memory import MemoryMedium
from gitml.store.store import Claimed, Store

ONE = {"a": noise(300_000, 1), "b": b"small", "none": b""}
TWO = ONE | {"c": noise(90_000, 2)}
MANY = {f"d/{number:05}": b"%d" % number for number in range(9_000)}
OTHER = key("1", registry="00000000-0000-4000-8000-00000000000f")


def register(store: Store, contents: dict[str, bytes], version: str, *earlier: Root) -> Root:
    claimed = store.claim(key(version), store.write(MadeSource(contents), earlier=earlier))
    assert isinstance(claimed, Claimed)
    return claimed.root


def everything(medium: Medium) -> dict[str, bytes]:
    return {name: medium.get(name) for name, _ in medium.list("")}


@pytest.fixture
def source() -> Store:
    store = Store(MemoryMedium())
    register(store, TWO, "2", register(store, ONE, "1"))
    register(store, MANY, "3")
    store.claim(OTHER, store.write(MadeSource({"x": b"of another registry"})))
    return store


def check(target: Store) -> None:
    assert reachable(target.medium, key("1").name) == ONE
    assert reachable(target.medium, key("2").name) == TWO
    assert reachable(target.medium, key("3").name) == MANY
    assert reachable(target.medium, OTHER.name) == {"x": b"of another registry"}
    assert verify_store(target).faults == ()


@pytest.mark.parametrize("made", [lambda path: MemoryMedium(), FolderMedium])
def test_a_new_store_becomes_equal(source: Store, made: Callable[[Path], Medium], tmp_path: Path) -> None:
    target = Store(made(tmp_path / "copy"))
    planned = replicate(source, target, dry_run=True)
    assert everything(target.medium) == {}
    found = replicate(source, target)
    assert set(found.versions) == set(planned.versions) == {key("1"), key("2"), key("3"), OTHER}
    assert (found.objects, found.copied_bytes) == (planned.objects, planned.copied_bytes)
    assert (found.failed, found.healed, found.unhealed) == ({}, [], [])
    assert everything(target.medium) == everything(source.medium)
    check(target)


def test_again_nothing_is_copied(source: Store) -> None:
    target = Store(MemoryMedium())
    replicate(source, target)
    assert replicate(source, target) == Replication(present=4)
    register(source, {"new": b"version"}, "4")
    found = replicate(source, target)
    assert (found.versions, found.present, found.objects) == ([key("4")], 4, 2)


def test_garbage_stays_behind(source: Store) -> None:
    source.write(MadeSource({"left": noise(9_000, 9)}))
    target = Store(MemoryMedium())
    replicate(source, target)
    assert len(everything(target.medium)) == len(everything(source.medium)) - 2


def test_another_tree_is_left_alone_and_told(source: Store) -> None:
    target = Store(MemoryMedium())
    mine = register(target, {"mine": b"!"}, "2")
    found = replicate(source, target)
    assert list(found.failed) == [key("2")]
    assert isinstance(found.failed[key("2")], Conflict)
    assert target.root(key("2")) == mine
    assert len(found.versions) == 3


def test_what_was_purged_there_stays_out(source: Store) -> None:
    target = Store(MemoryMedium())
    register(target, MANY, "3")
    purge(target, plan_purge(target, key("3")))
    found = replicate(source, target)
    assert isinstance(found.failed[key("3")], PolicyRefused)
    packs = {name for name, _ in target.medium.list(layout.PACKS)}
    assert not any(b"8999" in target.medium.get(name) for name in packs)


def test_another_layout_that_is_whole_is_kept(source: Store) -> None:
    target = Store(MemoryMedium())
    replicate(source, target)
    repack(target, plan_repack(target))
    before = target.root(key("2"))
    assert before != source.root(key("2"))
    assert replicate(source, target).present == 4
    assert target.root(key("2")) == before


def test_a_damaged_object_of_another_layout_gives_way(source: Store) -> None:
    target = Store(MemoryMedium())
    replicate(source, target)
    repack(target, plan_repack(target))
    for name, _ in list(target.medium.list(layout.PACKS)):
        if source.medium.head(name) is None:
            target.medium.delete(name)
    found = replicate(source, target)
    assert len(found.versions) == 4 and found.unhealed == []
    check(target)


def test_what_is_condemned_there_gets_new_names(source: Store) -> None:
    target = Store(MemoryMedium())
    names = [name for name in everything(source.medium) if name.startswith((layout.PACKS, layout.MANIFESTS))]
    target.medium.put(f"{layout.CONDEMNED}20270101T000000Z-0", ["\n".join(names).encode()])
    replicate(source, target)
    check(target)
    root = target.root(key("1"))
    assert root is not None and layout.manifest_name(root.manifest) not in names


def test_damage_in_the_source_does_not_spread(source: Store) -> None:
    root = source.root(key("3"))
    assert root is not None
    name = layout.manifest_name(root.manifest)
    source.medium.put(name, [source.medium.get(name)[:-1] + b"?"])
    target = Store(MemoryMedium())
    found = replicate(source, target)
    assert isinstance(found.failed[key("3")], IntegrityError)
    assert target.root(key("3")) is None
    assert len(found.versions) == 3
    assert verify_store(target).faults == ()


@pytest.mark.parametrize("kind", [layout.PACKS, layout.SEGMENTS, layout.MANIFESTS])
def test_no_damaged_object_is_copied(source: Store, kind: str) -> None:
    names = [name for name in everything(source.medium) if name.startswith(kind)]
    for name in names:
        whole = source.medium.get(name)
        source.medium.put(name, [whole[:9] + bytes([whole[9] ^ 1]) + whole[10:]])
        target = Store(MemoryMedium())
        found = replicate(source, target)
        assert found.failed and target.medium.head(name) is None
        assert all(target.root(one) is None for one in found.failed)
        assert verify_store(target).faults == ()
        source.medium.put(name, [whole])
    assert names


KINDS = (layout.PACKS, layout.SEGMENTS, layout.MANIFESTS, layout.ROOTS)


@pytest.mark.parametrize("how", ["flipped", "cut", "lost", "emptied", "swapped"])
def test_every_object_heals(source: Store, how: str) -> None:
    target = Store(MemoryMedium())
    replicate(source, target)
    whole = everything(target.medium)
    names = [name for name in whole if name.startswith(KINDS)]
    for number, name in enumerate(names):
        data = bytearray(whole[name])
        if how == "lost":
            target.medium.delete(name)
        elif how == "flipped":
            data[len(data) * number // len(names)] ^= 0x20
            target.medium.put(name, [data])
        elif how == "cut":
            target.medium.put(name, [data[: len(data) // 2]])
        elif how == "emptied":
            target.medium.put(name, [])
        else:
            target.medium.put(name, [whole[names[number - 1]]])
        found = replicate(source, target, deep=True)
        if found.failed:
            # A root that names another version's tree says nothing wrong of itself.
            assert how == "swapped" and name.startswith(layout.ROOTS)
            target.medium.put(name, [whole[name]])
        assert everything(target.medium) == whole, name
        assert found.healed == [name] or name.startswith(layout.ROOTS)
        assert found.unhealed == []


def test_all_at_once_heals(source: Store) -> None:
    target = Store(MemoryMedium())
    replicate(source, target)
    whole = everything(target.medium)
    for name in whole:
        if name.startswith((layout.PACKS, layout.SEGMENTS)):
            target.medium.delete(name)
        elif name.startswith(layout.MANIFESTS):
            target.medium.put(name, [b"?" * len(whole[name])])
    replicate(source, target)
    assert everything(target.medium) == whole


def test_what_nobody_has_is_named(source: Store) -> None:
    target = Store(MemoryMedium())
    only = register(target, {"only": noise(9_000, 44)}, "9")
    name = layout.manifest_name(only.manifest)
    target.medium.put(name, [b"?"])
    found = replicate(source, target, deep=True)
    assert found.unhealed == [name]
    assert len(found.versions) == 4


def test_stores_of_other_formats_and_no_stores_are_refused(source: Store) -> None:
    target = MemoryMedium()
    target.put(layout.MARKER, [b'{"schema": "gitml/store/v9", "format": 9}'])
    with pytest.raises(InvalidInput):
        replicate(source, Store(target))
    with pytest.raises(NotFound, match="is no GitML store"):
        replicate(Store(MemoryMedium()), Store(MemoryMedium()))


def test_killed_at_any_call_it_goes_on(source: Store) -> None:
    counting = FaultyMedium(MemoryMedium())
    replicate(source, Store(counting))
    for error in (lambda: Died(), lambda: StoreUnavailable("gone")):
        for call in range(1, counting.calls + 1, 5):
            medium = MemoryMedium()
            with pytest.raises((Died, StoreUnavailable)):
                replicate(source, Store(FaultyMedium(medium, Fault(call=call, sticky=True, error=error))))
            for name, _ in medium.list(layout.ROOTS):
                assert reachable(medium, name)
            arrived = {name for name in everything(medium) if name.startswith(layout.PACKS)}
            found = replicate(source, Store(medium))
            assert found.objects <= 10 - len(arrived)
            check(Store(medium))
