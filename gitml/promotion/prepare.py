"""What a change of a stage consists of, and whether the target's rules allow it.

Planning only reads: refs, index and files stay as they are. A promotion by branch merges trees, which may leave
unreferenced objects in git's object folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from gitml.errors import NotFound, PolicyRefused
from gitml.forge.shared import HEADS, Shared
from gitml.git.types import Entry, TreeChange
from gitml.model.names import AssetId, Version, VersionId
from gitml.model.stagefile import StageFile
from gitml.promotion.case import Case, Move, Problem, Rule, Shape
from gitml.promotion.evidence import RepositoryEvidence
from gitml.promotion.judging import case_of
from gitml.promotion.policy import judge
from gitml.promotion.target import Blobs, Target, folder_files, listing, overlay, registry_path, view_of
from gitml.promotion.view import Defect
from gitml.registry.workspace import Workspace


class Kind(Enum):
    """How a request came about."""

    BY_ASSET = "by-asset"
    BY_BRANCH = "by-branch"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionPlan:
    """What a request would say.

    Attributes:
        source: Branch that the change is taken from.
        target: The stage.
        base: Tip of the stage; before its birth, of the default branch.
        born: Whether the stage exists already.
        refs: References that were asked for; empty by branch.
        moves: What the stage would run differently.
        folders: Version folders that travel, those of inputs included.
        already: Versions that run on the stage already.
        code: Commit whose code travels; None by asset.
        approvals_needed: How many people other than the authors have to approve.
        problems: Objections of the target's rules, approvals aside.
    """

    kind: Kind
    source: str
    target: str
    base: str
    born: bool
    refs: tuple[str, ...]
    moves: tuple[Move, ...]
    folders: tuple[VersionId, ...]
    already: tuple[VersionId, ...] = ()
    code: str | None = None
    approvals_needed: int = 0
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A plan with what it takes to carry it out.

    Attributes:
        target: The stage as it was read.
        tree: Tree or commit that the changes are made to.
        parents: Parents of the head.
        changes: Path from the top of the repository -> what becomes of it.
        case: What was judged.
    """

    plan: PromotionPlan
    target: Target
    tree: str
    parents: tuple[str, ...]
    changes: dict[str, TreeChange]
    case: Case

    @property
    def is_empty(self) -> bool:
        """Whether the stage has all of it already."""
        plan = self.plan
        return not (plan.moves or plan.folders or plan.code)


def closure(
    ws: Workspace, shared: Shared, target: Target, chosen: dict[VersionId, str], *, no_inputs: bool = False
) -> dict[VersionId, str]:
    """Version folders that have to travel, each with a commit that has it.

    The chosen versions where the target lacks them or has them otherwise, and what they and their inputs were made
    from. An input that is nowhere to be found is left out; the rule `inputs` names it. With `no_inputs` all are.
    """
    stage = ws.at(target.tip)
    travel: dict[VersionId, str] = {}
    queue, seen = list(chosen.items()), set[VersionId]()
    while queue:
        version, commit = queue.pop(0)
        if version in seen:
            continue
        seen.add(version)
        if version in chosen:
            if folder_files(ws, target.tip, version.folder) != folder_files(ws, commit, version.folder):
                travel[version] = commit
        elif not stage.has(version):
            travel[version] = commit
        for item in () if no_inputs else ws.at(commit).pointer(version).inputs:
            if item.repo is not None:
                continue
            where = next(
                (c for c in _places(ws, shared, target, commit) if _has(ws, c, item.ref, str(item.digest))),
                None,
            )
            if where is not None:
                queue.append((item.ref, where))
    return travel


def _places(ws: Workspace, shared: Shared, target: Target, commit: str) -> list[str]:
    """Commits in which an input is looked for: where its output is, the target, then every shared branch."""
    return list(dict.fromkeys([target.tip, commit, *shared.branches().values()]))


def _has(ws: Workspace, commit: str, version: VersionId, digest: str) -> bool:
    if ws.repo.entry(commit, registry_path(ws, version.folder, "asset.yaml")) is None:
        return False
    snapshot = ws.at(commit)
    return snapshot.has(version) and str(snapshot.pointer(version).contents.digest) == digest


