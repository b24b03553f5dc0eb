"""Register a version: contents to the store, pointer to git, one commit.

The order is the promise: bytes are durable in the store and the version is claimed there before the commit
that names them exists. A crash in between leaves garbage in the store, never a pointer without bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gitml.errors import Conflict
from gitml.model.names import AssetId, VersionId
from gitml.model.pointer import Contents, Pointer
from gitml.registry.committing import commit_on
from gitml.registry.snapshot import POINTER_FILE, Snapshot
from gitml.registry.sql.query import Answer, Query, answered
from gitml.registry.stores import EMBEDDED
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
from gitml.registry.write.registered import Registered, planned, result_of
from gitml.registry.write.review import ReviewedSource
from gitml.registry.write.target import Target, find_target
from gitml.store.store import Root, RootKey, Store, WrittenTree
from gitml.store.write.source import FolderSource, Source
from gitml.store.write.sourcecache import SourceCache

_SOURCES_KEPT = 64


def register(
    ws: Workspace,
    asset: AssetId,
    paths: Sequence[Path],
    given: Given,
    *,
    query: Query | None = None,
    branch: str | None = None,
    offline: bool = False,
    follow_links: bool = False,
    dry_run: bool = False,
) -> Registered:
    """Make the contents of `paths`, or what a query gives, the next version of an asset.

    Running it again with equal contents and equal given fields changes nothing.

    Args:
        ws: The registry.
        asset: Type and name.
        paths: A folder gives its contents, a file its base name; relative to the caller.
        given: Fields of the pointer.
        query: What to ask a database, instead of `paths`; it is asked last, when all else has been checked.
        branch: Branch to commit to instead of the one checked out; made from the default branch if new.
        offline: Write to the embedded store, whatever is configured.
        follow_links: Copy what a symbolic link points to instead of refusing it.
        dry_run: Plan only; no contents are read, and no database is asked.

    Raises:
        UsageError: No branch to commit to, or no next version number.
        InvalidInput: A name, path, or field breaks a rule.
        NotFound: A path or input does not exist, or `gitml.yaml` is not committed.
        Conflict: The named version exists with other contents or fields.
        PolicyRefused: The branch is a stage, or the contents were purged.
        StoreUnavailable, NoSpace, AccessDenied: The store refused.
    """
    if query is not None:
        given = replace(given, spec=query.spec(given.spec))
    target = find_target(ws, branch)
    config = target.snapshot.config
    check_version_word(target.snapshot, asset, given.version, ws)
    draft = draft_pointer(ws, asset, given, config)
    locations = [ws.caller / path for path in paths]
    cache = None if follow_links or dry_run or query is not None else _source_cache(ws, locations)
    source = FolderSource(locations, follow_links=follow_links, cache=cache)
    store_name, store = ws.stores(config).target(asset.type, offline=offline)
    existing = existing_versions(ws, asset)
    refuse_confusable(existing, asset, given)
    if given.bump is not None:
        bumped(given, existing)
    warnings = [*dirty_warning(draft)]
    if dry_run:
        files = size_bytes = 0
        for file in source.files() if query is None else ():
            files, size_bytes = files + 1, size_bytes + file.size_bytes
        warnings += source.warnings
        asked = None if query is None else query.facts()
        return planned(
            asset, given, target, existing, store_name, warnings,
            files=files, size_bytes=size_bytes, query=asked,
        )  # fmt: skip
    newest = compared(target.snapshot, asset, given)
    earlier = earlier_trees(ws, newest, store)
    queried = None
    if query is None:
        reviewed = ReviewedSource(source)
        written = _stored(ws, store, reviewed, earlier, cache)
    else:
        written, answer, reviewed = _stored_answer(ws, store, query, earlier)
        given = replace(given, spec=answer.spec(given.spec))
        draft = replace(draft, spec=dict(given.spec)).checked(config)
        warnings += answer.warnings()
        queried = query.facts(answer)
    warnings += source.warnings
    if newest is not None and says_nothing_new(newest, written.root, draft, given):
        return replace(_unchanged(newest, target, written, store_name, warnings), query=queried)
    refuse_taken(existing, asset, given)
    version = claim_version(ws, config, store, asset, given, existing, written)
    pointer = replace(draft, id=version, contents=contents_in(written.root, config.store_for(asset.type)))
    commit = commit_version(ws, target, pointer, reviewed.copies(store.tree(written.root)))
    return replace(result_of(pointer, target, commit, written.stats, store_name, warnings), query=queried)


def _stored_answer(
    ws: Workspace, store: Store, query: Query, earlier: Sequence[Root]
) -> tuple[WrittenTree, Answer, ReviewedSource]:
    """Ask the database, and store what it gives before its files on this disk go."""
    with answered(ws, query) as answer:
        reviewed = ReviewedSource(FolderSource([answer.folder]))
        return store.write(reviewed, earlier=earlier, progress=ws.progress), answer, reviewed


def _stored(
    ws: Workspace, store: Store, source: Source, earlier: Sequence[Root], cache: SourceCache | None
) -> WrittenTree:
    try:
        written = store.write(source, earlier=earlier, progress=ws.progress)
    except BaseException as error:
        if cache is not None:
            # A conflict may be a note that was wrong: the next run hashes everything.
            cache.remove() if isinstance(error, Conflict) else cache.discard()
        raise
    if cache is not None:
        cache.keep()
    return written


def _source_cache(ws: Workspace, locations: Sequence[Path]) -> SourceCache:
    """Notes of what these paths hashed to; those of the paths that were not registered for longest are let go."""
    folder = ws.repo.common_dir / "gitml" / "sources"
    with contextlib.suppress(OSError):
        files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        for file in files[_SOURCES_KEPT:]:
            file.unlink(missing_ok=True)
    name = b"\0".join(os.fsencode(location.absolute()) for location in locations)
    return SourceCache(folder / hashlib.sha256(name).hexdigest()[:32])


def compared(snapshot: Snapshot, asset: AssetId, given: Given) -> Pointer | None:
    """The version that decides whether there is anything new: the named one, else the newest."""
    versions = snapshot.versions(asset)
    if given.version is not None:
        versions = tuple(version for version in versions if version.text == given.version)
    return snapshot.pointer(VersionId(asset=asset, version=versions[-1])) if versions else None


def earlier_trees(ws: Workspace, newest: Pointer | None, store: Store) -> list[Root]:
    """The tree that the new one most likely shares chunks with."""
    if newest is None:
        return []
    key = RootKey(registry=ws.config.registry, id=newest.id)
    root = store.root(key)
    return [root] if root is not None else []


def contents_in(root: Root, store: str) -> Contents:
    """What the pointer says; bytes that wait in the embedded store are named for where `push` sends them."""
    return Contents(
        digest=root.tree,
        listing=root.listing,
        size_bytes=root.size_bytes,
        files=root.files,
        store=store,
        review=(),
    )


def commit_version(ws: Workspace, target: Target, pointer: Pointer, copies: Mapping[str, bytes]) -> str:
    """Commit the version's folder; where the branch moved meanwhile, on its new tip."""
    pointer = replace(pointer, contents=replace(pointer.contents, review=tuple(copies)))
    files = {POINTER_FILE: pointer.format(), **copies}
    changes = {target.snapshot.path(pointer.id.folder, name): data for name, data in files.items()}
    message = f"Register {pointer.id}\n" + (f"\n{pointer.description}\n" if pointer.description else "")

    def on(tip: str | None) -> Mapping[str, bytes]:
        if tip is not None and tip != target.tip and ws.at(tip).has(pointer.id):
            raise Conflict(
                f"{pointer.id} was registered by another process meanwhile",
                code="version-exists",
                hint="run the command again: it takes the next version",
            )
        return changes

    return commit_on(ws.repo, target.branch, target.tip, on, message)


def _unchanged(
    pointer: Pointer, target: Target, written: WrittenTree, store_name: str, warnings: Sequence[str]
) -> Registered:
    holder = store_name if store_name == EMBEDDED else pointer.contents.store
    return replace(result_of(pointer, target, target.tip, written.stats, holder, warnings), created=False)
