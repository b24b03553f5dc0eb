"""The stage that a change is meant for, and the trees before and after it."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gitml.errors import GitMLError, NotFound, PolicyRefused
from gitml.forge.shared import Shared
from gitml.git.repository import Repository
from gitml.git.types import Entry, MergeConflict, MergedTree, TreeChange
from gitml.model.config import Config, StagePolicy
from gitml.model.names import check_word
from gitml.promotion.view import CONFIG_FILE, File, Listing, TreeView
from gitml.registry.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A stage as the shared repository has it now.

    Attributes:
        tip: Commit that a change is made on: the tip of the stage; before its birth, of the default branch.
        born: Whether the branch exists.
        config: Configuration at that commit; policy and stores come from here and from nowhere else.
    """

    stage: str
    tip: str
    born: bool
    config: Config
    policy: StagePolicy

    @property
    def stage_tip(self) -> str | None:
        """The tip that the stage must still have when it is moved; None: it must not exist yet."""
        return self.tip if self.born else None


def find_target(ws: Workspace, shared: Shared, stage: str) -> Target:
    """Read a stage, its configuration and its policy.

    Raises:
        InvalidInput: It is no name that a stage can have.
        PolicyRefused: The branch was forced back or replaced since this clone saw it.
        NotFound: No such stage, or the shared repository has no default branch it could be born from.
    """
    default = ws.config.default_branch
    check_word(stage, "stage")
    tip = shared.branch(stage)
    born = tip is not None
    if tip is not None and stage in shared.forced:
        raise _forced(shared, stage, tip)
    tip = tip or shared.branch(default)
    if tip is None:
        raise NotFound(
            f"{shared.name} has neither the stage {stage} nor the default branch {default}",
            code="branch-not-there",
            hint="gitml push" if shared.remote else f"git branch {default}",
            context={"stage": stage, "branch": default},
        )
    config = ws.at(tip).config
    policy = config.stages.get(stage)
    if policy is None or stage == default:
        where = stage if born else default
        near = difflib.get_close_matches(stage, list(config.stages), n=1)
        raise NotFound(
            f"{stage} is no stage in gitml.yaml on {where}; stages there are {', '.join(config.stages) or 'none'}",
            code="no-such-stage",
            hint=f"-t {near[0]}" if near else f"declare it in gitml.yaml on {where}",
            context={"stage": stage, "stages": list(config.stages)},
        )
    return Target(stage=stage, tip=tip, born=born, config=config, policy=policy)


def _forced(shared: Shared, stage: str, tip: str) -> PolicyRefused:
    seen = shared.forced[stage]
    return PolicyRefused(
        f"{stage} of {shared.name} was forced to {tip[:12]}, which does not contain {seen[:12]}, seen there before; "
        "a stage never goes back",
        code="stage-forced",
        hint=f"gitml verify --history {stage}; put it back: git push --force {shared.name} {seen[:12]}:{stage}, "
        f"or accept it: git fetch {shared.name}",
        context={"stage": stage, "tip": tip, "seen": seen, "reasons": [f"{stage} was forced"]},
    )


def registry_path(ws: Workspace, *parts: str) -> str:
    """Path from the top of the repository of a path inside the registry."""
    return "/".join(part for part in (ws.folder, *parts) if part)


def listing(ws: Workspace, tree: str, folder: str = "") -> dict[str, File]:
    """Every file of a commit or tree, or of one folder of it, by path from the top of the repository."""
    # Nothing may mean that the tree is not here yet, and is asked for again.
    return dict(_listing(ws.repo, tree, folder) or _listing.__wrapped__(ws.repo, tree, folder))


@lru_cache(maxsize=4)  # one change is judged by the same few trees again and again
def _listing(repo: Repository, tree: str, folder: str) -> Listing:
    return {
        entry.path: File(entry.mode, entry.oid) for entry in repo.tree(tree, folder) if entry.kind != "tree"
    }


