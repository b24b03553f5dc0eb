"""Finds or makes the repository that a folder belongs to, as git finds it, and asks git whether its owner is to be trusted.

A bare repository counts only where it does not lie inside the work tree of another: there it may have come with a
checkout, and its configuration with it.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitml.errors import AccessDenied, NoSpace, NotFound
from gitml.git.command import GitCommand, Result
from gitml.git.failures import NO_ROOM, failure

_UNFINISHED: Final = ".gitml-init-"
_QUESTIONS: Final = (
    "rev-parse",
    "--path-format=absolute",
    "--is-bare-repository",
    "--is-inside-work-tree",
    "--is-shallow-repository",
    "--show-object-format",
    "--git-dir",
    "--git-common-dir",
    "--show-toplevel",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a repository lies.

    Attributes:
        top: Top of the work tree; None when there is none.
        git_dir: Git folder of this work tree.
        common_dir: Git folder that all work trees share.
        object_format: `sha1` or `sha256`.
    """

    top: Path | None
    git_dir: Path
    common_dir: Path
    object_format: str


def find(path: Path) -> Place:
    """Return the repository that holds the folder or file.

    Raises:
        NotFound: There is none.
        AccessDenied: Git does not trust its owner, or it is a bare repository inside a work tree.
    """
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        raise NotFound(f"{path} does not exist", code="not-a-repository", hint="gitml init")
    result = _ask(folder, bare="explicit")
    if "cannot use bare repository" in result.stderr:
        if _inside_work_tree(folder):
            raise AccessDenied(
                f"{folder} is a bare repository inside the work tree of another, which may have brought it along",
                code="bare-inside-work-tree",
                hint="clone it to a place of its own",
            )
        result = _ask(folder, bare="all")
    return _read(result, folder)


def _ask(folder: Path, *, bare: str) -> Result:
    return GitCommand(cwd=folder.absolute()).run(
        *_QUESTIONS, settings=[("safe.bareRepository", bare)], ok=(0, 128), what="no repository was found"
    )


def _read(result: Result, folder: Path) -> Place:
    lines = result.text.split("\n")
    if result.status != 0 and (len(lines) < 6 or lines[0] != "true"):
        if "not a git repository" in result.stderr or "must be run in a work tree" in result.stderr:
            raise NotFound(f"{folder} is in no git repository", code="not-a-repository", hint="gitml init")
        raise failure(result.stderr, result.status, what=f"{folder} cannot be used")
    bare, inside, _, object_format, git_dir, common_dir, *top = lines
    if bare != "true" and (inside != "true" or len(top) != 1):
        raise NotFound(
            f"{folder} is no work tree of a repository", code="not-a-repository", hint="cd to its work tree"
        )
    return Place(
        top=Path(top[0]) if bare != "true" else None,
        git_dir=Path(git_dir),
        common_dir=Path(common_dir),
        object_format=object_format,
    )


def _inside_work_tree(folder: Path) -> bool:
    """Whether a folder above holds a work tree."""
    return any((above / ".git").exists() for above in folder.resolve().parents)


def make(path: Path, options: Sequence[str], *, whole: bool) -> None:
    """Run `git init` in a folder.

    Args:
        path: The folder; it exists.
        options: Of `git init`.
        whole: Let git write in the folder itself. Otherwise `.git` appears there complete or not at all: what a
            killed `git init` leaves is no repository, and keeps the next one from making one.

    Raises:
        AccessDenied, NoSpace: The folder cannot be written.
    """
    what = f"no repository could be made in {path}"
    if whole:
        GitCommand(cwd=path).run("init", "--quiet", *options, what=what)
        return
    try:
        for stale in path.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=path) as folder:
            GitCommand(cwd=Path(folder)).run("init", "--quiet", *options, what=what)
            with suppress(FileExistsError):
                Path(folder, ".git").rename(path / ".git")
    except OSError as exc:
        if exc.errno == errno.ENOTEMPTY and (path / ".git").exists():
            return  # another process was faster
        error = NoSpace if exc.errno in NO_ROOM else AccessDenied
        raise error(
            f"{what}: {exc.strerror}",
            code="git-permission",
            hint=f"get the right, or the room, to write {path}",
        ) from exc
