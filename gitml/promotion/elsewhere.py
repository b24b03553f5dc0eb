"""Promotion to another repository: `promote REF -r URL` where that is not this clone's remote.

The versions, and what they were made from, go to the other registry as a commit on a branch of their own there,
`working/from-NAME`, so that its rule `from` sees them; its own policy judges the request as any other. No clone of it
is made: its branches are fetched into this clone's object folder, and no ref of this clone is written.

The order keeps what a pointer implies: what the policy refuses stops everything; then bytes go to the other registry's
store, and get roots under its registry id; then the branch is pushed, from the tip that was read; then the request is
opened. A run that was killed anywhere can be run again, and finds what is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from gitml.errors import Conflict, IntegrityError, NotFound, StoreUnavailable, UsageError
from gitml.forge.base import Forge
from gitml.forge.detect import open_forge
from gitml.forge.shared import HEADS, Moved, RefMove, Shared
from gitml.git.partial import ask_tips
from gitml.git.racing import Race
from gitml.git.types import Entry, TreeChange
from gitml.model.config import Config
from gitml.model.names import VersionId
from gitml.model.pointer import Input, Pointer
from gitml.promotion.case import Rule
from gitml.promotion.history import birth_of
from gitml.promotion.prepare import Kind, Prepared, closure, current_changes, folder_changes, prepare, refuse
from gitml.promotion.propose import Promotion, describe
from gitml.promotion.target import Target, find_target, folder_files, registry_path
from gitml.promotion.view import POINTER_FILE
from gitml.registry.others.addresses import Address, located, name_of, named
from gitml.registry.others.distant import DistantWorkspace, registry_folder
from gitml.registry.snapshot import Snapshot
from gitml.registry.stores import StoreSet
from gitml.registry.workspace import Tip, Workspace
from gitml.store.read.resending import TreeSource
from gitml.store.store import Claimed, RootKey, Store, WriteStats, WrittenTree

_BY_BYTES: Final = frozenset({Rule.BYTES, Rule.REVIEW, Rule.FORMATS, Rule.FIELDS})
_NOTHING: Final = WriteStats(
    files=0, size_bytes=0, new_bytes=0, reused_bytes=0, stored_bytes=0, packs=0, segments=0, requests=0
)


class ThereWorkspace(DistantWorkspace):
    """The registry of another repository, seen through this clone's object folder.

    Args:
        ws: This clone.
        address: Where the other repository lies.
    """

    def __init__(self, ws: Workspace, address: Address) -> None:
        super().__init__(ws.repo, "", ws.caller, ws.settings, progress=ws.progress, jobs=ws.jobs)
        self.address = address
        self.shared = Shared(ws.repo, address.url)
        self.shared.refresh()
        tips = ask_tips(address.url, [], cwd=ws.repo.common_dir)
        tip = self.shared.branch(tips.default) if tips.default else None
        if tip is None:
            raise NotFound(
                f"{address.shown} has no commit yet",
                code="no-commit",
                hint="gitml init in a clone of it, and git push",
            )
        self._head = tip
        self.folder = registry_folder(ws.repo, tip, address)

    @cached_property
    def remotes(self) -> dict[str, str]:
        """See :attr:`Workspace.remotes`: itself, under its address."""
        return {self.address.url: self.address.url}

    @cached_property
    def remote(self) -> str | None:
        """See :attr:`Workspace.remote`."""
        return self.address.url

    def head(self) -> Snapshot:
        """See :meth:`Workspace.head`: the default branch."""
        return self.at(self._head)

    def tip(self, branch: str) -> Tip | None:
        """See :meth:`Workspace.tip`."""
        commit = self.shared.branch(branch)
        return None if commit is None else Tip(ref=HEADS + branch, commit=commit)

    def default_tip(self, config: Config | None = None) -> Tip:
        """See :meth:`Workspace.default_tip`."""
        name = (config or self.head().config).default_branch
        return self.tip(name) or Tip(ref=HEADS + name, commit=self._head)

    def stage_tip(self, stage: str) -> Tip:
        """See :meth:`Workspace.stage_tip`."""
        tip = self.tip(stage)
        if tip is None:
            raise NotFound(
                f"nothing was promoted to the stage {stage} of {self.address.shown} yet",
                code="stage-unborn",
                hint=f"gitml promote TYPE/NAME -t {stage} -r {self.address.shown}",
                context={"stage": stage},
            )
        return tip

    def branch_tips(self) -> dict[str, str]:
        """See :meth:`Workspace.branch_tips`."""
        return {HEADS + name: commit for name, commit in self.shared.branches().items()}


Proposer = Callable[[Workspace, Forge, Prepared], Promotion]
"""Opens the request that a plan comes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """What has to be carried.

    Attributes:
        chosen: What the request asks for, each with a commit of the other repository that has it, or None.
        carried: Versions that it lacks, with their pointers as they will be there, and the commit here that has them.
    """

    chosen: dict[VersionId, str | None]
    carried: dict[VersionId, tuple[Pointer, str]]


