"""Memory and decisions of the writer."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.store import key
from support.trees import DictSource

from gitml.store.formats.pack import Footer, PackRef, decode_footer, encode_footer
from gitml.store.media.medium import Buffers, PutOutcome
from gitml.store.media.memory import MemoryMedium
from gitml.store.store import Store
from gitml.store.write import listing
from gitml.store.write.dedup import KnownChunks, PackWindow
from gitml.store.write.source import SourceFile
from gitml.store.write.writer import Probe

_MEASURED = """
import random, sys
from pathlib import Path
sys.path.insert(0, "tests")
from support.store import key
from gitml.store.media.folder import FolderMedium
from gitml.store.write.source import FolderSource
from gitml.store.store import Store
folder, store = Path(sys.argv[1]), Store(FolderMedium(sys.argv[2]))
store.claim(key(), store.write(FolderSource([folder])))
changed = folder / "big"
with changed.open("r+b") as stream:
    for at in range(0, changed.stat().st_size, 8 << 20):
        stream.seek(at)
        stream.write(random.randbytes(1000))
store.claim(key("2"), store.write(FolderSource([folder]), earlier=[store.root(key())]))
# Not by getrusage, which counts what the process that started this one took.
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""


def measured(folder: Path, size_bytes: int) -> int:
    """Peak memory in MB of two versions of a file of that size, which changes in many places."""
    (folder / "in").mkdir(parents=True)
    with (folder / "in/big").open("wb") as stream:
        for seed in range(size_bytes >> 24):
            stream.write(random.Random(seed).randbytes(1 << 24))
    shown = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(folder / "in"), str(folder / "store")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return int(json.loads(shown.stdout))


def test_memory_is_flat(tmp_path: Path) -> None:
    small, large = measured(tmp_path / "s", 128 << 20), measured(tmp_path / "l", 512 << 20)
    assert large < 200
    assert large - small <= 20


@dataclass(frozen=True)
class _Slow:
    """A file that takes its time, and notes who waits for it."""

    path: str
    seconds: float
    readers: list[str]
    size_bytes: int = 8
    digest: bytes | None = None

    def blocks(self) -> Iterator[memoryview]:
        self.readers.append(threading.current_thread().name)
        time.sleep(self.seconds)
        yield memoryview(self.path.encode().ljust(self.size_bytes))


class _Slowly(DictSource):
    def __init__(self, count: int, seconds: float) -> None:
        super().__init__({f"{number:03}": b" " * 8 for number in range(count)})
        self._seconds = seconds
        self.readers: list[str] = []

    def files(self) -> Iterator[Any]:
        return (_Slow(path, self._seconds, self.readers) for path in sorted(self.tree))


def test_files_that_must_be_waited_for_are_read_side_by_side() -> None:
    source = _Slowly(300, 0.002)
    root = Store(MemoryMedium(), jobs=4).write(source).root
    here = source.readers.count(threading.current_thread().name)
    assert root.files == 300
    assert here <= 9, "a few files of each batch tell"
    assert len(set(source.readers)) > 2


def test_files_that_are_there_at_once_are_read_by_the_one_who_asks() -> None:
    source = _Slowly(300, 0)
    Store(MemoryMedium(), jobs=4).write(source)
    assert source.readers.count(threading.current_thread().name) > 3


@dataclass(frozen=True, slots=True)
class _Made:
    """A file that exists as long as it is on its way."""

    path: str
    data: bytes
    digest: bytes | None = None

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def blocks(self) -> Iterator[memoryview]:
        yield memoryview(self.data)


class _Counted:
    """Files of given sizes, over and over, and how many were on their way at most."""

    warnings: tuple[str, ...] = ()

    def __init__(self, files: int, sizes: tuple[int, ...]) -> None:
        self._files, self._sizes = files, sizes
        self._away = self.most = 0

    def totals(self) -> None:
        return None

    def files(self) -> Iterator[SourceFile]:
        for number in range(self._files):
            self._away += 1
            self.most = max(self.most, self._away)
            size = self._sizes[number % len(self._sizes)]
            yield _Made(f"{number:06}", random.Random(number).randbytes(size))

    def learn(self, file: SourceFile, digest: bytes) -> None:
        self._away -= 1


