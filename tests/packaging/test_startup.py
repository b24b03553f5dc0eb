"""What is loaded before anybody asked for anything."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from support.programs import ROOT

HEAVY = {
    "adlfs", "azure", "boto3", "botocore", "fsspec", "git", "hypothesis", "jsonschema", "msgspec", "numpy", "obstore", "pandas",
    "pyfastcdc", "rich", "s3fs", "sklearn", "tensorflow", "yaml", "zstandard",
}  # fmt: skip


@pytest.mark.parametrize(
    "words", [["-c", "import gitml"], ["-m", "gitml.cli", "--version"]], ids=["import", "version"]
)
def test_start_loads_nothing_heavy(environment: dict[str, str], words: list[str]) -> None:
    traced = environment | {"PYTHONPROFILEIMPORTTIME": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words], env=traced, capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(re.findall(r"^import time:.*\|\s+([A-Za-z_]\w*)", done.stderr, re.MULTILINE))
    assert "gitml" in loaded
    assert not loaded & HEAVY


def test_every_exported_name_is_there() -> None:
    import gitml

    assert set(dir(gitml)) == set(gitml.__all__)
    assert len(gitml.__all__) < 30
    for name in ("AssetRef", "GitMLError", "Registry", "init", "__version__"):
        assert getattr(gitml, name) is not None


def test_the_program_leaves_the_whole_of_gitpython_to_others(environment: dict[str, str]) -> None:
    script = (
        "import sys; from gitml import _lazy; _lazy.own_process = True\n"
        "from gitml.git.repository import git_version; print(git_version()[0])\n"
        "assert not any(name.split('.')[0] == 'git' for name in sys.modules)\n"
        "import git; print(git.cmd.Git.__name__, git.Repo.__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["2", "Git", "Repo"]
