"""Collecting garbage: what goes, when, what stays, and that what is in a run's way does not matter."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.store import Died, Fault, FaultyMedium, MadeSource, key, noise, reachable

from gitml.errors import IntegrityError, StoreUnavailable
from gitml.store.care.condemned import read_runs
from gitml.store.care.garbage import DAY_S, GRACE_S, RUN_KEPT_S, Collected, collect_garbage
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.folder import FolderMedium
from gitml.store.media.memory import MemoryMedium
from gitml.store.media.objects import condemned_names
from gitml.store.store import Claimed, Store

NOW_S = 1_800_000_000.0
ONE = {"a": noise(3000, 1), "b/c": noise(90_000, 2)}
TWO = {"a": noise(3000, 1), "d": noise(5000, 3)}


def register(store: Store, contents: dict[str, bytes], version: str, *earlier: Root) -> Root:
    claimed = store.claim(key(version), store.write(MadeSource(contents), earlier=earlier))
    assert isinstance(claimed, Claimed)
    return claimed.root


def gc(store: Store, days: float = 0, *, dry_run: bool = False) -> Collected:
    return collect_garbage(store, dry_run=dry_run, clock=lambda: NOW_S + days * DAY_S)


def names(medium: MemoryMedium, *prefixes: str) -> set[str]:
    return {name for name, _ in medium.list("") if name.startswith(prefixes)}


def data(medium: MemoryMedium) -> set[str]:
    return names(medium, layout.PACKS, layout.SEGMENTS, layout.MANIFESTS)


@pytest.fixture
def medium() -> MemoryMedium:
    return MemoryMedium()


@pytest.fixture
def store(medium: MemoryMedium) -> Store:
    return Store(medium)


def test_nothing_is_garbage(store: Store, medium: MemoryMedium) -> None:
    register(store, TWO, "2", register(store, ONE, "1"))
    before = names(medium, "")
    found = gc(store)
    assert (found.condemned, found.waiting, found.deleted, found.runs) == ((), (), (), ())
    assert found.objects == len(data(medium))
    assert set(found.roots) == {key("1").name, key("2").name}
    assert names(medium, "") == before, "a run that finds nothing leaves nothing"


def test_the_life_of_garbage(store: Store, medium: MemoryMedium) -> None:
    first = register(store, ONE, "1")
    only = data(medium)
    register(store, TWO, "2", first)
    medium.delete(key("1").name)
    dead = only - {name for name in only if name.startswith(layout.PACKS)}
    assert dead, "its manifest; its pack serves version 2 too"

    found = gc(store)
    assert {one.object for one in found.condemned} == dead
    assert condemned_names(medium) == dead
    assert found.deleted == ()

    found = gc(store, 13.9)
    assert {one.object for one in found.waiting} == dead
    assert [one.condemned_s for one in found.waiting] == [NOW_S]
    assert found.condemned == found.deleted == ()
    assert len(names(medium, layout.CONDEMNED)) == 1, "names that stand in a list are not written again"

    found = gc(store, 14)
    assert {one.object for one in found.deleted} == dead
    assert sum(one.size_bytes for one in found.deleted) > 0
    assert not dead & data(medium)
    assert reachable(medium, key("2").name) == TWO
    assert len(names(medium, layout.CONDEMNED)) == 2, "their names outlive them"

    assert gc(store, 14 + 13).runs == ()
    (first_list,) = gc(store, 28).runs
    assert condemned_names(medium) == dead, "the list that was written when they went stays as long again"
    (second_list,) = gc(store, 14 + 28).runs
    assert first_list < second_list
    assert names(medium, layout.CONDEMNED) == set()


def test_a_dry_run_says_the_same_and_does_nothing(store: Store, medium: MemoryMedium) -> None:
    register(store, ONE, "1")
    register(store, TWO, "2")
    medium.delete(key("1").name)
    for days in (0, 14, 60):
        before = names(medium, "")
        planned = gc(store, days, dry_run=True)
        assert names(medium, "") == before
        assert gc(store, days) == planned


def test_what_lives_again_is_not_deleted(store: Store, medium: MemoryMedium) -> None:
    root = register(store, ONE, "1")
    saved = medium.get(key("1").name)
    medium.delete(key("1").name)
    gc(store)
    medium.put(key("1").name, [saved])
    assert gc(store, 20).deleted == ()
    assert store.missing(root) == []


def test_registered_again_it_gets_names_of_its_own(store: Store, medium: MemoryMedium) -> None:
    old = register(store, ONE, "1")
    medium.delete(key("1").name)
    gc(store)
    condemned = data(medium)
    new = register(store, ONE, "1")
    assert new.tree == old.tree
    gc(store, 15)
    assert not condemned & data(medium)
    assert reachable(medium, key("1").name) == ONE


def test_roots_of_every_registry_count(store: Store, medium: MemoryMedium) -> None:
    other = key("1", registry="00000000-0000-4000-8000-00000000000f")
    store.claim(other, store.write(MadeSource(ONE)))
    gc(store)
    gc(store, 15)
    assert reachable(medium, other.name) == ONE


def test_temporary_files_of_killed_writers_go(tmp_path: Path) -> None:
    store = Store(FolderMedium(tmp_path))
    register(store, ONE, "1")
    left = tmp_path / "packs" / "ab" / ".tmp-0123456789abcdef"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half a pack")
    outside = tmp_path / "packs" / "ab" / ".hidden"
    outside.write_bytes(b"not ours")
    assert [(one.object, one.size_bytes) for one in gc(store).condemned] == [
        ("packs/ab/.tmp-0123456789abcdef", 11)
    ]
    gc(store, 13)
    assert left.exists()
    gc(store, 14)
    assert not left.exists()
    assert outside.exists()
    assert reachable(store.medium, key("1").name) == ONE


@pytest.mark.parametrize("lost", [layout.MANIFESTS, layout.SEGMENTS])
def test_a_hole_stops_it(store: Store, medium: MemoryMedium, lost: str) -> None:
    register(store, {f"f/{number:05}": b"%d" % number for number in range(9000)}, "1")
    register(store, TWO, "2")
    medium.delete(key("2").name)
    gc(store)
    holes = names(medium, lost) - condemned_names(medium)
    assert holes
    for name in holes:
        medium.delete(name)
    before = names(medium, "")
    with pytest.raises(IntegrityError, match="what it keeps alive is not known"):
        gc(store, 20)
    assert names(medium, "") == before


def test_a_damaged_root_stops_it(store: Store, medium: MemoryMedium) -> None:
    register(store, ONE, "1")
    medium.put(key("1").name, [b"{}"])
    before = names(medium, "")
    with pytest.raises(IntegrityError):
        gc(store)
    assert names(medium, "") == before


def test_a_list_with_a_strange_name_is_never_old(store: Store, medium: MemoryMedium) -> None:
    register(store, ONE, "1")
    medium.delete(key("1").name)
    dead = sorted(data(medium))
    medium.put(f"{layout.CONDEMNED}mine", ["\n".join(dead).encode()])
    found = gc(store)
    assert {one.object for one in found.waiting} == set(dead)
    assert [run.written_s for run in read_runs(medium)] == [None]


def test_a_clock_that_went_back_deletes_nothing(store: Store, medium: MemoryMedium) -> None:
    register(store, ONE, "1")
    medium.delete(key("1").name)
    gc(store)
    found = gc(store, -400)
    assert found.deleted == found.runs == ()
    assert found.waiting != ()


def test_killed_at_any_call_it_is_simply_run_again(medium: MemoryMedium) -> None:
    def prepared() -> tuple[MemoryMedium, FaultyMedium]:
        medium = MemoryMedium()
        store = Store(medium)
        register(store, ONE, "1")
        medium.delete(key("1").name)
        register(store, {"x": noise(9000, 9)}, "2")
        gc(store)
        return medium, FaultyMedium(medium)

    medium, counting = prepared()
    collect_garbage(Store(counting), clock=lambda: NOW_S + GRACE_S)
    clean = data(medium)
    assert counting.calls > 8
    for error in (lambda: Died(), lambda: StoreUnavailable("gone")):
        for call in range(1, counting.calls + 1):
            medium, faulty = prepared()
            faulty.fault = Fault(call=call, sticky=True, error=error)
            with pytest.raises((Died, StoreUnavailable)):
                collect_garbage(Store(faulty), clock=lambda: NOW_S + GRACE_S)
            assert reachable(medium, key("2").name) == {"x": noise(9000, 9)}
            gc(Store(medium), 14)
            assert data(medium) == clean
            gc(Store(medium), 14 + RUN_KEPT_S / DAY_S)
            assert names(medium, layout.CONDEMNED) == set()
