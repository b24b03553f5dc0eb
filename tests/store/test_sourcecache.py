"""A file that did not change is not opened again; one that did is never missed."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import pytest
from support.store import lay_out

from gitml.store.media.memory import MemoryMedium
from gitml.store.store import Root, Store
from gitml.store.write.source import FolderSource
from gitml.store.write.sourcecache import SourceCache

FILES = {f"d{n % 7}/f{n:04}.bin": bytes([n % 251]) * (n + 1) for n in range(400)}


def settle(folder: Path) -> None:
    """Make everything look an hour old, as far as a program can: ctime follows the clock."""
    for path in folder.rglob("*"):
        os.utime(path, ns=(1_600_000_000_000_000_000, 1_600_000_000_000_000_000))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that the source opened."""
    found: list[str] = []
    real = os.open

    def spy(path: str, *arguments: object, **options: object) -> int:
        if isinstance(path, str) and path.endswith(".bin"):
            found.append(Path(path).name)
        return real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("gitml.store.write.source.os.open", spy)
    return found


class Writer:
    def __init__(self, base: Path) -> None:
        self.folder, self.notes = base / "data", base / "notes"
        self.store = Store(MemoryMedium())
        self.roots: list[Root] = []

    def write(self) -> Root:
        cache = SourceCache(self.notes)
        written = self.store.write(FolderSource([self.folder], cache=cache), earlier=self.roots[-1:])
        cache.keep()
        self.roots.append(written.root)
        return written.root


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    lay_out(tmp_path / "data", FILES)
    return Writer(tmp_path)


def wait_for_the_clock(folder: Path) -> None:
    """Until a new file is younger than the folder's files: one tick of the file system's clock."""
    probe = folder.parent / "probe"
    youngest = max(path.stat().st_ctime_ns for path in folder.rglob("*"))
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_mtime_ns > youngest:
            return
        probe.unlink()


def test_only_what_changed_is_opened(writer: Writer, opened: list[str]) -> None:
    wait_for_the_clock(writer.folder)
    first = writer.write()
    assert len(opened) == len(FILES)
    opened.clear()
    assert writer.write().tree == first.tree and opened == []
    (writer.folder / "d3/f0003.bin").write_bytes(b"new")
    (writer.folder / "d0/f0007.bin").unlink()
    (writer.folder / "d6/zzz.bin").write_bytes(b"added")
    changed = writer.write()
    assert sorted(opened) == ["f0003.bin", "zzz.bin"]
    fresh = Store(MemoryMedium()).write(FolderSource([writer.folder]))
    assert changed.tree == fresh.root.tree and changed.listing == fresh.root.listing


def test_a_change_that_keeps_size_and_mtime_is_seen(writer: Writer) -> None:
    settle(writer.folder)
    wait_for_the_clock(writer.folder)
    first = writer.write()
    target = writer.folder / "d3/f0003.bin"
    before = target.stat()
    target.write_bytes(b"\xff" * before.st_size)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert target.stat().st_mtime_ns == before.st_mtime_ns
    assert writer.write().tree != first.tree


def test_a_change_in_the_same_tick_is_seen(writer: Writer) -> None:
    target = writer.folder / "d0/f0000.bin"
    for number in range(40):
        target.write_bytes(number.to_bytes(4, "big"))
        seen = writer.write()
        target.write_bytes((number + 1000).to_bytes(4, "big"))
        assert writer.write().tree != seen.tree


def test_damaged_notes_count_for_nothing(writer: Writer) -> None:
    wait_for_the_clock(writer.folder)
    first = writer.write()
    notes = writer.notes.read_bytes()
    random_ = random.Random(7)
    for _ in range(60):
        damaged = bytearray(notes)
        damaged[random_.randrange(len(damaged))] ^= 1 << random_.randrange(8)
        writer.notes.write_bytes(damaged[: random_.choice([len(damaged), random_.randrange(len(damaged))])])
        assert writer.write().tree == first.tree
    writer.notes.write_bytes(b"")
    assert writer.write().tree == first.tree


def test_nothing_is_left_beside_the_notes(writer: Writer) -> None:
    writer.write()
    cache = SourceCache(writer.notes)
    source = FolderSource([writer.folder], cache=cache)
    source.totals()
    next(iter(source.files()))
    cache.discard()
    assert sorted(path.name for path in writer.notes.parent.iterdir()) == ["data", "notes"]


def test_an_earlier_tree_that_is_gone_does_not_matter(writer: Writer) -> None:
    wait_for_the_clock(writer.folder)
    first = writer.write()
    writer.roots.clear()
    writer.store = Store(MemoryMedium())
    assert writer.write().tree == first.tree
    assert {entry.path for entry in writer.store.tree(writer.roots[-1]).entries()} == set(FILES)


def test_a_walk_that_broke_off_leaves_the_notes_of_what_it_did_not_reach(tmp_path: Path) -> None:
    lay_out(tmp_path / "data", {"a": b"1", "b": b"2", "c": b"3"})
    stats = {name: (tmp_path / "data" / name).stat() for name in "abc"}
    cache = SourceCache(tmp_path / "notes", margin_ns=-(10**15))  # all is long ago
    cache.begin()
    for name in "abc":
        cache.note(name, stats[name], name.encode() * 32)
    cache.keep()
    cache.begin()
    assert cache.known("a", stats["a"]) == b"a" * 32
    cache.note("a", stats["a"], b"n" * 32)
    cache.keep(whole=False)
    cache.begin()
    assert [cache.known(name, stats[name]) for name in "abc"] == [b"n" * 32, b"b" * 32, b"c" * 32]
    cache.keep()
    cache.begin()
    assert [cache.known(name, stats[name]) for name in "abc"] == [None] * 3
    cache.discard()


def test_files_of_another_file_system_are_noted_only_with_a_margin(tmp_path: Path) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system")
    with tempfile.NamedTemporaryFile(dir=shared) as file:
        status = os.fstat(file.fileno())
        for margin_ns, expected in ((None, None), (-(10**15), b"d" * 32), (10**15, None)):
            cache = SourceCache(tmp_path / f"notes{margin_ns}", margin_ns=margin_ns)
            cache.begin()
            cache.note("a", status, b"d" * 32)
            cache.keep()
            cache.begin()
            assert cache.known("a", status) == expected
            cache.discard()
