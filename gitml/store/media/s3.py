"""S3 and servers that speak like it, by s3fs: one attempt of each call.

The SDKs' own retries are off (a repeated create-only write would be refused because of its first attempt), and so is
every cache of fsspec. An object is always one PUT: not all servers judge conditions when a multipart upload ends.
This module is imported only where a store is on S3.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import fsspec.asyn
import s3fs
from botocore import exceptions as sdk

from gitml.model.store_url import StoreUrl, is_guarded
from gitml.store.media.aborted import hush
from gitml.store.media.identity import Identity
from gitml.store.media.remote_client import MARK, Held, Listed, Page, Pin, Reply, UploadBody, bare_etag
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.media.retry import TLS_HINT, UNREACHED_HINT, Failure, FailureKind, seconds_until
from gitml.store.media.s3_access import CALLS, CONNECT_S, FLIGHT, endpoint_of
from gitml.store.media.s3_identity import identify, words
from gitml.store.media.s3_session import new_session

_CONNECTIONS: Final = 32
_BLOCK_BYTES: Final = 256 << 10
_ONE_PUT_BYTES: Final = 5 << 30

_NOT_AWS: Final = (
    "check the network and run the command again; where the bucket is not on AWS, set AWS_ENDPOINT_URL"
)
_ABSENT: Final = {"NoSuchKey", "NoSuchVersion", "404", "NotFound"}
_WORDLESS: Final = {"400", "403"}
_EXISTS: Final = {"PreconditionFailed", "412"}
_EXPIRED: Final = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
_NO_SPACE: Final = {"QuotaExceeded", "InsufficientStorage", "507", "XMinioStorageFull", "EntityTooLarge"}
_BUSY: Final = {
    "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "Throttling", "ThrottlingException",
    "RequestLimitExceeded", "TooManyRequests", "BandwidthLimitExceeded", "ConditionalRequestConflict",
    "OperationAborted", "RequestTimeout", "409", "429", "503",
}  # fmt: skip
_WRONG_REGION: Final = {
    "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException", "301", "307",
}  # fmt: skip
_HINTS: Final[Mapping[str, str]] = {
    "InvalidAccessKeyId": "the server does not know this access key: check AWS_ACCESS_KEY_ID or AWS_PROFILE",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key: check AWS_SECRET_ACCESS_KEY",
    "RequestTimeTooSkewed": "set this machine's clock",
    "ExpiredToken": "log in again (for instance `aws sso login`), then run the command again",
    # a look is refused without a word: by the policy, or because of the keys
    "403": "the policy must allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket; "
    "whether the keys are right, `gitml doctor` tells",
    "AccessDenied": "the policy must allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket",
}
_NO_KEYS_HINT: Final = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or log in with the AWS CLI; "
    "`gitml doctor` names misspelt variables"
)
_NO_PROFILE_HINT: Final = "correct AWS_PROFILE, or add the profile to the AWS configuration"
_NO_CREDENTIALS: Final = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.ProfileNotFound,
    sdk.SSOError,
    sdk.NoAuthTokenError,
)


class S3Client:
    """One bucket of one server.

    Args:
        url: The location.
        options: Server, region and profile, where they are not the SDK's defaults.

    Raises:
        InvalidInput: The server would be reached without TLS.
    """

    calls: Final = CALLS
    flight: Final = FLIGHT
    meters_reads: Final = True

    def __init__(self, url: StoreUrl, options: RemoteOptions) -> None:
        endpoint = endpoint_of(options)
        hush()
        self._bucket = url.bucket
        self._endpoint = endpoint
        self._url = str(url) + (f" at {endpoint}" if endpoint else "")
        self._used = "the SDK's chain of credentials"
        config: dict[str, Any] = {
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "connect_timeout": CONNECT_S,
            "read_timeout": options.stall_s,
            "max_pool_connections": _CONNECTIONS,
            # every byte is checked by its digest when it is read, and TLS or the signature guards the way there
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "s3": {"payload_signing_enabled": True},
        }
        if endpoint is not None:
            config["s3"]["addressing_style"] = "path"
        client: dict[str, Any] = {"region_name": options.region} if options.region else {}
        self._files = s3fs.S3FileSystem(
            endpoint_url=endpoint,
            client_kwargs=client,
            config_kwargs=config,
            use_listings_cache=False,
            default_fill_cache=False,
            skip_instance_cache=True,
            session=new_session(options.profile),
        )
        self._profile = options.profile
        self._files.retries = 1

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that all calls run on."""
        loop: asyncio.AbstractEventLoop = fsspec.asyn.get_loop()
        return loop

    @property
    def url(self) -> str:
        """The location, with the server where it is not AWS."""
        return self._url

    async def _connect(self) -> None:
        """Let signatures cover bytes only where these can change on their way: that hashes them once more."""
        client = await self._files.set_session()
        if self._endpoint is not None:
            client.meta.events.register("before-call.s3", _stay, unique_id="gitml-stay")
        client.meta.config.s3["payload_signing_enabled"] = not is_guarded(client.meta.endpoint_url)

    async def _call(self, verb: str, **arguments: Any) -> Any:
        try:
            await self._connect()
            return await self._files._call_s3(verb, Bucket=self._bucket, **arguments)
        finally:
            await self._note_credentials()

    async def head(self, key: str, pin: Pin | None = None) -> Held:
        try:
            answer = await self._call("head_object", Key=key, **_pinned(pin))
        except Exception as error:
            if not _is_wordless(error):
                raise
            # The answer to a look has no words: a read tells what is wrong, credentials that expired for instance.
            answer = await self._call("get_object", Key=key, **_pinned(pin))
            answer["Body"].close()
        return Held(
            size_bytes=answer["ContentLength"],
            mark=answer.get("Metadata", {}).get(MARK),
            etag=bare_etag(answer.get("ETag")),
            version_id=_version_id(answer),
        )

    @asynccontextmanager
    async def get(
        self, key: str, start: int, end: int | None, pin: Pin | None = None
    ) -> AsyncIterator[Reply]:
        span = (
            {} if not start and end is None else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        )
        answer = await self._call("get_object", Key=key, **span, **_pinned(pin))
        body = answer["Body"]
        size = answer["ContentLength"]
        first, whole = _content_range(answer.get("ContentRange"), size)
        try:
            etag = bare_etag(answer.get("ETag"))
            yield Reply(start=first, size_bytes=size, object_bytes=whole, blocks=_blocks(body), etag=etag)
        finally:
            body.close()

    async def put(self, key: str, body: UploadBody, mark: str, *, create: bool) -> None:
        try:
            await self._connect()
            await self._files._pipe_file(
                f"{self._bucket}/{key}",
                body,
                chunksize=_ONE_PUT_BYTES,
                mode="create" if create else "overwrite",
                Metadata={MARK: mark},
            )
        finally:
            await self._note_credentials()

    async def delete(self, key: str) -> None:
        await self._call("delete_object", Key=key)

    async def page(self, prefix: str, following: str | None, *, versions: bool = False) -> Page:
        if versions:
            return await self._page_of_versions(prefix, following)
        after = {} if following is None else {"ContinuationToken": following}
        answer = await self._call("list_objects_v2", Prefix=prefix, **after)
        return Page(
            objects=tuple(_listed(item) for item in answer.get("Contents", ())),
            following=answer.get("NextContinuationToken") if answer.get("IsTruncated") else None,
        )

    async def _page_of_versions(self, prefix: str, following: str | None) -> Page:
        """The present version of each object; a bucket without versions has one of each."""
        key, _, version = (following or "").partition("\0")
        after = {} if following is None else {"KeyMarker": key, "VersionIdMarker": version}
        answer = await self._call("list_object_versions", Prefix=prefix, **after)
        present = (item for item in answer.get("Versions", ()) if item.get("IsLatest"))
        more = answer.get("IsTruncated") and answer.get("NextKeyMarker")
        return Page(
            objects=tuple(_listed(item) for item in present),
            following=f"{more}\0{answer.get('NextVersionIdMarker', '')}" if more else None,
        )

    async def renew(self) -> None:
        """Read the credentials anew: another process may have refreshed them."""
        self._files.session = new_session(self._profile)
        await self._files.set_session(refresh=True)

    async def _note_credentials(self) -> None:
        with contextlib.suppress(sdk.BotoCoreError):
            found = await self._files.session.get_credentials() if self._files.session else None
            if found is not None:
                self._used = words(found.method)
            else:
                self._used = "none: the environment, files, single sign-on and roles were tried"

    async def identity(self) -> Identity:
        """Who one is, by the SDK's chain."""
        return await identify(self._files, self._endpoint)

    def credentials(self) -> str:
        """Which link of the SDK's chain gave the credentials."""
        return self._used

    def failure(self, error: Exception) -> Failure | None:
        """See :class:`gitml.store.media.remote.Client`."""
        cause = _cause(error)
        if isinstance(cause, sdk.ClientError):
            return _refusal(cause)
        return _trouble(cause if isinstance(cause, sdk.BotoCoreError) else error)


