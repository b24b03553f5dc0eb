"""What must hold of any input: only GitML's own errors, and soon."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gitml.errors import GitMLError, UnexpectedError

if TYPE_CHECKING:
    from fuzz.targets import Target

LONGEST_S = 1.0


def check(target: Target, data: bytes) -> bool:
    """Whether the reader took it.

    Raises:
        AssertionError: It took too much of the processor, or what it gave does not hold.
        Exception: What is none of GitML's errors.
    """
    started = time.thread_time()
    try:
        target.read(data)
        taken = True
    except UnexpectedError:
        raise
    except GitMLError:
        taken = False
    took = time.thread_time() - started
    assert took < LONGEST_S, f"{took:.1f} s for {len(data)} bytes"
    return taken
