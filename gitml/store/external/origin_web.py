"""One referenced file on a web server, by GET and HEAD of the very address that was trusted.

No credentials are sent, and no redirect leaves the server: another host, port or scheme is refused. Bytes come as
they are, never unpacked on the way.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import IO, Any, Final
from urllib.parse import urlsplit

from gitml.errors import AccessDenied, GitMLError, IntegrityError, NotFound, StoreUnavailable
from gitml.model.references import Reference
from gitml.model.shown import shown
from gitml.model.source_url import SourceUrl
from gitml.store.external.origin import BLOCK_BYTES, changed, missing
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.media.retry import Failure, FailureKind, Patience, seconds_until

_GONE: Final = frozenset({404, 410})
_DENIED: Final = frozenset({401, 403, 407})
_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_NO_HEAD: Final = frozenset({400, 403, 405, 501})
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "gitml", "Cache-Control": "no-cache"}


@dataclass(frozen=True, slots=True)
class _Answer:
    """The beginning of an answer: what it says of the file, and its body."""

    size_bytes: int | None
    etag: str | None
    body: Any


class _Refused(Exception):  # noqa: N818, it is what the server did
    """The server said no."""

    def __init__(self, status: int, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{status} {reason}".strip())
        self.status = status
        self.retry_after_s = retry_after_s


class WebOrigin:
    """The file of an address.

    Args:
        location: The address, or one above it on the same server.
        options: Time limits.
    """

    ranged: Final = False

    def __init__(self, location: SourceUrl, options: RemoteOptions) -> None:
        self._location = location
        self._patience = Patience(options.timeout_s, options.stall_s)
        self._opener = urllib.request.OpenerDirector()
        redirects = _SameServer()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=ssl.create_default_context()),
            redirects,
            _Answers(redirects),
        ):
            self._opener.add_handler(handler)

    def files(self) -> Iterator[Reference]:
        """See :class:`gitml.store.external.origin.Origin`; an address is one file."""
        url = self._location
        draft = Reference(path=url.name, url=url, size_bytes=0)
        try:
            with self._answer(draft, "HEAD") as answer:
                size_bytes, etag = answer.size_bytes, answer.etag
        except _Refused as refused:
            if refused.status in _GONE:
                raise NotFound(
                    f"there is no {url}",
                    code="source-missing",
                    hint="check its spelling",
                    context={"url": str(url)},
                ) from refused
            if refused.status not in _NO_HEAD:
                raise self._failed(draft, refused) from refused
            size_bytes = etag = None
        if size_bytes is None:
            # A server that does not say how much there is has to be read to the end to know.
            size_bytes, etag = self._measured(draft), None
        yield Reference(path=url.name, url=url, size_bytes=size_bytes, etag=etag)

    def look(self, reference: Reference) -> None:
        """See :class:`gitml.store.external.origin.Origin`."""
        try:
            with self._answer(reference, "HEAD") as answer:
                _judge(reference, answer)
        except _Refused as refused:
            if refused.status not in _NO_HEAD or refused.status == 403:
                raise self._failed(reference, refused) from refused
            with self._opened(reference) as answer:
                _judge(reference, answer)

    def blocks(self, reference: Reference, start: int = 0) -> Iterator[bytes]:
        """See :class:`gitml.store.external.origin.Origin`; always from the beginning."""
        assert start == 0
        with self._opened(reference) as answer:
            _judge(reference, answer)
            received = 0
            for block in self._body(reference, answer):
                received += len(block)
                if received > reference.size_bytes:
                    raise changed(reference, f"it has more than {reference.size_bytes} bytes")
                yield block

    def _measured(self, reference: Reference) -> int:
        with self._opened(reference) as answer:
            return sum(len(block) for block in self._body(reference, answer))

    def _body(self, reference: Reference, answer: _Answer) -> Iterator[bytes]:
        received = 0
        try:
            while block := answer.body.read(BLOCK_BYTES):
                received += len(block)
                yield block
        except (OSError, http.client.HTTPException) as error:
            raise _unavailable(reference, f"{type(error).__name__}: {error}") from error
        if answer.size_bytes is not None and received < answer.size_bytes:
            raise _unavailable(reference, f"the answer ended after {received} of {answer.size_bytes} bytes")

    @contextmanager
    def _opened(self, reference: Reference) -> Iterator[_Answer]:
        try:
            with self._answer(reference, "GET") as answer:
                yield answer
        except _Refused as refused:
            raise self._failed(reference, refused) from refused

    @contextmanager
    def _answer(self, reference: Reference, method: str) -> Iterator[_Answer]:
        """One answer, asked for as often as it takes.

        Raises:
            _Refused: The server said no.
        """
        headers = dict(_HEADERS)
        if reference.etag is not None:
            headers["If-Match"] = f'"{reference.etag}"'
        request = urllib.request.Request(str(reference.url), headers=headers, method=method)  # noqa: S310
        attempts = 0
        while True:
            attempts += 1
            try:
                reply = self._opener.open(request, timeout=self._patience.attempt_s())
                break
            except _Refused as refused:
                failure = Failure(
                    kind=FailureKind.BUSY, reason=str(refused), retry_after_s=refused.retry_after_s
                )
                if refused.status not in _BUSY or not self._patience.wait(attempts, failure):
                    raise
            except (OSError, http.client.HTTPException) as error:
                self._give_up(reference, error, attempts)
        with reply:
            self._patience.answered()
            yield _read_head(reference, reply)

    def _give_up(self, reference: Reference, error: Exception, attempts: int) -> None:
        """Wait before the next attempt, or say why there is none."""
        if isinstance(error, urllib.error.HTTPError):  # a redirect that leads nowhere
            error.close()
            raise _unavailable(reference, f"{error.code} {error.reason}") from error
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise AccessDenied(
                f"{reference.url}: the server's certificate is not trusted: {cause.verify_message}",
                code="tls",
                hint="check the server's certificate",
                context={"url": str(reference.url)},
            ) from error
        unknown_host = isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME
        failure = Failure(kind=FailureKind.UNREACHED, reason=str(cause))
        if unknown_host or not self._patience.wait(attempts, failure):
            raise _unavailable(reference, str(cause)) from error

    def _failed(self, reference: Reference, refused: _Refused) -> GitMLError:
        if refused.status in _GONE:
            return missing(reference)
        if refused.status == 412:
            return changed(reference, "the server has another etag")
        if refused.status in _DENIED:
            return AccessDenied(
                f"{reference.url} was refused: {refused}; no credentials are ever sent there",
                code="source-unreadable",
                hint="refer to a file that everybody may read, or to a bucket",
                context={"url": str(reference.url)},
            )
        return _unavailable(reference, str(refused))


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follows redirects to the same scheme, host and port, and no others."""

    max_redirections = 5

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            fp.close()
            place = f"{new.scheme}://{new.netloc.rpartition('@')[2]}"
            raise AccessDenied(
                f"{req.full_url} leads to another server, {shown(place)}, which is not followed",
                code="source-redirect",
                hint="refer to the file where it lies",
                context={"url": req.full_url, "to": place},
            )
        found = super().redirect_request(req, fp, code, msg, headers, newurl)
        if found is not None:
            found.method = req.get_method()
        return found


