"""Uploads that break: the call fails, which is dealt with, and the task that sent its body says so once more.

Owns what keeps that second word, a traceback in asyncio's log, from people's terminals. All else that asyncio has
to say is said. This module is imported only where a store is remote.
"""

from __future__ import annotations

import logging

import aiohttp


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, aiohttp.ClientConnectionResetError)


def hush() -> None:
    """Keep broken uploads out of asyncio's log; calling it again changes nothing."""
    logging.getLogger("asyncio").addFilter(_is_news)
