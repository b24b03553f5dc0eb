"""Every script in `examples/` does what its first line says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.programs import ROOT, run, with_gitml

EXAMPLES = ROOT / "examples"
TRIED = {"walkthrough.sh", "train_and_register.py", "deploy.py", "restore.py", "read_one_file.py"}


@pytest.fixture
def programs(tmp_path: Path, environment: dict[str, str]) -> dict[str, str]:
    return with_gitml(tmp_path, environment)


def test_every_example_is_tried() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh")} == TRIED


def test_walkthrough_and_what_builds_on_it(tmp_path: Path, programs: dict[str, str]) -> None:
    printed = run("sh", EXAMPLES / "walkthrough.sh", "here", cwd=tmp_path, env=programs)
    slopes = [line for line in printed.splitlines() if line.startswith('{"slope"')]
    assert slopes == ['{"slope": 2.0}', '{"slope": 1.9}']

    here = tmp_path / "here"
    printed = run("python", EXAMPLES / "deploy.py", "serving", "deployed", cwd=here, env=programs)
    assert printed == "models/line@1: 0 files written, 1 kept, 0 removed\n"

    printed = run(
        "python", EXAMPLES / "read_one_file.py", "serving", "models/line@2:line.json", cwd=here, env=programs
    )
    assert printed == '{"slope": 2.0}\n'

    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    printed = run(
        "python", EXAMPLES / "restore.py", "registry", "production", now, "then", cwd=here, env=programs
    )
    assert printed.startswith("models/line@1, there since ")
    assert (here / "then/models/line/line.json").read_text() == '{"slope": 1.9}\n'


def test_deploy_says_what_is_missing(tmp_path: Path, programs: dict[str, str]) -> None:
    run("gitml", "init", "registry", cwd=tmp_path, env=programs)
    run("python", EXAMPLES / "deploy.py", "registry", "deployed", cwd=tmp_path, env=programs, code=1)
    assert not (tmp_path / "deployed").exists()


def test_training_twice_registers_once(tmp_path: Path, programs: dict[str, str]) -> None:
    run("gitml", "init", "registry", cwd=tmp_path, env=programs)
    first = run("python", EXAMPLES / "train_and_register.py", "registry", cwd=tmp_path, env=programs)
    again = run("python", EXAMPLES / "train_and_register.py", "registry", cwd=tmp_path, env=programs)
    assert first == "models/line@1 registered\n"
    assert again == "models/line@1 was there already\n"
