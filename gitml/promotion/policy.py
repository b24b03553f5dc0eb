"""Whether a change of a stage is allowed.

Pure: judges the target's tree before and after the change, with the rules that the target itself states, and
with evidence (stores, branches, reviews) that it is given. Every rule reports all of its objections, so that
a person sees the whole list at once. What it does not know, it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Protocol

from gitml.model.config import StagePolicy
from gitml.model.names import AssetId, Version, VersionId
from gitml.model.pointer import Pointer
from gitml.promotion.view import (
    CONFIG_FILE,
    REGULAR_MODES,
    Defect,
    File,
    TreeView,
    changed_paths,
)


class Rule(Enum):
    """Names of the rules, as printed and as in `context["reasons"]`."""

    SCHEMA = "schema"
    SCOPE = "scope"
    WRITE_ONCE = "write-once"
    CURRENT = "current"
    INPUTS = "inputs"
    BYTES = "bytes"
    FROM = "from"
    NOT_PUSHED = "not-pushed"
    APPROVALS = "approvals"
    REJECTED = "rejected"
    REQUIRE = "require"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One objection.

    Attributes:
        rule: The rule that objects.
        asset: Asset, version or path that it objects to; empty for the request as a whole.
        message: What is wrong, one line.
        hint: What would satisfy the rule, where that is one step.
    """

    rule: Rule
    asset: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A change of what a stage runs; `to_version` None takes the asset off the stage."""

    asset: AssetId
    from_version: Version | None
    to_version: Version | None


class Shape(Enum):
    """How a request's head is made, which decides what it may touch."""

    BY_ASSET = "by-asset"
    BY_BRANCH = "by-branch"


class Found(Enum):
    """Where the identical version folder is, as the rule `from` asks."""

    YES = "yes"
    NOT_CURRENT = "not-current"
    NOT_PUSHED = "not-pushed"
    NO = "no"


class Evidence(Protocol):
    """What the rules ask of the world outside the two trees."""

    def missing_bytes(self, pointer: Pointer) -> Sequence[str]:
        """What of the pointer's bytes the store named by the target does not have."""

    def found(self, version: VersionId, files: dict[str, File], *, as_current: bool) -> Found:
        """Whether a branch that the policy's `from` names holds exactly this version folder."""

    def foreign_code(self) -> Sequence[str]:
        """What of the change beside versions is not on a branch that the policy's `from` names."""

    def ran_before(self, asset: AssetId, version: Version) -> bool:
        """Whether the stage ran that version at some time before."""


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
        before: Tree of the target's tip; before its birth, of the default branch.
        after: Tree that the target would have.
        born: Whether the target exists; before its birth it runs nothing.
        shape: How the request's head is made.
        reviews: Reviews that count; None leaves approvals aside.
    """

    stage: str
    policy: StagePolicy
    stores: frozenset[str] | None
    before: TreeView
    after: TreeView
    born: bool
    shape: Shape
    evidence: Evidence
    reviews: Reviews | None = None

    @cached_property
    def changed(self) -> set[str]:
        """Paths that the change touches."""
        return changed_paths(self.before.files, self.after.files)

    @cached_property
    def added(self) -> list[VersionId]:
        """Versions that the change brings, sorted."""
        return sorted(self.after.versions.keys() - self.before.versions.keys(), key=str)

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


def judge(case: Case) -> list[Problem]:
    """Every objection to a change; empty when it may land.

    Args:
        case: What is to be judged.

    Returns:
        Objections in the order of the rules, then of the names.
    """
    return [problem for rule in RULES for problem in rule(case)]


def _schema(case: Case) -> Iterator[Problem]:
    """Every pointer that comes or is to run, and every registry file that is touched, is well formed."""
    case.after.load(case.added)
    for version in case.added:
        pointer = case.after.pointer(version)
        if isinstance(pointer, Defect):
            yield Problem(rule=Rule.SCHEMA, asset=str(version), message=pointer.message)
        for name, file in case.after.versions[version].items():
            if file.mode not in REGULAR_MODES:
                message = f"{version.folder}/{name} is no regular file (mode {file.mode})"
                yield Problem(rule=Rule.SCHEMA, asset=str(version), message=message)
    known = {stray.path for stray in case.before.strays}
    for defect in [
        *(s for s in case.after.strays if s.path not in known),
        *case.after.defects_of(case.changed),
    ]:
        yield Problem(rule=Rule.SCHEMA, asset=defect.path, message=defect.message)


def _scope(case: Case) -> Iterator[Problem]:
    """A promotion by asset touches version folders and the stage's own files, nothing else."""
    if case.shape is not Shape.BY_ASSET:
        return
    own = {
        view.path(asset.folder, f"{case.stage}.yaml")
        for view in (case.before, case.after)
        for asset in view.stage_files(case.stage)
    }
    inside = tuple(
        view.path(version.folder) + "/" for view in (case.before, case.after) for version in view.versions
    )
    for path in sorted(case.changed - own):
        if path.startswith(inside):
            continue
        what = "the configuration" if path == case.after.path(CONFIG_FILE) else "a file that is no part of it"
        yield Problem(
            rule=Rule.SCOPE,
            asset=path,
            message=f"a promotion by asset may not change {path}, {what}",
            hint="change it by a promotion of the branch, or by an ordinary merge",
        )


