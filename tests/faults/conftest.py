"""A small team that can be put back as it was, and a process that runs commands on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.killing import Runner
from support.world import World


@pytest.fixture
def runner(tmp_path: Path, environment: dict[str, str]) -> Iterator[Runner]:
    """Runs command lines in processes of their own."""
    found = Runner(tmp_path / "runs", environment)
    yield found
    found.close()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], World]]:
    """Gives the module's world as it was built, whatever was done to it before."""
    base = tmp_path_factory.mktemp("world") / "team"
    template = base.with_name("template")

    def restored() -> World:
        if not template.exists():
            World.build(base)
            shutil.copytree(base, template, symlinks=True)
        else:
            shutil.rmtree(base)
            shutil.copytree(template, base, symlinks=True)
        return World(base)

    yield restored
    shutil.rmtree(base.parent, ignore_errors=True)


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    return worlds()
