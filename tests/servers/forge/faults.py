"""The switch that makes answers of the double go wrong."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from enum import Enum


class How(Enum):
    """In which way an answer goes wrong."""

    STATUS = "status"  # this status with a JSON body of the vendor's error form
    RATE_LIMIT = "rate-limit"  # the vendor's own way to say: too many calls, come back in `seconds`
    HTML = "html"  # a page for people instead of JSON, with status 200 or `status`
    EMPTY = "empty"  # status 200 with nothing in it
    TRUNCATED = "truncated"  # the right answer, cut in the middle of its body
    SLOW = "slow"  # the right answer, after `seconds`
    CUT = "cut"  # the connection ends without an answer


@dataclass(kw_only=True)
class Fault:
    """What goes wrong, for which calls, and how often.

    Attributes:
        after_effect: Whether the call is carried out before its answer goes wrong.
        method: Only calls of this method; empty is all.
        path: Only calls whose path (after the vendor's prefix) this expression finds.
        times: How many answers go wrong; the next ones are right again.
        skip: How many matching calls go right before.
    """

    how: How
    status: int = 500
    seconds: float = 0
    after_effect: bool = False
    method: str = ""
    path: str = ""
    times: int = 1
    skip: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def matches(self, method: str, path: str) -> bool:
        """Whether it is for this call."""
        return self.method in ("", method) and re.search(self.path, path) is not None


class Faults:
    """Faults that wait for their calls."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Let a fault wait for its call."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Everything goes right again."""
        with self._lock:
            self._waiting.clear()

    @property
    def left(self) -> int:
        """How many answers are still to go wrong."""
        return sum(fault.times for fault in self._waiting)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault of a call."""
        with self._lock:
            for fault in self._waiting:
                if fault.times > 0 and fault.matches(method, path):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    if fault.times == 0:
                        self._waiting.remove(fault)
                    return fault
        return None
