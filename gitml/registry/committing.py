"""Commit files of the registry on a branch by compare-and-swap, again where the branch moved meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gitml.errors import Busy
from gitml.git.repository import Repository
from gitml.git.types import RefUpdate, Stale

HEADS = "refs/heads/"
_TRIES = 20


def commit_on(
    repo: Repository,
    branch: str,
    start: str | None,
    changes: Callable[[str | None], Mapping[str, bytes]],
    message: str,
) -> str:
    """Commit on a branch, and give the new tip (the old one where nothing changes).

    Args:
        repo: The repository.
        branch: Short name.
        start: Commit that the branch starts from if it does not exist; None starts it empty.
        changes: Asked with the tip that will be built on; gives path -> bytes, and may refuse by raising.
        message: Commit message.

    Raises:
        Busy: The branch moved again and again, or an index is locked.
        Conflict: Files in the work tree are in the way.
    """
    ref = HEADS + branch
    for _ in range(_TRIES):
        tip = repo.refs(ref).get(ref)
        files = changes(tip or start)
        if tip is None and start is not None:
            commit = repo.write_commit(repo.write_tree(start, files), [start], message)
            if repo.update_ref(ref, commit, None) is RefUpdate.UPDATED:
                return commit
            continue
        outcome = repo.commit_changes(branch, files, message, expected_tip=tip)
        if not isinstance(outcome, Stale):
            return outcome
    raise Busy(
        f"the branch {branch} moved {_TRIES} times while it was to be committed to",
        code="branch-moves",
        hint="run the command again; what was stored is not stored twice",
        context={"branch": branch},
    )
