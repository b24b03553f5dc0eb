"""`promote -r URL`: versions go to another repository and its store, by its own rules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.promoting import founded, land, number, register, runs
from support.team import Member, Team, git, read

from gitml.api import Registry
from gitml.errors import Conflict, InvalidInput, NotFound, PolicyRefused, UsageError
from gitml.forge.base import RequestState

POLICY = """stages:
  staging: {from: ["working/*", main], require: {inputs_promoted: true}}
  production: {from: [staging], require: {approvals: 1}}
forge: {kind: auto}
"""


@pytest.fixture
def ours(tmp_path: Path) -> Team:
    return founded(tmp_path / "ours", POLICY)


@pytest.fixture
def theirs(tmp_path: Path) -> Team:
    return Team(tmp_path / "theirs", configuration=POLICY)


def url(team: Team) -> str:
    return team.remote.as_uri()


def refs_of(folder: Path) -> str:
    return git(folder, "for-each-ref", "--format=%(refname) %(objectname)")


def merged(theirs: Team, ours: Team, *refs: str) -> Member:
    asked = ours.ada.registry.promote(*refs, target="staging", repo=url(theirs))
    bob = theirs.clone(f"bob{number(asked)}")
    land(bob, asked)
    return bob


def test_versions_and_their_inputs_go_with_their_bytes(ours: Team, theirs: Team) -> None:
    before = refs_of(ours.ada.folder), refs_of(ours.remote), ours.ada.git("status", "--porcelain")
    bob = merged(theirs, ours, "models/digits")
    assert runs(theirs, "staging") == {"models/digits": "1"}
    assert (refs_of(ours.ada.folder), refs_of(ours.remote), ours.ada.git("status", "--porcelain")) == before
    ours.store.rename(ours.store.with_name("away"))
    bob.git("fetch", "--quiet")
    placed = bob.registry.get("models/digits@staging", bob.folder / "out")
    assert read(placed.destination) == {"data.txt": b"one"}
    assert bob.registry.verify("models/digits@staging").versions
    there = bob.registry.show("datasets/digits@1", rev="origin/staging").asset
    assert (
        there["contents"]["digest"] == bob.registry.show("models/digits@staging").asset["inputs"][0]["digest"]
    )


def test_again_changes_nothing(ours: Team, theirs: Team) -> None:
    first = ours.ada.registry.promote("models/digits", target="staging", repo=url(theirs))
    there = refs_of(theirs.remote)
    again = ours.ada.registry.promote("models/digits", target="staging", repo=url(theirs))
    assert (again.created, again.updated, number(again)) == (False, False, number(first))
    assert refs_of(theirs.remote) == there
    land(theirs.clone("bob"), first)
    done = ours.ada.registry.promote("models/digits", target="staging", repo=url(theirs))
    assert done.request is None


def test_a_rehearsal_touches_nothing(ours: Team, theirs: Team) -> None:
    before = refs_of(theirs.remote), read(theirs.store) if theirs.store.exists() else {}
    plan = ours.ada.registry.promote("models/digits", target="staging", repo=url(theirs), dry_run=True)
    assert "is carried to" in "\n".join(plan.summary)
    assert (refs_of(theirs.remote), read(theirs.store) if theirs.store.exists() else {}) == before


def test_their_policy_judges_before_anything_is_written(ours: Team, theirs: Team) -> None:
    before = refs_of(theirs.remote)
    with pytest.raises(PolicyRefused) as caught:
        ours.ada.registry.promote("models/digits", target="production", repo=url(theirs))
    assert {reason["rule"] for reason in caught.value.context["reasons"]} == {"from"}
    assert refs_of(theirs.remote) == before
    assert not list(theirs.store.rglob("roots/*/*/*")) if theirs.store.exists() else True


def test_other_contents_under_that_version_are_a_conflict(ours: Team, theirs: Team) -> None:
    register(theirs.ada, "models/digits", "theirs")
    theirs.ada.registry.push()
    with pytest.raises(Conflict) as caught:
        ours.ada.registry.promote("models/digits", target="staging", repo=url(theirs))
    assert caught.value.code == "version-exists"
    assert caught.value.exit_code == 5


def test_the_same_contents_there_are_used(ours: Team, theirs: Team) -> None:
    register(theirs.ada, "datasets/digits", "1,2\n")
    theirs.ada.registry.push()
    asked = ours.ada.registry.promote("datasets/digits", target="staging", repo=url(theirs))
    assert "working/from-" not in refs_of(theirs.remote)
    land(theirs.clone("bob"), asked)
    assert runs(theirs, "staging") == {"datasets/digits": "1"}


def test_one_store_for_both_moves_no_bytes(tmp_path: Path, ours: Team) -> None:
    theirs = Team(tmp_path / "theirs", configuration=POLICY, store=False)
    text = (theirs.ada.folder / "gitml.yaml").read_text()
    (theirs.ada.folder / "gitml.yaml").write_text(text + f"stores: {{default: {{url: {ours.store}}}}}\n")
    theirs.ada.git("commit", "--quiet", "-am", "Store")
    theirs.ada.git("push", "--quiet")
    packs = sorted(ours.store.rglob("packs/**/*"))
    merged(theirs, ours, "models/digits")
    assert sorted(ours.store.rglob("packs/**/*")) == packs


def test_a_repository_without_a_store_gets_no_pointer(tmp_path: Path, ours: Team) -> None:
    theirs = Team(tmp_path / "theirs", configuration=POLICY, store=False)
    before = refs_of(theirs.remote)
    with pytest.raises((UsageError, PolicyRefused)):
        ours.ada.registry.promote("models/digits", target="staging", repo=url(theirs))
    assert refs_of(theirs.remote) == before


def test_a_branch_goes_nowhere_else(ours: Team, theirs: Team) -> None:
    with pytest.raises(UsageError) as caught:
        ours.ada.registry.promote(source="working/x", target="staging", repo=url(theirs))
    assert caught.value.code == "other-repository"


@pytest.mark.parametrize("repo", ["ext::sh -c x", "--upload-pack=x", "./nowhere", "http://git.example.com/x"])
def test_hostile_repositories(ours: Team, repo: str) -> None:
    with pytest.raises((NotFound, UsageError, InvalidInput)) as caught:
        ours.ada.registry.promote("models/digits", target="staging", repo=repo)
    assert caught.value.exit_code in (2, 3, 4)


def test_two_at_once(ours: Team, theirs: Team, environment: dict[str, str]) -> None:
    carol = ours.clone("carol")
    register(ours.ada, "models/other", "other")
    ours.ada.registry.push()
    carol.git("pull", "--quiet")
    commands = [(ours.ada, "models/digits"), (carol, "models/other")]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "gitml.cli", "promote", ref, "-t", "staging", "-r", url(theirs)],
            cwd=member.folder,
            env=environment,
        )
        for member, ref in commands
    ]
    assert [process.wait(120) for process in running] == [0, 0]
    requests = Registry(theirs.clone("bob").folder).requests.list()
    assert sorted(ref for request in requests for ref in request.refs) == [
        "models/digits@1",
        "models/other@1",
    ]


@pytest.mark.parametrize("after", ["sent", "pushed"])
def test_a_run_that_was_killed_is_run_again(
    ours: Team, theirs: Team, environment: dict[str, str], after: str
) -> None:
    program = (
        "import os, sys\n"
        "from gitml.api import Registry\n"
        "from gitml.promotion import elsewhere, plan\n"
        "def die(*a, **k): os.kill(os.getpid(), 9)\n"
        + ("elsewhere._push = die\n" if after == "sent" else "plan.propose = die\n")
        + "Registry('.').promote('models/digits', target='staging', repo=sys.argv[1])\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, url(theirs)], cwd=ours.ada.folder, env=environment, check=False
    )
    assert killed.returncode == -9
    assert ("working/from-" in refs_of(theirs.remote)) == (after == "pushed")
    assert "requests" not in refs_of(theirs.remote)
    bob = merged(theirs, ours, "models/digits")
    assert bob.registry.requests.list("all")[0].state is RequestState.MERGED
    assert os.listdir(theirs.store)
