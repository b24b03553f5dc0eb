"""Calls of a forge's API that fail: what is tried again, what is looked up, and what is told.

Owns the rules that are the same for every vendor. An adapter makes one attempt, and says how it failed by raising
:class:`Failed`; nothing here knows an API. Reads are repeated. A write whose reply was lost is looked up before
anything is said about it. What a rate limit kept from happening is repeated when the forge says so, within the patience.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

from gitml.errors import (
    AccessDenied,
    Conflict,
    GitMLError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    StoreUnavailable,
)
from gitml.model.redact import redact

T = TypeVar("T")
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0
_MOST_TRIES: Final = 5
_MOST_SAID: Final = 300
_MOST_READ: Final = 10_000
_LIMITED: Final = re.compile(r"rate limit|too many requests|abuse detection", re.IGNORECASE)
_RESETS: Final = ("x-ratelimit-reset", "ratelimit-reset")
_REMAINING: Final = ("x-ratelimit-remaining", "ratelimit-remaining")


class Failed(Exception):  # noqa: N818 - what became of one attempt; it never leaves the forge room
    """One attempt failed.

    Args:
        status: Status of the reply; None where there was none that could be understood.
        said: What the forge said.
        headers: Headers of the reply, with names in lower case.
        sent: Whether the call can have reached the forge.
    """

    def __init__(
        self, status: int | None, said: str, headers: Mapping[str, str] | None = None, *, sent: bool = True
    ) -> None:
        super().__init__(said)
        self.status, self.said, self.sent = status, _shown(said), sent
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}

    @property
    def is_limit(self) -> bool:
        """Whether the forge refused because of too many calls; then it did nothing."""
        if self.status == 429:
            return True
        spent = any(self.headers.get(name) == "0" for name in _REMAINING)
        return self.status == 403 and (
            spent or "retry-after" in self.headers or bool(_LIMITED.search(self.said))
        )

    @property
    def is_outage(self) -> bool:
        """Whether there was no reply, none that can be understood, or one that says try again."""
        return self.status is None or self.status >= 500 or self.status in (408, 425)


def _shown(text: str) -> str:
    """What a forge said, fit to be printed."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return redact(" ".join(printable[:_MOST_READ].split()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How failures of one forge are told.

    Attributes:
        forge: What to call it: `GitHub (api.github.com)`.
        rights: Which rights its token needs.
        token: How to give one.
    """

    forge: str
    rights: str
    token: str


class Patience:
    """Makes calls, and repeats them while that makes sense.

    Args:
        words: How failures are told.
        secret: What must not be repeated, whatever the forge says.
        total_s: How long one call may take with all of its repetitions.
        sleep: Waits for seconds.
        clock: Seconds that only grow.
        wall: Seconds since 1970, which limits are told in.
    """

    def __init__(
        self,
        words: Words,
        *,
        secret: str = "",
        total_s: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.words, self._secret = words, secret
        self._total_s, self._sleep, self._clock, self._wall = total_s, sleep, clock, wall

    def read(self, what: str, attempt: Callable[[], T]) -> T:
        """Make a call that changes nothing, or that may be made twice.

        Args:
            what: What was tried, as the beginning of a message: "request 3 could not be read".
            attempt: One try; raises :class:`Failed`.
        """
        return self._tried(what, attempt, look=None, is_safe=True)

    def write(self, what: str, attempt: Callable[[], T], look: Callable[[], T | None]) -> T:
        """Make a call that must not be made twice.

        Args:
            what: What was tried.
            attempt: One try; raises :class:`Failed`.
            look: Finds what an earlier try made; None where it made nothing.

        Raises:
            OutcomeUnknown: The reply was lost, and it could not be looked up.
        """
        return self._tried(what, attempt, look=look, is_safe=False)

    def pauses(self, most_s: float) -> Iterator[None]:
        """Turns of looking at what a forge does in its own time: the first at once, then after ever longer pauses.

        Args:
            most_s: How long it is waited for at most; never longer than the patience.
        """
        end, tries = self._clock() + min(most_s, self._total_s), 0
        while True:
            yield
            tries += 1
            pause_s = min(_FIRST_PAUSE_S * 1.5**tries, _LONGEST_PAUSE_S)
            if self._clock() + pause_s > end:
                return
            self._sleep(pause_s)

    def _tried(
        self, what: str, attempt: Callable[[], T], *, look: Callable[[], T | None] | None, is_safe: bool
    ) -> T:
        end, tries = self._clock() + self._total_s, 0
        while True:
            tries += 1
            try:
                return attempt()
            except Failed as failed:
                said = failed.said.replace(self._secret, "***") if self._secret else failed.said
                failed.said = said[:_MOST_SAID]
                if not (failed.is_limit or failed.is_outage):
                    raise self.explained(what, failed) from failed
                wait_s = self._wait_s(failed, tries)
                is_over = self._clock() + wait_s > end or (tries >= _MOST_TRIES and not failed.is_limit)
                if look is not None and failed.is_outage and failed.sent:
                    found = self._looked(what, failed, look)
                    if found is not None:
                        return found
                if is_over:
                    raise self._given_up(what, failed, wait_s) from failed
            self._sleep(wait_s)

    def _looked(self, what: str, failed: Failed, look: Callable[[], T | None]) -> T | None:
        try:
            return look()
        except (GitMLError, Failed) as error:
            raise OutcomeUnknown(
                f"{what}: {_reason(failed)}; whether {self.words.forge} did it could not be asked",
                code="forge-outcome-unknown",
                hint="when it answers again, run the same command: it goes on from what is there",
            ) from error

    def _wait_s(self, failed: Failed, tries: int) -> float:
        pause = min(_FIRST_PAUSE_S * 2.0**tries, _LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)  # noqa: S311
        if not failed.is_limit and failed.status != 503:
            return pause
        after = _seconds(failed.headers.get("retry-after"), self._wall())
        if after is not None:
            return max(after, 0.0)
        reset = next((failed.headers[name] for name in _RESETS if name in failed.headers), None)
        if failed.is_limit and reset is not None and reset.isdecimal():
            return max(float(reset) - self._wall() + 1.0, pause)
        return pause

    def _given_up(self, what: str, failed: Failed, wait_s: float) -> StoreUnavailable:
        if failed.is_limit:
            at = datetime.fromtimestamp(self._wall() + wait_s, UTC)
            return StoreUnavailable(
                f"{what}: {self.words.forge} allows this token no more calls until {at:%H:%M:%S} UTC",
                code="forge-rate-limit",
                hint="run it again then; it goes on from what is there",
                context={"seconds": round(wait_s)},
            )
        return StoreUnavailable(
            f"{what}: {_reason(failed)} from {self.words.forge}",
            code="forge-unavailable",
            hint="run it again; it goes on from what is there",
            context={"status": failed.status},
        )

    def explained(self, what: str, failed: Failed) -> GitMLError:
        """What a refusal of the forge means."""
        words, status = self.words, failed.status
        said = f"{what}: {words.forge} said {status} {failed.said}".rstrip()
        context = {"status": status}
        match status:
            case 401:
                return AccessDenied(
                    f"{said}: it does not know this token",
                    code="forge-token-refused",
                    hint=f"give one that is valid: {words.token}",
                    context=context,
                )
            case 403:
                return AccessDenied(
                    f"{said}: the token lacks a right", code="forge-forbidden",
                    hint=f"it needs {words.rights}", context=context,
                )  # fmt: skip
            case 404 | 410:
                return NotFound(
                    f"{said}: it is not there, or the token may not see it",
                    code="forge-not-found",
                    hint=f"gitml pr list; the token needs {words.rights}",
                    context=context,
                )
            case 409 | 412 | 423:
                return Conflict(
                    said, code="forge-conflict", hint="look at it with gitml pr show", context=context
                )
        return InvalidInput(
            said,
            code="forge-refused-call",
            hint="correct what it objects to, and run it again",
            context=context,
        )


def _reason(failed: Failed) -> str:
    if failed.status is None:
        return failed.said or "no answer"
    return f"status {failed.status} {failed.said}".rstrip()


def _seconds(text: str | None, now: float) -> float | None:
    """What `Retry-After` says: seconds, or a date."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return parsedate_to_datetime(text).timestamp() - now
    except ValueError:
        return None