def folder_files(ws: Workspace, commit: str, folder: str) -> dict[str, File]:
    """Every file of a folder of the registry, by path inside that folder."""
    prefix = registry_path(ws, folder)
    return {path[len(prefix) + 1 :]: file for path, file in listing(ws, commit, prefix).items()}


class Blobs:
    """Reads objects, those included that a plan proposes and no repository has yet."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._proposed: dict[str, bytes] = {}

    def propose(self, data: bytes) -> str:
        """Take bytes; gives the id they can be read by."""
        oid = f"proposed:{hashlib.sha256(data).hexdigest()}"
        self._proposed[oid] = data
        return oid

    def read(self, oids: Sequence[str]) -> Mapping[str, bytes]:
        """The bytes of objects."""
        stored = [oid for oid in oids if oid not in self._proposed]
        found = {oid: self._proposed[oid] for oid in oids if oid in self._proposed}
        return found | dict(self._ws.repo.blobs(stored) if stored else {})


def overlay(files: Listing, changes: Mapping[str, TreeChange], blobs: Blobs) -> dict[str, File]:
    """The tree that changes of single files would give."""
    result = dict(files)
    for path, change in changes.items():
        if change is None:
            result.pop(path, None)
        elif isinstance(change, bytes):
            result[path] = File("100644", blobs.propose(change))
        else:
            result[path] = File(change.mode, change.oid)
    return result


def views(ws: Workspace, target: Target, after: Listing, blobs: Blobs) -> tuple[TreeView, TreeView]:
    """The target's tree as it is and as it would be; a type that either knows counts in both."""
    before = listing(ws, target.tip)
    types = {*target.config.known_types, *_types_of(ws, after, blobs)}
    return tree_view(ws, types, before, blobs), tree_view(ws, types, after, blobs)


def view_of(ws: Workspace, target: Target) -> TreeView:
    """The target's tree as it is."""
    return tree_view(ws, target.config.known_types, listing(ws, target.tip), Blobs(ws))


def tree_view(ws: Workspace, types: Collection[str], files: Listing, blobs: Blobs) -> TreeView:
    """A tree as a registry."""
    return TreeView(files, blobs.read, folder=ws.folder, types=types)


def _types_of(ws: Workspace, files: Listing, blobs: Blobs) -> tuple[str, ...]:
    """Types of the configuration in a proposed tree; one that is broken is the rules' business."""
    path = registry_path(ws, CONFIG_FILE)
    file = files.get(path)
    if file is None:
        return ()
    try:
        return tuple(Config.parse(blobs.read([file.oid])[file.oid], file=path).known_types)
    except GitMLError:
        return ()


def merge_code(ws: Workspace, target: Target, ours: str, theirs: str) -> MergedTree | MergeConflict:
    """Merge two commits, where a quarrel about the stage's own files alone is none.

    What those say on another branch means nothing, so they are taken out of the quarrel; whoever uses the tree sets
    them anyway.
    """
    merged = ws.repo.merge_trees(ours, theirs)
    if isinstance(merged, MergedTree) or not all(is_own_file(ws, target, path) for path in merged.paths):
        return merged
    base = ws.repo.merge_base(ours, theirs)
    if base is None:
        return merged
    there = listing(ws, base)
    changes: dict[str, TreeChange] = {}
    for path in merged.paths:
        file = there.get(path)
        changes[path] = None if file is None else Entry(mode=file.mode, oid=file.oid)
    return ws.repo.merge_trees(ours, ws.repo.write_tree(theirs, changes), base)


def is_own_file(ws: Workspace, target: Target, path: str) -> bool:
    """Whether a path is one that says what the stage runs."""
    prefix = f"{ws.folder}/" if ws.folder else ""
    parts = path.removeprefix(prefix).split("/")
    is_inside = path.startswith(prefix) and len(parts) == 3
    return is_inside and parts[0] in target.config.known_types and parts[2] == f"{target.stage}.yaml"
