"""Placing trees in folders: what is written, kept, removed and refused, and what an attacker cannot do."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.crafted import Crafted
from support.trees import CountingMedium, DictSource, in_folder, stored

from gitml.errors import Busy, Conflict, IntegrityError, NoSpace
from gitml.store.formats.root import Root, encode_root
from gitml.store.media.folder import FolderMedium
from gitml.store.media.memory import MemoryMedium
from gitml.store.place import filecache
from gitml.store.place.filecache import FileCache
from gitml.store.place.folders import is_temporary
from gitml.store.place.placing import Placed, place, plan_placement, scan
from gitml.store.place.planning import stamp_of
from gitml.store.read import spool
from gitml.store.read.reader import TreeReader
from gitml.store.store import Store

ONE = {"a": b"1", "d/b": b"22", "d/e/c": b"", "same": b"s" * 9000, "gone/x": b"x"}
TWO = {"a": b"2", "d/b": b"22", "d/e/f": b"f", "same": b"s" * 9000}


class Bench:
    """A folder that versions are placed in, one command after the other."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "out"
        self.cache_file = base / "state" / "cache"
        self.medium = MemoryMedium()
        self.store = Store(self.medium)

    def tree(self, tree: dict[str, bytes]) -> TreeReader:
        return self.store.tree(self.store.write(DictSource(tree)).root, label="models/digits@3")

    def get(self, tree: dict[str, bytes] | TreeReader, **options) -> Placed:
        reader = tree if isinstance(tree, TreeReader) else self.tree(tree)
        cache = FileCache.load(self.cache_file)
        return place(plan_placement(reader, self.folder, cache, **options), reader, cache)

    def state(self):
        return scan(self.folder, FileCache.load(self.cache_file))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_tree_is_placed_and_again_is_nothing_to_do(bench: Bench) -> None:
    assert bench.get(ONE) == Placed(written=5, kept=0, removed=0, written_bytes=9004)
    assert in_folder(bench.folder) == ONE
    assert bench.get(ONE) == Placed(written=0, kept=5, removed=0, written_bytes=0)
    assert bench.state().unchanged == 5


def test_another_version_writes_only_what_differs_and_removes_what_is_gone(bench: Bench) -> None:
    bench.get(ONE)
    before = stamp_of((bench.folder / "same").stat())
    assert bench.get(TWO) == Placed(written=2, kept=2, removed=2, written_bytes=2)
    assert in_folder(bench.folder) == TWO
    assert stamp_of((bench.folder / "same").stat()) == before
    assert not (bench.folder / "gone").exists()
    assert bench.get(ONE).removed == 1
    assert in_folder(bench.folder) == ONE


def test_only_chunks_of_files_that_differ_are_fetched(tmp_path: Path) -> None:
    generator = random.Random(1)
    medium = CountingMedium(MemoryMedium())
    bench = Bench(tmp_path)
    bench.store = Store(medium)
    tree = {f"f{n}": generator.randbytes(1 << 20) for n in range(20)}
    bench.get(tree)
    bench_two = {**tree, "f3": generator.randbytes(1 << 20)}
    root = bench.store.write(DictSource(bench_two), earlier=[bench.store.write(DictSource(tree)).root]).root
    medium.calls.clear()
    assert bench.get(bench.store.tree(root)).written == 1
    assert len(medium.calls) <= 4


def test_files_of_others_are_in_the_way_and_stay(bench: Bench) -> None:
    bench.folder.mkdir()
    (bench.folder / "a").write_bytes(b"mine")
    (bench.folder / "d").write_bytes(b"mine too")
    (bench.folder / "same").mkdir()
    (bench.folder / "same/inner").write_bytes(b"mine as well")
    (bench.folder / "unrelated").write_bytes(b"u")
    before = in_folder(bench.folder)
    with pytest.raises(Conflict) as caught:
        bench.get(ONE)
    assert caught.value.exit_code == 5
    assert {row["path"] for row in caught.value.context["blocked"]} == {"a", "d", "same"}
    assert in_folder(bench.folder) == before


