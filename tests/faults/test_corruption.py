"""Every byte of a small store, damaged in every way: wrong bytes are never placed, and what is wrong is named."""

from __future__ import annotations

import json
import os
import random
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.canaries import Door, Outcome, assert_refused, call
from support.team import Team, read, write

from gitml.errors import IntegrityError

SEED = os.environ.get("GITML_TEST_SEED", "1")
CONTENTS = {"a.txt": b"alpha\n" * 50, "b/weights.bin": random.Random(3).randbytes(900), "c.txt": b""}
OTHER = {"a.txt": b"other\n" * 50, "b/weights.bin": random.Random(4).randbytes(900), "d.txt": b"d"}


@dataclass
class Small:
    """A store of two versions, and the objects that the first one needs."""

    team: Team
    objects: dict[str, bytes]
    needed: tuple[str, ...]
    places: int = 0

    def restore(self) -> None:
        for path in [path for path in self.team.store.rglob("*") if path.is_file()]:
            if path.relative_to(self.team.store).as_posix() not in self.objects:
                path.unlink()
        for name, data in self.objects.items():
            path = self.team.store / name
            if not path.exists() or path.read_bytes() != data:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    def place(self) -> Path:
        self.places += 1
        return self.team.base / f"place-{self.places}"

    def get(self, door: Door) -> tuple[Outcome, Path]:
        place = self.place()
        return call(door, self.team.ada.folder, "get", "models/a@1", output=place), place


_small: dict[Path, Small] = {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small")


@pytest.fixture
def small(folder: Path, environment: dict[str, str]) -> Small:
    if folder not in _small:
        team = Team(folder / "team")
        team.ada.registry.register("models/a", write(folder / "a", CONTENTS))
        mine = {path for path in team.store.rglob("*") if path.is_file()}
        team.ada.registry.register("models/b", write(folder / "b", OTHER))
        objects = {
            path.relative_to(team.store).as_posix(): path.read_bytes()
            for path in sorted(team.store.rglob("*"))
            if path.is_file()
        }
        needed = tuple(sorted(path.relative_to(team.store).as_posix() for path in mine))
        _small[folder] = Small(team, objects, tuple(name for name in needed if name != "gitml-store.json"))
    found = _small[folder]
    found.restore()
    return found


def judge(small: Small, name: str, damage: str, door: Door = Door.PYTHON) -> None:
    """After damage to an object of models/a@1: reads give the right bytes or none, and verifying names it."""
    try:
        outcome, place = small.get(door)
        placed = read(place) if place.exists() else {}
        assert all(CONTENTS[path] == data for path, data in placed.items()), "wrong bytes were placed"
        if outcome.exit_code == 0:
            assert placed == CONTENTS
        else:
            assert_refused(outcome, refusals(small, name, damage))
            assert name.rpartition("/")[2][:12] in outcome.said and re.search(
                "models/a[@/]1", outcome.said
            ), outcome.said
        deep = call(door, small.team.ada.folder, "verify", "models/a@1", deep=True)
        whole = call(door, small.team.ada.folder, "stores.verify")
        # A read may not need what is damaged, such as the unused part of a pack; judging the store must see it.
        if name.startswith("roots/") and is_sound(small, name, damage):
            return
        assert_refused(whole, refusals(small, name, damage))
        assert name.rpartition("/")[2][:12] in whole.said, whole.said
        if outcome.exit_code:
            assert_refused(deep, refusals(small, name, damage))
            assert re.search("models/a[@/]1", deep.said), deep.said
    except BaseException as error:
        error.add_note(f"{name}: {damage}")
        raise


def refusals(small: Small, name: str, damage: str) -> tuple[int, ...]:
    """Exit codes that are right. A root has no digest: some damage makes it another root, or none, without a trace."""
    if not name.startswith("roots/"):
        return (6,)
    if damage == "gone":
        return (4, 6)  # or never pushed
    newer = re.search(rb'"gitml/root/v(?!1")\d+"', (small.team.store / name).read_bytes())
    return (3, 6) if newer else (6,)


def is_sound(small: Small, name: str, damage: str) -> bool:
    """Whether a store cannot know: a root is gone, is another's, or only tells another time of its making."""
    if damage == "gone" or (damage.startswith("replaced") and "roots/" in damage):
        return True
    try:
        now = json.loads((small.team.store / name).read_bytes())
        was = json.loads(small.objects[name])
    except (OSError, ValueError):
        return False
    return isinstance(now, dict) and {**now, "created": ""} == {**was, "created": ""}


def flipped(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]


def damages(data: bytes) -> list[tuple[str, bytes | None]]:
    """Every flip of a byte, every shorter length, more bytes, nothing."""
    found: list[tuple[str, bytes | None]] = [
        (f"byte {place} flipped", flipped(data, place, place % 8)) for place in range(len(data))
    ]
    found += [(f"cut to {length}", data[:length]) for length in range(len(data))]
    found += [("garbage appended", data + b"\0"), ("zeroed", bytes(len(data))), ("gone", None)]
    return found


def apply(small: Small, name: str, data: bytes | None) -> None:
    path = small.team.store / name
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)


