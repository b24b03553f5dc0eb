"""Reading trees: how many requests, which ranges, what is found."""

from __future__ import annotations

import io
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.crafted import Crafted, sha
from support.trees import LABEL, CountingMedium, DictSource, KeepingSink, digest, fetched, stored, streamed

from gitml.errors import IntegrityError, NotFound
from gitml.model.digest import tree_digest
from gitml.store.care.usage import disk_usage
from gitml.store.formats.pack import split_pack
from gitml.store.media import layout
from gitml.store.media.memory import MemoryMedium
from gitml.store.read.reader import TreeReader, TreeSource, changes
from gitml.store.store import Store
from gitml.store.write import packing

MANY = {f"b{n % 40:02}/f{n}": b"%d" % n * (n % 50) for n in range(30_000)}


@pytest.fixture(scope="module")
def many() -> tuple[MemoryMedium, Store]:
    medium = MemoryMedium()
    return medium, Store(medium)


@pytest.fixture(scope="module")
def many_root(many):
    return many[1].write(DictSource(MANY)).root


@pytest.fixture(scope="module")
def big() -> tuple[MemoryMedium, object, bytes]:
    contents = random.Random(3).randbytes(100 << 20)
    store, root = stored({"a": b"1", "big": contents, "z": b"2"})
    return store.medium, root, contents


def counted(medium, root) -> tuple[CountingMedium, TreeReader]:
    counting = CountingMedium(medium)
    return counting, TreeReader(counting, root, label=LABEL)


def test_a_whole_tree_costs_one_request_for_each_object(many, many_root) -> None:
    counting, reader = counted(many[0], many_root)
    assert fetched(reader) == MANY
    kinds = Counter(name.split("/")[0] for _, name in counting.calls)
    assert len(reader.rows) > 1
    assert kinds == {"manifests": 1, "segments": len(reader.rows), "packs": len(set(many_packs(reader)))}


def many_packs(reader: TreeReader) -> list[bytes]:
    return [ref.id for number in range(len(reader.rows)) for ref in reader.segment(number).packs]


def test_entries_are_all_files_in_byte_order(many, many_root) -> None:
    reader = TreeReader(many[0], many_root)
    entries = list(reader.entries())
    assert [entry.path for entry in entries] == sorted(MANY, key=str.encode)
    assert tree_digest((entry.path, entry.digest) for entry in entries) == many_root.tree
    assert (reader.files, reader.size_bytes) == (len(MANY), sum(map(len, MANY.values())))


@pytest.mark.parametrize(
    "path", ["a", "b00", "b00/f0", "b07", "b07/f20007", "b1", "b39", "b39/f29999", "c", "b39/"]
)
def test_what_lies_below_a_path_is_found_without_the_rest_of_the_list(many, many_root, path: str) -> None:
    counting, reader = counted(many[0], many_root)
    found = [entry.path for entry in reader.entries_below(path)]
    assert found == [each for each in sorted(MANY) if each == path or each.startswith(path + "/")]
    segments = sum(name.startswith("segments/") for _, name in counting.calls)
    assert segments <= (2 if found and "/" not in path else 1)


def test_one_file_costs_four_requests_of_which_none_is_a_whole_pack(many, many_root) -> None:
    for path in ("b00/f0", "b07/f20007", "b39/f29999"):
        counting, reader = counted(many[0], many_root)
        assert reader.entry(path).digest == digest(MANY[path])
        assert len(counting.calls) == 2
        with reader.open(path) as handle:
            assert handle.read() == MANY[path]
        assert len(counting.calls) <= 4


@pytest.mark.parametrize("path", ["b00/f1", "nope", "zzz", "b00", "", "b00/f0/x", "\udcff"])
def test_a_file_that_is_not_there(many, many_root, path: str) -> None:
    reader = TreeReader(many[0], many_root, label=LABEL)
    with pytest.raises(NotFound, match=LABEL):
        reader.entry(path)


@pytest.mark.parametrize("block_bytes", [-1, 1 << 16, 5 << 20])
def test_a_big_file_costs_two_requests_for_each_pack(big, block_bytes: int) -> None:
    medium, root, contents = big
    counting, reader = counted(medium, root)
    with reader.open("big") as handle:
        found = b"".join(iter(lambda: handle.read(block_bytes), b""))
    assert found == contents
    packs = {name for _, name in counting.calls if name.startswith("packs/")}
    assert len(packs) >= 3
    assert len(counting.calls) <= 3 + 2 * len(packs)


def test_a_range_is_read_without_the_rest(big) -> None:
    medium, root, contents = big
    counting, reader = counted(medium, root)
    moved = []
    counting.get = lambda name, *span: moved.append(got := medium.get(name, *span)) or got  # type: ignore[method-assign]
    handle = reader.open("big")
    handle.seek(-1000, io.SEEK_END)
    assert handle.read(500) == contents[-1000:-500]
    assert handle.tell() == len(contents) - 500
    assert sum(map(len, moved)) < 2 << 20


