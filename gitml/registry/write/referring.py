"""Versions that refer to data elsewhere: `register --reference` makes one, `store adopt` copies what one refers to.

A version is write-once, so what was copied is a version of its own: the next number of the same asset, with the same
fields, ordinary contents, and the version it was copied from as its input. A store cuts files into chunks and keeps
them in packs, so that no server can copy them by itself: the bytes stream through this machine, judged on the way,
and none of them is kept on its disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gitml.errors import UsageError
from gitml.model.config import Config
from gitml.model.names import AssetId, Version
from gitml.model.pointer import External
from gitml.model.redact import redact
from gitml.model.shown import shown
from gitml.registry.external.contents import (
    Elsewhere,
    Listed,
    contents_of,
    list_sources,
    locations,
    trust_sources,
)
from gitml.registry.resolve import resolve_whole
from gitml.registry.workspace import Workspace
from gitml.registry.write.drafting import Given, dirty_warning, draft_pointer, says_nothing_new
from gitml.registry.write.numbering import (
    bumped,
    check_version_word,
    claim_version,
    existing_versions,
    refuse_confusable,
    refuse_taken,
)
from gitml.registry.write.register import (
    commit_version,
    compared,
    contents_in,
    earlier_trees,
)
from gitml.registry.write.registered import Registered, planned, result_of
from gitml.registry.write.review import ReviewedSource
from gitml.registry.write.target import Target, find_target
from gitml.store.external.listed import LinesSource
from gitml.store.external.referenced import ReferencedSource, ReferencedTree
from gitml.store.store import Store

ADOPTED = "reference"
"""Role of the version that was copied from, among the inputs of the copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """What is about to be registered, but for its contents."""

    asset: AssetId
    given: Given
    target: Target
    existing: Sequence[Version]
    store_name: str
    store: Store
    warnings: list[str]

    @property
    def config(self) -> Config:
        return self.target.snapshot.config


def check_words(paths: Sequence[str | Path], *, reference: bool, follow_links: bool) -> None:
    """Refuse words that do not go together.

    Raises:
        UsageError: A URL or `--hash` without `--reference`, or `--follow-links` with it.
    """
    if not reference:
        url = next((str(path) for path in paths if "://" in str(path)), None)
        raise UsageError(
            "--hash goes with --reference"
            if url is None
            else f"{shown(redact(url))} is not on this machine, and register copies files of this machine",
            code="not-a-reference",
            hint="--reference leaves the data where it is; gitml store adopt copies it later",
        )
    if follow_links:
        raise UsageError(
            "--follow-links does not go with --reference: no link is followed when the data is read later",
            code="follow-links",
            hint="refer to the place that the links lead to",
        )


def refer(
    ws: Workspace,
    asset: AssetId,
    sources: Sequence[str],
    given: Given,
    *,
    hash: bool = False,  # noqa: A002, the flag's own name
    branch: str | None = None,
    offline: bool = False,
    dry_run: bool = False,
) -> Registered:
    """Make what lies at locations the next version of an asset, and leave it there.

    Args:
        ws: The registry.
        asset: Type and name.
        sources: Folders, files, buckets with a prefix, or web addresses; the caller's word that they may be read.
        given: Fields of the pointer.
        hash: Read everything, so that its digests are known; otherwise only what nothing else could vouch for.
        branch: Branch to commit to instead of the one checked out.
        offline: Write to the embedded store, whatever is configured.
        dry_run: List only.

    Raises:
        InvalidInput: A location, name or field breaks a rule.
        NotFound: There is nothing at a location.
        IntegrityError: A file changed while it was read.
        AccessDenied, StoreUnavailable: A medium refused or did not answer.
        Conflict: The named version exists with other contents or fields.
    """
    if not sources:
        raise UsageError("--reference needs a location", code="no-source", hint="a folder, file or URL")
    draft = _draft(ws, asset, given, branch=branch, offline=offline)
    found = locations(ws, sources)
    listed = list_sources(ws, draft.config, found, hash=hash, dry_run=dry_run)
    if dry_run:
        return _planned(draft, listed.external, listed.external)
    lines = listed.source(ws)
    try:
        trust_sources(ws, draft.config, found)
        return _register(ws, draft, lines, listed)
    finally:
        lines.close()


