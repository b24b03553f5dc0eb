"""A store with a past, every operation of a store, and what must hold after each: for storage that goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from support.store import MadeSource, key, noise, reachable

from gitml.errors import NotFound, PartlyDone
from gitml.store import store as store_room
from gitml.store.care import marking, verify
from gitml.store.care.garbage import DAY_S, collect_garbage
from gitml.store.care.purge import plan_purge, purge
from gitml.store.care.repack import plan_repack, repack
from gitml.store.care.replicate import replicate
from gitml.store.care.usage import disk_usage
from gitml.store.care.verify import verify_store, verify_tree
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.media.memory import MemoryMedium
from gitml.store.relocation import rewrite
from gitml.store.store import Claimed, Store

NOW_S = 1_800_000_000.0
BIG = noise(700_000, 1)
ONE = {"big": BIG, "note": b"one", "empty": b""}
TWO = {**ONE, "more": noise(40_000, 2)}
THREE = {"d/big": BIG, "own": noise(30_000, 3)}
SECRET = {"own": noise(50_000, 5), "note": b"secret"}
GONE = {"gone": noise(60_000, 4)}
ACKNOWLEDGED = {"1": ONE, "2": TWO}
TRUTHFUL = frozenset({6, 7, 8, 10, 13})
"""How an operation on a store that goes wrong may end, beside by success."""
ROOMS = (store_room, marking, rewrite, verify)
"""Where pools of threads are made: with others in their place, calls come in one order."""


class Alarm(Enum):
    """What judging a store may find wrong because it was told something that is not so."""

    OBJECT = "object"
    LIST = "list"


@dataclass
class Case:
    """A store as an operation sees it, the same store as it is, and another one.

    Attributes:
        truth: The medium that keeps its promises.
        packs_before: Packs that the store began with.
        is_struck: Whether something goes wrong.
        alarms: False alarms that may come of it.
    """

    store: Store
    truth: Medium
    other: MemoryMedium
    packs_before: int
    is_struck: bool = False
    alarms: frozenset[Alarm] = frozenset()

    def root(self, version: str) -> Root:
        root = Store(self.truth).root(key(version))
        assert root is not None
        return root

    def healthy(self) -> None:
        """Nothing goes wrong any more."""
        self.is_struck, self.alarms = False, frozenset()


def register(store: Store, contents: dict[str, bytes], version: str, *earlier: Root) -> Root:
    claimed = store.claim(key(version), store.write(MadeSource(contents), earlier=earlier))
    assert isinstance(claimed, Claimed), claimed
    return claimed.root


class Template:
    """A store with a past, made once and copied for each point."""

    def __init__(self) -> None:
        medium, other = MemoryMedium(), MemoryMedium()
        store = Store(medium)
        first = register(store, ONE, "1")
        register(store, TWO, "2", first)
        register(store, GONE, "8")
        register(store, SECRET, "9")
        store.medium.delete(key("8").name)
        collect_garbage(store, clock=lambda: NOW_S - 15 * DAY_S)
        register(Store(other), ONE, "1")
        self.objects = dict(medium._objects)
        self.others = dict(other._objects)
        self.packs = sum(name.startswith(layout.PACKS) for name in self.objects)

    def other(self) -> MemoryMedium:
        """The other store as it was made."""
        return filled(self.others)


def filled(objects: Mapping[str, bytes]) -> MemoryMedium:
    """A medium with these objects."""
    medium = MemoryMedium()
    medium._objects.update(objects)
    return medium


# -- operations: what is done, and what must hold when it said that it succeeded


def write(case: Case) -> None:
    register(case.store, THREE, "3", case.root("1"))


def written(case: Case) -> None:
    assert reachable(case.truth, key("3").name) == THREE


def again(case: Case) -> None:
    """The same tree under the same version, and one whose bytes are condemned."""
    register(case.store, TWO, "2", case.root("1"))
    register(case.store, GONE, "4")


def there_again(case: Case) -> None:
    assert reachable(case.truth, key("4").name) == GONE


def read(case: Case) -> None:
    found = case.store.root(key("2"))
    if found is None:
        raise NotFound("the store has no bytes of models/digits@2", hint="push them")
    tree = case.store.tree(found)
    got = {entry.path: b"".join(map(bytes, parts)) for entry, parts in tree.stream(tree.entries())}
    assert got == TWO


def open_one(case: Case) -> None:
    tree = case.store.tree(case.root("2"))
    for path in ("big", "more"):
        with tree.open(path) as stream:
            assert stream.read() == TWO[path]
    with tree.open("big") as stream:
        stream.seek(400_000)
        assert stream.read(1000) == BIG[400_000:401_000]


def check_tree(case: Case) -> None:
    faults = verify_tree(case.store, case.root("2"), deep=True)
    if faults and Alarm.OBJECT not in case.alarms:
        raise AssertionError(faults)


def check_store(case: Case) -> None:
    faults = verify_store(case.store).faults
    if faults and not case.alarms:
        raise AssertionError(faults)


def collect(case: Case) -> None:
    collect_garbage(case.store, clock=lambda: NOW_S)


def collected(case: Case) -> None:
    if not case.is_struck:
        assert key("8").name not in dict(case.truth.list(layout.ROOTS))
        assert len(list(case.truth.list(layout.PACKS))) < case.packs_before


def pack_again(case: Case) -> None:
    repack(case.store, plan_repack(case.store))


def remove(case: Case) -> None:
    purge(case.store, plan_purge(case.store, key("9")), now_s=NOW_S)


def removed(case: Case) -> None:
    if case.is_struck:
        return
    # What a write that was on its way brought back is condemned.
    collect_garbage(Store(case.truth), clock=lambda: NOW_S + 15 * DAY_S)
    assert Store(case.truth).root(key("9")) is None
    parts = [SECRET["own"][at : at + 400] for at in range(0, 49_000, 400)]
    for name, _ in case.truth.list(layout.PACKS):
        body = case.truth.get(name)
        assert not any(part in body for part in parts), name


def copy_from(case: Case) -> None:
    copied(replicate(case.store, Store(case.other)), case)


def copy_to(case: Case) -> None:
    register(Store(case.other), THREE, "3")
    copied(replicate(Store(case.other), case.store), case)


def heal(case: Case) -> None:
    copied(replicate(Store(case.other), case.store, deep=True), case)


def copied(found: Any, case: Case) -> None:
    if found.failed or found.unhealed:
        raise PartlyDone(
            "some were not copied",
            hint="run it again",
            done=[],
            failed={str(k): v for k, v in found.failed.items()},
        )


def copied_from(case: Case) -> None:
    if not case.is_struck:
        for version, contents in ACKNOWLEDGED.items():
            assert reachable(case.other, key(version).name) == contents


def usage(case: Case) -> None:
    disk_usage(case.store)


def nothing(case: Case) -> None:
    """Nothing but what always holds."""


@dataclass(frozen=True)
class Operation:
    run: Callable[[Case], None]
    goal: Callable[[Case], None] = nothing


OPERATIONS = {
    "write": Operation(write, written),
    "again": Operation(again, there_again),
    "read": Operation(read),
    "open": Operation(open_one),
    "verify-tree": Operation(check_tree),
    "verify-store": Operation(check_store),
    "gc": Operation(collect, collected),
    "repack": Operation(pack_again),
    "purge": Operation(remove, removed),
    "replicate-from": Operation(copy_from, copied_from),
    "replicate-to": Operation(copy_to, written),
    "heal": Operation(heal),
    "du": Operation(usage),
}


def judge(case: Case) -> None:
    """What was acknowledged reads back, byte for byte, on the medium below."""
    for version, contents in ACKNOWLEDGED.items():
        assert reachable(case.truth, key(version).name) == contents, f"version {version} is lost"
