"""Walking a user's folders: order, refusals, and files that change under the reader."""

from __future__ import annotations

import errno
import os
import socket
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.store import lay_out

from gitml.errors import AccessDenied, Conflict, GitMLError, InvalidInput, NotFound
from gitml.store.write.diskfile import BLOCK_BYTES
from gitml.store.write.source import FolderSource, SourceFile


def read(source: FolderSource) -> dict[str, bytes]:
    return {file.path: b"".join(file.blocks()) for file in source.files()}


def only(source: FolderSource) -> SourceFile:
    (file,) = source.files()
    return file


def test_contents_of_a_folder(tmp_path: Path) -> None:
    contents = {"b.txt": b"2", "a/x": b"", "a/y/z": b"1" * 9, ".hidden": b"h", "a-": b"-", "a.b": b"."}
    source = FolderSource([lay_out(tmp_path, contents)])
    assert source.totals() == (6, sum(map(len, contents.values())))
    assert list(read(source)) == sorted(contents, key=str.encode)
    assert read(source) == contents


_PART = st.text(st.sampled_from("ab-./0Zé中😀".replace("/", "")), min_size=1, max_size=3).filter(
    lambda part: part not in (".", "..")
)


@given(st.sets(st.lists(_PART, min_size=1, max_size=3).map("/".join), min_size=1, max_size=15))
def test_order_is_that_of_bytes(tmp_path_factory: pytest.TempPathFactory, paths: set[str]) -> None:
    folder = tmp_path_factory.mktemp("walk")
    made: set[str] = set()
    for path in paths:
        file = folder / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        made.add(path)
    walked = [file.path for file in FolderSource([folder]).files()]
    assert walked == sorted(made, key=str.encode)


def test_files_and_folders_together(tmp_path: Path) -> None:
    lay_out(tmp_path, {"one/weights.bin": b"w", "two/x/y": b"y", "notes.md": b"n"})
    source = FolderSource([tmp_path / "notes.md", tmp_path / "one/weights.bin", tmp_path / "two"])
    assert read(source) == {"notes.md": b"n", "weights.bin": b"w", "x/y": b"y"}


def test_colliding_paths(tmp_path: Path) -> None:
    lay_out(tmp_path, {"one/a": b"1", "two/a": b"2"})
    with pytest.raises(InvalidInput) as caught:
        FolderSource([tmp_path / "one", tmp_path / "two"]).totals()
    assert caught.value.code == "path-collision"
    assert "one/a" in caught.value.message
    assert "two/a" in caught.value.message


def test_the_same_path_twice_is_one(tmp_path: Path) -> None:
    lay_out(tmp_path, {"one/a": b"1"})
    assert read(FolderSource([tmp_path / "one/a", tmp_path / "one/a"])) == {"a": b"1"}


@pytest.mark.parametrize("contents", [{}, {"sub/": b""}])
def test_empty_trees_are_refused(tmp_path: Path, contents: dict[str, bytes]) -> None:
    for name in contents:
        (tmp_path / name).mkdir()
    with pytest.raises(InvalidInput) as caught:
        FolderSource([tmp_path]).totals()
    assert caught.value.code == "empty-tree"


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        FolderSource([tmp_path / "nowhere"]).totals()


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind(str(path))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (os.mkfifo, "FIFO"),
        (_socket, "socket"),
        (lambda path: path.symlink_to("a"), "symbolic link"),
        (lambda path: path.symlink_to("/nowhere"), "symbolic link"),
    ],
)
def test_irregular_files_are_refused_by_name(tmp_path: Path, make: Callable[[Path], None], word: str) -> None:
    lay_out(tmp_path, {"a": b"1", "sub/b": b"2"})
    make(tmp_path / "sub/odd")
    with pytest.raises(InvalidInput, match="sub/odd") as caught:
        FolderSource([tmp_path]).totals()
    assert word in caught.value.message


