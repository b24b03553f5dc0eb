"""Repair: whatever a copy still has comes back, byte for byte where that can be; the rest is named exactly."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.store import Died, Fault, FaultyMedium, MadeSource, key, lay_out, noise, reachable, text

from gitml.errors import InvalidInput, StoreUnavailable
from gitml.store.care.copies import Expected, Origins
from gitml.store.care.repack import plan_repack, repack
from gitml.store.care.repair import Repair, repair
from gitml.store.care.replicate import replicate
from gitml.store.care.verify import verify_store
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.cache import Cache, Kind
from gitml.store.media.cache_options import CacheOptions
from gitml.store.media.medium import Medium
from gitml.store.media.memory import MemoryMedium
from gitml.store.store import Claimed, Store

ONE = {
    "a": noise(300_000, 1),
    "b": b"small",
    "none": b"",
    "text": text(150_000, 2),
    **{f"d/{n}": b"%d" % n for n in range(30)},
}
TWO = ONE | {"a": ONE["a"][:100_000] + b"!" * 500 + ONE["a"][100_000:], "c": noise(20_000, 2)}
MANY = {f"d/{number:05}": b"%d" % number for number in range(9_000)}
VERSIONS = {"1": ONE, "2": TWO}
NOBODY = Origins(stores={})


def register(store: Store, contents: dict[str, bytes], version: str, *earlier: Root) -> Root:
    claimed = store.claim(key(version), store.write(MadeSource(contents), earlier=earlier))
    assert isinstance(claimed, Claimed)
    return claimed.root


def everything(medium: Medium) -> dict[str, bytes]:
    return {name: medium.get(name) for name, _ in medium.list("")}


def made() -> Store:
    store = Store(MemoryMedium())
    register(store, TWO, "2", register(store, ONE, "1"))
    return store


def copied(store: Store) -> Store:
    target = Store(MemoryMedium())
    for name, data in everything(store.medium).items():
        target.medium.put(name, [data])
    return target


def objects(store: Store, *prefixes: str) -> list[str]:
    kinds = prefixes or (layout.PACKS, layout.SEGMENTS, layout.MANIFESTS, layout.ROOTS)
    return sorted(name for name, _ in store.medium.list("") if name.startswith(kinds))


def flip(store: Store, name: str, at: int | None = None) -> None:
    data = bytearray(store.medium.get(name))
    data[len(data) // 3 if at is None else at] ^= 1
    store.medium.put(name, [data])


def expected(store: Store) -> list[Expected]:
    return [
        Expected(
            key=one,
            digest=root.tree,
            listing=root.listing,
            size_bytes=root.size_bytes,
            files=root.files,
            created=root.created,
        )
        for one, root in store.all_roots()
    ]


def check(store: Store) -> None:
    for version, contents in VERSIONS.items():
        assert reachable(store.medium, key(version).name) == contents


def damages(data: bytes, other: bytes) -> Iterator[tuple[str, bytes | None]]:
    yield "flipped", data[:7] + bytes([data[7] ^ 2]) + data[8:]
    yield "cut", data[: len(data) // 2]
    yield "emptied", b""
    yield "zeroed", bytes(len(data))
    yield "longer", data + b"garbage"
    yield "another's", other
    yield "lost", None


def test_a_sound_store_is_left_alone() -> None:
    store = made()
    counted = FaultyMedium(store.medium)
    before = everything(store.medium)
    found = repair(Store(counted), Origins(stores={"copy": copied(store)}, expected=expected(store)))
    assert found == Repair()
    assert everything(store.medium) == before
    assert not [verb for verb, _ in counted.log if verb.startswith(("put", "delete"))]


def test_every_object_comes_back_from_another_store() -> None:
    store = made()
    whole, copy = everything(store.medium), copied(store)
    names = objects(store)
    for number, name in enumerate(names):
        for how, data in damages(whole[name], whole[names[number - 1]]):
            if data is None:
                store.medium.delete(name)
            else:
                store.medium.put(name, [data])
            origins = Origins(stores={"copy": copy}, expected=expected(copy))
            planned = repair(store, origins, dry_run=True)
            found = repair(store, origins)
            if (
                how == "another's"
                and name.startswith(layout.ROOTS)
                and names[number - 1].startswith(layout.ROOTS)
            ):
                # It may be somebody's version: only people can say which of the two stays.
                assert [one.object for one in found.missing] == [name]
                store.medium.put(name, [whole[name]])
                continue
            assert everything(store.medium) == whole, (name, how)
            assert found.healed == planned.healed == {name: "copy"}
            assert found.missing == planned.missing == []


def test_all_at_once_comes_back_from_several_stores() -> None:
    store = made()
    whole = everything(store.medium)
    ones, others = copied(store), copied(store)
    for number, name in enumerate(objects(store)):
        store.medium.delete(name)
        (ones if number % 2 else others).medium.delete(name)
    promised = expected(made())
    origins = Origins(stores={"ones": ones, "others": others}, expected=promised)
    found = repair(store, origins)
    for _ in range(3):
        found = repair(store, origins)
    assert (found.missing, verify_store(store).faults) == ([], ())
    check(store)
    assert {name: data for name, data in everything(store.medium).items() if name in whole} == whole


def test_damage_in_a_copy_does_not_spread() -> None:
    store = made()
    name = objects(store, layout.PACKS)[0]
    copy = copied(store)
    flip(copy, name, 3)
    flip(store, name)
    before = everything(copy.medium)
    repair(store, Origins(stores={"copy": copy}))
    assert everything(copy.medium) == before
    assert store.medium.get(name) != copy.medium.get(name)


def test_two_damaged_copies_make_a_whole_one() -> None:
    store, whole = made(), everything(made().medium)
    for name in objects(store, layout.PACKS):
        whole[name] = store.medium.get(name)
        copy = copied(store)
        flip(store, name, 3)
        flip(copy, name, len(whole[name]) - 9)
        found = repair(store, Origins(stores={"copy": copy}))
        assert store.medium.get(name) == whole[name]
        assert list(found.healed) == [name]


def test_the_cache_gives_packs_and_lists(tmp_path: Path) -> None:
    store = made()
    cache = Cache(CacheOptions(path=tmp_path / "cache"))
    kinds = {layout.PACKS: Kind.PACK, layout.MANIFESTS: Kind.MANIFEST, layout.SEGMENTS: Kind.SEGMENT}
    whole = everything(store.medium)
    for prefix, kind in kinds.items():
        for name in objects(store, prefix):
            cache.keep(kind, layout.id_of(name), [whole[name]])
            store.medium.delete(name)
    found = repair(Store(store.medium, cache=cache), NOBODY)
    assert everything(store.medium) == whole
    assert set(found.healed.values()) == {"the cache"}


@pytest.mark.parametrize("how", ["flipped", "lost with its table of contents cached"])
def test_files_make_a_pack_whole_again_byte_for_byte(how: str, tmp_path: Path) -> None:
    lay_out(tmp_path / "one", ONE)
    lay_out(tmp_path / "two", TWO)
    for name in objects(made(), layout.PACKS):
        store = made()
        name = next(one for one in objects(store, layout.PACKS) if one == name)
        whole = store.medium.get(name)
        cache = Cache(CacheOptions(path=tmp_path / "cache"))
        if how == "flipped":
            for at in range(0, len(whole) - 4000, 30_000):
                flip(store, name, at)
        else:
            root = store.root(key("1"))
            assert root is not None
            length = int.from_bytes(whole[-12:-8], "little")
            cache.keep(Kind.FOOTER, layout.id_of(name), [whole[-12 - length : -12]])
            store.medium.delete(name)
        found = repair(
            Store(store.medium, cache=cache), Origins(stores={}, folders=[tmp_path / "one", tmp_path / "two"])
        )
        assert store.medium.get(name) == whole
        assert list(found.healed) == [name] and found.versions == [] and found.missing == []


def test_a_pack_that_is_gone_is_made_up_for_in_another_layout(tmp_path: Path) -> None:
    lay_out(tmp_path / "one", ONE)
    lay_out(tmp_path / "two", TWO)
    for name in objects(made(), layout.PACKS):
        store = made()
        store.medium.delete(name)
        left = everything(store.medium)
        planned = repair(store, Origins(stores={}, folders=[tmp_path]), dry_run=True)
        assert (planned.missing, list(planned.healed)) == ([], [name])
        assert everything(store.medium) == left
        found = repair(store, Origins(stores={}, folders=[tmp_path]))
        assert (found.missing, found.unneeded) == ([], [])
        assert found.versions or found.healed
        check(store)
        assert verify_store(store).faults == ()
        assert repair(store, NOBODY) == Repair()


def test_another_layout_of_another_store_serves() -> None:
    store = made()
    copy = copied(store)
    repack(copy, plan_repack(copy))
    for name in objects(copy, layout.PACKS):
        if name in objects(store):
            copy.medium.delete(name)
    for name in objects(store, layout.PACKS):
        store.medium.delete(name)
    found = repair(store, Origins(stores={"copy": copy}))
    assert found.missing == [] and len(found.versions) == 2
    check(store)
    assert verify_store(store).faults == ()


def test_a_version_without_its_list_comes_back_from_where_it_is_placed(tmp_path: Path) -> None:
    store = made()
    lay_out(tmp_path / "wrong", ONE | {"b": b"other"})
    lay_out(tmp_path / "one", ONE | {"asset.yaml": b"schema: gitml/asset/v1\n"})
    whole = everything(store.medium)
    root = store.root(key("1"))
    assert root is not None
    for name in (layout.manifest_name(root.manifest), *objects(store, layout.PACKS)):
        store.medium.delete(name)
    left = everything(store.medium)
    planned = repair(store, Origins(stores={}, folders=[tmp_path / "wrong", tmp_path / "one"]), dry_run=True)
    assert planned.healed == {layout.manifest_name(root.manifest): str(tmp_path / "one")}
    assert {one.ref for one in planned.missing} == {"models/digits@2"}
    assert everything(store.medium) == left
    found = repair(store, Origins(stores={}, folders=[tmp_path / "wrong", tmp_path / "one"]))
    assert reachable(store.medium, key("1").name) == ONE
    assert store.medium.get(layout.manifest_name(root.manifest)) == whole[layout.manifest_name(root.manifest)]
    assert {one.ref for one in found.missing} == {"models/digits@2"}
    assert repair(store, Origins(stores={}, folders=[lay_out(tmp_path / "two", TWO)])).missing == []
    check(store)


def test_a_lost_root_is_known_by_its_pointer(tmp_path: Path) -> None:
    promised = expected(made())
    lay_out(tmp_path / "one", ONE)
    lay_out(tmp_path / "two", TWO)
    folders = [tmp_path / "one", tmp_path / "two"]
    store = made()
    promised = expected(store)
    before = everything(store.medium)
    store.medium.delete(key("1").name)
    found = repair(store, Origins(stores={}, expected=promised))
    assert list(found.healed) == [key("1").name]
    assert everything(store.medium) == before
    for name in objects(store):
        store.medium.delete(name)
    lost = repair(store, Origins(stores={}, expected=promised))
    assert {(one.ref, one.path, one.end) for one in lost.missing} == {
        (str(one.key.id), None, one.size_bytes) for one in promised
    }
    planned = repair(store, Origins(stores={}, folders=folders, expected=promised), dry_run=True)
    assert planned.missing == [] and set(planned.healed) == {one.key.name for one in promised}
    assert objects(store) == []
    found = repair(store, Origins(stores={}, folders=folders, expected=promised))
    assert found.missing == []
    check(store)


def test_what_was_purged_does_not_come_back() -> None:
    store = made()
    promised = expected(store)
    copy = copied(store)
    store.medium.put(layout.purged_name(promised[0].digest.hex), [b""])
    store.medium.delete(key("1").name)
    found = repair(store, Origins(stores={"copy": copy}, expected=promised))
    assert found == Repair()
    assert store.root(key("1")) is None


def test_what_is_lost_is_named_to_the_byte() -> None:
    contents = {"big": noise(900_000, 3), "small": b"s" * 500}
    store = Store(MemoryMedium())
    register(store, contents, "1")
    (pack,) = objects(store, layout.PACKS)
    whole = store.medium.get(pack)
    start = whole.index(contents["big"][:64])
    at = start + 400_000
    flip(store, pack, at)
    found = repair(store, NOBODY)
    (one,) = found.missing
    assert (one.ref, one.object, one.path) == ("models/digits@1", pack, "big")
    assert one.start <= 400_000 < one.end and one.end - one.start <= 262_144
    assert reachable_ranges(store, one.start, one.end, contents["big"])
    store.medium.delete(pack)
    lost = repair(store, NOBODY).missing
    assert {(one.path, one.start) for one in lost} == {("big", 0), ("small", 0)}
    assert {one.path: one.end for one in lost}["small"] == 500


def reachable_ranges(store: Store, start: int, end: int, contents: bytes) -> bool:
    """Whether a file can be read outside of a range."""
    root = store.root(key("1"))
    assert root is not None
    with store.tree(root).open("big") as handle:
        before = handle.read(start)
        handle.seek(end)
        return bool(before == contents[:start] and handle.read(len(contents)) == contents[end:])


def test_what_can_be_had_moves_away_from_what_is_lost(tmp_path: Path) -> None:
    store = made()
    name = max(objects(store, layout.PACKS), key=lambda one: len(store.medium.get(one)))
    store.medium.delete(name)
    lay_out(tmp_path / "some", {"a": ONE["a"]})
    found = repair(store, Origins(stores={}, folders=[tmp_path]))
    lost = {one.path for one in found.missing}
    assert "a" not in lost and "text" in lost
    for version in VERSIONS:
        root = store.root(key(version))
        assert root is not None
        with store.tree(root).open("a") as handle:
            assert handle.read() == VERSIONS[version]["a"]


def test_damage_that_no_version_needs_is_told_and_left() -> None:
    store = made()
    store.write(MadeSource({"left": noise(9_000, 9)}))
    garbage = set(objects(store)) - set(objects(made()))
    name = next(name for name in garbage if name.startswith(layout.PACKS))
    flip(store, name)
    before = everything(store.medium)
    found = repair(store, NOBODY)
    assert (found.unneeded, found.missing, found.healed) == ([name], [], {})
    assert everything(store.medium) == before


def test_a_file_that_changes_under_the_hands_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gitml.store.care import survivors

    store = made()
    lay_out(tmp_path / "two", TWO)
    name = objects(store, layout.PACKS)[0]
    store.medium.delete(name)
    cut = survivors._cut
    files = [path for path in (tmp_path / "two").rglob("*") if path.is_file()]

    def cut_and_change(copy: survivors.Copy, size_bytes: int) -> object:
        found = cut(copy, size_bytes)
        while files:
            path = files.pop()
            path.write_bytes(b"?" * path.stat().st_size)
        return found

    monkeypatch.setattr(survivors, "_cut", cut_and_change)
    found = repair(store, Origins(stores={}, folders=[tmp_path]))
    assert found.missing
    before = everything(store.medium)
    for one, data in before.items():
        if one.startswith(layout.PACKS):
            assert b"????????????????" not in data


def test_links_are_not_followed(tmp_path: Path) -> None:
    store = made()
    outside = lay_out(tmp_path / "outside", TWO)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "a").symlink_to(outside / "a")
    store.medium.delete(objects(store, layout.PACKS)[0])
    assert repair(store, Origins(stores={}, folders=[inside])).missing
    shutil.rmtree(outside)


def test_a_store_of_a_newer_format_is_left_alone() -> None:
    store = made()
    store.medium.put(layout.MARKER, [b'{"schema": "gitml/store/v2", "format": 2}'])
    flip(store, key("1").name)
    before = everything(store.medium)
    with pytest.raises(InvalidInput, match="needs GitML"):
        repair(store, Origins(stores={"copy": copied(made())}))
    assert everything(store.medium) == before


def spoiled() -> tuple[Store, dict[str, bytes]]:
    """A store with one object of each kind wrong."""
    store = Store(MemoryMedium())
    register(store, TWO, "2", register(store, ONE, "1"))
    register(store, MANY, "3")
    whole = everything(store.medium)
    for prefix in (layout.PACKS, layout.SEGMENTS, layout.MANIFESTS):
        for number, name in enumerate(objects(store, prefix)[:2]):
            if number:
                store.medium.delete(name)
            else:
                flip(store, name)
    return store, whole


@pytest.mark.parametrize("error", [Died, lambda: StoreUnavailable("gone")])
def test_stopped_at_any_call_it_goes_on_and_nothing_is_worse(error: Callable[[], BaseException]) -> None:
    store, whole = spoiled()
    copy = Store(MemoryMedium())
    for name, data in whole.items():
        copy.medium.put(name, [data])
    before = everything(store.medium)
    counting = FaultyMedium(MemoryMedium())
    for name, data in before.items():
        counting.medium.put(name, [data])
    repair(Store(counting), Origins(stores={"copy": copy}))
    for call in range(1, counting.calls + 1, 17):
        medium = MemoryMedium()
        for name, data in before.items():
            medium.put(name, [data])
        faulty = FaultyMedium(medium, Fault(call=call, sticky=True, error=error))
        with pytest.raises((Died, StoreUnavailable)):
            repair(Store(faulty), Origins(stores={"copy": copy}))
        for name, data in before.items():
            assert medium.get(name) in (data, whole[name]), name
        assert repair(Store(medium), Origins(stores={"copy": copy})).missing == []
        assert everything(medium) == whole


def test_replicated_stores_heal_each_other() -> None:
    store, whole = spoiled()
    copy = Store(MemoryMedium())
    for name, data in whole.items():
        copy.medium.put(name, [data])
    for name in objects(copy, layout.PACKS)[2:]:
        copy.medium.delete(name)
    assert repair(store, Origins(stores={"copy": copy})).missing == []
    assert repair(copy, Origins(stores={"store": store})).missing == []
    assert everything(copy.medium) == everything(store.medium) == whole
    assert replicate(store, copy, deep=True).objects == 0
