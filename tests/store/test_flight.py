"""How many packs are on their way at a time: a far medium gets several, and waiting for it holds nothing else up."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.proxy import Harm, Proxy, Rule
from support.remote import place
from support.store import key

from gitml.errors import StoreUnavailable
from gitml.store.media.medium import Buffers, Flight, PutOutcome
from gitml.store.media.memory import MemoryMedium
from gitml.store.store import Store
from gitml.store.write import packing
from gitml.store.write.source import FolderSource

PACK_BYTES = 1 << 20
PATIENCE_S = 20
GRACE_S = 0.1


class Far(MemoryMedium):
    """Answers for a pack when `together` of them are asked for at the same time, and one more had time to come."""

    def __init__(self, flight: Flight, together: int = 1) -> None:
        super().__init__()
        self.flight = flight
        self.together = together
        self.most = 0
        self._waiting = 0
        self._changed = threading.Condition()

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        if name.startswith("packs/"):
            with self._changed:
                self._waiting += 1
                self.most = max(self.most, self._waiting)
                self._changed.notify_all()
                enough = self._changed.wait_for(lambda: self.most >= self.together, PATIENCE_S)
                self._changed.wait_for(lambda: self.most > self.together, GRACE_S)
                self._waiting -= 1
            assert enough, f"no more than {self.most} at a time"
        return super().get(name, start, end)


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PACK_BYTES", PACK_BYTES)


def contents(folder: Path, packs: int) -> Path:
    folder.mkdir()
    for number in range(packs * 4):
        (folder / f"{number:03}").write_bytes(random.Random(number).randbytes(PACK_BYTES // 4))
    return folder


class Nowhere:
    def whole(self, entry: object, parts: object) -> None:
        pass


@pytest.mark.parametrize("packs", [2, 4])
def test_far_packs_come_together(packs: int, tmp_path: Path) -> None:
    flight = Flight(reading_bytes=packs * (PACK_BYTES + (64 << 10)))
    medium = Far(flight, together=packs)
    store = Store(medium, jobs=8)
    root = store.claim(key(), store.write(FolderSource([contents(tmp_path / "in", 8)]))).root
    tree = store.tree(root)
    tree.fetch(tree.entries(), Nowhere())  # type: ignore[arg-type]
    assert medium.most == packs, "as many as fit, and no more"


class Held(MemoryMedium):
    """Gives the third pack only when a file of an earlier one was handed over."""

    flight = Flight(reading_bytes=1 << 30, loaders=4)

    def __init__(self) -> None:
        super().__init__()
        self.handed_over = threading.Event()
        self.asked = 0
        self._lock = threading.Lock()

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        if name.startswith("packs/"):
            with self._lock:
                self.asked += 1
                number = self.asked
            if number > 2:
                assert self.handed_over.wait(PATIENCE_S), "the first files wait for all packs"
        return super().get(name, start, end)

    def whole(self, entry: object, parts: object) -> None:
        self.handed_over.set()


class Busy(Held):
    """Works on its first file until all other packs were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.handed_over.set()

    def whole(self, entry: object, parts: object) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.asked < 6 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert self.asked == 6, "no pack travels while files are written"


@pytest.mark.parametrize("kind", [Held, Busy])
@pytest.mark.parametrize("jobs", [1, 3])
def test_packs_travel_while_files_are_written(kind: type[Held], jobs: int, tmp_path: Path) -> None:
    medium = kind()
    store = Store(medium, jobs=jobs)
    root = store.claim(key(), store.write(FolderSource([contents(tmp_path / "in", 6)]))).root
    tree = store.tree(root)
    tree.fetch(tree.entries(), medium)  # type: ignore[arg-type]
    assert medium.asked == 6


class Broken(Held):
    """Has lost its last pack."""

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        self.handed_over.set()
        data = super().get(name, start, end)
        if self.asked == 6:
            raise StoreUnavailable("it is away")
        return data


def test_a_pack_that_does_not_come_ends_the_whole_read(tmp_path: Path) -> None:
    medium = Broken()
    store = Store(medium, jobs=2)
    root = store.claim(key(), store.write(FolderSource([contents(tmp_path / "in", 8)]))).root
    tree = store.tree(root)
    before = threading.active_count()
    with pytest.raises(StoreUnavailable, match="it is away"):
        tree.fetch(tree.entries(), medium)  # type: ignore[arg-type]
    assert threading.active_count() == before


class Patient(MemoryMedium):
    """Takes a pack when all files have been read."""

    def __init__(self) -> None:
        super().__init__()
        self.flight = Flight(writing_bytes=1 << 30)
        self.all_read = threading.Event()

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        if name.startswith("packs/"):
            assert self.all_read.wait(PATIENCE_S), "reading waits for the network"
        return super().put_if_absent(name, body)


@dataclass
class Told:
    """A source that tells when it has given its last file away."""

    source: FolderSource
    last: threading.Event

    @property
    def warnings(self) -> list[str]:
        return self.source.warnings

    def totals(self) -> tuple[int, int]:
        return self.source.totals()

    def files(self) -> Iterator[object]:
        yield from self.source.files()
        self.last.set()


def test_waiting_for_the_network_keeps_nobody_from_hashing(tmp_path: Path) -> None:
    medium = Patient()
    source = Told(FolderSource([contents(tmp_path / "in", 60)]), medium.all_read)
    store = Store(medium, jobs=1)
    written = store.write(source)  # type: ignore[arg-type]
    assert written.stats.packs == 60


def test_a_body_is_let_go_with_its_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is remembered until somebody collects garbage; the pack that was to be sent is not."""
    there = place("moto", monkeypatch)
    block = bytearray(random.Random(1).randbytes(8 << 20))
    gc.disable()
    try:
        with Proxy(there.port, Rule(Harm.RESET_IN_BODY, b"PUT", strikes=2)) as proxy:
            there.at(proxy.port).open().put("packs/aa/aa", [block])
        assert is_free(block)
    finally:
        gc.enable()


def test_a_broken_upload_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    aborted = pytest.importorskip("gitml.store.media.aborted")
    import aiohttp

    async def fails(error: Exception) -> None:
        raise error

    async def unheard() -> None:
        tasks = [
            asyncio.create_task(fails(error)) for error in (aiohttp.ClientConnectionResetError(), KeyError())
        ]
        await asyncio.wait(tasks)
        del tasks
        gc.collect()

    aborted.hush()
    asyncio.run(unheard())
    told = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [type(error) for error in told] == [KeyError]


def is_free(block: bytearray) -> bool:
    """Whether nobody looks at these bytes any more, at once or when the loop had its turn."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            block.append(0)  # refused while there are views
        except BufferError:
            time.sleep(0.01)
        else:
            return True
    return False
