"""Damage to the git side of a registry: objects, refs, the index and GitML's own records in a clone.

Whatever is damaged, a command gives what is right or says in its usual form what is wrong; nothing is lost that was
not damaged, and with the file as it was everything works again.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.canaries import Door, Outcome, assert_refused, call
from support.team import Team, git, read, write

SEED = os.environ.get("GITML_TEST_SEED", "1")
CONTENTS = {"a.txt": b"alpha\n" * 50, "b.bin": random.Random(3).randbytes(900)}
SECOND = {**CONTENTS, "c.txt": b"c"}
TOLD = (2, 3, 4, 5, 6, 7, 9, 10, 12)
"""Exit codes that a damage may be told by: a setting that is lost is one that was never made. 70 would be a bug."""

DAMAGES: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "gone": lambda data, chance: None,
    "empty": lambda data, chance: b"",
    "half": lambda data, chance: data[: len(data) // 2],
    "flipped": lambda data, chance: flipped(data, chance.randrange(max(len(data), 1))),
    "zeros": lambda data, chance: bytes(len(data)),
    "noise": lambda data, chance: chance.randbytes(len(data)),
    "longer": lambda data, chance: data + b"garbage",
}


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :] if data else data


@dataclass
class Clone:
    """A clone that can be put back, with everything it needs in its own `.git`."""

    team: Team
    base: Path

    @property
    def folder(self) -> Path:
        return self.team.ada.folder

    def restore(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self.base / "template", self.folder, symlinks=True)

    def files(self) -> list[str]:
        """What a damage can befall: not hooks and descriptions, which git does not read."""
        top = self.folder / ".git"
        found = sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())
        skipped = ("hooks/", "description", "info/", "COMMIT_EDITMSG", "logs/", "gitml/store")
        return [name for name in found if not name.startswith(skipped)]


_clone: dict[Path, Clone] = {}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("git-damage")


@pytest.fixture
def clone(base: Path, environment: dict[str, str]) -> Clone:
    if base not in _clone:
        team = Team(base / "team")
        team.ada.registry.register("models/a", write(base / "one", CONTENTS))
        team.ada.registry.register("models/a", write(base / "two", SECOND))
        team.ada.registry.push()
        git(team.ada.folder, "branch", "other")
        assert call(Door.PYTHON, team.ada.folder, "pull").exit_code == 0  # leaves records of what was placed
        shutil.copytree(team.ada.folder, base / "template", symlinks=True)
        _clone[base] = Clone(team, base)
    found = _clone[base]
    found.restore()
    return found


def tell(outcome: Outcome) -> None:
    if outcome.exit_code:
        assert_refused(outcome, TOLD)


def judge(clone: Clone, door: Door, number: int) -> None:
    """Reads give the right bytes or say why not; a write does its work or leaves everything as it was."""
    place = clone.base / f"place-{number}"
    outcome = call(door, clone.folder, "get", "models/a@1", output=place)
    tell(outcome)
    assert outcome.exit_code or read(place) == CONTENTS
    shutil.rmtree(place, ignore_errors=True)
    for verb, words in (("list", ()), ("show", ("models/a@2",)), ("status", ()), ("history", ("models/a",))):
        tell(call(door, clone.folder, verb, *words))
    tell(call(door, clone.folder, "verify", all=True))
    tell(call(door, clone.folder, "register", "models/b", clone.base / "one"))
    tell(call(door, clone.folder, "push"))


def tried(clone: Clone, name: str, damage: str, number: int) -> None:
    chance = random.Random(f"{SEED}-{name}-{damage}")
    path = clone.folder / ".git" / name
    data = DAMAGES[damage](path.read_bytes(), chance)
    path.chmod(0o644)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    try:
        judge(clone, chance.choice([Door.PYTHON, Door.CLI]), number)
        remote = git(clone.team.remote, "rev-parse", "main")
        git(clone.team.remote, "fsck", "--strict", "--no-dangling", "--no-progress")
        clone.restore()
        assert call(Door.PYTHON, clone.folder, "get", "models/a@2", output=clone.base / "w").exit_code == 0
        assert read(clone.base / "w") == SECOND
        git(clone.team.remote, "merge-base", "--is-ancestor", git(clone.folder, "rev-parse", "main"), remote)
        git(clone.team.remote, "update-ref", "refs/heads/main", git(clone.folder, "rev-parse", "main"))
    except BaseException as error:
        error.add_note(f"{name}: {damage}")
        raise


def every(clone: Clone) -> list[tuple[str, str]]:
    return [(name, damage) for name in clone.files() for damage in DAMAGES]


def try_all(clone: Clone, chosen: list[tuple[str, str]]) -> None:
    failed = []
    for number, (name, damage) in enumerate(chosen):
        clone.restore()
        try:
            tried(clone, name, damage, number)
        except Exception as error:
            failed.append(f"{name}: {damage}: {type(error).__name__}: {str(error)[:300]}")
    assert not failed, f"{len(failed)} of {len(chosen)}:\n" + "\n".join(failed)


def test_sampled_damage(clone: Clone) -> None:
    try_all(clone, random.Random(f"git-{SEED}").sample(every(clone), 5))


@pytest.mark.nightly
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_file(damage: str, clone: Clone) -> None:
    try_all(clone, [one for one in every(clone) if one[1] == damage])
