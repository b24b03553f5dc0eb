"""What a vendor's module of routes is made of: calls, replies, routes, and the table entry that the server reads."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from .core import Forge, Refusal, User, Why  # noqa: TID252 - by either name of the package


@dataclass(kw_only=True)
class Call:
    """One HTTP request to a vendor's API.

    Attributes:
        path: After the vendor's prefix, still percent-encoded: `/repos/o/r/pulls`.
        base_url: What the path stands after; links in replies begin with it.
        found: Named groups of the route's expression, decoded.
    """

    forge: Forge
    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    found: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        """The body; what is not JSON is refused."""
        try:
            return json.loads(self.body) if self.body else {}
        except ValueError as error:
            raise Refusal(Why.INVALID, "problems parsing JSON") from error

    def first(self, name: str, default: str | None = None) -> str | None:
        """The first value of a name in the query."""
        return self.query.get(name, [default])[0]

    def number(self, name: str, default: int) -> int:
        """A number in the query."""
        text = self.first(name)
        return int(text) if text and text.isdecimal() else default

    @property
    def token(self) -> str | None:
        """The token in the usual headers: `Authorization: token|Bearer T`, or the password of `Basic`."""
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind.casefold() in ("token", "bearer"):
            return value.strip()
        if kind.casefold() == "basic":
            return base64.b64decode(value).decode(errors="replace").partition(":")[2]
        return None


@dataclass(kw_only=True)
class Reply:
    """What is answered: `body` is a JSON value, or bytes that are sent as they are; None is no body."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Call, User], Reply]


@dataclass(kw_only=True)
class Route:
    """A method and a whole path with named groups, as `/repos/(?P<owner>[^/]+)/…`."""

    method: str
    pattern: str
    handler: Handler

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The decoded groups, where it is this route."""
        found = re.fullmatch(self.pattern, path) if method == self.method else None
        return None if found is None else {k: unquote(v) for k, v in found.groupdict().items() if v}


@dataclass(kw_only=True)
class Vendor:
    """How one vendor speaks; each module `tests/servers/forge/VENDOR.py` has one as `VENDOR`.

    Attributes:
        routes: Its routes.
        error: A refusal as this vendor says it: status, body, headers.
        fault: The body of an error status that comes from nowhere.
        rate_limited: How it says that a token called too often.
        token: Where the token of a call is.
        complaint: What is wrong with a call by the vendor's published API document; None where nothing is.
    """

    routes: Sequence[Route]
    error: Callable[[Refusal], Reply]
    fault: Callable[[int], Any] = lambda status: {"message": f"fault {status}"}
    rate_limited: Callable[[float], Reply]
    token: Callable[[Call], str | None] = lambda call: call.token
    complaint: Callable[[Call], str | None] = lambda _: None


def route(routes: list[Route], method: str, pattern: str) -> Callable[[Handler], Handler]:
    """Decorate a handler with the call that it answers."""

    def register(handler: Handler) -> Handler:
        routes.append(Route(method=method, pattern=pattern, handler=handler))
        return handler

    return register


def link_pages(call: Call, number: int, size: int, has_next: bool) -> dict[str, str]:
    """The header `Link` of a page, as GitHub, GitLab and Gitea send it."""
    links = []
    if has_next:
        links.append((number + 1, "next"))
    if number > 1:
        links.append((number - 1, "prev"))
        links.append((1, "first"))
    kept = "&".join(f"{k}={v[0]}" for k, v in call.query.items() if k not in ("page", "per_page", "limit"))
    rows = [
        f'<{call.base_url}{call.path}?{kept}{"&" if kept else ""}page={one}&per_page={size}>; rel="{name}"'
        for one, name in links
    ]
    return {"Link": ", ".join(rows)} if rows else {}
