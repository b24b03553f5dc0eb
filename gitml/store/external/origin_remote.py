"""Referenced objects in a bucket or container: listed with what the server calls them, read by that name only.

Every read is conditional: it asks for the version id or etag that was registered, and looks at the etag of the answer,
because not every server judges conditions. This module is imported only where a reference lies in a bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar

from gitml.errors import NotFound
from gitml.model.references import Reference
from gitml.model.source_url import SourceUrl
from gitml.store.external.origin import BLOCK_BYTES, changed, missing, path_below
from gitml.store.media.remote import Call, CutError, FailedError, RemoteMedium
from gitml.store.media.remote_client import Client, Held, Listed, Page, Pin, Pulse
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.media.retry import FailureKind

_T = TypeVar("_T")


class RemoteOrigin(RemoteMedium):
    """Objects below a key, or the one that it is.

    Args:
        client: Speaks to the server.
        location: The key.
        options: Time limits.
    """

    ranged: Final = True

    def __init__(self, client: Client, location: SourceUrl, options: RemoteOptions) -> None:
        super().__init__(client, "", options)
        self._location = location

    def files(self) -> Iterator[Reference]:
        """See :class:`gitml.store.external.origin.Origin`; keys that end in a slash stand for folders and are passed over."""
        key = self._location.key
        found = False
        for one in self._listed(f"{key}/" if key else ""):
            found = found or not one.key.endswith("/")
            if not one.key.endswith("/"):
                yield self._reference(one.key, one.size_bytes, one.etag, one.version_id)
        if found:
            return
        held = self._held(key) if key else None
        if held is None:
            raise NotFound(
                f"there is nothing at {self._location}",
                code="source-missing",
                hint="check its spelling, and which server is asked: gitml doctor",
                context={"url": str(self._location)},
            )
        yield self._reference(key, held.size_bytes, held.etag, held.version_id)

    def look(self, reference: Reference) -> None:
        """See :class:`gitml.store.external.origin.Origin`."""
        pin = _pin(reference)
        call = Call("head", reference.url.key)
        held = self._asked(call, reference, lambda _: self._client.head(reference.url.key, pin))
        _judge(reference, held.size_bytes, held.etag)

    def blocks(self, reference: Reference, start: int = 0) -> Iterator[bytes]:
        """See :class:`gitml.store.external.origin.Origin`."""
        if not reference.size_bytes:
            self.look(reference)
        for first in range(start, reference.size_bytes, BLOCK_BYTES):
            yield self._part(reference, first, min(first + BLOCK_BYTES, reference.size_bytes))

    def _part(self, reference: Reference, start: int, end: int) -> bytes:
        async def attempt(pulse: Pulse) -> bytes:
            async with self._client.get(reference.url.key, start, end, _pin(reference)) as reply:
                _judge(reference, reply.object_bytes, reply.etag)
                if (reply.start, reply.size_bytes) != (start, end - start):
                    raise CutError(f"it answered {reply.size_bytes} bytes from {reply.start}")
                data = bytearray()
                async for block in reply.blocks:
                    pulse.beat()
                    data += block
                    if len(data) > end - start:
                        break
                if len(data) != end - start:
                    raise CutError(f"{len(data)} bytes came instead of {end - start}")
                return bytes(data)

        return self._asked(
            Call("get", reference.url.key), reference, attempt, watch=self._client.meters_reads
        )

    def _asked(
        self,
        call: Call,
        reference: Reference,
        attempt: Callable[[Pulse], Coroutine[Any, Any, _T]],
        *,
        watch: bool = True,
    ) -> _T:
        try:
            return self._made(call, attempt, watch=watch)
        except FailedError as failed:
            kind = failed.failure.kind
            if kind is FailureKind.ABSENT:
                raise missing(reference) from failed
            if kind is FailureKind.EXISTS:  # the condition does not hold
                raise changed(reference, "the server has another etag") from failed
            if kind is FailureKind.RANGE:
                raise changed(reference, "it is shorter") from failed
            raise self._error(call, failed.failure) from failed.__cause__

    def _held(self, key: str) -> Held | None:
        call = Call("head", key)
        try:
            return self._made(call, lambda _: self._client.head(key))
        except FailedError as failed:
            if failed.failure.kind is FailureKind.ABSENT:
                return None
            raise self._error(call, failed.failure) from failed.__cause__

    def _listed(self, prefix: str) -> Iterator[Listed]:
        """The present objects; with their version ids where the bucket keeps versions and lets them be listed."""
        try:
            yield from self._pages(prefix, versions=True)
            return
        except FailedError as failed:
            if failed.failure.kind not in (FailureKind.DENIED, FailureKind.REFUSED):
                raise self._error(Call("list", prefix or "."), failed.failure) from failed.__cause__
        try:
            yield from self._pages(prefix, versions=False)
        except FailedError as failed:
            raise self._error(Call("list", prefix or "."), failed.failure) from failed.__cause__

    def _pages(self, prefix: str, *, versions: bool) -> Iterator[Listed]:
        following: str | None = None
        while True:

            def page(_: Pulse, after: str | None = following) -> Coroutine[Any, Any, Page]:
                return self._client.page(prefix, after, versions=versions)

            found = self._made(Call("list", prefix or "."), page)
            yield from found.objects
            following = found.following
            if following is None:
                return

    def _reference(self, key: str, size_bytes: int, etag: str | None, version_id: str | None) -> Reference:
        # parsed anew, because a key may hold anything
        url = SourceUrl.parse(f"{self._location.root}/{key}")
        path = path_below(self._location, key)
        return Reference(path=path, url=url, size_bytes=size_bytes, etag=etag, version_id=version_id)


def _pin(reference: Reference) -> Pin:
    return Pin(etag=reference.etag, version_id=reference.version_id)


def _judge(reference: Reference, size_bytes: int, etag: str | None) -> None:
    if reference.etag is not None and etag != reference.etag:
        raise changed(reference, f"its etag is {etag}")
    if size_bytes != reference.size_bytes:
        raise changed(reference, f"it has {size_bytes} bytes instead of {reference.size_bytes}")
