"""Damage to a store: reads never return wrong bytes, and say what is wrong with what."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from support.crafted import Crafted, sha
from support.trees import LABEL, DictSource, fetched, opened, streamed

from gitml.errors import GitMLError, IntegrityError
from gitml.store.care.verify import verify_store, verify_tree
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.medium import Buffers, PutOutcome
from gitml.store.media.memory import MemoryMedium
from gitml.store.read.reader import TreeReader
from gitml.store.store import Store

READS = {"fetch": fetched, "stream": streamed, "open": opened}


class Altered:
    """A medium in which one object is something else, or gone."""

    def __init__(self, medium: MemoryMedium, name: str, body: bytes | None) -> None:
        self.medium, self.name, self.body, self.url = medium, name, body, medium.url
        self.other = MemoryMedium()
        if body is not None:
            self.other.put(name, [body])

    def _of(self, name: str) -> MemoryMedium:
        return self.other if name == self.name else self.medium

    def head(self, name: str) -> int | None:
        return self._of(name).head(name)

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        return self._of(name).get(name, start, end)

    def put(self, name: str, body: Buffers) -> None:
        raise AssertionError

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        raise AssertionError

    def delete(self, name: str) -> bool:
        raise AssertionError

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        for name, size in self.medium.list(prefix):
            if name != self.name:
                yield name, size
            elif self.body is not None:
                yield name, len(self.body)


def small_store() -> tuple[MemoryMedium, Root, dict[str, bytes]]:
    """Two segments, two packs, one file over both packs, a compressed chunk, an empty file, equal files."""
    crafted = Crafted()
    first, second, text = b"first chunk " * 3, bytes(range(90)), b"a compressible text; " * 12
    one, two = crafted.pack([first, text], compress=[1]), crafted.pack([second])
    tree = {"a": first, "b/c": first + second, "b/d": text, "e": b"", "f": second, "g": second}
    runs = {"a": [(0, 0, 1)], "b/c": [(0, 0, 1), (1, 0, 1)], "b/d": [(0, 1, 1)], "e": [], "f": [(1, 0, 1)]}
    runs["g"] = runs["f"]
    rows = [(path, len(tree[path]), sha(tree[path]), runs[path]) for path in tree]
    root = crafted.tree([rows[:3], rows[3:]], [one, two])
    return crafted.medium, root, tree


def damages(body: bytes) -> Iterator[bytes]:
    for at in range(len(body)):
        yield body[:at] + bytes([body[at] ^ (1 << at % 8)]) + body[at + 1 :]
    for length in range(len(body)):
        yield body[:length]
    yield body + b"\0"


def expect_right_or_refused(medium: Altered, root: Root, tree: dict[str, bytes], read: str) -> int:
    """Read everything, file by file where the whole fails; number of refusals."""
    refused = 0
    try:
        found = READS[read](TreeReader(medium, root, label=LABEL))
        assert found == tree
    except IntegrityError as error:
        refused = 1
        assert error.exit_code == 6
        assert LABEL in error.message and error.context["asset"] == LABEL
        assert error.context["object"] in error.message
        if medium.name.startswith("packs/"):
            assert error.context["object"] == medium.name
            assert error.context["file"] in tree and error.context["file"] in error.message
    return refused


@pytest.mark.parametrize("read", READS)
def test_every_flipped_byte_and_every_length_is_noticed_or_harmless(read: str) -> None:
    medium, root, tree = small_store()
    count = 0
    for name, _ in sorted(medium.list("")):
        body = medium.get(name)
        for damaged in damages(body):
            count += expect_right_or_refused(Altered(medium, name, damaged), root, tree, read)
    assert count > 2000


def test_deep_verification_finds_every_flipped_byte_and_every_truncation() -> None:
    medium, _root, _ = small_store()
    assert verify_store(Store(medium)).faults == ()
    for name, _ in sorted(medium.list("")):
        for damaged in damages(medium.get(name)):
            report = verify_store(Store(Altered(medium, name, damaged)))
            assert any(fault.object == name for fault in report.faults), (name, len(damaged))


def test_deep_verification_of_a_tree_finds_what_its_reads_find() -> None:
    medium, root, tree = small_store()
    assert verify_tree(Store(medium), root, label=LABEL, deep=True) == []
    for name, _ in sorted(medium.list("")):
        for damaged in list(damages(medium.get(name)))[::3]:
            altered = Altered(medium, name, damaged)
            faults = verify_tree(Store(altered), root, label=LABEL, deep=True)
            if expect_right_or_refused(altered, root, tree, "fetch"):
                assert name in {fault.object for fault in faults}


def test_a_lost_object_is_named_by_reads_and_by_shallow_verification() -> None:
    medium, root, tree = small_store()
    for name, _ in sorted(medium.list("")):
        altered = Altered(medium, name, None)
        for read in READS:
            assert expect_right_or_refused(altered, root, tree, read)
        with pytest.raises(IntegrityError, match=f"lost object {name}"):
            fetched(TreeReader(altered, root, label=LABEL))
        assert name in {fault.object for fault in verify_tree(Store(altered), root, label=LABEL)}


def test_objects_in_each_others_place_are_noticed() -> None:
    medium, root, tree = small_store()
    names = sorted(name for name, _ in medium.list(""))
    for name in names:
        for other in names:
            if name != other:
                altered = Altered(medium, name, medium.get(other))
                for read in READS:
                    assert expect_right_or_refused(altered, root, tree, read)
                assert verify_store(Store(altered)).faults


def test_one_damaged_chunk_spoils_only_the_files_that_use_it() -> None:
    medium, root, tree = small_store()
    (pack,) = (name for name, _ in medium.list("packs/") if b"first chunk" in medium.get(name))
    altered = Altered(medium, pack, b"X" + medium.get(pack)[1:])
    reader = TreeReader(altered, root, label=LABEL)
    good = {}
    for path in tree:
        try:
            good[path] = reader.open(path).read()
        except IntegrityError as error:
            assert error.context["file"] == path
    assert good == {path: tree[path] for path in ("b/d", "e", "f", "g")}
    faults = verify_tree(Store(altered), root, deep=True)
    assert {(fault.object, fault.path) for fault in faults} == {(pack, "a"), (pack, "b/c")}


def harmed(body: bytes, generator: random.Random) -> bytes:
    """A bit flipped, a sector zeroed or of noise, an end cut off, or garbage behind it."""
    at = generator.randrange(len(body))
    match generator.randrange(5):
        case 0:
            return body[:at] + bytes([body[at] ^ 1 << generator.randrange(8)]) + body[at + 1 :]
        case 1:
            return body[:at] + bytes(len(body[at : at + 512])) + body[at + 512 :] + b"\0" * (not body[at])
        case 2:
            return body[:at] + generator.randbytes(len(body[at : at + 512])) + body[at + 512 :]
        case 3:
            return body[:at]
    return body + generator.randbytes(generator.randint(1, 600))


def sampled(seed: int, count: int) -> None:
    generator = random.Random(seed)
    medium = MemoryMedium()
    tree = {
        "big": generator.randbytes(700_000),
        "text": b"some words in a line\n" * 9000,
        **{f"d/{n}": generator.randbytes(n * 7) for n in range(60)},
    }
    root = Store(medium).write(DictSource(tree)).root
    names = sorted(name for name, _ in medium.list("") if not name.startswith("gitml"))
    refused = 0
    for _ in range(count):
        name = generator.choice(names)
        altered = Altered(medium, name, harmed(medium.get(name), generator))
        refused += expect_right_or_refused(altered, root, tree, generator.choice(list(READS)))
        assert verify_store(Store(altered)).faults
    assert refused > count // 2


def test_random_damage_to_a_store_as_it_is_written() -> None:
    sampled(7, 60)


@pytest.mark.nightly
def test_much_random_damage_to_a_store_as_it_is_written() -> None:
    sampled(8, 10_000)


def single(crafted: Crafted, body: bytes, runs: list, packs: list, **changes: object) -> TreeReader:
    entry = ("f", changes.get("size", len(body)), sha(body), runs)
    return TreeReader(crafted.medium, crafted.tree([[entry]], packs), label=LABEL)


@pytest.mark.parametrize("read", READS)
def test_runs_that_do_not_make_the_file_are_refused(read: str) -> None:
    crafted = Crafted()
    one, two = crafted.pack([b"aa", b"bb", b"cc"]), crafted.pack([b"dd"])
    cases = {
        "too short": ([(0, 0, 2)], {}),
        "too long": ([(0, 0, 3), (1, 0, 1)], {}),
        "other order": ([(0, 1, 1), (0, 0, 1), (0, 2, 1)], {}),
        "overlapping": ([(0, 0, 2), (0, 1, 1)], {}),
        "size lies": ([(0, 0, 3)], {"size": 7}),
        "beyond the pack": ([(0, 0, 4)], {}),
        "far beyond the pack": ([(0, 60_000, 5)], {}),
        "beyond the second pack": ([(0, 0, 2), (1, 0, 2)], {}),
        "nothing": ([], {}),
        "another's chunks": ([(1, 0, 1)], {"size": 2}),
        "very often": ([(0, 0, 3)] * 5000, {}),
        "very large": ([(0, 0, 3)], {"size": 2**62}),
    }
    for case, (runs, changes) in cases.items():
        with pytest.raises(IntegrityError) as caught:
            READS[read](single(crafted, b"aabbcc", runs, [one, two], **changes))
            pytest.fail(case)
        assert caught.value.context["file"] == "f", case
    assert READS[read](single(crafted, b"aabbccdd", [(0, 0, 3), (1, 0, 1)], [one, two])) == {"f": b"aabbccdd"}


HOSTILE_PATHS = [
    ["../f"], ["/etc/f"], ["a/../f"], ["a//b"], ["."], ["a/"], [""], ["a\\b"], ["a\nb"], ["a\0b"], ["\x85"],
    ["x" * 1025], ["b", "a"], ["a", "a"], ["é" * 513], ["a/./b"], ["..", "a"],
]  # fmt: skip


@pytest.mark.parametrize("paths", HOSTILE_PATHS, ids=lambda paths: ascii(paths)[:30])
def test_hostile_paths_are_refused_before_anything_is_read(paths: list[str]) -> None:
    crafted = Crafted()
    pack = crafted.pack([b"aa"])
    reader = TreeReader(
        crafted.medium, crafted.tree([[(p, 2, sha(b"aa"), [(0, 0, 1)]) for p in paths]], [pack]), label=LABEL
    )
    with pytest.raises(IntegrityError):
        list(reader.entries())
    with pytest.raises(GitMLError):
        reader.open(paths[0])


def test_segments_out_of_order_are_refused() -> None:
    crafted = Crafted()
    pack = crafted.pack([b"aa"])
    rows = [(path, 2, sha(b"aa"), [(0, 0, 1)]) for path in "acbd"]
    with pytest.raises(IntegrityError, match="order"):
        list(TreeReader(crafted.medium, crafted.tree([rows[:2], rows[2:]], [pack])).entries())


def hostile_table(**changes: object) -> dict[str, object]:
    table: dict[str, object] = {
        "v": 1, "f": [], "salt": b"", "path": ["f"], "size": [2], "sha": sha(b"aa"), "runs": [[[0, 0, 1]]],
        "packs": [[b"p" * 32, 100, 50]],
    }  # fmt: skip
    return table | changes


HOSTILE_TABLES = {
    "negative size": {"size": [-2]},
    "huge size": {"size": [2**64 - 1]},
    "negative chunk": {"runs": [[[0, -1, 1]]]},
    "pack out of range": {"runs": [[[7, 0, 1]]]},
    "no chunks": {"runs": [[[0, 0, 0]]]},
    "huge count": {"runs": [[[0, 0, 2**40]]]},
    "columns differ": {"size": [2, 3]},
    "digests cut": {"sha": b"1" * 31},
    "pack too large": {"packs": [[b"p" * 32, 2**40, 50]]},
    "footer longer than pack": {"packs": [[b"p" * 32, 100, 99]]},
    "pack id cut": {"packs": [[b"p", 100, 50]]},
    "path is no text": {"path": [7]},
    "runs are no list": {"runs": "no"},
    "empty": {"path": [], "size": [], "sha": b"", "runs": []},
}


@pytest.mark.parametrize("case", HOSTILE_TABLES)
def test_hostile_tables_are_refused(case: str) -> None:
    from gitml.store.formats.manifest import Row

    crafted = Crafted()
    identity = crafted.raw_segment(hostile_table(**HOSTILE_TABLES[case]))
    line = f"{sha(b'aa').hex()}  f\n".encode()
    root = crafted.root(
        [Row(first_path="f", entries=1, size_bytes=2, logical=sha(line), segment_id=identity)], line
    )
    with pytest.raises(IntegrityError) as caught:
        list(TreeReader(crafted.medium, root, label=LABEL).entries())
    assert caught.value.context["object"] == layout.segment_name(identity.hex())


def test_an_intact_object_of_a_newer_version_is_no_integrity_error() -> None:
    from gitml.errors import InvalidInput
    from gitml.store.formats.manifest import Row

    crafted = Crafted()
    for change in ({"v": 2}, {"f": ["delta>=3.1"]}):
        identity = crafted.raw_segment(hostile_table(**change))
        line = f"{sha(b'aa').hex()}  f\n".encode()
        row = Row(first_path="f", entries=1, size_bytes=2, logical=sha(line), segment_id=identity)
        with pytest.raises(InvalidInput, match="needs GitML >= ") as caught:
            list(TreeReader(crafted.medium, crafted.root([row], line), label=LABEL).entries())
        assert caught.value.exit_code == 3


@pytest.mark.parametrize("read", READS)
def test_decompression_bombs_are_refused_with_little_memory(read: str) -> None:
    import tracemalloc

    import zstandard

    bomb = zstandard.ZstdCompressor(write_checksum=True).compress(bytes(1 << 28))
    unsized = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(bytes(1 << 28))
    for frame in (bomb, unsized):
        crafted = Crafted()
        pack = crafted.pack([b"aa"], compress=[0], stored={0: frame})
        tracemalloc.start()
        with pytest.raises(IntegrityError):
            READS[read](single(crafted, b"aa", [(0, 0, 1)], [pack]))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20 << 20
