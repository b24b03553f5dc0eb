"""Run programs as a person would: in a folder, by name, with `gitml` on the search path."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def with_gitml(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with this source tree's `gitml` and this interpreter's `python` first on the search path."""
    programs = folder / "programs"
    programs.mkdir(parents=True, exist_ok=True)
    for name, words in (("gitml", "-m gitml.cli "), ("python", "")):
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
        script.chmod(0o755)
    return dict(environment) | {
        "PATH": f"{programs}:{environment['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def run(*words: str | Path, cwd: Path, env: Mapping[str, str], code: int = 0) -> str:
    """Run a program to its end; returns its standard output, and fails where the exit code is another."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=dict(env),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
