"""What there is to say of a promotion: contents, numbers, inputs and findings, gathered from git and the stores.

Only reads. What cannot be told is said to be so, and never stops a promotion: whether it may land is for the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from gitml.errors import GitMLError
from gitml.git.types import Identity
from gitml.model.findings import Inspection
from gitml.model.names import AssetId, VersionId
from gitml.model.pointer import Pointer
from gitml.promotion.case import Case
from gitml.promotion.policy import RuleResult, by_rule
from gitml.promotion.prepare import Prepared, PromotionPlan
from gitml.promotion.view import Defect, TreeView
from gitml.registry.inspection.inspect import inspect
from gitml.registry.read.diff import FileChange
from gitml.registry.workspace import Workspace
from gitml.store.read.changes import changes
from gitml.store.read.entries import FileEntry
from gitml.store.read.reader import TreeReader

MAX_TOLD = 20
_SHOWN_FILES = 20
_MAX_COUNTED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentsChange:
    """Files of a version against those of the version that runs now.

    Attributes:
        added, removed, changed: How many; counting stops at 100,000, and `whole` is then false.
        new_bytes: Size of the files that are added or changed.
        shown: Some of them.
    """

    added: int = 0
    removed: int = 0
    changed: int = 0
    new_bytes: int = 0
    shown: tuple[FileChange, ...] = ()
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InputState:
    """One input, and whether the stage has it.

    Attributes:
        state: In words.
        present: Whether it is there with its digest, or comes along.
    """

    ref: str
    role: str
    digest: str
    state: str
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """One version that comes or is to run, beside the one that runs now.

    Attributes:
        moves: Whether the stage would run it; otherwise it only travels along.
        now, now_pointer: The version that runs now, or that what runs now was made from.
        change: None where the files cannot be told.
        inspection, now_inspection: None where nothing was looked into.
        problem: Why files and findings are missing; empty where they are not.
    """

    version: VersionId
    pointer: Pointer
    moves: bool
    now: VersionId | None = None
    now_pointer: Pointer | None = None
    change: ContentsChange | None = None
    inputs: tuple[InputState, ...] = ()
    inspection: Inspection | None = None
    now_inspection: Inspection | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a request says of itself.

    Attributes:
        source_commit: Commit that the source was at; None where it is no branch.
        asker: Who asks; None in a rehearsal of somebody without a name.
        versions: In the order of the moves, then what travels along.
        left_out: Versions beyond those that are told of.
        rules: What became of each rule, approvals aside.
        directions: Metric -> `higher` or `lower`.
    """

    plan: PromotionPlan
    source_commit: str | None
    asker: Identity | None
    versions: tuple[VersionFacts, ...]
    left_out: tuple[VersionId, ...]
    rules: tuple[RuleResult, ...]
    directions: dict[str, str]


def gather(ws: Workspace, prepared: Prepared, asker: Identity | None) -> Facts:
    """Everything there is to say of a plan; a few small reads for each of its versions, at most 20 of them."""
    case, plan = prepared.case, prepared.plan
    moved = [move.to for move in plan.moves if move.to is not None]
    wanted = list(dict.fromkeys([*moved, *plan.folders]))
    told = [version for version in wanted if isinstance(_pointer(case.after, version), Pointer)]
    reader = _Reader(ws, prepared)
    return Facts(
        plan=plan,
        source_commit=plan.code or _commit(ws, plan.source),
        asker=asker,
        versions=tuple(reader.facts(version) for version in told[:MAX_TOLD]),
        left_out=tuple(told[MAX_TOLD:]),
        rules=by_rule(case, plan.problems),
        directions=dict(case.directions),
    )


def _commit(ws: Workspace, source: str) -> str | None:
    try:
        return ws.repo.resolve(source)
    except GitMLError:
        return None


def _pointer(view: TreeView, version: VersionId) -> Pointer | Defect | None:
    return view.pointer(version) if version in view.versions else None


