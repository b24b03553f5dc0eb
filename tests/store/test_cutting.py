"""What a bulk read wants of a pack is what it was told, however the files lie in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.trees import fetched, stored

from gitml.store.formats.pack import PackRef
from gitml.store.read.cutting import PackWork


@st.composite
def wanted(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    """Runs of which many begin where the last one ends."""
    runs, number, end = [], 0, 0
    for _ in range(draw(st.integers(0, 12))):
        number += draw(st.sampled_from([1, 1, 2]))
        first, chunks = end + draw(st.sampled_from([0, 0, 3])), draw(st.sampled_from([1, 1, 2]))
        runs.append((number, draw(st.integers(0, 1)), first, chunks))
        end = first + chunks
    return runs


@given(runs=wanted())
def test_pieces_give_back_each_run(runs: list[tuple[int, int, int, int]]) -> None:
    work = PackWork(PackRef(id=bytes(32), size_bytes=1, footer_bytes=1))
    for run in runs:
        work.add(*run)
    assert list(work.wanted()) == runs


def test_a_first_run_after_a_later_one_of_another_file() -> None:
    text = [(b"a line of text %d\n" % number * 20_000)[:262_145] for number in range(2)]
    tree = {"f0": text[0], "f1": text[1], "f2": text[1]}
    store, root = stored(tree)
    assert fetched(store.tree(root)) == tree
