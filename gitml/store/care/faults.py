"""What checks of a store find, and how much of it one run looks at."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from gitml.errors import GitMLError
from gitml.model.portion import Part
from gitml.store.care.coverage import Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong in a store.

    Attributes:
        object: Name of the object.
        path: A file that cannot be read because of it; None where none is known, or no single one.
        problem: What is wrong.
        label: The asset that needs it, where one is known.
    """

    object: str
    path: str | None
    problem: str
    label: str = ""


def fault_of(error: GitMLError, label: str = "") -> Fault:
    """An error of a read as a fault."""
    return Fault(
        object=str(error.context.get("object") or "?"),
        path=error.context.get("file"),
        problem=error.message,
        label=label,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of everything one run reads.

    Attributes:
        part: Only this part; None is all.
        until_s: Moment of `clock` after which nothing new is begun; None goes on to the end.
        coverage: What earlier runs have read, which is passed over where the time is limited.
        clock: Seconds that pass.
    """

    part: Part | None = None
    until_s: float | None = None
    coverage: Coverage = field(default_factory=Coverage)
    clock: Callable[[], float] = time.monotonic

    @property
    def is_all(self) -> bool:
        """Whether the run reads everything."""
        return self.part is None and self.until_s is None

    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.until_s is not None and self.clock() >= self.until_s

    def is_mine(self, identity: bytes) -> bool:
        """Whether something with that digest is of this run's part."""
        return self.part is None or self.part.holds(identity)

    def is_done(self, piece: str) -> bool:
        """Whether an earlier run has read that piece already, and it need not be read again."""
        return self.until_s is not None and piece in self.coverage

    def note_judged(self, piece: str, objects: Collection[str], damaged: Collection[str]) -> None:
        """A piece was judged: of the objects that it is, some are damaged."""
        self.coverage.note_right(sorted(set(objects) - set(damaged)))
        if damaged:
            self.coverage.note_damaged(sorted(damaged))
        elif self.until_s is not None:
            self.coverage.note_read(piece)