class _Answers(urllib.request.BaseHandler):
    """Lets good answers through; sends redirects to their handler, and refuses the rest."""

    handler_order = 1000

    def __init__(self, redirects: _SameServer) -> None:
        self._redirects = redirects

    def http_response(self, request: urllib.request.Request, response: Any) -> Any:
        if response.status == 200:
            return response
        if response.status in (301, 302, 303, 307, 308):
            follow = self._redirects.http_error_302
            answer = follow(request, response, response.status, response.reason, response.headers)
            if answer is not None:
                return answer
        wait_s = seconds_until(response.headers.get("Retry-After"))
        response.close()
        raise _Refused(response.status, response.reason, wait_s)

    https_response = http_response


def _read_head(reference: Reference, reply: Any) -> _Answer:
    headers: Message = reply.headers
    encoding = headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise IntegrityError(
            f"{reference.url} comes as {shown(encoding)}, and not as it is",
            code="source-encoded",
            hint="refer to a file that its server sends as it is",
            context={"path": reference.path, "url": str(reference.url)},
        )
    length = headers.get("Content-Length", "")
    etag = headers.get("ETag", "")
    strong = len(etag) > 2 and etag.startswith('"') and etag.endswith('"')
    return _Answer(
        int(length) if length.isdecimal() and len(length) < 17 else None,
        etag[1:-1] if strong else None,
        reply,
    )


def _judge(reference: Reference, answer: _Answer) -> None:
    if reference.etag is not None and answer.etag != reference.etag:
        raise changed(reference, f"its etag is {answer.etag}")
    if answer.size_bytes is not None and answer.size_bytes != reference.size_bytes:
        raise changed(reference, f"it has {answer.size_bytes} bytes instead of {reference.size_bytes}")


def _unavailable(reference: Reference, why: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"{reference.url} could not be read: {why}",
        code="source-unavailable",
        hint="run the command again",
        context={"path": reference.path, "url": str(reference.url)},
    )
