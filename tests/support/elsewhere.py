"""A folder on another file system than the tests' own, as a mounted share is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PLACES = (os.environ.get("GITML_TEST_ELSEWHERE", ""), "/dev/shm", "/run")


@contextmanager
def elsewhere(here: Path) -> Iterator[Path]:
    """A new folder on a file system that `here` is not on, gone afterwards; the test is skipped where there is none."""
    for place in filter(None, _PLACES):
        path = Path(place)
        if path.is_dir() and os.access(path, os.W_OK) and path.stat().st_dev != here.stat().st_dev:
            folder = Path(tempfile.mkdtemp(prefix="gitml-", dir=path))
            try:
                yield folder
            finally:
                shutil.rmtree(folder)
            return
    if os.environ.get("GITML_REQUIRE_SERVERS"):
        raise RuntimeError("there is no second file system to write to")
    pytest.skip("there is no second file system to write to")
