"""Writing and reading objects that are named by their bytes, over any medium."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from gitml.errors import NotFound, OutcomeUnknown, StoreUnavailable
from gitml.store.media import layout
from gitml.store.media.medium import Buffers, Medium, PutOutcome, body_size

_ATTEMPTS = 3


class CountedMedium:
    """A medium that counts the calls and the bytes that one operation sends."""

    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self._lock = threading.Lock()
        self.requests = 0
        self.stored_bytes = 0

    @property
    def url(self) -> str:
        """Where the medium is."""
        return self._medium.url

    def _count(self, stored_bytes: int = 0) -> None:
        with self._lock:
            self.requests += 1
            self.stored_bytes += stored_bytes

    def head(self, name: str) -> int | None:
        self._count()
        return self._medium.head(name)

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        self._count()
        return self._medium.get(name, start, end)

    def put(self, name: str, body: Buffers) -> None:
        self._count(body_size(body))
        self._medium.put(name, body)

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        outcome = self._medium.put_if_absent(name, body)
        self._count(body_size(body) if outcome is PutOutcome.CREATED else 0)
        return outcome

    def delete(self, name: str) -> bool:
        self._count()
        return self._medium.delete(name)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        self._count()
        return self._medium.list(prefix)


def put_named(medium: Medium, name: str, body: Buffers) -> None:
    """Make sure that an object named by its bytes is there, whole and durable.

    One that exists counts only with the size it must have; otherwise it is replaced. A lost reply is
    resolved by looking.

    Raises:
        OutcomeUnknown: A reply was lost, and the look failed too.
    """
    size = body_size(body)
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            if medium.put_if_absent(name, body) is PutOutcome.EXISTS and medium.head(name) != size:
                medium.put(name, body)
            return
        except OutcomeUnknown as unknown:
            try:
                is_there = medium.head(name) == size
            except StoreUnavailable:
                raise unknown from None
            if is_there:
                return
            if not attempts_left:
                raise


def condemned_names(medium: Medium) -> frozenset[str]:
    """Names of objects that collections of garbage found dead: one name on each line of a run's file."""
    names: set[str] = set()
    for run, _ in medium.list(layout.CONDEMNED):
        with contextlib.suppress(NotFound):
            names.update(medium.get(run).decode().split())
    return frozenset(names)
