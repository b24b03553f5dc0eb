"""Rows on start-up and on memory."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.bench.context import Context
from tests.bench.material import change_small_files, large_file, next_large_file, small_files
from tests.bench.measure import Case, compare, ratio, remove
from tests.bench.report import Check, Outcome
from tests.bench.tools import Gitml, World, program

HEAVY = ("boto3", "botocore", "s3fs", "adlfs", "azure", "numpy", "pandas", "tensorflow", "git", "jsonschema")


def startup(context: Context) -> Outcome:
    """How long it takes until the program could begin to work."""
    world = World(context.folder / "world")
    python = sys.executable
    calls = {
        "python -c pass": [python, "-c", "pass"],
        "gitml --version": [*program(), "--version"],
        "import gitml": [python, "-c", "import gitml"],
    }
    times = compare(
        {name: Case(command=lambda words=words: world.run(words)) for name, words in calls.items()},
        context.sizes.start_rounds,
    )
    heavy = {name for words in calls.values() for name in imported(words, world.env) if name in HEAVY}
    return Outcome(
        checks=[
            Check(
                what="`gitml --version` by `python -c pass`",
                limit=10,
                measured=ratio(times, "gitml --version", "python -c pass"),
            ),
            Check(
                what="`import gitml` by `python -c pass`",
                limit=10,
                measured=ratio(times, "import gitml", "python -c pass"),
            ),
            Check(
                what="heavy packages imported",
                limit=0,
                measured=len(heavy),
                unit="packages",
                detail=" ".join(["", *sorted(heavy)]),
            ),
        ],
        times=times,
    )


def imported(words: list[str], env: dict[str, str]) -> set[str]:
    """Top-level packages that a Python program imports."""
    traced = env | {"PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(words, env=traced, capture_output=True, text=True, check=True)
    return set(re.findall(r"^import time:.*\|\s+([A-Za-z_]\w*)", done.stderr, re.MULTILINE))


def memory(context: Context) -> Outcome:
    """The most memory that any command has resident, at the usual size and at four times that."""
    once, four_times = _peaks(context, 1), _peaks(context, 4)
    growth = {name: four_times[name] - once[name] for name in once}
    worst = max(growth, key=lambda name: growth[name])
    return Outcome(
        checks=[
            Check(what="peak", limit=200, measured=max(once.values()) / 1e6, unit="MB"),
            Check(what="peak at 4 × the size", limit=200, measured=max(four_times.values()) / 1e6, unit="MB"),
            Check(
                what="more at 4 × the size, the worst command",
                limit=20,
                measured=growth[worst] / 1e6,
                unit="MB",
                detail=f" {worst}",
            ),
        ],
        figures={name: f"{once[name] / 1e6:.0f} → {four_times[name] / 1e6:.0f} MB" for name in once},
    )


def _peaks(context: Context, times: int) -> dict[str, int]:
    sizes = replace(context.sizes, large_bytes=context.sizes.large_bytes * times)
    gitml = context.gitml()
    remove(context.folder / "small", context.folder / "large")
    small, large = context.folder / "small", context.folder / "large" / "weights.bin"
    small_files(small, sizes, seed=1, times=times)
    large_file(large, sizes.large_bytes, seed=1)
    peaks = {
        "register small files": _peak(gitml, "register", "datasets/small", small),
        "register a large file": _peak(gitml, "register", "models/large", large),
        "push": _peak(gitml, "push"),
    }
    clone = gitml.clone("clone")
    peaks |= {
        "get small files": _peak(gitml, "get", "datasets/small", cwd=clone),
        "get a large file": _peak(gitml, "get", "models/large", cwd=clone),
        "status": _peak(gitml, "status", cwd=clone),
        "verify --deep": _peak(gitml, "verify", "--all", "--deep", cwd=clone),
    }
    remove(clone)
    changed = replace(sizes, files=sizes.files * times, folders=sizes.folders * times)
    change_small_files(small, changed, seed=2)
    following = large.with_name("next.bin")
    next_large_file(large, following, sizes, seed=2)
    following.replace(large)
    return peaks | {
        "register the next small files": _peak(gitml, "register", "datasets/small", small),
        "register the next large file": _peak(gitml, "register", "models/large", large),
    }


def _peak(gitml: Gitml, *words: str | Path, cwd: Path | None = None) -> int:
    return gitml.gitml(*words, cwd=cwd).peak_bytes
