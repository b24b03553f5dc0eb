"""A server of S3 or Azure that goes wrong in each of the 27 ways of the plan, at a request of one's choice.

A proxy that knows whole requests and whole replies. What a server cannot do without knowing the objects (give an old
version, write again what was deleted) it does through a medium that reaches the same place directly.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import unquote

from support.proxy import close_now, reset_now

from gitml.errors import GitMLError
from gitml.store.media.medium import Medium

READS = frozenset({"head", "get", "list"})
WRITES = frozenset({"put", "create", "delete"})
BODIES = frozenset({"put", "create"})
ALL = READS | WRITES
_SILENCE_S = 6.0
_BODY_HEADERS = ("content-length", "transfer-encoding", "connection")
_ITEM = re.compile(rb"<Contents>.*?</Contents>|<Blob>.*?</Blob>", re.DOTALL)
_NAME = re.compile(rb"<(?:Key|Name)>(.*?)</(?:Key|Name)>", re.DOTALL)


class Kind(Enum):
    """What happens to a request that is struck: what it is, and which calls it can strike."""

    BEFORE = ("an error, and nothing was done", ALL)
    AFTER = ("it was done, and the reply is lost", ALL)
    TIMEOUT = ("no reply in time, and nothing was done", ALL)
    RESET = ("the connection is reset", ALL)
    THROTTLED = ("503 with Retry-After", ALL)
    BUSY = ("503 without, or 429", ALL)
    EXPIRED = ("the credentials have expired", ALL)
    DENIED = ("403 in the middle of it", ALL)
    ABSENT = ("a fresh object is said not to be there", frozenset({"head", "get"}))
    CONFLICT = ("409: another write of that name is under way", BODIES)
    OWN_WRITE = ("it was done, and then refused because of itself", frozenset({"create"}))
    TRUNCATED = ("the body ends early", frozenset({"get", "list"}))
    EXTRA = ("more bytes come than were asked for", frozenset({"get"}))
    WRONG_RANGE = ("all of it comes instead of the range that was asked for", frozenset({"get"}))
    FLIPPED = ("the body has a wrong bit", frozenset({"get"}))
    STALE = ("what was there before comes", frozenset({"head", "get"}))
    DUPLICATED = ("a write is done a second time, later", BODIES)
    LATE = ("what is deleted comes back", frozenset({"delete"}))
    REORDERED = ("no reply, and the write is done after the next one", BODIES)
    PARTIAL = ("a part of the upload arrives", BODIES)
    LIST_LACKS = ("a listing lacks what is new", frozenset({"list"}))
    LIST_KEEPS = ("a listing shows what was deleted", frozenset({"list"}))
    LIST_MESS = ("a listing is out of order and says everything twice", frozenset({"list"}))
    WRONG_SIZE = ("a look at an object gives a wrong size", frozenset({"head"}))
    ETAG = ("the ETag is missing, or another one", ALL - {"list", "delete"})
    SKEWED = ("Last-Modified and Date are years away", ALL)
    HANG = ("half of the reply comes, and then nothing for ever", frozenset({"get", "list"}))
    IGNORED = ("a delete does nothing, and says that it did", frozenset({"delete"}))

    @property
    def calls(self) -> frozenset[str]:
        return self.value[1]


IMPOSSIBLE = {"the reply to the end of a multipart upload is lost": "no request of one is ever made"}
"""Of the 27 kinds, the one that cannot be had; an upload that arrives in part is `PARTIAL`."""

PASSING = frozenset(
    {Kind.BEFORE, Kind.AFTER, Kind.TIMEOUT, Kind.RESET, Kind.THROTTLED, Kind.BUSY, Kind.EXPIRED, Kind.CONFLICT,
     Kind.OWN_WRITE, Kind.TRUNCATED, Kind.WRONG_RANGE, Kind.DUPLICATED, Kind.PARTIAL, Kind.HANG}
)  # fmt: skip
"""Kinds of which one alone must not be noticed."""

HARMLESS = frozenset({Kind.ETAG, Kind.SKEWED, Kind.LIST_MESS, Kind.DUPLICATED})
"""Kinds that must never be noticed, however often they come."""

LIES = frozenset({Kind.ABSENT, Kind.EXTRA, Kind.FLIPPED, Kind.STALE, Kind.WRONG_SIZE})
"""Kinds that say something wrong about an object, and no error."""

REFUSALS: dict[Kind, dict[str, tuple[int, str]]] = {
    Kind.BEFORE: {"s3": (500, "InternalError"), "az": (500, "InternalError")},
    Kind.THROTTLED: {"s3": (503, "SlowDown"), "az": (503, "ServerBusy")},
    Kind.BUSY: {"s3": (429, "TooManyRequests"), "az": (503, "ServerBusy")},
    Kind.EXPIRED: {"s3": (400, "ExpiredToken"), "az": (401, "InvalidAuthenticationInfo")},
    Kind.DENIED: {"s3": (403, "AccessDenied"), "az": (403, "AuthorizationPermissionMismatch")},
    Kind.ABSENT: {"s3": (404, "NoSuchKey"), "az": (404, "BlobNotFound")},
    Kind.CONFLICT: {"s3": (409, "ConditionalRequestConflict"), "az": (409, "OperationTimedOut")},
    Kind.OWN_WRITE: {"s3": (412, "PreconditionFailed"), "az": (409, "BlobAlreadyExists")},
}


@dataclass(frozen=True)
class Strike:
    """A fault: from request number `call` (counted from 1), the first that `kind` can strike, or every one."""

    call: int
    kind: Kind
    sticky: bool = False

    def __str__(self) -> str:
        return f"{self.kind.name} at request {self.call}{', and at all that follow' if self.sticky else ''}"


def strikes(log: list[tuple[str, str]]) -> Iterator[Strike]:
    """Every fault that a run with these requests can meet."""
    for number, (call, _) in enumerate(log, 1):
        for kind in Kind:
            if call in kind.calls:
                yield Strike(number, kind)
                yield Strike(number, kind, sticky=True)


@dataclass
class Reply:
    """A reply, as a server made it or we do; `announced` bytes are promised where that is not what is sent."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    announced: int | None = None


