from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.cli import InFolder
from support.gitrepos import bare, git


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
    bare(tmp_path / "remote.git")
    outside = InFolder(tmp_path)
    outside.ok("init", "ada", "--store", "store", "--remote", os.fspath(tmp_path / "remote.git"))
    ada = InFolder(tmp_path / "ada")
    made = Team(ada=ada, grace=InFolder(tmp_path / "grace"), folder=tmp_path)
    made.write("data/train.csv", b"1,2,3\n" * 1000)
    made.write("data/labels/test.csv", b"4\n" * 100)
    made.write("out/weights.npz", bytes(range(256)) * 100)
    ada.ok("register", "datasets/digits", "data", "--label", "team=vision", "-m", "8x8 digits")
    ada.ok(
        "register", "models/digits", "out", "--metric", "accuracy=0.98", "--param", "epochs=5",
        "--input", "training=datasets/digits@1",
    )  # fmt: skip
    ada.ok("push")
    git(tmp_path, "clone", "-q", "remote.git", "grace")
    git(tmp_path / "grace", "config", "user.name", "Grace Example")
    git(tmp_path / "grace", "config", "user.email", "grace@example.com")
    return made
