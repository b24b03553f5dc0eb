"""One small team for all refusals of a module: what is refused changes nothing, and each test proves it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.canaries import SECRET, Door, Footprint, Outcome, call, watched
from support.team import Member, Team, write


@dataclass
class Arena:
    """A team with one model in production, contents to register, and a place outside that nobody may touch.

    Attributes:
        base: Everything that GitML may change lies below it.
        outside: A folder beside it.
        team: The remote, the store, and ada's clone.
        contents: A folder with two small files.
        before: How all of it was when the test began; None before the first one.
    """

    base: Path
    outside: Path
    team: Team
    contents: Path
    home: Path = field(default_factory=Path)
    before: Footprint | None = None

    @property
    def ada(self) -> Member:
        return self.team.ada

    def call(self, door: Door, verb: str, *words: Any, **options: Any) -> Outcome:
        """Call a verb in ada's clone under watch."""
        return self.call_in(self.ada.folder, door, verb, *words, **options)

    def call_in(self, folder: Path, door: Door, verb: str, *words: Any, **options: Any) -> Outcome:
        """Call a verb in a folder under watch."""
        with watched(self.base, self.home, outside=[self.outside]):
            return call(door, folder, verb, *words, **options)

    def footprint(self) -> Footprint:
        """Everything that a refusal must leave as it was."""
        return Footprint.of(self.base, self.outside, without=("/.cache/", "/.git/gitml/journal"))


_arenas: dict[Path, Arena] = {}


def _build(base: Path) -> Arena:
    outside = write(base / "outside", {"sentinel.txt": SECRET, "folder/other.txt": SECRET})
    inside = base / "inside"
    team = Team.prepared(inside, "arena", _work)
    return Arena(base=inside, outside=outside, team=team, contents=inside / "contents")


def _work(team: Team) -> None:
    contents = write(team.base / "contents", {"weights.bin": b"\x00\x01\x02", "README.md": b"a model\n"})
    team.ada.registry.register("models/digits", contents, metrics={"accuracy": 0.9})
    team.ada.registry.push()
    team.ada.registry.promote("models/digits@1", target="staging")
    team.ada.registry.requests.merge(1)
    team.ada.git("fetch", "--quiet", "origin")


@pytest.fixture(scope="module")
def arena_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arena")


@pytest.fixture
def arena(arena_folder: Path, environment: dict[str, str]) -> Iterator[Arena]:
    """The module's team; the test fails if it leaves anything behind."""
    if arena_folder not in _arenas:
        _arenas[arena_folder] = _build(arena_folder)
    found = _arenas[arena_folder]
    found.home = Path(environment["HOME"])
    # What a machine remembers of a store is announced once; not what these tests are about.
    before = found.before or found.footprint()
    found.before = before
    yield found
    found.before = found.footprint()
    assert before.changes(found.before) == []


@pytest.fixture
def own_arena(tmp_path: Path, environment: dict[str, str]) -> Arena:
    """A team of the test's own, to do with as it likes."""
    found = _build(tmp_path)
    found.home = Path(environment["HOME"])
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the ordinary run short: every row by two doors, the rest of the product of rows and doors every night.

    How a failure looks as JSON hangs on no row of a table, and rows that need a team of their own go through one
    parser whichever door is used.
    """
    for item in items:
        if item.path.parent != Path(__file__).parent:
            continue
        share = 10 if "[json" in item.name else 3 if "[cli" in item.name and _is_costly(item) else 1
        if zlib.crc32(item.nodeid.encode()) % share:
            item.add_marker(pytest.mark.nightly)


def _is_costly(item: pytest.Item) -> bool:
    return item.name.partition("[")[0] in ("test_abouts", "test_stage_files", "test_events_of_requests")


@pytest.fixture(params=list(Door), ids=lambda door: door.value)
def door(request: pytest.FixtureRequest) -> Door:
    found: Door = request.param
    return found
