"""A medium that goes wrong in each of the ways in which storage is known to go wrong, at a call of one's choice.

It stands where an adapter stands, so an error is what an adapter says when its attempts are used up, and a lie is
what an adapter cannot see through. Which kinds storage has and this contract cannot show, `IMPOSSIBLE` says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from gitml.errors import AccessDenied, GitMLError, IntegrityError, NotFound, OutcomeUnknown, StoreUnavailable
from gitml.store.media.medium import Buffers, Medium, PutOutcome

_Result = TypeVar("_Result")

READS = frozenset({"head", "get", "list"})
WRITES = frozenset({"put", "put_if_absent", "delete"})
BODIES = frozenset({"put", "put_if_absent"})


class Kind(Enum):
    """What happens in a call that is struck."""

    BEFORE = "an error, and nothing was done"
    AFTER = "it was done, and the reply was lost"
    TIMEOUT = "no reply in time, and nothing was done"
    RESET = "the connection broke: a write never arrived, a listing ends in the middle"
    THROTTLED = "throttled for longer than anybody waits"
    EXPIRED = "the credentials expired"
    ABSENT = "a fresh object is said not to be there"
    CONFLICT = "409: another write of that name is under way"
    OWN_WRITE = "412: a create-only write is refused because of itself"
    TRUNCATED = "a read ends early"
    EXTRA = "a read has more bytes than there are"
    WRONG_RANGE = "a read gives other bytes of the object"
    FLIPPED = "a read has a wrong bit"
    STALE = "a read gives what was there before"
    DUPLICATED = "a write is done a second time, later"
    LATE = "what is deleted comes back, by a write that was on its way"
    REORDERED = "no reply in time, and the write is done after the next one"
    LIST_LACKS = "a listing lacks what is new"
    LIST_KEEPS = "a listing shows what was deleted"
    LIST_MESS = "a listing is out of order and says everything twice"
    WRONG_SIZE = "a look at an object gives a wrong size"
    HANG = "no answer for ever, which the watch over stalled transfers ends"
    IGNORED = "a delete does nothing, and says that it did"


IMPOSSIBLE = {
    "multipart, left in part": "an object is one PUT",
    "the reply to the end of a multipart upload is lost": "an object is one PUT",
    "wrong or missing ETag": "no decision is made on ETags",
    "skewed Last-Modified": "a medium gives no times; what wrong clocks do to collections is in test_gc_schedules",
}
"""Kinds of fault that cannot be had at this contract, and why."""

VERBS: dict[Kind, frozenset[str]] = {
    Kind.BEFORE: READS | WRITES,
    Kind.AFTER: WRITES,
    Kind.TIMEOUT: READS | WRITES,
    Kind.RESET: READS | WRITES,
    Kind.THROTTLED: READS | WRITES,
    Kind.EXPIRED: READS | WRITES,
    Kind.ABSENT: frozenset({"head", "get"}),
    Kind.CONFLICT: BODIES,
    Kind.OWN_WRITE: frozenset({"put_if_absent"}),
    Kind.TRUNCATED: frozenset({"get"}),
    Kind.EXTRA: frozenset({"get"}),
    Kind.WRONG_RANGE: frozenset({"get"}),
    Kind.FLIPPED: frozenset({"get"}),
    Kind.STALE: frozenset({"head", "get"}),
    Kind.DUPLICATED: BODIES,
    Kind.LATE: frozenset({"delete"}),
    Kind.REORDERED: WRITES,
    Kind.LIST_LACKS: frozenset({"list"}),
    Kind.LIST_KEEPS: frozenset({"list"}),
    Kind.LIST_MESS: frozenset({"list"}),
    Kind.WRONG_SIZE: frozenset({"head"}),
    Kind.HANG: READS | WRITES,
    Kind.IGNORED: frozenset({"delete"}),
}
LIES = frozenset(
    {Kind.ABSENT, Kind.TRUNCATED, Kind.EXTRA, Kind.WRONG_RANGE, Kind.FLIPPED, Kind.STALE, Kind.WRONG_SIZE}
)
"""Kinds that say something wrong about an object, and no error."""


@dataclass(frozen=True)
class Strike:
    """A fault: from call number `call` (counted from 1), the first that `kind` can strike, or every one."""

    call: int
    kind: Kind
    sticky: bool = False

    def __str__(self) -> str:
        return f"{self.kind.name} at call {self.call}{', and at all that follow' if self.sticky else ''}"


def strikes(log: list[tuple[str, str]]) -> Iterator[Strike]:
    """Every fault that a run with these calls can meet."""
    for number, (verb, _) in enumerate(log, 1):
        for kind in Kind:
            if verb in VERBS[kind]:
                yield Strike(number, kind)
                yield Strike(number, kind, sticky=True)


class FaultFS:
    """See the module.

    Args:
        medium: Keeps its promises.
        strike: What goes wrong; None lets all go well.
    """

    def __init__(self, medium: Medium, strike: Strike | None = None) -> None:
        self.medium = medium
        self.strike = strike
        self.struck = 0
        self.log: list[tuple[str, str]] = []
        self._lock = threading.RLock()
        self._before: dict[str, bytes | None] = {}
        self._deleted: dict[str, int] = {}
        self._late: list[tuple[int, Callable[[], object]]] = []

    @property
    def url(self) -> str:
        return self.medium.url

    def settle(self) -> None:
        """Let all writes that are still on their way arrive."""
        with self._lock:
            late, self._late = self._late, []
        for _, write in late:
            write()

    def _begin(self, verb: str, name: str) -> Kind | None:
        """Count a call; what strikes it."""
        with self._lock:
            self.log.append((verb, name))
            number, strike = len(self.log), self.strike
            if strike is None or number < strike.call or verb not in VERBS[strike.kind]:
                return None
            if self.struck and not strike.sticky:
                return None
            self.struck += 1
        error = _ERRORS.get(strike.kind)
        if error is not None and not (strike.kind is Kind.RESET and verb == "list"):
            raise error(verb in WRITES, name)
        return strike.kind

    def _end(self) -> None:
        """A write was done: those that waited for one are done after it."""
        with self._lock:
            number = len(self.log)
            ripe = [write for call, write in self._late if call < number]
            self._late = [one for one in self._late if one[0] >= number]
        for write in ripe:
            write()

    def _later(self, write: Callable[[], object]) -> None:
        with self._lock:
            self._late.append((len(self.log), write))

    def _remember(self, name: str) -> None:
        with self._lock:
            self._before[name] = None if self.medium.head(name) is None else self.medium.get(name)

    # -- reads

    def head(self, name: str) -> int | None:
        kind = self._begin("head", name)
        size = self.medium.head(name)
        if kind is Kind.ABSENT:
            return None
        if kind is Kind.STALE and name in self._before:
            old = self._before[name]
            return None if old is None else len(old)
        return size + 1 if kind is Kind.WRONG_SIZE and size is not None else size

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        kind = self._begin("get", name)
        if kind is Kind.ABSENT or (kind is Kind.STALE and self._before.get(name, b"") is None):
            raise _absent(name)
        if kind is Kind.STALE and (old := self._before.get(name)):
            return old[start : len(old) if end is None else end]
        data = self.medium.get(name, start, end)
        if kind is Kind.TRUNCATED:
            return data[: len(data) // 2]
        if kind is Kind.EXTRA:
            return data + data[:7]
        if kind is Kind.WRONG_RANGE:
            whole = self.medium.get(name)
            shifted = whole[start + 1 : start + 1 + len(data)]
            return shifted if len(shifted) == len(data) else data[1:] + data[:1]
        if kind is Kind.FLIPPED and data:
            middle = len(data) // 2
            return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]
        return data

    def get_into(self, name: str, buffer: memoryview) -> int:
        data = self.get(name)
        if len(data) > len(buffer):
            raise IntegrityError(f"{name} does not fit", code="object-short", context={"object": name})
        buffer[: len(data)] = data
        return len(data)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        kind = self._begin("list", prefix)
        found = sorted(self.medium.list(prefix))
        if kind is Kind.LIST_LACKS:
            found = [one for one in found if one[0] not in self._before]
        if kind is Kind.LIST_KEEPS:
            found += [one for one in self._deleted.items() if one[0].startswith(prefix) and one not in found]
        if kind is Kind.LIST_MESS:
            found = [*reversed(found), *found]
        if kind is Kind.RESET:
            yield from found[: len(found) // 2]
            raise _ERRORS[Kind.RESET](False, prefix)
        yield from found

    # -- writes

    def put(self, name: str, body: Buffers) -> None:
        kind = self._begin("put", name)
        whole = b"".join(body)
        self._written(kind, name, lambda: self.medium.put(name, [whole]))

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        kind = self._begin("put_if_absent", name)
        whole = b"".join(body)
        outcome = self._written(kind, name, lambda: self.medium.put_if_absent(name, [whole]))
        return PutOutcome.EXISTS if kind is Kind.OWN_WRITE else outcome

    def delete(self, name: str) -> bool:
        kind = self._begin("delete", name)
        if kind is Kind.IGNORED:
            return self.medium.head(name) is not None
        self._remember(name)
        old = self._before[name]
        if kind is Kind.LATE and old is not None:
            self._later(lambda: self.medium.put(name, [old]))
        if old is not None:
            self._deleted[name] = len(old)
        return self._written(kind, name, lambda: self.medium.delete(name))

    def _written(self, kind: Kind | None, name: str, write: Callable[[], _Result]) -> _Result:
        if kind is Kind.REORDERED:
            self._later(write)
            raise OutcomeUnknown(f"writing {name}: no reply in time", hint="run the command again")
        self._remember(name)
        result = write()
        self._end()
        if kind is Kind.DUPLICATED:
            self._later(write)
        if kind is Kind.AFTER:
            raise OutcomeUnknown(f"writing {name}: the reply was lost", hint="run the command again")
        return result


def _absent(name: str) -> NotFound:
    return NotFound(
        f"the store has no object {name}",
        code="object-missing",
        hint="gitml store verify",
        context={"object": name},
    )


def _unavailable(writes: bool, name: str) -> GitMLError:
    return StoreUnavailable(f"{name}: the store failed", hint="run the command again")


def _unknown(writes: bool, name: str) -> GitMLError:
    if writes:
        return OutcomeUnknown(f"writing {name}: no reply in time", hint="run the command again")
    return _unavailable(writes, name)


def _expired(writes: bool, name: str) -> GitMLError:
    return AccessDenied(
        f"{name}: 400 ExpiredToken", code="credentials-expired", hint="log in again, then run it again"
    )


_ERRORS: dict[Kind, Callable[[bool, str], GitMLError]] = {
    Kind.BEFORE: _unavailable,
    Kind.TIMEOUT: _unknown,
    Kind.RESET: _unavailable,
    Kind.THROTTLED: _unavailable,
    Kind.EXPIRED: _expired,
    Kind.CONFLICT: _unavailable,
    Kind.HANG: _unknown,
}
