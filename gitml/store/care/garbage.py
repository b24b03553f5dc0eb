"""Collecting garbage: what no root reaches is condemned, and deleted when it has been so for two weeks.

A run marks what is alive, condemns what is dead by writing its names where every writer looks after its root, marks
again, and deletes what is dead still and was condemned long ago. Why no object of a version can go: either the root
was there at the second look, or it was written afterwards, and then its writer finds the names and stores those
bytes again under others. A root that is replaced is kept whole by an intent: see :mod:`gitml.store.relocation.moving`. The ages
only spare slow writers and readers that trouble; a wrong clock does no harm, as long as neither a list of names nor
an intent goes (after four weeks) of which an operation at work still has need; such a one gives up after a week.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol, runtime_checkable

from gitml.model.progress import SILENT, Progress
from gitml.store.care.condemned import Run, read_runs, write_run
from gitml.store.care.marking import Marking
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.relocation.elapsed import Moment

DAY_S: Final = 24 * 3600
GRACE_S: Final = 14 * DAY_S
RUN_KEPT_S: Final = 28 * DAY_S
_PATIENCE_S: Final = 7 * DAY_S


class HasMedium(Protocol):
    """A store."""

    @property
    def medium(self) -> Medium: ...


@runtime_checkable
class HasLeftovers(Protocol):
    """A medium whose killed writers leave something behind that `list` does not show."""

    def leftovers(self) -> Iterator[tuple[str, int]]:
        """Names and sizes of temporary files."""

    def delete_leftover(self, name: str) -> bool:
        """Remove one; False where there was none."""


class Reason(Enum):
    """Why an object is garbage."""

    UNREACHED = "no root reaches it"
    LEFT_OVER = "a killed writer left it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """A dead object.

    Attributes:
        object: Its name.
        size_bytes: Its size.
        reason: Why it is garbage.
        condemned_s: When it was first condemned, seconds since 1970 by the clock of that run; None if just now.
    """

    object: str
    size_bytes: int
    reason: Reason
    condemned_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a run found and did, or would do.

    Attributes:
        objects: Number of objects looked at.
        size_bytes: Their bytes.
        roots: Every root, by name.
        condemned: Dead objects that no earlier run knew; they are left for now.
        waiting: Dead objects that were condemned less than two weeks ago.
        deleted: Dead objects that went, or would go.
        runs: Lists of names that went, or would go.
    """

    objects: int
    size_bytes: int
    roots: dict[str, Root]
    condemned: tuple[Garbage, ...]
    waiting: tuple[Garbage, ...]
    deleted: tuple[Garbage, ...]
    runs: tuple[str, ...]


def collect_garbage(
    store: HasMedium,
    *,
    dry_run: bool = False,
    clock: Callable[[], float] = time.time,
    progress: Progress = SILENT,
) -> Collected:
    """Condemn what is dead, and delete what has been so for two weeks.

    May run beside writers, readers and other collectors, and be killed and run again.

    Args:
        store: The store.
        dry_run: Look once, and say what would be done.
        clock: Seconds since 1970; nothing but ages depends on it.
        progress: Learns of the work.

    Raises:
        IntegrityError: A root cannot be followed, so that nobody knows what it keeps alive; nothing was deleted.
        StoreUnavailable, OutcomeUnknown: The store failed; run it again.
    """
    progress.begin("Collecting garbage")
    try:
        return _Collector(store.medium, clock, progress).run(dry_run=dry_run)
    finally:
        progress.end()


class _Collector:
    def __init__(self, medium: Medium, clock: Callable[[], float], progress: Progress) -> None:
        self._medium = medium
        self._clock = clock
        self._progress = progress
        self._leftovers: dict[str, int] = {}

    def run(self, *, dry_run: bool) -> Collected:
        listed = self._listed()
        marking = Marking(self._medium)
        marking.look()
        dead = [name for name in listed if name not in marking.live]
        # Read before the second look, for what counts is whether the writer of a later root can see them.
        runs = read_runs(self._medium)
        since = _first_condemned(runs)
        intents = set(marking.intents)
        going = _ripe(dead, runs, self._clock())
        if not dry_run:
            # Those that go are named once more, so that the list that remembers them is as young as their end.
            names = {name for name in dead if name not in since or name in going}
            # An intent is named when it is first seen, so that its age is told by the clocks of collectors alone.
            names |= intents - since.keys()
            if names:
                runs = [*runs, write_run(self._medium, names, self._clock())]
            marking.look()
            dead = [name for name in dead if name not in marking.live]
            going = self._delete(sorted(names & _ripe(dead, runs, self._clock())))
        garbage = {name: self._garbage(name, listed[name], since.get(name)) for name in dead}
        return Collected(
            objects=len(listed),
            size_bytes=sum(listed.values()),
            roots=marking.roots,
            condemned=tuple(garbage[name] for name in dead if name not in since and name not in going),
            waiting=tuple(garbage[name] for name in dead if name in since and name not in going),
            deleted=tuple(garbage[name] for name in dead if name in going),
            runs=self._expire(runs, listed.keys() | marking.live | intents, dry_run=dry_run),
        )

    def _garbage(self, name: str, size_bytes: int, condemned_s: float | None) -> Garbage:
        reason = Reason.LEFT_OVER if name in self._leftovers else Reason.UNREACHED
        return Garbage(object=name, size_bytes=size_bytes, reason=reason, condemned_s=condemned_s)

    def _listed(self) -> dict[str, int]:
        listed: dict[str, int] = {}
        for prefix in (layout.PACKS, layout.SEGMENTS, layout.MANIFESTS):
            listed.update(sorted(self._medium.list(prefix)))
        if isinstance(self._medium, HasLeftovers):
            self._leftovers = dict(sorted(self._medium.leftovers()))
            listed.update(self._leftovers)
        return listed

    def _delete(self, names: Sequence[str]) -> set[str]:
        """Delete names, unless that takes so long that the look has become doubtful."""
        began = Moment()
        deleted: set[str] = set()
        for name in names:
            if began.elapsed_s() > _PATIENCE_S:
                break
            if name in self._leftovers and isinstance(self._medium, HasLeftovers):
                self._medium.delete_leftover(name)
            else:
                self._medium.delete(name)
            deleted.add(name)
            self._progress.advance(files=1)
        return deleted

    def _expire(self, runs: Sequence[Run], kept: Collection[str], *, dry_run: bool) -> tuple[str, ...]:
        """Remove the lists and intents that are old enough.

        A list stays as long as it names what was still there when this run began, or what a root reaches: whoever
        wrote that root may not have looked yet.
        """
        now_s = self._clock()
        old = [run for run in runs if run.is_older(RUN_KEPT_S, now_s)]
        expired = [run.name for run in old if not any(name in kept for name in run.names)]
        left = {name for run in old for name in run.names if name.startswith(layout.MOVING)}
        if not dry_run:
            for name in (*expired, *sorted(left & set(kept))):
                self._medium.delete(name)
        return tuple(expired)


def _ripe(dead: Sequence[str], runs: Sequence[Run], now_s: float) -> set[str]:
    """Those of the dead that stand in a list of two weeks ago."""
    old = [run.names for run in runs if run.is_older(GRACE_S, now_s)]
    return {name for name in dead if any(name in names for names in old)}


def _first_condemned(runs: Sequence[Run]) -> dict[str, float | None]:
    """When each name was condemned first, as far as that is known."""
    since: dict[str, float | None] = {}
    for run in runs:
        for name in run.names:
            known = since.get(name)
            if name not in since or (known is None or (run.written_s or known) < known):
                since[name] = run.written_s
    return since
