"""Lists that go to a file when they get long: the same items come back, in the same order."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.store.place.filecache import Row
from gitml.store.place.planning import Replacement
from gitml.store.read import spool
from gitml.store.read.entries import FileEntry
from gitml.store.read.spool import Sorter, Spool


class Item(msgspec.Struct, array_like=True):
    number: int


@given(count=st.integers(0, 200), block=st.integers(1, 7), most=st.integers(1, 30), at_once=st.booleans())
def test_a_spool_is_a_list(count: int, block: int, most: int, at_once: bool) -> None:
    items = [Item(number) for number in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "_BLOCK_ITEMS", block)
        patch.setattr(spool, "_MOST_ITEMS", most)
        patch.setattr(spool, "_KEPT_BLOCKS", 2)
        found = Spool(Item, items if at_once else ())
        for item in () if at_once else items:
            found.append(item)
        assert list(found) == list(found) == items
        assert len(found) == count and bool(found) == bool(items)
        for number in random.Random(count).sample(range(count), count):
            assert found[number] == items[number] == found[number - count]
        assert found[3:50:2] == items[3:50:2]


@given(numbers=st.lists(st.integers(0, 50)), most=st.integers(1, 10))
def test_a_sorter_sorts(numbers: list[int], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "_BLOCK_ITEMS", 3)
        patch.setattr(spool, "_MOST_ITEMS", most)
        found = Sorter(Item, lambda item: item.number)
        for number in numbers:
            found.add(Item(number))
        assert [item.number for item in found] == [item.number for item in found] == sorted(numbers)


def test_threads_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_BLOCK_ITEMS", 5)
    monkeypatch.setattr(spool, "_MOST_ITEMS", 50)
    items, found = Spool(Item, map(Item, range(1000))), Sorter(Item, lambda item: item.number)

    def work(first: int) -> None:
        for number in range(first, 1000, 4):
            found.add(items[(number * 7) % 1000])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert [item.number for item in found] == list(range(1000))


def test_what_is_not_in_memory_lies_where_it_was_told_and_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_MOST_ITEMS", 512)
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "made" / "here", tmp_path / "file"):
        assert list(Spool(Item, map(Item, range(2000)), folder=folder)) == list(map(Item, range(2000)))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "here", "made"]


def test_a_file_and_what_it_replaces_come_back_from_one_spool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_MOST_ITEMS", 1)
    monkeypatch.setattr(spool, "_BLOCK_ITEMS", 1)
    plain = FileEntry(path="a", size_bytes=1, digest=b"d" * 32)
    over = Replacement(path="b", size_bytes=2, digest=b"e" * 32, prior=(1, 2, 3, 2**64 - 1))
    found: Spool[FileEntry] = Spool(Replacement, [plain, over, plain])
    assert [getattr(entry, "prior", None) for entry in found] == [None, (1, 2, 3, 2**64 - 1), None]
    assert [(entry.path, entry.size_bytes, entry.digest) for entry in found] == [
        (entry.path, entry.size_bytes, entry.digest) for entry in (plain, over, plain)
    ]
    rows = [Row("a", 1, 2, 3, 2**64 - 1, b"d" * 32, True, b"f" * 32, b"p" * 32), Row("b")]
    assert list(Spool(Row, rows)) == rows
