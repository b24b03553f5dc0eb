"""The stat cache: what it vouches for, what it survives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trees import digest

from gitml.store.place.filecache import FileCache
from gitml.store.place.placing import scan
from gitml.store.read.entries import Entries, FileEntry


def recorded(folder: Path, files: dict[str, bytes], cache_file: Path) -> FileCache:
    cache = FileCache(cache_file)
    for path, contents in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(contents)
        cache.place(path, (folder / path).stat(), digest(contents), ours=True)
    return cache


def test_an_edit_within_the_same_tick_is_always_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    file = folder / "a"
    for _ in range(1000):
        cache = recorded(folder, {"a": b"one"}, tmp_path / "cache")
        cache.save()
        stat = file.stat()
        with file.open("r+b") as stream:
            stream.write(b"two")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert scan(folder, FileCache.load(tmp_path / "cache")).modified == ("a",)
        assert scan(folder, FileCache.load(tmp_path / "cache")).modified == ("a",)


def test_an_edit_that_leaves_no_trace_in_the_stat_is_noticed_if_the_entry_is_racy(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    cache = recorded(folder, {"a": b"one"}, tmp_path / "cache")
    stat = (folder / "a").stat()
    cache.save(stat.st_ctime_ns)  # written in the same tick as the file
    (folder / "a").write_bytes(b"two")
    loaded = FileCache.load(tmp_path / "cache")
    assert not loaded.vouches("a", stat)
    cache = recorded(folder, {"a": b"one"}, tmp_path / "cache")
    stat = (folder / "a").stat()
    cache.save(stat.st_ctime_ns + 1)
    assert FileCache.load(tmp_path / "cache").vouches("a", stat)


def test_a_new_stamp_does_not_vouch_for_racy_rows_that_nobody_looked_at(tmp_path: Path) -> None:
    cache = recorded(tmp_path, {"a": b"1", "b": b"1"}, tmp_path / "cache")
    stat = (tmp_path / "a").stat()
    cache.save(stat.st_ctime_ns)
    later = FileCache.load(tmp_path / "cache")
    later.observe("b", (tmp_path / "b").stat(), digest(b"1"))
    later.save(2**62)
    loaded = FileCache.load(tmp_path / "cache")
    assert not loaded.vouches("a", stat)
    assert loaded.vouches("b", (tmp_path / "b").stat())


def test_no_contents_are_opened_once_entries_are_older_than_the_cache(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    recorded(folder, {f"d{n % 3}/{n}": b"%d" % n for n in range(50)}, tmp_path / "cache")
    cache = FileCache(tmp_path / "cache")
    for file in folder.rglob("*"):
        if file.is_file():
            cache.place(
                file.relative_to(folder).as_posix(), file.stat(), b"x" * 32, ours=True
            )  # no digest of theirs
    cache.save(2**62)
    state = scan(folder, FileCache.load(tmp_path / "cache"))
    assert (state.unchanged, state.modified, state.missing, state.untracked) == (50, (), (), ())


def test_scan_tells_modified_missing_and_untracked(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    recorded(
        folder, dict.fromkeys(("a", "b", "d/c", "d/e", "gone/x", "k"), b"123"), tmp_path / "cache"
    ).save()
    (folder / "a").write_bytes(b"1234")
    (folder / "b").write_bytes(b"124")
    (folder / "d/c").unlink()
    (folder / "d/c").symlink_to("e")
    (folder / "gone/x").unlink()
    (folder / "k").unlink()
    (folder / "k").mkdir()
    (folder / "new").write_bytes(b"")
    (folder / "other/deep").mkdir(parents=True)
    (folder / "other/deep/file").write_bytes(b"")
    (folder / "asset.yaml").write_bytes(b"")
    for _ in range(2):
        state = scan(folder, FileCache.load(tmp_path / "cache"), ignore=["asset.yaml"])
        assert state.unchanged == 1
        assert state.modified == ("a", "b", "d/c", "k")
        assert state.missing == ("gone/x",)
        assert state.untracked == ("k/", "new", "other/")


def test_a_file_that_was_changed_back_is_unchanged(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    recorded(folder, {"a": b"123"}, tmp_path / "cache").save()
    for contents, modified in (
        (b"321", ("a",)),
        (b"123", ()),
        (b"444", ("a",)),
        (b"4", ("a",)),
        (b"123", ()),
    ):
        (folder / "a").write_bytes(contents)
        assert scan(folder, FileCache.load(tmp_path / "cache")).modified == modified
        assert FileCache.load(tmp_path / "cache").expected("a") == digest(b"123")


def test_a_missing_folder_misses_everything(tmp_path: Path) -> None:
    recorded(tmp_path / "f", {"a": b"1", "d/b": b"2"}, tmp_path / "cache").save()
    state = scan(tmp_path / "nowhere", FileCache.load(tmp_path / "cache"))
    assert state.missing == ("a", "d/b")


def test_a_damaged_cache_is_an_empty_one(tmp_path: Path) -> None:
    file = tmp_path / "cache"
    recorded(tmp_path / "f", {"a": b"1", "b": b"2"}, file).save()
    body = file.read_bytes()
    assert len(FileCache.load(file)) == 2
    for at in range(len(body)):
        file.write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
        assert len(FileCache.load(file)) == 0
        file.write_bytes(body[:at])
        assert len(FileCache.load(file)) == 0
    assert len(FileCache.load(tmp_path / "none")) == 0
    assert len(FileCache.load(tmp_path)) == 0


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = recorded(tmp_path / "f", {"a": b"1"}, tmp_path / "file" / "cache")
    cache.save()
    assert cache.now_ns() == 0


@pytest.mark.parametrize("ours", [True, False])
def test_only_what_gitml_wrote_may_be_replaced(tmp_path: Path, ours: bool) -> None:
    (tmp_path / "a").write_bytes(b"1")
    cache = FileCache(tmp_path / "cache")
    cache.place("a", (tmp_path / "a").stat(), digest(b"1"), ours=ours)
    cache.observe("a", (tmp_path / "a").stat(), digest(b"2"))
    cache.save()
    loaded = FileCache.load(tmp_path / "cache")
    assert loaded.may_replace("a", digest(b"1")) is ours
    assert loaded.wrote("a") is ours
    assert not loaded.may_replace("a", digest(b"2"))
    assert not loaded.may_replace("b", digest(b"1"))


@given(
    operations=st.lists(
        st.tuples(st.sampled_from("pof"), st.sampled_from("abc"), st.integers(0, 3), st.booleans()),
        max_size=25,
    )
)
def test_it_remembers_across_saves_what_a_dictionary_remembers(operations, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("c")
    (folder / "x").write_bytes(b"")
    stat = (folder / "x").stat()
    cache, model = FileCache(folder / "cache"), {}
    for what, path, value, flag in operations:
        body = digest(b"%d" % value)
        if what == "p":
            cache.place(path, stat, body, ours=flag)
            model[path] = [body, body, flag]
        elif what == "o":
            cache.observe(path, stat, body)
            if path in model:
                model[path][1] = body
        else:
            cache.forget(path)
            model.pop(path, None)
        if flag:
            cache.save(2**62)
            cache = FileCache.load(folder / "cache")
    assert {p: [cache.expected(p), cache.wrote(p), cache.is_right(p)] for p in cache.paths()} == {
        path: [expected, ours, expected == found] for path, (expected, found, ours) in model.items()
    }
    assert len(cache) == len(model)


def test_what_is_intended_is_known_again_after_a_kill_until_it_is_settled(tmp_path: Path) -> None:
    files = [FileEntry(path=path, size_bytes=1, digest=digest(path.encode())) for path in ("a", "b", "c/d")]
    cache = FileCache(tmp_path / "cache")
    cache.intend(Entries(files[:1]))
    cache.intend(Entries(files[1:]))
    cache.save()
    again = FileCache.load(tmp_path / "cache")
    for known in (cache, again):
        assert sorted(known.paths()) == ["a", "b", "c/d"]
        assert all(known.wrote(file.path) and known.may_replace(file.path, file.digest) for file in files)
        assert not known.may_replace("a", digest(b"b")) and not known.wrote("c")
    again.forget("b")
    again.settle()
    again.save()
    assert not list(FileCache.load(tmp_path / "cache").paths())


@given(
    st.lists(st.tuples(st.text(max_size=5), st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32)))
)
def test_entries_are_a_list(rows: list[tuple[str, int, bytes]]) -> None:
    files = [FileEntry(path=path, size_bytes=size, digest=sha) for path, size, sha in rows]
    entries = Entries(files)
    assert list(entries) == files and entries[1:] == files[1:] and bool(entries) == bool(files)
    assert not files or entries[-1] == files[-1]
    assert entries.size_bytes == sum(size for _, size, _ in rows)
