"""Servers of S3 and Azure that go wrong in every way, at every request of every operation of a store.

The same operations and the same judgement as in test_faultfs, through the real clients: what the network or the
server does wrong once is not noticed; what does not end, ends in time with a clear error; nothing is lost, nothing
wrong is read, and the same again without the fault reaches the goal.
"""

from __future__ import annotations

import functools
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from servers.running import AZURITE_ACCOUNT
from support.remote import BY_SDK, SCHEMES, Place, place
from support.schedule import InlinePool
from support.store_operations import (
    OPERATIONS,
    ROOMS,
    TRUTHFUL,
    Alarm,
    Case,
    Template,
    judge,
)
from support.wire import HARMLESS, IMPOSSIBLE, LIES, PASSING, Kind, Strike, Wire, strikes

from gitml.errors import GitMLError
from gitml.model.store_url import parse_store_url
from gitml.store.media.medium import Medium
from gitml.store.store import Store

SEED = os.environ.get("GITML_TEST_SEED", "1")
SAMPLE, NIGHTLY = 3, 100
FLAVOURS = ("moto", BY_SDK, "azurite")
HURRIED, PATIENT = (4.0, 1.5), (30.0, 3.0)
"""How long an outage and a stall may last: where it does not end, and where it has to pass on any machine."""
TIME_CAP_S = 60.0
"""Of one operation: the calls that fail share an outage, and most operations have some work after it."""