def test_sampled_damage(small: Small) -> None:
    chance = random.Random(SEED)
    for name in small.needed:
        found = damages(small.objects[name])
        for damage, data in [*chance.sample(found, 6), *found[-3:]]:
            apply(small, name, data)
            judge(small, name, damage, chance.choice(list(Door)))
            small.restore()


@pytest.mark.nightly
def test_all_damage(small: Small) -> None:
    for name in small.needed:
        for damage, data in damages(small.objects[name]):
            apply(small, name, data)
            judge(small, name, damage)
            small.restore()


def test_swapped_objects(small: Small) -> None:
    """Any other object of the store in the place of one, whole and in order, is not that one."""
    for name in small.needed:
        for other, data in small.objects.items():
            if other != name:
                apply(small, name, data)
                judge(small, name, f"replaced by {other}")
                small.restore()


def test_duplicates_under_other_names_do_no_harm(small: Small) -> None:
    for name, data in small.objects.items():
        parent, _, base = name.rpartition("/")
        if base != "gitml-store.json":
            stranger = small.team.store / parent / ("f" * 64 if len(base) == 64 else base + ".copy")
            stranger.write_bytes(data)
    outcome, place = small.get(Door.PYTHON)
    assert outcome.exit_code == 0 and read(place) == CONTENTS
    assert_refused(call(Door.PYTHON, small.team.ada.folder, "stores.verify"), 6)


def test_without_the_marker(small: Small) -> None:
    """Readers never need the object that says which format the store has."""
    (small.team.store / "gitml-store.json").unlink()
    outcome, place = small.get(Door.CLI)
    assert outcome.exit_code == 0 and read(place) == CONTENTS


def test_one_file_from_a_damaged_store(small: Small) -> None:
    """What is not damaged can still be read, alone."""
    pack = next(name for name in small.needed if name.startswith("packs/"))
    data = small.objects[pack]
    at = data.index(CONTENTS["b/weights.bin"][:50])
    apply(small, pack, flipped(data, at + 10, 0))
    assert_refused(
        call(Door.CLI, small.team.ada.folder, "get", "models/a@1:b/weights.bin", output=small.place()), 6
    )
    with (
        pytest.raises(IntegrityError),
        small.team.ada.registry.open("models/a@1:b/weights.bin") as stream,
    ):
        stream.read()
    with small.team.ada.registry.open("models/a@1:a.txt") as stream:
        assert stream.read() == CONTENTS["a.txt"]


def test_registering_the_same_bytes_repairs(small: Small, folder: Path) -> None:
    """An object that is there under its name, but missing or cut short, is written again by whoever has its bytes."""
    for number, name in enumerate(one for one in small.needed if not one.startswith("roots/")):
        for damage, data in (("gone", None), ("cut", small.objects[name][:-1]), ("empty", b"")):
            apply(small, name, data)
            other = f"models/again-{number}-{damage}"
            outcome = call(Door.PYTHON, small.team.ada.folder, "register", other, folder / "a")
            assert outcome.exit_code == 0, outcome.said
            got, place = small.get(Door.PYTHON)
            assert got.exit_code == 0 and read(place) == CONTENTS, (name, damage, got.said)
            small.restore()


@pytest.mark.parametrize("damages", [2, pytest.param(6, marks=pytest.mark.nightly)])
def test_damaged_local_state_is_rebuilt(small: Small, folder: Path, damages: int) -> None:
    """Caches and the journal in the clone may say anything: they are never believed."""
    state = small.team.ada.folder / ".git/gitml"
    place = small.place()
    assert call(Door.PYTHON, small.team.ada.folder, "get", "models/a@1", output=place).exit_code == 0
    chance = random.Random(SEED)
    files = [path for path in state.rglob("*") if path.is_file()]
    assert files
    for path in files:
        good = path.read_bytes()
        half, zeros, noise = good[: len(good) // 2], bytes(len(good)), chance.randbytes(200)
        for bad in chance.sample([b"", zeros, half, noise, b"{}\n", b"\x80\x04."], damages):
            path.write_bytes(bad)
            (place / "a.txt").write_bytes(CONTENTS["a.txt"])
            assert call(Door.PYTHON, small.team.ada.folder, "status").exit_code == 0
            done = call(Door.PYTHON, small.team.ada.folder, "get", "models/a@1", output=place)
            assert done.exit_code in (0, 5), done.said
            assert read(place) == CONTENTS
            assert (
                call(Door.PYTHON, small.team.ada.folder, "register", "models/a", folder / "a").exit_code == 0
            )
        path.write_bytes(good)


def test_root_of_another_version(small: Small) -> None:
    """A root that names another tree does not make that tree the version."""
    mine, theirs = (next(n for n in small.objects if n.startswith("roots/") and f"/{a}/" in n) for a in "ab")
    apply(small, mine, small.objects[theirs])
    outcome, place = small.get(Door.CLI)
    assert_refused(outcome, 6)
    assert not place.exists() or read(place) == {}
