"""Repacking: fewer and fuller packs, the same trees, and readers that notice nothing."""

from __future__ import annotations

import pytest
from support.store import Died, Fault, FaultyMedium, MadeSource, key, noise, reachable, text

from gitml.errors import IntegrityError, StoreUnavailable
from gitml.store.care.garbage import DAY_S, collect_garbage
from gitml.store.care.repack import RepackResult, plan_repack, repack
from gitml.store.care.verify import verify_store
from gitml.store.formats.manifest import EMBEDDED_LIMIT_BYTES
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.memory import MemoryMedium
from gitml.store.relocation.moving import replace_root
from gitml.store.store import Claimed, Store

NOW_S = 1_800_000_000.0


def register(store: Store, contents: dict[str, bytes], version: str, *earlier: Root) -> Root:
    claimed = store.claim(key(version), store.write(MadeSource(contents), earlier=earlier))
    assert isinstance(claimed, Claimed)
    return claimed.root


def growing(store: Store, versions: int = 6) -> dict[str, dict[str, bytes]]:
    """Versions that each add some files: a small pack each."""
    contents: dict[str, bytes] = {"big": noise(900_000, 77), "empty": b""}
    made: dict[str, dict[str, bytes]] = {}
    earlier: list[Root] = []
    for number in range(1, versions + 1):
        contents = contents | {f"f{number}": noise(3000 * number, number), f"t{number}": text(90_000, number)}
        earlier = [register(store, contents, str(number), *earlier)]
        made[str(number)] = contents
    return made


def run(store: Store, **kw: int) -> RepackResult:
    return repack(store, plan_repack(store, **kw))


def packs(medium: MemoryMedium) -> set[str]:
    return {name for name, _ in medium.list(layout.PACKS)}


def collect(store: Store) -> None:
    for days in (0, 15):
        collect_garbage(store, clock=lambda days=days: NOW_S + days * DAY_S)  # type: ignore[misc]


@pytest.fixture
def medium() -> MemoryMedium:
    return MemoryMedium()


@pytest.fixture
def store(medium: MemoryMedium) -> Store:
    return Store(medium)


def test_small_packs_become_one(store: Store, medium: MemoryMedium) -> None:
    made = growing(store)
    before, roots = packs(medium), {version: store.root(key(version)) for version in made}
    assert len(before) == 6
    result = run(store)
    assert result.packs_written == 1
    assert set(result.replaced) == {key(version).name for version in made}
    assert before < packs(medium), "nothing is deleted here"
    collect(store)
    assert len(packs(medium)) == 1
    for version, contents in made.items():
        assert reachable(medium, key(version).name) == contents
        old, new = roots[version], store.root(key(version))
        assert old is not None and new is not None
        assert (new.tree, new.listing, new.size_bytes, new.files, new.created) == (
            old.tree, old.listing, old.size_bytes, old.files, old.created,
        )  # fmt: skip
        assert new.manifest != old.manifest
    assert verify_store(store).faults == ()


def test_again_there_is_nothing_to_do(store: Store, medium: MemoryMedium) -> None:
    growing(store)
    run(store)
    before = {name for name, _ in medium.list("")}
    assert not plan_repack(store).uses
    assert run(store).replaced == ()
    assert {name for name, _ in medium.list("")} == before


def test_dead_chunks_are_left_behind(store: Store, medium: MemoryMedium) -> None:
    root = register(store, {"kept": noise(200_000, 1), "gone": noise(4_000_000, 2)}, "1")
    register(store, {"kept": noise(200_000, 1)}, "2", root)
    medium.delete(key("1").name)
    plan = plan_repack(store)
    assert plan.kept_bytes == 200_000 and plan.size_bytes > 4_200_000
    repack(store, plan)
    collect(store)
    assert sum(size for _, size in medium.list(layout.PACKS)) < 210_000
    assert reachable(medium, key("2").name) == {"kept": noise(200_000, 1)}


def test_a_full_pack_is_left_alone(store: Store) -> None:
    register(store, {"a": noise(300_000, 1)}, "1")
    register(store, {"b": noise(300_000, 2)}, "2")
    assert not plan_repack(store, small_bytes=100_000).uses


