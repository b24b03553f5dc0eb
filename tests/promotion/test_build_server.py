"""What each build server says of the request that it runs for."""

from __future__ import annotations

import pytest

from gitml.promotion.build_server import Build, build_of

GITHUB = {
    "GITHUB_BASE_REF": "production",
    "GITHUB_HEAD_REF": "gitml/1",
    "GITHUB_REF": "refs/pull/12/merge",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "team/registry",
    "GITHUB_RUN_ID": "99",
}
GITLAB = {
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "production",
    "CI_MERGE_REQUEST_IID": "12",
    "CI_JOB_URL": "https://gitlab.com/team/registry/-/jobs/99",
}
AZURE = {
    "SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/production",
    "SYSTEM_PULLREQUEST_SOURCECOMMITID": "abc",
    "SYSTEM_PULLREQUEST_PULLREQUESTID": "12",
    "SYSTEM_COLLECTIONURI": "https://dev.azure.com/org/",
    "SYSTEM_TEAMPROJECT": "My Project",
    "BUILD_BUILDID": "99",
}
BITBUCKET = {
    "BITBUCKET_PR_DESTINATION_BRANCH": "production",
    "BITBUCKET_COMMIT": "abc",
    "BITBUCKET_PR_ID": "12",
    "BITBUCKET_REPO_FULL_NAME": "team/registry",
    "BITBUCKET_BUILD_NUMBER": "99",
}


@pytest.mark.parametrize(
    ("variables", "head", "page"),
    [
        (GITHUB, "gitml/1", "https://github.com/team/registry/actions/runs/99"),
        (
            GITHUB | {"GITHUB_REF": "refs/pull/12/head"},
            "gitml/1",
            "https://github.com/team/registry/actions/runs/99",
        ),
        (GITLAB, None, "https://gitlab.com/team/registry/-/jobs/99"),
        (AZURE, "abc", "https://dev.azure.com/org/My%20Project/_build/results?buildId=99"),
        (BITBUCKET, "abc", "https://bitbucket.org/team/registry/pipelines/results/99"),
    ],
)
def test_requests(variables: dict[str, str], head: str | None, page: str) -> None:
    assert build_of(variables) == Build(base="production", head=head, number=12, page=page)


def test_a_repository_of_github_on_azure_pipelines() -> None:
    found = build_of(
        AZURE | {"SYSTEM_PULLREQUEST_PULLREQUESTID": "90210", "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "7"}
    )
    assert found.number == 7


@pytest.mark.parametrize(
    "text", ["refs/heads/12", "refs/tags/12", "", "0", "12/../../x", "-1", "refs/pull/x/merge"]
)
def test_what_is_no_number(text: str) -> None:
    assert build_of(GITHUB | {"GITHUB_REF": text}).number is None


@pytest.mark.parametrize(
    "change",
    [{"GITHUB_RUN_ID": ""}, {"GITHUB_SERVER_URL": "javascript:alert(1)"}, {"GITHUB_SERVER_URL": "file:///x"}],
)
def test_what_is_no_page(change: dict[str, str]) -> None:
    assert build_of(GITHUB | change).page == ""


def test_elsewhere() -> None:
    assert build_of({}) == Build() == build_of({"GITHUB_REF": "refs/heads/main", "GITHUB_BASE_REF": ""})