def promote_elsewhere(
    ws: Workspace,
    chosen: Mapping[VersionId, str],
    address: Address,
    *,
    target: str,
    no_inputs: bool,
    dry_run: bool,
    propose: Proposer,
) -> Promotion:
    """Carry versions to another repository, and ask for them to go to a stage there.

    Args:
        ws: This clone.
        chosen: Versions, each with the commit here that has it.
        address: The other repository.
        target: A stage there.
        no_inputs: Leave what they were made from behind.
        dry_run: Only plan.
        propose: Opens the request.

    Raises:
        Conflict: The other registry has one of the versions with other contents.
        PolicyRefused: Its rules forbid it; nothing was written there.
        StoreUnavailable: Repository or store cannot be reached.
        Busy: Others moved the branch at every attempt.
    """
    there = ThereWorkspace(ws, address)
    forge = open_forge(there)
    there.shared = forge.shared
    race = Race(f"move {branch_for(ws)} of {address.shown}")
    for attempt in race.attempts():
        if attempt:
            forge.refresh()
        goal = find_target(there, forge.shared, target)
        branch = branch_for(ws)
        load = _load(ws, there, goal, chosen, no_inputs=no_inputs)
        tip = forge.shared.branch(branch)
        commit = _commit(ws, there, goal, load, tip) if load.carried else tip
        if commit is not None and load.carried:
            forge.shared.assume(branch, commit)
        prepared = _prepared(there, forge, goal, load, branch, commit, no_inputs=no_inputs)
        _refuse_early(prepared, load)
        if dry_run:
            plan = replace(prepared.plan, problems=())
            lines = (*describe(plan), *(f"is carried to {address.shown}: {one}" for one in load.carried))
            return Promotion(request=None, plan=plan, summary=lines)
        for version, (pointer, here) in load.carried.items():
            _send(ws, there, goal, version, pointer, here)
        prepared = _prepared(there, forge, goal, load, branch, commit, no_inputs=no_inputs)
        refuse(prepared.plan.problems, f"cannot promote to {target}")
        if not load.carried or commit is None or _push(forge, branch, commit, tip):
            promotion = propose(there, forge, prepared)
            return replace(promotion, retries=promotion.retries + race.retries)
    raise race.lost(said=forge.shared.lost)


def branch_for(ws: Workspace) -> str:
    """Branch of the other repository that holds what came from here."""
    url = ws.remotes[ws.remote] if ws.remote else str(ws.repo.top or ws.repo.common_dir)
    name = re.sub(r"[^a-z0-9]+", "-", url.rstrip("/").removesuffix(".git").lower().split("/")[-1]).strip("-")
    return f"working/from-{name[:40] or 'registry'}-{ws.config.registry[:8]}"


