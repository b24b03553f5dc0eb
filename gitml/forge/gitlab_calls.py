"""The calls of GitLab's API that the adapter makes: with what right, page by page, and by GraphQL.

For :mod:`gitml.forge.gitlab` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from gitlab import Gitlab

from gitml.errors import InvalidInput
from gitml.forge.access import Access, Token
from gitml.forge.gitlab_replies import session, tried
from gitml.forge.patience import Failed

T = TypeVar("T")


class Calls:
    """One project's API; what is not `read` or `pages` is one call, made once.

    Attributes:
        gitlab: The client.
        project: The project by it.
        is_of_job: Whether the token is that of a CI job.
    """

    def __init__(self, access: Access) -> None:
        base = access.api_url.removesuffix("/api/v4")
        # A GitLab below a path of its host has that path in its remotes too.
        self._path = access.place.path.removeprefix(urlsplit(base).path.strip("/") + "/")
        if "/" not in self._path:
            raise InvalidInput(
                f"the remote names no GROUP/PROJECT on {access.place.host}",
                code="forge-remote",
                hint="git remote -v",
            )
        self._graphql_url = f"{base}/api/graphql"
        self._patience, self._page_size = access.patience, access.page_size
        self.is_of_job = is_of_job(access.token)
        token = access.token.value
        is_oauth = not self.is_of_job and access.token.user == "oauth2"
        self.gitlab = Gitlab(
            base,
            job_token=token if self.is_of_job else None,
            oauth_token=token if is_oauth else None,
            private_token=None if self.is_of_job or is_oauth else token,
            timeout=access.timeout_s,
            user_agent="gitml",
            session=session(),
            keep_base_url=True,
        )
        self.project = self.gitlab.projects.get(self._path, lazy=True)

    def settings(self) -> Mapping[str, Any]:
        """What the project tells of itself."""
        return self.gitlab.projects.get(self._path).attributes

    def lazy(self, number: int) -> Any:
        """One request, which is not read."""
        return self.project.mergerequests.get(number, lazy=True)

    def pull(self, number: int) -> Mapping[str, Any]:
        """One request."""
        return self.project.mergerequests.get(number).attributes

    def edited(self, number: int, **words: Any) -> Mapping[str, Any]:
        """Change a request; gives it as it is then."""
        return self.project.mergerequests.update(number, words)

    def graphql(self, query: str, number: int, **variables: Any) -> Any:
        """Ask about a request by GraphQL; a refusal comes with status 200."""
        said = {"project": self._path, "iid": str(number), **variables}
        reply: Any = self.gitlab.http_post(self._graphql_url, post_data={"query": query, "variables": said})
        if reply.get("errors"):
            raise Failed(422, "; ".join(str(one["message"]) for one in reply["errors"]))
        return reply["data"]

    def read(self, what: str, attempt: Callable[[], T]) -> T:
        """:meth:`gitml.forge.patience.Patience.read`, with python-gitlab's failures understood."""
        return self._patience.read(what, tried(attempt))

    def pages(self, what: str, page: Callable[..., Any], translate: Callable[[Any], T]) -> Iterator[T]:
        """Everything in a list, a page at a time; what is translated is translated within the attempt."""
        number = 1
        while True:

            def attempt(number: int = number) -> Sequence[T]:
                found = page(page=number, per_page=self._page_size, get_all=False)
                return [translate(one.attributes) for one in found]

            found = self.read(what, attempt)
            yield from found
            if len(found) < self._page_size:
                return
            number += 1


def with_right(call: Callable[[], T]) -> T:
    """A call that GitLab answers by 401 where the person, not the token, is wrong."""
    try:
        return call()
    except Failed as failed:
        if failed.status != 401:
            raise
        raise Failed(403, failed.said, failed.headers) from failed


def is_of_job(token: Token) -> bool:
    """Whether a token is one that GitLab gives to a CI job."""
    return token.source == "CI_JOB_TOKEN" or token.value.startswith("glcbt-")
