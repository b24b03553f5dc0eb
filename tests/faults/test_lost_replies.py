"""Any call to the store may fail, before or after its effect: what was acknowledged stays, and again means done."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.store import Fault, FaultyMedium, When
from support.team import Team, git, read, write

from gitml.api import Registry
from gitml.errors import GitMLError
from gitml.store import store as store_room
from gitml.store.media.folder import FolderMedium

SEED = os.environ.get("GITML_TEST_SEED", "1")
FIRST = {"a.txt": b"alpha\n" * 50, "b/weights.bin": random.Random(5).randbytes(200_000)}
SECOND = {**FIRST, "c.txt": b"c"}


class Link:
    """The way to the shared store: every store that is opened below it goes over the same faulty line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.fault = Fault(None)
        self.mediums: list[FaultyMedium] = []

    @contextmanager
    def failing(self, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyMedium]:
        """Calls to the shared store fail as the script says; those to the clone's own store do not."""
        line = FaultyMedium(FolderMedium(self._folder), fault)
        real = store_room.Store.__init__

        def opened(store: store_room.Store, medium: object, **options: object) -> None:
            shared = Path(str(getattr(medium, "url", ""))).resolve() == self._folder.resolve()
            real(store, line if shared else medium, **options)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(store_room.Store, "__init__", opened)
            yield line


def prepared(base: Path) -> Team:
    team = Team(base / "team")
    team.ada.registry.register("models/a", write(base / "first", FIRST))
    team.ada.registry.push()
    write(base / "second", SECOND)
    return team


def judge(team: Team, base: Path, name: str) -> None:
    place = base / f"read-{name}"
    fresh = team.base / f"clone-{name}"
    git(base, "clone", "--quiet", str(team.remote), str(fresh))
    Registry(fresh).get("models/a@1", place / "1")
    assert read(place / "1") == FIRST
    refs = [str(one.ref) for one in Registry(fresh).list("models/a").versions]
    assert sorted(refs) == ["models/a@1", "models/a@2"], refs
    Registry(fresh).get("models/a@2", place / "2")
    assert read(place / "2") == SECOND
    Registry(fresh).verify(all=True, deep=True)
    Registry(fresh).stores.verify()


def act(team: Team, base: Path, *, offline: bool) -> None:
    team.ada.registry.register("models/a", base / "second", offline=offline)
    team.ada.registry.push()


def calls_of(base: Path, monkeypatch: pytest.MonkeyPatch, *, offline: bool) -> int:
    team = prepared(base)
    with Link(team.store).failing(Fault(None), monkeypatch) as line:
        act(team, base, offline=offline)
    judge(team, base, "whole")
    return line.calls


def fail(
    points: list[tuple[int, When, bool]], base: Path, monkeypatch: pytest.MonkeyPatch, *, offline: bool
) -> None:
    for number, (call, when, sticky) in enumerate(points):
        here = base / f"point-{number}"
        team = prepared(here)
        acknowledged = True
        with Link(team.store).failing(Fault(call, when, sticky), monkeypatch):
            try:
                act(team, here, offline=offline)
            except GitMLError as error:
                acknowledged = False
                assert error.exit_code in (7, 8), error
                assert error.message
        try:
            Registry(team.ada.folder).verify(all=True)
            if not acknowledged:
                act(team, here, offline=offline)
            judge(team, here, "after")
        except BaseException as error:
            error.add_note(f"call {call} failed {when.value} its effect, sticky={sticky}")
            raise


@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
def test_sampled_calls(offline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(tmp_path / "count", monkeypatch, offline=offline)
    assert calls > 5
    chance = random.Random(f"{SEED}-{offline}")
    points = [
        (chance.randint(1, calls), when, sticky)
        for when in When
        for sticky in (False, True)
        for _ in range(2)
    ]
    fail(points, tmp_path, monkeypatch, offline=offline)


@pytest.mark.nightly
@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
def test_every_call(offline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(tmp_path / "count", monkeypatch, offline=offline)
    points = [
        (call, when, sticky) for call in range(1, calls + 1) for when in When for sticky in (False, True)
    ]
    fail(points, tmp_path, monkeypatch, offline=offline)
