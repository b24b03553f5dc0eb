"""Where a hosted forge is, and with what right it is spoken to: the place of a remote, and what an adapter is given."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from gitml.errors import InvalidInput
from gitml.forge.patience import Patience

_SCP = re.compile(
    r"(?:(?P<user>[^/@:\s]+)@)?(?P<host>\[[^\]]*\]|[^/:@\s]{2,}):(?!//)(?P<path>.+)\Z", re.DOTALL
)
_COPIED = re.compile(r"[^@:/\s]+@(?P<host>[^:/@\s]+)/(?P<path>.+)\Z", re.DOTALL)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the address of a remote says.

    Attributes:
        host: Host name in lower case, without user and port.
        path: Path of the repository on it, without slashes at its ends and without `.git`.
        is_web: Whether git speaks HTTP with it.
        port: Port, where the address names one.
    """

    host: str
    path: str
    is_web: bool = False
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A secret, and where it came from. Never in messages: neither `repr` nor `str` shows it.

    Attributes:
        user: Who it belongs to, where that is known; some forges want both.
        source: Variable or program that it was taken from.
    """

    value: str = field(repr=False)
    source: str
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What an adapter needs.

    Attributes:
        api_url: Where the API begins, without a slash at its end.
        place: The repository.
        patience: Makes the calls.
        timeout_s: How long one reply may take.
        page_size: How many items of a list are asked for at once.
    """

    api_url: str
    place: Place
    token: Token
    patience: Patience
    timeout_s: float = 30.0
    page_size: int = 100


def place_of(url: str) -> Place | None:
    """The place of a remote; None where it is a path."""
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(?=://)", url)
    if scheme is not None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            return None
        if scheme[0].lower() == "file" or not host:
            return None
        is_web = scheme[0].lower() in ("http", "https")
        return Place(host=_host(host), path=_path(unquote(parts.path)), is_web=is_web, port=port)
    match = _COPIED.match(url) or (_SCP.match(url) if not _is_path(url) else None)
    if match is None:
        return None
    return Place(host=_host(match["host"]), path=_path(match["path"]))


def owner_and_name(place: Place) -> tuple[str, str]:
    """Owner and name of a repository, where the forge has no deeper folders; what is before them is the forge's own path.

    Raises:
        InvalidInput: The remote names no such two.
    """
    parts = place.path.split("/")
    if len(parts) < 2:
        raise InvalidInput(
            f"the remote names no OWNER/REPOSITORY on {place.host}", code="forge-remote", hint="git remote -v"
        )
    return parts[-2], parts[-1]


def check_api_url(url: str) -> str:
    """An address of an API as it is used.

    Raises:
        InvalidInput: It is no address that a token may be sent to.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    if not host or not is_safe or parts.username or parts.query or parts.fragment or not url.isprintable():
        raise InvalidInput(
            "gitml.yaml: forge.url has to be https://HOST/PATH, without user, query and fragment",
            code="forge-url",
            hint="forge: {kind: github, url: https://github.example.com/api/v3}",
        )
    return url.rstrip("/")


def host_of(url: str) -> str:
    """Host name of an API's address, in lower case."""
    return _host(urlsplit(url).hostname or "")


def _host(text: str) -> str:
    return text.strip("[]").rstrip(".").casefold()


def _path(text: str) -> str:
    return "/".join(part for part in text.split("/") if part).removesuffix(".git")


def _is_path(text: str) -> bool:
    """Git's own rule: a slash before the first colon makes it a path."""
    return -1 < text.find("/") < text.find(":") or ":" not in text
