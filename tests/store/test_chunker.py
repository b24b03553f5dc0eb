"""Cut points: frozen, bounded, and independent of how a file is read."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.store import noise

from gitml.store.formats.chunker import (
    AVERAGE_BYTES,
    MAXIMUM_BYTES,
    MINIMUM_BYTES,
    ONE_CHUNK_BYTES,
    Cutter,
    cut,
)

DATA = noise(3_000_000, seed=7)


def in_blocks(data: bytes, sizes: list[int]) -> list[bytes]:
    cutter, chunks, position = Cutter(), [], 0
    view = memoryview(data)
    for size in sizes:
        chunks += map(bytes, cutter.feed(view[position : position + size]))
        position += size
    chunks += map(bytes, cutter.feed(view[position:]))
    return chunks + [bytes(chunk) for chunk in cutter.finish()]


def test_parameters_are_frozen() -> None:
    assert (AVERAGE_BYTES, MINIMUM_BYTES, MAXIMUM_BYTES, ONE_CHUNK_BYTES) == (65_536, 16_384, 262_144, 65_536)


def test_golden_cut_points() -> None:
    lengths = [len(chunk) for chunk in cut(memoryview(DATA))]
    assert hashlib.sha256(DATA).hexdigest()[:16] == GOLDEN_DATA
    assert lengths == GOLDEN_LENGTHS


def test_golden_cut_points_of_zeros() -> None:
    assert {len(chunk) for chunk in cut(memoryview(bytes(1 << 20)))} == {MAXIMUM_BYTES}


@pytest.mark.parametrize("size", [0, 1, 16_384, 65_535, 65_536])
def test_small_files_are_one_chunk(size: int) -> None:
    assert [len(chunk) for chunk in cut(memoryview(DATA[:size]))] == ([size] if size else [])


@given(
    st.lists(st.integers(0, 700_000), max_size=12),
    st.integers(65_537, len(DATA)),
)
def test_blocks_do_not_matter(sizes: list[int], length: int) -> None:
    data = DATA[:length]
    whole = [bytes(chunk) for chunk in cut(memoryview(data))]
    assert in_blocks(data, sizes) == whole
    assert b"".join(whole) == data
    assert all(MINIMUM_BYTES <= len(chunk) <= MAXIMUM_BYTES for chunk in whole[:-1])


def test_tiny_blocks() -> None:
    data = DATA[:400_000]
    assert in_blocks(data, [1000] * 400) == [bytes(chunk) for chunk in cut(memoryview(data))]


def test_an_insertion_changes_few_chunks() -> None:
    before = {bytes(chunk) for chunk in cut(memoryview(DATA))}
    changed = DATA[:1_500_000] + noise(10_000, seed=8) + DATA[1_500_000:]
    new = [chunk for chunk in cut(memoryview(changed)) if bytes(chunk) not in before]
    assert 1 <= len(new) <= 4


GOLDEN_DATA = "eaee34640ca7ca9d"
GOLDEN_LENGTHS = [
    111090,
    67285,
    86090,
    221300,
    99418,
    125415,
    134887,
    71542,
    103858,
    23090,
    68825,
    20923,
    79423,
    158135,
    103863,
    76821,
    101063,
    73676,
    39272,
    30761,
    25000,
    52551,
    68290,
    90019,
    115229,
    76245,
    72832,
    72444,
    78903,
    90430,
    65203,
    96811,
    79355,
    104718,
    64616,
    50617,
]
