"""Where a version is committed: a branch that can take one."""

from __future__ import annotations

from dataclasses import dataclass

from gitml.errors import Conflict, NotFound, PolicyRefused, UsageError
from gitml.git.names import check_branch
from gitml.git.types import Operation
from gitml.registry.committing import HEADS
from gitml.registry.snapshot import CONFIG_FILE, Snapshot
from gitml.registry.workspace import REMOTES, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the commit goes: a branch, its tip, and what that holds."""

    branch: str
    tip: str
    is_new: bool
    snapshot: Snapshot


def find_target(ws: Workspace, branch: str | None) -> Target:
    """Where a version is to be committed.

    Raises:
        UsageError: There is no branch to commit to.
        Conflict: A merge or the like is in progress on it.
        PolicyRefused: It is a stage.
    """
    head = ws.repo.head()
    if branch is not None:
        check_branch(branch)
    if branch is None:
        if head.branch is None or head.operation in (Operation.REBASE, Operation.BISECT):
            raise UsageError(
                "HEAD is detached: there is no branch to commit to"
                if head.branch is None
                else "a rebase is in progress: there is no branch to commit to",
                code="no-branch",
                hint="--branch NAME",
            )
        branch = head.branch
    if branch == head.branch and head.operation is not None:
        raise Conflict(
            f"a {head.operation.value} is in progress on {branch}",
            code="operation-in-progress",
            hint=f"finish it, or git {head.operation.value} --abort",
        )
    tip = ws.repo.refs(HEADS + branch).get(HEADS + branch)
    snapshot = ws.head() if head.commit else None
    if tip is None:
        if snapshot is None:
            raise NotFound("this repository has no commit yet", code="no-commit", hint="gitml init")
        tracking = f"{REMOTES}{ws.remote}/{branch}"
        start = ws.repo.refs(tracking).get(tracking) or ws.default_tip(snapshot.config).commit
        found = Target(branch=branch, tip=start, is_new=True, snapshot=ws.at(start))
    else:
        found = Target(branch=branch, tip=tip, is_new=False, snapshot=ws.at(tip))
    _refuse_stage(found.snapshot, branch)
    return found


def _refuse_stage(snapshot: Snapshot, branch: str) -> None:
    try:
        stages = snapshot.config.stages
    except NotFound as error:
        raise NotFound(
            f"{CONFIG_FILE} is not committed on {branch}", code="no-registry", hint="gitml init"
        ) from error
    if branch in stages:
        raise PolicyRefused(
            f"{branch} is a stage: versions reach it by promotion only",
            code="stage-is-protected",
            hint=f"gitml register … --branch working/NAME, then gitml promote TYPE/NAME -t {branch}",
            context={"reasons": [f"{branch} is a stage"]},
        )
