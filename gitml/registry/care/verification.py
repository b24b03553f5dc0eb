"""Pointers against bytes: is what git promises in the store, and is it what it was?"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitml.errors import GitMLError, IntegrityError, NotFound, UsageError
from gitml.model.names import VersionId
from gitml.model.pointer import Pointer
from gitml.model.portion import Part, parse_duration
from gitml.model.references import FILE
from gitml.model.shown import told
from gitml.registry.external.contents import look_at_sources
from gitml.registry.resolve import resolve_whole
from gitml.registry.snapshot import Snapshot
from gitml.registry.workspace import Workspace
from gitml.store.care.coverage import Coverage
from gitml.store.care.faults import Share
from gitml.store.care.verify import Reading, Tree, verify_trees
from gitml.store.media import layout
from gitml.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        ref: The version that needs it.
        object: Name in the store, path in git, or URL of what a version refers to.
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
        sources: Files that versions refer to elsewhere and that were asked for there.
        deep: Whether bytes were read and hashed again; those elsewhere where neither part nor time was limited.
        read_bytes: Stored bytes that this run read.
        covered_bytes: Those, and what earlier runs have read since all was read last.
        total_bytes: Stored bytes to read, in as many runs as it takes; of the part, where one was named.
        complete: Whether nothing of that is left for the next run.
        part: The part that was named.
    """

    versions: int
    files: int
    size_bytes: int
    sources: int
    deep: bool
    read_bytes: int
    covered_bytes: int
    total_bytes: int
    complete: bool
    part: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a check one run does.

    Attributes:
        part: Only this part.
        until_s: Moment of the monotonic clock after which nothing new is begun.
    """

    part: Part | None
    until_s: float | None

    @classmethod
    def parse(cls, part: str | None, within: str | None) -> Limits:
        """Read `2/7` and `10m`; the time begins.

        Raises:
            UsageError: They are malformed.
        """
        return cls(
            part=None if part is None else Part.parse(part),
            until_s=None if within is None else time.monotonic() + parse_duration(within),
        )

    def share(self, ws: Workspace, what: str, store: Store) -> Share:
        """The share of one store; what was read is remembered by what was checked, and where."""
        path: Path | None = None
        if self.until_s is not None:
            name = hashlib.sha256(f"{what} {self.part or ''} {store.url}".encode()).hexdigest()[:32]
            path = ws.repo.common_dir / "gitml" / "verified" / name
        return Share(part=self.part, until_s=self.until_s, coverage=Coverage(path))


def read_so_far(found: Sequence[Reading]) -> dict[str, Any]:
    """How far the reading of stores has come."""
    return {
        "read_bytes": sum(one.read_bytes for one in found),
        "covered_bytes": sum(one.covered_bytes for one in found),
        "total_bytes": sum(one.total_bytes for one in found),
        "complete": all(one.is_complete for one in found),
    }


@dataclass(slots=True)
class _Checked:
    """What was found until now."""

    faults: list[Fault] = field(default_factory=list)
    versions: int = 0
    files: int = 0
    size_bytes: int = 0
    trees: dict[str, tuple[Store, list[Tree]]] = field(default_factory=dict)
    references: list[tuple[Snapshot, Pointer]] = field(default_factory=list)
    sources: int = 0
    reads_sources: bool = False


def verify(
    ws: Workspace,
    refs: Sequence[str] = (),
    *,
    every: bool = False,
    deep: bool = False,
    part: str | None = None,
    within: str | None = None,
) -> Verification:
    """Check that every pointer is valid and its bytes are in the store; with `deep`, hash them again.

    Args:
        ws: The registry.
        refs: Only these versions; default is every version of HEAD.
        every: Every version of every local and remote-tracking branch.
        deep: Read all bytes.
        part: Of a deep check only this part, as `2/7`: the packs of which it is, so that all parts together read
            each byte once.
        within: Of a deep check only what can be read in this time, as `10m`; the next run goes on there.

    Raises:
        IntegrityError: Something is wrong; `context["faults"]` lists all of it.
        NotFound: No such version.
        UsageError: A part or time without `deep`, or a malformed one.
    """
    limits = Limits.parse(part, within)
    if not deep and (part is not None or within is not None):
        raise UsageError(
            "--part and --within limit how much is read, and only --deep reads",
            code="not-deep",
            hint="gitml verify --deep --within 10m",
        )
    done = _Checked(reads_sources=deep and part is None and within is None)
    for snapshot, id_ in _chosen(ws, refs, every=every, faults=done.faults):
        _look(ws, snapshot, id_, done)
    found = []
    for store, trees in done.trees.values():
        share = limits.share(ws, "versions", store)
        read = verify_trees(store, trees, deep=deep, share=share, progress=ws.progress)
        found.append(read)
        done.faults += [
            Fault(
                ref=fault.label or fault.object, object=fault.object, path=fault.path, problem=fault.problem
            )
            for fault in read.faults
        ]
    for snapshot, pointer in done.references:
        _ask_sources(ws, snapshot, pointer, done)
    if done.faults:
        raise _failed(done, found)
    return Verification(
        versions=done.versions,
        files=done.files,
        size_bytes=done.size_bytes,
        sources=done.sources,
        deep=deep,
        **read_so_far(found),
        part=part,
    )


def _failed(done: _Checked, found: Sequence[Reading]) -> IntegrityError:
    first = done.faults[0]
    elsewhere = sum("://" in fault.object for fault in done.faults)
    purged = sum(fault.object.startswith(layout.PURGED) for fault in done.faults)
    ways = ["gitml store repair"] if elsewhere + purged < len(done.faults) else []
    if purged:
        ways.append("gitml deprecate, or git rm -r, what was purged")
    if elsewhere:
        ways.append("put the registered bytes back there, or register what is there as a new version")
    return IntegrityError(
        f"{len(done.faults)} fault(s) in {done.versions} version(s); "
        f"{told(first.ref, first.path, first.object, first.problem)}",
        code="verification-failed",
        hint=f"{'; '.join(ways)}; --json lists every fault",
        context={
            "faults": [
                {"ref": f.ref, "object": f.object, "path": f.path, "problem": f.problem} for f in done.faults
            ],
            "versions": done.versions,
            **read_so_far(found),
        },
    )


def _look(ws: Workspace, snapshot: Snapshot, id_: VersionId, done: _Checked) -> None:
    """Read one pointer, and find the root of its tree."""
    done.versions += 1
    try:
        pointer = snapshot.pointer(id_)
    except GitMLError as error:
        done.faults.append(_fault(id_, snapshot.path(id_.folder, "asset.yaml"), error.message))
        return
    done.files += pointer.contents.files
    done.size_bytes += pointer.contents.size_bytes
    try:
        store, root = ws.stores(snapshot.config).locate(pointer)
    except GitMLError as error:
        if error.exit_code not in (4, 6):
            raise
        done.faults.append(_fault(pointer.id, str(error.context.get("object", "root")), error.message))
        return
    tree = Tree(root=root, expected=pointer.contents, label=str(pointer.id))
    done.trees.setdefault(store.url, (store, []))[1].append(tree)
    if pointer.contents.external is not None:
        done.references.append((snapshot, pointer))


def _ask_sources(ws: Workspace, snapshot: Snapshot, pointer: Pointer, done: _Checked) -> None:
    """Whether what a version refers to is still there and the same."""
    try:
        for fault in look_at_sources(ws, snapshot.config, pointer, deep=done.reads_sources):
            done.faults.append(
                Fault(ref=str(pointer.id), object=fault.url, path=fault.path, problem=fault.problem)
            )
    except (IntegrityError, NotFound) as error:
        done.faults.append(_fault(pointer.id, str(error.context.get("object", FILE)), error.message))
    else:
        done.sources += 0 if pointer.contents.external is None else pointer.contents.external.files


def _chosen(
    ws: Workspace, refs: Sequence[str], *, every: bool, faults: list[Fault]
) -> list[tuple[Snapshot, VersionId]]:
    if refs:
        found = [resolve_whole(ws, ref) for ref in refs]
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


def _fault(id_: VersionId | None, name: str, problem: str) -> Fault:
    return Fault(ref=str(id_) if id_ else name, object=name, path=None, problem=problem)