def folder_changes(ws: Workspace, target: Target, folders: dict[VersionId, str]) -> dict[str, TreeChange]:
    """Changes that make the target's version folders equal those of the given commits."""
    changes: dict[str, TreeChange] = {}
    for version, commit in folders.items():
        top = registry_path(ws, version.folder)
        changes |= {f"{top}/{name}": None for name in folder_files(ws, target.tip, version.folder)}
        for name, file in folder_files(ws, commit, version.folder).items():
            changes[f"{top}/{name}"] = Entry(mode=file.mode, oid=file.oid)
    return changes


def current_changes(ws: Workspace, target: Target, wanted: dict[AssetId, Version]) -> dict[str, TreeChange]:
    """Changes that make the stage run the wanted versions; before its birth, and nothing else."""
    view = view_of(ws, target)
    name = f"{target.stage}.yaml"
    changes: dict[str, TreeChange] = {}
    if not target.born:
        changes = {view.path(asset.folder, name): None for asset in view.stage_files(target.stage)}
    before = view.currents(target.stage) if target.born else {}
    for asset, version in wanted.items():
        if before.get(asset) != version:
            changes[view.path(asset.folder, name)] = StageFile(current=version).format()
    return changes


def prepare(
    ws: Workspace,
    shared: Shared,
    target: Target,
    *,
    kind: Kind,
    source: str,
    refs: tuple[str, ...],
    tree: str,
    parents: tuple[str, ...],
    changes: dict[str, TreeChange],
    code: str | None = None,
    birth: Callable[[], str | None] = lambda: None,
    wanted: Sequence[VersionId] = (),
) -> Prepared:
    """Judge proposed changes, and say what they amount to."""
    blobs = Blobs(ws)
    case = case_of(
        ws,
        shared,
        target,
        overlay(listing(ws, tree), changes, blobs),
        blobs,
        shape=Shape.BY_BRANCH if kind is Kind.BY_BRANCH else Shape.BY_ASSET,
        evidence=RepositoryEvidence(ws, shared, target, source_tip=code, birth=birth, prefer=source),
    )
    moved = {move.asset for move in case.moves}
    named = [VersionId(asset=asset, version=version) for asset, version in _versions(case).items()]
    asked = set(refs) | {str(version) for version in wanted}
    has_code = code is not None and not ws.repo.is_ancestor(code, target.tip)
    plan = PromotionPlan(
        kind=kind,
        source=source,
        target=target.stage,
        base=target.tip,
        born=target.born,
        refs=refs,
        moves=case.moves,
        folders=tuple(case.added),
        already=tuple(version for version in named if version.asset not in moved and str(version) in asked),
        code=code if has_code else None,
        approvals_needed=case.approvals.count,
        problems=tuple(judge(case)) if case.changed or not target.born else (),
    )
    return Prepared(plan=plan, target=target, tree=tree, parents=parents, changes=changes, case=case)


def _versions(case: Case) -> dict[AssetId, Version]:
    return {
        asset: version for asset, version in case.currents_after.items() if not isinstance(version, Defect)
    }


def refuse(problems: Sequence[Problem], what: str) -> None:
    """Raise what a list of objections means; nothing where there are none.

    Raises:
        NotFound: All that is missing is a push.
        PolicyRefused: Anything else; every objection is named.
    """
    if not problems:
        return
    refusal = refused(problems, f"{what}: {'; '.join(dict.fromkeys(one.message for one in problems))}")
    if all(problem.rule is Rule.NOT_PUSHED for problem in problems):
        reasons = {"reasons": refusal.context["reasons"]}
        raise NotFound(refusal.message, code="not-pushed", hint="gitml push", context=reasons)
    raise refusal


def refused(problems: Sequence[Problem], said: str) -> PolicyRefused:
    """What objections come to: every one of them under `reasons`."""
    reasons = [
        {"rule": problem.rule.value, "asset": problem.asset, "message": problem.message, "hint": problem.hint}
        for problem in problems
    ]
    missing = [problem.missing for problem in problems if problem.missing is not None]
    context: dict[str, Any] = {"reasons": reasons}
    if missing:
        context["missing"] = [asdict(needed) for needed in missing]
    hint = next((problem.hint for problem in problems if problem.hint), None)
    return PolicyRefused(said, code="policy", hint=hint, context=context)


def local_tip(ws: Workspace, branch: str) -> str | None:
    """Tip of a local branch of this clone."""
    return ws.repo.refs(HEADS + branch).get(HEADS + branch)
