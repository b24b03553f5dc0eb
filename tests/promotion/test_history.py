"""`history` and `rollback`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.cli import InFolder
from support.events import last
from support.promoting import POLICY, founded, land, number, register, runs
from support.team import Member, Team, git, write

from gitml.api import Registry
from gitml.errors import NotFound, PolicyRefused, UsageError
from gitml.git.command import GitCommand
from gitml.promotion.history import parse_moment


def walk(team: Team) -> None:
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    for text in ("two", "three"):
        register(team.ada, "models/digits", text)
        team.ada.registry.push()
        land(team.ada, team.ada.registry.promote("models/digits", target="staging"))


THEN = {"walked": walk}


@pytest.fixture
def walked(team: Team) -> Team:
    """staging ran models/digits 1, 2, 3 by requests 1, 2, 3."""
    return team


@pytest.mark.parametrize("version", ["2", "4"], ids=["ran before", "new"])
def test_promoting_asks_git_no_more_often_after_more_requests(
    walked: Team, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(walked.ada, "models/digits", "four")
    walked.ada.registry.push()
    original, asked = GitCommand.start, [0]

    def start(self: GitCommand, *arguments: str, **named: Any) -> Any:
        asked[0] += 1
        return original(self, *arguments, **named)

    monkeypatch.setattr(GitCommand, "start", start)

    def processes() -> int:
        asked[0] = 0
        Registry(walked.ada.folder).promote(f"models/digits@{version}", target="staging", dry_run=True)
        return asked[0]

    few = processes()
    for _ in range(3):
        for back in ("1", "3"):
            land(walked.ada, walked.ada.registry.promote(f"models/digits@{back}", target="staging"))
    assert processes() == few


def test_of_a_stage_and_of_an_asset(walked: Team) -> None:
    entries = walked.ada.registry.history("staging").entries
    assert [(str(e.from_version), str(e.to_version), e.request) for e in entries] == [
        ("2", "3", 3),
        ("1", "2", 2),
        ("None", "1", 1),
    ]
    assert {entry.author for entry in entries} == {"Ada Example <ada@example.com>"}
    assert walked.ada.registry.history("models/digits").entries == entries
    checks = {one.rule: one.verdict for one in entries[0].checks}
    assert checks["from"] == checks["bytes"] == "passed" and "metrics" not in checks
    assert checks["rejected"] == "left-aside", "people speak after the request is made"
    text = InFolder(walked.ada.folder).ok("history", "staging").stdout
    assert "CHECKS" in text and f"{list(checks.values()).count('passed')} passed" in text


def test_at_a_date(walked: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = walked.ada.registry.history("staging").entries
    moment = entries[1].time
    later = [e for e in entries if e.time <= moment]
    told = walked.ada.registry.history("staging", at=f"{moment:%Y-%m-%dT%H:%M:%SZ}").entries
    assert [str(e.to_version) for e in told] == [str(later[0].to_version)]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert [str(e.to_version) for e in walked.ada.registry.history("staging", at=today).entries] == ["3"]
    with pytest.raises(NotFound) as caught:
        walked.ada.registry.history("staging", at="2001-01-01")
    assert caught.value.code == "nothing-then"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21", datetime(2026, 11, 21, 23, 59, 59, 999999, UTC)),
        ("2026-11-21T04:30", datetime(2026, 11, 21, 4, 30, tzinfo=UTC)),
        ("2026-11-21T04:30:05Z", datetime(2026, 11, 21, 4, 30, 5, tzinfo=UTC)),
        ("2026-11-21 04:30:05.25+02:00", datetime(2026, 11, 21, 2, 30, 5, 250000, UTC)),
    ],
)
def test_dates(text: str, moment: datetime) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-13-01",
        "2026-02-30",
        "21.11.2026",
        "2026-11-21T25:00",
        "20261121",
        "2026-W47",
        "1e3",
    ],
)
def test_no_dates(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_moment(text)
    assert caught.value.code == "bad-date"


def test_what_went_around_the_requests(walked: Team, bob: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    bob.git("switch", "--quiet", "--track", "origin/staging")
    write(bob.folder, {"models/digits/staging.yaml": 'current: "1"\n'})
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2001-01-01T00:00:00Z")
    bob.git("commit", "--quiet", "--all", "-m", "By hand")
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    bob.git("push", "--quiet", "origin", "staging")
    newest, before = walked.ada.registry.history("staging").entries[:2]
    assert (newest.kind.value, newest.request, newest.time_guessed) == ("moved", None, True)
    assert newest.checks == ()
    assert newest.author == "Bob <bob@example.com>"
    assert newest.time == before.time, "a clock that runs behind does not turn the order round"


def test_a_stage_that_was_never_used(team: Team) -> None:
    with pytest.raises(NotFound) as caught:
        team.ada.registry.history("production")
    assert caught.value.code == "stage-unborn"
    with pytest.raises(NotFound):
        team.ada.registry.history("models/none")


def test_a_shallow_clone(walked: Team) -> None:
    carl = walked.clone("carl", None, None, "--depth", "1")
    with pytest.raises(NotFound) as caught:
        carl.registry.history("staging")
    assert caught.value.hint == "git fetch --unshallow origin"
    carl.git("fetch", "--quiet", "--unshallow", "origin")
    assert len(carl.registry.history("staging").entries) == 3


def test_the_event_says_when(walked: Team) -> None:
    _, fields = last(walked.ada, 3)
    entry = walked.ada.registry.history("staging").entries[0]
    assert fields["kind"] == "merged"
    assert f"{entry.time:%Y-%m-%dT%H:%M:%SZ}" == fields["time"]
    assert fields["base"] == git(walked.remote, "rev-parse", "staging^1")


def test_rollback_goes_to_the_version_before(walked: Team, bob: Member) -> None:
    back = bob.registry.rollback("models/digits", target="staging")
    assert back.plan.kind.value == "rollback"
    assert back.plan.folders == ()
    assert back.request is not None
    diff = bob.git("diff", "--name-only", f"{back.request.head}^", back.request.head).splitlines()
    assert diff == ["models/digits/staging.yaml"]
    land(bob, back)
    assert runs(walked, "staging") == {"models/digits": "2"}
    land(bob, bob.registry.rollback("models/digits", target="staging"))
    assert runs(walked, "staging") == {"models/digits": "3"}


def test_rollback_to_a_version(walked: Team) -> None:
    land(walked.ada, walked.ada.registry.rollback("models/digits", target="staging", to="1"))
    assert runs(walked, "staging") == {"models/digits": "1"}
    assert walked.ada.registry.history("staging").entries[0].kind.value == "rolled-back"
    again = walked.ada.registry.rollback("models/digits", target="staging", to="1")
    assert again.request is None
    assert "1 of 1" in again.summary[0]


def test_rollback_to_what_never_ran(walked: Team) -> None:
    register(walked.ada, "models/digits", "four")
    walked.ada.registry.push()
    with pytest.raises(NotFound) as caught:
        walked.ada.registry.rollback("models/digits", target="staging", to="4")
    assert caught.value.code == "never-ran"


def test_rollback_of_the_only_version(team: Team) -> None:
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    with pytest.raises(NotFound, match="ran no other version"):
        team.ada.registry.rollback("models/digits", target="staging")
    with pytest.raises(NotFound) as caught:
        team.ada.registry.rollback("datasets/digits", target="staging")
    assert caught.value.code == "not-promoted"


def test_rollback_asks_no_source_but_asks_approval(walked: Team, bob: Member) -> None:
    """The version has left every branch it came from; what ran may run again."""
    ada = walked.ada
    land(ada, ada.registry.promote("models/digits@2", target="production"), bob)
    land(ada, ada.registry.promote("models/digits@3", target="production"), bob)
    git(walked.remote, "update-ref", "-d", "refs/heads/staging")
    back = ada.registry.rollback("models/digits", target="production")
    with pytest.raises(PolicyRefused) as caught:
        ada.registry.requests.merge(number(back))
    assert [reason["rule"] for reason in caught.value.context["reasons"]] == ["approvals"]
    land(ada, back, bob)
    assert runs(walked, "production") == {"models/digits": "2"}


def in_production(team: Team, bob: Member) -> Member:
    """Production ran models/digits 1 and 2, each approved by bob."""
    for text in ("", "two"):
        if text:
            register(team.ada, "models/digits", text, inputs=["training=datasets/digits@1"])
            team.ada.registry.push()
        for stage, approvers in (("staging", ()), ("production", (bob,))):
            land(team.ada, team.ada.registry.promote("models/digits", target=stage), *approvers)
    return team.ada


def test_a_rollback_that_cannot_wait(tmp_path: Path) -> None:
    """One command, no colleague: where the stage says so, and on no other account."""
    team = founded(tmp_path, POLICY.replace("approvals: 1", "approvals: 1, rollback_now: allowed"))
    ada = in_production(team, team.clone("bob"))
    planned = ada.registry.rollback("models/digits", target="production", now=True, dry_run=True)
    assert (planned.request, planned.plan.approvals_needed) == (None, 0)
    back = (
        InFolder(ada.folder).ok("rollback", "models/digits", "-t", "production", "--now", "--json").document
    )
    assert (back["request"]["state"], back["request"]["reviews"], back["next"]) == ("merged", [], [])
    assert runs(team, "production") == {"models/digits": "1"}
    last_one = ada.registry.history("production").entries[0]
    assert (last_one.kind.value, last_one.commit) == ("rolled-back", back["request"]["merged_commit"])
    verified = ada.registry.verify(history="production")
    assert (verified.commits, verified.approvals) == (3, 2)
    text = InFolder(ada.folder).ok("rollback", "models/digits", "-t", "production", "--now").stdout
    assert re.match(r"request \d+ merged into production, commit [0-9a-f]{12}: Roll back", text)
    # A promotion waits for somebody as before.
    register(ada, "models/digits", "three", inputs=["training=datasets/digits@1"])
    ada.registry.push()
    land(ada, ada.registry.promote("models/digits", target="staging"))
    with pytest.raises(PolicyRefused):
        land(ada, ada.registry.promote("models/digits", target="production"))


def test_a_rollback_waits_where_the_stage_does_not_say_so(team: Team, bob: Member) -> None:
    ada = in_production(team, bob)
    before = git(team.remote, "for-each-ref")
    for dry_run in (True, False):
        with pytest.raises(PolicyRefused) as caught:
            ada.registry.rollback("models/digits", target="production", now=True, dry_run=dry_run)
        assert [reason["rule"] for reason in caught.value.context["reasons"]] == ["approvals"]
        assert "rollback_now: allowed" in str(caught.value.hint)
    assert git(team.remote, "for-each-ref") == before
    register(ada, "models/digits", "three")
    ada.registry.push()
    land(ada, ada.registry.promote("models/digits", target="staging"))
    done = ada.registry.rollback("models/digits", target="staging", now=True)
    assert done.request is not None and done.request.merged_commit is not None
    assert runs(team, "staging") == {"models/digits": "2"}
    assert ada.registry.rollback("models/digits", target="staging", to="2", now=True).request is None


def test_rollback_needs_the_bytes(walked: Team) -> None:
    import shutil

    shutil.rmtree(walked.store)
    walked.store.mkdir()
    with pytest.raises(PolicyRefused) as caught:
        walked.ada.registry.rollback("models/digits", target="staging")
    assert {reason["rule"] for reason in caught.value.context["reasons"]} == {"bytes"}
