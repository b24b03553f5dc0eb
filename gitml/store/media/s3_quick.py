"""S3 by obstore, for as long as nothing goes wrong: its start takes 20 ms of processor time, the SDK's 400.

Only where keys, server and region stand in plain words. What obstore cannot say well is left to the SDK's client:
why a call was refused, how an upload moves, who one is, objects by version. The first thing of that kind ends the
quick way for good. What a failed attempt may have done is told as always, and the mark of a write says whose it was.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar, cast

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from gitml.model.store_url import StoreUrl, is_guarded
from gitml.store.media.identity import Identity
from gitml.store.media.looping import plain_loop
from gitml.store.media.remote_client import (
    MARK,
    Client,
    Held,
    Listed,
    Page,
    Pin,
    Reply,
    UploadBody,
    bare_etag,
)
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.media.retry import Failure, FailureKind
from gitml.store.media.s3_access import CALLS, CONNECT_S, FLIGHT, PlainAccess

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult

_T = TypeVar("_T")
_PROCESS: Final = (
    os.getpid()
)  # obstore's threads are this process's alone: one that is forked from it has none of them

_BLOCK_BYTES: Final = 1 << 20
_LARGE_BYTES: Final = 4 << 20
_PAGE: Final = 1000
_STATUS: Final = re.compile(r"non-2xx status code: (\d{3})")
_NO_EFFECT: Final = re.compile(r"HttpError \{\s+kind: Connect,|Received redirect without LOCATION")
_NOTHING_DONE: Final = (501, 503, 507)


class _TroubleError(Exception):
    """An attempt failed in a way that is known."""

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason)
        self.failure = Failure(kind=kind, reason=reason)


class QuickS3Client:
    """One bucket of one server.

    Args:
        url: The location.
        options: As for the SDK's client.
        access: How the bucket is reached.
    """

    calls: Final = CALLS
    flight: Final = FLIGHT
    meters_reads: Final = True

    def __init__(self, url: StoreUrl, options: RemoteOptions, access: PlainAccess) -> None:
        self._location = url
        self._options = options
        self._access = access
        self._sdk: Client | None = None
        self._making = threading.Lock()
        self._is_quick = True
        self._has_sent = False
        self._first_large = asyncio.Lock()
        endpoint = access.endpoint_url
        self._store = S3Store(
            url.bucket,
            config={
                "access_key_id": access.access_key,
                "secret_access_key": access.secret_key,
                "region": access.region,
                # as for the SDK: signatures cover bytes only where these can change on their way
                "unsigned_payload": endpoint is None or is_guarded(endpoint),
                "virtual_hosted_style_request": endpoint is None,
                **({} if endpoint is None else {"endpoint": endpoint}),
                **({} if access.session_token is None else {"session_token": access.session_token}),
            },
            client_options={
                "allow_http": endpoint is not None,
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "read_timeout": timedelta(seconds=options.stall_s),  # ends calls that were given up
                "timeout": timedelta(days=1),
            },
            retry_config={"max_retries": 0},
        )

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that calls run on: another one when the quick way has ended."""
        self._is_quick = self._is_quick and os.getpid() == _PROCESS
        return plain_loop() if self._is_quick else self._careful().loop

    @property
    def url(self) -> str:
        """The location, with the server where it is not AWS."""
        endpoint = self._access.endpoint_url
        return str(self._location) + (f" at {endpoint}" if endpoint else "")

    def _careful(self) -> Client:
        """The SDK's client, imported only now."""
        with self._making:
            if self._sdk is None:
                from gitml.store.media.s3 import S3Client

                self._sdk = S3Client(self._location, self._options)
            return self._sdk

    def _goes_quick(self, *, possible: bool = True) -> bool:
        """Whether a call goes the quick way.

        Raises:
            _TroubleError: It began there, and has to begin anew with the SDK.
        """
        if asyncio.get_running_loop() is not plain_loop():
            return False
        if self._is_quick and possible:
            return True
        self._is_quick = False
        raise _TroubleError(FailureKind.AGAIN, "it is a call for the SDK")

    async def head(self, key: str, pin: Pin | None = None) -> Held:
        if not self._goes_quick(possible=pin is None):
            return await self._careful().head(key, pin)
        found = await self._asked(key, {"head": True})
        return Held(
            size_bytes=found.meta["size"],
            mark=found.attributes.get(MARK),
            etag=bare_etag(found.meta["e_tag"]),
            version_id=found.meta["version"],
        )

    @asynccontextmanager
    async def get(
        self, key: str, start: int, end: int | None, pin: Pin | None = None
    ) -> AsyncIterator[Reply]:
        if not self._goes_quick(possible=pin is None):
            async with self._careful().get(key, start, end, pin) as reply:
                yield reply
            return
        options: GetOptions = {}
        if start or end is not None:
            options["range"] = {"offset": start} if end is None else (start, end)
        found = await self._asked(key, options)
        first, stop = found.range
        try:
            yield Reply(
                start=first,
                size_bytes=stop - first,
                object_bytes=found.meta["size"],
                blocks=_blocks(found),
                etag=bare_etag(found.meta["e_tag"]),
            )
        except BaseException:
            self._is_quick = False
            raise

    async def _asked(self, key: str, options: GetOptions) -> GetResult:
        """The beginning of an answer."""
        with self._ending_with_trouble(writes=False):
            try:
                return await _aside(lambda: obstore.get(self._store, key, options=options))
            except FileNotFoundError as error:
                # the answer to a look has no words; any other that does not name the key means the bucket
                if options.get("head") or "<Code>NoSuchKey</Code>" in str(error):
                    raise _TroubleError(FailureKind.ABSENT, "404 Not Found") from error
                raise

    async def put(self, key: str, body: UploadBody, mark: str, *, create: bool) -> None:
        if not self._goes_quick():
            await self._careful().put(key, body, mark, create=create)
        elif len(body) < _LARGE_BYTES or self._has_sent:
            await self._put(key, body, mark, create=create)
        else:
            # An upload does not tell how it moves, and is given up when it takes as long as a stall may: a line so
            # slow is found by one for all, and left to the SDK.
            async with self._first_large:
                if not self._has_sent:
                    self._goes_quick()
                    await self._put(key, body, mark, create=create)
                    self._has_sent = True
                    return
            await self._put(key, body, mark, create=create)

    async def _put(self, key: str, body: UploadBody, mark: str, *, create: bool) -> None:
        parts = body.parts()
        with self._ending_with_trouble(writes=True):
            try:
                await _aside(
                    lambda: obstore.put(
                        self._store,
                        key,
                        parts,
                        attributes={MARK: mark},
                        mode="create" if create else "overwrite",
                        use_multipart=False,
                    )
                )
            except AlreadyExistsError as error:
                if create and _status(error) == 412:
                    raise _TroubleError(FailureKind.EXISTS, "412 Precondition Failed") from error
                raise
            finally:
                parts.clear()  # who remembers how an attempt failed would keep them in memory

    async def delete(self, key: str) -> None:
        self._goes_quick(possible=False)
        await self._careful().delete(key)

    async def page(self, prefix: str, following: str | None, *, versions: bool = False) -> Page:
        possible = prefix.endswith("/") and following is None and not versions
        if not self._goes_quick(possible=possible):
            return await self._careful().page(prefix, following, versions=versions)
        with self._ending_with_trouble(writes=False):
            stream = obstore.list(self._store, prefix, chunk_size=_PAGE)
            objects = await _aside(lambda: next(stream, []))
        self._goes_quick(possible=len(objects) < _PAGE)  # its way to the next page is not the SDK's
        return Page(
            objects=tuple(
                Listed(key=one["path"], size_bytes=one["size"], etag=bare_etag(one["e_tag"]))
                for one in objects
            ),
            following=None,
        )

    async def renew(self) -> None:
        self._goes_quick(possible=False)
        await self._careful().renew()

    async def identity(self) -> Identity:
        """Who one is, by the SDK's chain."""
        self._goes_quick(possible=False)
        return await self._careful().identity()

    def credentials(self) -> str:
        """Where the keys were found."""
        return self._access.used if self._sdk is None else self._sdk.credentials()

    def failure(self, error: Exception) -> Failure | None:
        """See :class:`gitml.store.media.remote_client.Client`."""
        if isinstance(error, _TroubleError):
            return error.failure
        if isinstance(error, BaseError):
            return Failure(kind=FailureKind.LOST, reason=_first_line(error))
        return None if self._sdk is None else self._sdk.failure(error)

    @contextmanager
    def _ending_with_trouble(self, *, writes: bool) -> Iterator[None]:
        """What obstore raises ends the quick way, and so does giving up a call.

        Raises:
            _TroubleError: Whether the call may have been made.
        """
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            self._is_quick = False
            kind = FailureKind.LOST if _may_be_done(error, writes=writes) else FailureKind.AGAIN
            raise _TroubleError(kind, _first_line(error)) from error
        except asyncio.CancelledError:
            self._is_quick = False
            raise


