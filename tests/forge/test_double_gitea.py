"""The double of Gitea, driven by a client that is made from Gitea's own description of its API."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.forges import world


async def _drive(url: str) -> None:
    import gitea_api_client as gitea  # takes seconds, which no other test is to pay

    def client(login: str) -> gitea.ApiClient:
        key = {"AuthorizationHeaderToken": f"token token-of-{login}"}
        return gitea.ApiClient(gitea.Configuration(host=url, api_key=key))

    async with client("ada") as as_ada, client("bob") as as_bob:
        at = ("team", "registry")
        ada, bob, issues = gitea.RepositoryApi(as_ada), gitea.RepositoryApi(as_bob), gitea.IssueApi(as_ada)
        assert (await gitea.UserApi(as_bob).user_get_current()).login == "bob"
        assert (await ada.repo_get(*at)).default_branch == "main"
        wanted = gitea.CreatePullRequestOption(base="production", head="feature", title="WIP: T", body="B")
        pull = await ada.repo_create_pull_request(*at, body=wanted)
        assert (pull.number, pull.state, pull.draft, pull.mergeable) == (1, "open", True, True)
        assert pull.user and pull.head and (pull.user.login, pull.head.ref) == ("ada", "feature")
        with pytest.raises(gitea.exceptions.ConflictException):
            await ada.repo_create_pull_request(*at, body=wanted)
        approval = gitea.CreatePullReviewOptions(event="APPROVED", commit_id=pull.head.sha)
        with pytest.raises(gitea.exceptions.UnprocessableEntityException, match="approve your own"):
            await ada.repo_create_pull_review(*at, 1, approval)
        no = gitea.CreatePullReviewOptions(event="REQUEST_CHANGES", body="no")
        await bob.repo_create_pull_review(*at, 1, no)
        await bob.repo_create_pull_review(*at, 1, approval)
        reviews = await ada.repo_list_pull_reviews(*at, 1)
        assert [(one.state, one.official, one.stale) for one in reviews] == [
            ("REQUEST_CHANGES", False, False), ("APPROVED", True, False),
        ]  # fmt: skip
        for number in range(3):
            said = await issues.issue_create_comment(*at, 1, gitea.CreateIssueCommentOption(body=f"{number}"))
        await issues.issue_edit_comment(*at, said.id, gitea.EditIssueCommentOption(body="2, changed"))
        assert [one.body for one in await issues.issue_get_comments(*at, 1)] == ["0", "1", "2, changed"]
        (commit,) = await ada.repo_get_pull_request_commits(*at, 1)
        assert commit.commit and commit.commit.message == "work on feature"
        status = gitea.CreateStatusOption(context="check", state="success", description="fine")
        assert (await ada.repo_create_status(*at, pull.head.sha, status)).status == "success"
        merge = gitea.MergePullRequestOption(do="merge", head_commit_id="0" * 40, merge_title_field="Land it")
        with pytest.raises(gitea.ApiException, match="Work in progress"):
            await ada.repo_merge_pull_request(*at, 1, merge)
        changed = await ada.repo_edit_pull_request(*at, 1, gitea.EditPullRequestOption(title="Better"))
        assert (changed.title, changed.draft) == ("Better", False)
        with pytest.raises(gitea.exceptions.ConflictException, match="head out of date"):
            await ada.repo_merge_pull_request(*at, 1, merge)
        merge.head_commit_id = pull.head.sha
        await ada.repo_merge_pull_request(*at, 1, merge)
        done = await bob.repo_get_pull_request(*at, 1)
        assert done.merged and done.merged_by and done.merged_by.login == "ada" and done.merge_commit_sha
        assert [one.number for one in await ada.repo_list_pull_requests(*at, state="closed")] == [1]
        with pytest.raises(gitea.exceptions.NotFoundException):
            await ada.repo_get_pull_request(*at, 2)


def test_a_client_made_from_giteas_document_finds_a_gitea(tmp_path: Path) -> None:
    with world("gitea", tmp_path) as there:
        there.branch("feature")
        asyncio.run(_drive(there.api_url))
        assert there.project.git("log", "-1", "--format=%s", "production") == "Land it"
        assert not [one for one in there.double.complaints if "route" in one]
