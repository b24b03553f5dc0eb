"""`info/exclude`: the one place where GitML tells git which folders it placed; committed ignore rules are never touched.

GitML's lines stand between two marks; everything else in the file is the user's and stays as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gitml.errors import AccessDenied, NoSpace
from gitml.git import journal
from gitml.git.command import GitCommand
from gitml.git.failures import NO_ROOM
from gitml.git.names import check_tree_path

EXCLUDE: Final = "exclude"
"""Kind of the record of a change of the file."""

_BEGIN: Final = "# begin gitml: folders that gitml placed"
_END: Final = "# end gitml"
_SPECIAL: Final = re.compile(r"([\\*?\[\]!# ])")


def lines(common_dir: Path) -> list[str]:
    """Return the folders that GitML listed, relative to the top of the work tree."""
    _, own, _ = _parts(_read(_file(common_dir)))
    return [re.sub(r"\\(.)", r"\1", line.strip("\n"))[1:-1] for line in own]


def set_lines(common_dir: Path, folders: Sequence[str]) -> bool:
    """Make GitML's lines those of the folders; return whether the file had to be written."""
    file = _file(common_dir)
    before = _read(file)
    head, _, tail = _parts(before)
    own = [_pattern(folder) for folder in sorted(set(folders))]
    block = [f"{_BEGIN}\n", *own, f"{_END}\n"] if own else []
    if block and head and not head[-1].endswith("\n"):
        head[-1] += "\n"
    after = "".join([*head, *block, *tail])
    if after == before:
        return False
    with journal.operation(common_dir, {"kind": EXCLUDE}) as held:
        _replace(file, after.encode("utf-8", "surrogateescape"), _unfinished(common_dir, held.id))
    return True


def remove_unfinished(common_dir: Path, operation: str) -> None:
    """Remove the new file of a change that is dead."""
    _unfinished(common_dir, operation).unlink(missing_ok=True)


def ignored(git: GitCommand, paths: Sequence[str]) -> set[str]:
    """Return those of the paths that git ignores."""
    if not paths:
        return set()
    request = "".join(f"./{check_tree_path(path)}\0" for path in paths).encode()
    result = git.run(
        "check-ignore",
        "-z",
        "--stdin",
        "--no-index",
        stdin=request,
        env={"GIT_LITERAL_PATHSPECS": "0"},  # the command knows no other pathspecs, and `./` keeps them plain
        ok=(0, 1),
        what="ignore rules could not be read",
    )
    return {
        raw.decode("utf-8", "surrogateescape").removeprefix("./") for raw in result.stdout.split(b"\0") if raw
    }


def _pattern(folder: str) -> str:
    escaped = _SPECIAL.sub(r"\\\1", check_tree_path(folder))
    return f"/{escaped}/\n"


def _file(common_dir: Path) -> Path:
    return common_dir / "info" / "exclude"


def _unfinished(common_dir: Path, operation: str) -> Path:
    return common_dir / "info" / f"exclude-gitml-{operation}"


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise AccessDenied(f"{file} cannot be read: {exc.strerror}", code="git-permission") from exc


def _parts(text: str) -> tuple[list[str], list[str], list[str]]:
    """Return what stands before GitML's block, the lines in it, and what stands behind it."""
    rows = text.splitlines(keepends=True)
    plain = [row.rstrip("\r\n") for row in rows]
    if _BEGIN not in plain:
        return rows, [], []
    start = plain.index(_BEGIN)
    end = plain.index(_END, start) if _END in plain[start:] else len(rows)
    own = [row for row in plain[start + 1 : end] if row.startswith("/") and row.endswith("/")]
    return rows[:start], own, rows[end + 1 :]


def _replace(file: Path, data: bytes, early: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
        try:
            with early.open("xb") as stream:
                stream.write(data)
                os.fchmod(stream.fileno(), mode)
            early.replace(file)
        except BaseException:
            early.unlink(missing_ok=True)
            raise
    except OSError as exc:
        error = NoSpace if exc.errno in NO_ROOM else AccessDenied
        raise error(
            f"{file} cannot be written: {exc.strerror}",
            code="git-permission",
            hint=f"get the right, or the room, to write {file}",
        ) from exc
