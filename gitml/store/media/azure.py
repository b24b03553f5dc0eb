"""Azure Blob Storage and ADLS, by adlfs: one attempt of each call.

adlfs finds the credentials; the connection is made here, because its own would retry create-only writes and cut
objects of a pack's size into several requests. This module is imported only where a store is on Azure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import fsspec.asyn
from adlfs import AzureBlobFileSystem
from azure.core import MatchConditions
from azure.core import exceptions as sdk
from azure.core.credentials import AzureSasCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import BlobClient, BlobServiceClient

from gitml.errors import UsageError
from gitml.model.store_url import StoreUrl, check_endpoint
from gitml.store.media.aborted import hush
from gitml.store.media.azure_secrets import Secrets, refused_signature
from gitml.store.media.identity import Identity
from gitml.store.media.medium import Flight
from gitml.store.media.remote_client import MARK, Held, Listed, Page, Pin, Reply, UploadBody, bare_etag
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.media.retry import TLS_HINT, UNREACHED_HINT, Failure, FailureKind, seconds_until

_CONNECT_S: Final = 10
_ONE_REQUEST_BYTES: Final = 256 << 20
_BLOCK_BYTES: Final = 256 << 10
_PAGE_OBJECTS: Final = 1000

_BUSY: Final = {"ServerBusy", "OperationTimedOut", "AccountIsBeingCreated", "ContainerBeingDeleted"}
_NO_SPACE: Final = {"AccountLimitExceeded", "InsufficientStorage", "AccountRequiresMoreCapacity"}
_HINTS: Final[Mapping[str, str]] = {
    "AuthenticationFailed": "check AZURE_STORAGE_ACCOUNT_KEY, and this machine's clock",
    "AuthorizationPermissionMismatch": "the identity needs the role Storage Blob Data Contributor",
    "AuthorizationFailure": "check AZURE_STORAGE_ACCOUNT_KEY; or the account's firewall refuses this machine",
}
_LOG_IN_HINT: Final = "log in again (for instance `az login`), then run the command again"
_NO_IDENTITY_HINT: Final = (
    "set AZURE_STORAGE_CONNECTION_STRING, or log in with `az login`; `gitml doctor` names misspelt variables"
)

# What they have to say is said by the failures that they raise; without a handler Python prints it on the terminal.
for _talkative in ("azure", "msal", "adlfs"):
    logging.getLogger(_talkative).addHandler(logging.NullHandler())

# What the present task sends, in a list that is emptied afterwards: connections keep the context they were made in.
_sending: ContextVar[list[UploadBody]] = ContextVar("sending")


class AzureClient:
    """One container of one storage account.

    Args:
        url: The location; where it names no account, the environment does.
        options: Server and secrets, where the SDK's chain does not have them.

    Raises:
        UsageError: Nothing says which storage account it is.
        AccessDenied: The connection string is another account's, a key is none, or there are none for a server
            without TLS.
        InvalidInput: The server would be reached without TLS.
    """

    calls: Final = {
        "head": "Get Blob Properties",
        "get": "Get Blob",
        "put": "Put Blob",
        "delete": "Delete Blob",
        "list": "List Blobs",
    }
    flight: Final = Flight()  # the SDK has a second copy of each body
    meters_reads: Final = False  # the SDK's timeout between two reads of a socket does it

    def __init__(self, url: StoreUrl, options: RemoteOptions) -> None:
        secrets = Secrets(options)
        endpoint = options.endpoint_url or _endpoint(url) or secrets.endpoint
        if endpoint is None:
            raise UsageError(
                f"{url} names no storage account, and neither does the environment",
                code="no-account",
                hint="write abfs://CONTAINER@ACCOUNT/…, or set AZURE_STORAGE_ACCOUNT_NAME",
            )
        endpoint = check_endpoint(endpoint, allow_http=options.allow_http)
        secrets.check(endpoint)
        hush()
        self._container = url.bucket
        self._url = f"{url} at {endpoint}" if options.endpoint_url or not url.account else str(url)
        self._files = _Files(endpoint, secrets, options)
        self._secrets = secrets
        self._identity = secrets.identity(endpoint)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that all calls run on."""
        loop: asyncio.AbstractEventLoop = fsspec.asyn.get_loop()
        return loop

    @property
    def url(self) -> str:
        """The location, with the server where the location does not say it."""
        return self._url

    def _blob(self, key: str) -> BlobClient:
        service: BlobServiceClient = self._files.service_client
        return service.get_blob_client(self._container, key)

    async def head(self, key: str, pin: Pin | None = None) -> Held:
        found = await self._blob(key).get_blob_properties(**_pinned(pin))
        mark = (found.metadata or {}).get(MARK)
        return Held(size_bytes=found.size, mark=mark, etag=bare_etag(found.etag))

    @asynccontextmanager
    async def get(
        self, key: str, start: int, end: int | None, pin: Pin | None = None
    ) -> AsyncIterator[Reply]:
        length = None if end is None else end - start
        try:
            stream = await self._blob(key).download_blob(
                start if start or length is not None else None, length, max_concurrency=1, **_pinned(pin)
            )
        except ValueError as error:  # headers that do not go with what was asked for
            raise sdk.IncompleteReadError(f"that is not the answer: {error}") from error
        span: str = stream.properties.content_range or ""
        whole = int(span.rpartition("/")[2]) if "/" in span else stream.size

        async def blocks() -> AsyncIterator[bytes]:
            yield await stream.readall()

        etag = bare_etag(stream.properties.etag)
        yield Reply(start=start, size_bytes=stream.size, object_bytes=whole, blocks=blocks(), etag=etag)

    async def put(self, key: str, body: UploadBody, mark: str, *, create: bool) -> None:
        sending = [body]
        _sending.set(sending)
        try:
            await self._blob(key).upload_blob(
                body.joined(),
                length=len(body),
                overwrite=not create,
                metadata={MARK: mark},
                max_concurrency=1,
            )
        finally:
            sending.clear()

    async def delete(self, key: str) -> None:
        await self._blob(key).delete_blob()

    async def page(self, prefix: str, following: str | None, *, versions: bool = False) -> Page:
        # Version ids are not asked for: an etag names the bytes of a blob as well.
        container = self._files.service_client.get_container_client(self._container)
        pages: Any = container.list_blobs(
            name_starts_with=prefix or None, results_per_page=_PAGE_OBJECTS
        ).by_page(following)
        async for found in pages:
            objects = [
                Listed(key=blob.name, size_bytes=blob.size, etag=bare_etag(blob.etag)) async for blob in found
            ]
            return Page(objects=tuple(objects), following=pages.continuation_token or None)
        return Page(objects=(), following=None)

    async def renew(self) -> None:
        """Nothing to do: the SDK refreshes tokens before they expire, and keys and signatures do not change."""

    async def identity(self) -> Identity:
        """Who one is: nobody has to be asked."""
        return self._identity

    def credentials(self) -> str:
        """Which credentials were found."""
        return self._secrets.kind

    def failure(self, error: Exception) -> Failure | None:
        """See :class:`gitml.store.media.remote.Client`."""
        if isinstance(error, sdk.HttpResponseError) and error.status_code is not None:
            return _refusal(error, self._secrets.signature)
        return _trouble(error)


