"""Where a user wants the cache of remote stores; apart from the cache, which only those who open a store need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT_LIMIT_BYTES: Final = 10 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """Where the cache is, and how large it may become.

    Attributes:
        path: The folder; it is made, for its user alone, when something is kept.
        limit_bytes: Most bytes in it; 0 keeps nothing.
    """

    path: Path
    limit_bytes: int = DEFAULT_LIMIT_BYTES
