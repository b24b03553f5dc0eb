"""Collectors against writers in any order: what was claimed stays whole.

Each case is one order, drawn from a seed, in which writers, readers, a person who lets versions go, one who repacks
or purges, and collectors whose clocks disagree make their calls of the store one at a time. Afterwards every version that was
acknowledged reads back. The cases with a fault built in show that the test can tell.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from support.schedule import InlinePool, PausingMedium, Schedule
from support.store import MadeSource, key, noise, reachable

from gitml.errors import GitMLError, IntegrityError, NotFound, StoreUnavailable
from gitml.store import store as store_room
from gitml.store.care import garbage, marking
from gitml.store.care.condemned import read_runs
from gitml.store.care.garbage import DAY_S, collect_garbage
from gitml.store.care.purge import plan_purge, purge
from gitml.store.care.repack import plan_repack, repack
from gitml.store.formats.root import RootKey
from gitml.store.media import layout
from gitml.store.media.memory import MemoryMedium
from gitml.store.relocation import moving, rewrite
from gitml.store.store import Claimed, Store

NOW_S = 1_800_000_000.0
FILES = {name: noise(size, size) for name, size in (("a", 300), ("b", 700), ("c", 1100), ("d", 1900))}
SKEWS_DAYS = (0, 0, 0, -2, 2, 15)
SECRET = key("1", "secret")
SECRET_BYTES = noise(1300, 1300)
PLAIN, NIGHTLY, MUTATED = 600, 20_000, 1_000
LOST = (1_006_004,)
"""A repack found its new layout collected, and went back to the old one, which was collected, too."""


@pytest.fixture(autouse=True)
def one_thread_for_each_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (store_room, marking, rewrite):
        monkeypatch.setattr(room, "ThreadPoolExecutor", InlinePool)


@dataclass
class World:
    """One store, what was acknowledged in it, and who is about to do what."""

    seed: int
    medium: MemoryMedium = field(default_factory=MemoryMedium)
    claimed: dict[RootKey, dict[str, bytes]] = field(default_factory=dict)
    actors: dict[str, Callable[[], None]] = field(default_factory=dict)
    collected: int = 0
    repacked: int = 0
    pulled: int = 0
    purged: bool = False

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.schedule = Schedule(self.seed + 1)
        self.store = Store(PausingMedium(self.medium, self.schedule), jobs=1)

    def some_tree(self) -> dict[str, bytes]:
        names = self.random.sample(sorted(FILES), self.random.randint(1, 3))
        return {name: FILES[name] for name in names}

    def register(self, version: RootKey, contents: dict[str, bytes], like: RootKey | None) -> None:
        """What `register` does, with the rerun that its errors ask for."""
        for _ in range(8):
            try:
                earlier = self.store.root(like) if like is not None else None
                written = self.store.write(MadeSource(contents), earlier=[earlier] if earlier else [])
                answer = self.store.claim(version, written)
            except StoreUnavailable:
                continue
            if isinstance(answer, Claimed):
                self.claimed[version] = contents
            return

    def pull(self) -> None:
        """Read every version there is: what is claimed reads back, if need be from the layout that replaced it."""
        for version in list(self.claimed):
            for _ in range(8):
                try:
                    root = self.store.root(version)
                    if root is None:
                        break
                    tree = self.store.tree(root)
                    found = {
                        entry.path: b"".join(map(bytes, parts))
                        for entry, parts in tree.stream(tree.entries())
                    }
                except (IntegrityError, NotFound):
                    continue
                assert found == self.claimed.get(version, found), f"{version.name} was read wrongly"
                self.pulled += 1
                break
            else:
                assert version not in self.claimed, f"{version.name} cannot be read"
            assert root is not None or version not in self.claimed, f"{version.name} is not there"

    def forget(self, version: RootKey) -> None:
        self.claimed.pop(version, None)
        self.store.medium.delete(version.name)

    def collect(self, now_s: Callable[[], float]) -> None:
        # A writer whose rerun is still to come may have left a root that leads nowhere.
        with contextlib.suppress(IntegrityError):
            self.collected += len(collect_garbage(self.store, clock=now_s).deleted)

    def repack(self) -> None:
        with contextlib.suppress(IntegrityError, StoreUnavailable):
            self.repacked += len(repack(self.store, plan_repack(self.store)).replaced)

    def purge(self) -> None:
        for _ in range(8):
            try:
                purge(self.store, plan_purge(self.store, SECRET), now_s=self.clock()())
            except (IntegrityError, StoreUnavailable):
                continue
            self.purged = True
            return

    def clock(self) -> Callable[[], float]:
        """A collector's clock: wrong by days, and now and then put right or wronger while it runs."""
        return lambda: NOW_S + DAY_S * self.random.choice(SKEWS_DAYS)

    def check(self) -> None:
        for version, contents in self.claimed.items():
            found = reachable(self.medium, version.name)
            assert found == contents, f"{version.name} does not read back"
        if self.purged:
            assert self.medium.head(SECRET.name) is None
            assert not any(
                SECRET_BYTES in self.medium.get(name) for name, _ in self.medium.list(layout.PACKS)
            ), "purged bytes are there"


