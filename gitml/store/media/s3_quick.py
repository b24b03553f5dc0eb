"""S3 by obstore, for as long as nothing goes wrong: its start takes 20 ms of processor time, the SDK's 400.

Only where keys, server and region stand in plain words. What obstore cannot say well is left to the SDK's client:
why a call was refused, how an upload moves, who one is, objects by version. A first failure ends the quick way for
good; what it may have done is told as for any other attempt, and the mark of a write says whose it was.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from gitml.model.store_url import StoreUrl, is_guarded
from gitml.store.media.identity import Identity
from gitml.store.media.looping import shared_loop
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

_BLOCK_BYTES: Final = 1 << 20
_LARGE_BYTES: Final = 4 << 20
_PAGE: Final = 1000
_STATUS: Final = re.compile(r"non-2xx status code: (\d{3})")
_BUSY: Final = (429, 503)
_NOTHING_DONE: Final = (501, 507)
_TROUBLE: Final = (BaseError, OSError, ValueError)


class _TroubleError(Exception):
    """An attempt failed in a way that is known."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


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
                "timeout": timedelta(days=1),  # who calls watches how it moves
            },
            retry_config={"max_retries": 0},
        )

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that all calls run on, here and in the SDK's client."""
        return shared_loop()

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

    async def head(self, key: str, pin: Pin | None = None) -> Held:
        found = await self._asked(key, {"head": True}) if pin is None else None
        if found is None:
            return await self._careful().head(key, pin)
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
        options: GetOptions = {}
        if start or end is not None:
            options["range"] = {"offset": start} if end is None else (start, end)
        found = await self._asked(key, options) if pin is None else None
        if found is None:
            async with self._careful().get(key, start, end, pin) as reply:
                yield reply
            return
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

    async def _asked(self, key: str, options: GetOptions) -> GetResult | None:
        """The beginning of an answer; None where the SDK is to be asked."""
        if not self._is_quick:
            return None
        try:
            return await obstore.get_async(self._store, key, options=options)
        except FileNotFoundError as error:
            # the answer to a look has no words; any other that does not name the key means the bucket
            if options.get("head") or "<Code>NoSuchKey</Code>" in str(error):
                raise _TroubleError(Failure(kind=FailureKind.ABSENT, reason="404 Not Found")) from error
            self._is_quick = False
        except _TROUBLE as error:
            self._give_up(error, writes=False)
        except asyncio.CancelledError:
            self._is_quick = False
            raise
        return None

    async def put(self, key: str, body: UploadBody, mark: str, *, create: bool) -> None:
        if len(body) >= _LARGE_BYTES and self._is_quick and not self._has_sent:
            # An upload does not tell how it moves, and is given up when it takes as long as a stall may: a line so
            # slow is found by one, and left to the SDK.
            async with self._first_large:
                if self._is_quick and not self._has_sent:
                    await self._put(key, body, mark, create=create)
                    self._has_sent = True
                    return
        await self._put(key, body, mark, create=create)

    async def _put(self, key: str, body: UploadBody, mark: str, *, create: bool) -> None:
        if self._is_quick:
            try:
                await obstore.put_async(
                    self._store,
                    key,
                    body.parts(),
                    attributes={MARK: mark},
                    mode="create" if create else "overwrite",
                    use_multipart=False,
                )
            except AlreadyExistsError as error:
                if create and _status(error) == 412:
                    raise _TroubleError(Failure(kind=FailureKind.EXISTS, reason="412")) from error
                self._give_up(error, writes=True)
            except _TROUBLE as error:
                self._give_up(error, writes=True)
            except asyncio.CancelledError:
                self._is_quick = False
                raise
            else:
                return
        await self._careful().put(key, body, mark, create=create)

    async def delete(self, key: str) -> None:
        await self._careful().delete(key)

    async def page(self, prefix: str, following: str | None, *, versions: bool = False) -> Page:
        if self._is_quick and prefix.endswith("/") and following is None and not versions:
            try:
                stream = obstore.list(self._store, prefix, chunk_size=_PAGE)
                objects = [
                    Listed(key=one["path"], size_bytes=one["size"], etag=bare_etag(one["e_tag"]))
                    for one in await anext(stream, [])
                ]
            except _TROUBLE as error:
                self._give_up(error, writes=False)
            except asyncio.CancelledError:
                self._is_quick = False
                raise
            else:
                if len(objects) < _PAGE:  # its way to the next page is not the SDK's
                    return Page(objects=tuple(objects), following=None)
        return await self._careful().page(prefix, following, versions=versions)

    async def renew(self) -> None:
        self._is_quick = False
        await self._careful().renew()

    async def identity(self) -> Identity:
        """Who one is, by the SDK's chain."""
        return await self._careful().identity()

    def credentials(self) -> str:
        """Where the keys were found."""
        return self._access.used if self._sdk is None else self._sdk.credentials()

    def failure(self, error: Exception) -> Failure | None:
        """See :class:`gitml.store.media.remote_client.Client`."""
        if isinstance(error, _TroubleError):
            return error.failure
        if isinstance(error, BaseError):
            return _lost(error)
        return None if self._sdk is None else self._sdk.failure(error)

    def _give_up(self, error: Exception, *, writes: bool) -> None:
        """End the quick way: nothing was done, and the SDK makes the same call at once.

        Raises:
            _TroubleError: The call may have been made, or the server asks for time.
        """
        self._is_quick = False
        status, text = _status(error), str(error)
        if status in _BUSY:
            raise _TroubleError(Failure(kind=FailureKind.BUSY, reason=_first_line(error))) from error
        if status is not None and (status < 500 or status in _NOTHING_DONE):
            return
        if status is None and ("kind: Connect" in text or (not writes and "HTTP error" not in text)):
            return
        raise _TroubleError(_lost(error)) from error


async def _blocks(found: GetResult) -> AsyncIterator[bytes]:
    async for block in found.stream(min_chunk_size=_BLOCK_BYTES):
        yield block


def _status(error: Exception) -> int | None:
    """The status that the server answered with; obstore has it in words only."""
    found = _STATUS.search(str(error))
    return None if found is None else int(found[1])


def _lost(error: Exception) -> Failure:
    return Failure(kind=FailureKind.LOST, reason=_first_line(error))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
