"""Purging: what only one version uses is nowhere in the store any more, and everything else is whole."""

from __future__ import annotations

import pytest
from support.store import Died, Fault, FaultyMedium, MadeSource, key, noise, reachable

from gitml.errors import Conflict, IntegrityError, NotFound, PolicyRefused, StoreUnavailable
from gitml.store.care.garbage import collect_garbage
from gitml.store.care.purge import PurgeResult, plan_purge, purge
from gitml.store.care.repack import plan_repack, repack
from gitml.store.care.verify import verify_store
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.memory import MemoryMedium
from gitml.store.relocation.intents import write_intent
from gitml.store.store import Claimed, Store

NOW_S = 1_800_000_000.0
SHARED = noise(1_500_000, 1)
SECRET = noise(50_000, 2)
PLAIN = {"weights": SHARED, "notes": b"public"}
SPOILT = {"weights": SHARED[:700_000] + SECRET + SHARED[700_000:], "faces": noise(9_000, 3), "none": b""}


def register(store: Store, contents: dict[str, bytes], version: str, *earlier: Root) -> Root:
    claimed = store.claim(key(version), store.write(MadeSource(contents), earlier=earlier))
    assert isinstance(claimed, Claimed)
    return claimed.root


def run(store: Store, version: str = "2") -> PurgeResult:
    return purge(store, plan_purge(store, key(version)), now_s=NOW_S)


def holds(medium: MemoryMedium, secret: bytes) -> list[str]:
    """Objects with a part of the secret in them; noise is stored as it is."""
    parts = [secret[start : start + 400] for start in range(0, len(secret) - 400, 400)]
    return [name for name, _ in medium.list("") if any(part in medium.get(name) for part in parts)]


def prepared(medium: MemoryMedium) -> Store:
    """Version 2 is to go; its chunks lie in packs with those of 1 and 3, and once more in what a killed writer left."""
    store = Store(medium)
    first = register(store, PLAIN, "1")
    second = register(store, SPOILT, "2", first)
    register(store, {"weights": SHARED[200_000:], "other": noise(70_000, 4)}, "3", second)
    repack(store, plan_repack(store))
    store.write(MadeSource({"weights": SPOILT["weights"]}))
    return store


@pytest.fixture
def medium() -> MemoryMedium:
    return MemoryMedium()


@pytest.fixture
def store(medium: MemoryMedium) -> Store:
    return prepared(medium)


def check_purged(medium: MemoryMedium) -> None:
    assert holds(medium, SECRET) == []
    assert holds(medium, SPOILT["faces"]) == []
    assert reachable(medium, key("1").name) == PLAIN
    assert reachable(medium, key("3").name)["other"] == noise(70_000, 4)
    assert verify_store(Store(medium)).faults == ()
    with pytest.raises(PolicyRefused):
        Store(medium).claim(key("9"), Store(medium).write(MadeSource(SPOILT)))


def test_it_waits_for_who_is_about_to_use_what_has_to_go(store: Store, medium: MemoryMedium) -> None:
    first = store.root(key("1"))
    assert first is not None
    intent = write_intent(medium, key("1").name, first)
    with pytest.raises(StoreUnavailable) as caught:
        run(store)
    assert caught.value.context["intents"] == [intent]
    assert verify_store(store).faults == ()
    medium.delete(intent)
    run(store)
    check_purged(medium)


def test_its_bytes_are_gone_and_all_else_is_whole(store: Store, medium: MemoryMedium) -> None:
    assert len(holds(medium, SPOILT["faces"])) == 2
    listings = {version: store.root(key(version)) for version in ("1", "3")}
    plan = plan_purge(store, key("2"))
    assert plan.holders == ()
    assert 9_000 < plan.purged_bytes < 600_000
    assert not any(layout.PURGED in name for name, _ in medium.list(""))
    result = purge(store, plan, now_s=NOW_S)
    assert store.root(key("2")) is None
    assert set(plan.packs) <= set(result.deleted)
    assert set(result.replaced) == {key("1").name, key("3").name}
    for version, before in listings.items():
        after = store.root(key(version))
        assert before is not None and after is not None
        assert (after.tree, after.listing) == (before.tree, before.listing)
    check_purged(medium)


def test_only_what_is_used_otherwise_stays(store: Store, medium: MemoryMedium) -> None:
    run(store)
    collect_garbage(store, clock=lambda: NOW_S)
    collect_garbage(store, clock=lambda: NOW_S + 15 * 86400)
    assert verify_store(store).faults == ()
    assert reachable(medium, key("1").name) == PLAIN