def _may_be_done(error: Exception, *, writes: bool) -> bool:
    """Whether a failed attempt may have had an effect; one that surely had none is made again without a wait."""
    status = _status(error)
    if status is not None:
        return status >= 500 and status not in _NOTHING_DONE
    return _NO_EFFECT.search(str(error)) is None and (writes or "HTTP error" in str(error))


async def _blocks(found: GetResult) -> AsyncIterator[bytes]:
    stream = found.stream(min_chunk_size=_BLOCK_BYTES)
    while block := await _aside(lambda: next(stream, b"")):
        yield block


async def _aside(call: Callable[[], _T]) -> _T:
    """The result of a call that waits in a thread of its own.

    obstore's coroutines would be woken by threads of its own, which end the process by abort where they come upon an
    interpreter that is closing. Nobody waits for the thread of a call that was given up.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[_T] = loop.create_future()

    def tell(result: _T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(cast("_T", result))

    def run() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001, it is raised where the call was made
            loop.call_soon_threadsafe(tell, None, error)
        else:
            loop.call_soon_threadsafe(tell, result, None)

    threading.Thread(target=run, name="gitml-s3", daemon=True).start()
    return await answer


def _status(error: Exception) -> int | None:
    """The status that the server answered with; obstore has it in words only."""
    found = _STATUS.search(str(error))
    return None if found is None else int(found[1])


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
