"""The program as it is installed: a process of its own, with real streams."""

from __future__ import annotations

import errno
import json
import os
import signal
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


def _moved_store(program: Program, tmp_path: Path) -> None:
    """A registry whose `gitml.yaml` names another folder than the one that was used before."""
    (tmp_path / "work" / "a.txt").write_text("hello\n")
    assert program("init", "--store", "../store").returncode == 0
    assert program("register", "datasets/digits", "a.txt").returncode == 0
    config = tmp_path / "work" / "gitml.yaml"
    (tmp_path / "store").rename(tmp_path / "moved")
    config.write_text(config.read_text().replace("../store", "../moved"))
    subprocess.run(["git", "commit", "-qam", "move the store"], cwd=tmp_path / "work", check=True)


def _on_terminal(program: Program, answer: bytes, *words: str) -> tuple[int, str]:
    """Run with a terminal as stdin and stderr; gives the exit code and what stood on the terminal."""
    ours, theirs = os.openpty()
    os.write(ours, answer)
    ran = program(*words, stdin=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            break
        if not part:
            break
        said += part
    os.close(ours)
    return ran.returncode, said.decode()


def test_a_store_that_has_moved_is_refused_where_nobody_can_be_asked(
    program: Program, tmp_path: Path
) -> None:
    _moved_store(program, tmp_path)
    for words in (["verify"], ["verify", "-y"]):
        ran = program(*words, stdin=subprocess.DEVNULL)
        assert ran.returncode == 10
        assert "gitml store trust default" in ran.stderr


@pytest.mark.parametrize(
    ("answer", "words", "code"),
    [(b"y\n", ["verify"], 0), (b"n\n", ["verify"], 10), (b"", ["verify", "-y"], 0)],
)
def test_a_person_is_asked_about_a_store_that_has_moved(
    program: Program, tmp_path: Path, answer: bytes, words: list[str], code: int
) -> None:
    _moved_store(program, tmp_path)
    ended, said = _on_terminal(program, answer, *words)
    assert ended == code, said
    assert ("Use it there from now on?" in said) == ("-y" not in words)


def test_control_c_ends_quietly(program: Program, tmp_path: Path) -> None:
    script = tmp_path / "bin" / "gitml"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom support.cli_commands import tiny\ntiny.main(sys.argv[1:], 'tiny')\n"
    )
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([os.fspath(ROOT), os.fspath(ROOT / "tests")])}
    with subprocess.Popen(
        [script, "wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == "gitml: stopped\n"
