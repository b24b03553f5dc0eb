"""Pointers against bytes: is what git promises in the store, and is it what it was?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitml.errors import GitMLError, IntegrityError
from gitml.model.names import VersionId
from gitml.model.pointer import Pointer
from gitml.registry.resolve import resolve
from gitml.registry.snapshot import Snapshot
from gitml.registry.workspace import Workspace
from gitml.store.verify import verify_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        ref: The version that needs it.
        object: Name in the store, or path in git.
        path: File of the contents that it belongs to, where known.
        problem: What is wrong, in words.
    """

    ref: str
    object: str
    path: str | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify` checked and found right.

    Attributes:
        versions, files, size_bytes: How much was checked.
        deep: Whether every byte was read and hashed again.
    """

    versions: int
    files: int
    size_bytes: int
    deep: bool


def verify(
    ws: Workspace, refs: Sequence[str] = (), *, every: bool = False, deep: bool = False
) -> Verification:
    """Check that every pointer is valid and its bytes are in the store; with `deep`, hash them again.

    Args:
        ws: The registry.
        refs: Only these versions; default is every version of HEAD.
        every: Every version of every local and remote-tracking branch.
        deep: Read all bytes.

    Raises:
        IntegrityError: Something is wrong; `context["faults"]` lists all of it.
        NotFound: No such version.
    """
    faults: list[Fault] = []
    checked = files = size_bytes = 0
    for snapshot, id_ in _chosen(ws, refs, every=every, faults=faults):
        checked += 1
        try:
            pointer = snapshot.pointer(id_)
        except GitMLError as error:
            faults.append(_fault(id_, snapshot.path(id_.folder, "asset.yaml"), error.message))
            continue
        files += pointer.contents.files
        size_bytes += pointer.contents.size_bytes
        faults.extend(_check(ws, snapshot, pointer, deep=deep))
    if faults:
        first = faults[0]
        raise IntegrityError(
            f"{len(faults)} fault(s) in {checked} version(s); {first.ref}: {first.problem}",
            code="verification-failed",
            hint="restore the objects named from a copy of the store; --json lists every fault",
            context={
                "faults": [
                    {"ref": f.ref, "object": f.object, "path": f.path, "problem": f.problem} for f in faults
                ],
                "versions": checked,
            },
        )
    return Verification(versions=checked, files=files, size_bytes=size_bytes, deep=deep)


def _chosen(
    ws: Workspace, refs: Sequence[str], *, every: bool, faults: list[Fault]
) -> list[tuple[Snapshot, VersionId]]:
    if refs:
        found = [resolve(ws, ref) for ref in refs]
        return [(ws.at(entry.commit), entry.id) for entry in found]
    commits = {ws.head().commit, *(ws.branch_tips().values() if every else ())}
    chosen: dict[tuple[VersionId, str | None], tuple[Snapshot, VersionId]] = {}
    for commit in sorted(commits):
        snapshot = ws.at(commit)
        if ws.repo.entry(commit, snapshot.path("gitml.yaml")) is None:
            continue
        faults.extend(
            _fault(None, path, "its folder is no valid TYPE/NAME/VERSION") for path in snapshot.strays
        )
        for id_ in snapshot.ids():
            chosen.setdefault((id_, snapshot.pointer_oid(id_)), (snapshot, id_))
    return list(chosen.values())


def _fault(id_: VersionId | None, name: str, problem: str, path: str | None = None) -> Fault:
    return Fault(ref=str(id_) if id_ else name, object=name, path=path, problem=problem)


def _check(ws: Workspace, snapshot: Snapshot, pointer: Pointer, *, deep: bool) -> list[Fault]:
    try:
        store, root = ws.stores(snapshot.config).locate(pointer)
        found = verify_tree(
            store, root, expected=pointer.contents, label=str(pointer.id), deep=deep, progress=ws.progress
        )
    except GitMLError as error:
        if error.exit_code in (4, 6):
            return [_fault(pointer.id, str(error.context.get("object", "root")), error.message)]
        raise
    return [_fault(pointer.id, fault.object, fault.problem, fault.path) for fault in found]
