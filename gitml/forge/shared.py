"""The one repository that a team shares: the remote if there is one, else this one.

Owns how its branches and requests are read and moved. With a remote, one fetch copies both below
`refs/gitml/remotes/REMOTE/`, a folder of refs that is GitML's own, so that branches deleted there vanish from the
copy without touching anybody's remote-tracking refs; those are only ever moved forward to what was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gitml.errors import PolicyRefused
from gitml.git.repository import Repository
from gitml.git.types import PushRef, PushStatus, RefUpdate

HEADS = "refs/heads/"
REQUESTS = "refs/gitml/requests/"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefMove:
    """A ref of the shared repository, its new commit, and the one it must have now (None: it must not exist)."""

    ref: str
    new: str
    old: str | None


class Moved(Enum):
    """How moving refs ended; on STALE none of them moved."""

    DONE = "done"
    STALE = "stale"


class Shared:
    """The shared repository as this clone can reach it.

    Args:
        repo: This clone.
        remote: Name of the remote; None where this clone is the shared repository itself.
    """

    def __init__(self, repo: Repository, remote: str | None) -> None:
        self.repo = repo
        self.remote = remote
        self._copies = f"refs/gitml/remotes/{remote}/"

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.remote or "this repository"

    def refresh(self) -> None:
        """Copy its branches and requests; nothing to do where it is this clone.

        Raises:
            StoreUnavailable: It cannot be reached.
            AccessDenied: It may not be read.
        """
        if self.remote is None:
            return
        specs = [f"+{HEADS}*:{self._copies}heads/*", f"+{REQUESTS}*:{self._copies}requests/*"]
        self.repo.fetch(self.remote, specs, prune=True)
        self._follow()

    def _follow(self) -> None:
        """Bring the remote-tracking branches to what was read; none is deleted."""
        tracking = f"refs/remotes/{self.remote}/"
        known = self.repo.refs(tracking)
        for branch, commit in self.branches().items():
            ref = tracking + branch
            if known.get(ref) != commit:
                # Another process may move it to something newer at the same time, and then that stands.
                self.repo.update_ref(ref, commit, known.get(ref))

    def branches(self) -> dict[str, str]:
        """Its branches as last read: name -> commit."""
        prefix = HEADS if self.remote is None else f"{self._copies}heads/"
        return {ref.removeprefix(prefix): commit for ref, commit in self.repo.refs(prefix).items()}

    def branch(self, name: str) -> str | None:
        """Tip of one branch as last read."""
        ref = HEADS + name if self.remote is None else f"{self._copies}heads/{name}"
        return self.repo.refs(ref).get(ref)

    def requests(self) -> dict[int, str]:
        """Its requests as last read: number -> newest event; other names there are nobody's requests."""
        prefix = REQUESTS if self.remote is None else f"{self._copies}requests/"
        found: dict[int, str] = {}
        for ref, commit in self.repo.refs(prefix).items():
            text = ref.removeprefix(prefix)
            if text.isascii() and text.isdecimal() and not text.startswith("0") and len(text) < 10:
                found[int(text)] = commit
        return found

    def move(self, moves: Sequence[RefMove]) -> Moved:
        """Move refs, all or none, each only from the commit it is expected to have.

        Raises:
            StoreUnavailable: It cannot be reached; nothing moved.
            OutcomeUnknown: The connection broke, and it could not be asked whether the refs moved.
            PolicyRefused: A hook or rule of the other side refused.
            AccessDenied: It may not be written.
        """
        if self.remote is None:
            return self._move_here(moves)
        updates = [PushRef(ref=move.ref, new=move.new, expected=move.old) for move in moves]
        results = self.repo.push(self.remote, updates, atomic=len(updates) > 1)
        refused = [result for result in results.values() if result.status is PushStatus.REFUSED]
        if refused:
            raise PolicyRefused(
                f"{self.remote} refused to move {', '.join(sorted(results))}: {refused[0].reason}",
                code="remote-refused",
                hint="ask who looks after the remote which rule it has",
                context={"refs": sorted(results)},
            )
        if not all(result.ok for result in results.values()):
            return Moved.STALE
        for move in moves:
            self._copy(move)
        return Moved.DONE

    def _copy(self, move: RefMove) -> None:
        """Note in the copies, and in the remote-tracking branch, what was just pushed."""
        if move.ref.startswith(HEADS):
            branch = move.ref.removeprefix(HEADS)
            names = [f"{self._copies}heads/{branch}", f"refs/remotes/{self.remote}/{branch}"]
        else:
            names = [f"{self._copies}requests/{move.ref.removeprefix(REQUESTS)}"]
        known = self.repo.refs(*names)
        for name in names:
            if known.get(name) != move.new:
                self.repo.update_ref(name, move.new, known.get(name))

    def _move_here(self, moves: Sequence[RefMove]) -> Moved:
        """Move refs of this very repository, the stage first.

        A process that dies between two moves leaves a merge without its `merged` event; merging again records it.
        """
        for move in moves:
            if self.repo.update_ref(move.ref, move.new, move.old) is RefUpdate.STALE:
                return Moved.STALE
        return Moved.DONE