def _write_once(case: Case) -> Iterator[Problem]:
    """A version on a stage never changes; it may go as a whole when nothing needs it."""
    needed = _needed(case)
    for version, files in sorted(case.before.versions.items(), key=lambda item: str(item[0])):
        left = case.after.versions.get(version)
        if left == files:
            continue
        rest = case.after.path(version.folder) + "/"
        if left is not None or any(path.startswith(rest) for path in case.after.files):
            message = f"{version} is on {case.stage} already, and its folder would change"
            yield Problem(rule=Rule.WRITE_ONCE, asset=str(version), message=message)
        elif version in needed:
            message = f"{version} would be removed from {case.stage}, and {needed[version]} needs it"
            yield Problem(rule=Rule.WRITE_ONCE, asset=str(version), message=message)
    for version in case.added:
        for other in case.after.versions:
            if other.asset == version.asset and other != version and other.version.same_as(version.version):
                message = f"{version} and {other} are the same version in two spellings"
                yield Problem(rule=Rule.WRITE_ONCE, asset=str(version), message=message)


def _needed(case: Case) -> dict[VersionId, str]:
    """Versions that what runs after the change needs, with what needs them; pointers gone are read before it."""
    needed: dict[VersionId, str] = {}
    queue: list[tuple[VersionId, str]] = [
        (VersionId(asset=asset, version=version), f"what {case.stage} runs")
        for asset, version in case.currents_after.items()
        if not isinstance(version, Defect)
    ]
    while queue:
        version, by = queue.pop()
        view = next((view for view in (case.after, case.before) if version in view.versions), None)
        if version in needed or view is None:
            continue
        needed[version] = by
        pointer = view.pointer(version)
        if not isinstance(pointer, Defect):
            queue += [(item.ref, str(version)) for item in pointer.inputs if not _is_foreign(item)]
    return needed


def _current(case: Case) -> Iterator[Problem]:
    """What the stage's files name is there."""
    for asset, version in sorted(case.currents_after.items(), key=lambda item: str(item[0])):
        if isinstance(version, Defect):
            yield Problem(rule=Rule.CURRENT, asset=str(asset), message=version.message)
        elif VersionId(asset=asset, version=version) not in case.after.versions:
            message = f"{asset}/{case.stage}.yaml names version {version}, which would not be on {case.stage}"
            yield Problem(rule=Rule.CURRENT, asset=f"{asset}@{version}", message=message)


def _coming(case: Case) -> dict[VersionId, Pointer]:
    """Versions that come or are to run, with their pointers, where those are well formed."""
    moved = [VersionId(asset=move.asset, version=move.to_version) for move in case.moves if move.to_version]
    wanted = sorted({*case.added, *(version for version in moved if version in case.after.versions)}, key=str)
    case.after.load(wanted)
    pointers = {version: case.after.pointer(version) for version in wanted}
    return {version: pointer for version, pointer in pointers.items() if not isinstance(pointer, Defect)}


def _inputs(case: Case) -> Iterator[Problem]:
    """The pinned inputs of what comes, and theirs, are on the target with the pinned digests."""
    strict = case.policy.require.get("inputs_promoted") is True
    queue, seen = dict(_coming(case)), set[VersionId]()
    while queue:
        version, pointer = queue.popitem()
        seen.add(version)
        for item in pointer.inputs:
            if _is_foreign(item):
                if strict:
                    message = f"{version} was made from {item.ref} of another repository, which {case.stage} cannot hold"
                    yield Problem(rule=Rule.INPUTS, asset=str(version), message=message)
                continue
            found = case.after.pointer(item.ref) if item.ref in case.after.versions else None
            if found is None:
                message = f"{version} was made from {item.ref}, which would not be on {case.stage}"
                yield Problem(rule=Rule.INPUTS, asset=str(version), message=message)
            elif isinstance(found, Defect):
                if item.ref not in case.added:
                    yield Problem(rule=Rule.INPUTS, asset=str(version), message=found.message)
            elif found.contents.digest != item.digest:
                message = f"{version} was made from {item.ref} with {item.digest}, but there it has {found.contents.digest}"
                yield Problem(rule=Rule.INPUTS, asset=str(version), message=message)
            elif item.ref not in seen:
                queue[item.ref] = found


