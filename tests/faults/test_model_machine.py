"""Two people, one remote, one store, against a plain dictionary."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.team import Member, Team, read, write

from gitml.errors import Conflict, GitMLError, NotFound, PolicyRefused

ASSETS = ("datasets/rows", "models/net")
CONTENTS = st.dictionaries(
    st.sampled_from(["a.txt", "b/c.bin", "README.md"]), st.binary(max_size=40), min_size=1, max_size=3
)
PEOPLE = st.sampled_from(["ada", "grace"])


class TwoPeople(RuleBasedStateMachine):
    """Whatever they do in whatever order, every acknowledged version reads back as it was registered."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="gitml-machine-"))
        self.places = 0
        self.versions: dict[str, dict[str, bytes]] = {}
        self.owner: dict[str, str] = {}
        self.pushed: set[str] = set()
        self.runs: dict[str, list[str]] = {asset: [] for asset in ASSETS}

    @initialize()
    def found(self) -> None:
        self.team = Team(self.base / "team")
        self.people = {"ada": self.team.ada, "grace": self.team.clone("grace")}

    def place(self) -> Path:
        self.places += 1
        return self.base / f"place{self.places}"

    def branch(self, person: str) -> str:
        return f"working/{person}"

    def latest(self, person: str, asset: str) -> str | None:
        mine = [ref for ref, owner in self.owner.items() if owner == person and ref.startswith(f"{asset}@")]
        return max(mine, key=lambda ref: int(ref.split("@")[1]), default=None)

    @rule(person=PEOPLE, asset=st.sampled_from(ASSETS), contents=CONTENTS)
    def register(self, person: str, asset: str, contents: dict[str, bytes]) -> None:
        contents |= {
            "by": person.encode()
        }  # else a number may be that of both: it is claimed for contents, not for people
        newest = self.latest(person, asset)
        folder = write(self.place(), contents)
        done = self.people[person].registry.register(asset, folder, branch=self.branch(person))
        ref = str(done.ref)
        if newest is not None and self.versions[newest] == contents:
            assert ref == newest and not done.created
        else:
            assert done.created and ref not in self.versions
            self.versions[ref], self.owner[ref] = contents, person

    @rule(person=PEOPLE)
    def push(self, person: str) -> None:
        self.people[person].registry.push()
        self.pushed |= {ref for ref, owner in self.owner.items() if owner == person}

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), via=st.sampled_from(["folder", "again"]))
    def get(self, data: st.DataObject, via: str) -> None:
        ref = data.draw(st.sampled_from(sorted(self.versions)))
        owner = self.owner[ref]
        place = self.place()
        for _ in range(2 if via == "again" else 1):
            self.people[owner].registry.get(ref, place, rev=self.branch(owner))
        assert read(place) == self.versions[ref]

    @precondition(lambda self: self.pushed)
    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        ref = data.draw(st.sampled_from(sorted(self.pushed)))
        asset, owner = ref.split("@")[0], self.owner[ref]
        other = "grace" if owner == "ada" else "ada"
        asker = self.people[owner].registry
        done = asker.promote(ref, source=self.branch(owner), target="staging")
        if self.runs[asset] and self.runs[asset][-1] == ref:
            assert done.request is None
            return
        assert done.request is not None
        reviewer = self.people[other].registry
        reviewer.requests.approve(done.request.number)
        reviewer.requests.merge(done.request.number)
        self.runs[asset].append(ref)

    @rule(asset=st.sampled_from(ASSETS))
    def roll_back(self, asset: str) -> None:
        earlier = [ref for ref in self.runs[asset] if ref != self.runs[asset][-1]]
        try:
            done = self.people["ada"].registry.rollback(asset, target="staging")
        except (NotFound, Conflict, PolicyRefused):
            assert not earlier
            return
        assert done.request is not None and earlier
        self.people["grace"].registry.requests.merge(done.request.number)
        self.runs[asset].append(str(done.plan.moves[0].asset) + "@" + str(done.plan.moves[0].to_version))

    @precondition(lambda self: any(self.runs.values()))
    @rule(data=st.data(), person=PEOPLE)
    def deploy(self, data: st.DataObject, person: str) -> None:
        asset = data.draw(st.sampled_from([asset for asset, runs in self.runs.items() if runs]))
        member: Member = self.people[person]
        member.git("fetch", "--quiet", "origin")
        place = self.place()
        done = member.registry.get(f"{asset}@staging", place)
        assert str(done.ref) == self.runs[asset][-1]
        assert read(place) == self.versions[self.runs[asset][-1]]

    @rule(person=PEOPLE, asset=st.sampled_from(ASSETS))
    def what_is_not_there_is_not_found(self, person: str, asset: str) -> None:
        with pytest.raises(GitMLError) as caught:
            self.people[person].registry.show(f"{asset}@999")
        assert caught.value.exit_code == 4

    @invariant()
    def nobody_sees_anything_in_git_status(self) -> None:
        for person in getattr(self, "people", {}).values():
            assert person.git("status", "--porcelain") == ""

    def teardown(self) -> None:
        try:
            if self.versions:
                for person in self.people.values():
                    person.registry.verify(all=True, deep=True)
                for path in (self.team.remote, self.team.ada.folder):
                    assert os.system(f"git -C '{path}' fsck --strict --no-dangling >/dev/null 2>&1") == 0
        finally:
            shutil.rmtree(self.base, ignore_errors=True)


TestTwoPeople = TwoPeople.TestCase
TestTwoPeople.settings = settings(
    max_examples=int(os.environ.get("GITML_TEST_MACHINES", "8")),
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
