"""What a store needs from the place that holds its objects.

A medium keeps named byte strings. Names are relative POSIX paths (`packs/ab/abcd…`); no part is empty or
starts with a dot, so an adapter may keep its own temporary files under dotted names. Adapters are thin:
they translate foreign failures once and decide nothing.

Failures, the same for every medium:

- :class:`StoreUnavailable`: the call failed and had no effect that could do harm; it may be made again.
- :class:`OutcomeUnknown`: a write may or may not have happened; the caller looks before it goes on.
- :class:`AccessDenied`, :class:`NoSpace`: what a person has to change first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias, runtime_checkable

from gitml.errors import GitMLError, IntegrityError, InvalidInput, NotFound

Buffer: TypeAlias = bytes | bytearray | memoryview
Buffers: TypeAlias = Sequence[Buffer]
"""An object's body in parts, so that a pack of 32 MiB need not be joined."""


class PutOutcome(Enum):
    """What a create-only write found."""

    CREATED = "created"
    EXISTS = "exists"


@runtime_checkable
class Medium(Protocol):
    """A place for objects; every method is safe to call from several threads."""

    @property
    def url(self) -> str:
        """Where it is, for people and for keys of local state; without credentials."""

    def head(self, name: str) -> int | None:
        """Size of an object in bytes, None where there is none."""

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes [start, end) of an object; to its end where `end` is None.

        Raises:
            NotFound: There is no such object.
            IntegrityError: The object is shorter than `end`, or than `start`.
        """

    def put(self, name: str, body: Buffers) -> None:
        """Write a whole object, replacing what is there: atomic for readers, durable on return."""

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        """Write a whole object unless the name is taken; of racing callers exactly one gets CREATED.

        On EXISTS nothing was changed, and what is there is durable.
        """

    def delete(self, name: str) -> bool:
        """Remove an object; False where there was none."""

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Names that start with `prefix` (which ends in `/`, or is empty), and their sizes, in any order.

        A hint: what it does not show may exist all the same.
        """


@runtime_checkable
class ReadsInto(Protocol):
    """A medium that can read into memory it is given, which saves touching fresh pages for every pack."""

    def get_into(self, name: str, buffer: memoryview) -> int:
        """Read a whole object into the beginning of a buffer; its size.

        Raises:
            NotFound: There is no such object.
            IntegrityError: The object does not fit into the buffer.
        """


@runtime_checkable
class HasRoom(Protocol):
    """A medium that knows how much more it can hold."""

    def free_bytes(self) -> int | None:
        """Room for this user's objects; None where that cannot be told."""


@runtime_checkable
class HasCredentials(Protocol):
    """A medium that somebody has to be allowed to use."""

    def credentials(self) -> str:
        """Which credentials were used last, in words, without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """How much of packs one operation may have on its way and being worked on.

    Attributes:
        reading_bytes, writing_bytes: In memory at a time.
        loaders: Threads that only wait for packs; with none, those that work on packs read them as well.
    """

    reading_bytes: int = 64 << 20
    writing_bytes: int = 64 << 20
    loaders: int = 0


@runtime_checkable
class IsFar(Protocol):
    """A medium that waits for a network most of the time: more has to be on the way at once."""

    @property
    def flight(self) -> Flight: ...


def flight_of(medium: Medium) -> Flight:
    """What a medium needs to have in memory to be busy."""
    return medium.flight if isinstance(medium, IsFar) else Flight()


def body_size(body: Buffers) -> int:
    """Bytes in all parts of a body."""
    return sum(len(part) if not isinstance(part, memoryview) else part.nbytes for part in body)


def check_object_name(name: str) -> None:
    """Refuse names that are not relative paths of plain parts.

    Raises:
        InvalidInput: The name is empty, absolute, or has an empty or dotted part.
    """
    if (
        not name
        or "\\" in name
        or "\0" in name
        or any(not part or part.startswith(".") for part in name.split("/"))
    ):
        raise InvalidInput(f"{name!r} is no name of an object in a store", code="object-name")


def is_object(name: str) -> bool:
    """Whether a name is one that GitML may have written: folders' place holders are not."""
    try:
        check_object_name(name)
    except GitMLError:
        return False
    return True


def absent(url: str, name: str) -> NotFound:
    """What every medium says of an object that is not there."""
    return NotFound(
        f"{url} has no object {name}",
        code="object-missing",
        hint="gitml store verify",
        context={"object": name, "store": url},
    )


def short(url: str, name: str, size: int, start: int, stop: int) -> IntegrityError:
    """What every medium says of an object that ends before the bytes that were asked for."""
    return IntegrityError(
        f"{name} in {url} has {size} bytes, {start} to {stop} were asked for",
        code="object-short",
        hint="gitml store verify",
        context={"object": name, "store": url},
    )
