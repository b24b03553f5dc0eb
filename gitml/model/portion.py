"""How much of a long check one run does: a part of the whole, or what fits into a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gitml.errors import UsageError

_MOST_PARTS: Final = 10_000
_MOST_S: Final = 30 * 24 * 3600
_PART: Final = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_TIME: Final = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of several parts that together are everything, each thing in exactly one of them.

    Attributes:
        number: Which one, from 1.
        of: How many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read `2/7`.

        Raises:
            UsageError: It is no part.
        """
        match = _PART.fullmatch(text)
        number, of = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= number <= of <= _MOST_PARTS:
            raise UsageError(
                f"{text!r} is no part: K/N, where K is 1 to N, and N at most {_MOST_PARTS:,}",
                code="bad-part",
                hint="--part 2/7",
            )
        return cls(number=number, of=of)

    def holds(self, identity: bytes) -> bool:
        """Whether a thing with that evenly spread identity (a digest) is of this part."""
        return int.from_bytes(identity[:8], "big") % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def parse_duration(text: str) -> int:
    """Seconds in a time such as `90s`, `10m` or `1h30m`.

    Raises:
        UsageError: It is no such time.
    """
    match = _TIME.fullmatch(text) if text else None
    hours, minutes, seconds = (int(group or 0) for group in match.groups()) if match else (0, 0, 0)
    total_s = hours * 3600 + minutes * 60 + seconds
    if not 0 < total_s <= _MOST_S:
        raise UsageError(
            f"{text!r} is no time: hours, minutes and seconds as 90s, 10m or 1h30m, at most 720h",
            code="bad-duration",
            hint="--within 10m",
        )
    return total_s
