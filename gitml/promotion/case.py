"""A change of a stage that is to be judged, and the words in which it is: rule, problem, move, evidence.

Pure: holds the target's tree before and after the change, and derives from them what changes. What it needs to
know of the world outside the two trees it asks of the evidence that it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Protocol

from gitml.model.config import StagePolicy
from gitml.model.digest import Digest
from gitml.model.names import AssetId, Version, VersionId
from gitml.model.pointer import Input, Pointer
from gitml.model.requirements import Approvals, Requirements
from gitml.model.statement import Statement
from gitml.promotion.view import Defect, File, TreeView, changed_paths


class Rule(Enum):
    """Names of the rules, as printed and as in `context["reasons"]`."""

    SCHEMA = "schema"
    SCOPE = "scope"
    WRITE_ONCE = "write-once"
    CURRENT = "current"
    INPUTS = "inputs"
    BYTES = "bytes"
    REVIEW = "review"
    FROM = "from"
    NOT_PUSHED = "not-pushed"
    METRICS = "metrics"
    FIELDS = "fields"
    FORMATS = "formats"
    SIGNED = "signed"
    APPROVALS = "approvals"
    OWNERS = "owners"
    REJECTED = "rejected"
    REQUIRE = "require"
    STATEMENT = "statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """A version that another one was made from, and what is missing of it.

    Attributes:
        ref: The version, with `REPO//` before it where another registry holds it.
        digest: Tree digest that was pinned; None at the top.
        problem: Why it does not count; None where it is there.
        hint: What would bring it there, where that is one step.
        needs: What it was made from, as far as anything is missing there.
    """

    ref: str
    digest: str | None = None
    problem: str | None = None
    hint: str | None = None
    needs: tuple[Needed, ...] = ()

    @property
    def is_missing(self) -> bool:
        """Whether it, or something that it was made from, is missing."""
        return self.problem is not None or bool(self.needs)

    def missing(self) -> Iterator[Needed]:
        """Everything below and including this that does not count."""
        if self.problem is not None:
            yield self
        for below in self.needs:
            yield from below.missing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One objection.

    Attributes:
        rule: The rule that objects.
        asset: Asset, version or path that it objects to; empty for the request as a whole.
        message: What is wrong, one line.
        hint: What would satisfy the rule, where that is one step.
        missing: All inputs of the version that are missing, as a tree; with its first objection only.
    """

    rule: Rule
    asset: str
    message: str
    hint: str | None = None
    missing: Needed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A change of what a stage runs; `to_version` None takes the asset off the stage."""

    asset: AssetId
    from_version: Version | None
    to_version: Version | None

    @property
    def to(self) -> VersionId | None:
        """The version that the stage would run."""
        return None if self.to_version is None else VersionId(asset=self.asset, version=self.to_version)


class Shape(Enum):
    """How a request's head is made, which decides what it may touch."""

    BY_ASSET = "by-asset"
    BY_BRANCH = "by-branch"


class Found(Enum):
    """Where the identical version folder is, as the rule `from` asks."""

    YES = "yes"
    NOT_CURRENT = "not-current"
    NOT_PUSHED = "not-pushed"
    OTHERWISE = "otherwise"
    NO = "no"


