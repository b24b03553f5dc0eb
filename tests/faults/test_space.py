"""No room left, anywhere: exit 11, the state before, and the same command works once there is room."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.canaries import Footprint, assert_refused, printed
from support.killing import Runner
from support.team import Team, read, write
from support.world import SCENARIOS, World

SEED = os.environ.get("GITML_TEST_SEED", "1")
ERRORS = {"ENOSPC": errno.ENOSPC, "EDQUOT": errno.EDQUOT, "EFBIG": errno.EFBIG}
# Steps that need room. A full disk also refuses `link`, `rename` and `mkdir`, which need a place in a folder.
ROOM = ("open", "write", "writev", "pwrite", "fsync", "link", "rename", "mkdir", "ftruncate")


def survive(world: World, name: str, runner: Runner, at: str) -> None:
    try:
        world.check()
        again = runner.run(SCENARIOS[name].folder(world), *SCENARIOS[name].words(world))
        assert again.status == 0, again.stderr
        SCENARIOS[name].goal(world)
        world.check()
        assert world.leftovers() == []
    except BaseException as error:
        error.add_note(f"{name} had no room {at}")
        raise


def fill(
    points: list[int], name: str, below: str, kind: str, worlds: Callable[[], World], runner: Runner
) -> None:
    scenario = SCENARIOS[name]
    for point in points:
        world = worlds()
        place = Path(below.format(base=world.base))
        ended = runner.run(scenario.folder(world), *scenario.words(world), error_at=point, error=ERRORS[kind],
                           sticky=True, steps=ROOM, below=place)  # fmt: skip
        outcome = printed(ended.status, ended.stdout, ended.stderr)
        if outcome.exit_code != 0:
            try:
                assert_refused(outcome, 11)
            except AssertionError as error:
                error.add_note(f"{name}: step {point} below {below} had no room")
                raise
        survive(world, name, runner, f"at step {point} below {below}")


PLACES = [
    ("register", "{base}/store"), ("register", "{base}/ada"), ("push", "{base}/store"), ("get", "{base}/place"),
    ("get", "{base}/ada"), ("alias", "{base}/ada"), ("promote", "{base}/ada"), ("merge", "{base}/ada"),
    ("pull", "{base}/grace"), ("init", "{base}/new"),
]  # fmt: skip


def _steps(name: str, below: str, worlds: Callable[[], World], runner: Runner) -> int:
    world = worlds()
    scenario = SCENARIOS[name]
    place = Path(below.format(base=world.base))
    return runner.run(
        scenario.folder(world), *scenario.words(world), kill_at=0, steps=ROOM, below=place
    ).steps


@pytest.mark.parametrize(("name", "below"), PLACES, ids=lambda text: text.replace("{base}/", ""))
def test_full_at_sampled_steps(name: str, below: str, worlds: Callable[[], World], runner: Runner) -> None:
    steps = _steps(name, below, worlds, runner)
    if not steps:
        pytest.skip("only git writes there")
    chance = random.Random(f"{SEED}-{name}-{below}")
    points = chance.sample(range(1, steps + 1), min(steps, 2))
    fill(points, name, below, chance.choice(list(ERRORS)), worlds, runner)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize(("name", "below"), PLACES, ids=lambda text: text.replace("{base}/", ""))
def test_full_at_every_step(
    name: str, below: str, kind: str, worlds: Callable[[], World], runner: Runner
) -> None:
    fill(list(range(1, _steps(name, below, worlds, runner) + 1)), name, below, kind, worlds, runner)


@pytest.mark.parametrize("name", ["register", "get", "push"])
def test_no_file_may_grow(name: str, worlds: Callable[[], World], runner: Runner) -> None:
    """A limit on the size of files (`ulimit -f`), which git meets as well."""
    world = worlds()
    scenario = SCENARIOS[name]
    ended = runner.run(
        scenario.folder(world), *scenario.words(world), largest_file_bytes=8 << 10 if name == "get" else 512
    )
    if name != "push" or ended.status:
        assert_refused(printed(ended.status, ended.stdout, ended.stderr), 11)
    survive(world, name, runner, "for large files")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A file system of a few MiB, where mounting is permitted."""
    place = tmp_path / "disk"
    place.mkdir()

    def mounted(size_bytes: int) -> Path:
        again = ["-o", f"remount,size={size_bytes}"] if place.is_mount() else ["-o", f"size={size_bytes}"]
        done = subprocess.run(
            ["mount", "-t", "tmpfs", *again, "tmpfs", str(place)], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
        return place

    yield mounted
    if place.is_mount():
        subprocess.run(["umount", "--lazy", str(place)], check=True)


MIB = 1 << 20


def _noise(size_bytes: int, seed: int = 7) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


@pytest.mark.parametrize("size_bytes", [MIB, 3 * MIB, 5 * MIB])
def test_store_on_a_full_disk(
    size_bytes: int, small_disk: Callable[[int], Path], tmp_path: Path, runner: Runner
) -> None:
    disk = small_disk(size_bytes)
    team = Team(tmp_path / "team")
    shutil.rmtree(team.store, ignore_errors=True)
    team.store.symlink_to(disk / "store")
    (disk / "store").mkdir()
    small = write(tmp_path / "small", {"a.bin": _noise(1000)})
    assert runner.run(team.ada.folder, "register", "models/small", str(small)).status == 0
    big = write(tmp_path / "big", {f"{number}.bin": _noise(2 * MIB, number) for number in range(4)})
    head = team.ada.git("rev-parse", "HEAD")
    ended = runner.run(team.ada.folder, "register", "models/big", str(big))
    assert_refused(printed(ended.status, ended.stdout, ended.stderr), 11)
    assert team.ada.git("rev-parse", "HEAD") == head
    assert team.ada.registry.verify(all=True, deep=True).versions == 1
    small_disk(64 * MIB)
    assert runner.run(team.ada.folder, "register", "models/big", str(big)).status == 0
    assert runner.run(team.ada.folder, "get", "models/big@1", "-o", str(tmp_path / "out")).status == 0
    assert read(tmp_path / "out") == read(big)


def test_destination_on_a_full_disk(
    small_disk: Callable[[int], Path], tmp_path: Path, runner: Runner
) -> None:
    disk = small_disk(3 * MIB)
    team = Team(tmp_path / "team")
    big = write(tmp_path / "big", {f"{number}.bin": _noise(MIB, number) for number in range(8)})
    team.ada.registry.register("models/big", big)
    own = write(disk / "out", {"own.txt": "mine"})
    before = Footprint.of(team.base, own, without=("/.git/gitml/",))
    ended = runner.run(team.ada.folder, "get", "models/big@1", "-o", str(own))
    outcome = printed(ended.status, ended.stdout, ended.stderr)
    assert_refused(outcome, 11)
    assert (
        str(sum(len(data) for data in read(big).values())) in outcome.said.replace(",", "")
        or "MiB" in outcome.said
    )
    assert before.changes(Footprint.of(team.base, own, without=("/.git/gitml/",))) == []
    small_disk(64 * MIB)
    assert runner.run(team.ada.folder, "get", "models/big@1", "-o", str(own)).status == 0
    assert read(own) == {**read(big), "own.txt": b"mine"}


def test_repository_on_a_full_disk(small_disk: Callable[[int], Path], tmp_path: Path, runner: Runner) -> None:
    disk = small_disk(32 * MIB)
    world = World.build(disk / "team")
    handle = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(handle, bytes(4096)):
            pass
    os.close(handle)
    before = world.ada.git("for-each-ref")
    for line in (
        ["register", "models/digits", str(disk / "team/third"), "--offline"],
        ["alias", "models/digits", "champion", "1"],
    ):
        ended = runner.run(world.ada.folder, *line)
        assert_refused(printed(ended.status, ended.stdout, ended.stderr), 11)
        assert world.ada.git("for-each-ref") == before
    world.check()
    (disk / "filler").unlink()
    survive(world, "alias", runner, "in the repository")
    survive(world, "register", runner, "in the repository")
