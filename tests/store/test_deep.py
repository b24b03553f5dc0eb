"""Deep verification: each pack is read once, by any number of trees; parts and limited times cover everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from support.crafted import Crafted, sha
from support.store import FaultyMedium, MadeSource, key, noise, text

from gitml.model.portion import Part
from gitml.store.care.coverage import Coverage
from gitml.store.care.faults import Share
from gitml.store.care.verify import Tree, verify_store, verify_trees
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.memory import MemoryMedium
from gitml.store.store import Claimed, Store

MIB = 1 << 20
BIG = noise(3 * MIB, 5)
VERSIONS = [
    {"big": BIG, "text": text(200_000, 1), "none": b"", **{f"d/{n}": noise(900, n) for n in range(40)}},
    {"big": BIG[:MIB] + b"inserted" * 900 + BIG[MIB:], "text": text(200_000, 1)},
    {"big": BIG[: 2 * MIB] + b"other" * 900 + BIG[2 * MIB :] + noise(90_000, 9), "more": noise(300_000, 4)},
]


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitml.store.write.packing.PACK_BYTES", 256 * 1024)


@pytest.fixture
def store(small_packs: None) -> Store:
    """Three versions that share most of a file, which lies in a dozen packs."""
    made = Store(MemoryMedium())
    roots: list[Root] = []
    for number, contents in enumerate(VERSIONS):
        claimed = made.claim(key(str(number + 1)), made.write(MadeSource(contents), earlier=roots[::-1]))
        assert isinstance(claimed, Claimed)
        roots.append(claimed.root)
    return made


def trees(store: Store) -> list[Tree]:
    return [Tree(root=root, label=str(key.id)) for key, root in store.all_roots()]


def packs(store: Store) -> dict[str, int]:
    return dict(store.medium.list(layout.PACKS))


def read(store: Store, share: Share | None = None) -> Counter[str]:
    """Verify a sound store deeply; how often each pack was asked for."""
    counted = FaultyMedium(store.medium)
    assert verify_trees(Store(counted), trees(store), deep=True, share=share).faults == []
    return Counter(name for _, name in counted.log if name.startswith(layout.PACKS))


def ticking(steps: int) -> Iterator[float]:
    """A time that is over after so many looks at the clock."""
    yield from (0.0 for _ in range(steps))
    yield from (float("inf") for _ in count())


def limited(path: Path, steps: int, part: Part | None = None) -> Share:
    clock = ticking(steps)
    return Share(part=part, until_s=1, coverage=Coverage(path), clock=lambda: next(clock))


def damage(store: Store, name: str, at: int = 20) -> None:
    data = bytearray(store.medium.get(name))
    data[at] ^= 4
    store.medium.put(name, [data])


def test_each_pack_is_read_once_whoever_shares_it(store: Store) -> None:
    asked = read(store)
    assert set(asked) == set(packs(store)) and len(asked) > 10
    assert set(asked.values()) == {1}


def test_packs_that_files_come_back_to_are_read_again_rather_than_kept_without_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitml.store.care.scattered._KEPT_BYTES", 0)
    asked = read(store)
    assert set(asked) == set(packs(store))
    assert max(asked.values()) > 1


@pytest.mark.parametrize("kept_bytes", [0, 32 << 20])
def test_files_whose_chunks_are_in_another_order_are_found(
    kept_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitml.store.care.scattered._KEPT_BYTES", kept_bytes)
    crafted = Crafted()
    one, two = crafted.pack([b"aa", b"bb"]), crafted.pack([b"cc", b"dd"])
    orders = {
        "right": ([(0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1)], b"aaccbbdd"),
        "swapped": ([(1, 0, 1), (0, 0, 1), (0, 1, 1), (1, 1, 1)], b"aaccbbdd"),
        "too short": ([(0, 0, 1), (1, 0, 1)], b"aaccbbdd"),
        "too long": ([(0, 0, 2), (1, 0, 2)], b"aabbcc"),
        "outside": ([(0, 0, 2), (1, 0, 3)], b"aabbccdd"),
        "again and again": ([(0, 0, 1), (1, 0, 1)] * 50, b"aacc" * 50),
        "nothing": ([], b"x"),
    }
    for case, (runs, contents) in orders.items():
        root = crafted.tree([[("f", len(contents), sha(contents), runs)]], [one, two])
        found = verify_trees(Store(crafted.medium), [Tree(root=root, label="models/a@1")], deep=True)
        assert bool(found.faults) == (case not in {"right", "again and again"}), case
        assert all((fault.path, fault.label) == ("f", "models/a@1") for fault in found.faults), case


def test_every_version_that_needs_a_damaged_pack_is_named(store: Store) -> None:
    first = min(packs(store), key=lambda name: store.medium.get(name) != b"" and name)
    damage(store, first)
    told = {fault.label for fault in verify_trees(store, trees(store), deep=True).faults}
    one_by_one = {tree.label for tree in trees(store) if verify_trees(store, [tree], deep=True).faults}
    assert told == one_by_one != set()


def test_all_parts_read_each_pack_once(store: Store) -> None:
    for of in (1, 2, 7):
        shares = [Share(part=Part(number=number, of=of)) for number in range(1, of + 1)]
        together: Counter[str] = Counter()
        for share in shares:
            together += read(store, share)
        assert set(together) == set(packs(store))
        assert set(together.values()) == {1}
        found = [verify_trees(store, trees(store), deep=True, share=share) for share in shares]
        assert sum(one.read_bytes for one in found) == sum(packs(store).values())
        assert all(one.is_complete for one in found)


def test_all_parts_find_every_damage(store: Store) -> None:
    """What a part does not read is found by another; of a store, and of its trees."""
    for name in sorted(packs(store)):
        whole = store.medium.get(name)
        damage(store, name, at=len(whole) // 2)
        shares = [Share(part=Part(number=number, of=5)) for number in range(1, 6)]
        told = [bool(verify_trees(store, trees(store), deep=True, share=share).faults) for share in shares]
        assert sum(told) == 1, name
        stored = [bool(verify_store(store, share=share).faults) for share in shares]
        assert stored == told
        store.medium.put(name, [whole])


def test_limited_runs_go_on_where_the_last_one_stopped(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "verified" / "state"
    together: Counter[str] = Counter()
    covered = 0
    for _ in range(100):
        found = verify_trees(store, trees(store), deep=True, share=limited(path, 3))
        assert found.faults == [] and found.covered_bytes == covered + found.read_bytes
        covered = found.covered_bytes
        if found.is_complete:
            break
    assert found.total_bytes == covered == sum(packs(store).values())
    assert not path.exists(), "the next run begins anew"
    for _ in range(3):
        together += read(store, limited(path, 4))
    assert set(together.values()) == {1} and len(together) == 12


def test_limited_runs_of_a_store(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "state"
    together: Counter[str] = Counter()
    for _ in range(100):
        counted = FaultyMedium(store.medium)
        report = verify_store(Store(counted), share=limited(path, 4))
        together += Counter(name for verb, name in counted.log if verb == "get")
        assert report.faults == ()
        if report.is_complete:
            break
    names = {name for name, _ in store.medium.list("") if not name.startswith("gitml")}
    assert report.covered_bytes == report.total_bytes == sum(len(store.medium.get(name)) for name in names)
    assert set(together) == names
    assert {together[name] for name in packs(store)} == {1}
    assert not path.exists()


@pytest.mark.parametrize("what", ["trees", "store"])
def test_damage_stays_reported_until_it_is_healed(store: Store, tmp_path: Path, what: str) -> None:
    path = tmp_path / "state"

    def faults(steps: int) -> set[str]:
        share = limited(path, steps)
        if what == "store":
            return {fault.object for fault in verify_store(store, share=share).faults}
        return {fault.object for fault in verify_trees(store, trees(store), deep=True, share=share).faults}

    name = sorted(packs(store))[3]
    whole = store.medium.get(name)
    damage(store, name)
    assert faults(1000) == {name}
    for steps in (0, 1, 2, 3, 1000, 0):
        assert faults(steps) == {name}, steps
    store.medium.delete(name)
    assert faults(0) == {name}
    assert faults(1000) == {name}
    store.medium.put(name, [whole])
    assert faults(1000) == set()
    assert faults(0) == set()


def test_a_part_of_a_record_that_is_torn_or_wrong_only_costs_time(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "state"
    verify_trees(store, trees(store), deep=True, share=limited(path, 6))
    good = path.read_bytes()
    assert good.count(b"read ") == 6
    name = sorted(packs(store))[0]
    damage(store, name)
    for bad in (
        b"",
        good[:-5],
        good[7:],
        b"\0" * 99,
        good.upper(),
        b"read " + b"0" * 32,
        good + b"\xff\xfe" * 9,
    ):
        path.write_bytes(bad)
        found = verify_trees(store, trees(store), deep=True, share=limited(path, 1000))
        assert {fault.object for fault in found.faults} == {name}
        assert found.is_complete


def test_another_version_makes_read_again_only_what_it_wants_more(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "state"
    first = trees(store)[:1]
    share = limited(path, 8)
    before = verify_trees(store, first, deep=True, share=share)
    assert not before.is_complete
    again = verify_trees(store, first[::-1] + first, deep=True, share=limited(path, 0))
    assert again.covered_bytes == before.covered_bytes
    found = verify_trees(store, trees(store), deep=True, share=limited(path, 1000))
    assert found.is_complete and found.faults == []
