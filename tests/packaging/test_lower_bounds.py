"""The lower bounds of pyproject.toml are versions that work, not versions that somebody once thought of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.programs import ROOT

_BOUND = re.compile(
    r"(?P<name>[A-Za-z0-9-]+)(?P<extra>\[[a-z,]+\])?>=(?P<version>[0-9][0-9a-z.]*)(?:,<[0-9.]+)?"
)
_RUNNERS = {"pytest", "pytest-xdist", "hypothesis"}
# What needs no server, no extra and no installed program.
_PART = (
    "tests/model",
    "tests/git/test_reading.py",
    "tests/git/test_writing.py",
    "tests/store/test_writer.py",
    "tests/store/test_reader.py",
    "tests/registry/test_register.py",
    "tests/registry/test_listing.py",
    "tests/cli/test_document.py",
    "tests/cli/test_output.py",
    "tests/cli/test_startup.py",
)


def _project() -> dict[str, list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {name: [one for one in group if not one.startswith("gitml[")] for name, group in groups.items()}


def test_everything_that_is_installed_has_a_lower_bound() -> None:
    unbound = [
        one
        for group in _project().values()
        for one in group
        if not _BOUND.fullmatch(one) and not one.startswith("types-")  # stubs follow what they describe
    ]
    assert unbound == []


@pytest.mark.nightly
def test_the_core_works_at_its_lower_bounds(tmp_path: Path) -> None:
    groups = _project()
    bounds = [_BOUND.fullmatch(one) for one in (*groups[""], *groups["test"])]
    lowest = {bound["name"]: bound["version"] for bound in bounds if bound is not None}
    wanted = {bound["name"] for bound in map(_BOUND.fullmatch, groups[""]) if bound is not None} | _RUNNERS
    pins = [f"{name}=={lowest[name]}" for name in sorted(wanted)]
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv/bin/python")
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins],
        capture_output=True, text=True,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    assert "yanked" not in installed.stderr, installed.stderr
    done = subprocess.run(
        [python, "-m", "pytest", "-n", "1", "-m", "not nightly", *_PART],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
