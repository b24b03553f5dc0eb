"""What is said of an asset as a whole: movable aliases and deprecations, kept in `about.yaml`.

Both are read from the default branch only, so that is where they are written, unless a branch is named for
an ordinary request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gitml.errors import Conflict, NotFound, PolicyRefused
from gitml.git.names import check_branch
from gitml.model.about import About, Deprecation
from gitml.model.names import AssetId, Version, VersionId, check_word
from gitml.registry.committing import commit_on
from gitml.registry.resolve import LATEST, resolve, resolve_asset, resolve_whole
from gitml.registry.snapshot import ABOUT_FILE
from gitml.registry.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What `alias` or `deprecate` did.

    Attributes:
        asset: The asset.
        branch: Branch that was written to.
        commit: The new commit; None where nothing changed or on a dry run.
        changed: Whether `about.yaml` differs from before.
        aliases: Every alias afterwards.
        deprecated: Every deprecated version afterwards.
    """

    asset: AssetId
    branch: str
    commit: str | None
    changed: bool
    aliases: dict[str, str]
    deprecated: dict[str, Deprecation]


def alias(
    ws: Workspace,
    asset_text: str,
    name: str,
    version: str,
    *,
    branch: str | None = None,
    dry_run: bool = False,
) -> Edited:
    """Point a movable name at a version.

    Raises:
        InvalidInput: The alias is no valid word.
        NotFound: No such asset or version.
        Conflict: The alias would clash with a version or stage.
    """
    asset, snapshot = resolve_asset(ws, asset_text)
    check_word(name, "alias")
    if (
        name in snapshot.config.stages
        or name == LATEST
        or any(v.text == name for v in snapshot.versions(asset))
    ):
        raise Conflict(
            f"{name} already names a stage or version of {asset}",
            code="name-taken",
            hint="choose another alias",
            context={"asset": str(asset), "alias": name},
        )
    if version != LATEST:
        Version.parse(version)
    target = resolve(ws, f"{asset}@{version}").id
    return _edit(
        ws,
        asset,
        lambda about: replace(about, aliases={**about.aliases, name: target.version.text}),
        f"Alias {asset}@{name} is version {target.version}\n",
        branch=branch,
        dry_run=dry_run,
    )


def deprecate(
    ws: Workspace,
    ref: str,
    *,
    message: str | None = None,
    replaced_by: str | None = None,
    branch: str | None = None,
    dry_run: bool = False,
) -> Edited:
    """Mark a version as one that should no longer be used; it stays readable.

    Raises:
        NotFound: No such version, or no such replacement.
        InvalidInput: The message is more than a line, or too long.
    """
    target = resolve_whole(ws, ref).id
    successor = resolve_whole(ws, replaced_by).id if replaced_by else None
    if successor == target:
        raise Conflict(
            f"{target} cannot replace itself", code="replaced-by-itself", hint="name another version"
        )
    entry = Deprecation(reason=message, replaced_by=_relative(successor, target))
    return _edit(
        ws,
        target.asset,
        lambda about: replace(about, deprecated={**about.deprecated, target.version.text: entry}),
        f"Deprecate {target}\n" + (f"\n{message}\n" if message else ""),
        branch=branch,
        dry_run=dry_run,
    )


def _relative(successor: VersionId | None, target: VersionId) -> str | None:
    if successor is None:
        return None
    return successor.version.text if successor.asset == target.asset else str(successor)


def _edit(
    ws: Workspace,
    asset: AssetId,
    change: Callable[[About], About],
    message: str,
    *,
    branch: str | None,
    dry_run: bool,
) -> Edited:
    name = ws.config.default_branch if branch is None else check_branch(branch)
    if name in ws.config.stages:
        raise PolicyRefused(
            f"{name} is a stage: it moves by promotion only",
            code="stage-is-protected",
            hint="leave --branch out, or name a branch such as working/NAME",
            context={"reasons": [f"{name} is a stage"]},
        )
    found = ws.tip(name)
    start = found.commit if found else ws.default_tip().commit
    path = ws.at(start).path(asset.folder, ABOUT_FILE)

    def edited(about: About) -> tuple[About, bytes]:
        """What it is afterwards; read back, since what was typed may break a rule of the format."""
        data = change(about).format()
        return About.parse(data, file=path), data

    before = _about(ws, start, name, asset)
    after, _ = edited(before)
    commit: str | None = None
    if after != before and not dry_run:

        def on(tip: str | None) -> dict[str, bytes]:
            return {path: edited(_about(ws, tip or start, name, asset))[1]}

        commit = commit_on(ws.repo, name, start, on, message)
    return Edited(
        asset=asset,
        branch=name,
        commit=commit,
        changed=after != before,
        aliases=dict(after.aliases),
        deprecated=dict(after.deprecated),
    )


def _about(ws: Workspace, commit: str, branch: str, asset: AssetId) -> About:
    snapshot = ws.at(commit)
    if not snapshot.versions(asset):
        raise NotFound(
            f"{asset} is not on {branch} yet, and aliases and deprecations are kept there",
            code="asset-not-found",
            hint=f"merge the branch that registered it into {branch}, or use --branch",
            context={"asset": str(asset), "branch": branch},
        )
    return snapshot.about(asset)
