"""`gitml demo`: the whole path, and the ways in which it does not start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.programs import run, with_gitml

from gitml.api import Registry
from gitml.cli.demo import demonstrate
from gitml.errors import Conflict


def test_demo_leaves_what_it_says(tmp_path: Path) -> None:
    lines: list[str] = []
    result = demonstrate(tmp_path / "demo", lines.append)

    grace = Registry(tmp_path / "demo/grace")
    assert result.runs == "models/digits@1"
    assert str(grace.show("models/digits@production").ref) == "models/digits@1"
    assert str(grace.show("models/digits@staging").ref) == "models/digits@2"
    assert result.accuracies["2"] > result.accuracies["1"] > 0.9
    assert [str(entry.to_version) for entry in result.history.entries if entry.asset.type == "models"] == [
        "1",
        "2",
        "1",
    ]
    assert sum("predictions equal the trainer's" in line for line in lines) == 3
    shown = grace.show("models/digits@2").asset
    assert shown["metrics"] == {"accuracy": result.accuracies["2"]}
    assert shown["source"]["path"] == "train.py"
    assert not shown["source"].get("dirty", False)
    assert {given["ref"] for given in shown["inputs"]} == {"datasets/digits@1", "environments/digits@1"}


def test_each_step_is_one_line_with_its_command(tmp_path: Path) -> None:
    lines: list[str] = []
    result = demonstrate(tmp_path / "demo", lines.append)
    assert [step.number for step in result.steps] == list(range(1, len(result.steps) + 1))
    for step in result.steps:
        assert str(step) in lines
        assert "\n" not in str(step)
        assert step.command.split()[0] in ("gitml", "git", "python")


def test_committed_training_script_trains_the_same_model(tmp_path: Path, environment: dict[str, str]) -> None:
    result = demonstrate(tmp_path / "demo")
    env = with_gitml(tmp_path, environment)
    printed = run("python", "train.py", "data", "out/again", "64", cwd=result.directory / "ada", env=env)
    assert printed == f"accuracy {result.accuracies['2']}\n"


def test_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(Conflict) as raised:
        demonstrate(tmp_path)
    assert raised.value.exit_code == 5
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_without_scikit_learn_it_says_how_to_install_it(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "sklearn.py").write_text(
        "raise ModuleNotFoundError('No module named sklearn', name='sklearn')\n"
    )
    env = with_gitml(tmp_path, environment)
    env["PYTHONPATH"] = f"{tmp_path}:{env['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "gitml.cli", "--json", "demo", "new"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["hint"] == "pip install 'gitml[demo]'"
    assert not (tmp_path / "new").exists()