def _pinned(pin: Pin | None) -> dict[str, Any]:
    if pin is None or pin.etag is None:
        return {}
    return {"etag": f'"{pin.etag}"', "match_condition": MatchConditions.IfNotModified}


class _Files(AzureBlobFileSystem):  # type: ignore[misc]  # adlfs has no types
    """adlfs with a connection of our own."""

    cachable = False

    def __init__(self, endpoint: str, secrets: Secrets, options: RemoteOptions) -> None:
        self._endpoint = endpoint
        self._options = options
        account = secrets.account or urlsplit(endpoint).netloc.partition(".")[0]
        super().__init__(
            account_name=account,
            account_key=secrets.key,
            sas_token=None if secrets.key else secrets.sas,
            default_fill_cache=False,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def do_connect(self) -> None:
        """See adlfs; the credentials are there already."""
        self.connection_string = None
        credential: Any = self.credential
        if self.account_key:
            credential = {"account_name": self.account_name, "account_key": self.account_key}
        elif self.sas_token:
            credential = AzureSasCredential(self.sas_token.removeprefix("?"))
        self.service_client = BlobServiceClient(
            self._endpoint,
            credential=credential,
            retry_total=0,
            max_single_put_size=_ONE_REQUEST_BYTES,
            max_single_get_size=_ONE_REQUEST_BYTES,
            transport=AioHttpTransport(
                session=_Session(),
                connection_timeout=_CONNECT_S,
                read_timeout=self._options.stall_s,
                connection_data_block_size=_BLOCK_BYTES,
            ),
        )


class _Session:
    """What the SDK sends requests by: a body of bytes goes out in blocks, so that a stall is seen.

    The SDK wants one run of bytes to sign and to measure; sent in one piece nobody could tell whether it moves.
    """

    auto_decompress: Final = False

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def request(self, method: str, url: str, *, data: Any = None, **arguments: Any) -> Any:
        """See aiohttp."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=True
            )
        for body in _sending.get([]):
            if isinstance(data, bytes) and len(data) == len(body):
                data = body
        return await self._session.request(method, url, data=data, **arguments)

    async def __aenter__(self) -> _Session:
        return self

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _endpoint(url: StoreUrl) -> str | None:
    """The server that an `abfs` location names; ADLS answers the same calls under its blob name."""
    if not url.account:
        return None
    account, _, rest = url.account.partition(".")
    _, _, suffix = rest.partition(".")
    return f"https://{account}.blob.{suffix or 'core.windows.net'}"


def _refusal(error: sdk.HttpResponseError, signature: str | None) -> Failure:
    """What an answer of the server means.

    Args:
        error: As the SDK tells it.
        signature: The shared access signature, if that is what was used.
    """
    status = error.status_code or 0
    said = getattr(error, "error_code", None) or ""
    code = str(getattr(said, "value", said))  # those that the SDK knows are members of an enumeration
    reason = f"{status} {code} {error.reason or ''}".strip()
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    if code == "ContainerNotFound":
        return Failure(
            kind=FailureKind.REFUSED,
            reason="there is no such container",
            code="bucket-missing",
            hint="create the container, or correct the store's URL",
        )
    if status == 404:
        return Failure(kind=FailureKind.ABSENT, reason=reason)
    if code in ("BlobAlreadyExists", "ConditionNotMet") or status == 412:
        return Failure(kind=FailureKind.EXISTS, reason=reason)
    if status == 416:
        return Failure(kind=FailureKind.RANGE, reason=reason)
    if code in _NO_SPACE or status == 507:
        return Failure(kind=FailureKind.NO_SPACE, reason=reason)
    if code in _BUSY or status in (409, 429, 503):
        wait_s = seconds_until(headers.get("Retry-After"))
        return Failure(kind=FailureKind.BUSY, reason=reason, retry_after_s=wait_s)
    if status == 401:  # a token that is no longer taken: the SDK gets another for the next attempt
        return Failure(kind=FailureKind.EXPIRED, reason=reason, code="credentials-expired", hint=_LOG_IN_HINT)
    if status == 403 and signature is not None:
        return refused_signature(signature, code, reason)
    if status == 403:
        return Failure(kind=FailureKind.DENIED, reason=reason, hint=_HINTS.get(code))
    if status >= 500 and status != 501:
        return Failure(kind=FailureKind.LOST, reason=reason)
    return Failure(kind=FailureKind.REFUSED, reason=reason, code="call-refused", hint=_HINTS.get(code))


def _trouble(error: BaseException) -> Failure | None:
    """What trouble on the way means."""
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, sdk.ClientAuthenticationError):
        return Failure(
            kind=FailureKind.DENIED,
            reason=str(error).partition("\n")[0],
            code="no-credentials",
            hint=_NO_IDENTITY_HINT,
        )
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientSSLError):
        return Failure(
            kind=FailureKind.DENIED, reason=reason, code="tls", hint=TLS_HINT.format(variable="SSL_CERT_FILE")
        )
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Failure(kind=FailureKind.UNREACHED, reason=reason, hint=UNREACHED_HINT)
    # the SDK has no name of its own for an answer that it cannot read
    if isinstance(error, sdk.AzureError | aiohttp.ClientError | OSError | TimeoutError | ValueError):
        return Failure(kind=FailureKind.LOST, reason=reason)
    return None
