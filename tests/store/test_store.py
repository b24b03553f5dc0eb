"""Writing trees and claiming versions: what is stored, how often, in which order, and what stands afterwards."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.store import FaultyMedium, MadeSource, key, lay_out, noise, reachable, text

from gitml.errors import Conflict, InvalidInput, NotFound, PolicyRefused, StoreUnavailable
from gitml.model.digest import tree_digest
from gitml.store.formats.manifest import EMBEDDED_LIMIT_BYTES
from gitml.store.formats.pack import split_pack
from gitml.store.formats.root import Root, encode_root
from gitml.store.media import layout
from gitml.store.media.folder import FolderMedium
from gitml.store.media.memory import MemoryMedium
from gitml.store.relocation.elapsed import Moment
from gitml.store.relocation.relocate import load_manifest, load_segment, used_objects
from gitml.store.store import Claimed, Store, Taken, open_store
from gitml.store.write.source import FolderSource

MIXED = {
    "empty": b"",
    "model/weights.bin": noise(9_000_000, 1),
    "model/notes.txt": text(300_000, 2),
    "small/a": b"1",
    "small/b": noise(65_536, 3),
    "small/c": noise(65_537, 4),
}


def store_tree(store: Store, contents: dict[str, bytes], version: str = "1", **kw: object) -> Root:
    claimed = store.claim(key(version), store.write(MadeSource(contents), **kw))  # type: ignore[arg-type]
    assert isinstance(claimed, Claimed)
    return claimed.root


def objects(medium: MemoryMedium, prefix: str = "") -> dict[str, bytes]:
    return {name: medium.get(name) for name, _ in medium.list(prefix)}


@pytest.fixture
def medium() -> MemoryMedium:
    return MemoryMedium()


@pytest.fixture
def store(medium: MemoryMedium) -> Store:
    return Store(medium)


def test_what_goes_in_comes_out(store: Store, medium: MemoryMedium) -> None:
    root = store_tree(store, MIXED)
    assert reachable(medium, key().name) == MIXED
    assert (root.files, root.size_bytes) == (len(MIXED), sum(map(len, MIXED.values())))
    assert store.root(key()) == root
    assert store.missing(root) == []


def test_tree_digest_is_that_of_the_pipeline(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "in", {**MIXED, "ünï/ço dé": b"x", "a b": b"y", "model.txt": b"z"})
    store = Store(FolderMedium(tmp_path / "store"))
    written = store.write(FolderSource([folder]))
    pipeline = r"find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0r sha256sum -- | sha256sum | cut -d' ' -f1"
    shown = subprocess.run(["bash", "-c", pipeline], cwd=folder, capture_output=True, text=True, check=True)
    assert written.root.tree.hex == shown.stdout.strip()


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=3).map(lambda name: f"f/{name}"),
        st.builds(lambda size, seed: noise(size, seed), st.integers(0, 400_000), st.integers(0, 3)),
        min_size=1,
        max_size=12,
    )
)
def test_any_tree(contents: dict[str, bytes]) -> None:
    medium = MemoryMedium()
    root = store_tree(Store(medium), contents)
    assert reachable(medium, key().name) == contents
    import hashlib

    assert root.tree == tree_digest((path, hashlib.sha256(data).digest()) for path, data in contents.items())


def test_first_objects(store: Store, medium: MemoryMedium) -> None:
    store_tree(store, {"a": b"1"})
    kinds = Counter(name.split("/")[0] for name in objects(medium))
    assert kinds == {"gitml-store.json": 1, "packs": 1, "manifests": 1, "roots": 1}
    assert json.loads(medium.get("gitml-store.json"))["format"] == 1


def test_only_empty_files(store: Store, medium: MemoryMedium) -> None:
    store_tree(store, {"a": b"", "b": b""})
    assert list(medium.list(layout.PACKS)) == []
    assert reachable(medium, key().name) == {"a": b"", "b": b""}


def test_the_same_input_gives_the_same_objects() -> None:
    contents = MIXED | {f"many/{number:04}": noise(number * 50, number) for number in range(600)}
    results = []
    for jobs in (1, 2, 7):
        medium = MemoryMedium()
        Store(medium, jobs=jobs).write(MadeSource(contents, block_bytes=1 << 18 << jobs))
        results.append(objects(medium))
    assert results[0] == results[1] == results[2]


def test_identical_files_are_stored_once(store: Store) -> None:
    one, large = noise(50_000, 1), noise(5_000_000, 2)
    written = store.write(
        MadeSource({"a": one, "b": one, "c/d": one, "x": large, "y": large, "z": large[:90_000]})
    )
    assert written.stats.new_bytes < len(one) + len(large) + 90_000
    assert written.stats.reused_bytes > 2 * len(one) + len(large)
    assert written.stats.stored_bytes < 1.01 * written.stats.new_bytes + 2000


def test_the_same_tree_again_stores_no_chunk(store: Store, medium: MemoryMedium) -> None:
    root = store_tree(store, MIXED)
    before = objects(medium)
    again = store.write(MadeSource(MIXED), earlier=[root])
    assert (again.stats.new_bytes, again.stats.packs, again.stats.stored_bytes) == (0, 0, 0)
    assert again.root.manifest == root.manifest
    assert objects(medium) == before


def test_renamed_files_are_found_by_digest(store: Store, medium: MemoryMedium) -> None:
    root = store_tree(store, MIXED)
    moved = {f"moved/{path}": data for path, data in MIXED.items()}
    written = store.write(MadeSource(moved), earlier=[root])
    assert written.stats.new_bytes == 0
    assert written.stats.packs == 0
    store.claim(key("2"), written)
    assert reachable(medium, key("2").name) == moved


@pytest.mark.parametrize("size", [1_000_000, 9_000_000])
def test_a_changed_file_stores_what_changed(store: Store, medium: MemoryMedium, size: int) -> None:
    data = noise(size, 5)
    root = store_tree(store, {"w": data, "z": b"same"})
    changed = data[: size // 2] + noise(1000, 6) + data[size // 2 :] + noise(1000, 7)
    written = store.write(MadeSource({"w": changed, "z": b"same"}), earlier=[root])
    assert written.stats.new_bytes < 800_000
    store.claim(key("2"), written)
    assert reachable(medium, key("2").name) == {"w": changed, "z": b"same"}


def test_without_an_earlier_tree_it_is_stored_again(store: Store) -> None:
    store_tree(store, {"w": noise(1_000_000, 5), "a": b""})
    assert store.write(MadeSource({"w": noise(1_000_000, 5)})).stats.new_bytes == 1_000_000


def test_damaged_earlier_trees_only_cost_space(store: Store, medium: MemoryMedium) -> None:
    root = store_tree(store, MIXED)
    medium.delete(layout.manifest_name(root.manifest))
    written = store.write(MadeSource(MIXED), earlier=[root])
    assert written.stats.new_bytes == root.size_bytes
    assert store.missing(written.root) == []


def test_compression(store: Store, medium: MemoryMedium) -> None:
    words = {f"{number}.txt": text(20_000, number) for number in range(50)}
    written = store.write(MadeSource(words | {"log": text(5_000_000, 99)}))
    assert written.stats.stored_bytes < written.stats.size_bytes * 0.6
    store.claim(key(), written)
    assert reachable(medium, key().name) == words | {"log": text(5_000_000, 99)}


def test_noise_is_stored_raw(store: Store, medium: MemoryMedium) -> None:
    store.write(MadeSource({"w": noise(3_000_000, 1)}))
    for name, data in objects(medium, layout.PACKS).items():
        _, footer = split_pack(data, None, name)
        assert set(footer.codecs) == {0}


def test_packs_fill_up(store: Store, medium: MemoryMedium) -> None:
    store.write(MadeSource({"w": noise(80 << 20, 1)}, block_bytes=16 << 20))
    sizes = [size for _, size in medium.list(layout.PACKS)]
    assert len(sizes) == 3
    assert sorted(size >> 20 for size in sizes)[1:] == [32, 32]


def test_segments_end_by_paths(store: Store, medium: MemoryMedium) -> None:
    contents = {f"file-{number:06}": b"" for number in range(60_000)}
    root = store_tree(store, contents)
    manifest = load_manifest(medium, root)
    assert manifest.embedded is None
    assert len(manifest.rows) > 2
    assert sum(row.entries for row in manifest.rows) == 60_000
    changed = contents | {"file-059999": b"changed"}
    written = store.write(MadeSource(changed), earlier=[root])
    later = load_manifest(medium, written.root)
    assert [row.segment_id for row in later.rows][:-1] == [row.segment_id for row in manifest.rows][:-1]
    assert written.stats.segments == 1
    for row in manifest.rows:
        assert load_segment(medium, manifest, row).logical_digest() == row.logical


def test_a_small_segment_is_embedded_and_a_large_one_is_not(store: Store, medium: MemoryMedium) -> None:
    small = store.write(MadeSource({f"{number:05}": b"" for number in range(100)}))
    assert load_manifest(medium, small.root).embedded is not None
    assert list(medium.list(layout.SEGMENTS)) == []
    large = store.write(MadeSource({f"{number:05}": noise(9, number) for number in range(9_000)}))
    manifest = load_manifest(medium, large.root)
    if manifest.embedded is None:
        assert all(size > EMBEDDED_LIMIT_BYTES for _, size in medium.list(layout.SEGMENTS))
    assert manifest.embedded is None


def test_wrong_order_is_a_bug_of_the_source(store: Store) -> None:
    source = MadeSource({"a": b"", "b": b""})
    files = list(source.files())
    source.files = lambda: iter(reversed(files))  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="does not come after"):
        store.write(source)


def test_a_fault_of_the_source_ends_the_write(store: Store, medium: MemoryMedium) -> None:
    with pytest.raises(Conflict):
        store.write(MadeSource(MIXED, error=Conflict("changed while it was read")))
    assert list(medium.list(layout.MANIFESTS)) == []


# -- claims


def test_claims(store: Store) -> None:
    first, second = store.write(MadeSource({"a": b"1"})), store.write(MadeSource({"a": b"2"}))
    assert store.claim(key(), first) == Claimed(root=first.root)
    assert store.claim(key(), first) == Claimed(root=first.root)
    assert store.claim(key(), second) == Taken(root=first.root)
    assert store.root(key()) == first.root
    assert store.claim(key("2"), second) == Claimed(root=second.root)
    assert [version.text for version in store.versions(key().registry, key().id.asset)] == ["1", "2"]
    assert [(found, root.tree) for found, root in store.all_roots()] == [
        (key(), first.root.tree),
        (key("2"), second.root.tree),
    ]


def test_the_same_tree_in_another_layout_is_ours(store: Store) -> None:
    root = store_tree(store, {"a": b"1"})
    written = store.write(MadeSource({"a": b"1"}))
    other = replace(written, root=replace(written.root, created="2020-01-01T00:00:00Z"))
    assert store.claim(key(), other) == Claimed(root=root)


def test_a_broken_tree_is_healed_by_its_own_writer(store: Store, medium: MemoryMedium) -> None:
    root = store_tree(store, MIXED)
    for name in objects(medium, layout.PACKS):
        medium.delete(name)
    assert store.missing(root)
    written = store.write(MadeSource(MIXED))
    written = replace(written, root=replace(written.root, created="2020-01-01T00:00:00Z"))
    store.claim(key(), written)
    assert reachable(medium, key().name) == MIXED


def test_an_object_cut_short_is_repaired(store: Store, medium: MemoryMedium) -> None:
    store_tree(store, MIXED)
    for name, data in objects(medium, layout.PACKS).items():
        medium.put(name, [data[:-1]])
    store.write(MadeSource(MIXED))
    assert reachable(medium, key().name) == MIXED


def test_purged_trees_are_refused(store: Store, medium: MemoryMedium) -> None:
    written = store.write(MadeSource({"a": b"1"}))
    medium.put(layout.purged_name(written.root.tree.hex), [b""])
    with pytest.raises(PolicyRefused):
        store.claim(key(), written)
    assert store.root(key()) is None


def test_racing_claims(store: Store) -> None:
    written = [store.write(MadeSource({"a": b"%d" % number})) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda w: store.claim(key(), w), written))
    assert sum(isinstance(result, Claimed) for result in results) == 1
    assert {result.root.tree for result in results} == {
        next(r.root.tree for r in results if isinstance(r, Claimed))
    }


def test_order_of_writes(medium: MemoryMedium) -> None:
    faulty = FaultyMedium(medium)
    store = Store(faulty)
    contents = {f"file-{number:06}": noise(20, number) for number in range(30_000)}
    store_tree(store, contents)
    kinds = [name.split("/")[0] for verb, name in faulty.log if verb == "put_if_absent"]
    assert list(dict.fromkeys(kinds)) == [
        "gitml-store.json",
        "packs",
        "segments",
        "manifests",
        "roots",
    ]
    verbs = [(verb, name.split("/")[0]) for verb, name in faulty.log]
    root_at = verbs.index(("put_if_absent", "roots"))
    assert verbs[root_at - 1] == ("head", "purged")
    assert ("list", "gc") in verbs[root_at:]


@pytest.mark.parametrize("kind", [layout.PACKS, layout.MANIFESTS, layout.SEGMENTS, ""])
def test_condemned_objects_get_new_names(store: Store, medium: MemoryMedium, kind: str) -> None:
    contents = MIXED | {f"file-{number:06}": b"" for number in range(20_000)}
    written = store.write(MadeSource(contents))
    condemned = [name for name in objects(medium, kind) if name != layout.MARKER]
    assert condemned
    medium.put(layout.CONDEMNED + "run-1", ["\n".join(condemned).encode() + b"\n"])
    claimed = store.claim(key(), written)
    assert isinstance(claimed, Claimed)
    for name in condemned:  # the collector does its work
        medium.delete(name)
    assert store.root(key()) == claimed.root
    assert claimed.root.listing == written.root.listing
    assert not {used.name for used in used_objects(medium, claimed.root)} & set(condemned)
    assert reachable(medium, key().name) == contents


def test_condemned_objects_are_not_reused(store: Store, medium: MemoryMedium) -> None:
    root = store_tree(store, MIXED)
    condemned = [name for name in objects(medium) if name.startswith((layout.PACKS, layout.MANIFESTS))]
    medium.put(layout.CONDEMNED + "run-1", ["\n".join(condemned).encode()])
    written = store.write(MadeSource(MIXED), earlier=[root])
    for name in condemned:
        medium.delete(name)
    assert store.missing(written.root) == []


def test_an_old_write_looks_at_all_it_uses(store: Store, medium: MemoryMedium) -> None:
    written = replace(store.write(MadeSource(MIXED)), started=Moment(monotonic_s=-1e9))
    for name in objects(medium, layout.PACKS):
        medium.delete(name)
    with pytest.raises(StoreUnavailable):
        store.claim(key(), written)
    assert store.root(key()) is None


def test_missing_names_what_is_missing(store: Store, medium: MemoryMedium) -> None:
    root = store_tree(store, MIXED)
    (pack,) = objects(medium, layout.PACKS)
    medium.delete(pack)
    assert store.missing(root) == [pack]
    medium.delete(layout.manifest_name(root.manifest))
    assert store.missing(root) == [layout.manifest_name(root.manifest)]


def test_stores_of_another_format_are_refused(store: Store, medium: MemoryMedium) -> None:
    medium.put(layout.MARKER, [b'{"schema": "gitml/store/v2", "format": 2}'])
    with pytest.raises(InvalidInput, match="needs GitML >="):
        store.write(MadeSource({"a": b"1"}))


def test_strange_roots_are_not_listed(store: Store, medium: MemoryMedium) -> None:
    root = store_tree(store, {"a": b"1"})
    medium.put("roots/r/models/digits/bad version", [encode_root(root)])
    medium.put("roots/other", [encode_root(root)])
    assert [found for found, _ in store.all_roots()] == [key()]


def test_no_root(store: Store) -> None:
    assert store.root(key()) is None
    assert store.versions(key().registry, key().id.asset) == []
    with pytest.raises(NotFound):
        reachable(store.medium, key().name)


def test_opening(tmp_path: Path) -> None:
    for url in (str(tmp_path / "s"), f"file://{tmp_path}/s", "s"):
        assert open_store(url, base=tmp_path).url == str(tmp_path / "s")
    assert open_store("s3://bucket/prefix").url == "s3://bucket/prefix"


def test_reading_back_through_the_reader(store: Store) -> None:
    root = store_tree(store, MIXED)
    tree = store.tree(root)
    assert {entry.path: entry.size_bytes for entry in tree.entries()} == {p: len(d) for p, d in MIXED.items()}
    for path, data in MIXED.items():
        with tree.open(path) as stream:
            assert stream.read() == data