@settings(max_examples=30)
@given(data=st.data())
def test_a_handle_behaves_as_a_file_in_memory(data: st.DataObject) -> None:
    contents = random.Random(data.draw(st.integers(0, 3))).randbytes(
        data.draw(st.sampled_from([0, 1, 70_000, 900_000]))
    )
    store, root = stored({"f": contents})
    ours, theirs = store.tree(root).open("f"), io.BytesIO(contents)
    for _ in range(data.draw(st.integers(1, 8))):
        if data.draw(st.booleans()):
            offset = data.draw(st.integers(0, 1_000_000))
            assert ours.seek(offset) == theirs.seek(offset)
        size = data.draw(st.sampled_from([0, 1, 1000, 300_000, -1]))
        assert ours.read(size) == theirs.read(size)
        assert ours.tell() == theirs.tell()


def test_some_files_of_a_tree_do_not_cost_all_of_it(many, many_root) -> None:
    counting, reader = counted(many[0], many_root)
    wanted = [reader.entry(path) for path in sorted(MANY)[100:110]]
    assert fetched(reader, wanted) == {entry.path: MANY[entry.path] for entry in wanted}
    assert len([name for _, name in counting.calls if name.startswith("packs/")]) <= 2


def test_the_root_must_be_the_promised_one() -> None:
    from dataclasses import replace

    from gitml.model.digest import Digest

    store, root = stored({"f": b"1"})
    for other in (
        {"tree": Digest(b"x" * 32)},
        {"listing": Digest(b"x" * 32)},
        {"files": 2},
        {"size_bytes": 2},
    ):
        wrong = replace(root, **other)

        class Promised:
            digest, listing, size_bytes, files = root.tree, root.listing, root.size_bytes, root.files

        assert fetched(store.tree(root, expected=Promised, label=LABEL)) == {"f": b"1"}
        with pytest.raises(IntegrityError, match=LABEL):
            store.tree(wrong, expected=Promised, label=LABEL)
        with pytest.raises(IntegrityError):
            list(store.tree(wrong, label=LABEL).entries())


def test_a_failing_sink_ends_the_fetch_and_large_files_are_discarded() -> None:
    tree = {"a": b"1" * 10, "big": random.Random(1).randbytes(9 << 20), "z": b"3" * 10}
    store, root = stored(tree)

    class Failing(KeepingSink):
        def whole(self, entry, parts) -> None:
            raise OSError("no more")

    sink = Failing()
    reader = store.tree(root)
    with pytest.raises(OSError, match="no more"):
        reader.fetch(list(reader.entries()), sink)
    assert sink.files.keys() <= {"big"} and set(sink.discarded) | sink.files.keys() <= {"big"}


def test_files_whose_parts_are_scattered_over_packs() -> None:
    generator = random.Random(5)
    crafted = Crafted()
    chunks = [[generator.randbytes(generator.randrange(1, 3000)) for _ in range(40)] for _ in range(5)]
    packs = [crafted.pack(each) for each in chunks]
    tree, rows = {}, []
    for number in range(60):
        runs, body = [], b""
        for _ in range(generator.randrange(1, 12)):
            pack, first = generator.randrange(5), generator.randrange(40)
            count = generator.randrange(1, 41 - first)
            runs.append((pack, first, count))
            body += b"".join(chunks[pack][first : first + count])
        tree[f"f{number:02}"] = body
        rows.append((f"f{number:02}", len(body), sha(body), runs))
    root = crafted.tree([rows[:30], rows[30:]], packs)
    for jobs in (1, 2, 5):
        reader = TreeReader(crafted.medium, root, jobs=jobs)
        assert fetched(reader) == tree
    assert streamed(reader) == tree
    assert all(reader.open(path).read() == body for path, body in tree.items())


def test_a_huge_file_of_one_repeated_chunk_takes_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    crafted = Crafted()
    chunk = bytes(1 << 18)
    pack = crafted.pack([chunk], compress=[0])
    count = 512
    root = crafted.tree([[("zeros", count << 18, sha(chunk * count), [(0, 0, 1)] * count)]], [pack])
    reader = TreeReader(crafted.medium, root)

    class Counting(KeepingSink):
        def begin(self, entry):
            path = tmp_path / "f"
            file = path.open("w+b")

            class Target:
                def write(self, offset, parts):
                    import os

                    for part in parts:
                        offset += os.pwrite(file.fileno(), part, offset)

                def read_into(self, offset, buffer):
                    import os

                    return os.preadv(file.fileno(), [buffer], offset)

                def finish(self):
                    file.close()

            return Target()

    tracemalloc.start()
    reader.fetch(list(reader.entries()), Counting())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "f").stat().st_size == count << 18
    assert peak < 24 << 20


