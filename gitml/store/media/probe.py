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
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from gitml.errors import (
    GitMLError,
    IntegrityError,
    NotFound,
    OutcomeUnknown,
    StoreUnavailable,
)
from gitml.model.progress import SILENT, Progress
from gitml.store.media.capabilities import Capabilities, Finding, Verdict
from gitml.store.media.folder import FolderMedium
from gitml.store.media.medium import Buffers, Medium, PutOutcome, body_size

_WRITERS: Final = 8
_ROUNDS: Final = 10
_SPEED_BYTES: Final = 32 << 20
_FIRST_SPEED_BYTES: Final = 1 << 20
_SPEED_S: Final = 2.0
_REFUSED_NAMES: Final = {"ENAMETOOLONG", "EILSEQ", "EINVAL", "ENOTSUP"}
_NAMES: Final = (
    "plain", "with space", "plus+percent%20", "ümlaut", "日本語", "e\u0301", "a=b&c=d", "quote'\"", "UPPER", "upper",
    "n" * 200, "#hash?query", "tilde~", "[brackets]{}", "+",
)  # fmt: skip


class _BrokenError(Exception):
    """A promise is not kept; the text says what was seen."""


def check(
    medium: Medium,
    *,
    rounds: int = _ROUNDS,
    speed_bytes: int = _SPEED_BYTES,
    progress: Progress = SILENT,
) -> Capabilities:
    """Ask a medium everything that a store relies on.

    What it writes is removed again, also when it is stopped on the way.

    Args:
        medium: The place; it may hold a store already, which is left alone.
        rounds: How often writers race.
        speed_bytes: Largest object that the speed is measured with; 0 measures none.
        progress: Told which promise is tried, and of the bytes that move.

    Raises:
        AccessDenied, StoreUnavailable, NoSpace: The place cannot be used at all.
    """
    watched = _Watched(medium, progress)
    made = _missing_folders(medium)
    prober = _Prober(watched, f"check/{secrets.token_hex(8)}", rounds)
    try:
        prober.begin()
        findings = [prober.asked(promise, question) for promise, question in prober.questions()]
        with _working(progress, "its speed"):
            speed = _speed(watched, prober.name("large"), speed_bytes) if speed_bytes else (0, 0)
            latency = _latency(watched, prober.name("first"))
    finally:
        with _working(progress, "removing what was written"):
            if not prober.tidy(medium):
                progress.note(f"objects of this check may be left below {prober.prefix}/ in {medium.url}")
            _remove_if_empty(made)
    findings += [_left_over(medium, prober.prefix), _power_cut(medium)]
    return Capabilities(
        url=medium.url,
        usable=all(finding.verdict is not Verdict.BROKEN for finding in findings),
        findings=tuple(findings),
        write_bytes_per_s=speed[0],
        read_bytes_per_s=speed[1],
        requests_ms=latency,
    )


@contextlib.contextmanager
def _working(progress: Progress, what: str) -> Iterator[None]:
    progress.begin(f"check: {what}")
    try:
        yield
    finally:
        progress.end()


class _Watched:
    """A medium that tells how many bytes moved."""

    def __init__(self, medium: Medium, progress: Progress) -> None:
        self._medium = medium
        self.progress = progress
        self.url = medium.url
        self.head = medium.head
        self.delete = medium.delete
        self.list = medium.list

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        body = self._medium.get(name, start, end)
        self.progress.advance(size_bytes=len(body))
        return body

    def put(self, name: str, body: Buffers) -> None:
        self._medium.put(name, body)
        self.progress.advance(size_bytes=body_size(body))

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        outcome = self._medium.put_if_absent(name, body)
        self.progress.advance(size_bytes=body_size(body))
        return outcome


class _Prober:
    """Makes the objects of one check, and remembers them."""

    def __init__(self, medium: _Watched, prefix: str, rounds: int) -> None:
        self._medium = medium
        self.prefix = prefix
        self._rounds = rounds
        self._names: set[str] = set()

    def begin(self) -> None:
        """Write for the first time: whoever may not, or cannot reach the place, learns it here in plain words."""
        name = self.name("first")
        try:
            with _working(self._medium.progress, "the first write"):
                self._medium.put(name, [b"first"])
        except OutcomeUnknown:
            raise
        except GitMLError:
            self._names.clear()  # nothing is there, and asking again would take as long as this did
            raise

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
            with _working(self._medium.progress, promise):
                return Finding(promise=promise, verdict=Verdict.KEPT, found=question())
        except _BrokenError as broken:
            return Finding(promise=promise, verdict=Verdict.BROKEN, found=str(broken))
        except (NotFound, IntegrityError) as error:
            return Finding(promise=promise, verdict=Verdict.BROKEN, found=error.message)
        except StoreUnavailable as error:
            if error.code != "call-refused" and error.context.get("errno") not in _REFUSED_NAMES:
                raise
            return Finding(promise=promise, verdict=Verdict.BROKEN, found=error.message)

    def name(self, base: str) -> str:
        """A name below the check's prefix."""
        name = f"{self.prefix}/{base}"
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
                try:
                    outcomes = list(pool.map(write, range(_WRITERS)))
                except BaseException:
                    barrier.abort()  # some may be waiting for others that never began
                    raise
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
        return f"reads during {self._rounds} writes: {reads}"

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
        listed = {name for name, _ in self._medium.list(f"{self.prefix}/names/")}
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

    def tidy(self, medium: Medium) -> bool:
        """Remove what the check made; a listing may not show all of it.

        Returns:
            Whether all of it could be removed.
        """
        try:
            with ThreadPoolExecutor(_WRITERS) as pool:
                list(pool.map(self._medium.delete, sorted(self._names)))
        except GitMLError:
            return False
        finally:
            if isinstance(medium, FolderMedium):
                _remove_folders(medium.path, self.prefix)
        return True


def _missing_folders(medium: Medium) -> list[Path]:
    """What a write to a folder would make above it, the innermost first."""
    if not isinstance(medium, FolderMedium):
        return []
    return [path for path in (medium.path, *medium.path.parents) if not path.exists()]


def _remove_if_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _remove_folders(path: Path, prefix: str) -> None:
    """Remove the empty folders that objects of a prefix leave behind."""
    inside = [Path(folder) for folder, _, _ in os.walk(path / prefix, topdown=False)]
    _remove_if_empty([*inside, (path / prefix).parent])


def _expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001, it reads as a sentence
    if not holds:
        raise _BrokenError(otherwise)


def _speed(medium: Medium, name: str, size_bytes: int) -> tuple[int, int]:
    """Bytes each second that one writer and one reader get; a slow place is asked for less."""
    first = min(size_bytes, _FIRST_SPEED_BYTES)
    write, read = _transfer(medium, name, first)
    size = min(size_bytes, int(min(write, read) * _SPEED_S))
    return _transfer(medium, name, size) if size > first else (write, read)


def _transfer(medium: Medium, name: str, size_bytes: int) -> tuple[int, int]:
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


def _power_cut(medium: Medium) -> Finding:
    if isinstance(medium, FolderMedium):
        found = "cannot be tried from here; every write is flushed (fsync) before it is acknowledged"
    else:
        found = "cannot be tried from here; the server's word is taken for it"
    return Finding(promise="what was acknowledged survives a power cut", verdict=Verdict.NOTED, found=found)