def _cause(error: Exception) -> BaseException | None:
    """What the SDK raised, where s3fs made something else of it."""
    return error if isinstance(error, sdk.BotoCoreError | sdk.ClientError) else error.__cause__


def _is_wordless(error: Exception) -> bool:
    """Whether a refusal has a number and no reason."""
    cause = _cause(error)
    return isinstance(cause, sdk.ClientError) and cause.response.get("Error", {}).get("Code") in _WORDLESS


def _stay(context: dict[str, Any], **_: Any) -> None:
    """Keep the SDK from looking for another region of a server that has none: it would ask itself in circles."""
    context.get("s3_redirect", {})["redirected"] = True


def _pinned(pin: Pin | None) -> dict[str, str]:
    if pin is None:
        return {}
    condition = {} if pin.etag is None else {"IfMatch": f'"{pin.etag}"'}
    return condition if pin.version_id is None else condition | {"VersionId": pin.version_id}


def _listed(item: Mapping[str, Any]) -> Listed:
    etag = bare_etag(item.get("ETag"))
    return Listed(key=item["Key"], size_bytes=item["Size"], etag=etag, version_id=_version_id(item))


def _version_id(answer: Mapping[str, Any]) -> str | None:
    """The version of an object; a bucket that keeps none, or kept none then, says null."""
    found = answer.get("VersionId")
    return None if found in (None, "", "null") else str(found)


