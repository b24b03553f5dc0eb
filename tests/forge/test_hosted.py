"""Promotion on hosted forges, from the command line to the merge, over the double's API and real git over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.forge.core import Right, Said
from servers.forge.faults import Fault, How
from support.forges import PREFIX, one_by_day, spoken, world
from support.hosted import Hosted
from support.team import Member

from gitml.errors import GitMLError


@pytest.fixture(params=one_by_day())
def hosted(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hosted]:
    with world(request.param, tmp_path) as there:
        yield Hosted(there, tmp_path, monkeypatch)
        assert there.double.complaints == []


@pytest.mark.parametrize("hosted", spoken(), indirect=True)
def test_from_promotion_to_history(hosted: Hosted) -> None:
    ada, there = hosted.as_("ada"), hosted.there
    first = ada.ok("promote", "models/digits", "-t", "production", "--json").document
    number = first["request"]["number"]
    request = there.project.get(number)
    assert request.target == "production" and request.branch.startswith("gitml/production/models-digits-1-")
    assert first["created"] is True

    head = request.last_head
    ada.ok(
        "promote", "models/digits", "-t", "production"
    )  # its text no longer says that the stage is born with it
    again = ada.ok("promote", "models/digits", "-t", "production", "--json").document
    assert (again["request"]["number"], again["created"], again["updated"]) == (number, False, False)
    assert there.project.head(request) == head
    assert len(there.project.requests) == 1

    assert ada("pr", "approve", str(number)).exit_code == 12
    assert ada("pr", "merge", str(number)).exit_code == 12
    bob = hosted.as_("bob")
    for words in (("approve", "-m", "fine"), ("reject", "-m", "no"), ("close",)):
        bob.ok("pr", words[0], str(number), *words[1:], "-n")
    assert (list(request.reviews), request.state.value) == ([], "open")
    bob.ok("pr", "approve", str(number), "-m", "fine")
    bob.ok("pr", "approve", str(number))
    assert len(request.reviews) == 1
    merged = bob.ok("pr", "merge", str(number), "--json").document
    assert merged["commit"] == there.project.tip("production") == request.merged_commit
    assert bob.ok("pr", "merge", str(number), "--json").document["already"] is True

    entries = bob.ok("history", "production", "--json").document["entries"]
    assert [(one["to_version"], one["request"], one["kind"]) for one in entries] == [
        ("1", number, "promoted")
    ]
    assert entries[0]["approvers"] and "bob" in entries[0]["approvers"][0]
    bob.ok("verify", "--history", "production")
    assert there.project.git("show", "production:models/digits/production.yaml") == 'current: "1"'


def test_a_second_version_and_a_rollback(hosted: Hosted) -> None:
    ada = hosted.as_("ada")

    def land(*words: str) -> None:
        number = hosted.as_("ada").ok(*words, "--json").document["request"]["number"]
        hosted.as_("bob").ok("pr", "approve", str(number))
        hosted.as_("bob").ok("pr", "merge", str(number))

    land("promote", "models/digits@1", "-t", "production")
    hosted.register("models/digits", "two")
    land("promote", "models/digits@2", "-t", "production")
    land("rollback", "models/digits", "-t", "production")
    kinds = [one["kind"] for one in ada.ok("history", "production", "--json").document["entries"]]
    assert kinds == ["rolled-back", "promoted", "promoted"]
    ada.ok("verify", "--history", "production")
    waits = ada("rollback", "models/digits", "-t", "production", "--now", "--json")
    assert (waits.exit_code, waits.document["error"]["code"]) == (12, "policy")
    assert len(hosted.there.project.requests) == 3


def test_an_approval_of_an_older_head_does_not_count(hosted: Hosted) -> None:
    ada, project = hosted.as_("ada"), hosted.there.project
    number = ada.ok("promote", "models/digits", "-t", "production", "--json").document["request"]["number"]
    hosted.as_("bob").ok("pr", "approve", str(number))
    request = project.get(number)
    tree = project.git("rev-parse", f"{request.branch}^{{tree}}")
    who = {f"GIT_{role}_{what}": "x@y" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    moved = project.git("commit-tree", tree, "-p", request.last_head, "-m", "sneaked in", env=who)
    project.git("update-ref", f"refs/heads/{request.branch}", moved)
    refused = hosted.as_("bob")("pr", "merge", str(number), "--json")
    assert refused.exit_code == 12
    assert project.get(number).merged_commit is None


def test_a_stranger_and_a_committer_cannot_approve(hosted: Hosted) -> None:
    ada, there = hosted.as_("ada"), hosted.there
    number = ada.ok("promote", "models/digits", "-t", "production", "--json").document["request"]["number"]
    eve = hosted.as_("eve")
    request = there.project.get(number)
    there.project.review(there.user("eve"), number, Said.REJECTED)
    assert eve("pr", "merge", str(number)).exit_code == 12
    there.project.withdraw(there.user("eve"), number)
    refused = eve("pr", "merge", str(number), "--json")
    assert refused.exit_code == 12 and request.merged_commit is None


def test_check_judges_with_and_without_a_token(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, project = hosted.as_("ada"), hosted.there.project
    number = ada.ok("promote", "models/digits", "-t", "production", "--json").document["request"]["number"]
    head = project.head(project.get(number))
    assert ada("check", f"..{head}", "-t", "production").exit_code == 12
    monkeypatch.delenv("GITML_FORGE_TOKEN")
    assert ada("check", f"..{head}", "-t", "production").exit_code == 0
    hosted.as_("bob").ok("pr", "approve", str(number))
    hosted.as_("bob").ok("check", f"..{head}", "-t", "production")


def test_closing_and_listing(hosted: Hosted) -> None:
    ada = hosted.as_("ada")
    number = ada.ok("promote", "models/digits", "-t", "production", "--json").document["request"]["number"]
    assert [one["number"] for one in ada.ok("pr", "list", "--json").document["requests"]] == [number]
    ada.ok("pr", "close", str(number))
    ada.ok("pr", "close", str(number))
    assert ada.ok("pr", "list", "--json").document["requests"] == []
    again = ada.ok("promote", "models/digits", "-t", "production", "--json").document["request"]
    assert again["number"] != number and again["refs"] == ["models/digits@1"] and again["source"] == "main"


def test_wishes_that_the_forge_may_have(hosted: Hosted) -> None:
    ada, project = hosted.as_("ada"), hosted.there.project
    can = hosted.there.host().capabilities
    project.required_approvals = 1
    words = ["promote", "models/digits", "-t", "production", "--json"]
    if can.reviewers:
        words += ["--reviewer", hosted.there.login("bob")]
    if can.draft:
        words += ["--draft"]
    request = project.get(ada.ok(*words).document["request"]["number"])
    assert [one.login for one in request.reviewers] == (["bob"] if can.reviewers else [])
    assert request.draft is can.draft


@pytest.mark.parametrize("at", range(3))
def test_a_promotion_that_broke_off_goes_on(hosted: Hosted, at: int) -> None:
    """Whatever write dies, the next call ends with one request."""
    ada, double = hosted.as_("ada"), hosted.there.double
    double.faults.add(Fault(how=How.STATUS, status=422, method="POST", skip=at, times=1))
    double.faults.add(Fault(how=How.CUT, after_effect=True, method="POST", times=1))
    ada("promote", "models/digits", "-t", "production")
    double.faults.clear()
    ada.ok("promote", "models/digits", "-t", "production")
    assert len(hosted.there.project.requests) == 1


def test_no_word_of_a_token(hosted: Hosted) -> None:
    secret = "token-of-ada"
    ada, there = hosted.as_("ada"), hosted.there
    said = [
        ada("promote", "models/digits", "-t", "production", "--json"),
        ada("pr", "list"),
        ada("pr", "show", "7"),
    ]
    there.user("ada").right = Right.READ
    said += [ada("pr", "close", "1"), ada("pr", "approve", "1", "--json"), ada("doctor", "--json")]
    assert all(secret not in one.stdout + one.stderr for one in said)
    folder = hosted.folder / "ada"
    found = [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert found == []


def test_a_token_goes_nowhere_unconfirmed(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, there = hosted.as_("ada"), hosted.there
    monkeypatch.delenv("GITML_FORGE_HOSTS")
    there.double.log.clear()
    refused = ada("pr", "list", "--json")
    assert refused.exit_code == 10 and refused.document["error"]["code"] == "forge-host-not-trusted"
    assert there.double.log == []
    path = hosted.folder / "ada" / "gitml.yaml"
    url = f"http://localhost:{there.double.origin.rpartition(':')[2]}/{PREFIX.get(there.kind, there.kind)}"
    path.write_text(path.read_text().replace(there.api_url, url))
    hosted.ada.git("commit", "-qam", "elsewhere")
    monkeypatch.setenv("GITML_FORGE_HOSTS", "127.0.0.1")
    refused = ada("pr", "list", "--json")
    assert refused.exit_code == 10 and there.double.log == []


def test_two_promote_at_once(hosted: Hosted) -> None:
    hosted.as_("ada")
    found: list[int | Exception] = []
    barrier = threading.Barrier(3)
    members = [hosted.clone(f"ada{number}") for number in range(3)]

    def one(member: Member) -> None:
        barrier.wait()
        try:
            request = member.registry.promote("models/digits", target="production").request
            found.append(request.number if request else 0)
        except GitMLError as error:
            found.append(error)

    threads = [threading.Thread(target=one, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1]
    assert len(hosted.there.project.requests) == 1
