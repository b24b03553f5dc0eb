"""What the writer writes can be read from the description of the format alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from support import independent_reader
from support.trees import fetched, in_folder, opened, stored, streamed

from gitml.store.formats.root import encode_root
from gitml.store.media.folder import FolderMedium

SIZES = [0, 1, 100, 16383, 16384, 16385, 65536, 65537, 262144, 262145, 700_000]
PARTS = st.sampled_from(["a", "b", "a-b", "ä", "z.txt", "data", "日本", "with space", "%41", "~"])


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    tree: dict[str, bytes] = {}
    contents: list[bytes] = []
    for number in range(draw(st.integers(1, 12))):
        folder = "/".join(draw(st.lists(PARTS, max_size=2)))
        path = f"{folder}/{number}" if folder else f"f{number}"
        if contents and draw(st.integers(0, 3)) == 0:
            body = draw(st.sampled_from(contents))
        else:
            size = draw(st.sampled_from(SIZES))
            kind = draw(st.sampled_from(["random", "zeros", "text"]))
            seed = draw(st.integers(0, 5))
            body = make(kind, size, seed)
        contents.append(body)
        tree[path] = body
    return tree


def make(kind: str, size: int, seed: int) -> bytes:
    import random

    if kind == "zeros":
        return bytes(size)
    if kind == "text":
        return (b"a line of text %d\n" % seed * (size // 10 + 1))[:size]
    return random.Random(seed * 1_000_003 + size).randbytes(size)


def rebuilt(store: Path, root: bytes, folder: Path) -> dict[str, bytes]:
    (folder / "root.json").write_bytes(root)
    return dict(independent_reader.files(store, folder / "root.json"))


@settings(max_examples=40)
@given(tree=trees())
def test_every_reader_returns_what_was_written(tree: dict[str, bytes], tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("s")
    store, root = stored(tree, FolderMedium(folder / "store"))
    assert rebuilt(folder / "store", encode_root(root), folder) == tree
    assert fetched(store.tree(root)) == tree
    assert streamed(store.tree(root)) == tree
    assert opened(store.tree(root)) == tree


@settings(max_examples=15)
@given(first=trees(), second=trees())
def test_a_later_version_that_shares_chunks_reads_the_same(first, second, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("s")
    medium = FolderMedium(folder / "store")
    _, earlier = stored(first, medium)
    both = {**first, **second}
    store, root = stored(both, medium, earlier=[earlier])
    assert rebuilt(folder / "store", encode_root(root), folder) == both
    assert fetched(store.tree(root)) == both


def test_files_over_several_packs(tmp_path: Path) -> None:
    big = make("random", 80 << 20, 1)
    tree = {
        "big": big,
        "a/small": b"x",
        "later": big[5 << 20 : 40 << 20] + b"changed",
        "z": make("random", 9, 2),
    }
    store, root = stored(tree, FolderMedium(tmp_path / "store"))
    assert fetched(store.tree(root)) == tree
    assert streamed(store.tree(root)) == tree
    assert rebuilt(tmp_path / "store", encode_root(root), tmp_path) == tree
    edited = {**tree, "big": big[: 30 << 20] + b"inserted" + big[30 << 20 :]}
    store, newer = stored(edited, FolderMedium(tmp_path / "store"), earlier=[root])
    assert fetched(store.tree(newer)) == edited
    assert streamed(store.tree(newer)) == edited


def test_it_rebuilds_a_version_as_a_program_and_imports_nothing_of_gitml(tmp_path: Path) -> None:
    tree = {"a/b": b"1" * 70_000, "empty": b"", "c": b"2"}
    _, root = stored(tree, FolderMedium(tmp_path / "store"))
    (tmp_path / "root.json").write_bytes(encode_root(root))
    program = Path(independent_reader.__file__)
    subprocess.run(
        [sys.executable, "-I", program, tmp_path / "store", tmp_path / "root.json", tmp_path / "out"],
        check=True,
    )
    assert in_folder(tmp_path / "out") == tree
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(program.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        )
    }
    assert "gitml" not in imported
