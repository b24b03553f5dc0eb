"""Many writers at once, and a process that is killed: nothing is lost, nothing is done twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.promoting import land, number, register, runs
from support.team import Member, Team, git

from gitml.errors import Conflict
from gitml.forge.base import RequestState
from gitml.promotion.merge import Merged

WRITERS = 8
ROOT = Path(__file__).parents[2]


@pytest.fixture
def crowd(team: Team) -> list[Member]:
    """Eight clones with identities of their own, and eight assets on main."""
    for index in range(WRITERS):
        register(team.ada, f"models/m{index}", f"model {index}")
    team.ada.registry.push()
    return [team.clone(f"writer{index}") for index in range(WRITERS)]


def test_eight_promote_and_merge_at_once(team: Team, crowd: list[Member]) -> None:
    def work(index: int) -> tuple[int, str | None]:
        registry = crowd[index].registry
        promotion = registry.promote(f"models/m{index}", target="staging")
        return number(promotion), registry.requests.merge(number(promotion)).commit

    with ThreadPoolExecutor(WRITERS) as pool:
        done = list(pool.map(work, range(WRITERS)))
    assert sorted(first for first, _ in done) == list(range(1, WRITERS + 1))
    assert runs(team, "staging") == {f"models/m{index}": "1" for index in range(WRITERS)}
    chain = git(team.remote, "rev-list", "--first-parent", "staging", "^main").splitlines()
    assert sorted(chain) == sorted(str(commit) for _, commit in done)
    requests = team.ada.registry.requests.list("merged")
    assert sorted(str(request.merged_commit) for request in requests) == sorted(chain)
    assert len(team.ada.registry.history("staging").entries) == WRITERS


def test_eight_ask_for_the_same(team: Team, crowd: list[Member]) -> None:
    for member in crowd:
        member.git("fetch", "--quiet")

    def work(member: Member) -> tuple[int, bool]:
        promotion = member.registry.promote("models/m0", target="staging")
        return number(promotion), promotion.created

    with ThreadPoolExecutor(WRITERS) as pool:
        done = list(pool.map(work, crowd))
    assert {first for first, _ in done} == {1}
    assert [created for _, created in done].count(True) == 1
    assert len(team.ada.registry.requests.show(1).events) == 1


def test_eight_merge_the_same(team: Team, crowd: list[Member]) -> None:
    promotion = team.ada.registry.promote("models/m0", target="staging")
    with ThreadPoolExecutor(WRITERS) as pool:
        done = list(pool.map(lambda member: member.registry.requests.merge(number(promotion)), crowd))
    assert [merged.already for merged in done].count(False) == 1
    assert len({merged.commit for merged in done}) == 1
    assert len(git(team.remote, "rev-list", "--first-parent", "staging", "^main").splitlines()) == 1


def test_eight_review_at_once(team: Team, crowd: list[Member]) -> None:
    promotion = team.ada.registry.promote("models/m0", target="staging")
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda member: member.registry.requests.approve(number(promotion)), crowd))
    request = team.ada.registry.requests.show(number(promotion))
    assert {review.actor.email for review in request.approvals} == {
        f"writer{i}@example.com" for i in range(WRITERS)
    }


def test_one_of_two_versions_of_an_asset_lands(team: Team, crowd: list[Member]) -> None:
    land(team.ada, team.ada.registry.promote("models/m0", target="staging"))
    for text in ("two", "three"):
        register(team.ada, "models/m0", text)
    team.ada.registry.push()
    asked = [team.ada.registry.promote(f"models/m0@{version}", target="staging") for version in ("2", "3")]

    def work(index: int) -> Merged | Conflict:
        try:
            return crowd[index].registry.requests.merge(number(asked[index]))
        except Conflict as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(work, range(2)))
    (won,) = (index for index, one in enumerate(ended) if isinstance(one, Merged))
    lost = ended[1 - won]
    assert isinstance(lost, Conflict) and (lost.code, lost.exit_code) == ("merge-conflict", 5)
    winner = f"staging runs models/m0@{won + 2} now (Merge request {number(asked[won])}: "
    assert winner in lost.message and f"by Writer{won} <writer{won}@example.com>" in lost.message


MERGE = "import sys; from gitml.api import Registry; Registry(sys.argv[1]).requests.merge(int(sys.argv[2]))"
PROMOTE = "import sys; from gitml.api import Registry; Registry(sys.argv[1]).promote('models/digits@2', target='staging')"


def killed_before(nth: int, code: str, *arguments: str) -> None:
    """Run Python and kill it just before it makes its nth pipe, that is between two calls of git.

    A git that runs at that moment goes on by itself, as it would for anybody.
    """
    command = [
        *("strace", "-qq", "-o", "/dev/null", "-e", "trace=pipe2"),
        *("-e", f"inject=pipe2:signal=SIGKILL:when={nth}"),
        *(sys.executable, "-c", code, *arguments),
    ]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL or nth > ALWAYS, done.stderr


ALWAYS = 55
"""Each of the commands makes more pipes than this; how many, depends on how old git's configuration is."""
POINTS = [
    *(5, 40, 55, 65, 75),
    *(pytest.param(nth, marks=pytest.mark.nightly) for nth in (20, 60, 70, 80, 90, 105)),
]


@pytest.mark.parametrize("nth", POINTS)
@pytest.mark.parametrize("remote", [True, False], ids=["remote", "alone"])
def test_killed_while_merging(team: Team, nth: int, *, remote: bool) -> None:
    member = team.ada
    if not remote:
        member.git("remote", "remove", "origin")
    member.registry.promote("models/digits", target="staging")
    killed_before(nth, MERGE, str(member.folder), "1")
    home = team.remote if remote else member.folder
    done = member.registry.requests.merge(1)
    assert done.request.state is RequestState.MERGED
    assert len(git(home, "rev-list", "--first-parent", "staging", "^main").splitlines()) == 1
    assert git(home, "show", "staging:models/digits/staging.yaml") == 'current: "1"'
    assert [entry.request for entry in member.registry.history("staging").entries] == [1]
    git(home, "fsck", "--no-dangling")


@pytest.mark.parametrize("nth", POINTS)
def test_killed_while_promoting(team: Team, nth: int) -> None:
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    register(team.ada, "models/digits", "two")
    team.ada.registry.push()
    killed_before(nth, PROMOTE, str(team.ada.folder))
    promotion = team.ada.registry.promote("models/digits@2", target="staging")
    assert number(promotion) == 2
    land(team.ada, promotion)
    assert runs(team, "staging") == {"models/digits": "2"}
    assert [request.number for request in team.ada.registry.requests.list("all")] == [2, 1]