@dataclass
class Site:
    """A place on a server that can be put back as it was."""

    server: str
    place: Place
    template: Template
    truth: Medium
    logs: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def restore(self) -> None:
        wanted = self.template.objects
        there = dict(self.truth.list(""))
        for name in there.keys() - wanted.keys():
            self.truth.delete(name)
        for name, data in wanted.items():
            if there.get(name) != len(data) or name.startswith(("roots/", "gc/")):
                self.truth.put(name, [data])

    def wire(self) -> Wire:
        """The server, as it goes wrong."""
        url = parse_store_url(self.place.url)
        account = f"/{AZURITE_ACCOUNT}" if self.server == "azurite" else ""
        above = f"{account}/{url.bucket}/"
        return Wire(self.place.port, SCHEMES[self.server], above, f"{url.prefix}/", self.truth)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls come in one order, so that a point is the same point again."""
    for room in ROOMS:
        if hasattr(room, "ThreadPoolExecutor"):
            monkeypatch.setattr(room, "ThreadPoolExecutor", InlinePool)


@functools.cache
def template() -> Template:
    return Template()


@pytest.fixture
def site_on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Site]:
    """Gives a place of its own on a server."""

    def made(flavour: str) -> Site:
        there = place(flavour, monkeypatch)
        server = "moto" if flavour == BY_SDK else flavour
        return Site(server, there, template(), there.open())

    return made


def seen_through(site: Site, wire: Wire, limits: tuple[float, float] = PATIENT) -> Case:
    """The store behind the wire; waits between attempts are short, and stalls are seen soon."""
    medium = site.place.at(wire.port).open(timeout_s=limits[0], stall_s=limits[1])
    medium._patience._sleep = lambda seconds: time.sleep(min(seconds, 0.02))  # type: ignore[attr-defined]
    return Case(Store(medium), site.truth, site.template.other(), packs_before=site.template.packs)


def log_of(site: Site, name: str) -> list[tuple[str, str]]:
    """The requests of an operation when all is well."""
    if name not in site.logs:
        site.restore()
        with site.wire() as wire:
            case = seen_through(site, wire)
            OPERATIONS[name].run(case)
            OPERATIONS[name].goal(case)
            judge(case)
            site.logs[name] = list(wire.log)
    return site.logs[name]


def tried(site: Site, name: str, strike: Strike) -> None:
    """One point."""
    operation, kind = OPERATIONS[name], strike.kind
    site.restore()
    with site.wire() as wire:
        case = seen_through(site, wire, HURRIED if strike.sticky else PATIENT)
        wire.strike, case.is_struck = strike, True
        lists = {Alarm.LIST} if kind in (Kind.LIST_LACKS, Kind.LIST_KEEPS) else set()
        case.alarms = frozenset(lists | ({Alarm.OBJECT} if kind in LIES else set()))
        began_s = time.monotonic()
        try:
            operation.run(case)
        except GitMLError as error:
            allowed = TRUTHFUL | ({4} if kind in (Kind.ABSENT, Kind.STALE) else set())
            assert error.exit_code in allowed, f"exit {error.exit_code}: {error.message}"
            assert error.message and "\n" not in error.message and error.hint
            assert kind not in HARMLESS, f"it was noticed: {error.message}"
            renews = kind is not Kind.EXPIRED or site.server != "azurite"  # an account key is never renewed
            assert kind not in PASSING or strike.sticky or not renews, f"once was too often: {error.message}"
        else:
            operation.goal(case)
        assert time.monotonic() - began_s < TIME_CAP_S
        wire.settle()
        judge(case)
        wire.strike = None
        case.healthy()
        case.store = seen_through(site, wire).store
        operation.run(case)
        operation.goal(case)
        judge(case)


def points(site: Site, name: str) -> Iterator[Strike]:
    return strikes(log_of(site, name))


def try_all(site: Site, chosen: list[tuple[str, Strike]]) -> None:
    failed = []
    for name, strike in chosen:
        try:
            tried(site, name, strike)
        except Exception as error:
            failed.append(f"{name}: {strike}: {type(error).__name__}: {str(error)[:300]}")
    assert not failed, f"seed {SEED}, {site.server}: {len(failed)} of {len(chosen)} points:\n" + "\n".join(
        failed[:200]
    )


@pytest.mark.parametrize("flavour", ["moto", "azurite", pytest.param(BY_SDK, marks=pytest.mark.nightly)])
def test_sampled_points(flavour: str, site_on: Callable[[str], Site]) -> None:
    """Each kind comes up equally often."""
    site, chance = site_on(flavour), random.Random(f"wire-{SEED}-{flavour}")
    kinds = list(Kind)
    chance.shuffle(kinds)
    chosen = []
    for kind in kinds[:SAMPLE]:
        name = chance.choice(list(OPERATIONS))
        found = [one for one in points(site, name) if one.kind is kind]
        chosen += [(name, one) for one in chance.sample(found, min(1, len(found)))]
    assert chosen
    try_all(site, chosen)


FOUND = {
    BY_SDK: [("replicate-to", Strike(16, Kind.EXPIRED))],  # a look, whose answer has no words
    "azurite": [
        ("gc", Strike(10, Kind.WRONG_RANGE)),
        ("gc", Strike(10, Kind.WRONG_RANGE, sticky=True)),
    ],
}
"""Points that ended otherwise than they have to."""


@pytest.mark.parametrize("flavour", FOUND)
def test_points_that_once_failed(flavour: str, site_on: Callable[[str], Site]) -> None:
    try_all(site_on(flavour), FOUND[flavour])


@pytest.mark.nightly
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("flavour", [*FLAVOURS, "ceph"])
def test_every_point(flavour: str, name: str, site_on: Callable[[str], Site]) -> None:
    """With GITML_TEST_ALL=1 really every one, which takes hours for each server; else so many of each operation."""
    site = site_on(flavour)
    every = [(name, strike) for strike in points(site, name)]
    if not os.environ.get("GITML_TEST_ALL"):
        every = random.Random(f"wire-{SEED}-{flavour}-{name}").sample(every, min(NIGHTLY, len(every)))
    try_all(site, every)


def test_every_kind_of_the_plan_is_here() -> None:
    """27 kinds; throttling, and credentials that hold no longer, each in two ways."""
    assert len(Kind) - 2 + len(IMPOSSIBLE) == 27