def prepare(seed: int, *, repacks: bool = False) -> World:
    """A store with a past: versions, some of them let go, and what is left of those condemned for two weeks."""
    world = World(seed)
    versions = [key(str(number), "past") for number in range(world.random.randint(2, 4))]
    for version in versions:
        world.register(version, world.some_tree(), world.random.choice([None, versions[0]]))
    if not repacks and world.random.random() < 0.3:
        # In one pack with what others use.
        world.register(SECRET, {"s": SECRET_BYTES}, None)
        del world.claimed[SECRET]
        world.repack()
        world.actors["purger"] = world.purge
        versions.append(SECRET)
    gone = world.random.sample(
        [version for version in versions if version != SECRET], world.random.randint(1, 2)
    )
    for version in gone:
        world.forget(version)
    if world.random.random() < 0.7:
        world.collect(lambda: NOW_S - world.random.choice([13, 15]) * DAY_S)
    kept = [version for version in versions if version not in gone and version != SECRET]

    def writer(name: str, trees: list[dict[str, bytes]]) -> Callable[[], None]:
        likes = [world.random.choice([*versions, None]) for _ in trees]

        def act() -> None:
            for number, (tree, like) in enumerate(zip(trees, likes, strict=True)):
                world.register(key(str(number), name), tree, like)

        return act

    def forgetter() -> None:
        for version in kept[1:]:
            world.forget(version)

    def collector(runs: int) -> Callable[[], None]:
        return lambda: [world.collect(world.clock()) for _ in range(runs)] and None  # type: ignore[func-returns-value]

    for number in range(world.random.randint(1, 2)):
        # Two writers of one name now and then, so that they meet at a root.
        name = world.random.choice(["shared", f"own{number}"])
        trees = [world.some_tree() for _ in range(world.random.randint(1, 2))]
        world.actors[f"writer{number}"] = writer(name, trees)
    world.actors["forgetter"] = forgetter
    if repacks or ("purger" not in world.actors and world.random.random() < 0.6):
        world.actors["repacker"] = world.repack
    for number in range(world.random.randint(1, 3)):
        world.actors[f"collector{number}"] = collector(world.random.randint(1, 2))
    if seed % 2:
        world.actors["reader"] = world.pull
    return world


def play(seed: int, monkeypatch: pytest.MonkeyPatch, *cast: str) -> World:
    salts = Random(seed + 2)
    monkeypatch.setattr(secrets, "token_bytes", salts.randbytes)
    monkeypatch.setattr(secrets, "token_hex", lambda size: salts.randbytes(size).hex())
    world = prepare(seed, repacks="repacker" in cast)
    world.schedule.run({name: act for name, act in world.actors.items() if name.startswith(cast or "")})
    try:
        world.check()
    except (GitMLError, AssertionError) as error:
        raise AssertionError(f"seed {seed}: {error}\n" + "\n".join(world.schedule.trace)) from error
    return world


def settle(world: World) -> None:
    """Two more runs, weeks apart: all that is dead is gone then, and nothing else."""
    for _ in range(2):  # a rerun that was never made: the root that leads nowhere is let go by hand
        for name, _ in list(world.medium.list(layout.ROOTS)):
            try:
                reachable(world.medium, name)
            except GitMLError:
                world.medium.delete(name)
    store = Store(world.medium)
    for days in (40, 80, 120):
        collect_garbage(store, clock=lambda days=days: NOW_S + days * DAY_S)  # type: ignore[misc]
    world.check()
    mark = marking.Marking(world.medium)
    mark.look()
    kept = (layout.PACKS, layout.SEGMENTS, layout.MANIFESTS)
    assert {name for name, _ in world.medium.list("") if name.startswith(kept)} == mark.live
    for run in read_runs(world.medium):
        assert run.names & mark.live, "a list goes unless it names what a root reached just before"


@pytest.mark.parametrize("block", range(6))
def test_nothing_claimed_is_lost(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    collected = repacked = pulled = 0
    for seed in range(block * PLAIN // 6, (block + 1) * PLAIN // 6):
        world = play(seed, monkeypatch)
        settle(world)
        collected += world.collected
        repacked += world.repacked
        pulled += world.pulled
    assert min(collected, repacked, pulled) > 20, "there has to be something to do"


@pytest.mark.parametrize("seed", LOST)
def test_orders_in_which_a_version_was_lost(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(play(seed, monkeypatch))


@pytest.mark.nightly
@pytest.mark.parametrize("block", range(20))
def test_nothing_claimed_is_lost_in_very_many_orders(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(10**6 + block * NIGHTLY // 20, 10**6 + (block + 1) * NIGHTLY // 20):
        settle(play(seed, monkeypatch))


def test_a_seed_gives_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert play(7, monkeypatch).schedule.trace == play(7, monkeypatch).schedule.trace != []


def writer_does_not_look(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(store_room, "leave_condemned", lambda medium, name, root: root)


def collector_does_not_look_again(patch: pytest.MonkeyPatch) -> None:
    look = marking.Marking.look

    def once(self: Any) -> None:
        if not self.live:
            look(self)

    patch.setattr(garbage.Marking, "look", once)


def collector_condemns_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(garbage, "GRACE_S", -(10**9))
    patch.setattr(
        garbage,
        "write_run",
        lambda medium, names, now_s: garbage.Run(name="x", written_s=0, names=frozenset(names)),
    )


def repacker_does_not_look(patch: pytest.MonkeyPatch) -> None:
    for room in (rewrite, moving):
        patch.setattr(room, "condemned_names", lambda medium: frozenset())


def collector_heeds_no_intents(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(marking, "read_intents", lambda medium: {})


@pytest.mark.parametrize(
    ("fault", "cast"),
    [
        (writer_does_not_look, ()),
        (collector_does_not_look_again, ()),
        (collector_condemns_nothing, ()),
        (repacker_does_not_look, ("repacker", "collector")),
        (collector_heeds_no_intents, ("repacker", "collector")),
    ],
)
def test_the_orders_find_a_missing_step(
    fault: Any, cast: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError, match=r"^seed"):
        for seed in range(MUTATED):
            play(seed, monkeypatch, *cast)
