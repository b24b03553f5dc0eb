"""How long failed calls are made again, by a clock that the test turns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gitml.store.media.retry import Failure, FailureKind, Patience, seconds_until

BUSY = Failure(kind=FailureKind.BUSY, reason="busy")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def patience(clock: Clock) -> Patience:
    return Patience(120, 30, clock=lambda: clock.now_s, sleep=clock.sleep)


def exhausted(waiting: Patience, clock: Clock | None = None) -> int:
    """Attempts until no more are made; with a clock, each of them stalls for as long as it may."""
    for attempts in range(1, 1000):
        stall_s = waiting.attempt_s()
        if clock is not None:
            clock.now_s += stall_s + 0.01  # a watch is never on the dot
        if not waiting.wait(attempts, BUSY):
            return attempts
    pytest.fail("there was no end of attempts")


def test_waits_grow_and_end_at_the_cap(clock: Clock) -> None:
    attempts = exhausted(patience(clock))
    assert 12 <= attempts <= 60
    assert sum(clock.waits) <= 120
    assert sum(clock.waits) > 100
    assert max(clock.waits[:2]) < 1
    assert max(clock.waits) <= 10


def test_waits_are_drawn_at_random() -> None:
    draws = set()
    for _ in range(20):
        clock = Clock()
        patience(clock).wait(5, BUSY)
        draws.add(clock.waits[0])
    assert len(draws) > 10


def test_a_server_that_says_when_is_obeyed(clock: Clock) -> None:
    waiting = patience(clock)
    assert waiting.wait(1, Failure(kind=FailureKind.BUSY, reason="", retry_after_s=20))
    assert 20 <= clock.waits[0] < 21
    assert not waiting.wait(2, Failure(kind=FailureKind.BUSY, reason="", retry_after_s=3600))
    assert len(clock.waits) == 1


def test_all_workers_share_one_outage(clock: Clock) -> None:
    waiting = patience(clock)
    exhausted(waiting)
    began_s = clock.now_s
    assert exhausted(waiting) == 1
    assert clock.now_s == began_s


def test_attempts_after_the_cap_are_short(clock: Clock) -> None:
    waiting = patience(clock)
    assert waiting.attempt_s() == 30
    waiting.wait(1, BUSY)
    clock.now_s += 110
    assert 5 <= waiting.attempt_s() <= 10
    waiting.wait(2, BUSY)
    clock.now_s += 20
    assert waiting.attempt_s() == 5


@pytest.mark.parametrize("cap_s", [0.5, 3, 15, 29, 31, 120])
def test_attempts_that_stall_end_whatever_the_cap(clock: Clock, cap_s: float) -> None:
    """Also where an attempt takes as long as an outage may last."""
    waiting = Patience(cap_s, 30, clock=lambda: clock.now_s, sleep=clock.sleep)
    for _ in range(3):  # calls, one after the other
        began_s = clock.now_s
        exhausted(waiting, clock)
        assert clock.now_s - began_s <= cap_s + 2 * min(30, cap_s) + 1


def test_an_answer_ends_the_outage(clock: Clock) -> None:
    waiting = patience(clock)
    exhausted(waiting)
    waiting.answered()
    assert waiting.attempt_s() == 30
    assert exhausted(waiting) > 5


def test_an_old_outage_is_forgotten(clock: Clock) -> None:
    waiting = patience(clock)
    exhausted(waiting)
    clock.now_s += 1000
    assert exhausted(waiting) > 5


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("0", 0, 0), ("120", 120, 120), (" 7 ", 7, 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0)],
)
def test_when_to_come_back(text: str, least: float, most: float) -> None:
    found = seconds_until(text)
    assert found is not None
    assert least <= found <= most


def test_a_moment_to_come_back_at() -> None:
    found = seconds_until(format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))
    assert found is not None
    assert 80 < found <= 90


@pytest.mark.parametrize("text", [None, "", "soon", "-1", "1.5", "Wed, 99 Oct 2015", "٣"])
def test_what_says_nothing_of_when(text: str | None) -> None:
    assert seconds_until(text) is None