def adopt(ws: Workspace, ref: str, *, dry_run: bool = False) -> Registered:
    """Copy the bytes that a version refers to into the store, as a version of their own.

    Args:
        ws: The registry.
        ref: The version.
        dry_run: Plan only.

    Raises:
        UsageError: The version refers to nothing.
        AccessDenied: What it refers to is not trusted on this machine.
        IntegrityError: A source is gone, or is not what was registered; no version is made.
    """
    found = resolve_whole(ws, ref)
    tree = contents_of(ws, ws.at(found.commit).config, found.pointer)
    if not isinstance(tree, ReferencedTree):
        raise UsageError(
            f"{found.id} refers to nothing: its bytes are in the store already",
            code="no-reference",
            hint=f"gitml show {found.id}",
            context={"ref": str(found.id)},
        )
    old = found.pointer
    given = Given(
        labels=old.labels,
        metrics=old.metrics,
        params=old.params,
        spec=old.spec,
        inputs=(f"{ADOPTED}={found.id}",),
        message=old.description,
    )
    draft = _draft(ws, found.id.asset, given, branch=None, offline=False)
    if dry_run:
        return _planned(draft, None, old.contents.external)
    return _register(ws, draft, ReferencedSource(tree), None)


def _draft(ws: Workspace, asset: AssetId, given: Given, *, branch: str | None, offline: bool) -> _Draft:
    target = find_target(ws, branch)
    config = target.snapshot.config
    check_version_word(target.snapshot, asset, given.version, ws)
    pointer = draft_pointer(ws, asset, given, config)
    store_name, store = ws.stores(config).target(asset.type, offline=offline)
    existing = existing_versions(ws, asset)
    refuse_confusable(existing, asset, given)
    if given.bump is not None:
        bumped(given, existing)
    return _Draft(
        asset=asset,
        given=given,
        target=target,
        existing=existing,
        store_name=store_name,
        store=store,
        warnings=dirty_warning(pointer),
    )


def _register(
    ws: Workspace, draft: _Draft, source: LinesSource | ReferencedSource, listed: Listed | None
) -> Registered:
    asset, given, target = draft.asset, draft.given, draft.target
    external = None if listed is None else listed.external
    pointer = draft_pointer(ws, asset, given, draft.config)
    pointer = replace(pointer, contents=replace(pointer.contents, external=external))
    newest = compared(target.snapshot, asset, given)
    reviewed = ReviewedSource(source)
    written = draft.store.write(
        reviewed, earlier=earlier_trees(ws, newest, draft.store), progress=ws.progress
    )
    warnings = [*draft.warnings, *source.warnings]
    if newest is not None and says_nothing_new(newest, written.root, pointer, given):
        same = result_of(newest, target, target.tip, written.stats, draft.store_name, warnings)
        return replace(same, created=False, external=Elsewhere.of(external))
    refuse_taken(draft.existing, asset, given)
    version = claim_version(ws, draft.config, draft.store, asset, given, draft.existing, written)
    contents = contents_in(written.root, draft.config.store_for(asset.type))
    pointer = replace(pointer, id=version, contents=replace(contents, external=external)).checked(
        draft.config
    )
    commit = commit_version(ws, target, pointer, reviewed.copies(draft.store.tree(written.root)))
    result = result_of(pointer, target, commit, written.stats, draft.store_name, warnings)
    return replace(result, external=Elsewhere.of(external))


def _planned(draft: _Draft, external: External | None, read: External | None) -> Registered:
    return planned(
        draft.asset,
        draft.given,
        draft.target,
        draft.existing,
        draft.store_name,
        draft.warnings,
        files=read.files if read else 0,
        size_bytes=read.size_bytes if read else 0,
        external=Elsewhere.of(external),
    )