def _load(
    ws: Workspace, there: ThereWorkspace, goal: Target, chosen: Mapping[VersionId, str], *, no_inputs: bool
) -> _Load:
    """What the other registry lacks of the versions and of what they were made from."""
    wanted: dict[VersionId, str | None] = {}
    carried: dict[VersionId, tuple[Pointer, str]] = {}
    queue, seen = list(chosen.items()), set[VersionId]()
    while queue:
        version, here = queue.pop(0)
        if version in seen:
            continue
        seen.add(version)
        pointer = ws.at(here).pointer(version)
        holder = _holder(there, goal, version, pointer)
        if holder is None:
            carried[version] = (_as_there(ws, there, goal, pointer), here)
        if version in chosen:
            wanted[version] = holder
        for item in () if no_inputs else pointer.inputs:
            if item.repo is None and (found := _here(ws, here, item)) is not None:
                queue.append((item.ref, found))
    return _Load(chosen=wanted, carried=carried)


def _here(ws: Workspace, commit: str, item: Input) -> str | None:
    """A commit of this clone that has an input as it was pinned."""
    for candidate in dict.fromkeys([commit, *ws.branch_tips().values()]):
        if ws.repo.entry(candidate, registry_path(ws, item.ref.folder, POINTER_FILE)) is not None:
            snapshot = ws.at(candidate)
            if snapshot.has(item.ref) and snapshot.pointer(item.ref).contents.digest == item.digest:
                return candidate
    return None


def _holder(there: ThereWorkspace, goal: Target, version: VersionId, pointer: Pointer) -> str | None:
    """A commit of the other repository that has the version; the stage first, then any branch.

    Raises:
        Conflict: It has other contents there.
    """
    path = registry_path(there, version.folder, POINTER_FILE)
    for commit in dict.fromkeys([goal.tip, *there.shared.branches().values()]):
        if there.repo.entry(commit, path) is None:
            continue
        found = there.at(commit).pointer(version)
        if found.contents.digest != pointer.contents.digest:
            raise Conflict(
                f"{there.address.shown} has {version} with other contents: {found.contents.digest}",
                code="version-exists",
                hint=f"gitml register {version.asset} PATH --version N with a number that is free there",
                context={"ref": str(version), "repository": there.address.shown},
            )
        return commit
    return None


def _as_there(ws: Workspace, there: ThereWorkspace, goal: Target, pointer: Pointer) -> Pointer:
    """A pointer as it has to read there: its store, and the registries that its inputs are in, by names of there."""
    store = goal.config.store_for(pointer.id.type)
    inputs = tuple(_input_there(ws, there, goal, item) for item in pointer.inputs)
    return replace(pointer, contents=replace(pointer.contents, store=store), inputs=inputs)


def _input_there(ws: Workspace, there: ThereWorkspace, goal: Target, item: Input) -> Input:
    if item.repo is None or item.repo not in ws.config.registries:
        return item
    address = named(ws.config, item.repo, ws)
    return replace(item, repo=name_of(goal.config, address, there) or address.shown)


def _commit(ws: Workspace, there: ThereWorkspace, goal: Target, load: _Load, tip: str | None) -> str:
    """A commit that adds the version folders to the branch of what came from here."""
    base = tip or there.default_tip(goal.config).commit
    changes: dict[str, TreeChange] = {}
    for version, (pointer, here) in load.carried.items():
        top = registry_path(there, version.folder)
        for name, file in folder_files(ws, here, version.folder).items():
            changes[f"{top}/{name}"] = Entry(mode=file.mode, oid=file.oid)
        if pointer != ws.at(here).pointer(version):
            changes[f"{top}/{POINTER_FILE}"] = pointer.format()
    tree = there.repo.write_tree(base, changes)
    names = ", ".join(map(str, load.carried))
    source = ws.identity_url() if ws.remote else ws.config.registry
    return there.repo.write_commit(tree, [base], f"Bring {names}\n\nfrom {_shown(source)}\n")


