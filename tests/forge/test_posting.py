"""`gitml check --post`: one comment and a status on each forge, and never a failure of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from servers.forge.core import Right
from servers.forge.faults import Fault, How
from support.cli import Ran
from support.forges import one_by_day, spoken, world
from support.hosted import Hosted
from support.pipelines import Runner, check_run
from support.promoting import founded

from gitml.promotion.case import Problem
from gitml.promotion.check import Checked
from gitml.promotion.policy import Rule, RuleResult, Verdict
from gitml.promotion.posting import comment_text
from gitml.promotion.report import MARKER, markdown

WRITES = "^(?!.*graphql)"  # GitLab is asked by a POST there, and told nothing


@pytest.fixture(params=one_by_day())
def hosted(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hosted]:
    with world(request.param, tmp_path) as there:
        yield Hosted(there, tmp_path, monkeypatch)
        assert there.double.complaints == []


class Asked:
    """An open request, and the check of it."""

    def __init__(self, hosted: Hosted) -> None:
        self.hosted, self.project = hosted, hosted.there.project
        document = hosted.as_("ada").ok("promote", "models/digits", "-t", "production", "--json").document
        self.number = document["request"]["number"]
        self.head = self.project.get(self.number).last_head

    def check(self, *more: str, login: str = "ada", head: str | None = None) -> Ran:
        return self.hosted.as_(login)("check", f"..{head or self.head}", "-t", "production", "--post", *more)

    @property
    def comments(self) -> list[str]:
        return [one.body for one in self.project.get(self.number).comments]

    @property
    def statuses(self) -> list[tuple[str, str]]:
        return [(one.name, one.state) for one in self.project.statuses.get(self.head, [])]


@pytest.mark.parametrize("hosted", spoken(), indirect=True)
def test_two_runs_are_one_comment(hosted: Hosted) -> None:
    asked = Asked(hosted)
    refused = asked.check("--json")
    assert refused.exit_code == 12
    assert refused.document["posted"] == {
        "request": asked.number, "comment": True, "status": True, "problems": [],
    }  # fmt: skip
    assert len(asked.comments) == 1 and "is refused for production" in asked.comments[0]
    assert asked.statuses == [("gitml/check", "failed")]

    hosted.as_("bob").ok("pr", "approve", str(asked.number))
    for _ in range(2):
        passed = asked.check()
        assert passed.exit_code == 0 and f"posted to request {asked.number}: comment, status" in passed.stdout
    assert len(asked.comments) == 1 and "passes for production" in asked.comments[0]
    assert (
        "gitml:check" in asked.comments[0].splitlines()[-1]
        and "gitml:check" not in asked.comments[0].splitlines()[0]
    )
    assert asked.statuses[-1] == ("gitml/check", "passed")


def test_a_token_that_may_only_read_changes_nothing(hosted: Hosted) -> None:
    asked = Asked(hosted)
    hosted.as_("bob").ok("pr", "approve", str(asked.number))
    hosted.there.user("eve").right = Right.READ
    forbidden = [
        Fault(how=How.STATUS, status=403, method=method, path=WRITES, times=9)
        for method in ("POST", "PUT", "PATCH")
    ]
    for fault in forbidden:
        hosted.there.double.faults.add(fault)
    done = asked.check("--json", login="eve")
    assert done.exit_code == 0 and asked.comments == [] and asked.statuses == []
    posted = done.document["posted"]
    assert (posted["comment"], posted["status"], len(posted["problems"])) == (False, False, 2)
    assert done.stderr.count("warning: the ") == 2 and "lacks a right" in done.stderr


def test_a_forge_that_is_down_changes_nothing(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(hosted)
    hosted.as_("bob").ok("pr", "approve", str(asked.number))
    monkeypatch.setenv("GITML_TIMEOUT_S", "1")
    for method in ("POST", "PUT", "PATCH"):
        hosted.there.double.faults.add(
            Fault(how=How.STATUS, status=503, method=method, path=WRITES, times=99)
        )
    done = asked.check()
    assert done.exit_code == 0 and "nothing" in done.stdout and "warning" in done.stderr


def test_an_older_head_does_not_speak_over_a_newer_one(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(hosted)
    monkeypatch.setenv("GITHUB_BASE_REF", "production")
    monkeypatch.setenv("GITHUB_REF", f"refs/pull/{asked.number}/merge")
    asked.check()
    before = asked.comments
    branch = asked.project.get(asked.number).branch
    hosted.there.branch(branch, asked.head, note="newer")
    done = asked.check("--json")
    assert asked.comments == before and len(asked.statuses) == 2
    assert f"by now, and {asked.head[:12]} was judged" in done.document["posted"]["problems"][0]


def test_a_change_that_does_not_merge_is_said_too(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(hosted)
    asked.check()
    hosted.there.branch("production", "production", **{"models/digits/production.yaml": 'current: "7"\n'})
    for name in ("BASE_REF", "REF"):
        monkeypatch.setenv(
            f"GITHUB_{name}", {"REF": f"refs/pull/{asked.number}/merge"}.get(name, "production")
        )
    done = asked.check("--json")
    assert (done.exit_code, done.document["error"]["code"]) == (5, "merge-conflict")
    assert len(asked.comments) == 1 and "does not merge into production" in asked.comments[0]
    assert asked.statuses[-1] == ("gitml/check", "failed")


def test_without_a_token_it_is_told(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(hosted)
    ada = hosted.as_("ada")
    monkeypatch.delenv("GITML_FORGE_TOKEN")
    done = ada("check", f"..{asked.head}", "-t", "production", "--post", "--json")
    assert done.exit_code == 0 and asked.comments == []
    assert done.document["posted"]["problems"] == [
        "the report is not posted to the forge: there is no way to ask it"
    ]


def test_requests_in_git_have_no_page(tmp_path: Path) -> None:
    ada = founded(tmp_path).ada
    asked = ada.registry.promote("datasets/digits", target="staging")
    assert asked.request is not None
    found = ada.registry.check(f"..{asked.request.head}", target="staging", post=True)
    assert found.passed and found.posted is not None
    assert not found.posted.comment and "live in git" in found.posted.problems[0]


def test_a_long_report_is_cut_between_lines() -> None:
    problems = tuple(
        Problem(rule=Rule.APPROVALS, asset=None, message=f"{number} " + "x" * 1500) for number in range(100)
    )
    result = RuleResult(rule=Rule.APPROVALS, verdict=Verdict.FAILED, problems=problems)
    fields: dict[str, Any] = {"passed": False, "target": "production", "is_stage": True, "base": "a" * 40,
                              "head": "b" * 40, "request": None, "versions": (), "moves": (), "changed_paths": 1}  # fmt: skip
    checked = Checked(rules=(result,), **fields)
    assert len(markdown(checked)) > 65_536
    for longest in (None, 32_000):
        text = comment_text(checked, longest)
        assert len(text) + len(MARKER) + 2 <= (longest or 60_000)
        assert text.endswith("is left out.*") and text.splitlines()[-3] in markdown(checked).splitlines()
    short = replace(checked, rules=())
    assert comment_text(short) in markdown(short)


KINDS = {
    "github": "github",
    "gitea": "gitea",
    "gitlab": "gitlab",
    "azure": "azure_devops",
    "bitbucket": "bitbucket",
}


@pytest.mark.parametrize(
    "kind",
    [
        one if one == "github" else pytest.param(one, marks=pytest.mark.nightly)
        for one, forge in KINDS.items()
        if forge in spoken()
    ],
)
def test_the_lines_of_the_workflow_post(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with world(KINDS[kind], tmp_path) as there:
        hosted = Hosted(there, tmp_path, monkeypatch)
        asked = Asked(hosted)
        hosted.as_("bob").ok("pr", "approve", str(asked.number))
        there.project.git("update-ref", "refs/merge-requests/1/head", asked.head)
        text = hosted.ada.registry.ci.init(kind).text
        monkeypatch.delenv("GITML_FORGE_TOKEN")
        named = {"github": "GITHUB_SERVER_URL", "gitea": "GITEA_SERVER_URL", "gitlab": "CI_SERVER_URL",
                 "azure": "SYSTEM_COLLECTIONURI"}  # fmt: skip
        monkeypatch.delenv("GITML_FORGE_HOSTS")
        if kind in named:
            monkeypatch.setenv(named[kind], there.double.origin)
        else:
            monkeypatch.setenv("GITML_FORGE_HOSTS", "127.0.0.1")
        url = there.double.git_url(there.project)
        for folder in ("one", "two"):
            runner = Runner(url, kind, text, tmp_path / folder, number=asked.number, token="token-of-eve")
            done = check_run(runner, asked.head, "production")
            assert done.returncode == 0, done.stdout + done.stderr
        assert len(asked.comments) == 1 and "passes for production" in asked.comments[0]
        assert asked.statuses[-1] == ("gitml/check", "passed")
        assert "token-of-eve" not in done.stdout + done.stderr
