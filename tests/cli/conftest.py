from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.cli import InFolder
from support.gitrepos import bare, git
from support.prepared import prepare


@dataclass(frozen=True)
class Team:
    """A registry with a remote and a store, two assets in it, and a second clone of another person."""

    ada: InFolder
    grace: InFolder
    folder: Path

    def write(self, path: str, data: bytes) -> Path:
        file = self.ada.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file


@pytest.fixture
def team(tmp_path: Path) -> Team:
    """Everything pushed: `datasets/digits@1` and `models/digits@1`, made from it."""
    prepare(tmp_path, "cli", _make)
    return _team(tmp_path)


def _team(folder: Path) -> Team:
    return Team(ada=InFolder(folder / "ada"), grace=InFolder(folder / "grace"), folder=folder)


def _make(folder: Path) -> None:
    bare(folder / "remote.git")
    InFolder(folder).ok("init", "ada", "--store", "store", "--remote", os.fspath(folder / "remote.git"))
    made = _team(folder)
    made.write("data/train.csv", b"1,2,3\n" * 1000)
    made.write("data/labels/test.csv", b"4\n" * 100)
    made.write("out/weights.npz", bytes(range(256)) * 100)
    made.ada.ok("register", "datasets/digits", "data", "--label", "team=vision", "-m", "8x8 digits")
    made.ada.ok(
        "register", "models/digits", "out", "--metric", "accuracy=0.98", "--param", "epochs=5",
        "--input", "training=datasets/digits@1",
    )  # fmt: skip
    made.ada.ok("push")
    git(folder, "clone", "-q", "remote.git", "grace")
    git(folder / "grace", "config", "user.name", "Grace Example")
    git(folder / "grace", "config", "user.email", "grace@example.com")
