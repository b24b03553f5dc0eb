"""Everything that the program does with a store, once on each real server."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from support.cli import InFolder
from support.remote import SCHEMES, Place, place
from support.team import Team, git, read, write

from gitml.store.care.garbage import DAY_S, collect_garbage
from gitml.store.relocation.relocate import used_objects
from gitml.store.store import Store

ONE = {f"{number:03}.bin": random.Random(number).randbytes(3000) for number in range(60)}
TWO = {**ONE, "big.bin": random.Random(1).randbytes(1 << 20)}


@pytest.fixture(
    params=[name if name == "ceph" else pytest.param(name, marks=pytest.mark.nightly) for name in SCHEMES]
)
def there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    found = place(request.param, monkeypatch)
    monkeypatch.setenv("GITML_STORE_DEFAULT_URL", found.url)
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", found.endpoint_url)
    return found


def test_the_whole_life_of_a_store(there: Place, tmp_path: Path) -> None:
    team = Team(tmp_path / "team", store=False)
    gitml, store = InFolder(team.ada.folder), Store(there.open())
    for name, contents in (("one", ONE), ("two", TWO)):
        write(tmp_path / name, contents)
    gitml.ok("register", "datasets/x", str(tmp_path / "one"))
    gitml.ok("register", "datasets/x", str(tmp_path / "two"), "--offline")
    gitml.ok("push")
    for number, name in enumerate(("gone", "secret"), 2):
        write(tmp_path / "secret", {"faces.bin": random.Random(number).randbytes(150_000)})
        gitml.ok("register", f"models/{name}", str(tmp_path / "secret"), "--branch", f"scratch-{name}")
        git(team.ada.folder, "branch", "--delete", "--force", f"scratch-{name}")
    assert gitml.ok("store", "verify", "--json").document["versions"] == 4
    assert len(gitml.ok("store", "du", "--json").document["versions"]) == 4

    gitml.ok("store", "forget", "models/gone@1", "--yes")
    ripe = time.time() - 15 * DAY_S
    collect_garbage(store, clock=lambda: ripe)
    assert gitml.ok("store", "gc", "--yes", "--json").document["deleted"]
    gitml.ok("store", "repack", "--yes")
    gitml.ok("store", "purge", "models/secret@1", "--yes")
    assert gitml("register", "models/again", str(tmp_path / "secret")).exit_code == 12

    copy = tmp_path / "copy"
    gitml.ok("store", "replicate", "default", str(copy))
    _, root = next(store.all_roots())
    lost = next(used.name for used in used_objects(store.medium, root) if used.pack is not None)
    store.medium.delete(lost)
    assert gitml("verify", "--all").exit_code == 6
    gitml.ok("store", "replicate", str(copy), "default")
    assert store.medium.head(lost) is not None
    gitml.ok("verify", "--all", "--deep")
    gitml.ok("store", "verify")

    other = InFolder(team.clone("grace").folder)
    for version, contents in (("1", ONE), ("2", TWO)):
        other.ok("get", f"datasets/x@{version}", "-o", str(tmp_path / f"got-{version}"))
        assert read(tmp_path / f"got-{version}") == contents