class Evidence(Protocol):
    """What the rules ask of the world outside the two trees."""

    def missing_bytes(self, pointer: Pointer) -> Sequence[str]:
        """What of the pointer's bytes the store named by the target does not have."""

    def found(self, version: VersionId, files: dict[str, File], *, as_current: bool) -> Found:
        """Whether a branch that the policy's `from` names holds exactly this version folder."""

    def foreign_code(self) -> Sequence[str]:
        """What of the change beside versions is not on a branch that the policy's `from` names."""

    def foreign(self, item: Input, *, promoted: bool) -> Needed | None:
        """An input that another registry holds, and what is missing of it; None: it is not asked."""

    def ran_before(self, asset: AssetId, version: Version) -> bool:
        """Whether the stage ran that version at some time before."""

    def digests(self, pointer: Pointer, paths: Collection[str]) -> Mapping[str, Digest] | None:
        """Digests of files of the contents, those that are not there left out; None: it cannot be told."""

    def paths(self, pointer: Pointer) -> Sequence[str] | None:
        """Every file of the contents; None: it cannot be told."""

    def unsigned(self, allowed_signers: bytes, revoked: bytes | None) -> Sequence[str]:
        """Commits of the change that nobody signed who may, each with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviews:
    """Reviews of the present head that count: who approved, who refused."""

    approved_by: tuple[str, ...] = ()
    rejected_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is to be judged.

    Attributes:
        stage: The target.
        policy: The target's own policy for itself.
        stores: Names of the stores that the target's configuration has; None where bytes need not be shared.
        directions: Metric -> `higher` or `lower`, as the target says which is better.
        teams: Team -> its people, as the target says.
        before: Tree of the target's tip; before its birth, of the default branch.
        after: Tree that the target would have.
        born: Whether the target exists; before its birth it runs nothing.
        shape: How the request's head is made.
        reviews: Reviews that count; None leaves approvals aside.
        stated: What the head states of itself, or what is wrong with that; None where it states nothing.
    """

    stage: str
    policy: StagePolicy
    stores: frozenset[str] | None
    directions: Mapping[str, str] = field(default_factory=dict)
    teams: Mapping[str, Sequence[str]] = field(default_factory=dict)
    before: TreeView
    after: TreeView
    born: bool
    shape: Shape
    evidence: Evidence
    reviews: Reviews | None = None
    stated: Statement | Defect | None = None

    @cached_property
    def requirements(self) -> Requirements:
        """What the policy requires."""
        return Requirements.read(self.policy.require)

    @cached_property
    def changed(self) -> set[str]:
        """Paths that the change touches."""
        return changed_paths(self.before.files, self.after.files)

    @cached_property
    def added(self) -> list[VersionId]:
        """Versions that the change brings, sorted."""
        after, before = self.after.folders, self.before.folders
        return sorted((after[folder] for folder in after.keys() - before.keys()), key=str)

    @cached_property
    def currents_before(self) -> dict[AssetId, Version | Defect]:
        """What the stage runs now."""
        return self.before.currents(self.stage) if self.born else {}

    @cached_property
    def currents_after(self) -> dict[AssetId, Version | Defect]:
        """What the stage would run."""
        return self.after.currents(self.stage)

    @cached_property
    def moves(self) -> tuple[Move, ...]:
        """What the stage would run differently, sorted by asset; defects are left to the rules."""
        before, after = self.currents_before, self.currents_after
        found = []
        for asset in sorted(before.keys() | after.keys(), key=str):
            old, new = before.get(asset), after.get(asset)
            old = None if isinstance(old, Defect) else old
            if not isinstance(new, Defect) and old != new:
                found.append(Move(asset=asset, from_version=old, to_version=new))
        return tuple(found)

    @cached_property
    def coming(self) -> dict[VersionId, Pointer]:
        """Versions that come or are to run, with their pointers, where those are well formed."""
        moved = [version for version in (move.to for move in self.moves) if version in self.after.versions]
        wanted = sorted({*self.added, *(version for version in moved if version is not None)}, key=str)
        self.after.load(wanted)
        pointers = {version: self.after.pointer(version) for version in wanted}
        return {version: found for version, found in pointers.items() if not isinstance(found, Defect)}

    @cached_property
    def is_rollback(self) -> bool:
        """Whether the change only sets what runs back to versions that ran there before."""
        own = {self.after.path(asset.folder, f"{self.stage}.yaml") for asset in self.currents_after}
        moves = self.moves
        return (
            self.born
            and bool(moves)
            and self.changed <= own
            and all(
                move.to_version is not None and self.evidence.ran_before(move.asset, move.to_version)
                for move in moves
            )
        )

    @cached_property
    def approvals(self) -> Approvals:
        """Who has to approve: of a rollback nobody, where the stage allows it at once."""
        required = self.requirements
        return Approvals() if required.rollback_now and self.is_rollback else required.approvals

    def names_store(self, pointer: Pointer) -> bool:
        """Whether the target's configuration names the store that the pointer does."""
        return self.stores is None or pointer.contents.store in self.stores

    def has_bytes(self, pointer: Pointer) -> bool:
        """Whether the pointer's bytes are all where they must be."""
        return self.names_store(pointer) and not self.evidence.missing_bytes(pointer)
