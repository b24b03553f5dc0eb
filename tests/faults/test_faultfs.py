"""Storage that goes wrong in every way, at every call of every operation of a store: nothing is lost, nothing wrong
is read, the error is a clear one, and the same again without the fault reaches the goal.

Each point is an operation, a call of it, a kind of fault, and whether it goes away again. What the operation did is
judged on the medium below, which keeps its promises.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from support.faultfs import IMPOSSIBLE, LIES, VERBS, FaultFS, Kind, Strike, strikes
from support.schedule import InlinePool
from support.store import MadeSource, key, noise, reachable

from gitml.errors import GitMLError, NotFound, PartlyDone
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
from gitml.store.media.memory import MemoryMedium
from gitml.store.relocation import rewrite
from gitml.store.store import Claimed, Store

SEED = os.environ.get("GITML_TEST_SEED", "1")
NOW_S = 1_800_000_000.0
SAMPLE = 1500
BIG = noise(700_000, 1)
ONE = {"big": BIG, "note": b"one", "empty": b""}
TWO = {**ONE, "more": noise(40_000, 2)}
THREE = {"d/big": BIG, "own": noise(30_000, 3)}
SECRET = {"own": noise(50_000, 5), "note": b"secret"}
GONE = {"gone": noise(60_000, 4)}
ACKNOWLEDGED = {"1": ONE, "2": TWO}
TRUTHFUL = frozenset({6, 7, 8, 10, 13})
"""How an operation on a store that goes wrong may end, beside by success."""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls come in one order, so that a point is the same point again."""
    for room in (store_room, marking, rewrite, verify):
        if hasattr(room, "ThreadPoolExecutor"):
            monkeypatch.setattr(room, "ThreadPoolExecutor", InlinePool)


@dataclass
class Case:
    """A store, another one, and the medium that an operation sees."""

    line: FaultFS
    store: Store
    other: MemoryMedium

    @property
    def truth(self) -> MemoryMedium:
        assert isinstance(self.line.medium, MemoryMedium)
        return self.line.medium

    def root(self, version: str) -> Root:
        root = Store(self.truth).root(key(version))
        assert root is not None
        return root


def register(store: Store, contents: dict[str, bytes], version: str, *earlier: Root) -> Root:
    claimed = store.claim(key(version), store.write(MadeSource(contents), earlier=earlier))
    assert isinstance(claimed, Claimed), claimed
    return claimed.root


class Template:
    """A store with a past, made once and copied for each point."""

    def __init__(self) -> None:
        medium, self.other = MemoryMedium(), MemoryMedium()
        store = Store(medium)
        first = register(store, ONE, "1")
        register(store, TWO, "2", first)
        register(store, GONE, "8")
        register(store, SECRET, "9")
        store.medium.delete(key("8").name)
        collect_garbage(store, clock=lambda: NOW_S - 15 * DAY_S)
        register(Store(self.other), ONE, "1")
        self.objects = dict(medium._objects)
        self.others = dict(self.other._objects)

    def case(self, strike: Strike | None = None) -> Case:
        medium, other = MemoryMedium(), MemoryMedium()
        medium._objects.update(self.objects)
        other._objects.update(self.others)
        line = FaultFS(medium, strike)
        return Case(line, Store(line), other)


@pytest.fixture(scope="module")
def template() -> Template:
    return Template()


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
        raise NotFound("the store has no bytes of models/digits@2")
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
    if faults and (case.line.strike is None or case.line.strike.kind not in LIES):
        raise AssertionError(faults)


def check_store(case: Case) -> None:
    faults = verify_store(case.store).faults
    strike = case.line.strike
    if faults and (strike is None or strike.kind not in LIES | {Kind.LIST_LACKS, Kind.LIST_KEEPS}):
        raise AssertionError(faults)


def collect(case: Case) -> None:
    collect_garbage(case.store, clock=lambda: NOW_S)


def collected(case: Case) -> None:
    if case.line.strike is None:
        assert key("8").name not in dict(case.truth.list(layout.ROOTS))
        assert len(list(case.truth.list(layout.PACKS))) < sum(
            name.startswith(layout.PACKS) for name in TEMPLATE_NAMES
        )


def pack_again(case: Case) -> None:
    repack(case.store, plan_repack(case.store))


def remove(case: Case) -> None:
    purge(case.store, plan_purge(case.store, key("9")), now_s=NOW_S)


def removed(case: Case) -> None:
    if case.line.strike is not None:
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
        raise PartlyDone("some were not copied", done=[], failed={str(k): v for k, v in found.failed.items()})


def copied_from(case: Case) -> None:
    if case.line.strike is None:
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
TEMPLATE_NAMES: set[str] = set()


def judge(case: Case) -> None:
    """What was acknowledged reads back, byte for byte, on the medium below."""
    for version, contents in ACKNOWLEDGED.items():
        assert reachable(case.truth, key(version).name) == contents, f"version {version} is lost"


def tried(template: Template, operation: Operation, strike: Strike) -> None:
    """One point."""
    case = template.case(strike)
    try:
        operation.run(case)
    except GitMLError as error:
        allowed = TRUTHFUL | ({4} if strike.kind in (Kind.ABSENT, Kind.STALE) else set())
        assert error.exit_code in allowed, f"exit {error.exit_code}: {error.message}"
        assert error.message and "\n" not in error.message
    else:
        operation.goal(case)
    case.line.settle()
    judge(case)
    case.line.strike = None
    operation.run(case)
    operation.goal(case)
    judge(case)


def log_of(template: Template, operation: Operation) -> list[tuple[str, str]]:
    case = template.case()
    operation.run(case)
    operation.goal(case)
    judge(case)
    return case.line.log


def points(template: Template) -> Iterator[tuple[str, Strike]]:
    TEMPLATE_NAMES.update(template.objects)
    for name, operation in OPERATIONS.items():
        for strike in strikes(log_of(template, operation)):
            yield name, strike


def try_all(template: Template, chosen: list[tuple[str, Strike]]) -> None:
    failed = []
    for name, strike in chosen:
        try:
            tried(template, OPERATIONS[name], strike)
        except Exception as error:
            failed.append(f"{name}: {strike}: {type(error).__name__}: {str(error)[:300]}")
    assert not failed, f"{len(failed)} of {len(chosen)} points:\n" + "\n".join(failed[:200])


def test_sampled_points(template: Template) -> None:
    every = list(points(template))
    assert len(every) > SAMPLE
    try_all(template, random.Random(f"faultfs-{SEED}").sample(every, SAMPLE))


@pytest.mark.nightly
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_point(template: Template, name: str) -> None:
    try_all(template, [point for point in points(template) if point[0] == name])


def test_every_kind_of_the_plan_is_here() -> None:
    """27 kinds: those that a medium can show, and those that cannot reach one, with the reason."""
    assert len(Kind) + len(IMPOSSIBLE) == 27
    assert set(VERBS) == set(Kind)
