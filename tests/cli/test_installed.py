"""The program as it is installed: a process of its own, with real streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def program(tmp_path: Path, environment: dict[str, str]) -> Program:
    """Starts what the entry point of the package starts."""
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["gitml"]
    module, _, function = entry.partition(":")
    script = tmp_path / "bin" / "gitml"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
    )
    script.chmod(0o755)
    (tmp_path / "work").mkdir()
    variables = environment | {"PYTHONPATH": os.fspath(ROOT)}

    def start(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
        settings: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": variables}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            [script, *words], cwd=tmp_path / "work", text=True, **(settings | options)
        )

    return start


def test_the_first_steps(program: Program, tmp_path: Path) -> None:
    assert program("init").returncode == 0
    (tmp_path / "work" / "data").mkdir()
    (tmp_path / "work" / "data" / "a.txt").write_text("hello\n")
    registered = program("register", "datasets/digits", "data", "--json")
    assert registered.returncode == 0
    assert json.loads(registered.stdout)["ref"] == "datasets/digits@1"
    assert program("list", "-q").stdout == "datasets/digits@1\n"
    missing = program("show", "models/none")
    assert (missing.returncode, missing.stdout) == (4, "")
    assert missing.stderr.startswith("gitml: ")
    failed = program("--json", "show", "models/none")
    assert failed.returncode == 4
    assert json.loads(failed.stdout)["error"]["code"] == "asset-not-found"
    assert failed.stderr == ""


def test_mistakes_and_did_you_mean(program: Program) -> None:
    ran = program("regsiter")
    assert ran.returncode == 2
    assert (
        ran.stderr
        == "gitml: gitml has no command 'regsiter'; did you mean 'register'?\nTry: gitml register\n"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize(
    "words",
    [["--version"], ["--help"], ["list", "-h"], ["completion", "bash"], ["completion", "bash", "--json"]],
)
def test_output_that_cannot_be_written_is_a_failure(program: Program, words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        ran = program(*words, stdout=full)
    assert ran.returncode == 11
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["get", "--help"], ["completion", "bash"]])
def test_a_reader_that_leaves_early_hears_nothing_more(program: Program, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        ran = program(*words, stdout=gone)
    assert ran.returncode == 0
    assert ran.stderr == ""


def test_a_terminal_that_knows_no_unicode(program: Program, environment: dict[str, str]) -> None:
    ran = program("--help", env=environment | {"PYTHONPATH": os.fspath(ROOT), "PYTHONIOENCODING": "ascii"})
    assert ran.returncode == 0
    assert ran.stderr == ""


def test_completion_offers_commands(program: Program, environment: dict[str, str]) -> None:
    asked = {"_GITML_COMPLETE": "bash_complete", "COMP_WORDS": "gitml prom", "COMP_CWORD": "1"}
    ran = program("prom", env=environment | {"PYTHONPATH": os.fspath(ROOT)} | asked)
    assert ran.returncode == 0
    assert "promote" in ran.stdout