def test_changes_between_versions_read_only_segments_that_differ(many, many_root) -> None:
    medium, store = many
    after = {**MANY, "b00/f0": b"changed", "new": b"1"}
    del after["b39/f29999"]
    root = store.write(DictSource(after), earlier=[many_root]).root
    counting = CountingMedium(medium)
    found = list(changes(TreeReader(counting, many_root), TreeReader(counting, root)))
    assert [(path, old is None, new is None) for path, old, new in found] == [
        ("b00/f0", False, False),
        ("b39/f29999", False, True),
        ("new", True, False),
    ]
    rows = len(TreeReader(medium, root).rows)
    assert rows > 1
    assert list(changes(TreeReader(counting, root), TreeReader(counting, root))) == []
    assert len(list(changes(None, TreeReader(medium, root)))) == len(after)


@settings(max_examples=50)
@given(
    before=st.dictionaries(st.sampled_from("abcdefgh"), st.binary(max_size=2), min_size=1),
    after=st.dictionaries(st.sampled_from("abcdefgh"), st.binary(max_size=2), min_size=1),
)
def test_changes_are_those_of_the_dictionaries(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    store, old = stored(before)
    new = store.write(DictSource(after)).root
    found = {
        path: (o and o.digest, n and n.digest) for path, o, n in changes(store.tree(old), store.tree(new))
    }
    assert found == {
        path: ((before.get(path) is not None and digest(before[path])) or None,
               (after.get(path) is not None and digest(after[path])) or None)
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    }  # fmt: skip


def test_a_tree_can_be_sent_from_store_to_store() -> None:
    generator = random.Random(9)
    tree = {
        "a": b"",
        "b/c": generator.randbytes(3 << 20),
        **{f"d/{n}": generator.randbytes(n) for n in range(300)},
    }
    store, root = stored(tree)
    other = Store(MemoryMedium())
    sent = other.write(TreeSource(store.tree(root))).root
    assert (sent.tree, sent.listing) == (root.tree, root.listing)
    assert fetched(other.tree(sent)) == tree
    first = next(TreeSource(store.tree(root)).files())
    assert [b"".join(first.blocks()) for _ in range(2)] == [b"", b""]


def test_usage_tells_unique_from_shared_bytes() -> None:
    from gitml.model.names import AssetId, Version, VersionId
    from gitml.store.formats.root import RootKey

    generator = random.Random(2)
    shared, first, second = (generator.randbytes(size) for size in (50_000, 20_000, 7_000))
    store = Store(MemoryMedium())
    asset = AssetId(type="models", name="digits")
    for number, tree in enumerate(
        [{"s": shared, "a": first}, {"s": shared, "b": second}, {"s": shared, "b": second}], 1
    ):
        key = RootKey(registry="r1", id=VersionId(asset=asset, version=Version.parse(str(number))))
        earlier = [root for _, root in store.all_roots()]
        store.claim(key, store.write(DictSource(tree), earlier=earlier))
    usage = disk_usage(store)
    rows = {
        str(row.key.id.version): (row.size_bytes, row.unique_bytes, row.shared_bytes)
        for row in usage.versions
    }
    assert rows == {"1": (70_000, 20_000, 50_000), "2": (57_000, 0, 57_000), "3": (57_000, 0, 57_000)}
    assert usage.contents_bytes == 184_000
    assert 77_000 < usage.stored_bytes < 100_000


@pytest.mark.parametrize("size_bytes", [600 << 10, 9 << 20], ids=["in one step", "in many"])
@pytest.mark.parametrize("which", range(3))
def test_a_damaged_chunk_is_named_though_files_are_compared_as_a_whole(
    size_bytes: int, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "PACK_BYTES", size_bytes // 3)
    medium = MemoryMedium()
    contents = random.Random(8).randbytes(size_bytes)
    store, root = stored({"a": b"1", "big": contents}, medium)
    reader = store.tree(root, label=LABEL)
    located = next(one for one in reader.locate(reader.entries()) if one.entry.path == "big")
    ref, first, chunks = located.runs[which * (len(located.runs) - 1) // 2]
    name, number = layout.pack_name(ref.hex), first + chunks // 2
    pack = bytearray(medium.get(name))
    pack[split_pack(pack, ref.id, name)[1].starts[number]] ^= 1
    medium.put(name, [bytes(pack)])
    sink = KeepingSink()
    with pytest.raises(IntegrityError, match=f"chunk {number} is damaged") as caught:
        store.tree(root, label=LABEL).fetch(list(reader.entries()), sink)
    assert caught.value.context == {"asset": LABEL, "file": "big", "object": name}
    assert "big" not in sink.files