def test_faults_are_collected(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a": b"1"})
    for number in range(5):
        os.mkfifo(tmp_path / f"fifo{number}")
    with pytest.raises(InvalidInput) as caught:
        FolderSource([tmp_path]).totals()
    assert all(f"fifo{number}" in caught.value.message for number in range(5))
    assert len(caught.value.context["faults"]) == 5


def test_collecting_ends(tmp_path: Path) -> None:
    for number in range(100):
        os.mkfifo(tmp_path / f"fifo{number}")
    with pytest.raises(InvalidInput, match="perhaps more") as caught:
        FolderSource([tmp_path]).totals()
    assert len(caught.value.context["faults"]) == 20


def test_following_links(tmp_path: Path) -> None:
    lay_out(tmp_path, {"outside/x": b"x", "outside/y/z": b"z", "top/a": b"a"})
    (tmp_path / "top/file").symlink_to(tmp_path / "outside/x")
    (tmp_path / "top/folder").symlink_to(tmp_path / "outside")
    source = FolderSource([tmp_path / "top"], follow_links=True)
    assert read(source) == {"a": b"a", "file": b"x", "folder/x": b"x", "folder/y/z": b"z"}


def test_following_links_in_circles(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a/b": b"1"})
    (tmp_path / "a/up").symlink_to(tmp_path)
    with pytest.raises(InvalidInput, match="lies in"):
        FolderSource([tmp_path], follow_links=True).totals()


def test_following_a_link_to_nowhere(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a": b"1"})
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="leads nowhere"):
        FolderSource([tmp_path], follow_links=True).totals()


@pytest.mark.parametrize(
    "names",
    [
        ["asset.yaml"],
        ["Asset.YAML"],
        ["about.yaml"],
        [".git"],
        [".GitIgnore"],
        ["a\nb"],
        ["a\\b"],
        ["a\x7fb"],
        [unicodedata.normalize("NFD", "é")],
        ["Readme", "README"],
        ["straße", "STRASSE"],
    ],
)
def test_names_are_refused(tmp_path: Path, names: list[str]) -> None:
    lay_out(tmp_path, dict.fromkeys(names, b""))
    with pytest.raises(InvalidInput):
        FolderSource([tmp_path]).totals()


def test_git_folder_at_the_top(tmp_path: Path) -> None:
    lay_out(tmp_path, {".git/config": b"", "a": b"1"})
    with pytest.raises(InvalidInput):
        FolderSource([tmp_path]).totals()


def test_reserved_names_are_fine_below_the_top(tmp_path: Path) -> None:
    lay_out(tmp_path, {"sub/asset.yaml": b"", "sub/.gitignore": b""})
    assert list(read(FolderSource([tmp_path]))) == ["sub/.gitignore", "sub/asset.yaml"]


def test_folders_that_differ_by_case(tmp_path: Path) -> None:
    lay_out(tmp_path, {"Sub/a": b"", "sub/b": b""})
    with pytest.raises(InvalidInput, match="case"):
        FolderSource([tmp_path]).totals()


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff\xfe")).write_bytes(b"")
    with pytest.raises(InvalidInput) as caught:
        FolderSource([tmp_path]).totals()
    caught.value.message.encode()


def test_warnings(tmp_path: Path) -> None:
    lay_out(tmp_path, {"run.sh": b"", "aux.txt": b"", "plain": b""})
    (tmp_path / "run.sh").chmod(0o755)
    source = FolderSource([tmp_path])
    for _ in range(2):
        source.totals()
        assert len(source.warnings) == 2
    assert "executable" in " ".join(source.warnings)
    assert "Windows" in " ".join(source.warnings)


def test_many_warnings_are_counted(tmp_path: Path) -> None:
    lay_out(tmp_path, {f"com1.{number}": b"" for number in range(50)})
    source = FolderSource([tmp_path])
    source.totals()
    assert len(source.warnings) == 21
    assert "30 more" in source.warnings[-1]


def _grow(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"more")


def _touch(file: Path) -> None:
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def _swap(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


def _fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


CHANGES = [_grow, _touch, lambda file: os.truncate(file, 3), lambda file: file.unlink(), _swap, _fifo]


@pytest.mark.parametrize("change", CHANGES)
def test_change_before_reading(tmp_path: Path, change: Callable[[Path], None]) -> None:
    lay_out(tmp_path, {"a": b"12345"})
    file = only(FolderSource([tmp_path]))
    change(tmp_path / "a")
    with pytest.raises(Conflict, match="changed while it was read"):
        list(file.blocks())


@pytest.mark.parametrize("change", CHANGES[:3])
def test_change_while_reading(tmp_path: Path, change: Callable[[Path], None]) -> None:
    with (tmp_path / "big").open("wb") as stream:
        stream.truncate(BLOCK_BYTES + 10)
    blocks = only(FolderSource([tmp_path])).blocks()
    assert len(next(blocks)) == BLOCK_BYTES
    change(tmp_path / "big")
    with pytest.raises(Conflict):
        list(blocks)


def test_what_changes_the_bytes_of_no_file_is_no_change(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a": b"12345"})
    file = only(FolderSource([tmp_path]))
    (tmp_path / "a").chmod(0o600)
    assert b"".join(file.blocks()) == b"12345"


def test_change_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path, {"a": b"12345"})
    file = only(FolderSource([tmp_path]))
    real = os.read

    def read_then_change(handle: int, size: int) -> bytes:
        data = real(handle, size)
        (tmp_path / "a").write_bytes(b"54321")
        return data

    monkeypatch.setattr(os, "read", read_then_change)
    with pytest.raises(Conflict):
        list(file.blocks())


def test_blocks(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(2 * BLOCK_BYTES + 1)
    assert [len(block) for block in only(FolderSource([tmp_path])).blocks()] == [BLOCK_BYTES, BLOCK_BYTES, 1]


@pytest.mark.parametrize("call", ["open", "scandir"])
def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    lay_out(tmp_path, {"sub/a": b"1"})
    file = only(FolderSource([tmp_path]))
    real = getattr(os, call)

    def refuse(path: Any, *args: Any, **kwargs: Any) -> Any:
        if str(path).endswith(("sub/a", "sub")):
            raise OSError(errno.EACCES, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(AccessDenied, match="sub"):
        list(file.blocks()) if call == "open" else FolderSource([tmp_path]).totals()


def test_faults_of_reading_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path, {"a": b"1"})
    file = only(FolderSource([tmp_path]))

    def fail(*args: Any) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "read", fail)
    with pytest.raises(GitMLError, match="'a'"):
        list(file.blocks())
