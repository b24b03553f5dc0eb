"""How long something has taken, by a clock that goes on while the machine sleeps."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment of this process, now unless told otherwise.

    A monotonic clock stands still while a laptop or a virtual machine is suspended, and the clock of the wall may be
    put right meanwhile. The longer of the two times counts: to take an operation for older than it is costs a look.
    """

    monotonic_s: float = field(default_factory=time.monotonic)
    wall_s: float = field(default_factory=time.time)

    def elapsed_s(self) -> float:
        """Seconds since then, rather too many than too few."""
        return max(time.monotonic() - self.monotonic_s, abs(time.time() - self.wall_s))
