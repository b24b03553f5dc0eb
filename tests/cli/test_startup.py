"""What the program loads before it knows that it needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "fsspec", "git", "jsonschema", "msgspec", "numpy", "platformdirs", "pyfastcdc", "referencing", "rich", "sklearn",
    "yaml", "zstandard",
}  # fmt: skip
_LOADED = (
    "import sys; sys.argv[1:] = sys.stdin.read().split()\n"
    "from gitml.cli.main import main\n"
    "try:\n    main()\nexcept SystemExit:\n    pass\n"
    "print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
)


def loaded(line: str) -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", _LOADED], input=line, capture_output=True, text=True, check=True
    )
    return set(ended.stderr.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("line", ["--version", "--help", "register --help", "pr --help", "lsit"])
def test_help_and_version_load_nothing_heavy(line: str) -> None:
    assert not loaded(line) & HEAVY


def test_the_version_needs_no_terminal_library() -> None:
    assert "click" not in loaded("--version")


def test_the_package_itself_loads_nothing_heavy() -> None:
    code = "import sys, gitml; print(*{name.partition('.')[0] for name in sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(ended.stdout.split()) & (HEAVY | {"click"})


@pytest.mark.parametrize("line", ["--version", "-v --version"])
def test_the_version_is_printed_alone(line: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "gitml.cli", *line.split()], capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("gitml ")
    assert ended.stdout.count("\n") == 1
    assert ended.stderr == ""
