"""The work trees of a repository: which branch each has checked out, and what its user has begun."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitml.git.command import GitCommand
from gitml.git.names import ref_problem
from gitml.git.types import Operation

_ON_BRANCH: Final = "ref: refs/heads/"
_MARKS: Final = (
    ("rebase-merge", Operation.REBASE),
    ("rebase-apply/rebasing", Operation.REBASE),
    ("rebase-apply", Operation.APPLY_MAILBOX),
    ("MERGE_HEAD", Operation.MERGE),
    ("CHERRY_PICK_HEAD", Operation.CHERRY_PICK),
    ("REVERT_HEAD", Operation.REVERT),
    ("sequencer", Operation.CHERRY_PICK),
    ("BISECT_LOG", Operation.BISECT),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worktree:
    """One work tree.

    Attributes:
        top: Its folder.
        git_dir: Its git folder.
        branch: Short name of its branch; None when its HEAD is detached.
        rebasing: Short name of the branch that is being rebased there.
        operation: What its user has begun.
    """

    top: Path
    git_dir: Path
    branch: str | None
    rebasing: str | None
    operation: Operation | None


def read_head(git: GitCommand, git_dir: Path, common_dir: Path) -> tuple[str | None, Operation | None]:
    """Return the branch of HEAD (None: detached) and the unfinished operation."""
    branch = _branch_written(git_dir, common_dir)
    if branch is None:
        result = git.run("symbolic-ref", "--quiet", "HEAD", ok=(0, 1), what="HEAD could not be read")
        branch = result.text.removeprefix("refs/heads/") if result.status == 0 else None
    return branch, operation_in(git_dir)


def _branch_written(git_dir: Path, common_dir: Path) -> str | None:
    """Return the branch that the file HEAD names; None where git has to be asked.

    Every command asks several times, and a process for each would take longer than the rest of it. Git has to say
    where HEAD is a commit, a link, broken, or a name of a name, and where refs are kept in another form: then the file
    names what cannot be a branch.
    """
    try:
        head = git_dir / "HEAD"
        text = "" if head.is_symlink() else head.read_text(encoding="utf-8")
        name = text.removeprefix(_ON_BRANCH).removesuffix("\n")
        if text != f"{_ON_BRANCH}{name}\n" or ref_problem(name) is not None:
            return None
        branch = common_dir / "refs/heads" / name
        return None if branch.is_file() and branch.read_bytes().startswith(b"ref:") else name
    except (OSError, UnicodeDecodeError):
        return None


def operation_in(git_dir: Path) -> Operation | None:
    """Return what the user has begun in the work tree of a git folder."""
    for mark, operation in _MARKS:
        if (git_dir / mark).exists():
            return operation
    return None


def list_worktrees(git: GitCommand, common_dir: Path) -> list[Worktree]:
    """Return the work trees that exist on this disk; a bare repository itself is none."""
    raw = git.run("worktree", "list", "--porcelain", "-z", what="the work trees could not be listed").stdout
    folders = _git_dirs(common_dir)
    found = []
    for block in raw.split(b"\0\0"):
        fields = dict(_field(line) for line in block.split(b"\0") if line)
        top = Path(fields.get("worktree", ""))
        if not fields or "bare" in fields or "prunable" in fields or not top.is_dir():
            continue
        git_dir = folders.get(top) or folders.get(top.resolve())
        if git_dir is None:
            git_dir = common_dir
            if top.name == ".git":
                continue
        branch = fields.get("branch")
        found.append(
            Worktree(
                top=top,
                git_dir=git_dir,
                branch=None if branch is None else branch.removeprefix("refs/heads/"),
                rebasing=_rebasing(git_dir),
                operation=operation_in(git_dir),
            )
        )
    return found


def _field(line: bytes) -> tuple[str, str]:
    key, _, value = line.decode("utf-8", "surrogateescape").partition(" ")
    return key, value


def _git_dirs(common_dir: Path) -> dict[Path, Path]:
    """Return top -> git folder of the linked work trees."""
    found = {}
    for pointer in (common_dir / "worktrees").glob("*/gitdir"):
        try:
            top = Path(pointer.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")).parent
        except OSError:
            continue
        if not top.is_absolute():
            top = (pointer.parent / top).resolve()
        found[top] = pointer.parent
        found[top.resolve()] = pointer.parent
    return found


def _rebasing(git_dir: Path) -> str | None:
    for folder in ("rebase-merge", "rebase-apply"):
        try:
            name = (git_dir / folder / "head-name").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue
        return name.removeprefix("refs/heads/")
    return None
