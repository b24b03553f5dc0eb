"""Lineage: what a version was made from, and what was made from it, by inputs pinned with their digest."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gitml.model.names import VersionId
from gitml.model.pointer import Input, Pointer, Source
from gitml.registry.resolve import resolve_whole
from gitml.registry.snapshot import Snapshot
from gitml.registry.workspace import Workspace

_MAX_DEPTH = 64


class Direction(Enum):
    """Which way to follow inputs."""

    UP = "up"
    DOWN = "down"


class InputState(Enum):
    """What became of a pinned input."""

    PRESENT = "present"
    MISSING = "missing"
    CHANGED = "changed"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """A version in the graph of inputs.

    Attributes:
        ref: The version.
        digest: Tree digest that its user pinned, or that its pointer has.
        role: What it was to the version it is shown under.
        state: Whether this commit has it, with that digest; `elsewhere` is not looked up.
        source: Code that made it, where its pointer is here.
        related: Its inputs (up) or the versions made from it (down).
        repo: Another repository that holds it; None for this one.
        commit: Commit of that repository that was pinned.
    """

    ref: VersionId
    digest: str
    role: str | None
    state: InputState
    source: Source | None
    related: tuple[Lineage, ...]
    repo: str | None = None
    commit: str | None = None

    @property
    def text(self) -> str:
        """The version, with the repository that holds it where that is another one."""
        return str(self.ref) if self.repo is None else f"{self.repo}//{self.ref}"


def lineage(
    ws: Workspace, ref: str, *, rev: str | None = None, direction: Direction = Direction.UP
) -> Lineage:
    """Follow the inputs of a version up, or its users down.

    Raises:
        NotFound: No such version here.
    """
    found = resolve_whole(ws, ref, rev=rev)
    return lineage_of(ws, found.id, ws.at(found.commit), direction)


def lineage_of(
    ws: Workspace, id_: VersionId, snapshot: Snapshot, direction: Direction = Direction.UP
) -> Lineage:
    """The same for a version that is known to be in a snapshot."""
    if direction is Direction.UP:
        pointer = snapshot.pointer(id_)
        return _up(snapshot, id_, str(pointer.contents.digest), None, 0)
    pointers = snapshot.pointers(snapshot.ids())
    users: dict[VersionId, list[tuple[VersionId, str | None]]] = {}
    for user, pointer in pointers.items():
        for used in pointer.inputs:
            if used.repo is not None:
                continue
            users.setdefault(used.ref, []).append((user, used.role))
    return _down(pointers, users, id_, None, 0)


def _up(snapshot: Snapshot, id_: VersionId, digest: str, role: str | None, depth: int) -> Lineage:
    pointer = snapshot.pointer(id_) if snapshot.has(id_) else None
    state = _state(pointer, digest)
    inputs = (
        pointer.inputs if pointer is not None and state is InputState.PRESENT and depth < _MAX_DEPTH else ()
    )
    return Lineage(
        ref=id_,
        digest=digest,
        role=role,
        state=state,
        source=pointer.source if pointer else None,
        related=tuple(
            _up(snapshot, used.ref, str(used.digest), used.role, depth + 1)
            if used.repo is None
            else _elsewhere(used)
            for used in inputs
        ),
    )


def _elsewhere(used: Input) -> Lineage:
    return Lineage(
        ref=used.ref,
        digest=str(used.digest),
        role=used.role,
        state=InputState.ELSEWHERE,
        source=None,
        related=(),
        repo=used.repo,
        commit=used.commit,
    )


def _state(pointer: Pointer | None, digest: str) -> InputState:
    if pointer is None:
        return InputState.MISSING
    return InputState.PRESENT if str(pointer.contents.digest) == digest else InputState.CHANGED


def _down(
    pointers: dict[VersionId, Pointer],
    users: dict[VersionId, list[tuple[VersionId, str | None]]],
    id_: VersionId,
    role: str | None,
    depth: int,
) -> Lineage:
    following = users.get(id_, []) if depth < _MAX_DEPTH else []
    return Lineage(
        ref=id_,
        digest=str(pointers[id_].contents.digest),
        role=role,
        state=InputState.PRESENT,
        source=pointers[id_].source,
        related=tuple(_down(pointers, users, user, as_role, depth + 1) for user, as_role in following),
    )
