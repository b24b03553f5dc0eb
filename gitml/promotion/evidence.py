"""Evidence for the rules: what stores, branches and histories say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

from gitml.errors import AccessDenied, GitMLError, NotFound, StoreUnavailable
from gitml.forge.shared import HEADS, Shared
from gitml.git.types import MergeConflict
from gitml.model.config import matches
from gitml.model.digest import Digest
from gitml.model.names import AssetId, Version, VersionId
from gitml.model.pointer import Input, Pointer
from gitml.promotion.case import Found, Needed
from gitml.promotion.chain import ran
from gitml.promotion.foreign import ForeignInputs
from gitml.promotion.target import Target, folder_files, is_own_file, listing, merge_code
from gitml.promotion.view import File, changed_paths
from gitml.registry.workspace import Workspace
from gitml.store.read.reader import TreeReader

ANY_BRANCH = ("*",)
_NOT_ASKED = (
    AccessDenied,
    StoreUnavailable,
)  # a store that cannot be asked says nothing for or against a version


class RepositoryEvidence:
    """Looks things up in this clone, as last refreshed from the shared repository.

    Args:
        ws: The registry.
        shared: The shared repository.
        target: The stage.
        head: The request's head; None while a promotion by asset is only planned.
        source_tip: For a promotion by branch that is only planned: tip of the source.
        birth: Gives the commit that the target was born from, where it is known.
        prefer: Branch that is looked at first.
    """

    def __init__(
        self,
        ws: Workspace,
        shared: Shared,
        target: Target,
        *,
        head: str | None = None,
        source_tip: str | None = None,
        birth: Callable[[], str | None] = lambda: None,
        prefer: str | None = None,
    ) -> None:
        self._ws = ws
        self._shared = shared
        self._target = target
        self._head = head
        self._source_tip = source_tip
        self._birth = birth
        self._prefer = prefer
        self._missing: dict[VersionId, Sequence[str]] = {}
        self._trees: dict[VersionId, TreeReader | None] = {}
        self._foreign: dict[bool, ForeignInputs] = {}

    def missing_bytes(self, pointer: Pointer) -> Sequence[str]:
        """See :class:`gitml.promotion.case.Evidence`."""
        if pointer.id not in self._missing:
            stores = self._ws.stores(self._target.config)
            self._missing[pointer.id] = stores.missing(pointer, shared=self._shared.remote is not None)
        return self._missing[pointer.id]

    def digests(self, pointer: Pointer, paths: Collection[str]) -> Mapping[str, Digest] | None:
        """See :class:`gitml.promotion.case.Evidence`."""
        tree, found = self._tree(pointer), dict[str, Digest]()
        if tree is None:
            return None
        for path in paths:
            try:
                found[path] = Digest(tree.entry(path).digest)
            except NotFound:
                continue
            except _NOT_ASKED:
                raise
            except GitMLError:
                return None
        return found

    def paths(self, pointer: Pointer) -> Sequence[str] | None:
        """See :class:`gitml.promotion.case.Evidence`."""
        tree = self._tree(pointer)
        try:
            return None if tree is None else [entry.path for entry in tree.entries()]
        except _NOT_ASKED:
            raise
        except GitMLError:
            return None

    def _tree(self, pointer: Pointer) -> TreeReader | None:
        """The files of a version, as the store lists them; None where it cannot tell."""
        if pointer.id not in self._trees:
            try:
                store, root = self._ws.stores(self._target.config).locate(pointer)
                tree = store.tree(root, expected=pointer.contents, label=str(pointer.id))
                self._trees[pointer.id] = tree
            except _NOT_ASKED:
                raise
            except GitMLError:
                self._trees[pointer.id] = None
        return self._trees[pointer.id]

    def unsigned(self, allowed_signers: bytes, revoked: bytes | None) -> Sequence[str]:
        """See :class:`gitml.promotion.case.Evidence`."""
        tip = self._head or self._source_tip
        if tip is None:
            return []
        commits = [commit.oid for commit in self._ws.repo.between(self._target.tip, tip)]
        faults = self._ws.repo.unsigned(
            commits, allowed_signers=allowed_signers, revoked=revoked, at=datetime.now(UTC)
        )
        return [f"commit {oid[:12]}: {why}" for oid, why in faults.items()]

    def found(self, version: VersionId, files: dict[str, File], *, as_current: bool) -> Found:
        """See :class:`gitml.promotion.case.Evidence`."""
        answer = Found.NO
        for name, tip in self._sources().items():
            if folder_files(self._ws, tip, version.folder) != files:
                continue
            if not as_current or name not in self._target.config.stages:
                return Found.YES
            if ran(self._ws, name, tip, version.asset, version.version):
                return Found.YES
            answer = Found.NOT_CURRENT
        if answer is Found.NO and self._is_only_here(version, files):
            return Found.NOT_PUSHED
        return answer

    def _sources(self) -> dict[str, str]:
        """Branches that the policy takes from, the likely ones first."""
        branches = self._shared.branches()
        names = [name for name in branches if name != self._target.stage and self._is_source(name)]
        likely = [self._prefer, self._target.config.default_branch, *self._target.config.stages]
        names.sort(key=lambda name: (likely.index(name) if name in likely else len(likely), name))
        return {name: branches[name] for name in names}

    def _is_source(self, name: str) -> bool:
        return any(matches(pattern, name) for pattern in self._target.policy.from_ or ANY_BRANCH)

    def _is_only_here(self, version: VersionId, files: dict[str, File]) -> bool:
        if self._shared.remote is None:
            return False
        return any(
            folder_files(self._ws, commit, version.folder) == files
            for ref, commit in self._ws.repo.refs(HEADS).items()
            if self._is_source(ref.removeprefix(HEADS))
            and ref.removeprefix(HEADS) not in self._target.config.stages
        )

    def foreign_code(self) -> Sequence[str]:
        """See :class:`gitml.promotion.case.Evidence`."""
        if self._head is None:
            return [] if self._source_tip is None else self._not_from_sources([self._source_tip])
        head = self._ws.repo.commits([self._head])[0]
        return [*self._not_from_sources(head.parents), *self._beyond_merge(head.parents)]

    def _not_from_sources(self, commits: Sequence[str]) -> list[str]:
        is_ancestor, tips = self._ws.repo.is_ancestor, [self._target.tip, *self._sources().values()]
        return [
            f"commit {commit[:12]}" for commit in commits if not any(is_ancestor(commit, tip) for tip in tips)
        ]

    def _beyond_merge(self, parents: Sequence[str]) -> list[str]:
        """Files that the head itself changes although neither of its parents nor git's merge of them did."""
        if self._head is None or len(parents) not in (1, 2):
            return ["a merge of more than two commits"]
        plain: str = parents[0]
        if len(parents) == 2:
            merged = merge_code(self._ws, self._target, parents[0], parents[1])
            if isinstance(merged, MergeConflict):
                return [f"the resolution of {path}" for path in merged.paths]
            plain = merged.oid
        changed = changed_paths(listing(self._ws, plain), listing(self._ws, self._head))
        return [
            f"the change of {path}"
            for path in sorted(changed)
            if not is_own_file(self._ws, self._target, path)
        ]

    def foreign(self, item: Input, *, promoted: bool) -> Needed | None:
        """See :class:`gitml.promotion.case.Evidence`; while a promotion is planned, who cannot be asked is an error."""
        if promoted not in self._foreign:
            target = self._target
            self._foreign[promoted] = ForeignInputs(self._ws, target.config, target.stage, promoted=promoted)
        return self._foreign[promoted].look(item, raises=self._head is None)

    def ran_before(self, asset: AssetId, version: Version) -> bool:
        """See :class:`gitml.promotion.case.Evidence`."""
        target = self._target
        if not ran(self._ws, target.stage, target.tip, asset, version):
            return False  # without asking where the stage was born, which costs a look at its requests
        birth = self._birth()
        return birth is None or ran(self._ws, target.stage, target.tip, asset, version, stop=birth)