def test_equal_chunks_of_two_packs_are_stored_once(store: Store, medium: MemoryMedium) -> None:
    data = noise(700_000, 5)
    register(store, {"a": data}, "1")
    register(store, {"b": data + b"!"}, "2")
    assert sum(size for _, size in medium.list(layout.PACKS)) > 1_400_000
    run(store)
    collect(store)
    assert sum(size for _, size in medium.list(layout.PACKS)) < 900_000
    assert reachable(medium, key("1").name) == {"a": data}
    assert reachable(medium, key("2").name) == {"b": data + b"!"}


def test_many_segments_and_shared_ones(store: Store, medium: MemoryMedium) -> None:
    contents = {f"d/{number:06}": b"%d" % number for number in range(40_000)}
    root = register(store, contents, "1")
    register(store, contents | {"z": b"more"}, "2", root)
    register(store, {"only": b"embedded"}, "3")
    run(store)
    collect(store)
    assert len(packs(medium)) == 1
    assert reachable(medium, key("2").name) == contents | {"z": b"more"}
    assert reachable(medium, key("1").name) == contents
    assert reachable(medium, key("3").name) == {"only": b"embedded"}
    assert verify_store(store).faults == ()


def test_a_segment_may_outgrow_its_manifest(
    store: Store, medium: MemoryMedium, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = growing(store, 2)
    monkeypatch.setattr("gitml.store.relocation.rewrite.EMBEDDED_LIMIT_BYTES", 10)
    assert EMBEDDED_LIMIT_BYTES > 10 and not list(medium.list(layout.SEGMENTS))
    run(store)
    assert len(list(medium.list(layout.SEGMENTS))) == 2
    assert reachable(medium, key("2").name) == made["2"]
    assert verify_store(store).faults == ()


def test_a_reader_that_began_before_goes_on(store: Store, medium: MemoryMedium) -> None:
    made = growing(store)
    root = store.root(key("6"))
    assert root is not None
    reader = store.tree(root)
    stream = reader.stream(reader.entries())
    found = {}
    for number, (entry, blocks) in enumerate(stream):
        if number == 1:
            run(store)
            collect_garbage(store, clock=lambda: NOW_S)
        found[entry.path] = b"".join(blocks)
    assert found == made["6"]


def test_a_damaged_chunk_stops_it_before_any_version_changes(store: Store, medium: MemoryMedium) -> None:
    made = growing(store, 3)
    name = max(packs(medium), key=lambda name: medium.head(name) or 0)
    data = bytearray(medium.get(name))
    data[100] ^= 1
    medium.put(name, [data])
    roots = {version: store.root(key(version)) for version in made}
    with pytest.raises(IntegrityError) as caught:
        run(store)
    assert name in caught.value.message and caught.value.hint
    assert {version: store.root(key(version)) for version in made} == roots


def test_a_version_that_went_meanwhile_stays_gone(store: Store, medium: MemoryMedium) -> None:
    growing(store, 3)
    plan = plan_repack(store)
    medium.delete(key("2").name)
    result = repack(store, plan)
    assert result.skipped == (key("2").name,)
    assert store.root(key("2")) is None


def test_what_was_condemned_meanwhile_is_stored_again(store: Store, medium: MemoryMedium) -> None:
    made = growing(store, 2)
    first = store.root(key("1"))
    assert first is not None
    medium.put(f"{layout.CONDEMNED}20270101T000000Z-0", [layout.manifest_name(first.manifest).encode()])
    moved = replace_root(medium, key("1").name, first, first)
    assert moved is not None and moved.manifest != first.manifest
    assert store.root(key("1")) == moved
    assert reachable(medium, key("1").name) == made["1"]


def test_killed_at_any_call_it_is_simply_run_again() -> None:
    def prepared() -> tuple[MemoryMedium, FaultyMedium, dict[str, dict[str, bytes]]]:
        medium = MemoryMedium()
        made = growing(Store(medium), 3)
        return medium, FaultyMedium(medium), made

    _, counting, _ = prepared()
    run(Store(counting))
    for error in (lambda: Died(), lambda: StoreUnavailable("gone")):
        for call in range(1, counting.calls + 1):
            medium, faulty, made = prepared()
            faulty.fault = Fault(call=call, sticky=True, error=error)
            try:
                run(Store(faulty))
            except (Died, StoreUnavailable):
                pass
            else:
                assert call == counting.calls, "only an intent may stay without a word"
            for version, contents in made.items():
                assert reachable(medium, key(version).name) == contents
            run(Store(medium))
            collect(Store(medium))
            assert len(packs(medium)) == 1
            for version, contents in made.items():
                assert reachable(medium, key(version).name) == contents
