"""Share with others: `push` sends bytes before refs, `pull` fetches refs before it places bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gitml.errors import Busy, Conflict, NotFound, UsageError
from gitml.git.racing import Race
from gitml.git.types import PushRef, PushStatus
from gitml.model.names import VersionId, highest
from gitml.model.shown import size
from gitml.registry.committing import HEADS
from gitml.registry.place.placement import Placement, get
from gitml.registry.resolve import resolve
from gitml.registry.share.sending import Totals, renumbered, send_bytes
from gitml.registry.snapshot import Snapshot
from gitml.registry.workspace import REMOTES, Workspace

_PUSHES = 8
_LOCKED = re.compile(r"failed to (update|lock)|cannot lock ref", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedBranch:
    """A branch of the remote that was, or would be, moved."""

    name: str
    old: str | None
    new: str
    versions: tuple[VersionId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What `push` did, or would do.

    Attributes:
        remote: Name of the git remote.
        branches: Branches that moved; empty where the remote had everything.
        checked: How many branches were compared.
        sent: Versions whose bytes went from the embedded store to the configured one, those included that the remote
            has already, because somebody pushed with git alone.
        new_bytes, reused_bytes, stored_bytes: Of those; see `register`.
        dry_run: Nothing was done.
        retries: How often others were first, and all was compared again.
    """

    remote: str
    branches: tuple[PushedBranch, ...]
    checked: int
    sent: tuple[VersionId, ...]
    new_bytes: int
    reused_bytes: int
    stored_bytes: int
    dry_run: bool
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What `pull` did.

    Attributes:
        remote: Remote that was fetched; None where there is none.
        branch: Branch that was fast-forwarded, if any.
        old, new: Its tip before and after.
        placements: What was placed.
    """

    remote: str | None
    branch: str | None
    old: str | None
    new: str | None
    placements: tuple[Placement, ...]


def push(ws: Workspace, remote: str | None = None, *, verify: bool = True, dry_run: bool = False) -> Pushed:
    """Send bytes, then the current branch and every other branch with versions that the remote lacks.

    Args:
        ws: The registry.
        remote: Git remote; default is the team's.
        verify: Run the user's pre-push hook.
        dry_run: Fetch and plan only.

    Raises:
        UsageError: No remote, or bytes in the embedded store and nowhere configured to send them.
        Conflict: The remote has one of these versions with another pointer, or its branch has moved on.
        StoreUnavailable, AccessDenied: Store or remote refused.
        Busy: Others moved one of the branches at every attempt.
    """
    name = _remote(ws, remote)
    totals, moved = Totals(), dict[str, PushedBranch]()
    race, late = Race(f"push to {name}", most_attempts=_PUSHES), ""
    for _ in race.attempts():
        ws.repo.fetch(name)
        tips = ws.branch_tips()
        branches = _outgoing(ws, name, tips)
        _refuse_conflicts(ws, name, branches, tips)
        if dry_run:
            break
        for branch in branches:
            send_bytes(ws, ws.at(branch.new), totals)
        late = _push_refs(ws, name, branches, moved, verify=verify)
        if not late:
            break
    if late:
        raise _locked(name, late) if _LOCKED.search(late) else race.lost(hint="gitml push", said=late)
    if not dry_run:
        _follow(ws, name, branches)
    return Pushed(
        remote=name,
        branches=tuple(moved.values()) if moved else tuple(b for b in branches if b.old != b.new),
        checked=len(branches),
        sent=tuple(totals.sent),
        new_bytes=totals.new_bytes,
        reused_bytes=totals.reused_bytes,
        stored_bytes=totals.stored_bytes,
        dry_run=dry_run,
        retries=race.retries,
    )


def _remote(ws: Workspace, remote: str | None) -> str:
    name = remote or ws.remote
    if name is None:
        raise UsageError(
            "this clone has no git remote to push to",
            code="no-remote",
            hint="gitml init --remote URL",
        )
    if name not in ws.remotes:
        raise NotFound(f"there is no git remote {name!r}", code="remote-not-found", hint="git remote -v")
    return name


def _outgoing(ws: Workspace, remote: str, tips: Mapping[str, str]) -> list[PushedBranch]:
    """The current branch, and others that hold versions the remote lacks; never a stage."""
    current = ws.branch()
    stages = ws.config.stages
    prefix = f"{REMOTES}{remote}/"
    theirs = [ws.at(commit) for commit in {tips[ref] for ref in tips if ref.startswith(prefix)}]
    found = []
    for ref, commit in sorted(tips.items()):
        name = ref.removeprefix(HEADS)
        if not ref.startswith(HEADS) or name in stages or not _is_registry(ws.at(commit)):
            continue
        snapshot = ws.at(commit)
        versions = tuple(
            id_
            for id_ in snapshot.ids()
            if not any(
                there.pointer_oid(id_) == snapshot.pointer_oid(id_) for there in theirs if _is_registry(there)
            )
        )
        old = tips.get(prefix + name)
        behind = old is not None and ws.repo.is_ancestor(commit, old)
        if versions or name == current:
            found.append(
                PushedBranch(name=name, old=old, new=old if behind and old else commit, versions=versions)
            )
    return found


def _is_registry(snapshot: Snapshot) -> bool:
    try:
        return snapshot.config is not None
    except NotFound:
        return False


def _refuse_conflicts(
    ws: Workspace, remote: str, branches: Sequence[PushedBranch], tips: Mapping[str, str]
) -> None:
    prefix = f"{REMOTES}{remote}/"
    tips = {ref: commit for ref, commit in tips.items() if ref.startswith(prefix)}
    for branch in branches:
        for id_ in branch.versions:
            holder = next(
                (
                    ref
                    for ref, commit in tips.items()
                    if _is_registry(ws.at(commit)) and ws.at(commit).has(id_)
                ),
                None,
            )
            if holder is not None:
                raise Conflict(
                    f"{id_} on {branch.name} and {id_} on {holder.removeprefix(REMOTES)} are different versions",
                    code="version-exists",
                    hint=renumbered(ws, id_),
                    context={"ref": str(id_), "branch": branch.name, "held_by": holder},
                )
    for branch in branches:
        if branch.old is not None and not ws.repo.is_ancestor(branch.old, branch.new):
            raise Conflict(
                f"{remote}/{branch.name} has commits that {branch.name} here does not have",
                code="diverged",
                hint=f"git pull --rebase {remote} {branch.name}, then gitml push",
                context={"branch": branch.name, "theirs": branch.old, "ours": branch.new},
            )


def _push_refs(
    ws: Workspace,
    remote: str,
    branches: Sequence[PushedBranch],
    moved: dict[str, PushedBranch],
    *,
    verify: bool,
) -> str:
    """Move the branches; what was said of one that somebody else moved or holds, where that is all that is amiss.

    Args:
        ws: The registry.
        remote: Name of the remote.
        branches: What is to be moved.
        moved: Takes those that were.
        verify: Run the user's pre-push hook.

    Raises:
        Conflict: The remote refused one.
    """
    moving = [branch for branch in branches if branch.old != branch.new]
    updates = [PushRef(ref=HEADS + b.name, new=b.new, expected=b.old) for b in moving]
    results = ws.repo.push(remote, updates, hooks=verify) if updates else {}
    late = ""
    for branch in moving:
        result = results[HEADS + branch.name]
        if result.ok:
            moved[branch.name] = (
                replace(moved[branch.name], new=branch.new) if branch.name in moved else branch
            )
        elif result.status is PushStatus.REFUSED:
            raise Conflict(
                f"{remote} refused {branch.name}: {result.reason}",
                code="push-refused",
                hint="gitml push again; it fetches first and says what differs",
                context={"branch": branch.name, "reason": result.reason},
            )
        else:
            late = f"{branch.name}: {result.reason or 'not tried'}"
    return late


def _locked(remote: str, said: str) -> Busy:
    return Busy(
        f"{remote} holds {said}",
        code="remote-locked",
        hint="wait for the other push, then run it again; if there is none, remove the lock in the remote",
        context={"reason": said},
    )


def _follow(ws: Workspace, remote: str, branches: Sequence[PushedBranch]) -> None:
    for branch in branches:
        if ws.repo.upstream(branch.name) is None:
            ws.repo.set_upstream(branch.name, remote)


def pull(
    ws: Workspace,
    refs: Sequence[str] = (),
    *,
    every: bool = False,
    force: bool = False,
    dry_run: bool = False,
) -> Pulled:
    """Fetch and fast-forward the current branch, then place contents under TYPE/NAME/VERSION/.

    Args:
        ws: The registry.
        refs: What to place; default is the newest version of each asset, or what the stage runs.
        every: Place every version.
        force: Write over files that are in the way.
        dry_run: Fetch, and say what would be placed.

    Raises:
        UsageError: The repository is bare.
        Conflict: The branch has diverged from the remote's, or files are in the way.
    """
    ws.require_directory("gitml pull")
    remote, branch = ws.remote, ws.branch()
    old = ws.repo.head().commit
    if remote is not None:
        ws.repo.fetch(remote)
        if branch is not None and not dry_run:
            _fast_forward(ws, remote, branch)
    new = ws.repo.head().commit
    chosen = (
        [str(resolve(ws, ref).id) + _path(ref) for ref in refs] if refs else _default_choice(ws, every=every)
    )
    size_bytes = sum(resolve(ws, ref).pointer.contents.size_bytes for ref in chosen)
    ws.progress.note(f"placing {len(chosen)} version(s), {size(size_bytes)} of contents")
    placements = tuple(get(ws, ref, force=force, dry_run=dry_run) for ref in chosen)
    return Pulled(remote=remote, branch=branch, old=old, new=new, placements=placements)


def _path(ref: str) -> str:
    """The `:PATH` of a reference, to be kept when its selector is replaced by the version found."""
    from gitml.model.reference import AssetRef

    parsed = AssetRef.parse(ref)
    return f":{parsed.path}" if parsed.path else ""


def _fast_forward(ws: Workspace, remote: str, branch: str) -> None:
    ref = f"{REMOTES}{remote}/{branch}"
    theirs = ws.repo.refs(ref).get(ref)
    ours = ws.repo.head().commit
    if theirs is None or theirs == ours or (ours and ws.repo.is_ancestor(theirs, ours)):
        return
    if ours and not ws.repo.is_ancestor(ours, theirs):
        raise Conflict(
            f"{branch} and {remote}/{branch} have diverged; nothing was placed",
            code="diverged",
            hint=f"git pull --rebase {remote} {branch}",
            context={"branch": branch, "ours": ours, "theirs": theirs},
        )
    ws.repo.fast_forward(theirs)


def _default_choice(ws: Workspace, *, every: bool) -> list[str]:
    snapshot, branch = ws.head(), ws.branch()
    if every:
        return [str(id_) for id_ in snapshot.ids()]
    if branch in snapshot.config.stages:
        return [f"{asset}@{version}" for asset, version in snapshot.currents(branch).items()]
    default = ws.at(ws.default_tip().commit)
    newest = (
        (asset, highest(snapshot.versions(asset), default.about(asset).deprecated))
        for asset in snapshot.assets()
    )
    return [f"{asset}@{version}" for asset, version in newest if version is not None]