@dataclass(frozen=True)
class Request:
    """A request as the client sent it, which may be made again when the client is long gone."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def forward(self, port: int) -> Reply:
        """Make it, and give the reply."""
        with contextlib.closing(self._begun(port, len(self.body))) as upstream:
            upstream.send(self.body)
            answer = upstream.getresponse()
            return Reply(answer.status, list(answer.getheaders()), answer.read())

    def begin(self, port: int, size: int) -> None:
        """Let the server see a part of an upload of that size, and the end of the connection."""
        with contextlib.suppress(OSError), contextlib.closing(self._begun(port, size)) as upstream:
            upstream.send(self.body)
            upstream.sock.shutdown(socket.SHUT_WR)

    def _begun(self, port: int, size: int) -> http.client.HTTPConnection:
        upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        upstream.putrequest(self.method, self.path, skip_host=True, skip_accept_encoding=True)
        for key, value in self.headers:
            if key.lower() not in (*_BODY_HEADERS, "expect"):
                upstream.putheader(key, value)
        if self.method == "PUT" or size:
            upstream.putheader("Content-Length", str(size))
        upstream.endheaders()
        return upstream


class Wire:
    """See the module; a context manager.

    Args:
        target_port: The server.
        scheme: How it speaks: `s3` or `az`.
        above: The path of the bucket on the server, as `/bucket/`.
        prefix: The store's path in it, as `prefix/`.
        truth: The same place, reached directly.
    """

    def __init__(self, target_port: int, scheme: str, above: str, prefix: str, truth: Medium) -> None:
        self.strike: Strike | None = None
        self.struck = 0
        self.log: list[tuple[str, str]] = []
        self.target, self._scheme, self._truth = target_port, scheme, truth
        self._above, self._prefix = above + prefix, prefix
        self._lock = threading.RLock()
        self._late: list[tuple[int, Callable[[], object]]] = []
        self._before: dict[str, bytes | None] = {}
        self._listed: dict[bytes, bytes] = {}
        self._deleted: set[str] = set()
        self.closed = threading.Event()
        wire = self

        class Handler(_Handler):
            owner = wire

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Wire:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()

    def settle(self) -> None:
        """Let all writes that are still on their way arrive."""
        with self._lock:
            late, self._late = self._late, []
        for _, write in late:
            write()

    def begin(self, call: str, name: str) -> Kind | None:
        """Count a request; what strikes it."""
        with self._lock:
            self.log.append((call, name))
            number, strike = len(self.log), self.strike
            ripe = [write for at, write in self._late if at < number - 1]
            self._late = [one for one in self._late if one[0] >= number - 1]
            hit = strike is not None and number >= strike.call and call in strike.kind.calls
            hit = hit and not (self.struck and not strike.sticky)  # type: ignore[union-attr]
            self.struck += hit
        for write in ripe:
            write()
        return strike.kind if hit and strike is not None else None

    def called(self, method: str, path: str, conditions: str) -> tuple[str, str]:
        """Which call of a medium a request is, and the name of its object or prefix."""
        where, _, query = path.partition("?")
        name = unquote(where).removeprefix(self._above)
        if re.search(r"uploads|uploadId|partNumber|comp=block", query):
            raise AssertionError(f"a multipart upload: {method} {path}")
        if method == "GET" and re.search(r"list-type=2|comp=list", query):
            return "list", query
        if method == "PUT":
            return "create" if "*" in conditions else "put", name
        return method.lower(), name

    # -- what happens

    def answer(self, kind: Kind | None, call: str, name: str, forward: Callable[[], Reply]) -> Reply | None:
        """The reply to a request; None drops the connection."""
        if kind in (Kind.RESET, Kind.PARTIAL):
            return None
        if kind is Kind.TIMEOUT:
            self.closed.wait(_SILENCE_S)
            return None
        if kind is Kind.REORDERED:
            self._later(forward)
            return None
        if kind in REFUSALS and kind is not Kind.OWN_WRITE:
            return self._refusal(kind)
        if kind is Kind.IGNORED:
            return Reply(204 if self._scheme == "s3" else 202)
        if call in WRITES:
            self._remember(name)
        if kind is Kind.STALE and name in self._before:
            old = self._before[name]
            if old is None:
                return self._refusal(Kind.ABSENT)
        found = forward()
        if kind is Kind.AFTER:
            return None
        if kind is Kind.OWN_WRITE:
            return self._refusal(kind)
        if call == "delete":
            self._deleted.add(name)
            old = self._before.get(name)
            if kind is Kind.LATE and old is not None:
                self._later(lambda: self._truth.put(name, [old]))
        if kind is Kind.DUPLICATED:
            self._later(forward)
        return self._changed(kind, call, name, found)

    def _changed(self, kind: Kind | None, call: str, name: str, found: Reply) -> Reply:
        ok = found.status < 300
        if call == "list" and ok:
            found.body = self._listing(kind, found.body)
        body = found.body
        if kind is Kind.TRUNCATED:
            found.body, found.announced = body[: len(body) // 2], len(body)
        elif kind is Kind.EXTRA and ok:
            found.body = body + b"more"
            found.announced = len(found.body)
        elif kind is Kind.FLIPPED and ok and body:
            middle = len(body) // 2
            found.body = body[:middle] + bytes([body[middle] ^ 0x10]) + body[middle + 1 :]
        elif kind is Kind.WRONG_RANGE and ok:
            self._another_range(found, name)
        elif kind is Kind.WRONG_SIZE and ok:
            found.announced = int(_header(found, "content-length") or 0) + 1
        elif kind is Kind.ETAG:
            found.headers = [(key, '"another"') for key, _ in found.headers if key.lower() == "etag"][: name > "q"] + [
                one for one in found.headers if one[0].lower() != "etag"
            ]  # fmt: skip
        elif kind is Kind.SKEWED:
            found.headers = [
                (key, "Fri, 01 Jan 2038 00:00:00 GMT" if key.lower() in ("last-modified", "date") else value)
                for key, value in found.headers
            ]
        return found

    def _another_range(self, found: Reply, name: str) -> None:
        if found.status == 206:
            found.status, found.body = 200, self._truth.get(name)
            found.headers = [one for one in found.headers if one[0].lower() != "content-range"]

    def _listing(self, kind: Kind | None, body: bytes) -> bytes:
        items = _ITEM.findall(body)
        with self._lock:
            for item in items:
                self._listed[_NAME.findall(item)[0]] = item
            known = dict(self._listed)
        if kind is Kind.LIST_LACKS:
            shown = [item for item in items if self._place(item) not in self._before]
        elif kind is Kind.LIST_KEEPS:
            gone = [
                item for item in known.values() if item not in items and self._place(item) in self._deleted
            ]
            shown = items + gone
        elif kind is Kind.LIST_MESS:
            shown = [*reversed(items), *items]
        else:
            return body
        if not items:
            return body
        start, end = body.index(items[0]), body.rindex(items[-1]) + len(items[-1])
        return body[:start] + b"".join(shown) + body[end:]

    def _place(self, item: bytes) -> str:
        """The name of an object that a listing shows; keys there begin below the bucket."""
        return unquote(_NAME.findall(item)[0].decode()).removeprefix(self._prefix)

    def _refusal(self, kind: Kind) -> Reply:
        status, code = REFUSALS[kind][self._scheme]
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>said the wire</Message></Error>"
        headers = [("Content-Type", "application/xml"), ("x-ms-error-code", code)]
        if kind is Kind.THROTTLED:
            headers.append(("Retry-After", "0"))
        return Reply(status, headers, body.encode())

    def _remember(self, name: str) -> None:
        with self._lock, contextlib.suppress(GitMLError):
            self._before[name] = None if self._truth.head(name) is None else self._truth.get(name)

    def _later(self, write: Callable[[], object]) -> None:
        with self._lock:
            self._late.append((len(self.log), write))


def _header(found: Reply, name: str) -> str | None:
    return next((value for key, value in found.headers if key.lower() == name), None)


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    owner: Wire
    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        with contextlib.suppress(OSError):
            super().handle_one_request()
            return
        self.close_connection = True

    def _serve(self) -> None:
        call, name = self.owner.called(self.command, self.path, self.headers.get("If-None-Match", ""))
        kind = self.owner.begin(call, name)
        size = int(self.headers.get("Content-Length") or 0)
        if kind is Kind.PARTIAL:
            part = self.rfile.read(size // 2)
            Request(self.command, self.path, list(self.headers.items()), part).begin(self.owner.target, size)
            self._drop()
            return
        body = self.rfile.read(size)
        request = Request(self.command, self.path, list(self.headers.items()), body)
        found = self.owner.answer(kind, call, name, lambda: request.forward(self.owner.target))
        if found is None:
            self._drop()
            return
        self.send_response_only(found.status)
        bodiless = self.command == "HEAD"
        for key, value in found.headers:
            if key.lower() not in _BODY_HEADERS:
                self.send_header(key, value)
        size = len(found.body) if found.announced is None else found.announced
        if bodiless and found.announced is None:
            size = int(_header(found, "content-length") or 0)
        if found.status != 204:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        if bodiless:
            return
        if kind is Kind.HANG:
            self.wfile.write(found.body[: len(found.body) // 2])
            self.wfile.flush()
            self.owner.closed.wait(3)
            self._drop()
            return
        self.wfile.write(found.body)
        if found.announced not in (None, len(found.body)):
            self._drop()

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve  # noqa: N815 - names of the library

    def _drop(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
        reset_now(self.connection)
        close_now(self.connection)

    def log_message(self, *_: object) -> None:
        """Nothing: the log is the owner's."""
