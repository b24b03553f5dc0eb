"""What a build server says of the request that it runs for: the target, the head, its number, and the run's own page.

Source: the manuals of GitHub and Gitea Actions, GitLab CI, Azure Pipelines and Bitbucket Pipelines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from gitml.forge.shared import HEADS

_NUMBER: Final = re.compile(r"(?:refs/pull/)?([1-9][0-9]{0,9})(?:/[a-z]+)?")
_NAME: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A run of a build server for a request; nothing of it is known elsewhere.

    Attributes:
        base: The target branch.
        head: A branch or a commit.
        number: Number of the request.
        page: Address of the run for people.
    """

    base: str | None = None
    head: str | None = None
    number: int | None = None
    page: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variables:
    """Names of the variables of one kind; `base` is set for requests alone."""

    base: str
    head: str
    number: tuple[str, ...]
    page: str


_KINDS: Final = (
    _Variables(
        base="GITHUB_BASE_REF",
        head="GITHUB_HEAD_REF",
        number=("GITHUB_REF",),
        page="{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
    ),
    _Variables(
        base="CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
        head="CI_MERGE_REQUEST_SOURCE_BRANCH_SHA",
        number=("CI_MERGE_REQUEST_IID",),
        page="{CI_JOB_URL}",
    ),
    _Variables(
        base="SYSTEM_PULLREQUEST_TARGETBRANCH",
        head="SYSTEM_PULLREQUEST_SOURCECOMMITID",
        # For a repository that is on GitHub, the second one is no number that people know.
        number=("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID"),
        page="{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",
    ),
    _Variables(
        base="BITBUCKET_PR_DESTINATION_BRANCH",
        head="BITBUCKET_COMMIT",
        number=("BITBUCKET_PR_ID",),
        page="https://bitbucket.org/{BITBUCKET_REPO_FULL_NAME}/pipelines/results/{BITBUCKET_BUILD_NUMBER}",
    ),
)


def build_of(environment: Mapping[str, str] | None = None) -> Build:
    """What the environment says; an empty one says nothing."""
    variables = os.environ if environment is None else environment
    for kind in _KINDS:
        if variables.get(kind.base):
            return Build(
                base=variables[kind.base].removeprefix(HEADS),
                head=variables.get(kind.head) or None,
                number=_number(variables, kind.number),
                page=_page(variables, kind.page),
            )
    return Build()


def _number(variables: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    for name in names:
        match = _NUMBER.fullmatch(variables.get(name, ""))
        if match is not None:
            return int(match[1])
    return None


def _page(variables: Mapping[str, str], template: str) -> str:
    """The address, where all that it is made of is known and it is one."""
    if not all(variables.get(name) for name in _NAME.findall(template)):
        return ""
    found = _NAME.sub(lambda match: quote(variables[match[1]], safe=":/?=&%#+-._~"), template)
    return found if found.startswith(("https://", "http://")) else ""
