"""Which version a reference means, and on which commit that was read."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from gitml.errors import NotFound, UsageError
from gitml.model.names import AssetId, Version, VersionId, highest
from gitml.model.pointer import Pointer
from gitml.model.reference import AssetRef
from gitml.registry.snapshot import POINTER_FILE, Snapshot
from gitml.registry.workspace import Workspace

LATEST = "latest"
_DIGEST = "sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a reference turned out to be.

    Attributes:
        id: The version.
        pointer: Its pointer.
        commit: Commit that the version was read from.
        path: Path inside the contents, where the reference names one.
    """

    id: VersionId
    pointer: Pointer
    commit: str
    path: str | None


def resolve(ws: Workspace, ref: AssetRef | str, *, rev: str | None = None) -> Resolved:
    """Find the version that a reference names.

    Precedence of the selector: version, `latest`, alias, stage; no selector is `latest`, or `current` on a
    stage branch. Versions are read on HEAD or on `rev`, stages on their own branch, aliases and deprecations
    on the default branch.

    Args:
        ws: The registry.
        ref: The reference.
        rev: Branch, tag or commit to read instead of HEAD.

    Raises:
        UsageError: The reference is malformed, names another repository, or is ambiguous.
        NotFound: No such asset, version, alias or stage here.
    """
    base = ws.revision(rev)
    parsed = AssetRef.parse(ref, base.config.known_types) if isinstance(ref, str) else ref
    if parsed.repo is not None:
        raise UsageError(
            f"{parsed} is in another repository; this version of GitML reads the registry it is run in",
            code="other-registry",
            hint="clone that repository and run the command there, or use -R PATH",
        )
    snapshot, version_id = _select(ws, base, parsed, rev)
    return Resolved(
        id=version_id, pointer=snapshot.pointer(version_id), commit=snapshot.commit, path=parsed.path
    )


def resolve_whole(ws: Workspace, text: str, *, rev: str | None = None) -> Resolved:
    """Find the version that a reference names, for what is about versions and never about a file of one.

    Raises:
        UsageError: As :func:`resolve`, and where the reference names a file.
        NotFound: As :func:`resolve`.
    """
    found = resolve(ws, text, rev=rev)
    if found.path is not None:
        raise UsageError(
            f"{text} names a file, and this is about a version as a whole",
            code="not-a-version",
            hint=text.removesuffix(f":{found.path}"),
        )
    return found


def resolve_asset(ws: Workspace, text: str, *, rev: str | None = None) -> tuple[AssetId, Snapshot]:
    """Find an asset that a command takes without a selector.

    Raises:
        UsageError: The text has a selector or path, or the name is ambiguous.
        NotFound: There is no such asset.
    """
    base = ws.revision(rev)
    parsed = AssetRef.parse(text, base.config.known_types)
    if parsed.selector is not None or parsed.path is not None or parsed.repo is not None:
        raise UsageError(
            f"{text}: give the asset without a version or path",
            code="not-an-asset",
            hint=f"{parsed.type or 'TYPE'}/{parsed.name}",
        )
    return _asset(ws, base, parsed), base


def _select(ws: Workspace, base: Snapshot, ref: AssetRef, rev: str | None) -> tuple[Snapshot, VersionId]:
    stage = _stage(base, ref, rev, ws)
    if stage is not None:
        return _at_stage(ws, base, ref, stage, rev)
    asset = _asset(ws, base, ref)
    return base, VersionId(asset=asset, version=_version(ws, base, asset, ref))


def _stage(base: Snapshot, ref: AssetRef, rev: str | None, ws: Workspace) -> str | None:
    """The stage that the selector names, if it is one; a name can be only one of version, alias, stage."""
    if ref.selector in base.config.stages:
        return ref.selector
    if ref.selector is None:
        branch = ws.branch() if rev is None else rev
        if branch in base.config.stages:
            return branch
    return None


def _at_stage(
    ws: Workspace, base: Snapshot, ref: AssetRef, stage: str, rev: str | None
) -> tuple[Snapshot, VersionId]:
    if ref.selector is None:
        snapshot = base
    else:
        snapshot = ws.at(ws.stage_tip(stage).commit)
        if rev is not None and rev != stage:
            if not ws.was_on(stage, base.commit, snapshot.commit):
                raise UsageError(
                    f"@{stage} is read on the branch {stage}, and {rev} is no commit of it",
                    code="stage-with-rev",
                    hint=f"gitml history {stage} --at DATE",
                )
            snapshot = base
    asset = _asset(ws, snapshot, ref)
    current = snapshot.current(asset, stage)
    if current is None:
        raise NotFound(
            f"{asset} was not promoted to {stage}",
            code="not-promoted",
            hint=f"gitml promote {asset} -t {stage}",
            context={"asset": str(asset), "stage": stage, "commit": snapshot.commit},
        )
    return snapshot, VersionId(asset=asset, version=current)


