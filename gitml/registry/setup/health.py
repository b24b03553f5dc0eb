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
        error: What it failed with, if it did.
    """

    name: str
    health: Health
    found: str
    hint: str | None = None
    error: GitMLError | None = None


def failed(name: str, error: GitMLError) -> Check:
    """What an error says of the thing that was looked at."""
    return Check(name=name, health=Health.FAILED, found=error.message, hint=error.hint, error=error)