class _Parts(MemoryMedium):
    """Notes of how many parts each pack is made."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[int] = []

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        if name.startswith("packs/"):
            self.parts.append(len(body))
        return super().put_if_absent(name, body)


def test_few_of_many_small_files_are_in_memory() -> None:
    """Their names and stats take more room than their bytes; as chunks they are objects no more."""
    source, medium = _Counted(10_000, (100,)), _Parts()
    store = Store(medium)
    store.claim(key(), store.write(source))  # type: ignore[arg-type]
    assert source.most <= 5_000
    assert medium.parts and max(medium.parts) <= 3


def test_small_chunks_are_gathered_in_the_order_of_the_files() -> None:
    store, source = Store(MemoryMedium()), _Counted(400, (10, 60_000, 4_096, 9, 4_097))
    store.claim(key(), store.write(source))  # type: ignore[arg-type]
    tree = store.tree(store.root(key()))
    read = {entry.path: b"".join(parts) for entry, parts in tree.stream(tree.entries())}
    assert read == {file.path: b"".join(file.blocks()) for file in source.files()}


class _Late(MemoryMedium):
    """Takes its time for packs."""

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        if name.startswith("packs/"):
            time.sleep(0.05)
        return super().put_if_absent(name, body)


@pytest.mark.parametrize("kind", [MemoryMedium, _Late])
def test_few_new_files_keep_no_long_list_waiting(
    kind: type[MemoryMedium], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would never fill a pack; when one is sent on its way does not depend on how long others take."""
    monkeypatch.setattr(listing, "SEGMENT_LIMIT_ENTRIES", 50)
    monkeypatch.setattr(listing, "_WAITING_ENTRIES", 200)
    medium = kind()
    store = Store(medium)
    first = {f"{number:05}": b"%d" % number for number in range(2_000)}
    store.claim(key(), store.write(DictSource(first)))
    known = {name for name, _ in medium.list("packs/")}
    second = first | {f"{number:05}": b"new %d" % number for number in range(0, 2_000, 40)}
    written = store.write(DictSource(second), earlier=[store.root(key())])
    store.claim(key("2"), written)
    packs = {name for name, _ in medium.list("packs/")} - known
    assert written.stats.packs == len(packs) == 8, "one for 250 files each"
    tree = store.tree(store.root(key("2")))
    assert {entry.path: b"".join(parts) for entry, parts in tree.stream(tree.entries())} == second


def test_segments_that_the_store_has_wait_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SEGMENT_LIMIT_ENTRIES", 50)
    monkeypatch.setattr(listing, "_WAITING_ENTRIES", 200)
    store = Store(MemoryMedium())
    first = {f"{number:05}": b"%d" % number for number in range(2_000)}
    store.claim(key(), store.write(DictSource(first)))
    second = first | {"00000": b"new", "01999": b"newer"}
    written = store.write(DictSource(second), earlier=[store.root(key())])
    store.claim(key("2"), written)
    assert (written.stats.packs, written.stats.segments) == (1, 2)
    tree = store.tree(store.root(key("2")))
    assert {entry.path: b"".join(parts) for entry, parts in tree.stream(tree.entries())} == second


def test_probes() -> None:
    probe = Probe()
    assert [number for number in range(100) if probe.is_due()] == [0, 1, 3, 7, 15, 31, 63]


def test_known_chunks_are_bounded() -> None:
    known = KnownChunks(limit=100)
    ids = [number.to_bytes(32, "big") for number in range(1000)]
    for number, chunk_id in enumerate(ids):
        known.add(chunk_id, number)
    found = [number for number, chunk_id in enumerate(ids) if known.get(chunk_id) is not None]
    assert 50 <= len(found) <= 100
    assert found[-1] == 999
    assert all(known.get(ids[number]) == number for number in found)


def _pack(first: int, chunks: int) -> tuple[PackRef, Footer]:
    ids = b"".join(number.to_bytes(32, "big") for number in range(first, first + chunks))
    stored = encode_footer(ids, [1] * chunks, [1] * chunks, bytes(chunks))
    ref = PackRef(id=stored.id, size_bytes=chunks + len(stored.data) + 12, footer_bytes=len(stored.data))
    return ref, decode_footer(stored.data, stored.id, "it")


@pytest.mark.parametrize("gone", [set(), {3}])
def test_a_window_moves_with_its_matches(gone: set[int]) -> None:
    packs = [_pack(number * 20_000, 20_000) for number in range(12)]
    read: list[int] = []

    def footer(pack: PackRef) -> Footer | None:
        number = next(n for n, (ref, _) in enumerate(packs) if ref == pack)
        read.append(number)
        return None if number in gone else packs[number][1]

    window = PackWindow([ref for ref, _ in packs], footer)
    assert window.find(b"?" * 32) is None
    assert len(read) <= 5
    for number in range(0, 240_000, 1_000):
        hit = window.find(number.to_bytes(32, "big"))
        expected = None if number // 20_000 in gone else (packs[number // 20_000][0], number % 20_000)
        assert hit == expected
    assert read == list(range(12))


@pytest.mark.parametrize("each", [1_000, 12_000], ids=["all fit", "more than fit"])
def test_a_window_goes_back_to_what_a_growing_file_left_behind(each: int) -> None:
    """Each version put something into the middle and something at the end, and both into one pack."""
    packs = [_pack(number * each, each) for number in range(7)]
    first, *late, last = [range(number * each, (number + 1) * each) for number in range(7)]
    wanted = list(first[:100])
    for number, pack in enumerate(late):
        wanted += [*pack[:10], *first[100 * (number + 1) : 100 * (number + 2)]]
    wanted += [*last, *(chunk for pack in late[-2:] for chunk in pack[10:20])]
    window = PackWindow([ref for ref, _ in packs], lambda ref: dict(packs)[ref])
    missed = [chunk for chunk in wanted if window.find(chunk.to_bytes(32, "big")) is None]
    assert not missed


def test_known_chunks_are_what_a_dictionary_would_know() -> None:
    """Ids that begin alike share slots; only equal ids are the same chunk."""
    known, plain = KnownChunks(limit=8_000), {}
    for number in range(3_000):
        chunk_id = bytes([number % 251, 0, 0, 0]) + hashlib.sha256(str(number % 2_700).encode()).digest()[4:]
        known.add(chunk_id, number << 16)
        plain[chunk_id] = number << 16
    assert all(known.get(chunk_id) == place for chunk_id, place in plain.items())
    assert known.get(bytes(32)) is None
