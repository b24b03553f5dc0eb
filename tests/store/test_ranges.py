"""How many bytes are fetched of a file that is read in parts."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from support.trees import LABEL, CountingMedium

from gitml.store.formats.root import Root
from gitml.store.media.folder import FolderMedium
from gitml.store.media.medium import Medium
from gitml.store.read.reader import TreeReader
from gitml.store.store import Store
from gitml.store.write.source import FolderSource

COLUMNS = 16
WANTED = ["c3", "c11"]


class WeighingMedium(CountingMedium):
    """Also knows how many bytes it gave."""

    def __init__(self, medium: Medium) -> None:
        super().__init__(medium)
        self.fetched_bytes = 0

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        data = super().get(name, start, end)
        self.fetched_bytes += len(data)
        return data


def table(path: Path, size_bytes: int, group_bytes: int) -> None:
    """A Parquet file of columns that hold noise."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = group_bytes // (8 * COLUMNS)
    schema = pa.schema([(f"c{n}", pa.int64()) for n in range(COLUMNS)])
    draw = random.Random(5)
    with parquet.ParquetWriter(path, schema, use_dictionary=False, compression="snappy") as writer:
        for _ in range(size_bytes // group_bytes):
            columns = [pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(draw.randbytes(8 * rows))])
                       for _ in range(COLUMNS)]  # fmt: skip
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=rows)


def opened(folder: Path, name: str) -> tuple[WeighingMedium, io.RawIOBase]:
    """A file of a store whose bytes are weighed, with nothing known of it."""
    store = Store(FolderMedium(folder / "store"))
    root: Root = store.write(FolderSource([folder / name])).root
    weighing = WeighingMedium(store.medium)
    return weighing, TreeReader(weighing, root, label=LABEL).open(name)


def read_columns(path: Path, how: str, handle: io.RawIOBase) -> None:
    """Read two columns, as users do, and compare them."""
    parquet = pytest.importorskip("pyarrow.parquet")
    wanted = parquet.read_table(path, columns=WANTED)
    if how == "by group":
        reader = parquet.ParquetFile(handle)
        for number in range(reader.num_row_groups):
            part = reader.read_row_group(number, columns=WANTED)
            assert part.equals(wanted.slice(number * part.num_rows, part.num_rows))
    elif how == "in steps":
        reader = parquet.ParquetFile(handle, buffer_size=1 << 16)
        assert reader.read(columns=WANTED).equals(wanted)
    else:
        reader = parquet.ParquetFile(handle, pre_buffer=how == "ahead")
        assert reader.read(columns=WANTED).equals(wanted)


@pytest.mark.parametrize("how", ["at once", "ahead", "by group", "in steps"])
def test_two_columns_of_a_parquet_file(tmp_path: Path, how: str) -> None:
    """Sixteen columns, groups of rows as Parquet's writers make them by default for so few columns."""
    table(tmp_path / "t.parquet", 64 << 20, 64 << 20)
    weighing, handle = opened(tmp_path, "t.parquet")
    read_columns(tmp_path / "t.parquet", how, handle)
    assert weighing.fetched_bytes <= 1.3 * (64 << 20) * len(WANTED) / COLUMNS
    assert len(weighing.calls) <= (120 if how == "in steps" else 16)


@pytest.mark.nightly
@pytest.mark.parametrize("how", ["at once", "ahead", "by group", "in steps"])
def test_two_columns_of_a_large_parquet_file(tmp_path: Path, how: str) -> None:
    table(tmp_path / "t.parquet", 1 << 30, 128 << 20)
    weighing, handle = opened(tmp_path, "t.parquet")
    read_columns(tmp_path / "t.parquet", how, handle)
    assert weighing.fetched_bytes <= 1.3 * (1 << 30) * len(WANTED) / COLUMNS


def big(tmp_path: Path, size_bytes: int) -> bytes:
    body = random.Random(9).randbytes(size_bytes)
    (tmp_path / "big").write_bytes(body)
    return body


def test_a_look_at_the_beginning_is_cheap(tmp_path: Path) -> None:
    body = big(tmp_path, 40 << 20)
    weighing, handle = opened(tmp_path, "big")
    assert handle.read(16) == body[:16]
    assert weighing.fetched_bytes < 2 << 20


@pytest.mark.parametrize("step", [1 << 16, 1 << 20, 100 << 20])
def test_reading_on_takes_larger_and_larger_parts(tmp_path: Path, step: int) -> None:
    body = big(tmp_path, 40 << 20)
    weighing, handle = opened(tmp_path, "big")
    assert b"".join(iter(lambda: handle.read(step), b"")) == body
    assert weighing.fetched_bytes < (40 << 20) + (1 << 20)
    assert len(weighing.calls) <= 2 + 2 * 3 + 2


def test_reading_on_after_a_seek_takes_larger_and_larger_parts(tmp_path: Path) -> None:
    body, begin = big(tmp_path, 40 << 20), 5_000_001
    weighing, handle = opened(tmp_path, "big")
    handle.seek(begin)
    for at in range(begin, begin + (20 << 20), 1 << 16):
        assert handle.read(1 << 16) == body[at : at + (1 << 16)]
    assert weighing.fetched_bytes < 1.35 * (20 << 20)
    assert len(weighing.calls) < 40  # a chunk at a time it would be 250


def test_places_here_and_there_cost_their_chunks_alone(tmp_path: Path) -> None:
    body, draw = big(tmp_path, 40 << 20), random.Random(2)
    weighing, handle = opened(tmp_path, "big")
    for _ in range(20):
        at = draw.randrange(len(body) - 100)
        handle.seek(at)
        assert handle.read(100) == body[at : at + 100]
    assert weighing.fetched_bytes < 20 * (2 * 256 << 10)


def many(tmp_path: Path, files: int) -> tuple[WeighingMedium, TreeReader]:
    (tmp_path / "many").mkdir()
    for number in range(files):
        (tmp_path / "many" / f"{number:06}.txt").write_bytes(b"%d\n" % number * 20)
    store = Store(FolderMedium(tmp_path / "store"))
    root = store.write(FolderSource([tmp_path / "many"])).root
    weighing = WeighingMedium(store.medium)
    return weighing, TreeReader(weighing, root, label=LABEL)


@pytest.mark.parametrize("files", [3000, pytest.param(100_000, marks=pytest.mark.nightly)])
def test_one_file_of_many_cold(tmp_path: Path, files: int) -> None:
    """With the root, which is read before, five requests and eight MiB at most."""
    weighing, reader = many(tmp_path, files)
    assert reader.open(f"{files // 3:06}.txt").read() == b"%d\n" % (files // 3) * 20
    assert len(weighing.calls) <= 4
    assert weighing.fetched_bytes < 8 << 20
