"""The verdicts of `doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gitml.errors import GitMLError


class Health(Enum):
    """Verdict of one check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        health: The verdict.
        found: What was found, in words.
        hint: What to do, unless all is well.
        exit_code: Kind of the failure, as the exit codes have them; 0 where it did not fail.
    """

    name: str
    health: Health
    found: str
    hint: str | None = None
    exit_code: int = 0


def failed(name: str, error: GitMLError) -> Check:
    """What an error says of the thing that was looked at."""
    return Check(
        name=name, health=Health.FAILED, found=error.message, hint=error.hint, exit_code=error.exit_code
    )
