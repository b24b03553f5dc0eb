"""`gitml check` and `gitml events` on real registries, as the API and as commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.cli import run
from support.document_schemas import closed
from support.promoting import land, number, register
from support.team import Member, Team, git, write

from gitml.errors import Conflict, InvalidInput, NotFound, UsageError
from gitml.model.schemas import schema
from gitml.promotion.case import Problem, Rule
from gitml.promotion.check import Checked
from gitml.promotion.policy import RuleResult, Verdict
from gitml.promotion.report import MARKER, markdown
from gitml.promotion.span import parse_span, span_of_ci


@pytest.fixture
def asked(team: Team) -> tuple[Team, str]:
    """Ada asked for models/digits 1 on staging."""
    promotion = team.ada.registry.promote("models/digits", target="staging")
    assert promotion.request is not None
    return team, promotion.request.head


def failed(found: Checked) -> set[str]:
    return {one.rule.value for one in found.rules if one.verdict is Verdict.FAILED}


@pytest.mark.parametrize("text", ["main", "..", "a...b", "a..b..c", "", "a..b.."])
def test_texts_that_are_no_range(text: str) -> None:
    with pytest.raises(UsageError):
        parse_span(text)


def test_ranges() -> None:
    assert [(span.base, span.head) for span in map(parse_span, ["a..b", "a..", "..b", None])] == [
        ("a", "b"), ("a", None), (None, "b"), (None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "base", "head"),
    [
        ({}, None, None),
        ({"GITHUB_BASE_REF": ""}, None, None),
        ({"GITHUB_BASE_REF": "production", "GITHUB_HEAD_REF": "gitml/1"}, "production", "gitml/1"),
        ({"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "production"}, "production", None),
        ({"SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/production"}, "production", None),
        ({"BITBUCKET_PR_DESTINATION_BRANCH": "a", "BITBUCKET_COMMIT": "abc"}, "a", "abc"),
    ],
)
def test_what_ci_says(variables: dict[str, str], base: str | None, head: str | None) -> None:
    span = span_of_ci(variables)
    assert (span.base, span.head) == (base, head)


def test_the_target_is_found_in_many_ways(asked: tuple[Team, str], monkeypatch: pytest.MonkeyPatch) -> None:
    team, head = asked
    registry = team.ada.registry
    for commits, target in (
        (f"..{head}", None), (f"..{head}", "staging"), (f"staging..{head}", None), (f"origin/staging..{head}", None),
        (f"main..{head}", "refs/heads/staging"), (f"refs/remotes/origin/staging..{head}", None),
    ):  # fmt: skip
        found = registry.check(commits, target=target)
        assert (found.passed, found.target, found.is_stage, found.request) == (True, "staging", True, 1), (
            commits
        )
    monkeypatch.setenv("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "staging")
    monkeypatch.setenv("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", head)
    assert registry.check().target == "staging"
    assert registry.check(f"main..{head}").target == "main"


def test_a_branch_that_is_no_stage(team: Team) -> None:
    ada = team.ada
    ada.git("switch", "--quiet", "-c", "working/x")
    register(ada, "models/digits", "two")
    found = ada.registry.check()
    assert (found.passed, found.target, found.is_stage, found.request) == (True, "main", False, None)
    assert list(map(str, found.versions)) == ["models/digits@2"]
    path = ada.folder / "models/digits/1/asset.yaml"
    path.write_text(path.read_text() + "extra: 1\n")
    write(ada.folder, {"models/digits/7/asset.yaml": "<<<<<<< ours\n"})
    text = (ada.folder / "models/digits/2/asset.yaml").read_text()
    text = text.replace('version: "2"', 'version: "4"')
    write(ada.folder, {"models/digits/4/asset.yaml": text})
    ada.git("add", "--force", "models")
    ada.git("commit", "--quiet", "-m", "By hand")
    found = ada.registry.check("main..HEAD")
    assert failed(found) == {"write-once", "schema", "bytes"}


def test_bytes_only_this_clone_has(team: Team) -> None:
    ada = team.ada
    ada.git("switch", "--quiet", "-c", "working/x")
    register(ada, "models/digits", "two", offline=True)
    found = ada.registry.check()
    assert failed(found) == {"bytes"}


def test_a_request_that_does_not_merge(asked: tuple[Team, str]) -> None:
    team, head = asked
    register(team.ada, "models/digits", "two")
    team.ada.registry.push()
    other = team.ada.registry.promote("models/digits@2", target="staging")
    land(team.ada, other)
    with pytest.raises(Conflict):
        team.ada.registry.check(f"..{head}", target="staging")


def test_what_is_not_there(asked: tuple[Team, str]) -> None:
    team, head = asked
    with pytest.raises(NotFound):
        team.ada.registry.check("..nowhere")
    with pytest.raises(NotFound):
        team.ada.registry.check(f"..{head}", target="nowhere")
    with pytest.raises(NotFound):
        team.ada.registry.check(f"nowhere..{head}")


def test_a_target_that_is_malformed(asked: tuple[Team, str]) -> None:
    team, head = asked
    (team.ada.folder / "gitml.yaml").write_text("<<<<<<< ours\n")
    team.ada.git("commit", "--quiet", "--all", "-m", "Broken")
    team.ada.git("push", "--quiet", "origin", "main")
    team.ada.git("switch", "--quiet", "--detach", "HEAD~1")
    with pytest.raises(InvalidInput):
        team.ada.registry.check(f"..{head}", target="staging")


def test_nothing_is_written(asked: tuple[Team, str]) -> None:
    team, head = asked
    before = (git(team.remote, "for-each-ref"), team.ada.git("status", "--porcelain", "--ignored"))
    team.ada.registry.check(f"..{head}")
    assert before == (git(team.remote, "for-each-ref"), team.ada.git("status", "--porcelain", "--ignored"))


def checked_document(ran: Any, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(ran.stdout)
    faults = [one.message for one in Draft202012Validator(closed(schema(f"json/{name}"))).iter_errors(body)]
    assert faults == []
    return body


def test_the_commands(asked: tuple[Team, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    team, head = asked
    monkeypatch.chdir(team.ada.folder)
    ran = run("check", f"..{head}")
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert "write-once  passed" in ran.stdout
    assert "passes for staging" in ran.stdout and "18 rules: 12 passed, 6 not required" in ran.stdout
    passed = checked_document(run("check", f"..{head}", "--json"), "check")
    assert passed["passed"] is True and "error" not in passed

    asked_again = team.ada.registry.promote("datasets/digits", target="staging")
    team.clone("carl").registry.requests.reject(number(asked_again), "no")
    assert asked_again.request is not None
    ran = run("check", f"..{asked_again.request.head}", "--markdown", str(tmp_path / "report.md"))
    assert ran.exit_code == 12
    assert "rejected: carl@example.com rejected this request" in ran.stdout
    assert "Try: " in ran.stdout
    said, hint = ran.stderr.splitlines()
    assert "is refused for staging: 1 objection; carl@example.com rejected this request" in said
    assert hint.startswith("Try: ")
    report = (tmp_path / "report.md").read_text()
    assert report.startswith(MARKER) and "| rejected | ❌ failed | 1 |" in report
    ran = run("check", f"..{asked_again.request.head}", "--json")
    assert ran.exit_code == 12
    body = checked_document(ran, "check")
    assert [p["rule"] for one in body["rules"] for p in one["problems"]] == ["rejected"]
    assert [one["rule"] for one in body["error"]["context"]["reasons"]] == ["rejected"]
    assert run("check", f"..{head}", "--markdown", "-").stdout.startswith(MARKER)
    assert run("check", f"..{head}", "--markdown", "-", "--json").exit_code == 2
    assert run("check", f"..{head}", "--markdown", str(tmp_path / "no" / "x.md")).exit_code == 10

    team.ada.registry.requests.merge(1)
    assert "1 change by approved requests" in run("verify", "--history", "staging").stdout
    assert checked_document(run("verify", "--history", "staging", "--json"), "verify")["commits"] == 1
    assert run("verify", "--history", "staging", "--deep").exit_code == 2
    team.ada.git("push", "--quiet", "--force", "origin", "main:staging")
    ran = run("verify", "--history", "staging")
    assert ran.exit_code == 12
    assert "lost-merge" in ran.stderr or "has no such merge" in ran.stderr


def test_a_report_cannot_be_made_to_act() -> None:
    hostile = "<script>alert(1)</script> | [x](http://e) ![i](y) @all #1 `a`\n# big\x1b[31m\u202e"
    problem = Problem(rule=Rule.SCHEMA, asset=hostile, message=hostile, hint=hostile)
    found = Checked(
        passed=False, target="staging", is_stage=True, base="b" * 40, head="a" * 40, request=None, versions=(),
        moves=(), changed_paths=1, rules=(RuleResult(rule=Rule.SCHEMA, verdict=Verdict.FAILED, problems=(problem,)),),
    )  # fmt: skip
    text = markdown(found).removeprefix(MARKER)
    assert "<" not in text.replace("\\<", "") and "\x1b" not in text and "\u202e" not in text
    assert "](" not in text and " @all" not in text and "\n# big" not in text


def told(member: Member, commits: str) -> list[tuple[str, str, str | None, int | None]]:
    return [
        (one.type.value, f"{one.asset}@{one.version}", one.stage or one.alias, one.request)
        for one in member.registry.events(commits).events
    ]


def test_events(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = team.ada
    register(ada, "models/digits", "two")
    ada.registry.alias("models/digits", "champion", "1")
    ada.registry.alias("models/digits", "champion", "2")
    ada.registry.deprecate("models/digits@1", message="worse")
    ada.registry.push()
    assert told(ada, "HEAD~4..HEAD") == [
        ("registered", "models/digits@2", None, None),
        ("alias-moved", "models/digits@1", "champion", None),
        ("alias-moved", "models/digits@2", "champion", None),
        ("deprecated", "models/digits@1", None, None),
    ]
    found = ada.registry.events("HEAD~2..").events
    assert [(str(one.before), one.note) for one in found] == [("1", None), ("None", "worse")]
    assert {one.actor for one in found} == {"Ada Example <ada@example.com>"}
    for version in ("1", "2"):
        land(ada, ada.registry.promote(f"models/digits@{version}", target="staging"))
    land(ada, ada.registry.rollback("models/digits", target="staging"))
    assert told(ada, "..origin/staging") == [
        ("promoted", "models/digits@1", "staging", 1),
        ("promoted", "models/digits@2", "staging", 2),
        ("rolled-back", "models/digits@1", "staging", 3),
    ]
    assert told(ada, f"{'0' * 40}..origin/staging") == told(ada, "..origin/staging")
    here = ada.git("rev-parse", "HEAD")
    ada.git("merge", "--quiet", "--no-edit", "--no-ff", "origin/staging")
    assert told(ada, f"{here}..HEAD") == [], "a stage's file means nothing on another branch"
    assert len(told(ada, "..origin/staging")) == 3
    monkeypatch.chdir(ada.folder)
    ran = run("events", "..origin/staging", "--json")
    assert [one["type"] for one in checked_document(ran, "events")["events"]] == [
        "promoted",
        "promoted",
        "rolled-back",
    ]
    assert "rolled-back" in run("events", "..origin/staging").stdout
    assert "3 events" in run("events", "..origin/staging").stdout


def test_a_version_that_went_after_it_was_purged(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = team.ada
    for word in ("two", "three"):
        register(ada, "models/digits", word)
    ada.registry.stores.purge("models/digits@2")
    ada.git("rm", "-rq", "models/digits/2", "models/digits/3")
    ada.git("commit", "--quiet", "-m", "Drop them")
    assert told(ada, "HEAD~1..HEAD") == [
        ("purged", "models/digits@2", None, None),
        ("removed", "models/digits@3", None, None),
    ]
    monkeypatch.chdir(ada.folder)
    ran = run("events", "HEAD~1..HEAD", "--json")
    assert [one["type"] for one in checked_document(ran, "events")["events"]] == ["purged", "removed"]
    (team.store / "purged").rename(team.base / "unreadable")
    (team.store / "purged").write_text("no folder")
    assert [kind for kind, *_ in told(ada, "HEAD~1..HEAD")] == ["removed", "removed"], (
        "who cannot ask cannot tell"
    )


def test_events_of_what_is_malformed(team: Team) -> None:
    write(team.ada.folder, {"models/digits/about.yaml": "<<<<<<<\n", "models/Bad!/1/asset.yaml": "x\n"})
    team.ada.git("add", "--force", "models")
    team.ada.git("commit", "--quiet", "-m", "By hand")
    assert told(team.ada, "HEAD~1..HEAD") == []