def test_force_replaces_files_but_never_a_folder_with_other_files(bench: Bench) -> None:
    bench.folder.mkdir()
    (bench.folder / "a").write_bytes(b"mine")
    (bench.folder / "d").write_bytes(b"mine too")
    bench.get(ONE, force=True)
    assert in_folder(bench.folder) == ONE
    (bench.folder / "a").unlink()
    (bench.folder / "a").mkdir()
    (bench.folder / "a/mine").write_bytes(b"")
    with pytest.raises(Conflict):
        bench.get(ONE, force=True)
    assert (bench.folder / "a/mine").exists()


def test_a_changed_file_blocks_another_version_and_stays_when_it_is_gone_there(bench: Bench) -> None:
    bench.get(ONE)
    (bench.folder / "gone/x").write_bytes(b"edited")
    assert bench.get(TWO).removed == 1
    assert (bench.folder / "gone/x").read_bytes() == b"edited"
    (bench.folder / "a").write_bytes(b"9")
    with pytest.raises(Conflict, match="changed since"):
        bench.get(ONE)
    assert (bench.folder / "a").read_bytes() == b"9"


def test_a_file_that_was_right_already_is_not_gitmls_own(bench: Bench) -> None:
    bench.folder.mkdir()
    (bench.folder / "gone").mkdir()
    (bench.folder / "gone/x").write_bytes(b"x")
    assert bench.get(ONE).kept == 1
    assert bench.state().unchanged == 5
    assert bench.get(TWO).removed == 1
    assert (bench.folder / "gone/x").read_bytes() == b"x"


def test_a_touched_file_is_still_gitmls_own(bench: Bench) -> None:
    bench.get(ONE)
    os.utime(bench.folder / "a")
    os.utime(bench.folder / "gone/x", ns=(1, 1))
    assert bench.get(TWO).written == 2
    assert in_folder(bench.folder) == TWO


def test_files_and_folders_change_places(bench: Bench) -> None:
    bench.get({"a/b/c": b"1", "x": b"2", "k/l": b"3"})
    bench.get({"a": b"4", "x/y/z": b"5", "k/l/m": b"6"})
    assert in_folder(bench.folder) == {"a": b"4", "x/y/z": b"5", "k/l/m": b"6"}
    bench.get({"a/b/c": b"1", "x": b"2", "k/l": b"3"})
    assert in_folder(bench.folder) == {"a/b/c": b"1", "x": b"2", "k/l": b"3"}


def test_a_selection_leaves_the_rest_alone(bench: Bench) -> None:
    bench.get(ONE, select=lambda path: path.startswith("d/"))
    assert set(in_folder(bench.folder)) == {"d/b", "d/e/c"}
    bench.get(TWO, select=lambda path: path == "a")
    assert set(in_folder(bench.folder)) == {"a", "d/b", "d/e/c"}


SOME_PATHS = ["a", "a-b", "a-b/c", "a.c", "a/b", "a/b-c", "a/b/c", "a/b0", "d", "d/e", "f"]


@settings(max_examples=80)
@given(
    trees=st.lists(
        st.dictionaries(st.sampled_from(SOME_PATHS), st.binary(max_size=2), min_size=1),
        min_size=1,
        max_size=5,
    )
)
@pytest.mark.parametrize("in_memory", [2, 1000])
def test_any_sequence_of_versions_leaves_exactly_the_last(in_memory, trees, tmp_path_factory) -> None:
    with few_in_memory(in_memory):
        place_all(trees, Bench(tmp_path_factory.mktemp("p")))


