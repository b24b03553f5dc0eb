"""What a stage ran, read from its first-parent chain.

One stage file after another, newest first. Who put it there, and when, is for `history`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitml.errors import GitMLError, NotFound
from gitml.git.types import Commit
from gitml.model.names import AssetId, Version
from gitml.model.stagefile import StageFile
from gitml.registry.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A commit of a stage's chain that set what it runs, and to which version; None took it off."""

    commit: Commit
    version: Version | None


def runs(ws: Workspace, stage: str, tip: str, asset: AssetId, *, stop: str | None = None) -> Iterator[Ran]:
    """Every change of what a stage runs of one asset, newest first.

    Args:
        ws: The registry.
        stage: The stage.
        tip: Tip of its branch.
        asset: The asset.
        stop: Commit that the stage was born from, where it is known; it and what is older is not read.
    """
    path = ws.at(tip).path(asset.folder, f"{stage}.yaml")
    for commit in ws.repo.first_parents(tip, path=path, stop=stop):
        yield Ran(commit=commit, version=version_at(ws, commit.oid, path))


def version_at(ws: Workspace, commit: str, path: str) -> Version | None:
    """What a stage file names at a commit; None where there is none, or none that can be read."""
    data = ws.repo.blob(commit, path)
    if data is None:
        return None
    try:
        return StageFile.parse(data, file=path).current
    except GitMLError:
        return None


def ran(
    ws: Workspace, stage: str, tip: str, asset: AssetId, version: Version, *, stop: str | None = None
) -> bool:
    """Whether a stage ran a version at some time, now included.

    Raises:
        NotFound: This clone is shallow, and what it has does not tell.
    """
    if any(entry.version == version for entry in runs(ws, stage, tip, asset, stop=stop)):
        return True
    need_whole_history(ws, f"whether {stage} ever ran {asset}@{version}")
    return False


def need_whole_history(ws: Workspace, what: str) -> None:
    """Refuse to answer from a shallow clone.

    Raises:
        NotFound: This clone is shallow.
    """
    if ws.repo.is_shallow:
        raise NotFound(
            f"this clone is shallow, and does not tell {what}",
            code="shallow",
            hint=f"git fetch --unshallow {ws.remote or 'origin'}",
        )


def since_default(ws: Workspace, tip: str) -> list[Commit]:
    """The first-parent chain of a commit down to where it left that of the default branch, newest first.

    Merging a branch back into the default branch does not shorten its chain.
    """
    trunk = {commit.oid for commit in ws.repo.first_parents(ws.default_tip().commit)}
    found = []
    for commit in ws.repo.first_parents(tip):
        if commit.oid in trunk:
            break
        found.append(commit)
    return found