def _asset(ws: Workspace, snapshot: Snapshot, ref: AssetRef) -> AssetId:
    if ref.type is not None:
        asset = AssetId(type=ref.type, name=ref.name)
        if snapshot.versions(asset):
            return asset
        raise _no_asset(ws, snapshot, str(asset), ref.selector)
    found = [asset for asset in snapshot.assets() if asset.name == ref.name]
    if len(found) > 1:
        raise UsageError(
            f"{ref.name} exists in several types: {', '.join(map(str, found))}",
            code="ambiguous-name",
            hint=f"{found[0]}",
            context={"candidates": [str(asset) for asset in found]},
        )
    if not found:
        raise _no_asset(ws, snapshot, ref.name)
    return found[0]


def _no_asset(ws: Workspace, snapshot: Snapshot, name: str, selector: str | None = None) -> NotFound:
    known = [str(asset) for asset in snapshot.assets()]
    near = difflib.get_close_matches(name, [*known, *(text.split("/")[1] for text in known)], n=1)
    elsewhere = None
    if "/" in name:
        elsewhere = (selector and _branch_with_version(ws, name, selector)) or _branch_with(ws, name)
    hint = f"add --rev {elsewhere}" if elsewhere else f"gitml show {near[0]}" if near else "gitml list"
    return NotFound(
        f"there is no asset {name} in commit {snapshot.commit[:12]}",
        code="asset-not-found",
        hint=hint,
        context={"asset": name, "commit": snapshot.commit},
    )


def _branch_with_version(ws: Workspace, folder: str, selector: str) -> str | None:
    return _branch_with(ws, f"{folder}/{selector}/{POINTER_FILE}")


def _branch_with(ws: Workspace, folder: str) -> str | None:
    """A branch that has this folder of the registry, for the hint of an error."""
    for ref, commit in ws.branch_tips().items():
        if ws.repo.entry(commit, ws.at(commit).path(folder)) is not None:
            return ref.removeprefix("refs/heads/").removeprefix("refs/remotes/")
    return None


def _version(ws: Workspace, snapshot: Snapshot, asset: AssetId, ref: AssetRef) -> Version:
    selector, versions = ref.selector, snapshot.versions(asset)
    if selector is not None:
        exact = next((version for version in versions if version.text == selector), None)
        if exact is not None:
            return exact
        if selector.startswith(_DIGEST):
            return _by_digest(snapshot, asset, selector)
    about = ws.at(ws.default_tip(snapshot.config).commit).about(asset)
    if selector is None or selector == LATEST:
        newest = highest(versions, about.deprecated)
        if newest is None:
            raise NotFound(
                f"every version of {asset} is deprecated",
                code="all-deprecated",
                hint=f"name the version: {asset}@{versions[-1]}",
                context={"asset": str(asset)},
            )
        return newest
    if selector in about.aliases:
        version = Version.parse(about.aliases[selector])
        if version in versions:
            return version
        raise _no_version(ws, snapshot, asset, f"{asset}@{version} (alias {selector})", version.text)
    raise _no_version(ws, snapshot, asset, f"{asset}@{selector}", selector)


def _by_digest(snapshot: Snapshot, asset: AssetId, digest: str) -> Version:
    ids = [VersionId(asset=asset, version=version) for version in snapshot.versions(asset)]
    matching = [
        id_.version
        for id_, pointer in snapshot.pointers(ids).items()
        if str(pointer.contents.digest) == digest
    ]
    if not matching:
        raise NotFound(
            f"no version of {asset} has the contents {digest}",
            code="version-not-found",
            hint=f"gitml list {asset}",
            context={"asset": str(asset), "digest": digest},
        )
    return max(matching)


def _no_version(ws: Workspace, snapshot: Snapshot, asset: AssetId, name: str, version: str) -> NotFound:
    elsewhere = _branch_with_version(ws, asset.folder, version)
    there = ", ".join(text.text for text in snapshot.versions(asset)[-5:])
    return NotFound(
        f"there is no {name} in commit {snapshot.commit[:12]}; the newest there are {there}",
        code="version-not-found",
        hint=f"add --rev {elsewhere}" if elsewhere else f"gitml list {asset}",
        context={"asset": str(asset), "selector": version, "commit": snapshot.commit},
    )
