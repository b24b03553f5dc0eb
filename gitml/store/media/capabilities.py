"""What a place was found to guarantee: the answer of a check, and the refusal of a place that breaks a promise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gitml.errors import PolicyRefused


class Verdict(Enum):
    """What a check found."""

    KEPT = "kept"
    BROKEN = "broken"
    NOTED = "noted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One promise, and whether it is kept.

    Attributes:
        promise: In words.
        verdict: KEPT, BROKEN, or NOTED for what is good to know and no promise.
        found: What was seen.
    """

    promise: str
    verdict: Verdict
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a place guarantees.

    Attributes:
        url: The place.
        usable: Whether every promise is kept.
        write_bytes_per_s: Speed of one writer; 0 where it was not measured.
        read_bytes_per_s: Speed of one reader; 0 where it was not measured.
        requests_ms: Time of a small call in the middle of all.
    """

    url: str
    usable: bool
    findings: tuple[Finding, ...]
    write_bytes_per_s: int
    read_bytes_per_s: int
    requests_ms: float

    def require(self) -> None:
        """Refuse a place that cannot keep the promises.

        Raises:
            PolicyRefused: A promise is broken; the message names it.
        """
        broken = [finding for finding in self.findings if finding.verdict is Verdict.BROKEN]
        if broken:
            more = f", and {len(broken) - 1} more of its promises" if len(broken) > 1 else ""
            raise PolicyRefused(
                f"{self.url} cannot be a store: it breaks “{broken[0].promise}” ({broken[0].found}){more}",
                code="store-unfit",
                hint="use another place; GitML would lose data here",
                context={
                    "store": self.url,
                    "reasons": [f"{finding.promise}: {finding.found}" for finding in broken],
                    "faults": [{"promise": finding.promise, "found": finding.found} for finding in broken],
                },
            )
