"""A git repository as GitML sees it: the one class through which other rooms read and write git.

Reads take commits and trees by id, writes go to the object store first and end in one compare-and-swap of a ref.
Nothing here needs a work tree but what says so; nothing here runs a program of the repository.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gitml._lazy import LazyModule
from gitml.errors import Busy, UsageError
from gitml.git import configuration, discovery, refs
from gitml.git.command import GitCommand
from gitml.git.failures import REFS_MOVED
from gitml.git.names import (
    check_branch,
    check_folder,
    check_oid,
    check_ref,
    check_refspec,
)
from gitml.git.reading import ReadableRepository
from gitml.git.types import (
    Change,
    Changes,
    Diverged,
    Identity,
    MergeConflict,
    MergedTree,
    PushRef,
    PushResult,
    RefUpdate,
    Stale,
    Upstream,
)
from gitml.git.worktrees import Worktree, list_worktrees

_FETCHES = 6

if TYPE_CHECKING:
    from gitml.git import checkout, exclude, quarantine, racing, recovery, remotes, trees
else:
    # Most commands only read, and never enter these rooms.
    checkout = LazyModule("gitml.git.checkout")
    exclude = LazyModule("gitml.git.exclude")
    quarantine = LazyModule("gitml.git.quarantine")
    racing = LazyModule("gitml.git.racing")
    recovery = LazyModule("gitml.git.recovery")
    remotes = LazyModule("gitml.git.remotes")
    trees = LazyModule("gitml.git.trees")


class Repository(ReadableRepository):
    """A git repository to work in: all that can be read of it, commits and refs that are written, and its remotes."""

    @classmethod
    def discover(cls, path: Path) -> Repository:
        """Return the repository that holds a folder.

        Raises:
            NotFound: There is none (`not-a-repository`).
            AccessDenied: Git does not trust its owner.
        """
        return cls(discovery.find(Path(path)))

    @classmethod
    def receiving(cls, path: Path) -> Repository:
        """Return the repository that holds a folder, with what a push brings, for a hook that judges it.

        Raises:
            NotFound, AccessDenied: As for :meth:`discover`; or the push's objects are said to be elsewhere.
        """
        place = discovery.find(Path(path))
        return cls(place, incoming=quarantine.variables(place.common_dir))

    @classmethod
    def init(
        cls, path: Path, default_branch: str = "main", *, bare: bool = False, object_format: str | None = None
    ) -> Repository:
        """Make a repository in a folder, which may exist; one that is there already is left as it is."""
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        options = [f"--initial-branch={check_branch(default_branch)}", "--template="]
        if object_format is not None:
            options.append(f"--object-format={object_format}")
        if bare:
            options.append("--bare")
        discovery.make(path.absolute(), options, whole=bare or (path / ".git").exists())
        return cls.discover(path)

    @classmethod
    def clone(cls, url: str, path: Path, *, bare: bool = False, depth: int | None = None) -> Repository:
        """Copy a repository to a new folder, without its submodules and hooks.

        Raises:
            InvalidInput: The address is of a kind that GitML does not talk to.
            Conflict: The folder exists and is not empty.
            StoreUnavailable, AccessDenied, NotFound: As for :meth:`fetch`.
        """
        remotes.clone(url, Path(path), bare=bare, depth=depth)
        return cls.discover(Path(path))

    # --- writing ------------------------------------------------------------------------------------------------

    def write_tree(self, base: str | None, changes: Changes) -> str:
        """Store the tree that a commit or tree becomes by the changes, and return its id.

        No index and no work tree are involved. Deleting what is not there is no change.

        Raises:
            Conflict: A file would have to be a folder, or the other way round.
            InvalidInput: A path cannot stand in a tree.
        """
        return trees.write_tree(self._git, self._objects, base, changes)

    def merge_trees(self, ours: str, theirs: str, base: str | None = None) -> MergedTree | MergeConflict:
        """Merge two commits (or, with `base`, trees) without a work tree."""
        return trees.merge_trees(self._git, self._objects, ours, theirs, base)

    def write_commit(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        *,
        author: Identity | None = None,
        when: datetime | None = None,
    ) -> str:
        """Store a commit and return its id; it is signed where `commit.gpgsign` asks for it.

        Args:
            tree: Id of its tree.
            parents: Ids of its parents.
            message: UTF-8 text; a last newline is added.
            author: Who made the change; the committer is always the user.
            when: Time of authoring and committing; now when None.

        Raises:
            UsageError: Name or e-mail address are not set, or the message holds NUL.
            AccessDenied: The signing program failed.
        """
        env: dict[str, str] = {}
        if author is not None:
            env |= {"GIT_AUTHOR_NAME": author.name, "GIT_AUTHOR_EMAIL": author.email}
        if when is not None:
            date = f"@{int(when.astimezone(UTC).timestamp())} +0000"
            env |= {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        if "\0" in message or any("\0" in value for value in env.values()):
            raise UsageError("a commit message may not hold NUL", code="commit-message")
        arguments = ["-S"] if self._signs() else []
        for parent in parents:
            arguments += ["-p", check_oid(parent)]
        result = self._git.run(
            "commit-tree", *arguments, "-F", "-", check_oid(tree),
            stdin=(message.rstrip("\n") + "\n").encode("utf-8", "replace"),
            env=env,
            settings=[("user.useConfigOnly", "true")],
            what="the commit could not be made",
        )  # fmt: skip
        return result.text

    def _signs(self) -> bool:
        if configuration.value(self._git, "commit.gpgsign") is None:
            return False
        result = self._git.run(
            "config",
            "--type=bool",
            "--get",
            "commit.gpgsign",
            ok=(0, 1),
            what="commit.gpgsign could not be read",
        )
        return result.text == "true"

    def update_ref(self, name: str, new: str | None, old: str | None) -> RefUpdate:
        """Move a ref by compare-and-swap; the commit point of everything that GitML does.

        Args:
            name: Full name.
            new: What it shall name; None deletes it.
            old: What it must name now; None: it must not exist.

        Raises:
            Busy: Another process holds its lock.
            Conflict: A ref lies where a folder of refs would have to be, or the other way round.
        """
        self.recover_locks()
        return refs.update(self._git, self.common_dir, name, new, old)

    def commit_changes(
        self,
        branch: str,
        changes: Changes,
        message: str,
        *,
        expected_tip: str | None,
        parents: Sequence[str] | None = None,
        author: Identity | None = None,
        when: datetime | None = None,
    ) -> str | Stale:
        """Commit changes on a branch, and return the new tip (the old one when nothing would change).

        Where the branch is checked out, exactly the changed files are also written to that work tree and that index;
        nothing else staged or unstaged changes. If the process dies on the way, the next writing call finishes or
        undoes it.

        Args:
            branch: Short name.
            changes: What becomes of which path.
            message: Commit message.
            expected_tip: Where the branch must be; None: it must not exist (an unborn branch).
            parents: Parents of the commit; the expected tip when None.
            author: As :meth:`write_commit`.
            when: As :meth:`write_commit`.

        Raises:
            Busy: An index is locked; nothing was committed.
            Conflict: Files in the work tree or index are in the way (listed), or the branch is being rebased.
        """
        self.recover_locks()
        ref = f"refs/heads/{check_branch(branch)}"
        tree = self.write_tree(expected_tip, changes)
        if expected_tip is not None and parents is None:
            found = self._objects.info(f"{check_oid(expected_tip)}^{{tree}}")
            if found is not None and found[0] == tree:
                return expected_tip
        if parents is None:
            parents = [] if expected_tip is None else [expected_tip]
        where = checkout.holding(self.worktrees(), branch)
        changes_made: list[Change] = []
        if where:
            actual = checkout.tip(self._objects, ref)
            if actual != expected_tip:
                return Stale(ref=ref, actual=actual)
            # Asked before the commit is made: signing may ask the user for a passphrase.
            changes_made = self.changed_paths(expected_tip, tree)
            checkout.plan(self._git, where, changes_made)
        commit = self.write_commit(tree, parents, message, author=author, when=when)
        outcome = checkout.execute(
            self._git, self._objects, self.common_dir, where, changes_made, ref, commit, expected_tip
        )
        return commit if outcome is RefUpdate.UPDATED else Stale(ref=ref, actual=self.refs(ref).get(ref))

    def checked_out(self, branch: str) -> list[Path]:
        """Return the tops of the work trees where a branch is checked out (unborn counts)."""
        return [tree.top for tree in self.worktrees() if tree.branch == check_branch(branch)]

    def worktrees(self) -> list[Worktree]:
        """Return the work trees of the repository."""
        return list_worktrees(self._git, self.common_dir)

    def fast_forward(self, to: str) -> Diverged | None:
        """Move the current branch, with index and work tree, to a descendant of its tip.

        Raises:
            Conflict: Changes in the work tree are in the way, or the new files need a filter program.
            UsageError: HEAD is detached, or there is no work tree.
        """
        self.recover_locks()
        return checkout.fast_forward(self, self._git, self._objects, check_oid(to))

    def is_dirty(self, *paths: str, untracked: bool = False) -> bool:
        """Whether tracked files (below the paths) differ from HEAD, or untracked ones are there."""
        return checkout.is_dirty(self._git, [check_folder(path) for path in paths], untracked=untracked)

    def ignored(self, paths: Sequence[str]) -> set[str]:
        """Return those of the paths that git ignores."""
        return exclude.ignored(self._git, paths)

    def exclude_lines(self) -> list[str]:
        """Return the lines of `<common dir>/info/exclude` that GitML keeps there (folders, without decoration)."""
        return exclude.lines(self.common_dir)

    def set_excluded(self, folders: Sequence[str]) -> bool:
        """Make the lines of GitML in `<common dir>/info/exclude` those of these folders; the user's stay.

        Returns:
            Whether the file was written.
        """
        self.recover_locks()
        return exclude.set_lines(self.common_dir, folders)

    def recover_locks(self) -> list[str]:
        """Finish or undo what a killed GitML process left half done, and return the lock files that went.

        Only locks that the journal proves to be GitML's own, of a process that is dead, are touched.
        """
        return recovery.recover(self._objects, self.common_dir)

    # --- remotes ------------------------------------------------------------------------------------------------

    def remotes(self) -> dict[str, str]:
        """Return name -> address of the remotes, as they are configured."""
        return remotes.listing(self._git)

    def add_remote(self, name: str, url: str) -> None:
        """Name a remote.

        Raises:
            Conflict: The name stands for another address.
            InvalidInput: GitML does not talk to such an address.
        """
        self.recover_locks()
        with recovery.recorded(self.common_dir, recovery.CONFIG) as held:
            remotes.add(self._git, name, url, held=held)

    def upstream(self, branch: str) -> Upstream | None:
        """Return what a branch follows; None when nothing."""
        return remotes.upstream(self._git, branch)

    def set_upstream(self, branch: str, remote: str) -> None:
        """Let a branch follow the branch of the same name on a remote."""
        self.recover_locks()
        with recovery.recorded(self.common_dir, recovery.CONFIG) as held:
            remotes.set_upstream(self._git, branch, remote, held=held)

    def remote_refs(self, remote: str, *patterns: str) -> dict[str, str]:
        """Ask a remote for its refs: full name -> object id.

        Raises:
            StoreUnavailable, AccessDenied, NotFound: As for :meth:`fetch`.
        """
        return remotes.remote_refs(self._git, remote, patterns)

    def fetch(
        self, remote: str, refspecs: Sequence[str] = (), *, prune: bool = False, depth: int | None = None
    ) -> None:
        """Bring commits and refs of a remote here; objects are checked on the way.

        Args:
            remote: Name of a remote, or an address.
            refspecs: `[+]refs/…:refs/…`; the remote's configured ones when empty.
            prune: Forget what the remote has no more.
            depth: Cut the history off after so many commits.

        Raises:
            StoreUnavailable: The remote cannot be reached.
            AccessDenied: Credentials are missing or refused.
            NotFound: There is no such remote, repository or ref.
            IntegrityError: The remote sent broken objects.
            Busy: Other processes of this clone moved the same refs at every attempt, or hold one locked.
        """
        for spec in refspecs:
            check_refspec(spec)
        race = racing.Race(f"fetch from {remote}", most_attempts=_FETCHES)
        with recovery.recorded(self.common_dir, recovery.FETCH) as held:
            said = ""
            for _ in race.attempts():
                try:
                    remotes.fetch(self._git, remote, refspecs, prune=prune, depth=depth, held=held)
                except Busy as error:
                    if error.code != REFS_MOVED:
                        raise
                    said = error.message
                else:
                    return
            raise race.lost(said=said)

    def push(
        self, remote: str, updates: Sequence[PushRef], *, atomic: bool = False, hooks: bool = False
    ) -> dict[str, PushResult]:
        """Move refs of a remote, each under its own lease.

        Args:
            remote: Name of a remote, or an address.
            updates: What to move.
            atomic: All or none.
            hooks: Whether the user's pre-push hook runs.

        Returns:
            Ref -> what became of it; a lost race is a result, not an error.

        Raises:
            StoreUnavailable, AccessDenied, NotFound: As for :meth:`fetch`.
            OutcomeUnknown: The connection broke, and the remote could not be asked what it has now.
        """
        for update in updates:
            check_ref(update.ref)
        with recovery.recorded(self.common_dir, recovery.FETCH) as held:
            return remotes.push(self._git, remote, updates, atomic=atomic, hooks=hooks, held=held)


def git_version() -> tuple[int, ...]:
    """Return the version of git as numbers.

    Raises:
        NotFound: There is no git (`git-not-found`).
    """
    text = GitCommand(cwd=Path("/")).run("version", what="git's version could not be read").text
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
