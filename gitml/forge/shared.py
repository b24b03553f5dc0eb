"""The one repository that a team shares: the remote if there is one, else this one.

Owns how its branches and requests are read and moved. With a remote, its refs are asked for and the commits that are
missing here are fetched by their ids: what was deleted there is gone here at once, nobody's refs are pruned, and no
ref of this clone is written but the remote-tracking branches, which follow what was read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from gitml.errors import AccessDenied, Busy, Conflict, GitMLError, PolicyRefused, StoreUnavailable
from gitml.git.remotes import is_name
from gitml.git.repository import Repository
from gitml.git.types import PushRef, PushStatus, RefUpdate

HEADS = "refs/heads/"
REQUESTS = "refs/gitml/requests/"
_ATTEMPTS = 3


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
        stages: Branches that only ever grow.

    Attributes:
        forced: Stages that are not where they have to be any more: name -> the tip that this clone saw last.
        lost: What was said when refs last could not be moved because they were stale.
    """

    def __init__(self, repo: Repository, remote: str | None, *, stages: Collection[str] = ()) -> None:
        self.repo = repo
        self.remote = remote
        self.forced: dict[str, str] = {}
        self._stages = stages
        self.lost: str | None = None
        self._seen: dict[str, str] = {}

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.remote or "this repository"

    def refresh(self) -> None:
        """Learn its branches and requests; nothing to do where it is this clone.

        Raises:
            StoreUnavailable: It cannot be reached.
            AccessDenied: It may not be read.
        """
        if self.remote is None:
            return
        for attempt in range(_ATTEMPTS):
            refs = self.repo.remote_refs(self.remote, f"{HEADS}*", f"{REQUESTS}*")
            refs = {ref: oid for ref, oid in refs.items() if ref.startswith((HEADS, REQUESTS))}
            missing = sorted({oid for oid in refs.values() if self.repo.resolve(oid) is None})
            try:
                if missing:
                    self.repo.fetch(self.remote, missing)
                break
            except (StoreUnavailable, AccessDenied):
                raise
            except GitMLError:
                # A ref may have moved between the question and the fetch, and an old server gives tips only.
                if attempt == _ATTEMPTS - 1:
                    raise
        self._seen = refs
        self._follow(self.branches())

    def _follow(self, branches: Mapping[str, str]) -> None:
        """Bring remote-tracking branches to what was read; none is deleted, and no stage follows where it was forced.

        They are a convenience for reading `@STAGE` later: a lock that another process holds, or left, does not fail
        the command.
        """
        if self.remote is None or not is_name(self.remote):
            return  # an address has no branches that follow it
        tracking = f"refs/remotes/{self.remote}/"
        known = self.repo.refs(tracking)
        for branch, commit in branches.items():
            ref = tracking + branch
            if branch in self._stages and self._is_forced(branch, known.get(ref), commit):
                self.forced[branch] = known[ref]
            elif known.get(ref) != commit:
                with suppress(Busy, Conflict):
                    self.repo.update_ref(ref, commit, known.get(ref))

    def _is_forced(self, branch: str, seen: str | None, commit: str) -> bool:
        """Whether a branch lost what this clone saw of it; where history is cut off, that cannot be told."""
        if seen is None or seen == commit or self.repo.is_shallow:
            return False
        if self.remote is None or self.repo.is_ancestor(seen, commit):
            return False
        # Another process of this clone may have seen it later than this one: then it is not there any more.
        return self.repo.remote_refs(self.remote, HEADS + branch).get(HEADS + branch) == commit

    def _refs(self, prefix: str) -> dict[str, str]:
        refs = self.repo.refs(prefix) if self.remote is None else self._seen
        return {ref.removeprefix(prefix): commit for ref, commit in refs.items() if ref.startswith(prefix)}

    def branches(self) -> dict[str, str]:
        """Its branches as last read: name -> commit."""
        return self._refs(HEADS)

    def branch(self, name: str) -> str | None:
        """Tip of one branch as last read."""
        ref = HEADS + name
        return (self.repo.refs(ref) if self.remote is None else self._seen).get(ref)

    def assume(self, branch: str, commit: str) -> None:
        """Answer as if a branch were at a commit, until the next refresh: to judge before it is pushed."""
        self._seen[HEADS + branch] = commit

    def requests(self) -> dict[int, str]:
        """Its requests as last read: number -> newest event; other names there are nobody's requests."""
        found: dict[int, str] = {}
        for text, commit in self._refs(REQUESTS).items():
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
            self.lost = next((result.reason for result in results.values() if result.reason), None)
            return Moved.STALE
        self._seen |= {move.ref: move.new for move in moves}
        self._follow({m.ref.removeprefix(HEADS): m.new for m in moves if m.ref.startswith(HEADS)})
        return Moved.DONE

    def _move_here(self, moves: Sequence[RefMove]) -> Moved:
        """Move refs of this very repository, the stage first.

        A process that dies between two moves leaves a merge without its `merged` event; merging again records it.
        """
        for move in moves:
            if self.repo.update_ref(move.ref, move.new, move.old) is RefUpdate.STALE:
                return Moved.STALE
        return Moved.DONE
