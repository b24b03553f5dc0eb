"""The stat cache: what it vouches for, what it survives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.trees import digest

from gitml.store.place import filecache
from gitml.store.place.filecache import FileCache, Row, overlaid, right_row, without
from gitml.store.place.placing import scan
from gitml.store.read import spool


def recorded(folder: Path, files: Mapping[str, bytes], *, ours: bool = True) -> list[Row]:
    """The rows of files that are made now."""
    for path, contents in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(contents)
    return [right_row(path, (folder / path).stat(), digest(files[path]), ours=ours) for path in sorted(files)]


def rows_of(file: Path) -> dict[str, Row]:
    return {row.path: row for row in FileCache.load(file).rows()}


def test_an_edit_within_the_same_tick_is_always_noticed(tmp_path: Path) -> None:
    folder, cache = tmp_path / "f", tmp_path / "cache"
    for _ in range(1000):
        FileCache(cache).save(recorded(folder, {"a": b"one"}))
        file = folder / "a"
        stat = file.stat()
        with file.open("r+b") as stream:
            stream.write(b"two")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert scan(folder, FileCache.load(cache)).modified == ("a",)
        assert scan(folder, FileCache.load(cache)).modified == ("a",)


def test_an_edit_that_leaves_no_trace_in_the_stat_is_noticed_if_the_entry_is_racy(tmp_path: Path) -> None:
    rows = recorded(tmp_path / "f", {"a": b"one"})
    stat = (tmp_path / "f/a").stat()
    FileCache(tmp_path / "cache").save(rows, stat.st_ctime_ns)  # written in the same tick as the file
    assert not rows_of(tmp_path / "cache")["a"].vouches(stat)
    FileCache(tmp_path / "cache").save(rows, stat.st_ctime_ns + 1)
    assert rows_of(tmp_path / "cache")["a"].vouches(stat)


def test_a_new_stamp_does_not_vouch_for_racy_rows_that_nobody_looked_at(tmp_path: Path) -> None:
    rows = recorded(tmp_path, {"a": b"1", "b": b"1"})
    stats = {path: (tmp_path / path).stat() for path in "ab"}
    FileCache(tmp_path / "cache").save(rows, min(stat.st_ctime_ns for stat in stats.values()))
    later = FileCache.load(tmp_path / "cache")
    later.save(overlaid(later.rows(), rows[1:]), 2**62)
    loaded = rows_of(tmp_path / "cache")
    assert not loaded["a"].vouches(stats["a"])
    assert loaded["b"].vouches(stats["b"])


def test_no_contents_are_opened_once_entries_are_older_than_the_cache(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    rows = recorded(folder, {f"d{n % 3}/{n}": b"%d" % n for n in range(50)})
    for row in rows:
        row.digest = b"x" * 32  # no digest of theirs
    FileCache(tmp_path / "cache").save(rows, 2**62)
    state = scan(folder, FileCache.load(tmp_path / "cache"))
    assert (state.unchanged, state.modified, state.missing, state.untracked) == (50, (), (), ())


def test_scan_tells_modified_missing_and_untracked(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    FileCache(tmp_path / "cache").save(
        recorded(folder, dict.fromkeys(("a", "b", "d/c", "d/e", "gone/x", "k"), b"123"))
    )
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
        assert (state.unchanged, state.files) == (1, 6)
        assert state.modified == ("a", "b", "d/c", "k")
        assert state.missing == ("gone/x",)
        assert state.untracked == ("k/", "new", "other/")


NAMES = ["a", "a-b", "a.c", "a0", "\U00010000", "\uffee"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)


@settings(max_examples=150)
@given(
    placed=st.dictionaries(PATHS, st.booleans(), max_size=12),
    others=st.sets(PATHS, max_size=6),
    block=st.integers(1, 3),
)
def test_scan_says_what_looking_at_each_path_says(
    placed: dict[str, bool], others: set[str], block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("s")
    folder = base / "f"
    folder.mkdir()
    made: set[str] = set()
    for path in [*(path for path, there in placed.items() if there), *others]:
        if not any(path == one or path.startswith(one + "/") or one.startswith(path + "/") for one in made):
            recorded(folder, {path: b"1"})
            made.add(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filecache, "_BLOCK_ROWS", block)
        FileCache(base / "cache").save(
            [
                right_row(path, (folder / path).stat(), digest(b"1"), ours=True)
                if path in made
                else Row(path, 1, 1, 1, 1, digest(b"1"))
                for path in sorted(placed)
            ]
        )
        state = scan(folder, FileCache.load(base / "cache"))
    assert state.unchanged == len(made & set(placed))
    turned = {path for path in placed if (folder / path).is_dir()}
    assert set(state.modified) == turned
    assert set(state.missing) == set(placed) - made - turned
    found = set(state.untracked)
    for path in made - set(placed):
        covers = {path, *(str(parent) + "/" for parent in Path(path).parents)}
        assert len(covers & found) == 1
    assert all((folder / path).exists() for path in found)


def test_a_file_that_was_changed_back_is_unchanged(tmp_path: Path) -> None:
    folder, cache = tmp_path / "f", tmp_path / "cache"
    FileCache(cache).save(recorded(folder, {"a": b"123"}))
    for contents, modified in (
        (b"321", ("a",)),
        (b"123", ()),
        (b"444", ("a",)),
        (b"4", ("a",)),
        (b"123", ()),
    ):
        (folder / "a").write_bytes(contents)
        assert scan(folder, FileCache.load(cache)).modified == modified
        assert rows_of(cache)["a"].digest == digest(b"123")


def test_a_missing_folder_misses_everything(tmp_path: Path) -> None:
    FileCache(tmp_path / "cache").save(recorded(tmp_path / "f", {"a": b"1", "d/b": b"2"}))
    state = scan(tmp_path / "nowhere", FileCache.load(tmp_path / "cache"))
    assert state.missing == ("a", "d/b")


def test_a_damaged_cache_is_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filecache, "_BLOCK_ROWS", 2)
    file = tmp_path / "cache"
    FileCache(file).save(recorded(tmp_path / "f", {name: name.encode() for name in "abcde"}))
    body = file.read_bytes()
    assert len(rows_of(file)) == 5
    for at in range(len(body)):
        for damaged in (body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], body[:at]):
            file.write_bytes(damaged)
            cache = FileCache.load(file)
            assert not list(cache.rows()) and cache.is_current()
            assert scan(tmp_path / "f", cache).untracked == ("a", "b", "c", "d", "e")
    assert not rows_of(tmp_path / "none") and not rows_of(tmp_path)
    file.write_bytes(b"GITMLFC1" + body[8:])  # the format before this one
    assert not rows_of(file)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = FileCache(tmp_path / "file" / "cache")
    cache.save(recorded(tmp_path / "f", {"a": b"1"}))
    assert cache.now_ns() == 0 and cache.is_current()


def test_a_write_that_fails_leaves_the_cache_that_was_there(tmp_path: Path) -> None:
    rows = recorded(tmp_path / "f", {"a": b"1"})
    FileCache(tmp_path / "cache").save(rows)
    before = (tmp_path / "cache").read_bytes()

    def broken():
        yield from rows
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FileCache.load(tmp_path / "cache").save(broken())
    assert (tmp_path / "cache").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "f"]


@pytest.mark.parametrize("ours", [True, False])
def test_only_what_gitml_wrote_may_be_replaced(tmp_path: Path, ours: bool) -> None:
    (row,) = recorded(tmp_path, {"a": b"1"}, ours=ours)
    row.look((tmp_path / "a").stat(), digest(b"2"))
    FileCache(tmp_path / "cache").save([row])
    loaded = rows_of(tmp_path / "cache")["a"]
    assert loaded.may_replace(digest(b"1")) is ours
    assert loaded.written is ours
    assert not loaded.may_replace(digest(b"2"))
    assert not loaded.may_replace(b"")


def test_what_is_pending_is_gitmls_own_and_nothing_is_known_of_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    FileCache(tmp_path / "cache").save([Row("a", pending=digest(b"1"))], 2**62)
    row = rows_of(tmp_path / "cache")["a"]
    assert row.written and row.may_replace(digest(b"1")) and not row.may_replace(digest(b"2"))
    assert not row.vouches((tmp_path / "a").stat())
    assert scan(tmp_path, FileCache.load(tmp_path / "cache")).untracked == ("a", "cache")


@given(
    old=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9)),
    new=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9)),
    gone=st.sets(st.sampled_from("abcdef")),
)
def test_rows_go_over_others_as_in_a_dictionary(
    old: dict[str, int], new: dict[str, int], gone: set[str]
) -> None:
    def rows(values: dict[str, int]) -> list[Row]:
        return [Row(path, values[path]) for path in sorted(values)]

    found = without(overlaid(rows(old), rows(new)), map(Row, sorted(gone)))
    expected = {path: value for path, value in (old | new).items() if path not in gone}
    assert list(found) == rows(expected)


def test_another_placement_is_noticed_and_a_look_is_none(tmp_path: Path) -> None:
    file = tmp_path / "cache"
    rows = recorded(tmp_path / "f", {"a": b"1"})
    first = FileCache.load(file)
    assert first.is_current()
    FileCache.load(file).save(rows, anew=True)
    assert not first.is_current()
    second, third = FileCache.load(file), FileCache.load(file)
    third.save(rows)
    assert second.is_current() and third.is_current()
    third.save(rows, anew=True)
    assert third.is_current() and not second.is_current()
    assert [row.path for row in second.rows()] == ["a"]  # what was loaded can still be read


def test_a_look_does_not_write_over_what_a_placement_knows(tmp_path: Path) -> None:
    file = tmp_path / "cache"
    rows = recorded(tmp_path / "f", {"a": b"1"})
    FileCache(file).save(rows, 0)  # nothing is trusted, so that a look learns something
    loaded = FileCache.load(file)
    FileCache.load(file).save([*rows, Row("b", digest=digest(b"2"))], anew=True)
    assert scan(tmp_path / "f", loaded).unchanged == 1
    assert set(rows_of(file)) == {"a", "b"}


def test_a_long_cache_is_one_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_MOST_ITEMS", 512)
    rows = [Row(f"{number:06}", number, 1, 1, 1, digest(b"%d" % number)) for number in range(3000)]
    FileCache(tmp_path / "cache").save(rows, 2)
    assert list(FileCache.load(tmp_path / "cache").rows()) == rows
