"""The pace of writers that race for one ref, on a clock that is made up."""

from __future__ import annotations

import heapq
import logging
import random

import pytest

from gitml.git.racing import MOST_ATTEMPTS, Race


class Clock:
    """Attempts take a second; what is slept is kept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def race(clock: Clock, chance: float, **options: int) -> Race:
    return Race("move x", clock=clock, sleep=clock.sleep, chance=lambda: chance, **options)


def test_the_first_attempt_waits_for_nobody() -> None:
    clock = Clock()
    one = race(clock, 1.0)
    assert next(one.attempts()) == 0
    assert (clock.slept, one.retries) == ([], 0)


def test_pauses_double_in_units_of_an_attempt_and_are_bounded() -> None:
    clock = Clock()
    one = race(clock, 1.0)
    for attempt in one.attempts():
        clock.now += 0.5 if attempt < 3 else 0.25
    assert clock.slept[:3] == [2.0, 4.0, 8.0]
    assert set(clock.slept[6:]) == {16.0}, "64 units of a quarter of a second"
    assert one.retries == len(clock.slept) == MOST_ATTEMPTS - 1
    assert one.waited_s == sum(clock.slept)


def test_an_attempt_that_took_no_time_waits_a_little_all_the_same() -> None:
    clock = Clock()
    assert list(race(clock, 0.5, most_attempts=2).attempts()) == [0, 1]
    assert 0 < clock.slept[0] < 0.1


def test_who_gives_up_says_how_often(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    one = race(clock, 0.5, most_attempts=3)
    with caplog.at_level(logging.DEBUG, "gitml"):
        for _ in one.attempts():
            clock.now += 1
    assert [record.getMessage() for record in caplog.records] == [
        "move x: others were first; attempt 2 in 2.00 s",
        "move x: others were first; attempt 3 in 4.00 s",
    ]
    error = one.lost(said="it is locked")
    assert (error.exit_code, error.code, error.context) == (9, "too-many-writers", {"attempts": 3})
    assert error.message == "could not move x: others were first at each of 3 attempts (it is locked)"


def crowd(writers: int, seed: int) -> list[int]:
    """How often each begins again, where one wins of all whose attempts overlap, and two processors do the work."""
    chance, version, active = random.Random(seed), 0, 0
    clocks = [Clock() for _ in range(writers)]
    races = [Race("x", clock=one, sleep=one.sleep, chance=chance.random) for one in clocks]
    attempts = [one.attempts() for one in races]
    seen = [0] * writers
    events = [(chance.random() / 100, writer, "begin") for writer in range(writers)]
    heapq.heapify(events)
    while events:
        now, writer, what = heapq.heappop(events)
        clocks[writer].now = now
        if what == "begin":
            if races[writer].retries == 0:
                next(attempts[writer])
            active += 1
            seen[writer] = version
            took = max(1.0, active / 2) * chance.uniform(0.8, 1.2)
            heapq.heappush(events, (now + took, writer, "end"))
            continue
        active -= 1
        if seen[writer] == version:
            version += 1
        else:
            next(attempts[writer])
            heapq.heappush(events, (clocks[writer].now, writer, "begin"))
    return [one.retries for one in races]


@pytest.mark.parametrize(("writers", "most"), [(2, 1), (8, 5), (64, 12)])
def test_each_of_many_finds_room(writers: int, most: int) -> None:
    for seed in range(20):
        retries = sorted(crowd(writers, seed))
        assert len(retries) == writers and retries[-1] <= most
        assert retries[writers * 99 // 100 - 1] <= 8
