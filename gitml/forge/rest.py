"""JSON over HTTP, for the adapters of forges that have no well-kept client.

Owns one call: its address, its reply within bounds of size and time, and how it failed, in the words of
:mod:`gitml.forge.patience`, which says what is repeated. It knows no vendor's API; pages are the adapters' own.
A reply never takes the token to another host.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.error import URLError
from urllib.parse import quote, urlencode, urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

from gitml.forge.access import Access
from gitml.forge.patience import Failed

T = TypeVar("T")
MAX_REPLY_BYTES: Final = 32 * 1024 * 1024
_BLOCK_BYTES: Final = 64 * 1024
_MOST_REDIRECTS: Final = 3
_LONGEST_REPLY: Final = 4  # times the time that one read of it may take
_NOT_THE_API: Final = (
    TypeError, ValueError, KeyError, AttributeError, IndexError, RecursionError, ArithmeticError,
)  # fmt: skip
NO_ANSWER: Final = "an answer that is none of its API"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply with a status below 300.

    Attributes:
        headers: With names in lower case.
        body: The JSON value; None where the reply has no body.
    """

    status: int
    headers: Mapping[str, str]
    body: Any


class Rest:
    """A REST API, and the right to speak with it.

    Args:
        access: Where it is, and whose patience repeats the calls.
        headers: What every call says: who it is from.
    """

    def __init__(self, access: Access, headers: Mapping[str, str]) -> None:
        self._api_url, self._timeout_s, self._patience = access.api_url, access.timeout_s, access.patience
        self._headers = {"Accept": "application/json", "User-Agent": "gitml", **headers}
        # Put together by hand, so that nothing follows a redirect, and no scheme but HTTP is spoken.
        self._opener = OpenerDirector()
        for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler()):
            self._opener.add_handler(handler)

    def read(self, what: str, attempt: Callable[[], T]) -> T:
        """:meth:`Patience.read`, where an answer of another form than the attempt reads is no answer."""
        return self._patience.read(what, attempted(attempt))

    def write(self, what: str, attempt: Callable[[], T], look: Callable[[], T | None]) -> T:
        """:meth:`Patience.write`, likewise."""
        return self._patience.write(what, attempted(attempt), look)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | bool | tuple[str, ...]] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one call, once.

        Args:
            path: After the address of the API, with a slash at its beginning; :func:`path_of` makes one.
            query: Words after the path; of several values of one word, each is said.
            body: JSON value to send; None sends no body.
            headers: What this call says besides.

        Raises:
            Failed: The status is 300 or more, there was no reply, or none that is JSON and within bounds.
        """
        words = {
            key: value if isinstance(value, tuple) else _text(value) for key, value in (query or {}).items()
        }
        url = self._api_url + path + (f"?{urlencode(words, doseq=True)}" if words else "")
        said = {**self._headers, **(headers or {})}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            said["Content-Type"] = "application/json"
        for _ in range(_MOST_REDIRECTS):
            status, found, reply = self._sent(method, url, data, said)
            if status not in (301, 302, 303, 307, 308):
                return _answer(status, found, reply)
            url = self._led(method, url, status, found)
        raise Failed(None, "replies that lead in a circle")

    def _led(self, method: str, url: str, status: int, headers: Mapping[str, str]) -> str:
        """Where a reply leads: only within the same host, and no write where that would make it a read."""
        there = urljoin(url, headers.get("location", ""))
        if _origin(there) != _origin(url):
            raise Failed(None, "a reply that leads to another host, where the token does not go")
        if method != "GET" and status not in (307, 308):
            raise Failed(None, f"a reply that leads elsewhere (status {status})")
        return there

    def _sent(
        self, method: str, url: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        request = Request(url, data=data, headers=dict(headers), method=method)  # noqa: S310 - checked address
        try:
            with self._opener.open(request, timeout=self._timeout_s) as reply:
                found = {name.lower(): value for name, value in reply.headers.items()}
                return reply.status, found, self._received(reply)
        except (URLError, http.client.HTTPException, OSError) as error:
            raise _lost(error) from error

    def _received(self, reply: http.client.HTTPResponse) -> bytes:
        end, parts, size_bytes = time.monotonic() + _LONGEST_REPLY * self._timeout_s, [], 0
        while block := reply.read1(_BLOCK_BYTES):
            parts.append(block)
            size_bytes += len(block)
            if size_bytes > MAX_REPLY_BYTES:
                raise Failed(None, f"an answer of more than {MAX_REPLY_BYTES // 1024**2} MiB")
            if time.monotonic() > end:
                raise Failed(None, "no whole answer in time")
        if reply.length:  # what the reply promised and did not bring
            raise Failed(None, "half an answer")
        return b"".join(parts)


def attempted(attempt: Callable[[], T]) -> Callable[[], T]:
    """One try, which fails where the answer is not of the form that is read from it."""

    def tried() -> T:
        try:
            return attempt()
        except _NOT_THE_API as error:
            raise Failed(None, NO_ANSWER) from error

    return tried


def path_of(*parts: str | int) -> str:
    """A path of an API, each part of which is one part whatever stands in it."""
    return "".join("/" + quote(str(part), safe="") for part in parts)


def text_in(value: Any, key: str) -> str:
    """A text that has to be in an object."""
    found = value[key]
    if not isinstance(found, str) or not found:
        raise TypeError(f"no text at {key}")
    return found


def words_in(value: Any, key: str) -> str:
    """A text that may be missing, nothing or empty."""
    found = value.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise TypeError(f"no text at {key}")
    return found


def time_in(value: Any, key: str) -> datetime:
    """A time with its zone, which has to be in an object; in UTC."""
    found = datetime.fromisoformat(text_in(value, key))
    if found.tzinfo is None:
        raise TypeError(f"no zone at {key}")
    return found.astimezone(UTC)


def items_of(body: Any) -> list[Any]:
    """A list that has to be the whole body."""
    if not isinstance(body, list):
        raise TypeError("no list")
    return body


def number_in(value: Any, key: str) -> int:
    """A whole number that has to be in an object."""
    found = value[key]
    if not isinstance(found, int) or isinstance(found, bool):
        raise TypeError(f"no number at {key}")
    return found


def said_in(body: Any) -> str:
    """What a forge says in the body of an error, whatever names it gives the words."""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return "; ".join(word for word in map(said_in, body) if word)
    if not isinstance(body, dict):
        return ""
    named = [
        said_in(body.get(name)) for name in ("message", "error", "error_description", "detail", "errors")
    ]
    if any(named):
        return ": ".join(word for word in named if word)
    return "; ".join(f"{key}: {word}" for key, one in body.items() if (word := said_in(one)))


def _answer(status: int, headers: Mapping[str, str], data: bytes) -> Answer:
    try:
        body = json.loads(data) if data.strip() else None
    except (ValueError, RecursionError) as error:
        if status < 300:
            raise Failed(None, NO_ANSWER) from error
        body = None
    if status >= 300:
        raise Failed(status, said_in(body) or http.client.responses.get(status, ""), headers)
    return Answer(status=status, headers=headers, body=body)


def _lost(error: Exception) -> Failed:
    """Why there was no reply; what never reached the forge is told apart."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return Failed(None, "its certificate is not trusted", sent=False)
    if isinstance(reason, ssl.SSLError):
        return Failed(None, "no secure connection", sent=False)
    if isinstance(reason, ConnectionRefusedError | socket.gaierror):
        return Failed(None, "no connection", sent=False)
    if isinstance(reason, TimeoutError):
        return Failed(None, "no answer in time")
    return Failed(None, "the connection broke")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _text(value: str | int | bool) -> str:  # noqa: FBT001 - the value itself
    return str(value).lower() if isinstance(value, bool) else str(value)
