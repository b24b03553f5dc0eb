"""A sample of `python -m tests.mutation`, which tries the tests of the rules by small changes of the rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.nightly
def test_small_changes_of_the_rules_are_noticed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation", "--part", "1/12", "-j", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
