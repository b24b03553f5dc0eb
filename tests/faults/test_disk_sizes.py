"""A disk of each of 64 sizes in each of four places: a command works or ends with exit 11, says what it needs and
where, keeps what was there, gives back the room that it does not need again, and works once the disk is larger."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.canaries import Outcome, assert_refused, typed
from support.remote import place as server_place
from support.team import Member, Team, git, read, write

from gitml.api import Registry
from gitml.store.care.verify import verify_store
from gitml.store.media.folder import FolderMedium
from gitml.store.store import Store

SEED = os.environ.get("GITML_TEST_SEED", "1")
KIB, MIB = 1 << 10, 1 << 20
LARGE = {f"{number}.bin": random.Random(number).randbytes(6 * MIB) for number in range(4)}
MANY = {f"{number:04}.txt": random.Random(number).randbytes(200) for number in range(1000)}

Mount = Callable[[int], Path]


@dataclass(frozen=True)
class Bench:
    """A team, and a disk that is one of its places."""

    team: Team
    mount: Mount
    patch: pytest.MonkeyPatch

    @property
    def disk(self) -> Path:
        return self.team.base.parent / "disk"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(size_bytes: int) -> Path:
        again = "remount," if disk.is_mount() else ""
        line = ["mount", "-t", "tmpfs", "-o", f"{again}size={size_bytes}", "tmpfs", str(disk)]
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
        return disk

    yield Bench(Team(tmp_path / "team"), mount, monkeypatch)
    if disk.is_mount():
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def free_bytes(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def refused_for_room(outcome: Outcome, where: Path) -> None:
    """Exit 11 in one line that says where, and how much is needed where that is known."""
    assert_refused(outcome, 11)
    assert str(where) in outcome.message + outcome.hint, outcome.said


def only_whole_objects(store: Path, free_before: int) -> None:
    """What stays of a failed write are packs that the next run need not send again; all other room is given back."""
    kept = [path for path in store.rglob("*") if path.is_file()]
    assert not [path for path in kept if path.name.startswith(".")], kept
    assert verify_store(Store(FolderMedium(store))).faults == ()
    assert free_bytes(store) >= free_before - sum(path.stat().st_size for path in kept) - MIB


def registers(bench: Bench, member: Member, store: Path, limit_bytes: int, *options: str) -> None:
    """Register what may not fit, then with room enough."""
    small, large = write(bench.disk.parent / "small", {"a": b"a"}), write(bench.disk.parent / "large", LARGE)
    assert typed(member.folder, "register", "models/small", str(small), *options).exit_code == 0
    head, free = git(member.folder, "rev-parse", "HEAD"), free_bytes(bench.disk)
    line = ("register", "models/large", str(large), *options)
    outcome = typed(member.folder, *line)
    needed = sum(map(len, LARGE.values()))
    assert ("warning: the contents have 24.0 MiB" in outcome.said) == (needed > free), outcome.said
    if outcome.exit_code:
        refused_for_room(outcome, store)
        assert "bytes are needed" in outcome.message, outcome.said
        assert git(member.folder, "rev-parse", "HEAD") == head
        assert git(member.folder, "status", "--porcelain") == ""
        only_whole_objects(store, free)
        assert Registry(member.folder).verify(all=True, deep=True).versions == 1
        assert needed > free - 2 * MIB, f"{limit_bytes} would have been enough"
        bench.mount(4 * needed)
        assert typed(member.folder, *line).exit_code == 0
    got = bench.disk.parent / "got"
    assert typed(member.folder, "get", "models/large@1", "-o", str(got)).exit_code == 0
    assert read(got) == LARGE


def in_store(bench: Bench, limit_bytes: int) -> None:
    disk = bench.mount(limit_bytes)
    shutil.rmtree(bench.team.store, ignore_errors=True)
    (disk / "store").mkdir()
    bench.team.store.symlink_to(disk / "store")
    registers(bench, bench.team.ada, bench.team.store, limit_bytes)


def in_repository(bench: Bench, limit_bytes: int) -> None:
    """A clone that keeps the bytes itself."""
    disk = bench.mount(limit_bytes)
    git(disk, "clone", "--quiet", str(bench.team.remote), "ada")
    registers(bench, Member(disk / "ada"), disk / "ada/.git/gitml/store", limit_bytes, "--offline")


def reads(bench: Bench, name: str) -> None:
    """Read from a server what is not here."""
    got = bench.disk.parent / f"got-{name}"
    assert typed(bench.team.ada.folder, "get", "datasets/many@1", "-o", str(got)).exit_code == 0
    assert read(got) == MANY


def in_cache(bench: Bench, limit_bytes: int) -> None:
    """Trouble with the cache is no error, and what it could keep of a read is right."""
    there = server_place("moto", bench.patch)
    bench.patch.setenv("GITML_STORE_DEFAULT_URL", there.url)
    bench.patch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
    many = write(bench.disk.parent / "many", MANY)
    bench.patch.setenv("GITML_CACHE_SIZE", "0")
    assert typed(bench.team.ada.folder, "register", "datasets/many", str(many)).exit_code == 0
    bench.patch.setenv("GITML_CACHE_SIZE", "1GiB")
    disk = bench.mount(limit_bytes)
    bench.patch.setenv("GITML_CACHE_DIR", str(disk / "cache"))
    reads(bench, "cold")
    assert not [path for path in disk.rglob("*") if path.is_file() and len(path.name) != 64]
    reads(bench, "warm")
    bench.mount(64 * MIB)
    reads(bench, "again")
    assert list(disk.rglob("manifests/*")), "with room it keeps what it read"


def in_temp(bench: Bench, limit_bytes: int) -> None:
    """What git needs for a while is small: most of it fits on any disk."""
    folder = bench.team.ada.folder
    for name in ("one", "two"):
        contents = write(bench.disk.parent / name, {"a": name.encode(), "README.md": b"r" * 60_000})
        assert typed(folder, "register", f"models/{name}", str(contents)).exit_code == 0
    assert typed(folder, "push").exit_code == 0
    disk = bench.mount(limit_bytes)
    bench.patch.setenv("TMPDIR", str(disk))
    bench.patch.setattr("tempfile.tempdir", None)
    for line in (
        ("register", "models/three", str(bench.disk.parent / "two")),
        ("promote", "models/one", "models/two", "-t", "staging"),
        ("pr", "merge", "1"),
    ):
        outcome = typed(folder, *line)
        if outcome.exit_code:
            assert_refused(outcome, 11)
            bench.mount(64 * MIB)
            assert typed(folder, *line).exit_code == 0
        assert list(disk.iterdir()) == []
    assert Registry(folder).show("models/two@staging").ref


PLACES: dict[str, tuple[Callable[[Bench, int], None], int]] = {
    "store": (in_store, MIB),
    "repository": (in_repository, MIB),
    "cache": (in_cache, 4 * KIB),
    "temp": (in_temp, 4 * KIB),
}
"""Where the disk is, and the step between two of its sizes: the caches' lists and git's temporary files are small."""


@pytest.mark.parametrize("name", PLACES)
def test_a_small_disk(name: str, bench: Bench) -> None:
    run, step = PLACES[name]
    run(bench, step * random.Random(f"disk-{SEED}-{name}").randint(2, 20))


@pytest.mark.nightly
@pytest.mark.parametrize("steps", range(1, 65))
@pytest.mark.parametrize("name", PLACES)
def test_a_disk_of_every_size(name: str, steps: int, bench: Bench) -> None:
    run, step = PLACES[name]
    run(bench, step * steps)