def _content_range(text: str | None, size: int) -> tuple[int, int]:
    """First byte and size of the whole object."""
    if text is None:
        return 0, size
    span, _, whole = text.removeprefix("bytes ").partition("/")
    first = span.partition("-")[0]
    return (int(first) if first.isdecimal() else -1), (int(whole) if whole.isdecimal() else -1)


async def _blocks(body: Any) -> AsyncIterator[bytes]:
    while block := await body.read(_BLOCK_BYTES):
        yield block


def _refusal(error: sdk.ClientError) -> Failure:
    """What an answer of the server means."""
    details: Mapping[str, Any] = error.response.get("Error", {})
    answer: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    code, status = str(details.get("Code", "")), int(answer.get("HTTPStatusCode", 0))
    said = " ".join(filter(None, (code, str(details.get("Message") or "")))).removeprefix(str(status))
    reason = f"{status} {said.strip()}".strip()
    hint = _HINTS.get(code) or _HINTS.get(str(status))
    if code == "NoSuchBucket":
        return Failure(
            kind=FailureKind.REFUSED,
            reason="there is no such bucket",
            code="bucket-missing",
            hint="create the bucket, or correct the store's URL",
        )
    if code in _ABSENT:
        return Failure(kind=FailureKind.ABSENT, reason=reason)
    if code in _EXISTS:
        return Failure(kind=FailureKind.EXISTS, reason=reason)
    if status == 416 or code == "InvalidRange":
        return Failure(kind=FailureKind.RANGE, reason=reason)
    if code in _EXPIRED:
        return Failure(
            kind=FailureKind.EXPIRED, reason=reason, code="credentials-expired", hint=_HINTS["ExpiredToken"]
        )
    if code in _NO_SPACE or status == 507:
        return Failure(kind=FailureKind.NO_SPACE, reason=reason)
    if code in _WRONG_REGION or status in (301, 307):
        region = answer.get("HTTPHeaders", {}).get("x-amz-bucket-region") or details.get("Region")
        return Failure(
            kind=FailureKind.DENIED,
            reason=reason,
            code="wrong-region",
            hint=f"set AWS_DEFAULT_REGION={region}"
            if region
            else "set AWS_DEFAULT_REGION to the bucket's region",
        )
    if code in _BUSY or status in (429, 503):
        wait_s = seconds_until(answer.get("HTTPHeaders", {}).get("retry-after"))
        return Failure(kind=FailureKind.BUSY, reason=reason, retry_after_s=wait_s)
    if status in (401, 403):
        return Failure(kind=FailureKind.DENIED, reason=reason, hint=hint)
    if status >= 500 and status != 501:
        return Failure(kind=FailureKind.LOST, reason=reason)
    return Failure(kind=FailureKind.REFUSED, reason=reason, code="call-refused", hint=hint)


def _trouble(error: BaseException) -> Failure | None:
    """What trouble on the way means."""
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, _NO_CREDENTIALS):
        return Failure(
            kind=FailureKind.DENIED,
            reason=str(error),
            code="no-credentials",
            hint=_NO_PROFILE_HINT if isinstance(error, sdk.ProfileNotFound) else _NO_KEYS_HINT,
        )
    if isinstance(error, sdk.SSLError | aiohttp.ClientSSLError):
        return Failure(
            kind=FailureKind.DENIED, reason=reason, code="tls", hint=TLS_HINT.format(variable="AWS_CA_BUNDLE")
        )
    if isinstance(error, sdk.NoRegionError | sdk.InvalidRegionError):
        return Failure(
            kind=FailureKind.DENIED, reason=str(error), code="wrong-region", hint="set AWS_DEFAULT_REGION"
        )
    if _never_connected(error):
        cause = error.kwargs.get("error") if isinstance(error, sdk.EndpointConnectionError) else None
        return Failure(
            kind=FailureKind.UNREACHED,
            reason=str(cause) if cause else reason,
            hint=_NOT_AWS if ".amazonaws.com" in reason else UNREACHED_HINT,
        )
    if isinstance(
        error,
        sdk.HTTPClientError | sdk.BotoCoreError | aiohttp.ClientError | OSError | TimeoutError | EOFError,
    ):
        return Failure(kind=FailureKind.LOST, reason=reason)
    return None


def _never_connected(error: BaseException) -> bool:
    """Whether no request can have been sent; the SDK calls a connection that broke later by the same name."""
    if isinstance(error, sdk.EndpointConnectionError):
        return isinstance(error.kwargs.get("error"), aiohttp.ClientConnectorError | socket.gaierror)
    return isinstance(error, sdk.ConnectTimeoutError | sdk.ProxyConnectionError)
