"""Objects on a server: the contract of a medium over clients that make one attempt of one call.

Owns what is the same for every server: names below a prefix, retries, the watch over transfers that stall, lost
replies, and what a failure is called. A create-only write carries a random mark in the object's metadata, so that
after a lost reply a look tells one's own object from another writer's. A client translates its SDK's failures and
decides nothing.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from gitml.errors import (
    AccessDenied,
    GitMLError,
    NoSpace,
    OutcomeUnknown,
    StoreUnavailable,
)
from gitml.model.redact import redact
from gitml.store.media.identity import Identity
from gitml.store.media.layout import MARKER
from gitml.store.media.medium import (
    Buffers,
    Flight,
    PutOutcome,
    absent,
    body_size,
    check_object_name,
    is_object,
    short,
)
from gitml.store.media.remote_client import Client, Held, Page, Pulse, Reply, UploadBody
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.media.retry import TRANSIENT, Failure, FailureKind, Patience

_T = TypeVar("_T")

_REFUSED_HINT: Final = "check the store's URL and server: it refuses a call that every store needs"


class CutError(Exception):
    """An answer ended early, or is not the one that was asked for."""


class _StalledError(Exception):
    """Nothing moved for too long; `has_begun` tells whether a body was on its way."""

    def __init__(self, stall_s: float, *, has_begun: bool) -> None:
        super().__init__(f"nothing moved for {stall_s:.0f} s")
        self.has_begun = has_begun


@dataclass(slots=True)
class Call:
    """One call of the medium, over all its attempts."""

    verb: str
    name: str
    writes: bool = False
    size_bytes: int | None = None
    attempts: int = 0
    was_lost: bool = False
    renewed: bool = False


class FailedError(Exception):
    """A call failed for good, or in a way that its caller understands."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class RemoteMedium:
    """Objects below a prefix of a bucket or container.

    Args:
        client: Speaks to the server.
        prefix: Path inside the bucket, without slashes at its ends.
        options: Time limits.
    """

    def __init__(self, client: Client, prefix: str, options: RemoteOptions) -> None:
        self._client = client
        self._prefix = f"{prefix}/" if prefix else ""
        self._patience = Patience(options.timeout_s, options.stall_s)

    @property
    def url(self) -> str:
        """The location, with the server where it is not the vendor's."""
        return self._client.url

    @property
    def flight(self) -> Flight:
        """See :class:`gitml.store.media.medium.IsFar`."""
        return self._client.flight

    def credentials(self) -> str:
        """Which credentials are used, in words, without secrets."""
        return self._client.credentials()

    def identity(self) -> Identity:
        """See :class:`gitml.store.media.identity.Identifies`."""
        call = Call("head", MARKER)
        try:
            return self._made(call, lambda _: self._client.identity())
        except FailedError as failed:
            raise self._error(call, failed.failure) from failed.__cause__

    def head(self, name: str) -> int | None:
        held = self._look(name)
        return None if held is None else held.size_bytes

    def _look(self, name: str) -> Held | None:
        check_object_name(name)
        call = Call("head", name)
        try:
            return self._made(call, lambda _: self._client.head(self._prefix + name))
        except FailedError as failed:
            if failed.failure.kind is FailureKind.ABSENT:
                return None
            raise self._error(call, failed.failure) from failed.__cause__

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        check_object_name(name)
        if start < 0 or (end is not None and end <= start):
            return self._empty(name, start, end)
        blocks: list[bytes] = []

        def begin(_: Reply) -> Callable[[bytes], None]:
            blocks.clear()
            return blocks.append

        self._receive(name, start, end, begin)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def get_into(self, name: str, buffer: memoryview) -> int:
        """See :class:`gitml.store.media.medium.ReadsInto`."""
        check_object_name(name)
        position = 0

        def begin(reply: Reply) -> Callable[[bytes], None]:
            nonlocal position
            position = 0
            if reply.object_bytes > len(buffer):
                raise short(self.url, name, reply.object_bytes, 0, len(buffer))
            return take

        def take(block: bytes) -> None:
            nonlocal position
            buffer[position : position + len(block)] = block
            position += len(block)

        self._receive(name, 0, None, begin)
        return position

    def _receive(
        self, name: str, start: int, end: int | None, begin: Callable[[Reply], Callable[[bytes], None]]
    ) -> None:
        async def attempt(pulse: Pulse) -> None:
            async with self._client.get(self._prefix + name, start, end) as reply:
                stop = reply.object_bytes if end is None else end
                if stop > reply.object_bytes:
                    raise short(self.url, name, reply.object_bytes, start, stop)
                if (reply.start, reply.size_bytes) != (start, stop - start):
                    raise CutError(f"it answered {reply.size_bytes} bytes from {reply.start}")
                take, received = begin(reply), 0
                async for block in reply.blocks:
                    pulse.beat()
                    received += len(block)
                    if received > reply.size_bytes:
                        break
                    take(block)
                if received != reply.size_bytes:
                    raise CutError(f"{received} bytes came instead of {reply.size_bytes}")

        call = Call("get", name)
        try:
            self._made(call, attempt, watch=self._client.meters_reads)
        except FailedError as failed:
            if failed.failure.kind is FailureKind.RANGE:
                self._empty(name, start, end)
                return
            raise self._error(call, failed.failure) from failed.__cause__

    def _empty(self, name: str, start: int, end: int | None) -> bytes:
        """No bytes of an object, if it has that place."""
        size = self.head(name)
        if size is None:
            raise absent(self.url, name)
        if not 0 <= start <= size or (size if end is None else end) != start:
            raise short(self.url, name, size, start, size if end is None else end)
        return b""

    def put(self, name: str, body: Buffers) -> None:
        check_object_name(name)
        call = Call("put", name, writes=True, size_bytes=body_size(body))
        mark = secrets.token_hex(8)
        try:
            self._made(
                call,
                lambda pulse: self._send(name, UploadBody(body, pulse), mark, create=False),
            )
        except FailedError as failed:
            raise self._error(call, failed.failure) from failed.__cause__

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        check_object_name(name)
        call = Call("put", name, writes=True, size_bytes=body_size(body))
        mark = secrets.token_hex(8)
        try:
            self._made(
                call,
                lambda pulse: self._send(name, UploadBody(body, pulse), mark, create=True),
            )
        except FailedError as failed:
            if failed.failure.kind is not FailureKind.EXISTS:
                raise self._error(call, failed.failure) from failed.__cause__
            return self._whose(call, mark)
        return PutOutcome.CREATED

    async def _send(self, name: str, body: UploadBody, mark: str, *, create: bool) -> None:
        try:
            await self._client.put(self._prefix + name, body, mark, create=create)
        finally:
            body.release()

    def _whose(self, call: Call, mark: str) -> PutOutcome:
        """The name is taken: by an attempt whose reply was lost (the SDKs make some unasked), or by another."""
        try:
            held = self._look(call.name)
        except GitMLError as error:
            raise self._unknown(call, "the reply was lost, and so was the look at it") from error
        if held is None:
            raise self._unknown(call, "the reply was lost, and the object comes and goes")
        return PutOutcome.CREATED if held.mark == mark else PutOutcome.EXISTS

    def delete(self, name: str) -> bool:
        if self.head(name) is None:
            return False
        call = Call("delete", name, writes=True)
        try:
            self._made(call, lambda _: self._client.delete(self._prefix + name))
        except FailedError as failed:
            if failed.failure.kind is FailureKind.ABSENT:
                return True  # it was there a moment ago: an attempt whose reply was lost took it away
            raise self._error(call, failed.failure) from failed.__cause__
        return True

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        if prefix:
            check_object_name(prefix.rstrip("/"))
        call = Call("list", prefix or ".")
        following: str | None = None
        while True:

            def page(_: Pulse, after: str | None = following) -> Coroutine[Any, Any, Page]:
                return self._client.page(self._prefix + prefix, after)

            try:
                found = self._made(call, page)
            except FailedError as failed:
                raise self._error(call, failed.failure) from failed.__cause__
            for one in found.objects:
                name = one.key.removeprefix(self._prefix)
                if one.key.startswith(self._prefix + prefix) and is_object(name):
                    yield name, one.size_bytes
            following = found.following
            if following is None:
                return

    # -- attempts

    def _made(
        self, call: Call, attempt: Callable[[Pulse], Coroutine[Any, Any, _T]], *, watch: bool = True
    ) -> _T:
        """The result of a call, after as many attempts as it takes.

        Raises:
            FailedError: The store refused, or went on failing.
        """
        while True:
            call.attempts += 1
            try:
                result = self._watched(attempt, watch=watch)
            except Exception as error:
                if isinstance(error, GitMLError):
                    raise
                failure = self._failure(call, error)
                if failure is None:
                    raise
                if not self._again(call, failure):
                    raise FailedError(failure) from error
            else:
                self._patience.answered()
                return result

    def _again(self, call: Call, failure: Failure) -> bool:
        """Whether the failed call is to be made again, after the wait that it needs."""
        if failure.kind is FailureKind.AGAIN:
            return True
        if failure.kind is FailureKind.EXPIRED and not call.renewed:
            call.renewed = True
            with contextlib.suppress(Exception):  # the next attempt tells what is wrong
                self._watched(lambda _: self._client.renew())
            return True
        if failure.kind not in TRANSIENT:
            self._patience.answered()
            return False
        call.was_lost |= failure.kind is FailureKind.LOST
        return self._patience.wait(call.attempts, failure)

    def _failure(self, call: Call, error: Exception) -> Failure | None:
        if isinstance(error, _StalledError) and call.verb == "put" and not error.has_begun:
            return Failure(kind=FailureKind.UNREACHED, reason=str(error))
        if isinstance(error, CutError | _StalledError):
            return Failure(kind=FailureKind.LOST, reason=str(error))
        return self._client.failure(error)

    def _watched(self, attempt: Callable[[Pulse], Coroutine[Any, Any, _T]], *, watch: bool = True) -> _T:
        """Run one attempt on the client's loop; give it up when it stands still."""
        loop = self._client.loop  # may have to import an SDK first, which is no stall
        pulse = Pulse()
        stall_s = self._patience.attempt_s()
        future = asyncio.run_coroutine_threadsafe(attempt(pulse), loop)
        try:
            while not future.done():
                left_s = pulse.beat_s + stall_s - time.monotonic()
                if watch and left_s <= 0:
                    raise _StalledError(stall_s, has_begun=pulse.has_moved)
                concurrent.futures.wait((future,), left_s if watch else None)
        finally:
            future.cancel()
        return future.result()

    # -- failures

    def _error(self, call: Call, failure: Failure) -> GitMLError:
        """The one place where failures of servers become GitML's."""
        said = redact(failure.reason)
        what = f"{self._client.calls[call.verb]} {call.name} in {self.url}"
        context: dict[str, Any] = {
            "object": call.name,
            "store": self.url,
            "call": self._client.calls[call.verb],
        }
        match failure.kind:
            case FailureKind.ABSENT | FailureKind.RANGE:
                return absent(self.url, call.name)
            case FailureKind.DENIED | FailureKind.EXPIRED:
                used = self._client.credentials()
                return AccessDenied(
                    f"{what} was refused: {said}; credentials: {used}",
                    code=failure.code,
                    hint=failure.hint or "get the right to make this call, or name other credentials",
                    context=context | {"credentials": used},
                )
            case FailureKind.NO_SPACE:
                need = {} if call.size_bytes is None else {"need_bytes": call.size_bytes}
                return NoSpace(
                    f"{what}: no room: {said}",
                    hint=failure.hint or "raise the quota or make room, then run the command again",
                    context=context | need,
                )
            case FailureKind.REFUSED | FailureKind.EXISTS:
                return StoreUnavailable(
                    f"{what}: {said}", code=failure.code, hint=failure.hint or _REFUSED_HINT, context=context
                )
        context["attempts"] = call.attempts
        if call.writes and call.was_lost:
            return self._unknown(call, f"the reply was lost ({said})")
        return StoreUnavailable(
            f"{what}: {said} ({call.attempts} attempts)",
            code=failure.code,
            hint=failure.hint or "run the command again",
            context=context,
        )

    def _unknown(self, call: Call, why: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self._client.calls[call.verb]} {call.name} in {self.url}: {why} ({call.attempts} attempts)",
            hint="run the command again",
            context={"object": call.name, "store": self.url, "attempts": call.attempts},
        )
