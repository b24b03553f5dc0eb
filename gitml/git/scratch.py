"""Private folders for what a command needs on disk for a while: `<common dir>/gitml/scratch-ID/`.

Each stands in the journal while it is in use, so that the next command removes what a killed one left.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gitml.git import journal

SCRATCH: Final = "scratch"
"""Kind of the record of a folder in use."""

_ID = re.compile(r"[0-9a-f]{32}")


@contextmanager
def scratch_folder(common_dir: Path) -> Iterator[Path]:
    """An empty folder that only this user can read; it goes with all it holds when the block ends.

    Raises:
        AccessDenied: The repository cannot be written.
        NoSpace: No room is left.
    """
    with journal.operation(common_dir, {"kind": SCRATCH}) as held:
        folder = _folder(common_dir, held.id)
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_scratch(common_dir: Path, number: str) -> None:
    """Remove the folder of an operation that is dead."""
    # The name is made from the record's id alone, so that no record can name another folder.
    if _ID.fullmatch(number):
        shutil.rmtree(_folder(common_dir, number), ignore_errors=True)


def _folder(common_dir: Path, number: str) -> Path:
    return common_dir / "gitml" / f"{SCRATCH}-{number}"