@contextlib.contextmanager
def few_in_memory(items: int) -> Iterator[None]:
    """What is longer goes through files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "_MOST_ITEMS", items)
        patch.setattr(spool, "_BLOCK_ITEMS", min(items, 2))
        patch.setattr(filecache, "_BLOCK_ROWS", items)
        yield


def place_all(trees, bench: Bench) -> None:
    for tree in trees:
        possible = {p: c for p, c in tree.items() if not any(q != p and q.startswith(p + "/") for q in tree)}
        bench.get(possible)
        assert in_folder(bench.folder) == possible
        assert bench.state().unchanged == len(possible)
        folders = {parent for p in possible for parent in Path(p).parents if str(parent) != "."}
        assert {p.relative_to(bench.folder) for p in bench.folder.rglob("*") if p.is_dir()} == folders


def sentinel(base: Path) -> Path:
    outside = base / "outside"
    outside.mkdir()
    (outside / "b").write_bytes(b"precious")
    return outside


@pytest.mark.parametrize("force", [False, True])
def test_a_symbolic_link_in_place_of_a_folder_is_not_followed(
    bench: Bench, tmp_path: Path, force: bool
) -> None:
    outside = sentinel(tmp_path)
    bench.folder.mkdir()
    (bench.folder / "d").symlink_to(outside)
    if force:
        bench.get(ONE, force=True)
        assert in_folder(bench.folder) == ONE
    else:
        with pytest.raises(Conflict, match="symbolic link"):
            bench.get(ONE)
    assert in_folder(outside) == {"b": b"precious"}


def test_a_symbolic_link_above_the_destination_is_refused_inside_a_trusted_folder(tmp_path: Path) -> None:
    outside = sentinel(tmp_path)
    bench = Bench(tmp_path)
    top = tmp_path / "repository"
    top.mkdir()
    (top / "models").symlink_to(outside)
    bench.folder = top / "models" / "digits"
    with pytest.raises(Conflict, match="symbolic link"):
        bench.get(ONE, trusted=top)
    assert in_folder(outside) == {"b": b"precious"}
    (top / "models").unlink()
    bench.get(ONE, trusted=top)
    assert in_folder(bench.folder) == ONE
    assert bench.get(ONE, trusted=top).kept == 5


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to], ids=["symbolic", "hard"])
def test_a_link_in_place_of_a_file_never_leads_outside(bench: Bench, tmp_path: Path, link) -> None:
    outside = sentinel(tmp_path)
    bench.folder.mkdir()
    link(bench.folder / "a", outside / "b")
    with pytest.raises(Conflict):
        bench.get(ONE)
    bench.get(ONE, force=True)
    assert in_folder(bench.folder) == ONE
    assert in_folder(outside) == {"b": b"precious"}


def test_a_hard_link_to_a_placed_file_keeps_the_old_bytes(bench: Bench, tmp_path: Path) -> None:
    bench.get(ONE)
    os.link(bench.folder / "a", tmp_path / "copy")
    bench.get(TWO)
    assert (tmp_path / "copy").read_bytes() == b"1"
    assert in_folder(bench.folder) == TWO


def test_an_edit_through_a_hard_link_is_noticed(bench: Bench, tmp_path: Path) -> None:
    bench.get(ONE)
    os.link(bench.folder / "a", tmp_path / "copy")
    (tmp_path / "copy").write_bytes(b"9")
    assert bench.state().modified == ("a",)


@pytest.mark.parametrize("kind", ["fifo", "socket"])
def test_a_pipe_or_socket_in_the_way_does_not_hang(bench: Bench, kind: str) -> None:
    import socket

    bench.folder.mkdir()
    if kind == "fifo":
        os.mkfifo(bench.folder / "a")
    else:
        here = Path.cwd()
        os.chdir(bench.folder)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("a")
        os.chdir(here)
    with pytest.raises(Conflict, match="pipe or socket"):
        bench.get(ONE)
    bench.get(ONE, force=True)
    assert in_folder(bench.folder) == ONE


def test_a_link_planted_between_plan_and_execution_is_not_followed(bench: Bench, tmp_path: Path) -> None:
    outside = sentinel(tmp_path)
    reader, cache = bench.tree(ONE), FileCache(bench.cache_file)
    plan = plan_placement(reader, bench.folder, cache)
    bench.folder.mkdir()
    (bench.folder / "d").symlink_to(outside)
    with pytest.raises(Conflict):
        place(plan, reader, cache)
    assert in_folder(outside) == {"b": b"precious"}


def test_a_file_that_came_between_plan_and_execution_is_not_lost(bench: Bench) -> None:
    bench.get(ONE)
    for path in ("a", "d/e/f", "gone/x"):
        reader, cache = bench.tree(TWO), FileCache.load(bench.cache_file)
        plan = plan_placement(reader, bench.folder, cache)
        (bench.folder / path).write_bytes(b"mine")
        with pytest.raises(Conflict, match="meanwhile"):
            place(plan, reader, cache)
        assert (bench.folder / path).read_bytes() == b"mine"
        (bench.folder / path).unlink()
        bench.get(ONE)


def test_a_plan_that_another_placement_has_overtaken_is_not_executed(bench: Bench) -> None:
    bench.get(ONE)
    reader, cache = bench.tree(TWO), FileCache.load(bench.cache_file)
    plan = plan_placement(reader, bench.folder, cache)
    bench.get({**ONE, "a": b"3"})
    with pytest.raises(Busy) as caught:
        place(plan, reader, cache)
    assert caught.value.exit_code == 9
    assert (bench.folder / "a").read_bytes() == b"3"
    bench.get(TWO)
    assert in_folder(bench.folder) == TWO


def test_what_another_version_does_not_have_is_forgotten(bench: Bench) -> None:
    bench.get(ONE)
    (bench.folder / "gone/x").unlink()
    (bench.folder / "d/e/c").write_bytes(b"edited")
    bench.get(TWO)
    state = bench.state()
    assert (state.unchanged, state.files, state.missing) == (4, 4, ())
    assert state.untracked == ("d/e/c", "gone/")
    shutil.rmtree(bench.folder)
    bench.get(ONE)
    assert (bench.state().unchanged, bench.state().files) == (5, 5)


def test_a_tree_that_replaces_and_removes_more_than_fits_in_memory(tmp_path: Path) -> None:
    bench, generator = Bench(tmp_path), random.Random(8)
    one = {f"d{n % 7}/{n:04}": generator.randbytes(30) for n in range(400)}
    two = {path: body if n % 3 else generator.randbytes(31) for n, (path, body) in enumerate(one.items())}
    two = {path: body for n, (path, body) in enumerate(two.items()) if n % 5} | {"e/new": b"n", "d8": b"m"}
    with few_in_memory(16):
        assert bench.get(one).written == 400
        done = bench.get(two)
        assert (done.removed, in_folder(bench.folder)) == (80, two)
        assert done.kept == sum(one.get(path) == body for path, body in two.items())
        assert bench.state().unchanged == len(two)
        assert bench.get(one).removed == 2
        assert in_folder(bench.folder) == one


def test_a_changed_file_in_the_same_tick_is_never_lost(bench: Bench) -> None:
    for _ in range(200):
        bench.get({"a": b"1", "b": b"1"})
        stat = (bench.folder / "a").stat()
        with (bench.folder / "a").open("r+b") as stream:
            stream.write(b"9")  # of the same size
        os.utime(bench.folder / "a", ns=(stat.st_atime_ns, stat.st_mtime_ns))
        with pytest.raises(Conflict, match="changed since"):
            bench.get({"a": b"2", "b": b"1"})
        assert (bench.folder / "a").read_bytes() == b"9"
        (bench.folder / "a").write_bytes(b"1")


def test_without_its_cache_no_file_is_gitmls_own_and_right_ones_are_kept(bench: Bench) -> None:
    bench.get(ONE)
    whole = bench.cache_file.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        bench.cache_file.write_bytes(whole[:length])
        with pytest.raises(Conflict, match="another file is there"):
            bench.get(TWO)
        assert in_folder(bench.folder) == ONE
    assert bench.get(ONE).kept == 5
    assert bench.state().unchanged == 5


def test_hostile_trees_write_nothing_outside(bench: Bench, tmp_path: Path) -> None:
    import hashlib

    outside = sentinel(tmp_path)
    for path in ("../outside/b", f"{outside}/b", "a/../../outside/b"):
        crafted = Crafted()
        pack = crafted.pack([b"evil"])
        root = crafted.tree([[(path, 4, hashlib.sha256(b"evil").digest(), [(0, 0, 1)])]], [pack])
        with pytest.raises(IntegrityError):
            bench.get(TreeReader(crafted.medium, root), force=True)
    assert in_folder(outside) == {"b": b"precious"}
    assert not bench.folder.exists()


def test_a_tree_in_which_a_file_is_also_a_folder_is_refused(bench: Bench) -> None:
    with pytest.raises(Conflict):
        bench.get({"a": b"1", "a/b": b"2"})


def test_a_damaged_store_leaves_only_right_files_in_place(bench: Bench) -> None:
    generator = random.Random(1)
    tree = {"big": generator.randbytes(5 << 20), **{f"f{n}": generator.randbytes(3000) for n in range(30)}}
    reader = bench.tree(tree)
    (pack,) = (name for name, _ in bench.medium.list("packs/"))
    body = bytearray(bench.medium.get(pack))
    body[3 << 20] ^= 1
    good = bench.medium.get(pack)
    bench.medium.put(pack, [body])
    with pytest.raises(IntegrityError, match="big"):
        bench.get(reader)
    found = in_folder(bench.folder)
    assert "big" not in found and all(tree[path] == found[path] for path in found)
    bench.medium.put(pack, [good])
    done = bench.get(reader)
    assert (done.kept, in_folder(bench.folder)) == (len(found), tree)


def test_files_have_the_mode_of_the_umask(bench: Bench) -> None:
    before = os.umask(0o027)
    try:
        bench.get(ONE)
    finally:
        os.umask(before)
    assert (bench.folder / "a").stat().st_mode & 0o777 == 0o640


def test_a_full_disk_is_no_space_and_can_be_continued(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = random.Random(4)
    tree = {
        "big": generator.randbytes(3 << 20),
        **{f"d{n % 4}/f{n}": generator.randbytes(2000) for n in range(60)},
    }
    real, left = os.write, [25]

    def full(descriptor: int, data: bytes) -> int:
        if len(data) == 2000:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    reader = bench.tree(tree)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(NoSpace) as caught:
        bench.get(reader)
    monkeypatch.undo()
    assert caught.value.exit_code == 11
    found = in_folder(bench.folder)
    assert all(tree[path] == body for path, body in found.items())
    assert bench.get(reader).kept == len(found)
    assert in_folder(bench.folder) == tree


def test_a_file_size_limit_is_no_space(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    reader = bench.tree({"big": random.Random(1).randbytes(4 << 20)})
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(NoSpace):
            bench.get(reader)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert in_folder(bench.folder) == {}
    bench.get(reader)


@pytest.mark.skipif(
    "GITML_TEST_NO_FLOCK" in os.environ, reason="without locks they may meet, which does no harm"
)
def test_two_placements_in_one_folder_do_not_meet(bench: Bench) -> None:
    import fcntl

    bench.folder.mkdir()
    descriptor = os.open(bench.folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(Busy):
        bench.get(ONE)
    os.close(descriptor)
    bench.get(ONE)


KILLED = """
    import os, signal, sys
    sys.path[:0] = {paths!r}
    calls = int(sys.argv[1])
    def counted(real):
        def call(*arguments, **options):
            global calls
            calls -= 1
            if calls == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)
        return call
    for name in ("open", "write", "pwritev", "rename", "unlink", "mkdir", "rmdir", "fstat"):
        setattr(os, name, counted(getattr(os, name)))
    from pathlib import Path
    from gitml.store.formats.root import decode_root
    from gitml.store.media.folder import FolderMedium
    from gitml.store.store import Store
    from gitml.store.place.filecache import FileCache
    from gitml.store.place.placing import place, plan_placement
    base = Path(sys.argv[2])
    reader = Store(FolderMedium(base / "store")).tree(decode_root((base / sys.argv[3]).read_bytes(), "root"))
    calls = int(sys.argv[1])
    cache = FileCache.load(base / "cache")
    place(plan_placement(reader, base / "out", cache), reader, cache, jobs=1)
