"""Run `gitml` in this process, with stdout and stderr apart; and streams that say they are terminals."""

from __future__ import annotations

import io
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from gitml.cli.app import root

_HEARTBEAT = re.compile(r"^gitml: [^\n]* s (?:left|so far)\n", re.MULTILINE)


@dataclass(frozen=True)
class Ran:
    """How a command line ended; stderr without the lines that come when the machine is slow."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """stdout as the one JSON document that it has to be."""
        return json.loads(self.stdout)


def run(*words: str, program: click.Command = root, stdin: str = "") -> Ran:
    """Run one command line."""
    result = CliRunner().invoke(program, list(words), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, _HEARTBEAT.sub("", result.stderr))


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


class GonePipe(io.StringIO):
    """A stream whose reader has closed it."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


class InFolder:
    """Run command lines in a folder, without leaving this process's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str) -> Ran:
        return run("-C", os.fspath(self.folder), *words)

    def ok(self, *words: str) -> Ran:
        """The same, and it has to work."""
        ran = self(*words)
        assert ran.exit_code == 0, f"gitml {' '.join(words)}: exit {ran.exit_code}\n{ran.stdout}{ran.stderr}"
        return ran
