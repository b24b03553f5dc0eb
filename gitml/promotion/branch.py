"""Planning a promotion of a whole branch: its code, and the newest version of each asset that it added."""

from __future__ import annotations

from collections.abc import Callable

from gitml.errors import Conflict, NotFound, UsageError
from gitml.forge.shared import Shared
from gitml.git.types import Entry, MergeConflict, TreeChange
from gitml.model.names import AssetId, Version, VersionId, highest
from gitml.promotion.chain import need_whole_history
from gitml.promotion.prepare import (
    Kind,
    Prepared,
    closure,
    current_changes,
    folder_changes,
    local_tip,
    prepare,
)
from gitml.promotion.target import Blobs, Target, listing, merge_code, tree_view, view_of
from gitml.registry.workspace import Workspace


def plan_by_branch(
    ws: Workspace,
    shared: Shared,
    target: Target,
    source: str | None,
    *,
    birth: Callable[[], str | None] = lambda: None,
) -> Prepared:
    """Plan a merge of a branch into a stage.

    Raises:
        UsageError: The source is the default branch, the target itself, or a detached HEAD.
        NotFound: The source is not pushed, or this shallow clone lacks the merge base.
        Conflict: Code does not merge.
    """
    name = _source_name(ws, target, source)
    tip = source_tip(ws, shared, name)
    if ws.repo.merge_base(target.tip, tip) is None:
        need_whole_history(ws, f"where {name} and {target.stage} parted")
        raise Conflict(
            f"{name} and {target.stage} have no common history",
            code="unrelated",
            hint=f"gitml promote REF... -s {name} -t {target.stage}",
        )
    merged = merge_code(ws, target, target.tip, tip)
    if isinstance(merged, MergeConflict):
        raise merge_conflict(merged, name, target.stage)
    wanted = _wanted(ws, shared, target, name, tip)
    chosen = {VersionId(asset=asset, version=version): tip for asset, version in wanted.items()}
    changes = _own_files_as_before(ws, target, merged.oid)
    changes |= folder_changes(ws, target, _inputs_only(closure(ws, shared, target, chosen), tip))
    changes |= current_changes(ws, target, wanted)
    is_merged = ws.repo.is_ancestor(tip, target.tip)
    return prepare(
        ws,
        shared,
        target,
        kind=Kind.BY_BRANCH,
        source=name,
        refs=(),
        tree=merged.oid,
        parents=(target.tip,) if is_merged else (target.tip, tip),
        changes=changes,
        code=tip,
        birth=birth,
        wanted=tuple(chosen),
    )


def merge_conflict(conflict: MergeConflict, source: str, stage: str) -> Conflict:
    """What to say when two trees do not merge."""
    return Conflict(
        f"{source} does not merge into {stage}; both changed {', '.join(conflict.paths[:10])}"
        + (f" and {len(conflict.paths) - 10} more" if len(conflict.paths) > 10 else ""),
        code="merge-conflict",
        hint=f"git merge {stage} on {source}, resolve, push, and promote again",
        context={"paths": list(conflict.paths)},
    )


def _source_name(ws: Workspace, target: Target, source: str | None) -> str:
    name = source or ws.branch()
    if name is None:
        raise UsageError(
            "HEAD is detached", code="detached", hint=f"gitml promote -s BRANCH -t {target.stage}"
        )
    if name == target.config.default_branch:
        raise UsageError(
            f"{name} is the default branch; name what is to be promoted from it",
            code="ref-required",
            hint=f"gitml promote TYPE/NAME -s {name} -t {target.stage}",
        )
    if name == target.stage:
        raise UsageError(
            f"{name} cannot be promoted to itself", code="same-branch", hint="-s names another branch"
        )
    return name


def source_tip(ws: Workspace, shared: Shared, name: str) -> str:
    """Tip of a source branch in the shared repository.

    Raises:
        NotFound: It is not there, or lacks commits of the local branch.
    """
    there, here = shared.branch(name), local_tip(ws, name)
    if there is None and here is None:
        raise NotFound(
            f"there is no branch {name} here or in {shared.name}",
            code="branch-not-found",
            hint="git branch --all",
            context={"branch": name},
        )
    if there is None or (here is not None and not ws.repo.is_ancestor(here, there)):
        raise NotFound(
            f"{name} has commits that {shared.name} does not have yet",
            code="not-pushed",
            hint="gitml push",
            context={"branch": name},
        )
    return there


def _wanted(ws: Workspace, shared: Shared, target: Target, name: str, tip: str) -> dict[AssetId, Version]:
    """What the stage shall run: what a source stage runs, or the newest of each asset that the branch added."""
    snapshot = ws.at(tip)
    if name in target.config.stages:
        return dict(snapshot.currents(name))
    default = shared.branch(target.config.default_branch)
    base = ws.repo.merge_base(default, tip) if default else None
    if base is None:
        need_whole_history(ws, f"where {name} left {target.config.default_branch}")
    known = set(ws.at(base).ids()) if base else set()
    added: dict[AssetId, list[Version]] = {}
    for version in snapshot.ids():
        if version not in known:
            added.setdefault(version.asset, []).append(version.version)
    wanted: dict[AssetId, Version] = {}
    for asset, versions in added.items():
        deprecated = ws.at(default).about(asset).deprecated if default else {}
        newest = highest(versions, deprecated)
        if newest is not None:
            wanted[asset] = newest
    return wanted


def _own_files_as_before(ws: Workspace, target: Target, merged: str) -> dict[str, TreeChange]:
    """Changes that undo what the merge did to the stage's own files: only a request sets what a stage runs."""
    name = f"{target.stage}.yaml"
    view = view_of(ws, target)
    old = {view.path(asset.folder, name): file for asset, file in view.stage_files(target.stage).items()}
    after = tree_view(ws, target.config.known_types, listing(ws, merged), Blobs(ws))
    new = {after.path(asset.folder, name): file for asset, file in after.stage_files(target.stage).items()}
    changes: dict[str, TreeChange] = dict.fromkeys(new.keys() - old.keys())
    for path, file in old.items():
        if new.get(path) != file:
            changes[path] = Entry(mode=file.mode, oid=file.oid)
    return changes


def _inputs_only(folders: dict[VersionId, str], tip: str) -> dict[VersionId, str]:
    """Inputs that the branch itself does not bring."""
    return {version: commit for version, commit in folders.items() if commit != tip}
