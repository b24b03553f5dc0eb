"""The double, driven by a client that knows nothing of GitML, and the published document that calls are held against."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from atlassian.bitbucket import Cloud
from azure.devops.connection import Connection
from azure.devops.exceptions import AzureDevOpsServiceError
from azure.devops.v7_1.git import models as azure
from github import Auth, Github, GithubException
from gitlab import Gitlab
from gitlab.exceptions import (
    GitlabAuthenticationError,
    GitlabCreateError,
    GitlabGetError,
    GitlabMRApprovalError,
    GitlabMRClosedError,
)
from msrest.authentication import BasicAuthentication
from requests import HTTPError
from servers.forge import bitbucket, openapi
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


def test_microsofts_client_finds_an_azure_devops(tmp_path: Path) -> None:
    with world("azure_devops", tmp_path) as there:
        there.branch("feature")

        def client(login: str) -> Any:
            credentials = BasicAuthentication("", f"token-of-{login}")
            return Connection(base_url=f"{there.api_url}/team", creds=credentials).clients_v7_1

        ada, bob = client("ada").get_git_client(), client("bob").get_git_client()
        mine = client("bob").get_location_client().get_connection_data().authenticated_user
        asked = azure.GitPullRequest(
            source_ref_name="refs/heads/feature",
            target_ref_name="refs/heads/production",
            title="T",
            description="B",
        )
        made = ada.create_pull_request(asked, "registry", project="models")
        assert (made.pull_request_id, made.status, made.merge_status) == (1, "active", "succeeded")
        with pytest.raises(AzureDevOpsServiceError, match="TF401179"):
            ada.create_pull_request(asked, "registry", project="models")
        where = {"repository_id": "registry", "pull_request_id": 1, "project": "models"}
        for vote in (-10, 10):
            bob.create_pull_request_reviewer(
                azure.IdentityRefWithVote(vote=vote), reviewer_id=mine.id, **where
            )
        assert [(one.vote, one.unique_name) for one in bob.get_pull_request_reviewers(**where)] == [
            (10, "bob@example.com")
        ]
        said = azure.GitPullRequestCommentThread(comments=[azure.Comment(content="x", parent_comment_id=0)])
        thread = bob.create_thread(said, **where)
        bob.update_comment(azure.Comment(content="y"), thread_id=thread.id, comment_id=1, **where)
        threads = ada.get_threads(**where)
        assert [one.comments[0].content for one in threads] == ["Bob voted -10", "Bob voted 10", "y"]
        assert [one.comment_type for one in threads[0].comments] == ["system"]
        assert [one.source_ref_commit.commit_id for one in ada.get_pull_request_iterations(**where)] == [
            there.project.tip("feature")
        ]
        assert [one.comment for one in ada.get_pull_request_commits(**where)] == ["work on feature"]
        status = azure.GitStatus(
            state="succeeded", context=azure.GitStatusContext(name="check", genre="gitml")
        )
        head = str(there.project.tip("feature"))
        assert ada.create_commit_status(status, head, "registry", project="models").context.genre == "gitml"
        people = client("ada").get_identity_client()
        found = people.read_identities(search_filter="General", filter_value="bob@example.com")
        assert [one.id for one in found] == [mine.id]
        renamed = ada.update_pull_request(azure.GitPullRequest(title="Better"), **where)
        assert renamed.title == "Better"
        completed = azure.GitPullRequest(
            status="completed",
            last_merge_source_commit=azure.GitCommitRef(commit_id="0" * 40),
            completion_options=azure.GitPullRequestCompletionOptions(merge_strategy="noFastForward"),
        )
        with pytest.raises(AzureDevOpsServiceError, match="TF401192"):
            ada.update_pull_request(completed, **where)
        completed.last_merge_source_commit = renamed.last_merge_source_commit
        assert ada.update_pull_request(completed, **where).merge_status == "queued"
        found = [ada.get_pull_request(**where).status for _ in range(2)]
        assert found == ["active", "completed"]
        criteria = azure.GitPullRequestSearchCriteria(
            status="completed", target_ref_name="refs/heads/production"
        )
        assert [
            one.closed_by.unique_name for one in ada.get_pull_requests("registry", criteria, project="models")
        ] == ["ada@example.com"]
        assert there.double.complaints == []


def test_an_independent_client_finds_a_bitbucket(tmp_path: Path) -> None:
    with world("bitbucket", tmp_path) as there:
        there.branch("feature")

        def client(login: str) -> Any:
            cloud = Cloud(
                url=there.api_url.removesuffix("/2.0"),
                token=f"token-of-{login}",
                backoff_and_retry=False,
            )
            return cloud.workspaces.get("team").repositories.get("registry")

        ada, bob = client("ada"), client("bob")
        made = ada.pullrequests.create("T", "feature", "production", "B", close_source_branch=False)
        assert (made.id, made.is_open, made.title, made.author.display_name) == (1, True, "T", "Ada")
        again = ada.pullrequests.create("Other", "feature", "production", "B", close_source_branch=False)
        assert (again.id, again.title) == (1, "Other")
        head = there.project.tip("feature")
        assert head is not None and made.source_commit == head[:12]
        seen = bob.pullrequests.get(1)
        seen.request_changes()
        seen.unrequest_changes()
        seen.approve()
        with pytest.raises(HTTPError) as caught:
            seen.approve()
        assert caught.value.response.status_code == 409
        voices = [(one.user.display_name, one.has_approved) for one in bob.pullrequests.get(1).participants()]
        assert voices == [("Bob", True)]
        for number in range(12):
            seen.comment(f"{number}")
        assert [one.raw for one in made.comments()] == [f"{number}" for number in range(12)]
        assert [one.hash for one in made.commits] == [head]
        assert [one.id for one in bob.pullrequests.each(q='source.branch.name = "feature"')] == [1]
        next(seen.comments()).update(content={"raw": "changed"})
        assert next(made.comments()).raw == "changed"
        commit = ada.commits.get(head[:12])
        assert commit.hash == head and [one.hash for one in commit.parents()] == [there.project.tip("main")]
        commit.add_build("gitml/check", url="https://ci.example.com/1", description="d", state="SUCCESSFUL")
        assert [one.state for one in there.project.statuses[head]] == ["passed"]
        there.branch("other")
        declined = ada.pullrequests.create("T", "other", "production", "B", close_source_branch=False)
        declined.decline()
        assert ada.pullrequests.get(2).is_declined
        made.merge(merge_strategy="merge_commit")
        assert ada.pullrequests.get(1).is_merged
        assert there.project.git("rev-list", "--count", "--merges", "production") == "1"


def test_python_gitlab_finds_a_gitlab(tmp_path: Path) -> None:
    with world("gitlab", tmp_path) as there:
        there.branch("feature")
        ada = Gitlab(there.api_url, private_token="token-of-ada", per_page=2)
        bob = Gitlab(there.api_url, oauth_token="token-of-bob")
        ada.auth()
        assert ada.user is not None and ada.user.username == "ada"
        project = ada.projects.get("team/registry")
        assert (project.default_branch, project.path_with_namespace) == ("main", "team/registry")
        wanted = {"source_branch": "feature", "target_branch": "production", "title": "Draft: T"}
        made = project.mergerequests.create({**wanted, "description": "B"})
        assert (made.iid, made.state, made.draft, made.author["username"]) == (1, "opened", True, "ada")
        assert made.diff_refs["head_sha"] == made.sha and not made.has_conflicts
        with pytest.raises(GitlabCreateError, match="already exists"):
            project.mergerequests.create(wanted)
        seen = bob.projects.get("team/registry").mergerequests.get(1)
        for number in range(3):
            seen.notes.create({"body": f"{number}"})
        note = made.notes.list(get_all=True, sort="asc")[2]
        note.body = "2, changed"
        note.save()
        assert [one.body for one in seen.notes.list(get_all=True, sort="asc")] == ["0", "1", "2, changed"]
        with pytest.raises(GitlabMRApprovalError) as stale:
            seen.approve(sha="0" * 40)
        assert stale.value.response_code == 409
        seen.approve(sha=made.sha)
        with pytest.raises(GitlabAuthenticationError):
            bob.projects.get("team/registry").mergerequests.get(1).approve()
        assert [one["user"]["username"] for one in made.approvals.get().approved_by] == ["bob"]
        assert [one.state for one in made.reviewer_details.list(get_all=True)] == ["approved"]
        assert [one.head_commit_sha for one in made.diffs.list(get_all=True)] == [made.sha]
        assert [one.message for one in made.commits()] == ["work on feature"]
        status = project.commits.get(made.sha, lazy=True).statuses.create(
            {"state": "success", "name": "check"}
        )
        assert (status.status, status.name) == ("success", "check")
        with pytest.raises(GitlabMRClosedError) as closed:
            made.merge(sha=made.sha)
        assert closed.value.response_code == 405
        made = project.mergerequests.get(1)
        made.title = "Better"
        made.reviewer_ids = [found.id for found in ada.users.list(username="eve", get_all=True)]
        made.save()
        assert (made.title, made.draft, made.reviewers[0]["username"]) == ("Better", False, "eve")
        with pytest.raises(GitlabMRClosedError) as closed:
            made.merge(sha="0" * 40)
        assert closed.value.response_code == 409
        assert made.merge(merge_commit_message="Land it", sha=made.sha)["state"] == "merged"
        found = project.mergerequests.list(state="merged", target_branch="production", get_all=True)
        assert [(one.iid, one.merge_user["username"]) for one in found] == [(1, "ada")]
        assert found[0].merge_commit_sha == there.project.tip("production")
        with pytest.raises(GitlabGetError) as gone:
            project.mergerequests.get(2)
        assert gone.value.response_code == 404
        assert there.double.complaints == []


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


needs_github, needs_gitea, needs_bitbucket = (
    pytest.mark.skipif(
        not openapi.is_there(vendor) and "GITML_REQUIRE_SERVERS" not in os.environ,
        reason=f"{vendor}'s document is not in .servers/openapi",
    )
    for vendor in ("github", "gitea", "bitbucket")
)


@needs_github
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


@needs_gitea
@pytest.mark.parametrize(
    ("made", "word"),
    [
        (call("GET", "/repos/o/r/pulls", state="all", page="1", limit="50"), None),
        (call("POST", "/repos/o/r/pulls", b'{"title": "t", "head": "h", "base": "b", "body": ""}'), None),
        (call("POST", "/repos/o/r/pulls/1/merge", b'{"Do": "merge", "head_commit_id": "x"}'), None),
        (call("POST", "/repos/o/r/pulls/1/reviews", b'{"event": "APPROVED", "commit_id": "x"}'), None),
        (call("GET", "/repos/o/r/pulls", head="o:x"), "head"),
        (call("GET", "/repos/o/r/pulls/first"), "first"),
        (call("PUT", "/repos/o/r/pulls/1/merge", b'{"Do": "merge"}'), "method"),
        (call("POST", "/repos/o/r/pulls/1/merge", b'{"Do": "melt"}'), "melt"),
        (call("POST", "/repos/o/r/pulls/1/merge", b'{"head_commit_id": "x"}'), "Do"),
        (call("POST", "/repos/o/r/pulls", b'{"title": 3, "head": "h", "base": "b"}'), "3"),
        (call("POST", "/repos/o/r/pulls", b'{"title": "t", "draft": true}'), "draft"),
    ],
)
def test_calls_are_held_against_giteas_document(made: Call, word: str | None) -> None:
    complaint = openapi.complaint("gitea", made)
    assert complaint is None if word is None else complaint is not None and word in complaint


PULLS = "/2.0/repositories/o/r/pullrequests"


@needs_bitbucket
@pytest.mark.parametrize(
    ("made", "word"),
    [
        (call("GET", PULLS, state="OPEN", q='source.branch.name = "x"', sort="-id", pagelen="50"), None),
        (call("POST", PULLS, b'{"title": "t", "source": {"branch": {"name": "x"}}, "draft": false}'), None),
        (call("POST", f"{PULLS}/1/merge", b'{"message": "m", "merge_strategy": "merge_commit"}'), None),
        (call("POST", f"{PULLS}/1/approve", b"{}"), None),
        (call("PUT", f"{PULLS}/1", b'{"title": "t", "reviewers": [{"uuid": "{1}"}]}'), None),
        (call("GET", PULLS, state="CLOSED"), "CLOSED"),
        (call("GET", PULLS, branch="x"), "branch"),
        (call("GET", f"{PULLS}/first"), "first"),
        (call("GET", "/2.0/repositories/o/r/pulls"), "path"),
        (call("PATCH", f"{PULLS}/1", b"{}"), "method"),
        (call("POST", PULLS, b'{"title": 3}'), "3"),
        (call("POST", PULLS, b'{"title": "t", "source": {"name": "x"}}'), "name"),
        (call("POST", f"{PULLS}/1/merge", b'{"merge_strategy": "merge"}'), "merge"),
        (call("POST", f"{PULLS}/1/approve", b'{"head": "x"}'), "body"),
        (
            call("POST", "/2.0/repositories/o/r/commit/abc/statuses/build", b'{"key": "k", "state": "OK"}'),
            "OK",
        ),
    ],
)
def test_calls_are_held_against_bitbuckets_document(made: Call, word: str | None) -> None:
    complaint = bitbucket.VENDOR.complaint(made)
    assert complaint is None if word is None else complaint is not None and word in complaint
