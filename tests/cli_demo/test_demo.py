"""`gitml demo`: the whole path, and the ways in which it does not start."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.programs import run, with_gitml

from gitml.api import Registry
from gitml.cli.demo.walk import Demonstration, demonstrate
from gitml.errors import Conflict


@dataclass(frozen=True, slots=True)
class _Done:
    """A demo that ran once for all tests of this module."""

    result: Demonstration
    lines: list[str]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> _Done:
    lines: list[str] = []
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, str(home / name))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        around = tmp_path_factory.mktemp("around")  # as `make demo` does it: inside another repository
        run("git", "init", "-q", ".", cwd=around, env=os.environ)
        result = demonstrate(around / "demo", lines.append)
    return _Done(result, lines)


def test_demo_leaves_what_it_says(done: _Done) -> None:
    result, lines = done.result, done.lines
    grace = Registry(result.directory / "grace")
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
    shown = Registry(result.directory / "ada").show("models/digits@2", rev="working/newmodel").asset
    assert shown["metrics"] == {"accuracy": result.accuracies["2"]}
    assert shown["source"]["path"] == "train.py"
    assert not shown["source"].get("dirty", False)
    assert {given["ref"] for given in shown["inputs"]} == {"datasets/digits@1", "environments/digits@1"}


def test_each_step_is_one_line_with_its_command(done: _Done) -> None:
    result, lines = done.result, done.lines
    assert [step.number for step in result.steps] == list(range(1, len(result.steps) + 1))
    for step in result.steps:
        assert str(step) in lines
        assert "\n" not in str(step)
        assert step.command.split()[0] in ("gitml", "git", "python")


def test_printed_commands_do_the_same(done: _Done, tmp_path: Path, environment: dict[str, str]) -> None:
    result = done.result
    again = tmp_path / "again"
    env = with_gitml(tmp_path, environment)

    def person(name: str, folder: Path) -> None:
        run("git", "config", "user.name", f"{name} Example", cwd=folder, env=env)
        run("git", "config", "user.email", f"{name.lower()}@example.com", cwd=folder, env=env)

    foreign = shutil.ignore_patterns(
        ".git", "gitml.yaml", "datasets", "environments", "models", "experiments", "endpoints"
    )
    shutil.copytree(result.directory / "ada", again / "ada", ignore=foreign)
    run("git", "init", "-q", "--bare", "remote.git", cwd=again, env=env)
    run("git", "init", "-q", "ada", cwd=again, env=env)
    person("Ada", again / "ada")
    for step in result.steps:
        run("sh", "-c", step.command, cwd=again / step.folder, env=env)
        if step.command.startswith("gitml init"):
            _write_rules(result.directory / "ada/gitml.yaml", again / "ada/gitml.yaml")
        if step.command.startswith("git clone"):
            person("Grace", again / "grace")

    for ref in ("models/digits@production", "models/digits@staging", "endpoints/digits@production"):
        one, other = (Registry(folder / "grace").show(ref) for folder in (result.directory, again))
        assert one.ref == other.ref
        # Two trainings may differ in the last bits of a weight, and so in the digest of the model.
        assert ref.startswith("models/") or one.asset["contents"] == other.asset["contents"]
        for field in ("description", "metrics", "params", "inputs"):
            assert one.asset.get(field) == other.asset.get(field)


def _write_rules(written: Path, here: Path) -> None:
    """Bring a configuration to what it is in the demo, but for the identity of the registry."""
    (identity,) = [line for line in here.read_text().splitlines() if line.startswith("registry:")]
    lines = written.read_text().splitlines()
    here.write_text("".join(f"{identity if line.startswith('registry:') else line}\n" for line in lines))


def test_committed_training_script_runs_by_itself(
    done: _Done, tmp_path: Path, environment: dict[str, str]
) -> None:
    result = done.result
    env = with_gitml(tmp_path, environment)
    printed = run(
        "python", "train.py", "data", tmp_path / "again", "64", cwd=result.directory / "ada", env=env
    )
    assert float(printed.removeprefix("accuracy ")) == pytest.approx(result.accuracies["2"], abs=0.02)


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
