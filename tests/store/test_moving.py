"""Giving a version another layout: whatever collections come in between, it leads to its bytes at every moment."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import cycle

import pytest
from support.store import Fault, FaultyMedium, MadeSource, key, noise, reachable

from gitml.errors import AccessDenied, GitMLError, IntegrityError, NoSpace, PolicyRefused, StoreUnavailable
from gitml.store.care.condemned import write_run
from gitml.store.care.garbage import DAY_S, collect_garbage
from gitml.store.care.marking import Marking
from gitml.store.care.repack import plan_repack, repack
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.memory import MemoryMedium
from gitml.store.relocation.elapsed import Moment
from gitml.store.relocation.intents import read_intents, write_intent
from gitml.store.relocation.moving import leave_condemned, replace_root
from gitml.store.relocation.relocate import used_objects
from gitml.store.relocation.rewrite import Relayout, relocate
from gitml.store.store import Claimed, Store

NOW_S = 1_800_000_000.0
CONTENTS = {"a": noise(900, 1), "b": noise(1400, 2)}


class Between(FaultyMedium):
    """Does something before calls of given numbers."""

    def __init__(self, medium: MemoryMedium, at: dict[int, Callable[[], None]]) -> None:
        super().__init__(medium)
        self._at = at

    def _strikes(self, verb: str, name: str) -> bool:
        struck = super()._strikes(verb, name)
        self._at.get(self.calls, lambda: None)()
        return struck


def past(medium: MemoryMedium) -> Store:
    """A store in which a pack holds more than is wanted of it, so that there is something to repack."""
    store = Store(medium)
    register(store, "1", CONTENTS | {"dead": noise(3000, 3)})
    register(store, "2", CONTENTS, "1")
    medium.delete(key("1").name)
    return store


def register(store: Store, version: str, contents: dict[str, bytes], like: str | None = None) -> Root:
    earlier = None if like is None else store.root(key(like))
    claimed = store.claim(
        key(version), store.write(MadeSource(contents), earlier=[earlier] if earlier else [])
    )
    assert isinstance(claimed, Claimed)
    return claimed.root


def standing(store: Store, version: str) -> Root:
    root = store.root(key(version))
    assert root is not None
    return root


def wild_collection(medium: MemoryMedium) -> Callable[[], None]:
    """A collection that thinks, while it runs, that two weeks went by: what it condemns goes at once."""
    clock: Iterator[float] = cycle([NOW_S, NOW_S, NOW_S + 15 * DAY_S, NOW_S])

    def collect() -> None:
        collect_garbage(Store(medium), clock=lambda: next(clock))
        assert reachable(medium, key("2").name) == CONTENTS

    return collect


def repacked(medium: MemoryMedium, at: dict[int, Callable[[], None]]) -> int:
    between = Between(medium, at)
    store = Store(between)
    with contextlib.suppress(StoreUnavailable, IntegrityError):
        repack(store, plan_repack(store))
    return between.calls


def test_any_two_collections_in_a_repack() -> None:
    medium = MemoryMedium()
    past(medium)
    before = standing(Store(medium), "2")
    calls = repacked(medium, {})
    assert standing(Store(medium), "2") != before, "there has to be something to do"
    for first in range(1, calls + 1):
        for second in range(first, calls + 12):
            medium = MemoryMedium()
            past(medium)
            repacked(medium, {first: wild_collection(medium), second: wild_collection(medium)})
            assert reachable(medium, key("2").name) == CONTENTS, (
                f"lost by collections at {first} and {second}"
            )


def test_any_two_collections_while_an_acknowledged_version_is_registered_again() -> None:
    def again(at: Callable[[MemoryMedium], dict[int, Callable[[], None]]]) -> int:
        medium = MemoryMedium()
        store = past(medium)
        # As a collector does whose first look came before the version.
        write_run(medium, [used.name for used in used_objects(medium, standing(store, "2"))], NOW_S)
        between = Between(medium, at(medium))
        rerun = Store(between)
        with contextlib.suppress(StoreUnavailable):
            rerun.claim(key("2"), rerun.write(MadeSource(CONTENTS)))
        assert reachable(medium, key("2").name) == CONTENTS
        return between.calls

    calls = again(lambda medium: {})
    for first in range(1, calls + 1):
        for second in range(first, calls + 12, 3):
            again(lambda medium: {first: wild_collection(medium), second: wild_collection(medium)})  # noqa: B023


def test_an_intent_that_goes_while_a_collector_looks() -> None:
    """The root is read before it is replaced, and the intent would be looked for when it has gone."""
    medium = MemoryMedium()
    store = past(medium)
    old = standing(store, "2")
    new = relocate(medium, old, [used.name for used in used_objects(medium, old)])
    intent = write_intent(medium, key("2").name, new)

    class Replacing(FaultyMedium):
        def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
            data = super().get(name, start, end)
            if name == key("2").name:
                replaced = Store(medium)
                replace_root(medium, name, standing(replaced, "2"), new)
                medium.delete(intent)
            return data

    marking = Marking(Replacing(medium))
    marking.look()
    assert standing(store, "2") == new
    assert layout.manifest_name(new.manifest) in marking.live


def test_an_intent_is_gone_after_the_move(store: Store, medium: MemoryMedium) -> None:
    repack(store, plan_repack(store))
    assert read_intents(medium) == {}


def test_what_a_killed_operation_leaves_goes_after_four_weeks(store: Store, medium: MemoryMedium) -> None:
    old = standing(store, "2")
    new = relocate(medium, old, [used.name for used in used_objects(medium, old)])
    intent = write_intent(medium, key("2").name, new)
    manifest = layout.manifest_name(new.manifest)
    for days, is_kept in ((0, True), (27, True), (29, False)):
        collect_garbage(store, clock=lambda days=days: NOW_S + days * DAY_S)  # type: ignore[misc]
        assert (medium.head(intent) is not None) == is_kept
        assert medium.head(manifest) is not None
    for days in (30, 45, 90, 130):
        collect_garbage(store, clock=lambda days=days: NOW_S + days * DAY_S)  # type: ignore[misc]
    assert medium.head(manifest) is None and not list(medium.list("gc/"))
    assert reachable(medium, key("2").name) == CONTENTS


def test_an_intent_that_leads_nowhere_stops_no_collection(store: Store, medium: MemoryMedium) -> None:
    old = standing(store, "2")
    new = relocate(medium, old, [used.name for used in used_objects(medium, old)])
    write_intent(medium, key("2").name, new)
    medium.delete(layout.manifest_name(new.manifest))
    collect_garbage(store, clock=lambda: NOW_S)
    assert reachable(medium, key("2").name) == CONTENTS


def test_a_damaged_intent_is_told(store: Store, medium: MemoryMedium) -> None:
    name = write_intent(medium, key("2").name, standing(store, "2"))
    medium.put(name, [medium.get(name)[:-9]])
    with pytest.raises(IntegrityError, match=name):
        collect_garbage(store, clock=lambda: NOW_S)


def test_a_layout_that_is_gone_leaves_the_version_as_it_was(store: Store, medium: MemoryMedium) -> None:
    old = standing(store, "2")
    new = relocate(medium, old, [used.name for used in used_objects(medium, old)])
    write_run(medium, [layout.manifest_name(new.manifest)], NOW_S)
    medium.delete(layout.manifest_name(new.manifest))
    with pytest.raises(StoreUnavailable) as caught:
        replace_root(medium, key("2").name, old, new)
    assert caught.value.code == "objects-gone"
    assert standing(store, "2") == old and read_intents(medium) == {}


def test_an_intent_need_not_be_deletable(store: Store, medium: MemoryMedium) -> None:
    keeping = FaultyMedium(medium, Fault(call=1, sticky=True, only=frozenset({"delete"})))
    plan = plan_repack(store)
    assert repack(Store(keeping), plan).replaced == (key("2").name,)
    assert len(read_intents(medium)) == 1


@pytest.mark.parametrize("error", [AccessDenied, NoSpace])
def test_a_write_that_was_refused_leaves_no_intent(
    store: Store, medium: MemoryMedium, error: type[GitMLError]
) -> None:
    """It would keep a purge from its end for four weeks."""
    refusing = FaultyMedium(
        medium, Fault(call=1, sticky=True, only=frozenset({"put"}), error=lambda: error("no"))
    )
    plan, before = plan_repack(store), standing(store, "2")
    with pytest.raises(error):
        repack(Store(refusing), plan)
    assert standing(store, "2") == before and read_intents(medium) == {}


def test_only_the_purge_of_this_very_version_takes_its_root(store: Store, medium: MemoryMedium) -> None:
    """A purge that was refused, since the same bytes were registered meanwhile, leaves its mark."""
    old = standing(store, "2")
    medium.put(layout.purged_name(old.tree.hex), [b'{"schema": "gitml/purged/v1", "name": "roots/other"}'])
    new = Relayout(medium, {}, fresh=True).root(old, {layout.manifest_name(old.manifest)})
    assert replace_root(medium, key("2").name, old, new) == new
    body = f'{{"schema": "gitml/purged/v1", "name": "{key("2").name}"}}'.encode()
    medium.put(layout.purged_name(old.tree.hex), [body])
    assert replace_root(medium, key("2").name, new, old) is None
    assert standing(store, "2") == new, "who began the purge ends it"


def test_a_root_that_comes_after_its_purge_goes(store: Store, medium: MemoryMedium) -> None:
    root = standing(store, "2")
    manifest = layout.manifest_name(root.manifest)
    body = f'{{"schema": "gitml/purged/v1", "name": "{key("2").name}"}}'.encode()
    medium.put(layout.purged_name(root.tree.hex), [body])
    write_run(medium, [manifest], NOW_S)
    medium.delete(manifest)
    with pytest.raises(PolicyRefused):
        leave_condemned(medium, key("2").name, root)
    assert medium.head(key("2").name) is None


def test_time_goes_on_while_the_machine_sleeps() -> None:
    began = Moment()
    assert 0 <= began.elapsed_s() < 60
    assert Moment(wall_s=began.wall_s - 1000).elapsed_s() >= 1000
    assert Moment(wall_s=began.wall_s + 1000).elapsed_s() > 900
    assert Moment(monotonic_s=began.monotonic_s - 1000).elapsed_s() >= 1000


@pytest.fixture
def medium() -> MemoryMedium:
    return MemoryMedium()


@pytest.fixture
def store(medium: MemoryMedium) -> Store:
    return past(medium)
