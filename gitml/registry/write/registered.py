"""What is said of a version that was registered, or would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitml.model.names import AssetId, Version, VersionId, next_integer
from gitml.model.pointer import Pointer
from gitml.registry.external.contents import Elsewhere
from gitml.registry.share.sync import Pushed
from gitml.registry.sql.query import Queried
from gitml.registry.stores import DEFAULT
from gitml.registry.write.drafting import Given
from gitml.registry.write.numbering import bumped
from gitml.registry.write.target import Target
from gitml.store.store import WriteStats


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPlan:
    """What `register` would do; made without reading contents.

    Attributes:
        ref: The version it would make, unless the contents equal the newest one's.
        branch: Branch that gets the commit.
        new_branch: Whether that branch has to be made.
        store: Store that gets the bytes.
        files, size_bytes: What would be read.
        warnings: What a person should know.
        external: What would be referred to and left where it is.
        query: What would be asked, where a database gives the contents.
    """

    ref: VersionId
    branch: str
    new_branch: bool
    store: str
    files: int
    size_bytes: int
    warnings: tuple[str, ...]
    external: Elsewhere | None = None
    query: Queried | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What `register` did.

    Attributes:
        ref: The version.
        created: False where an equal version was there already and nothing was written to git.
        branch: Branch that holds it.
        commit: Commit that holds it.
        digest: Tree digest of the contents.
        files, size_bytes: The contents.
        new_bytes: Bytes that the store did not have.
        reused_bytes: Bytes that deduplication found in the store.
        stored_bytes: Bytes written to the store, after compression.
        store: Store that has them; `embedded` until `gitml push` sends them.
        warnings: What a person should know.
        external: What is referred to and stays where it is; the contents are the list of it.
        plan: Set on a dry run, where nothing above it was done.
        pushed: What pushing afterwards did, where asked for.
        query: What was asked, where a database gave the contents.
    """

    ref: VersionId
    created: bool
    branch: str
    commit: str | None
    digest: str | None
    files: int
    size_bytes: int
    new_bytes: int = 0
    reused_bytes: int = 0
    stored_bytes: int = 0
    store: str = DEFAULT
    warnings: tuple[str, ...] = ()
    external: Elsewhere | None = None
    plan: RegisterPlan | None = None
    pushed: Pushed | None = None
    query: Queried | None = None


def planned(
    asset: AssetId,
    given: Given,
    target: Target,
    existing: Sequence[Version],
    store_name: str,
    warnings: Sequence[str],
    *,
    files: int,
    size_bytes: int,
    external: Elsewhere | None = None,
    query: Queried | None = None,
) -> Registered:
    """What a dry run says."""
    if given.version is not None:
        version = Version.parse(given.version)
    else:
        version = bumped(given, existing) if given.bump else next_integer(existing)
    plan = RegisterPlan(
        ref=VersionId(asset=asset, version=version),
        branch=target.branch,
        new_branch=target.is_new,
        store=store_name,
        files=files,
        size_bytes=size_bytes,
        warnings=tuple(warnings),
        external=external,
        query=query,
    )
    return Registered(
        ref=plan.ref,
        created=False,
        branch=plan.branch,
        commit=None,
        digest=None,
        files=files,
        size_bytes=size_bytes,
        store=store_name,
        warnings=plan.warnings,
        external=external,
        plan=plan,
        query=query,
    )


def result_of(
    pointer: Pointer,
    target: Target,
    commit: str,
    stats: WriteStats,
    store_name: str,
    warnings: Sequence[str],
) -> Registered:
    """What is said of a version that was committed."""
    return Registered(
        ref=pointer.id,
        created=True,
        branch=target.branch,
        commit=commit,
        digest=str(pointer.contents.digest),
        files=stats.files,
        size_bytes=stats.size_bytes,
        new_bytes=stats.new_bytes,
        reused_bytes=stats.reused_bytes,
        stored_bytes=stats.stored_bytes,
        store=store_name,
        warnings=tuple(warnings),
    )