def _shown(url: str) -> str:
    return Address(url=url, folder=None).shown


def _prepared(
    there: ThereWorkspace,
    forge: Forge,
    goal: Target,
    load: _Load,
    branch: str,
    commit: str | None,
    *,
    no_inputs: bool,
) -> Prepared:
    chosen = {version: holder or str(commit) for version, holder in load.chosen.items()}
    folders = closure(there, forge.shared, goal, chosen, no_inputs=no_inputs)
    changes = folder_changes(there, goal, folders)
    changes |= current_changes(there, goal, {version.asset: version.version for version in chosen})
    return prepare(
        there,
        forge.shared,
        goal,
        kind=Kind.BY_ASSET,
        source=branch,
        refs=tuple(sorted(map(str, chosen))),
        tree=goal.tip,
        parents=(goal.tip,),
        changes=changes,
        birth=lambda: birth_of(there, forge, goal.stage),
    )


def _refuse_early(prepared: Prepared, load: _Load) -> None:
    """Refuse what no bytes could mend, before any are sent."""
    problems = [
        one
        for one in prepared.plan.problems
        if one.rule not in _BY_BYTES or not any(str(version) == one.asset for version in load.carried)
    ]
    refuse(problems, f"cannot promote to {prepared.plan.target}")


def _push(forge: Forge, branch: str, commit: str, tip: str | None) -> bool:
    return forge.shared.move([RefMove(ref=HEADS + branch, new=commit, old=tip)]) is Moved.DONE


def _send(
    ws: Workspace, there: ThereWorkspace, goal: Target, version: VersionId, pointer: Pointer, here: str
) -> None:
    """Have a version's bytes in the other registry's store, named by a root of that registry."""
    name, stores = pointer.contents.store, there.stores(goal.config)
    if name not in stores.names():
        raise UsageError(
            f"{there.address.shown} names no store {name!r} that {version} could go to",
            code="no-store",
            hint="gitml init --store URL|PATH in a clone of it",
            context={"ref": str(version), "store": name},
        )
    target, key = stores.configured(name), stores.key(version)
    present = target.root(key)
    if present is not None and present.tree == pointer.contents.digest and not target.missing(present):
        return
    written = _written(ws, ws.stores(ws.at(here).config), target, key, ws.at(here).pointer(version))
    if not isinstance(target.claim(key, written), Claimed):
        raise Conflict(
            f"{version} is taken by other contents in the store {name} of {there.address.shown}",
            code="version-exists",
            hint=f"gitml register {version.asset} PATH --version N with a number that is free there",
            context={"ref": str(version), "store": name},
        )


def _written(ws: Workspace, stores: StoreSet, target: Store, key: RootKey, pointer: Pointer) -> WrittenTree:
    """The tree in the target: as it is where both registries share the store, else streamed through this machine."""
    store, root = stores.locate(pointer)
    if store.url == target.url:
        lost = store.missing(root)
        if lost:
            raise StoreUnavailable(
                f"{pointer.id} is not whole in {store.url}: {lost[0]}",
                code="object-missing",
                hint="gitml store repair",
            )
        return WrittenTree(root=root, stats=_NOTHING)
    ws.progress.note(f"sending {pointer.id} ({root.files} files) to {target.url}")
    tree = store.tree(root, expected=pointer.contents, label=str(pointer.id))
    earlier = [found for found in [target.root(key)] if found is not None]
    written = target.write(TreeSource(tree), earlier=earlier, progress=ws.progress)
    if written.root.tree != pointer.contents.digest:
        raise IntegrityError(
            f"{pointer.id} became {written.root.tree} on its way",
            code="digest-differs",
            hint="gitml verify --deep",
        )
    return written


def address_of_repo(ws: Workspace, repo: str) -> Address:
    """The repository that `-r` names: a name of `registries:`, a URL or a path."""
    if repo in ws.config.registries:
        return named(ws.config, repo, ws)
    return located(repo, ws.caller)
