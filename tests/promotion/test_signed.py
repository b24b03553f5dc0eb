"""A stage that takes signed commits only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.events import forge_event
from support.promoting import POLICY, founded, land, number
from support.signing import key, public
from support.team import Member, Team, git, write

from gitml.errors import PolicyRefused

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
ALLOWED = ".gitml/allowed_signers"


def sign_with(member: Member, path: Path) -> None:
    member.git("config", "gpg.format", "ssh")
    member.git("config", "user.signingkey", str(path))
    member.git("config", "commit.gpgsign", "true")


def allow(team: Team, lines: str, revoked: str | None = None) -> None:
    """The list on the default branch, from which the stages are born."""
    files = {ALLOWED: lines} | ({".gitml/revoked_signers": revoked} if revoked else {})
    write(team.ada.folder, files)
    team.ada.git("add", "--force", *files)
    team.ada.git("-c", "commit.gpgsign=false", "commit", "--quiet", "-m", "Signers")
    team.ada.git("push", "--quiet", "origin", "main")


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[Team]:
    """Commits to staging have to be signed."""
    yield founded(tmp_path, POLICY.replace("main]", "main]\n    require: {signed: true}"))


def reasons(error: PolicyRefused) -> str:
    assert {one["rule"] for one in error.context["reasons"]} == {"signed"}
    return str(error.context["reasons"][0]["message"])


def refused(team: Team) -> str:
    before = git(team.remote, "for-each-ref")
    with pytest.raises(PolicyRefused) as caught:
        team.ada.registry.promote("models/digits", target="staging")
    assert git(team.remote, "for-each-ref") == before
    return reasons(caught.value)


def test_the_whole_way(signed: Team, tmp_path: Path) -> None:
    ada = signed.ada
    assert ALLOWED in refused(signed)
    allow(signed, f'ada@example.com namespaces="git" {public(key(tmp_path, "ada-key"))}\n')
    assert "nobody signed it" in refused(signed)
    sign_with(ada, key(tmp_path, "ada-key"))
    promotion = ada.registry.promote("models/digits", target="staging")
    assert promotion.request is not None
    found = ada.registry.check(f"..{promotion.request.head}")
    assert found.passed
    assert {one.rule.value: one.verdict.value for one in found.rules}["signed"] == "passed"
    land(ada, promotion)
    ada.registry.verify(history="staging")


def test_a_signer_that_comes_with_the_request(signed: Team, tmp_path: Path) -> None:
    """Mallory's branch adds her key, and signs with it: the list is the target's own."""
    allow(signed, f"ada@example.com {public(key(tmp_path, 'ada-key'))}\n")
    mallory = signed.clone("mallory")
    sign_with(mallory, key(tmp_path, "mallory-key"))
    mallory.git("switch", "--quiet", "-c", "working/mallory")
    write(mallory.folder, {ALLOWED: f"mallory@example.com {public(key(tmp_path, 'mallory-key'))}\n"})
    mallory.git("commit", "--quiet", "--all", "-m", "Me, too")
    mallory.git("push", "--quiet", "origin", "working/mallory")
    with pytest.raises(PolicyRefused) as caught:
        mallory.registry.promote(source="working/mallory", target="staging")
    assert "no key of its committer mallory@example.com" in reasons(caught.value)


def test_an_unsigned_head_is_refused_by_merge(signed: Team, tmp_path: Path) -> None:
    mine = key(tmp_path, "ada-key")
    allow(signed, f"ada@example.com {public(mine)}\n")
    sign_with(signed.ada, mine)
    promotion = signed.ada.registry.promote("models/digits", target="staging")
    assert promotion.request is not None
    signed.ada.git("config", "commit.gpgsign", "false")
    head = signed.ada.git("commit-tree", "-p", "origin/main", "-m", "x", f"{promotion.request.head}^{{tree}}")
    forge_event(signed.ada, number(promotion), kind="updated", head=head)
    with pytest.raises(PolicyRefused) as caught:
        signed.ada.registry.requests.merge(number(promotion))
    assert "nobody signed it" in reasons(caught.value)
