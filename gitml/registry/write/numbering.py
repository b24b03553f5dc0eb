"""Which number a new version gets: above every branch, and nobody else's in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from gitml.errors import Conflict, InvalidInput, UsageError
from gitml.model.config import Config
from gitml.model.names import AssetId, Version, VersionId, bump, next_integer
from gitml.registry.resolve import LATEST
from gitml.registry.snapshot import POINTER_FILE, Snapshot
from gitml.registry.workspace import Workspace
from gitml.registry.write.drafting import Given
from gitml.store.store import Claimed, Store, WrittenTree

_TRIED: Final = 4


def check_version_word(snapshot: Snapshot, asset: AssetId, version: str | None, ws: Workspace) -> None:
    """Refuse a version that would clash with `latest`, a stage, or an alias of the asset."""
    if version is None:
        return
    aliases = ws.at(ws.default_tip(snapshot.config).commit).about(asset).aliases
    taken = {LATEST, *snapshot.config.stages, *aliases}
    if version in taken:
        raise Conflict(
            f"{version} is already a stage or alias of {asset}, so it cannot name a version",
            code="name-taken",
            hint="choose another --version",
        )


def existing_versions(ws: Workspace, asset: AssetId) -> list[Version]:
    """Versions of the asset on all local and remote-tracking branches."""
    found: dict[str, Version] = {}
    for commit in sorted(set(ws.branch_tips().values())):
        folder = ws.at(commit).path(asset.folder)
        for entry in ws.repo.tree(commit, folder):
            name, _, file = entry.path.removeprefix(f"{folder}/").partition("/")
            version = _version_or_none(name) if file == POINTER_FILE and name not in found else None
            if version is not None:
                found[name] = version
    return sorted(found.values())


def _version_or_none(name: str) -> Version | None:
    try:
        return Version.parse(name)
    except InvalidInput:
        return None


def bumped(given: Given, existing: Sequence[Version]) -> Version:
    """The newest version with one part raised.

    Raises:
        UsageError: There is no earlier version, or it is no SemVer.
    """
    if not existing:
        raise UsageError("--bump needs an earlier version", code="nothing-to-bump", hint="--version 0.1.0")
    return bump(max(existing), given.bump or "")


def refuse_confusable(existing: Sequence[Version], asset: AssetId, given: Given) -> None:
    """Refuse, before any byte is written, a version that only looks different from another."""
    if given.version is None:
        return
    wanted = Version.parse(given.version)
    same = next((version for version in existing if version.same_as(wanted)), None)
    if same is not None and same.text != wanted.text:
        raise Conflict(
            f"{asset}@{wanted} would be confused with {asset}@{same}",
            code="version-exists",
            hint="leave --version out for the next number, or name another",
            context={"ref": f"{asset}@{same}"},
        )


def refuse_taken(existing: Sequence[Version], asset: AssetId, given: Given) -> None:
    """Refuse a version that exists; the caller knows that its contents or fields differ."""
    if given.version is None:
        return
    wanted = Version.parse(given.version)
    same = next((version for version in existing if version.same_as(wanted)), None)
    if same is not None:
        raise Conflict(
            f"{asset}@{same} exists with other contents or fields; a version is write-once",
            code="version-exists",
            hint="leave --version out for the next number, or name another",
            context={"ref": f"{asset}@{same}"},
        )


def claim_version(
    ws: Workspace,
    config: Config,
    store: Store,
    asset: AssetId,
    given: Given,
    existing: Sequence[Version],
    written: WrittenTree,
) -> VersionId:
    """Take a version number in the store; the root decides between writers that race."""
    stores = ws.stores(config)
    stores.remember_written(store)
    if given.version is not None or given.bump is not None:
        version = Version.parse(given.version) if given.version else bumped(given, existing)
        if isinstance(
            claimed := store.claim(stores.key(VersionId(asset=asset, version=version)), written), Claimed
        ):
            return VersionId(asset=asset, version=version)
        raise Conflict(
            f"{asset}@{version} is taken in the store by other contents ({claimed.root.tree})",
            code="version-exists",
            hint="git fetch, then choose the next version",
            context={"ref": f"{asset}@{version}"},
        )
    for version in _numbers(
        next_integer(existing), lambda v: store.has_root(stores.key(VersionId(asset=asset, version=v)))
    ):
        id_ = VersionId(asset=asset, version=version)
        if isinstance(store.claim(stores.key(id_), written), Claimed):
            break
    return id_


def _numbers(first: Version, is_taken: Callable[[Version], bool]) -> Iterator[Version]:
    """Numbers to claim in turn, from the next integer above all branches on; the store is not listed.

    The root decides: where one has these same contents, it is what an interrupted run of this command left, and is
    taken up again; where it has others, the next number is tried. When several in a row were taken, by branches that
    were not fetched or are gone, it looks further and further ahead for one that is free.

    Args:
        first: The number to begin with.
        is_taken: Whether a number has a root.
    """
    taken = int(first.text) + _TRIED - 1
    for number in range(int(first.text), taken + 1):
        yield Version(text=str(number))
    while True:
        step = 1
        while is_taken(Version(text=str(taken + step))):
            taken, step = taken + step, step * 2
        free = taken + step
        while free - taken > 1:
            middle = (taken + free) // 2
            if is_taken(Version(text=str(middle))):
                taken = middle
            else:
                free = middle
        yield Version(text=str(free))
        taken = free