"""


def killable(base: Path) -> tuple[str, Store, dict[str, Root], dict[str, dict[str, bytes]]]:
    """Two trees in a store, and the program that places them and may be killed."""
    generator = random.Random(6)
    one = {
        "big": generator.randbytes(3 << 20),
        **{f"d{n % 3}/{n}": generator.randbytes(90) for n in range(9)},
    }
    two = {**one, "big": one["big"][:-1], "d0/0": b"changed", "e/new": b"n", "d1": b"a file now"}
    for n in range(9):
        if n % 3 == 1:
            del two[f"d1/{n}"]
    base.mkdir()
    store, first = stored(one, FolderMedium(base / "store"))
    second = store.write(DictSource(two)).root
    (base / "one").write_bytes(encode_root(first))
    (base / "two").write_bytes(encode_root(second))
    program = textwrap.dedent(KILLED.format(paths=[str(Path(__file__).parents[2])]))
    return program, store, {"one": first, "two": second}, {"one": one, "two": two}


def place_whole(base: Path, store: Store, root: Root, tree: dict[str, bytes]) -> None:
    cache, reader = FileCache.load(base / "cache"), store.tree(root)
    place(plan_placement(reader, base / "out", cache), reader, cache)
    assert in_folder(base / "out") == tree
    assert scan(base / "out", FileCache.load(base / "cache")).unchanged == len(tree)


def killed_at(points: list[int], base: Path) -> int:
    program, store, roots, trees = killable(base)
    kills = 0
    for point in points:
        for which, other in (("one", "two"), ("two", "one")):
            run = subprocess.run([sys.executable, "-c", program, str(point), str(base), which], check=False)
            kills += run.returncode == -signal.SIGKILL
            then = other if point % 2 else which
            place_whole(base, store, roots[then], trees[then])
    return kills


def test_a_killed_placement_can_be_run_again_whatever_the_moment(tmp_path: Path) -> None:
    assert killed_at([4, 9, 13, 17, 22, 26, 31, 38], tmp_path / "b") > 6


def test_after_two_kills_every_file_is_still_gitmls_own(tmp_path: Path) -> None:
    program, store, roots, trees = killable(tmp_path / "b")
    base, generator = tmp_path / "b", random.Random(9)
    for _ in range(12):
        for which in ("one", "two", "one"):
            point = str(generator.randrange(8, 45))
            subprocess.run([sys.executable, "-c", program, point, str(base), which], check=False)
        place_whole(base, store, roots["two"], trees["two"])


def test_a_part_that_is_placed_after_a_kill_leaves_the_rest_gitmls_own(tmp_path: Path) -> None:
    program, store, roots, trees = killable(tmp_path / "b")
    base = tmp_path / "b"
    run = subprocess.run([sys.executable, "-c", program, "38", str(base), "one"], check=False)
    assert run.returncode == -signal.SIGKILL and len(in_folder(base / "out")) > 3
    cache, reader = FileCache.load(base / "cache"), store.tree(roots["two"])
    place(plan_placement(reader, base / "out", cache, select=lambda path: path == "e/new"), reader, cache)
    place_whole(base, store, roots["two"], trees["two"])


@pytest.mark.skipif("GITML_TEST_NO_FLOCK" in os.environ, reason="each takes the other's files for leftovers")
def test_two_placements_at_once_end_well_or_are_told_to_wait(tmp_path: Path) -> None:
    program, store, roots, trees = killable(tmp_path / "b")
    base = tmp_path / "b"
    for first, second in (("one", "one"), ("one", "two"), ("two", "one"), ("two", "two")) * 2:
        runs = [
            subprocess.Popen(
                [sys.executable, "-c", program, "0", str(base), which], stderr=subprocess.PIPE, text=True
            )
            for which in (first, second)
        ]
        errors = [run.communicate()[1] for run in runs]
        for run, error in zip(runs, errors, strict=True):
            assert run.returncode == 0 or "Busy: another process" in error or "Conflict: " in error
        found = in_folder(base / "out")
        assert all(body in (trees["one"].get(path), trees["two"].get(path)) for path, body in found.items())
        place_whole(base, store, roots["two"], trees["two"])


def test_folders_without_files_make_room_for_a_file(tmp_path: Path) -> None:
    store, root = stored({"d1": b"a file"}, FolderMedium(tmp_path / "store"))
    (tmp_path / "out/d1/inner").mkdir(parents=True)
    cache, reader = FileCache.load(tmp_path / "cache"), store.tree(root)
    place(plan_placement(reader, tmp_path / "out", cache), reader, cache)
    assert in_folder(tmp_path / "out") == {"d1": b"a file"}


def test_what_went_since_it_was_listed_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {"a": b"1", "b/a": b"2"}
    store, root = stored(tree, FolderMedium(tmp_path / "store"))
    (tmp_path / "out/b").mkdir(parents=True)
    cache, reader, listed = FileCache.load(tmp_path / "cache"), store.tree(root), os.listdir
    gone = ["a", f".gitml-placing-{16 * '0'}-1"]
    assert is_temporary(gone[1])
    with monkeypatch.context() as patched:
        patched.setattr(os, "listdir", lambda where: [*listed(where), *gone])
        plan = plan_placement(reader, tmp_path / "out", cache)
    assert ([one.path for one in plan.write], plan.leftovers) == (sorted(tree), ())
    place(plan, reader, cache)
    assert in_folder(tmp_path / "out") == tree


@pytest.mark.nightly
def test_every_killed_placement_can_be_run_again(tmp_path: Path) -> None:
    assert killed_at(list(range(1, 150)), tmp_path / "b") > 50


MEASURED = """
    import hashlib, sys
    from pathlib import Path
    from gitml.store.place.filecache import FileCache
    from gitml.store.place.placing import place, plan_placement, scan
    from gitml.store.read.entries import FileEntry

    count, base = int(sys.argv[1]), Path(sys.argv[2])
    (base / "out").mkdir()
    for folder in range(0, count, 500):
        (base / "out" / f"{folder:07}").mkdir()

    class Tree:
        def entries(self):
            for number in range(count):
                digest = hashlib.sha256(b"%d" % (number if number % 2 else number + generation)).digest()
                yield FileEntry(path=f"{number // 500 * 500:07}/{number:07}", size_bytes=1, digest=digest)

        def fetch(self, entries, sink, **options):
            done = sum(1 for entry in entries if entry.digest)
            raise LookupError(done)

    for generation in range(2):
        cache = FileCache.load(base / "cache")
        plan = plan_placement(Tree(), base / "out", cache)
        assert len(plan.write) == count
        try:
            place(plan, Tree(), cache)
        except LookupError as error:
            assert error.args == (count,)
    assert sum(row.written for row in FileCache.load(base / "cache").rows()) == count
    scan(base / "out", FileCache.load(base / "cache"))
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the memory")
def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    program, peaks = textwrap.dedent(MEASURED), []
    for count in (60_000, 600_000):
        (tmp_path / str(count)).mkdir()
        done = subprocess.run(
            [sys.executable, "-c", program, str(count), str(tmp_path / str(count))],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 10 and peaks[1] < 100
