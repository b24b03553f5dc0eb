"""Lists of dead objects, `gc/condemned/<run id>`: one name a line, written once.

A run's id begins with the moment of its writing by the clock of the machine that ran it, so that ages need no
other clock. A moment in the future is no age.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from gitml.errors import NotFound
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.media.objects import put_named

_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One list.

    Attributes:
        name: Of its object.
        written_s: Moment of writing, seconds since 1970; None where the name does not tell.
        names: The objects that were dead.
    """

    name: str
    written_s: float | None
    names: frozenset[str]

    def is_older(self, age_s: float, now_s: float) -> bool:
        """Whether it has stood at least so long."""
        return self.written_s is not None and now_s - self.written_s >= age_s


def read_runs(medium: Medium) -> list[Run]:
    """Every list that stands in the store."""
    runs = []
    for name, _ in sorted(medium.list(layout.CONDEMNED)):
        try:
            text = medium.get(name).decode()
        except NotFound:
            continue
        runs.append(Run(name=name, written_s=_written(name), names=frozenset(text.split())))
    return runs


def write_run(medium: Medium, names: Collection[str], now_s: float) -> Run:
    """Condemn objects; on return every writer that looks sees it.

    Raises:
        OutcomeUnknown: A reply was lost, and the look failed too.
    """
    stamp = datetime.fromtimestamp(now_s, UTC).strftime(_STAMP)
    name = f"{layout.CONDEMNED}{stamp}-{secrets.token_hex(8)}"
    put_named(medium, name, ["".join(f"{one}\n" for one in sorted(names)).encode()])
    return Run(name=name, written_s=_written(name), names=frozenset(names))


def _written(name: str) -> float | None:
    stamp = layout.id_of(name).partition("-")[0]
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
