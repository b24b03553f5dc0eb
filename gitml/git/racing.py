"""How often, and how soon, a writer tries again where others move the same ref.

Every attempt reads what is there now and moves it only from that, so that racing is safe at any pace; this is about
the pace alone. A writer that lost waits at random, in units of what its last attempt took: where many work on a busy machine
that is long, and between two people it is a moment. The most that it may wait doubles with each attempt, so that N
writers find room after some log2(N) of them.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import Final

from gitml.errors import Busy

MOST_ATTEMPTS: Final = 14
_SHORTEST_UNIT_S: Final = 0.02
_FIRST_UNITS: Final = 4
_MOST_UNITS: Final = 64

_log = logging.getLogger(__name__)


class Race:
    """The attempts of one writer.

    Args:
        what: What it wants to do, as it is told where it gives up: `move staging`.
        most_attempts: After so many it gives up.
        clock: Seconds that only grow.
        sleep: Waits so many seconds.
        chance: A number between 0 and 1.

    Attributes:
        retries: How often it began again.
        waited_s: How long it paused between the attempts.
    """

    def __init__(
        self,
        what: str,
        *,
        most_attempts: int = MOST_ATTEMPTS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.what = what
        self.retries = 0
        self.waited_s = 0.0
        self._most_attempts = most_attempts
        self._clock = clock
        self._sleep = sleep
        self._chance = chance

    def attempts(self) -> Iterator[int]:
        """Numbers of attempts from 0, with a pause before each but the first; ends where it gives up."""
        for attempt in range(self._most_attempts):
            started = self._clock()
            yield attempt
            took = max(self._clock() - started, _SHORTEST_UNIT_S)
            if attempt == self._most_attempts - 1:
                return
            pause = self._chance() * took * min(_FIRST_UNITS * 2**attempt, _MOST_UNITS)
            self.retries += 1
            self.waited_s += pause
            _log.debug("%s: others were first; attempt %d in %.2f s", self.what, self.retries + 1, pause)
            self._sleep(pause)

    def lost(self, *, hint: str = "run it again", said: str | None = None) -> Busy:
        """The error of a writer that gave up.

        Args:
            hint: What to do.
            said: What the other side said last.
        """
        return Busy(
            f"could not {self.what}: others were first at each of {self.retries + 1} attempts"
            + (f" ({said})" if said else ""),
            code="too-many-writers",
            hint=hint,
            context={"attempts": self.retries + 1},
        )