class _Reader:
    """Reads trees of one promotion, each once."""

    def __init__(self, ws: Workspace, prepared: Prepared) -> None:
        self._case: Case = prepared.case
        self._stores = ws.stores(prepared.target.config)
        self._stage = prepared.plan.target
        self._moves = {move.to for move in prepared.plan.moves}
        self._now = dict(self._predecessors(prepared.plan))

    def facts(self, version: VersionId) -> VersionFacts:
        """Facts of one version."""
        pointer = self._case.after.pointer(version)
        assert isinstance(pointer, Pointer)
        now = self._now.get(version)
        old = _pointer(self._case.before, now) if now else None
        old = old if isinstance(old, Pointer) else None
        change, found, was, problem = None, None, None, ""
        try:
            new_tree = self._tree(pointer)
            found = self._inspected(pointer, new_tree)
            old_tree = self._tree(old) if old else None
            was = self._inspected(old, old_tree) if old and old_tree else None
            change = _change(old_tree, new_tree)
        except GitMLError as error:
            problem = error.message
        return VersionFacts(
            version=version,
            pointer=pointer,
            moves=version in self._moves,
            now=now,
            now_pointer=old,
            change=change,
            inputs=tuple(self._inputs(pointer)),
            inspection=found,
            now_inspection=was,
            problem=problem,
        )

    def _predecessors(self, plan: PromotionPlan) -> Iterator[tuple[VersionId, VersionId]]:
        """What each version takes the place of: what runs now, or what that was made from."""
        used: dict[AssetId, VersionId] = {}
        for move in plan.moves:
            if move.to is None or move.from_version is None:
                continue
            now = VersionId(asset=move.asset, version=move.from_version)
            yield move.to, now
            old = _pointer(self._case.before, now)
            inputs = old.inputs if isinstance(old, Pointer) else ()
            used |= {item.ref.asset: item.ref for item in inputs if item.repo is None}
        for version in plan.folders:
            if version not in self._moves and version.asset in used:
                yield version, used[version.asset]

    def _tree(self, pointer: Pointer) -> TreeReader:
        store, root = self._stores.locate(pointer)
        return store.tree(root, expected=pointer.contents, label=str(pointer.id))

    def _inspected(self, pointer: Pointer, tree: TreeReader) -> Inspection | None:
        if pointer.contents.external is not None:
            return None  # what lies elsewhere is not fetched for this
        return inspect(pointer.id, tree)

    def _inputs(self, pointer: Pointer) -> Iterator[InputState]:
        for item in pointer.inputs:
            state, present = self._state(item.ref, str(item.digest), item.repo)
            ref = str(item.ref) if item.repo is None else f"{item.repo}//{item.ref}"
            yield InputState(
                ref=ref, role=item.role or "", digest=str(item.digest), state=state, present=present
            )

    def _state(self, version: VersionId, digest: str, repo: str | None) -> tuple[str, bool]:
        if repo is not None:
            return "in another repository", False
        found = _pointer(self._case.after, version)
        if found is None:
            return f"not on {self._stage}", False
        if isinstance(found, Defect) or str(found.contents.digest) != digest:
            return f"on {self._stage} with another digest", False
        return ("comes along" if version not in self._case.before.versions else f"on {self._stage}"), True


def _change(old: TreeReader | None, new: TreeReader) -> ContentsChange:
    """Counts and some files; a first version is not listed whole."""
    if old is None:
        first = list(islice(new.entries(), _SHOWN_FILES))
        return ContentsChange(
            added=new.files,
            new_bytes=new.size_bytes,
            shown=tuple(_file(one.path, None, one) for one in first),
        )
    counts, new_bytes, some, seen = [0, 0, 0], 0, list[FileChange](), 0
    for path, before, after in changes(old, new):
        seen += 1
        if seen > _MAX_COUNTED:
            break
        counts[0 if before is None else 1 if after is None else 2] += 1
        new_bytes += after.size_bytes if after else 0
        if len(some) < _SHOWN_FILES:
            some.append(_file(path, before, after))
    return ContentsChange(
        added=counts[0],
        removed=counts[1],
        changed=counts[2],
        new_bytes=new_bytes,
        shown=tuple(some),
        whole=seen <= _MAX_COUNTED,
    )


def _file(path: str, before: FileEntry | None, after: FileEntry | None) -> FileChange:
    return FileChange(
        path=path,
        old_bytes=before.size_bytes if before else None,
        new_bytes=after.size_bytes if after else None,
    )


def subjects(plan: PromotionPlan) -> Sequence[VersionId]:
    """Versions that a promotion is about, sorted: what comes, and what is to run."""
    moved = [move.to for move in plan.moves if move.to is not None]
    return sorted({*moved, *plan.folders}, key=str)