def test_a_file_that_another_version_has_is_a_reason_to_refuse(store: Store, medium: MemoryMedium) -> None:
    register(store, {"deep/copy": SPOILT["faces"], "empty": b""}, "4")
    plan = plan_purge(store, key("2"))
    assert [(one.root, one.path) for one in plan.holders] == [(key("4").name, "deep/copy")]
    before = {name for name, _ in medium.list("")}
    with pytest.raises(Conflict):
        purge(store, plan)
    assert {name for name, _ in medium.list("")} == before


def test_what_is_not_there_cannot_be_purged(store: Store) -> None:
    with pytest.raises(NotFound):
        plan_purge(store, key("7"))


def test_again_it_is_done(store: Store, medium: MemoryMedium) -> None:
    run(store)
    before = {name: medium.get(name) for name, _ in medium.list("")}
    plan = plan_purge(store, key("2"))
    assert plan.done
    assert purge(store, plan) == PurgeResult(deleted=(), replaced=())
    assert {name: medium.get(name) for name, _ in medium.list("")} == before


def test_a_pack_that_cannot_be_read_stops_it(store: Store, medium: MemoryMedium) -> None:
    medium.put(layout.pack_name("ab" * 32), [b"no pack at all"])
    with pytest.raises(IntegrityError, match="what it holds is not known"):
        plan_purge(store, key("2"))


def test_a_tree_registered_meanwhile_is_told(store: Store, medium: MemoryMedium) -> None:
    plan = plan_purge(store, key("2"))
    register(store, {"copy": SPOILT["faces"]}, "5", store.root(key("2")))  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="registered meanwhile") as told:
        purge(store, plan, now_s=NOW_S)
    assert told.value.context["roots"] == [key("5").name]
    assert reachable(medium, key("5").name) == {"copy": SPOILT["faces"]}
    medium.delete(key("5").name)
    run(store)
    check_purged(medium)


def test_killed_at_any_call_it_is_simply_run_again() -> None:
    medium = MemoryMedium()
    store = prepared(medium)
    plan = plan_purge(store, key("2"))
    counting = FaultyMedium(medium)
    purge(Store(counting), plan, now_s=NOW_S)
    assert counting.calls > 30
    for call in range(1, counting.calls + 1, 2):
        medium = MemoryMedium()
        plan = plan_purge(prepared(medium), key("2"))
        faulty = FaultyMedium(medium, Fault(call=call, sticky=True, error=lambda: Died()))
        with pytest.raises(Died):
            purge(Store(faulty), plan, now_s=NOW_S)
        assert reachable(medium, key("1").name) == PLAIN
        run(Store(medium))
        check_purged(medium)


def test_what_a_writer_at_work_copies_meanwhile_goes_too(store: Store, medium: MemoryMedium) -> None:
    class Busy(FaultyMedium):
        def delete(self, name: str) -> bool:
            if name.startswith(layout.PACKS) and not copied:
                before = {one for one, _ in medium.list(layout.PACKS)}
                Store(medium).write(MadeSource({"again": SPOILT["faces"], "more": noise(500, 9)}))
                copied.update({one for one, _ in medium.list(layout.PACKS)} - before)
            return super().delete(name)

    copied: set[str] = set()
    result = purge(Store(Busy(medium)), plan_purge(store, key("2")), now_s=NOW_S)
    assert copied and copied <= set(result.deleted)
    check_purged(medium)


def test_a_store_that_only_says_that_it_deleted_is_told(store: Store, medium: MemoryMedium) -> None:
    class Keeping(FaultyMedium):
        def delete(self, name: str) -> bool:
            return True

    with pytest.raises(StoreUnavailable) as caught:
        purge(Store(Keeping(medium)), plan_purge(store, key("2")), now_s=NOW_S)
    assert caught.value.code == "delete-ignored"
    assert store.root(key("2")) is not None, "it is not done, and the next run takes it up again"
    medium_after = {name for name, _ in medium.list(layout.MOVING)}
    for name in medium_after:
        medium.delete(name)
    run(store)
    check_purged(medium)


def test_unreachable_store_is_said(store: Store, medium: MemoryMedium) -> None:
    faulty = FaultyMedium(medium, Fault(call=3, sticky=True))
    with pytest.raises(StoreUnavailable):
        plan_purge(Store(faulty), key("2"))
