"""Does a place keep the promises of a medium? The checks of the contract, for users.

Owns the questions, what each answer means, and the objects it makes for them, below a prefix of its own that it
removes again. What cannot be asked from here is said: whether a write survives a power cut, and what a listing
hides.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gitml.errors import GitMLError, IntegrityError, NotFound, PolicyRefused
from gitml.store.medium import Medium, PutOutcome

_WRITERS: Final = 8
_ROUNDS: Final = 10
_SPEED_BYTES: Final = 32 << 20
_NAMES: Final = (
    "plain", "with space", "plus+percent%20", "ümlaut", "日本語", "e\u0301", "a=b&c=d", "quote'\"", "UPPER", "upper",
    "n" * 200, "#hash?query", "tilde~", "[brackets]{}", "+",
)  # fmt: skip


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
            raise PolicyRefused(
                f"{self.url} cannot be a store: {broken[0].promise}: {broken[0].found}",
                code="store-unfit",
                hint="use another place; GitML would lose data here",
                context={"reasons": [f"{finding.promise}: {finding.found}" for finding in broken]},
            )


class _BrokenError(Exception):
    """A promise is not kept; the text says what was seen."""


def check(medium: Medium, *, rounds: int = _ROUNDS, speed_bytes: int = _SPEED_BYTES) -> Capabilities:
    """Ask a medium everything that a store relies on.

    Args:
        medium: The place; it may hold a store already, which is left alone.
        rounds: How often writers race.
        speed_bytes: Size of the object that the speed is measured with; 0 measures none.

    Raises:
        AccessDenied, StoreUnavailable, NoSpace: The place cannot be used at all.
    """
    prefix = f"check/{secrets.token_hex(8)}"
    prober = _Prober(medium, prefix, rounds)
    medium.put(f"{prefix}/first", [b"first"])  # whoever may not write learns it here, in plain words
    try:
        findings = [prober.asked(promise, question) for promise, question in prober.questions()]
        speed = _speed(medium, f"{prefix}/large", speed_bytes) if speed_bytes else (0, 0)
        latency = _latency(medium, f"{prefix}/first")
    finally:
        prober.tidy()
    findings.append(_left_over(medium, prefix))
    return Capabilities(
        url=medium.url,
        usable=all(finding.verdict is not Verdict.BROKEN for finding in findings),
        findings=tuple(findings),
        write_bytes_per_s=speed[0],
        read_bytes_per_s=speed[1],
        requests_ms=latency,
    )


class _Prober:
    """Makes the objects of one check, and remembers them."""

    def __init__(self, medium: Medium, prefix: str, rounds: int) -> None:
        self._medium = medium
        self._prefix = prefix
        self._rounds = rounds
        self._names = {f"{prefix}/first", f"{prefix}/large"}

    def questions(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Each promise, and how it is tried."""
        yield "what was written is read back at once", self.reads_after_writes
        yield "an object that is replaced is the new one for every reader", self.replaces
        yield "of racing writers exactly one creates", self.races
        yield "a taken name is left alone", self.creates_once
        yield "readers see whole objects only", self.is_atomic
        yield "ranges are exact, and what is not there is refused", self.ranges
        yield "unusual names are kept apart", self.unusual_names
        yield "what is absent or deleted is said to be", self.deletes

    def asked(self, promise: str, question: Callable[[], str]) -> Finding:
        """Try one promise; only what a person must change first ends the whole check."""
        try:
            return Finding(promise=promise, verdict=Verdict.KEPT, found=question())
        except _BrokenError as broken:
            return Finding(promise=promise, verdict=Verdict.BROKEN, found=str(broken))
        except (NotFound, IntegrityError) as error:
            return Finding(promise=promise, verdict=Verdict.BROKEN, found=error.message)

    def name(self, base: str) -> str:
        """A name below the check's prefix."""
        name = f"{self._prefix}/{base}"
        self._names.add(name)
        return name

    def reads_after_writes(self) -> str:
        for number in range(self._rounds):
            name, body = self.name(f"fresh/{number}"), os.urandom(1000)
            self._medium.put(name, [body[:10], body[10:]])
            _expect(self._medium.head(name) == len(body), f"no head of {name} right after its write")
            _expect(self._medium.get(name) == body, f"other bytes in {name} right after its write")
        return f"{self._rounds} times"

    def replaces(self) -> str:
        name = self.name("replaced")
        for number in range(self._rounds):
            body = b"%d" % number * (number + 1)
            self._medium.put(name, [body])
            _expect(self._medium.get(name) == body, "an older object was read after it was replaced")
        return f"{self._rounds} times"

    def races(self) -> str:
        for number in range(self._rounds):
            name = self.name(f"race/{number}")
            barrier = threading.Barrier(_WRITERS)

            def write(writer: int, name: str = name, barrier: threading.Barrier = barrier) -> PutOutcome:
                barrier.wait()
                return self._medium.put_if_absent(name, [b"%d" % writer * 1000])

            with ThreadPoolExecutor(_WRITERS) as pool:
                outcomes = list(pool.map(write, range(_WRITERS)))
            winners = [writer for writer, outcome in enumerate(outcomes) if outcome is PutOutcome.CREATED]
            _expect(
                len(winners) == 1, f"{len(winners)} of {_WRITERS} racing writers were told that they created"
            )
            _expect(
                self._medium.get(name) == b"%d" % winners[0] * 1000, "the winner's bytes were overwritten"
            )
        return f"{_WRITERS} writers, {self._rounds} times"

    def creates_once(self) -> str:
        name = self.name("once")
        self._medium.put_if_absent(name, [b"first"])
        outcome = self._medium.put_if_absent(name, [b"second"])
        _expect(outcome is PutOutcome.EXISTS, "a second writer was told that it created")
        _expect(self._medium.get(name) == b"first", "a create-only write replaced an object")
        return "a second write is refused"

    def is_atomic(self) -> str:
        name, size = self.name("atomic"), 1 << 20
        bodies = [bytes([letter]) * size for letter in b"ab"]
        self._medium.put(name, [bodies[0]])
        done = threading.Event()

        def write() -> None:
            try:
                for number in range(self._rounds):
                    self._medium.put(name, [bodies[(number + 1) % 2]])
            finally:
                done.set()

        reads = 0
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            while not done.is_set() or not reads:
                _expect(self._medium.get(name) in bodies, "a reader saw a part of a write")
                reads += 1
            writing.result()
        return f"{reads} reads during {self._rounds} writes"

    def ranges(self) -> str:
        name, body = self.name("ranges"), os.urandom(100_000)
        self._medium.put(name, [body])
        for start, end in (
            (0, 1),
            (1, 2),
            (99_999, 100_000),
            (5, 90_000),
            (0, 100_000),
            (70_000, None),
            (100_000, None),
        ):
            _expect(self._medium.get(name, start, end) == body[start:end], f"other bytes in [{start}, {end})")
        for start, end in ((0, 100_001), (99_999, 100_001), (100_001, None)):
            try:
                self._medium.get(name, start, end)
            except IntegrityError:
                continue
            raise _BrokenError(f"bytes [{start}, {end}) of an object of 100000 were given")
        return "first, last, middle and beyond"

    def unusual_names(self) -> str:
        names = [self.name(f"names/{base}") for base in _NAMES]
        for name in names:
            self._medium.put(name, [name.encode()])
        for name in names:
            _expect(self._medium.get(name) == name.encode(), f"{name!r} is another name here")
        listed = {name for name, _ in self._medium.list(f"{self._prefix}/names/")}
        _expect(
            listed <= set(names),
            f"a listing shows names that nobody wrote: {sorted(listed - set(names))[:3]}",
        )
        return f"{len(names)} of them; a fresh listing shows {len(listed)}"

    def deletes(self) -> str:
        name = self.name("deleted")
        _expect(self._medium.head(name) is None, "an object that nobody wrote has a head")
        self._medium.put(name, [b"x"])
        _expect(self._medium.delete(name), "an object was there, and is said not to have been")
        _expect(self._medium.head(name) is None, "an object is there after it was deleted")
        _expect(not self._medium.delete(name), "an object was deleted twice")
        return "a deleted object is gone at once"

    def tidy(self) -> None:
        """Remove what the check made; a listing may not show all of it."""
        with contextlib.suppress(GitMLError), ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(self._medium.delete, sorted(self._names)))


def _expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001, it reads as a sentence
    if not holds:
        raise _BrokenError(otherwise)


def _speed(medium: Medium, name: str, size_bytes: int) -> tuple[int, int]:
    """Bytes each second that one writer and one reader get."""
    body = os.urandom(size_bytes)
    began_s = time.perf_counter()
    medium.put(name, [body])
    wrote_s = time.perf_counter()
    medium.get(name)
    read_s = time.perf_counter()
    return int(size_bytes / (wrote_s - began_s)), int(size_bytes / (read_s - wrote_s))


def _latency(medium: Medium, name: str) -> float:
    times = []
    for _ in range(9):
        began_s = time.perf_counter()
        medium.head(name)
        times.append((time.perf_counter() - began_s) * 1000)
    return round(sorted(times)[4], 3)


def _left_over(medium: Medium, prefix: str) -> Finding:
    left = sorted(name for name, _ in medium.list(prefix + "/"))
    return Finding(
        promise="nothing of this check is left",
        verdict=Verdict.NOTED,
        found=f"{len(left)} objects below {prefix}/" if left else "all of it was removed",
    )
