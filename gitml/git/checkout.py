"""Commits on branches that are checked out: the files, the index entries and the ref change as one.

Order, so that a crash anywhere can be put right (see :mod:`gitml.git.recovery`): record in the journal, index lock,
new index beside the old one, files, ref by compare-and-swap, new index in place, lock off, record off.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gitml.errors import AccessDenied, Conflict, NoSpace, UsageError
from gitml.git import journal, refs
from gitml.git.command import GitCommand
from gitml.git.failures import NO_ROOM, busy
from gitml.git.objects import ObjectReader
from gitml.git.placing import FileState, put, put_back, state
from gitml.git.recovery import is_ours, lock_text
from gitml.git.trees import drivers_off
from gitml.git.types import Change, Diverged, RefUpdate
from gitml.git.worktrees import Worktree

if TYPE_CHECKING:
    from gitml.git.repository import Repository

_WAIT_FOR_GITML_S: Final = 30.0
_FEW_PATHS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePlan:
    """What a change means for one work tree.

    Attributes:
        tree: The work tree.
        changes: Files that differ.
        before: How each of them stood.
        hidden: Those that the user keeps out of the work tree (sparse checkout).
    """

    tree: Worktree
    changes: tuple[Change, ...]
    before: tuple[FileState, ...]
    hidden: frozenset[str]


def holding(trees: Sequence[Worktree], branch: str) -> list[Worktree]:
    """Return the work trees where a branch is checked out.

    Raises:
        Conflict: It is being rebased, or an operation on it is unfinished.
    """
    found = [tree for tree in trees if tree.branch == branch]
    for tree in trees:
        if tree.rebasing == branch:
            raise Conflict(
                f"branch {branch} is being rebased in {tree.top}",
                code="operation-in-progress",
                hint="git rebase --continue, or git rebase --abort",
            )
    for tree in found:
        if tree.operation is not None and tree.operation.value not in ("bisect",):
            word = tree.operation.value
            raise Conflict(
                f"a {word} is in progress on branch {branch} in {tree.top}",
                code="operation-in-progress",
                hint=f"git {word} --continue, or git {word} --abort",
            )
    return found


def plan(
    git: GitCommand, trees: Sequence[Worktree], changes: Sequence[Change], *, held: bool = False
) -> list[TreePlan]:
    """Say what would change in the work trees; pure reading. `held`: the caller has the index locks.

    Raises:
        Busy: An index is locked by another program.
        Conflict: Files are in the way; `context["paths"]` lists them.
    """
    plans = []
    for tree in trees:
        lock = tree.git_dir / "index.lock"
        if not held and lock.exists() and not _is_gitml(lock):
            raise busy(str(lock), what="nothing was committed")
        plans.append(_plan_tree(git, tree, changes))
    return plans


def execute(
    git: GitCommand,
    reader: ObjectReader,
    common_dir: Path,
    trees: Sequence[Worktree],
    changes: Sequence[Change],
    ref: str,
    new: str,
    old: str | None,
) -> RefUpdate:
    """Move the ref and, with it, index and files of the work trees where it is checked out."""
    locks = [_recorded(tree) for tree in trees]
    facts: dict[str, object] = {"kind": "commit", "ref": ref, "new": new, "old": old, "trees": locks}
    with journal.operation(common_dir, facts, durable=bool(trees)) as held, ExitStack() as unlock:
        for tree in trees:
            # First, since Ctrl-C may come when the lock has just been made.
            unlock.callback(_unlock_index, tree.git_dir, held)
            _lock_index(tree.git_dir, held.id)
        if tip(reader, ref) != old:
            return RefUpdate.STALE
        if not trees:
            return refs.swap(git, ref, new, old, held=held.descriptor)
        plans = plan(git, trees, changes, held=True)
        held.record({**facts, "pending": True, "trees": [_recorded(one.tree, one) for one in plans]})
        try:
            for one in plans:
                _prepare_index(git, one, held.id)
                _write_files(reader, one, held.id)
            outcome = refs.swap(git, ref, new, old, held=held.descriptor)
        except BaseException:
            _finish(reader, plans, held, moved=tip(reader, ref) == new)
            held.record(facts)
            raise
        _finish(reader, plans, held, moved=outcome is RefUpdate.UPDATED)
        held.record(facts)
        return outcome


def tip(reader: ObjectReader, ref: str) -> str | None:
    """Return where a ref is, to see early that a swap would fail; the swap alone decides."""
    found = reader.info(ref)
    return None if found is None else found[0]


def _finish(reader: ObjectReader, plans: Sequence[TreePlan], held: journal.Held, *, moved: bool) -> None:
    """Put the new indexes in place, or take the files back."""
    if not moved:
        _undo_files(reader, plans, held.id)
        return
    for one in plans:
        _prepared(one.tree.git_dir, held.id).replace(one.tree.git_dir / "index")
        journal.sync_folder(one.tree.git_dir)


def fast_forward(repository: Repository, git: GitCommand, reader: ObjectReader, to: str) -> Diverged | None:
    """Move the current branch to a descendant; see :meth:`Repository.fast_forward`."""
    head = repository.head()
    if head.branch is None:
        raise UsageError(
            "HEAD is detached: there is no branch to move", code="detached-head", hint="git switch BRANCH"
        )
    if head.commit == to or (head.commit is not None and repository.is_ancestor(to, head.commit)):
        return None
    if head.commit is not None and not repository.is_ancestor(head.commit, to):
        return Diverged(branch=head.branch, ours=head.commit, theirs=to)
    changes = repository.changed_paths(head.commit, to)
    trees = holding(repository.worktrees(), head.branch)
    if trees:
        _refuse_special(git, changes, to)
    plan(git, trees, changes)
    ref = f"refs/heads/{head.branch}"
    outcome = execute(git, reader, repository.common_dir, trees, changes, ref, to, head.commit)
    if outcome is RefUpdate.STALE:
        raise Conflict(f"branch {head.branch} moved meanwhile", code="branch-moved", hint="run it again")
    return None


def is_dirty(git: GitCommand, paths: Sequence[str], *, untracked: bool) -> bool:
    """Whether the work tree differs from HEAD."""
    if git.work_tree is None:
        return False
    result = git.run(
        "status", "--porcelain=v2", "-z", "--no-renames", "--ignore-submodules=all",
        f"--untracked-files={'normal' if untracked else 'no'}", "--", *(path for path in paths if path),
        settings=drivers_off(git, "filter"),
        what="the state of the work tree could not be read",
    )  # fmt: skip
    return bool(result.stdout)


def _refuse_special(git: GitCommand, changes: Sequence[Change], to: str) -> None:
    """Leave to git what needs a filter program or the rules of a sparse checkout."""
    advice = f"git merge --ff-only {to}"
    sparse = git.run("config", "--type=bool", "--get", "core.sparseCheckout", ok=(0, 1))
    if sparse.text == "true":
        raise Conflict("the work tree is sparse: git has to update it", code="sparse-checkout", hint=advice)
    if not any(key.startswith("filter.") for key, _ in drivers_off(git, "filter")):
        return
    request = "".join(f"{change.path}\0" for change in changes if change.new_oid).encode()
    result = git.run(
        "check-attr", "-z", "--stdin", "filter", stdin=request, what="attributes could not be read"
    )
    values = result.stdout.split(b"\0")[2::3]
    changed_rules = any(change.path.endswith(".gitattributes") for change in changes)
    if changed_rules or any(value not in (b"unspecified", b"unset", b"") for value in values):
        raise Conflict(
            "new files need a filter program, which gitml never runs", code="filter-needed", hint=advice
        )


def _in_tree(git: GitCommand, tree: Worktree) -> GitCommand:
    return GitCommand(cwd=tree.top, git_dir=tree.git_dir, work_tree=tree.top)


def _plan_tree(git: GitCommand, tree: Worktree, changes: Sequence[Change]) -> TreePlan:
    paths = [change.path for change in changes]
    indexed = _index_entries(_in_tree(git, tree), paths)
    before, hidden, blocked = [], set(), {}
    for change in changes:
        tag, mode, oid = indexed.get(change.path, ("H", None, None))
        now = state(tree.top, change)
        before.append(now)
        if (mode, oid) not in ((change.old_mode, change.old_oid), (change.new_mode, change.new_oid)):
            blocked[change.path] = "is staged with other contents"
        elif tag == "S" and now is FileState.ABSENT:
            hidden.add(change.path)
        elif "160000" in (change.old_mode, change.new_mode):
            continue
        elif now is FileState.BLOCKED:
            blocked[change.path] = "lies behind a symbolic link, or is no regular file"
        elif now is FileState.OTHER:
            blocked[change.path] = (
                "is untracked" if change.old_oid is None else "was changed in the work tree"
            )
    if blocked:
        listed = ", ".join(f"{path} {why}" for path, why in list(blocked.items())[:5])
        more = f" and {len(blocked) - 5} more" if len(blocked) > 5 else ""
        raise Conflict(
            f"files in {tree.top} are in the way: {listed}{more}",
            code="files-in-the-way",
            hint="move them away or commit them, then run it again",
            context={"paths": sorted(blocked)},
        )
    return TreePlan(tree=tree, changes=tuple(changes), before=tuple(before), hidden=frozenset(hidden))


def _index_entries(git: GitCommand, paths: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """Return path -> (tag, mode, id); an unmerged path has no id that equals anything."""
    limit = ["--", *paths] if len(paths) <= _FEW_PATHS else []
    raw = git.run("ls-files", "-z", "-t", "-s", *limit, what="the index could not be read").stdout
    wanted = set(paths)
    found = {}
    for row in raw.split(b"\0"):
        meta, _, name = row.partition(b"\t")
        if not name:
            continue
        path = name.decode("utf-8", "surrogateescape")
        if path in wanted:
            tag, mode, oid, stage = meta.decode("ascii").split(" ")
            found[path] = (tag.upper(), mode, oid if stage == "0" else f"stage {stage}")
    return found


def _prepare_index(git: GitCommand, one: TreePlan, operation: str) -> None:
    """Write the new index beside the old one."""
    prepared = _prepared(one.tree.git_dir, operation)
    with suppress(FileNotFoundError):
        shutil.copyfile(one.tree.git_dir / "index", prepared)
    rows = []
    for change in one.changes:
        zeros = "0" * len(change.new_oid or change.old_oid or "")
        rows.append(f"{change.new_mode or '0'} {change.new_oid or zeros} 0\t{change.path}\0")
    git = _in_tree(git, one.tree)
    env = {"GIT_INDEX_FILE": str(prepared)}
    said = "the index could not be written"
    # Writing an index compares files that are as young as it, and would run their filters.
    off = drivers_off(git, "filter")
    git.run(
        "update-index", "-z", "--index-info", stdin="".join(rows).encode(), env=env, settings=off, what=said
    )
    hidden = [change.path for change in one.changes if change.path in one.hidden and change.new_oid]
    if hidden:
        request = "".join(f"{path}\0" for path in hidden).encode()
        git.run(
            "update-index",
            "-z",
            "--skip-worktree",
            "--stdin",
            stdin=request,
            env=env,
            settings=off,
            what=said,
        )


def _write_files(reader: ObjectReader, one: TreePlan, operation: str) -> None:
    sync = len(one.changes) <= _FEW_PATHS
    for change, before in zip(one.changes, one.before, strict=True):
        if change.path in one.hidden or before is FileState.NEW:
            continue
        if change.new_oid is None and (before is FileState.ABSENT or change.old_mode == "160000"):
            continue
        put(reader, one.tree.top, change.path, change.new_mode, change.new_oid, tag=operation, sync=sync)


def _undo_files(reader: ObjectReader, plans: Sequence[TreePlan], operation: str) -> None:
    for one in plans:
        touched = [
            (change, before is FileState.ABSENT)
            for change, before in zip(one.changes, one.before, strict=True)
            if before is not FileState.NEW and change.path not in one.hidden
        ]
        put_back(
            reader, one.tree.top, [c for c, _ in touched], [absent for _, absent in touched], tag=operation
        )


def _recorded(tree: Worktree, one: TreePlan | None = None) -> dict[str, object]:
    """Return what recovery needs to take the files back; what was new before is not taken back."""
    rows = []
    if one is not None:
        rows = [
            (asdict(change), before.value)
            for change, before in zip(one.changes, one.before, strict=True)
            if before is not FileState.NEW and change.path not in one.hidden
        ]
    return {
        "git_dir": str(tree.git_dir),
        "top": str(tree.top),
        "changes": [change for change, _ in rows],
        "before": [before for _, before in rows],
    }


def _prepared(git_dir: Path, operation: str) -> Path:
    return git_dir / f"gitml-index-{operation}"


def _is_gitml(lock: Path) -> bool:
    try:
        with lock.open("rb") as stream:
            return stream.read(6) == b"gitml "
    except OSError:
        return False


def _lock_index(git_dir: Path, operation: str) -> None:
    """Take the index lock that git itself respects; wait for other GitML processes, not for other programs."""
    lock, early = git_dir / "index.lock", git_dir / f"gitml-lock-{operation}"
    deadline = time.monotonic() + _WAIT_FOR_GITML_S
    try:
        with early.open("xb") as stream:
            stream.write(lock_text(operation))
            stream.flush()
            os.fsync(stream.fileno())  # so that the lock says whose it is after a power cut, too
        while True:
            try:
                os.link(early, lock)
                return
            except FileExistsError:
                if (not _is_gitml(lock) and lock.exists()) or time.monotonic() > deadline:
                    raise busy(str(lock), what="nothing was committed") from None
                time.sleep(0.01)
    except OSError as exc:
        error = NoSpace if exc.errno in NO_ROOM else AccessDenied
        raise error(
            f"{lock} cannot be made: {exc.strerror}",
            code="git-permission",
            hint=f"get the right, or the room, to write {git_dir}",
        ) from exc
    finally:
        early.unlink(missing_ok=True)


def _unlock_index(git_dir: Path, held: journal.Held) -> None:
    if held.is_pending():
        return  # recovery has to see the lock
    _prepared(git_dir, held.id).unlink(missing_ok=True)
    lock = git_dir / "index.lock"
    if is_ours(lock, held.id):
        lock.unlink(missing_ok=True)
