"""The event loop of calls that need no SDK: one of this process, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}


def plain_loop() -> asyncio.AbstractEventLoop:
    """The loop, started at the first call; a process that was forked from this one has another."""
    with _lock:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="gitml-calls", daemon=True).start()
        return loop
