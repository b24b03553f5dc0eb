"""A git repository, read: refs, commits, trees, files and settings, by id wherever that matters.

Nothing here writes, and nothing here needs a work tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gitml._lazy import LazyModule
from gitml.errors import IntegrityError, NotFound
from gitml.git import refs
from gitml.git.command import GitCommand
from gitml.git.names import (
    check_config_key,
    check_folder,
    check_oid,
    check_revision,
)
from gitml.git.objects import ObjectReader, parse_commit, parse_listing, parse_person, parse_tree
from gitml.git.types import (
    Change,
    Commit,
    Head,
    Identity,
    TreeEntry,
)
from gitml.git.worktrees import read_head

if TYPE_CHECKING:
    from gitml.git import history, signatures
    from gitml.git.discovery import Place
else:
    # Few commands walk the history or judge signatures.
    history = LazyModule("gitml.git.history")
    signatures = LazyModule("gitml.git.signatures")


class ReadableRepository:
    """One git repository, seen from one of its work trees (or bare), as a reader sees it.

    Attributes:
        top: Top of the work tree; None when the repository is bare.
        git_dir: Git folder of this work tree.
        common_dir: Git folder that all its work trees share.
        object_format: `sha1` or `sha256`.
    """

    def __init__(self, place: Place, *, incoming: Sequence[tuple[str, str]] = ()) -> None:
        self.top: Path | None = place.top
        self.git_dir: Path = place.git_dir
        self.common_dir: Path = place.common_dir
        self.object_format: str = place.object_format
        self._git = GitCommand(
            cwd=place.top or place.git_dir,
            git_dir=place.git_dir,
            work_tree=place.top,
            incoming=tuple(incoming),
        )
        self._objects = ObjectReader(self._git)

    @property
    def is_bare(self) -> bool:
        """Whether there is no work tree."""
        return self.top is None

    def hooks_folder(self) -> Path:
        """Return the folder that git takes hooks from, as `core.hooksPath` says; it need not exist."""
        found = self._git.run(
            "rev-parse", "--path-format=absolute", "--git-path", "hooks",
            hooks=True,
            what="the folder of the hooks could not be found",
        )  # fmt: skip
        return Path(found.text)

    @property
    def is_shallow(self) -> bool:
        """Whether the history is cut off somewhere."""
        return (self.common_dir / "shallow").exists()

    def close(self) -> None:
        """End the process that reads objects; the next read starts another."""
        self._objects.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.top or self.git_dir)!r})"

    # --- refs and commits ---------------------------------------------------------------------------------------

    def head(self) -> Head:
        """Return branch and commit of HEAD, and the operation that the user has not finished."""
        branch, operation = read_head(self._git, self.git_dir, self.common_dir)
        found = self._objects.info("HEAD^{commit}")
        return Head(branch=branch, commit=None if found is None else found[0], operation=operation)

    def resolve(self, rev: str) -> str | None:
        """Return the commit that a revision text names; None when there is none.

        Raises:
            UsageError: The text cannot be a revision.
        """
        found = self._objects.info(f"{check_revision(rev)}^{{commit}}")
        return None if found is None else found[0]

    def refs(self, *prefixes: str) -> dict[str, str]:
        """Return full name -> object id of all refs, or of those at or below the prefixes (`refs/heads`)."""
        return refs.listing(self._git, prefixes)

    def symbolic_ref(self, name: str) -> str | None:
        """Return the full name that a symbolic ref points to; None when it is none."""
        return refs.symbolic(self._git, name)

    def local_branches(self) -> dict[str, str]:
        """Return short name -> commit of the branches."""
        return refs.short(self.refs("refs/heads/"), "refs/heads/")

    def remote_branches(self, remote: str) -> dict[str, str]:
        """Return short name -> commit of what was last seen of a remote's branches."""
        return refs.remote_branches(self._git, remote)

    def tree(self, commit: str, folder: str = "", *, recursive: bool = True) -> list[TreeEntry]:
        """Return the entries of a folder; none when it does not exist.

        Args:
            commit: Id of a commit or tree.
            folder: Relative to the top of the repository.
            recursive: Files in all folders below, instead of the direct entries.
        """
        name = f"{check_oid(commit)}:{check_folder(folder)}" if folder else f"{check_oid(commit)}^{{tree}}"
        if recursive:
            found = self._objects.info(name)
            if found is None or found[1] != "tree":
                return []
            listing = self._git.run(
                "ls-tree", "-r", "-z", "--full-tree", found[0], what="a folder could not be read"
            )
            return parse_listing(listing.stdout, folder)
        raw = self._objects.read(name)
        return [] if raw is None or raw.kind != "tree" else parse_tree(raw, folder)

    def kinds(self, oids: Sequence[str]) -> list[str | None]:
        """Return what many objects are (`commit`, `tree`, `blob`, `tag`); None for those that do not exist."""
        return [
            None if info is None else info[1]
            for info in self._objects.infos([check_oid(oid) for oid in oids])
        ]

    def trees(self, commits: Sequence[str]) -> list[list[TreeEntry]]:
        """Return the direct entries at the top of many commits or trees; none of what does not exist."""
        names = [f"{check_oid(commit)}^{{tree}}" for commit in commits]
        return [[] if raw is None else parse_tree(raw, "") for raw in self._objects.read_many(names)]

    def entry(self, commit: str, path: str) -> TreeEntry | None:
        """Return what a path is in a commit or tree; None when it does not exist."""
        folder, _, _ = check_folder(path).rpartition("/")
        return next(
            (entry for entry in self.tree(commit, folder, recursive=False) if entry.path == path), None
        )

    def blob(self, commit: str, path: str) -> bytes | None:
        """Return the bytes of a file in a commit or tree; None when there is no such file."""
        raw = self._objects.read(f"{check_oid(commit)}:{check_folder(path)}")
        return raw.data if raw is not None and raw.kind == "blob" else None

    def blobs(self, oids: Sequence[str]) -> dict[str, bytes]:
        """Return the bytes of many files by their object ids.

        Raises:
            IntegrityError: One of them is missing or is no file.
        """
        wanted = list(dict.fromkeys(check_oid(oid) for oid in oids))
        found = {}
        for oid, raw in zip(wanted, self._objects.read_many(wanted), strict=True):
            if raw is None or raw.kind != "blob":
                raise IntegrityError(f"blob {oid} is missing", code="git-object", hint="git fsck --full")
            found[oid] = raw.data
        return found

    def commits(self, revs: Sequence[str]) -> list[Commit]:
        """Return many commits by id, in the order asked for.

        Raises:
            NotFound: One of them is not in this repository.
        """
        names = [f"{check_oid(rev)}^{{commit}}" for rev in revs]
        found = []
        for rev, raw in zip(revs, self._objects.read_many(names), strict=True):
            if raw is None:
                raise NotFound(f"commit {rev} is not in this repository", code="git-object", hint="git fetch")
            found.append(parse_commit(raw))
        return found

    def first_parents(
        self, tip: str, *, path: str | None = None, stop: str | None = None
    ) -> Iterator[Commit]:
        """Walk the first-parent chain from a commit towards the root.

        Args:
            tip: Id of the first commit.
            path: Only commits that change this file or folder against their first parent.
            stop: Id of a commit where the walk ends; it and what it was made from are left out.
        """
        for oids in history.first_parents(self._git, tip, path=path, stop=stop):
            yield from self.commits(oids)

    def between(self, base: str | None, head: str) -> list[Commit]:
        """Return the commits that `head` has and `base` lacks, newest first; all of `head` without a base."""
        return self.commits(history.between(self._git, base, head))

    def merge_base(self, a: str, b: str) -> str | None:
        """Return the best common ancestor; None when there is none (or a shallow clone does not hold it)."""
        return history.merge_base(self._git, a, b)

    def is_ancestor(self, a: str, b: str) -> bool:
        """Whether `a` is `b` or one of its ancestors."""
        return history.is_ancestor(self._git, a, b)

    def changed_paths(self, a: str | None, b: str, folder: str = "") -> list[Change]:
        """Return the files that differ between two commits or trees; None is the empty tree."""
        return history.changed_paths(self._git, a, b, check_folder(folder))

    def unsigned(
        self, oids: Sequence[str], *, allowed_signers: bytes, revoked: bytes | None, at: datetime
    ) -> dict[str, str]:
        """Return those of the commits that their committers did not sign, each with the reason.

        Args:
            oids: Ids of commits.
            allowed_signers: Whose keys count, in the form of `gpg.ssh.allowedSignersFile`; nothing else is asked.
            revoked: Keys that do not, in the form of `gpg.ssh.revocationFile`.
            at: A key that ended before this moment does not count.

        Raises:
            NotFound: There is no `ssh-keygen`.
        """
        return signatures.unsigned(
            self._git,
            self._objects,
            self.commits(oids),
            signatures.Signers(allowed=allowed_signers, revoked=revoked, at=at),
        )

    # --- settings -----------------------------------------------------------------------------------------------

    def identity(self) -> Identity:
        """Return who makes commits here.

        Raises:
            UsageError: Name or e-mail address are not set.
        """
        result = self._git.run(
            "var",
            "GIT_AUTHOR_IDENT",
            settings=[("user.useConfigOnly", "true")],
            what="who you are is not known",
        )
        return parse_person(result.stdout.strip()).identity

    def config(self, key: str) -> str | None:
        """Return a git setting as text; None when it is not set."""
        result = self._git.run(
            "config", "-z", "--get", check_config_key(key), ok=(0, 1), what=f"setting {key} could not be read"
        )
        return None if result.status else result.text.removesuffix("\0")
