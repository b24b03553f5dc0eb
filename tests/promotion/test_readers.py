"""Who reads several assets of a stage while it moves sees what one commit of it ran, never half of a promotion.

Each promotion sets three assets to one version, so that a mixed set shows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.promoting import land, register
from support.team import Member, Team, git

from gitml.api import Registry

ASSETS = ("datasets/c", "models/a", "models/b")
STAGE = "staging"
_BETWEEN_S = 0.2
Reading = tuple[str, tuple[str, ...]]
"""A commit of the stage, and the version of each asset there."""


def one_after_another(member: Member) -> Reading:
    """The first is asked for by the name of the stage; the others where that was read, whatever moved meanwhile."""
    first = member.registry.show(f"{ASSETS[0]}@{STAGE}")
    others = [member.registry.show(f"{asset}@{STAGE}", rev=first.commit) for asset in ASSETS[1:]]
    return first.commit, (str(first.ref), *(str(one.ref) for one in others))


def after_a_fetch(member: Member) -> Reading:
    """In a clone that follows by `git fetch`."""
    member.git("fetch", "--quiet", "origin", STAGE)
    return one_after_another(member)


def pulled(member: Member) -> Reading:
    """On the stage's own branch: it is brought up to date, and the bytes of what it runs are placed."""
    found = member.registry.pull()
    return str(found.new), tuple(sorted(str(one.ref) for one in found.placements))


def without_a_clone(team: Team) -> Callable[[Member], Reading]:
    """From the repository's address, as a deploy script does."""

    def read(member: Member) -> Reading:
        address, registry = team.remote.as_uri(), Registry(team.base, needed=False)
        first = registry.show(f"{address}//{ASSETS[0]}@{STAGE}")
        others = [registry.show(f"{address}//{asset}@{STAGE}", rev=first.commit) for asset in ASSETS[1:]]
        return first.commit, (str(first.ref), *(str(one.ref) for one in others))

    return read


def readings(team: Team, count: int) -> dict[str, list[Reading]]:
    """Promote so often, all the while that each kind of reader reads."""
    for version in ("1", "2"):
        for asset in ASSETS:
            register(team.ada, asset, f"{asset} {version}")
    team.ada.registry.push()

    def promote(version: int) -> None:
        refs = [f"{asset}@{version}" for asset in ASSETS]
        land(team.ada, team.ada.registry.promote(*refs, target=STAGE))

    promote(1)
    follower, sitting = team.clone("follower"), team.clone("sitting")
    sitting.git("switch", "--quiet", STAGE)
    ways: dict[str, tuple[Member, Callable[[Member], Reading]]] = {
        "one after another": (team.ada, one_after_another),
        "after a fetch": (follower, after_a_fetch),
        "pulled": (sitting, pulled),
        "without a clone": (team.ada, without_a_clone(team)),
    }
    done = threading.Event()

    def read(member: Member, way: Callable[[Member], Reading]) -> list[Reading]:
        found = []
        while not done.wait(_BETWEEN_S):
            found.append(way(member))
        return found

    with ThreadPoolExecutor(len(ways)) as pool:
        asked = {name: pool.submit(read, *way) for name, way in ways.items()}
        try:
            for number in range(count):
                promote(2 - number % 2)
        finally:
            done.set()
    return {name: one.result() for name, one in asked.items()}


def judge(team: Team, found: dict[str, list[Reading]]) -> None:
    chain = set(git(team.remote, "rev-list", "--first-parent", STAGE).splitlines())
    for name, seen in found.items():
        sets = {versions for _, versions in seen}
        mixed = [one for one in sets if {ref.rpartition("@")[2] for ref in one} not in ({"1"}, {"2"})]
        assert mixed == [], name
        assert all(len(one) == len(ASSETS) for one in sets), name
        assert {commit for commit, _ in seen} <= chain | {""}, name
        print(f"{name}: {len(seen)} readings, {len(sets)} sets")
    assert any(len({versions for _, versions in seen}) == 2 for seen in found.values()), "nobody saw it move"


def test_readers_during_a_few_promotions(tmp_path: Path) -> None:
    team = Team(tmp_path)
    judge(team, readings(team, 12))


@pytest.mark.nightly
def test_readers_during_a_thousand_promotions(tmp_path: Path) -> None:
    team = Team(tmp_path)
    started = time.monotonic()
    judge(team, readings(team, 1000))
    print(f"{time.monotonic() - started:.0f} s")
