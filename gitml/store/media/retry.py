"""How often a failed call of a remote store is made again, and for how long.

Waits grow and are drawn at random, so that many clients do not return together; a server that says when to come back
is obeyed. All calls of a medium share one clock of the outage: when nothing has answered for the time cap, every
worker gives up, and calls that follow (a look at what a lost reply did) get one short attempt each.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 10.0
_LAST_ATTEMPT_S: Final = 5.0
UNREACHED_HINT: Final = "check the network and the server's address, then run the command again"
TLS_HINT: Final = (
    "check the server's certificate; {variable}=FILE names an authority of your own, and a server that speaks no TLS has "
    "an address that starts with http:"
)


class FailureKind(Enum):
    """What a failed attempt means for the caller."""

    ABSENT = "absent"  # there is no such object
    EXISTS = "exists"  # a create-only write found the name taken
    RANGE = "range"  # the object has no such bytes
    DENIED = "denied"  # a person has to give a right or credentials
    EXPIRED = "expired"  # the credentials were good until now
    NO_SPACE = "no-space"
    REFUSED = "refused"  # the same call will be refused again
    AGAIN = "again"  # nothing was done, and the client goes another way from now on
    BUSY = "busy"  # refused without effect; to be made again
    UNREACHED = "unreached"  # it never got there
    LOST = "lost"  # the reply is missing: a write may have happened


TRANSIENT: Final = frozenset({FailureKind.BUSY, FailureKind.UNREACHED, FailureKind.LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed attempt, in GitML's words.

    Attributes:
        reason: What the server or the network said, without credentials.
        code: Name of the rule, where it is more than its kind's.
        hint: What to do about it.
        retry_after_s: When the server wants to be asked again.
    """

    kind: FailureKind
    reason: str
    code: str | None = None
    hint: str | None = None
    retry_after_s: float | None = None


def seconds_until(text: str | None) -> float | None:
    """What `Retry-After` asks for: seconds, or a moment. None for anything else.

    Source: RFC 9110, section 10.2.3.
    """
    if text is None:
        return None
    if text.isascii() and text.strip().isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


class Patience:
    """The outage clock of one medium; safe to share between threads.

    Args:
        cap_s: Seconds without an answer after which calls fail.
        stall_s: Seconds without a byte after which an attempt is given up.
    """

    def __init__(
        self,
        cap_s: float,
        stall_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.cap_s = cap_s
        self._stall_s = stall_s
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._began_s: float | None = None
        self._failed_s = 0.0

    def attempt_s(self) -> float:
        """An attempt begins: how long it may go without a byte.

        An outage is over, too, when nobody has asked again for longer than the cap.
        """
        with self._lock:
            if self._began_s is not None and self._clock() - self._failed_s > self.cap_s:
                self._began_s = None
        left = self._left_s()
        return min(self._stall_s, max(left, min(_LAST_ATTEMPT_S, self.cap_s)))

    def answered(self) -> None:
        """The store said something that was not a plea for time: the outage is over."""
        if self._began_s is not None:
            with self._lock:
                self._began_s = None

    def wait(self, attempt: int, failure: Failure) -> bool:
        """Wait before the next attempt; False when there shall be none.

        Args:
            attempt: Attempts of this call so far.
            failure: How the last one ended.
        """
        now = self._clock()
        with self._lock:
            if self._began_s is None:
                self._began_s = now
            self._failed_s = now
        longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(attempt, 10))
        wait_s = random.uniform(longest / 4, longest)  # noqa: S311, no secret
        if failure.retry_after_s is not None:
            wait_s = failure.retry_after_s + random.uniform(0, _FIRST_WAIT_S)  # noqa: S311
        if wait_s >= self._left_s():
            with self._lock:
                self._began_s = now - self.cap_s  # for everybody
            return False
        self._sleep(wait_s)
        return True

    def _left_s(self) -> float:
        with self._lock:
            if self._began_s is None:
                return self.cap_s
            return self._began_s + self.cap_s - self._clock()
