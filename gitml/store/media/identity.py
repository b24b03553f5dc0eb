"""Who one is to a server: which credentials were looked for, in which order, and which won. Never a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who one is to a server.

    Attributes:
        tried: Sources of credentials that were looked at, in order; the last is the one that won, if any did.
        used: What won, in words; None where none did.
        who: Account, user, role or masked key, as far as that is known without further rights.
        region: Region of the server, where it has one.
    """

    tried: tuple[str, ...]
    used: str | None
    who: str | None
    region: str | None = None


@runtime_checkable
class Identifies(Protocol):
    """A medium that can say who one is to its server."""

    def identity(self) -> Identity:
        """Who one is there.

        Raises:
            AccessDenied: The search for credentials failed.
        """


def masked(key: str) -> str:
    """The name of a key, with its middle left out: enough to tell two of one's own apart."""
    return f"{key[:_SHOWN]}…{key[-_SHOWN:]}" if len(key) > 3 * _SHOWN else f"{key[:1]}…"
