"""The power goes within a promotion or a merge on a hosted forge: the same command, run again, reaches its goal once."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.forges import spoken, world
from support.hosted import Hosted
from support.killing import Runner
from support.team import git

SEED = os.environ.get("GITML_TEST_SEED", "1")
POINTS = int(os.environ.get("GITML_TEST_KILL_POINTS", "2"))


@pytest.fixture
def hosted(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hosted]:
    with world(request.param, tmp_path) as there:
        yield Hosted(there, tmp_path, monkeypatch)


def sweep(hosted: Hosted, folder: Path, points: int | None) -> None:
    """Kill each command at sampled steps of it, or at every one, each time with a version of its own."""
    ada, bob = hosted.as_("ada"), hosted.clone("bob").folder
    environment = dict(os.environ)
    runner, chance = Runner(folder, environment), random.Random(f"{SEED}-{hosted.there.kind}")
    person = {name: {"GITML_FORGE_TOKEN": f"token-of-{name}"} for name in ("ada", "bob")}
    version, deaths = 1, 0

    def through(promote_at: int, merge_at: int) -> tuple[int, int]:
        """One version all the way, with a death in each command; gives how many steps each took."""
        nonlocal version, deaths
        if version > 1:
            hosted.register("models/digits", str(version))
        ref, where = f"models/digits@{version}", hosted.ada.folder
        before = len(hosted.there.project.requests)
        first = runner.run(where, "promote", ref, "-t", "production", env=person["ada"], kill_at=promote_at)
        again = runner.run(where, "promote", ref, "-t", "production", env=person["ada"])
        assert again.status == 0, (promote_at, again.stderr)
        assert len(hosted.there.project.requests) == before + 1, promote_at
        number = str(max(one.number for one in hosted.there.project.requests.values()))
        approved = runner.run(bob, "pr", "approve", number, env=person["bob"])
        assert approved.status == 0, approved.stderr
        second = runner.run(bob, "pr", "merge", number, env=person["bob"], kill_at=merge_at)
        merged = runner.run(bob, "pr", "merge", number, env=person["bob"])
        assert merged.status == 0, (merge_at, merged.stderr)
        assert (
            hosted.there.project.git("show", "production:models/digits/production.yaml")
            == f'current: "{version}"'
        )
        deaths += first.killed + second.killed
        version += 1
        return first.steps, second.steps

    try:
        steps = through(0, 0)
        chosen = (
            range(1, most + 1) if points is None else chance.sample(range(1, most + 1), points)
            for most in steps
        )
        for promote_at, merge_at in zip(*chosen, strict=points is not None):
            through(promote_at, merge_at)
    finally:
        runner.close()
    assert deaths
    ada.ok("verify", "--history", "production")
    chain = hosted.there.project.git("rev-list", "--first-parent", "--count", "production", "^main")
    assert int(chain) == version - 1
    git(hosted.ada.folder, "fsck", "--strict", "--no-dangling", "--no-progress")


@pytest.mark.parametrize("hosted", spoken()[:1], indirect=True)
def test_killed_at_sampled_steps(hosted: Hosted, tmp_path: Path) -> None:
    sweep(hosted, tmp_path / "runs", POINTS)


@pytest.mark.nightly
@pytest.mark.parametrize("hosted", spoken(), indirect=True)
def test_killed_at_every_step(hosted: Hosted, tmp_path: Path) -> None:
    sweep(hosted, tmp_path / "runs", None)
