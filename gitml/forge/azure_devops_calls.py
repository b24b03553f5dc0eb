"""The calls of Azure DevOps' API that the adapter makes: where they go, with what right, and page by page.

For :mod:`gitml.forge.azure_devops` alone.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from gitml.errors import InvalidInput
from gitml.forge.access import Access, Place, Token, host_of
from gitml.forge.rest import Rest, path_of

_VERSION: Final = "7.1"
Json = Mapping[str, Any]


class Calls:
    """One repository's API; every method but `pages` is one call, made once.

    Attributes:
        page: Address of the pages of requests for people, without the number.
        rest: What the calls are made by.
    """

    def __init__(self, access: Access) -> None:
        organisation, project, repository = names_of(access.place, access.api_url)
        self._access, self._organisation = access, organisation
        self._repo = path_of(*organisation, project, "_apis", "git", "repositories", repository)
        self.page = f"{access.api_url}{path_of(*organisation, project, '_git', repository)}/pullrequest"
        # Without the second header, a token that is not valid is answered by a page to sign in.
        self._said = {"Authorization": authorization(access.token), "X-TFS-FedAuthRedirect": "Suppress"}
        self.rest = Rest(access, self._said)

    def call(
        self,
        method: str,
        *parts: str | int,
        query: Mapping[str, str | int | bool] | None = None,
        body: Any = None,
    ) -> Any:
        """A call of the repository."""
        said = {**(query or {}), "api-version": _VERSION}
        return self.rest.call(method, self._repo + path_of(*parts), query=said, body=body).body

    def pull(self, number: int) -> Json:
        """One request."""
        found: Json = self.call("GET", "pullrequests", number)
        return found

    def change(self, number: int, said: Json) -> Json:
        """Change a request."""
        found: Json = self.call("PATCH", "pullrequests", number, body=said)
        return found

    def threads(self, number: int) -> Sequence[Json]:
        """All of its threads; they come in one reply."""
        return list(self.call("GET", "pullRequests", number, "threads")["value"])

    def iterations(self, number: int) -> Sequence[Json]:
        """Its pushes; they come in one reply."""
        return list(self.call("GET", "pullRequests", number, "iterations")["value"])

    def requests(self, what: str, query: Mapping[str, str]) -> Iterator[Json]:
        """Requests that a search finds, a page at a time."""
        size, skipped = self._access.page_size, 0
        while True:
            place = {**query, "$top": size, "$skip": skipped}
            found = self.rest.read(
                what,
                lambda place=place: list(self.call("GET", "pullrequests", query=place)["value"]),  # type: ignore[misc]
            )
            yield from found
            if len(found) < size:
                return
            skipped += len(found)

    def commits(self, what: str, number: int) -> Iterator[Json]:
        """Commits of a request; a page names the next one in a header."""
        path = self._repo + path_of("pullRequests", number, "commits")
        query: dict[str, str | int | bool | tuple[str, ...]] = {
            "$top": self._access.page_size,
            "api-version": _VERSION,
        }

        def attempt() -> tuple[Sequence[Json], str]:
            answer = self.rest.call("GET", path, query=query)
            return list(answer.body["value"]), answer.headers.get("x-ms-continuationtoken", "")

        while True:
            found, token = self.rest.read(what, attempt)
            yield from found
            if not token:
                return
            query["continuationToken"] = token

    def connection(self) -> Json:
        """Whose token it is."""
        path = path_of(*self._organisation, "_apis", "connectionData")
        found: Json = self.rest.call("GET", path, query={"api-version": f"{_VERSION}-preview.1"}).body
        return found

    def identities(self, name: str) -> Sequence[Json]:
        """Identities that are called so, which are kept on a host of their own."""
        rest = Rest(replace(self._access, api_url=identities_url(self._access.api_url)), self._said)
        query = {"searchFilter": "General", "filterValue": name, "api-version": _VERSION}
        path = path_of(*self._organisation, "_apis", "identities")
        return list(rest.call("GET", path, query=query).body["value"])


def names_of(place: Place, api_url: str) -> tuple[tuple[str, ...], str, str]:
    """Organisation (or path of a collection, or nothing), project and repository that a remote names.

    `ORGANISATION/PROJECT/_git/REPOSITORY` over HTTPS, `v3/ORGANISATION/PROJECT/REPOSITORY` over SSH; without a project
    it is called like the repository. What the address of the API says already is not said twice.
    """
    parts = place.path.split("/")
    if parts[0] == "v3" and len(parts) == 4:
        parts = parts[1:]
    if "_git" in parts:
        at = parts.index("_git")
        before, repository = parts[:at], parts[-1]
    else:
        before, repository = parts[:-1], parts[-1]
    least = (
        1 if host_of(api_url).endswith(".visualstudio.com") else 2
    )  # there the host names the organisation
    if len(before) < least:
        before = [*before, repository]
    if len(before) < least or not all((*before, repository)):
        raise InvalidInput(
            f"the remote names no ORGANISATION/PROJECT/_git/REPOSITORY on {place.host}",
            code="forge-remote",
            hint="git remote -v",
        )
    organisation, project = before[:-1], before[-1]
    if organisation and api_url.casefold().endswith("/" + "/".join(organisation).casefold()):
        organisation = []
    return tuple(organisation), project, repository


def identities_url(api_url: str) -> str:
    """Where identities are asked for: Microsoft's own host for them, or the server itself."""
    host = host_of(api_url)
    if host == "dev.azure.com":
        return "https://vssps.dev.azure.com"
    if host.endswith(".visualstudio.com"):
        return f"https://{host.removesuffix('.visualstudio.com')}.vssps.visualstudio.com"
    return api_url


def authorization(token: Token) -> str:
    """A job's token and those of Entra are bearers; a personal access token is a password of nobody."""
    if token.source == "SYSTEM_ACCESSTOKEN" or (
        token.value.startswith("eyJ") and token.value.count(".") == 2
    ):
        return f"Bearer {token.value}"
    return f"Basic {base64.b64encode(f':{token.value}'.encode()).decode()}"
