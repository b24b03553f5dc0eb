"""The double, driven by a client that knows nothing of GitML, and the published document that calls are held against."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from github import Auth, Github, GithubException
from servers.forge import openapi
from servers.forge.core import Forge
from servers.forge.routing import Call
from support.forges import world


def test_pygithub_finds_a_github(tmp_path: Path) -> None:
    with world("github", tmp_path) as there:
        there.branch("feature")
        url = there.api_url
        ada = Github(base_url=url, auth=Auth.Token("token-of-ada"), retry=None, per_page=2).get_repo(
            "team/registry"
        )
        bob = Github(base_url=url, auth=Auth.Token("token-of-bob"), retry=None).get_repo("team/registry")
        assert ada.default_branch == "main"
        pull = ada.create_pull(base="production", head="feature", title="T", body="B")
        assert (pull.number, pull.state, pull.mergeable, pull.user.login) == (1, "open", True, "ada")
        with pytest.raises(GithubException, match="already exists"):
            ada.create_pull(base="production", head="feature", title="T", body="B")
        with pytest.raises(GithubException):
            pull.create_review(event="APPROVE")
        seen = bob.get_pull(1)
        seen.create_review(event="REQUEST_CHANGES", body="no")
        seen.create_review(event="APPROVE")
        for number in range(3):
            seen.create_issue_comment(f"{number}")
        assert [one.body for one in pull.get_issue_comments()] == ["0", "1", "2"]
        assert [one.state for one in pull.get_reviews()] == ["CHANGES_REQUESTED", "APPROVED"]
        assert [one.commit.message for one in pull.get_commits()] == ["work on feature"]
        pull.edit(title="Better")
        assert bob.get_pull(1).title == "Better"
        with pytest.raises(GithubException) as caught:
            pull.merge(sha="0" * 40)
        assert caught.value.status == 409
        assert pull.merge(merge_method="merge", sha=pull.head.sha).merged
        assert bob.get_pull(1).merged and bob.get_pull(1).merged_by.login == "ada"
        assert [one.number for one in ada.get_pulls(state="closed", base="production")] == [1]
        with pytest.raises(GithubException) as caught:
            ada.get_pull(2)
        assert caught.value.status == 404


def call(method: str, path: str, body: bytes = b"", **query: str) -> Call:
    return Call(
        forge=Forge(),
        method=method,
        path=path,
        query={key: [value] for key, value in query.items()},
        headers={},
        body=body,
        base_url="",
    )


@pytest.mark.skipif(
    not openapi.is_there("github") and "GITML_REQUIRE_SERVERS" not in os.environ,
    reason="GitHub's document is not in .servers/openapi",
)
@pytest.mark.parametrize(
    ("made", "word"),
    [
        (call("GET", "/repos/o/r/pulls", state="all", per_page="100"), None),
        (call("POST", "/repos/o/r/pulls", b'{"title": "t", "head": "h", "base": "b", "draft": false}'), None),
        (call("PUT", "/repos/o/r/pulls/1/merge", b'{"sha": "x", "merge_method": "merge"}'), None),
        (call("GET", "/repos/o/r/pulls", state="merged"), "merged"),
        (call("GET", "/repos/o/r/pulls", branch="x"), "branch"),
        (call("GET", "/repos/o/r/pulls/first"), "first"),
        (call("GET", "/repos/o/r/pullrequests"), "path"),
        (call("DELETE", "/repos/o/r/pulls/1"), "method"),
        (call("POST", "/repos/o/r/pulls", b'{"title": "t", "head": "h"}'), "base"),
        (call("POST", "/repos/o/r/pulls", b'{"title": 3, "head": "h", "base": "b"}'), "3"),
        (call("POST", "/repos/o/r/pulls", b'{"title": "t", "head": "h", "base": "b", "sha": "x"}'), "sha"),
        (call("PUT", "/repos/o/r/pulls/1/merge", b'{"merge_method": "fast"}'), "fast"),
        (call("POST", "/repos/o/r/pulls/1/reviews", b"nonsense"), "JSON"),
    ],
)
def test_calls_are_held_against_the_document(made: Call, word: str | None) -> None:
    complaint = openapi.complaint("github", made)
    assert complaint is None if word is None else complaint is not None and word in complaint