def _bytes(case: Case) -> Iterator[Problem]:
    """The bytes of what comes are in a store that the target names."""
    for version, pointer in _coming(case).items():
        name = pointer.contents.store
        if case.stores is not None and name not in case.stores:
            yield Problem(
                rule=Rule.BYTES,
                asset=str(version),
                message=f"{version} is in the store {name!r}, which gitml.yaml on {case.stage} does not name",
                hint="gitml init --store URL|PATH, and merge that to the stage first",
            )
            continue
        missing = case.evidence.missing_bytes(pointer)
        if missing:
            message = f"the bytes of {version} are not all in the store {name!r}: {missing[0]}"
            yield Problem(rule=Rule.BYTES, asset=str(version), message=message, hint="gitml push")


def _from(case: Case) -> Iterator[Problem]:
    """What comes is, identical, on a branch that the policy names; on a stage, it ran there."""
    patterns = case.policy.from_
    if case.is_rollback:
        return
    moved = {VersionId(asset=m.asset, version=m.to_version) for m in case.moves if m.to_version is not None}
    for version in _coming(case):
        files = dict(case.after.versions[version])
        match case.evidence.found(version, files, as_current=version in moved):
            case Found.NO:
                message = (
                    f"{version} is on no branch that {case.stage} takes from ({', '.join(patterns) or 'any'})"
                )
                yield Problem(rule=Rule.FROM, asset=str(version), message=message)
            case Found.NOT_CURRENT:
                message = f"{version} lies on a stage that {case.stage} takes from, but never ran there"
                hint = f"gitml promote {version} -t {next(iter(patterns), 'STAGE')}"
                yield Problem(rule=Rule.FROM, asset=str(version), message=message, hint=hint)
            case Found.NOT_PUSHED:
                message = f"{version} is on a branch of this clone only, and not pushed yet"
                yield Problem(rule=Rule.NOT_PUSHED, asset=str(version), message=message, hint="gitml push")
            case Found.YES:
                pass
    if case.shape is Shape.BY_BRANCH:
        for what in case.evidence.foreign_code():
            message = f"{what} is on no branch that {case.stage} takes from ({', '.join(patterns) or 'any'})"
            yield Problem(rule=Rule.FROM, asset=what, message=message)


def _require(case: Case) -> Iterator[Problem]:
    """A requirement that cannot be judged is not met."""
    for key in sorted(case.policy.extra):
        message = f"gitml.yaml says {key!r} of {case.stage}, which this version cannot judge"
        yield Problem(rule=Rule.REQUIRE, asset="", message=message, hint="use a version of GitML that can")
    for key, value in sorted(case.policy.require.items()):
        check = _KNOWN_REQUIREMENTS.get(key)
        if check is None:
            message = f"{case.stage} requires {key!r}, which this version cannot judge"
            yield Problem(
                rule=Rule.REQUIRE, asset="", message=message, hint="use a version of GitML that can"
            )
        elif not check(value):
            message = f"{case.stage} requires {key}: {value!r}, which is no value of that rule"
            yield Problem(
                rule=Rule.REQUIRE, asset="", message=message, hint=f"correct gitml.yaml on {case.stage}"
            )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


_KNOWN_REQUIREMENTS: dict[str, Callable[[object], bool]] = {
    "approvals": _is_count,
    "inputs_promoted": _is_flag,
}


def approvals_needed(policy: StagePolicy) -> int:
    """How many people have to approve; a value that is no count is the rule `require`'s business."""
    value = policy.require.get("approvals", 0)
    return value if isinstance(value, int) and _is_count(value) else 0


def _approvals(case: Case) -> Iterator[Problem]:
    """Enough people other than the authors approved this very head, and nobody refused it."""
    if case.reviews is None:
        return
    for who in case.reviews.rejected_by:
        message = f"{who} rejected this request"
        yield Problem(rule=Rule.REJECTED, asset="", message=message, hint="change it and promote again")
    needed, given = approvals_needed(case.policy), len(set(case.reviews.approved_by))
    if given < needed:
        message = f"{case.stage} requires {needed} approval{'s' if needed != 1 else ''} of this head, and it has {given}"
        yield Problem(rule=Rule.APPROVALS, asset="", message=message)


def _is_foreign(item: object) -> bool:
    """Whether an input is pinned in another repository."""
    return getattr(item, "repo", None) is not None


RULES: tuple[Callable[[Case], Iterator[Problem]], ...] = (
    _schema,
    _scope,
    _write_once,
    _current,
    _inputs,
    _bytes,
    _from,
    _require,
    _approvals,
)
