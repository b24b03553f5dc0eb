"""Several actors, one at a time, in an order that a seed decides: the same seed gives the same run."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from gitml.store.media.medium import Buffers, Medium, PutOutcome


class Schedule:
    """Runs actors that hand over at each `pause`; how long one goes on at a time differs from seed to seed.

    Args:
        seed: Decides the order.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.trace: list[str] = []
        self._patience = self.random.choice([0.0, 0.3, 0.7, 0.9, 0.97])
        self._turns: dict[str, threading.Semaphore] = {}
        self._back = threading.Semaphore(0)
        self._local = threading.local()
        self._errors: list[BaseException] = []

    def run(self, actors: Mapping[str, Callable[[], None]]) -> None:
        """Run them all to their ends; raises what one of them raised."""
        self._turns = {name: threading.Semaphore(0) for name in actors}
        threads = [
            threading.Thread(target=self._act, args=(name, act), daemon=True) for name, act in actors.items()
        ]
        for thread in threads:
            thread.start()
        current: str | None = None
        while self._turns:
            if current not in self._turns or self.random.random() >= self._patience:
                current = self.random.choice(sorted(self._turns))
            self._turns[current].release()
            self._back.acquire()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _act(self, name: str, act: Callable[[], None]) -> None:
        self._local.name = name
        self._turns[name].acquire()
        try:
            act()
        except BaseException as error:
            self._errors.append(error)
        finally:
            del self._turns[name]
            self._back.release()

    def pause(self, what: str) -> None:
        """Let others go on; in a thread that is no actor, go on at once."""
        name = getattr(self._local, "name", None)
        if name is None:
            return
        turn = self._turns[name]
        self._back.release()
        turn.acquire()
        self.trace.append(f"{name}: {what}")


class PausingMedium:
    """A medium that lets others go on before each call."""

    def __init__(self, medium: Medium, schedule: Schedule) -> None:
        self.medium = medium
        self._schedule = schedule

    @property
    def url(self) -> str:
        return self.medium.url

    def head(self, name: str) -> int | None:
        self._schedule.pause(f"head {name}")
        return self.medium.head(name)

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        self._schedule.pause(f"get {name}")
        return self.medium.get(name, start, end)

    def put(self, name: str, body: Buffers) -> None:
        self._schedule.pause(f"put {name}")
        self.medium.put(name, body)

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        self._schedule.pause(f"create {name}")
        return self.medium.put_if_absent(name, body)

    def delete(self, name: str) -> bool:
        self._schedule.pause(f"delete {name}")
        return self.medium.delete(name)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        self._schedule.pause(f"list {prefix}")
        return iter(list(self.medium.list(prefix)))


class InlinePool:
    """Stands in for a pool of threads: each task runs where it is submitted, so that an actor is one thread."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> InlinePool:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, run: Callable[..., Any], *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(run(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def map(self, run: Callable[..., Any], *items: Any) -> Iterator[Any]:
        return map(run, *items)

    def shutdown(self, **_: Any) -> None:
        pass
