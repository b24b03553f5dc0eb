"""The servers as people start them to try GitML: what they print is enough, and nothing of them is left."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.cli import run

TOP = Path(__file__).parents[2]


@contextmanager
def started(name: str, tmp_path: Path) -> Iterator[list[str]]:
    """What `python -m tests.servers NAME` prints; stopped by an impatient Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers", name],
        cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    try:
        while line := process.stdout.readline():
            lines.append(line.rstrip("\n"))
            if line.startswith("# gitml init"):
                break
        else:
            said = process.communicate()[1]
            if process.returncode == 4 and "GITML_REQUIRE_SERVERS" not in os.environ:
                pytest.skip(said)
            raise AssertionError(said)
        yield lines
    finally:
        for _ in range(3):
            os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert (process.returncode, said, list(tmp_path.glob("gitml-*"))) == (0, "", [])


@pytest.mark.parametrize("name", ["moto", "azurite", "sftp", pytest.param("ceph", marks=pytest.mark.nightly)])
def test_what_a_server_prints_is_enough(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All lines are followed as they stand: variables, then the commands that are named."""
    with started(name, tmp_path) as lines:
        for line in lines:
            words = shlex.split(line, comments=False)
            if words[0] == "export":
                monkeypatch.setenv(*words[1].split("=", 1))
        comments = [line.removeprefix("# ") for line in lines if line.startswith("# ")]
        for line in comments:
            if line.startswith("cat "):
                (Path.home() / ".ssh").mkdir()
                subprocess.run(line, shell=True, check=True)
        settings = [line.removeprefix("  ") for line in comments if line.startswith("  ")]
        file = Path(os.environ["XDG_CONFIG_HOME"]) / "gitml/config.yaml"
        file.parent.mkdir(parents=True)
        file.write_text("".join(f"{line}\n" for line in settings))
        monkeypatch.chdir(tmp_path)
        commands = [shlex.split(line)[1:] for line in comments if line.startswith("gitml ")]
        assert [words[:2] for words in commands] == [["store", "check"], ["init", "--store"]]
        for words in commands:
            ran = run(*(["init", "registry", *words[1:]] if words[0] == "init" else words))
            assert ran.exit_code == 0, ran.stderr
        (tmp_path / "x.csv").write_text("1\n")
        registered = run("-C", "registry", "register", "datasets/x", "../x.csv", "--json")
        assert registered.document["store"] == "default"


def test_an_unknown_server() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.servers", "s4"], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "moto" in done.stderr) == (2, True)
