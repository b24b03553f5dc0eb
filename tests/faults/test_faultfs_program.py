"""The program on a store that goes wrong in every way: each command, each call of the store, each kind of fault."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.cli import InFolder, Ran
from support.faultfs import LIES, VERBS, FaultFS, Kind, Strike, strikes
from support.team import git, read, write
from support.world import FIRST, SCENARIOS, SECOND, Scenario, World

from gitml.api import Registry
from gitml.store import store as store_room
from gitml.store.care.garbage import DAY_S, collect_garbage
from gitml.store.media.folder import FolderMedium
from gitml.store.store import Store

SEED = os.environ.get("GITML_TEST_SEED", "1")
SAMPLE = 14
CALLS = 14
ENDS = frozenset({0, 6, 7, 8, 10, 13})
EXTRA = {"extra.bin": random.Random(9).randbytes(80_000)}


def _kept(world: World, ref: str) -> bool:
    return any(
        ref.partition("@")[0].partition("/")[2] in str(path) for path in (world.store / "roots").rglob("*/1")
    )


def _forgotten(world: World) -> None:
    assert not _kept(world, "models/extra@1")


def _collected(world: World) -> None:
    left = {one.name for one in (world.store / "packs").rglob("*") if one.is_file()}
    assert left.isdisjoint((world.base / "ripe").read_text().split())


def _copied(world: World) -> None:
    settings = {"GITML_STORE_DEFAULT_URL": str(world.base / "copy")}
    place = world.base / "read-copy"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        world.ada.registry.get("models/digits@2", place)
    assert read(place) == SECOND


def _nothing(world: World) -> None:
    """Nothing but what always holds."""


COMMANDS = {
    **{name: SCENARIOS[name] for name in ("register", "push", "pull", "get", "promote")},
    **{
        one.name: one
        for one in (
            Scenario("verify", ["verify", "--all", "--deep"], _nothing),
            Scenario("store verify", ["store", "verify"], _nothing),
            Scenario("forget", ["store", "forget", "models/extra@1", "--yes"], _forgotten),
            Scenario("gc", ["store", "gc", "--yes"], _collected),
            Scenario("repack", ["store", "repack", "--yes"], _nothing),
            Scenario("replicate", ["store", "replicate", "default", "{base}/copy"], _copied),
            Scenario("purge", ["store", "purge", "models/extra@1", "--yes"], _forgotten),
        )
    },
}


def build(base: Path) -> None:
    """A world whose store also keeps a version that no branch names, and garbage that is ripe."""
    world = World.build(base)
    registry = world.ada.registry
    before = {path.name for path in (world.store / "packs").rglob("*") if path.is_file()}
    for name in ("old", "extra"):
        contents = {**EXTRA, f"{name}.txt": name, f"{name}.bin": random.Random(name).randbytes(50_000)}
        registry.register(f"models/{name}", write(base / name, contents), branch="scratch")
        if name == "old":
            (base / "ripe").write_text(
                "\n".join({p.name for p in (world.store / "packs").rglob("*") if p.is_file()} - before)
            )
    git(world.ada.folder, "branch", "--delete", "--force", "scratch")
    registry.stores.forget("models/old@1")
    ripe = time.time() - 15 * DAY_S
    collect_garbage(Store(FolderMedium(world.store)), clock=lambda: ripe)


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], World]]:
    base = tmp_path_factory.mktemp("faultfs") / "team"
    template = base.with_name("template")

    def restore() -> World:
        if not template.exists():
            build(base)
            shutil.copytree(base, template, symlinks=True)
        else:
            shutil.rmtree(base)
            shutil.copytree(template, base, symlinks=True)
        return World(base)

    yield restore
    shutil.rmtree(base.parent, ignore_errors=True)


@contextmanager
def seen_through(line: FaultFS, folder: Path) -> Iterator[None]:
    """Every store that is opened at the folder goes wrong as the line says."""
    real = store_room.Store.__init__

    def opened(store: Store, medium: object, **options: object) -> None:
        shared = Path(str(getattr(medium, "url", ""))).resolve() == folder.resolve()
        real(store, line if shared else medium, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_room.Store, "__init__", opened)
        yield


@dataclass(frozen=True)
class Point:
    command: str
    strike: Strike

    def __str__(self) -> str:
        return f"{self.command}: {self.strike}"


def run(world: World, command: Scenario, line: FaultFS) -> Ran:
    with seen_through(line, world.store):
        return InFolder(command.folder(world))(*command.words(world))


def tried(world: World, point: Point) -> FaultFS:
    command, line = COMMANDS[point.command], FaultFS(FolderMedium(world.store), point.strike)
    ran = run(world, command, line)
    allowed = ENDS | ({4} if point.strike.kind in (Kind.ABSENT, Kind.STALE) else set())
    if point.command == "promote" and point.strike.kind in LIES:
        allowed |= {12}  # versions whose bytes are not whole are not promoted
    assert ran.exit_code in allowed, ran
    if ran.exit_code:
        assert ran.stderr.strip() and "Traceback" not in ran.stderr
    line.settle()
    world.check()
    after = run(world, command, FaultFS(FolderMedium(world.store)))
    if after.exit_code:
        # What was let go before its reply was lost is not there to be let go again.
        assert (after.exit_code, command.name) in ((4, "forget"), (4, "purge"), (5, "promote")), (ran, after)
    if point.strike.kind not in (Kind.IGNORED, Kind.LATE) or ran.exit_code:
        command.goal(world)
    world.check_contents()
    return line


def try_all(restored: Callable[[], World], chosen: list[Point]) -> None:
    failed = []
    for point in chosen:
        try:
            tried(restored(), point)
        except Exception as error:
            failed.append(f"{point}: {type(error).__name__}: {str(error)[:400]}")
    assert not failed, f"{len(failed)} of {len(chosen)} points:\n" + "\n".join(failed)


def test_sampled_points(restored: Callable[[], World]) -> None:
    chance = random.Random(f"faultfs-program-{SEED}")
    kinds, names = list(VERBS), list(COMMANDS)
    chance.shuffle(kinds)
    chance.shuffle(names)
    chosen = [
        Point(
            names[number % len(names)],
            Strike(chance.randint(1, CALLS), kinds[number % len(kinds)], bool(number % 3 == 0)),
        )
        for number in range(SAMPLE)
    ]
    try_all(restored, chosen)


@pytest.mark.nightly
@pytest.mark.parametrize("name", COMMANDS)
def test_every_point(restored: Callable[[], World], name: str) -> None:
    world = restored()
    line = FaultFS(FolderMedium(world.store))
    assert run(world, COMMANDS[name], line).exit_code == 0
    COMMANDS[name].goal(world)
    assert len(line.log) > 2
    try_all(restored, [Point(name, strike) for strike in strikes(line.log)])


@pytest.mark.parametrize("kind", [Kind.THROTTLED, Kind.EXPIRED])
def test_a_store_that_cannot_be_asked_says_nothing_about_a_version(
    restored: Callable[[], World], kind: Kind
) -> None:
    """A promotion is not refused by a rule because of it."""
    world = restored()
    ran = run(world, COMMANDS["promote"], FaultFS(FolderMedium(world.store), Strike(1, kind, sticky=True)))
    assert ran.exit_code == (10 if kind is Kind.EXPIRED else 7), ran


def test_the_world_is_as_it_says(restored: Callable[[], World]) -> None:
    world = restored()
    assert _kept(world, "models/extra@1")
    assert (world.base / "ripe").read_text().split()
    assert Registry(world.ada.folder).show("models/digits@1").ref
    assert set(FIRST) < set(SECOND)
