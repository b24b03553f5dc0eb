"""A medium in memory: for tests, and the plainest statement of the contract."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

from gitml.errors import IntegrityError, NotFound
from gitml.store.media.medium import Buffers, PutOutcome, check_object_name

_numbers = count(1)


class MemoryMedium:
    """Objects in a dictionary; gone with the process."""

    def __init__(self) -> None:
        self._url = f"memory:{next(_numbers)}"
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """A name that no other medium of this process has."""
        return self._url

    def head(self, name: str) -> int | None:
        check_object_name(name)
        body = self._objects.get(name)
        return None if body is None else len(body)

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        check_object_name(name)
        body = self._objects.get(name)
        if body is None:
            raise NotFound(
                f"{self.url} has no object {name}", code="object-missing", context={"object": name}
            )
        stop = len(body) if end is None else end
        if not start <= stop <= len(body):
            raise IntegrityError(
                f"{name} in {self.url} has {len(body)} bytes, {start} to {stop} were asked for",
                code="object-short",
                context={"object": name},
            )
        return body[start:stop]

    def put(self, name: str, body: Buffers) -> None:
        check_object_name(name)
        self._objects[name] = b"".join(body)

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        check_object_name(name)
        joined = b"".join(body)
        with self._lock:
            if name in self._objects:
                return PutOutcome.EXISTS
            self._objects[name] = joined
            return PutOutcome.CREATED

    def delete(self, name: str) -> bool:
        check_object_name(name)
        return self._objects.pop(name, None) is not None

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        for name, body in sorted(self._objects.items()):
            if name.startswith(prefix):
                yield name, len(body)
