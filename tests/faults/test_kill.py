"""The power goes at any step of any command: nothing is lost, and the same command reaches its goal."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.canaries import program, program_environment
from support.killing import Runner, traced
from support.world import SCENARIOS, Scenario, World

ANY = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
SEED = os.environ.get("GITML_TEST_SEED", "1")
POINTS = int(os.environ.get("GITML_TEST_KILL_POINTS", "5"))
CALLS = ("fsync,fdatasync", "rename,renameat,renameat2", "link,linkat,unlink,unlinkat", "mkdir,mkdirat",
         "write,writev,pwrite64", "openat")  # fmt: skip


def survive(world: World, scenario: Scenario, runner: Runner, at: str) -> None:
    """Judge the world after a death, run the command again, and judge it once more."""
    try:
        world.check()
        again = runner.run(scenario.folder(world), *scenario.words(world))
        assert again.status == 0, again.stderr
        scenario.goal(world)
        world.check(contents=True)
        assert world.leftovers() == []
    except BaseException as error:
        error.add_note(f"{scenario.name} died {at}")
        raise


def sweep(points: list[int], scenario: Scenario, worlds: Callable[[], World], runner: Runner) -> None:
    for point in points:
        world = worlds()
        ended = runner.run(scenario.folder(world), *scenario.words(world), kill_at=point)
        assert ended.killed or ended.status == 0, ended.stderr
        survive(world, scenario, runner, f"before step {point}")


def steps_of(scenario: Scenario, worlds: Callable[[], World], runner: Runner) -> int:
    world = worlds()
    counted = runner.run(scenario.folder(world), *scenario.words(world), kill_at=0)
    assert counted.status == 0, counted.stderr
    scenario.goal(world)
    world.check()
    return counted.steps


@ANY
def test_killed_at_sampled_steps(scenario: Scenario, worlds: Callable[[], World], runner: Runner) -> None:
    steps = steps_of(scenario, worlds, runner)
    assert steps > POINTS
    points = random.Random(f"{SEED}-{scenario.name}").sample(range(1, steps + 1), POINTS)
    sweep(sorted(points), scenario, worlds, runner)


@pytest.mark.nightly
@ANY
def test_killed_at_every_step(scenario: Scenario, worlds: Callable[[], World], runner: Runner) -> None:
    steps = steps_of(scenario, worlds, runner)
    sweep(list(range(1, steps + 1)), scenario, worlds, runner)


@pytest.mark.nightly
@ANY
def test_killed_twice(scenario: Scenario, worlds: Callable[[], World], runner: Runner) -> None:
    """The repeated command dies as well."""
    steps = steps_of(scenario, worlds, runner)
    chance = random.Random(f"{SEED}-twice-{scenario.name}")
    for _ in range(20):
        world = worlds()
        first, second = chance.randint(1, steps), chance.randint(1, steps)
        for point in (first, second):
            runner.run(scenario.folder(world), *scenario.words(world), kill_at=point)
        survive(world, scenario, runner, f"before step {first}, then {second}")


def kill_in_git_too(
    scenario: Scenario,
    calls: str,
    when: int,
    world: World,
    runner: Runner,
    environment: dict[str, str],
    log: Path,
) -> bool:
    ended = traced(
        program(*scenario.words(world)),
        scenario.folder(world),
        program_environment(environment),
        calls,
        when,
        log,
    )
    for lock in (world.base / "remote.git").rglob("*.lock"):
        # A server's git would have lived on; that of a folder died, too, and only its owner may say so.
        lock.unlink()
    survive(world, scenario, runner, f"at call {when} of {calls}")
    return ended.killed


@pytest.mark.parametrize("name", ["register", "push", "merge", "promote"])
def test_killed_at_sampled_system_calls(
    name: str, worlds: Callable[[], World], runner: Runner, environment: dict[str, str], tmp_path: Path
) -> None:
    """Also inside git: whichever process first makes the N-th call dies, and the rest with it."""
    scenario = SCENARIOS[name]
    chance = random.Random(f"{SEED}-strace-{name}")
    deaths = 0
    for number, (calls, when) in enumerate(
        [(chance.choice(CALLS[:3]), 1), (chance.choice(CALLS[:4]), chance.randint(2, 4))]
    ):
        deaths += kill_in_git_too(
            scenario, calls, when, worlds(), runner, environment, tmp_path / f"log{number}"
        )
    assert deaths


@pytest.mark.nightly
@pytest.mark.parametrize("calls", CALLS)
@ANY
def test_killed_at_every_system_call(
    scenario: Scenario,
    calls: str,
    worlds: Callable[[], World],
    runner: Runner,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    # Reads count as `openat`, too; there, and at `write`, a step of seven reaches every part of the command.
    stride = 7 if calls in ("openat", "write,writev,pwrite64") else 1
    for when in range(1, 4000, stride):
        log = tmp_path / f"log{when}"
        if not kill_in_git_too(scenario, calls, when, worlds(), runner, environment, log):
            return


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
@ANY
def test_interrupted(scenario: Scenario, number: int, worlds: Callable[[], World], runner: Runner) -> None:
    """At some moment of the command; what it says and leaves is the same at any."""
    world = worlds()
    started = time.monotonic()
    assert runner.run(scenario.folder(world), *scenario.words(world)).status == 0
    whole_s = time.monotonic() - started
    world = worlds()
    running = runner.start(scenario.folder(world), *scenario.words(world))
    time.sleep(whole_s * random.Random(f"{SEED}-{scenario.name}-{number}").uniform(0.1, 0.8))
    running.interrupt(number)
    ended = running.wait()
    if number == signal.SIGINT:
        assert ended.status in (0, 130), ended.stderr
        assert "Traceback" not in ended.stderr, ended.stderr
        if ended.status == 130:
            assert ended.stderr.splitlines()[-1] == "gitml: stopped", ended.stderr
    survive(world, scenario, runner, f"by signal {number}")
