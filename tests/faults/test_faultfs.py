"""Storage that goes wrong in every way, at every call of every operation of a store: nothing is lost, nothing wrong
is read, the error is a clear one, and the same again without the fault reaches the goal.

Each point is an operation, a call of it, a kind of fault, and whether it goes away again. What the operation did is
judged on the medium below, which keeps its promises. What servers do on the wire is in test_faultfs_wire.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from support.faultfs import IMPOSSIBLE, LIES, VERBS, FaultFS, Kind, Strike, strikes
from support.schedule import InlinePool
from support.store_operations import (
    OPERATIONS,
    ROOMS,
    TRUTHFUL,
    Alarm,
    Case,
    Operation,
    Template,
    filled,
    judge,
)

from gitml.errors import GitMLError
from gitml.store.store import Store

SEED = os.environ.get("GITML_TEST_SEED", "1")
SAMPLE = 1500


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls come in one order, so that a point is the same point again."""
    for room in ROOMS:
        if hasattr(room, "ThreadPoolExecutor"):
            monkeypatch.setattr(room, "ThreadPoolExecutor", InlinePool)


@pytest.fixture(scope="module")
def template() -> Template:
    return Template()


def made(template: Template, strike: Strike | None = None) -> tuple[FaultFS, Case]:
    """The store behind a medium that goes wrong."""
    truth = filled(template.objects)
    line = FaultFS(truth, strike)
    case = Case(Store(line), truth, template.other(), packs_before=template.packs)
    if strike is not None:
        case.is_struck = True
        lists = {Alarm.LIST} if strike.kind in (Kind.LIST_LACKS, Kind.LIST_KEEPS) else set()
        case.alarms = frozenset(lists | ({Alarm.OBJECT} if strike.kind in LIES else set()))
    return line, case


def tried(template: Template, operation: Operation, strike: Strike) -> None:
    """One point."""
    line, case = made(template, strike)
    try:
        operation.run(case)
    except GitMLError as error:
        allowed = TRUTHFUL | ({4} if strike.kind in (Kind.ABSENT, Kind.STALE) else set())
        assert error.exit_code in allowed, f"exit {error.exit_code}: {error.message}"
        assert error.message and "\n" not in error.message
        assert error.hint, f"nothing is said to do: {error.message}"
    else:
        operation.goal(case)
    line.settle()
    judge(case)
    line.strike = None
    case.healthy()
    operation.run(case)
    operation.goal(case)
    judge(case)


def log_of(template: Template, operation: Operation) -> list[tuple[str, str]]:
    line, case = made(template)
    operation.run(case)
    operation.goal(case)
    judge(case)
    return line.log


def points(template: Template) -> Iterator[tuple[str, Strike]]:
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
