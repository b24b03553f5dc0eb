"""From one store to another: `store replicate`."""

from __future__ import annotations

from dataclasses import dataclass

from gitml.errors import PartlyDone, UsageError
from gitml.model.names import VersionId
from gitml.registry.care.typed import typed_store
from gitml.registry.workspace import Workspace
from gitml.store.care.replicate import Replication
from gitml.store.care.replicate import replicate as run_replicate
from gitml.store.store import RootKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicatedVersion:
    """A version that was, or would be, copied.

    Attributes:
        ref: The version.
        registry: Id of the registry it is of.
    """

    ref: VersionId
    registry: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicated:
    """What `store replicate` did, or would do.

    Attributes:
        source: Store that was read.
        target: Store that has every version of it now.
        versions: Versions that the target lacked, or had without all of their bytes.
        present: Number of versions that were there already, and whole.
        objects: Number of objects that were copied.
        copied_bytes: Their bytes.
        healed: Objects of the target that were missing or damaged, and are right now.
        unhealed: Those that the source does not have either.
        deep: Whether all of the target was read to find damage.
        dry_run: Nothing was done.
    """

    source: str
    target: str
    versions: tuple[ReplicatedVersion, ...]
    present: int
    objects: int
    copied_bytes: int
    healed: tuple[str, ...]
    unhealed: tuple[str, ...]
    deep: bool
    dry_run: bool


def replicate(ws: Workspace, a: str, b: str, *, deep: bool = False, dry_run: bool = False) -> Replicated:
    """Copy every version of one store to another: see :meth:`gitml.api.Stores.replicate`."""
    source, target = typed_store(ws, a), typed_store(ws, b)
    if source.url == target.url:
        raise UsageError(f"{a} and {b} are one store", code="same-store", hint="gitml store list")
    found = run_replicate(source, target, deep=deep, dry_run=dry_run, progress=ws.progress)
    if found.failed or found.unhealed:
        raise _partly(ws, found, a, b)
    return Replicated(
        source=a,
        target=b,
        versions=tuple(ReplicatedVersion(ref=key.id, registry=key.registry) for key in found.versions),
        present=found.present,
        objects=found.objects,
        copied_bytes=found.copied_bytes,
        healed=tuple(found.healed),
        unhealed=tuple(found.unhealed),
        deep=deep,
        dry_run=dry_run,
    )


def _partly(ws: Workspace, found: Replication, a: str, b: str) -> PartlyDone:
    failed = {_name(ws, key): error for key, error in found.failed.items()}
    reasons = [error.message for error in failed.values()]
    if found.unhealed:
        reasons.append(
            f"{len(found.unhealed)} object(s) of {b} stay wrong, for {a} lacks them: {found.unhealed[0]}"
        )
    done = [_name(ws, key) for key in found.versions if key not in found.failed]
    return PartlyDone(
        f"{len(done)} version(s) and {len(found.healed)} healed object(s) went from {a} to {b}; {'; '.join(reasons[:3])}",
        done=done,
        failed=failed,
        hint="gitml store verify names what is wrong; another copy may have it",
        context={"healed": list(found.healed), "unhealed": list(found.unhealed)},
    )


def _name(ws: Workspace, key: RootKey) -> str:
    return str(key.id) if key.registry == ws.config.registry else f"{key.registry}//{key.id}"
