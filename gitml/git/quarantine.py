"""Objects that a push has brought and that nothing names yet: where git keeps them while its hooks judge them.

Only the command that runs as a `pre-receive` hook looks there. What the environment says is believed where it names a
folder inside the repository's own objects.

Source: git-receive-pack(1), "Quarantine environment".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gitml.errors import AccessDenied

_FOLDER = "GIT_QUARANTINE_PATH"


def variables(common_dir: Path, environment: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    """What git needs to be told to see those objects; nothing where there is no quarantine.

    Raises:
        AccessDenied: The environment names a folder elsewhere.
    """
    found = (os.environ if environment is None else environment).get(_FOLDER)
    if not found:
        return ()
    objects = (common_dir / "objects").resolve()
    folder = Path(found).resolve()
    if folder == objects or not folder.is_relative_to(objects) or not folder.is_dir():
        raise AccessDenied(
            f"{_FOLDER} names no folder inside {objects}",
            code="quarantine",
            hint="let git run this as its pre-receive hook",
        )
    return (
        (_FOLDER, str(folder)),
        ("GIT_OBJECT_DIRECTORY", str(folder)),
        ("GIT_ALTERNATE_OBJECT_DIRECTORIES", _quoted(str(objects))),
    )


def _quoted(path: str) -> str:
    """The path as git reads it in a list."""
    if not any(mark in path for mark in ':"\\'):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
