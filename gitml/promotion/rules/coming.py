"""Rules about the versions that come: what they were made from, their bytes, and where they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gitml.model.digest import Digest
from gitml.model.names import VersionId
from gitml.model.pointer import Input, Pointer
from gitml.promotion.case import Case, Found, Needed, Problem, Rule, Shape
from gitml.promotion.view import POINTER_FILE, Defect


def inputs(case: Case) -> Iterator[Problem]:
    """The pinned inputs of what comes, and theirs, are on the target with the pinned digests.

    Those of other registries are there as they were pinned; where inputs have to be promoted, on the stage of the same
    name. What is missing may be left out where the policy allows promotions without inputs.
    """
    seen: set[VersionId] = set()
    for version, pointer in case.coming.items():
        node = _needed(case, version, pointer, seen)
        for number, missing in enumerate(node.missing()):
            yield Problem(
                rule=Rule.INPUTS,
                asset=str(version),
                message=str(missing.problem),
                hint=missing.hint,
                missing=node if number == 0 else None,
            )


def _needed(case: Case, version: VersionId, pointer: Pointer, seen: set[VersionId]) -> Needed:
    """A version of the target, with what is missing of its inputs; what was seen before is not told again."""
    if version in seen:
        return Needed(ref=str(version))
    seen.add(version)
    below = [
        _foreign(case, item) if item.repo else _own(case, version, item, seen) for item in pointer.inputs
    ]
    needs = tuple(needed for needed in below if needed is not None and needed.is_missing)
    return Needed(ref=str(version), digest=str(pointer.contents.digest), needs=needs)


def _may_lack(case: Case) -> bool:
    return case.requirements.no_inputs and not case.requirements.inputs_promoted


def _foreign(case: Case, item: Input) -> Needed | None:
    if _may_lack(case):
        return None
    return case.evidence.foreign(item, promoted=case.requirements.inputs_promoted)


def _own(case: Case, version: VersionId, item: Input, seen: set[VersionId]) -> Needed | None:
    node = Needed(ref=str(item.ref), digest=str(item.digest))
    if item.ref not in case.after.versions:
        if _may_lack(case):
            return None
        problem = f"{version} was made from {item.ref}, which would not be on {case.stage}"
        return replace(node, problem=problem, hint=f"gitml promote {item.ref} -t {case.stage}")
    found = case.after.pointer(item.ref)
    if isinstance(found, Defect):
        # The rule `schema` says so of what comes.
        return None if item.ref in case.added else replace(node, problem=found.message)
    if found.contents.digest != item.digest:
        problem = (
            f"{version} was made from {item.ref} with {item.digest}, but there it has {found.contents.digest}"
        )
        return replace(node, problem=problem)
    return replace(_needed(case, item.ref, found, seen), digest=str(item.digest))


def bytes_(case: Case) -> Iterator[Problem]:
    """The bytes of what comes are in a store that the target names."""
    for version, pointer in case.coming.items():
        name = pointer.contents.store
        if not case.names_store(pointer):
            yield Problem(
                rule=Rule.BYTES,
                asset=str(version),
                message=f"{version} is in the store {name!r}, which gitml.yaml on {case.stage or 'the target'} does not name",
                hint="gitml init --store URL|PATH, and merge that to the stage first",
            )
            continue
        missing = case.evidence.missing_bytes(pointer)
        if missing:
            message = f"the bytes of {version} are not all in the store {name!r}: {missing[0]}"
            yield Problem(rule=Rule.BYTES, asset=str(version), message=message, hint="gitml push")


def review(case: Case) -> Iterator[Problem]:
    """The small copies beside a pointer, which reviewers read, are what the contents hold."""
    for version, pointer in case.coming.items():
        copies = {name: file for name, file in case.after.versions[version].items() if name != POINTER_FILE}
        listed = set(pointer.contents.review)
        for name in sorted(listed ^ copies.keys()):
            what = "is missing" if name in listed else "is none of the review copies that the pointer lists"
            yield Problem(rule=Rule.REVIEW, asset=str(version), message=f"{version.folder}/{name} {what}")
        names = sorted(listed & copies.keys())
        if not names or not case.has_bytes(pointer):
            continue  # the rule `bytes` says so
        digests = case.evidence.digests(pointer, names)
        texts = case.after.read([copies[name].oid for name in names])
        for name in names:
            if digests is None or digests.get(name) != Digest.of(texts[copies[name].oid]):
                told = "cannot be compared with" if digests is None else "differs from"
                message = f"{version.folder}/{name} {told} the file {name} of the contents in the store"
                yield Problem(rule=Rule.REVIEW, asset=str(version), message=message)


def from_(case: Case) -> Iterator[Problem]:
    """What comes is, identical, on a branch that the policy names; on a stage, it ran there."""
    patterns = case.policy.from_
    if case.is_rollback:
        return
    taken = ", ".join(patterns) or "any"
    moved = {move.to for move in case.moves}
    for version in case.coming:
        files = dict(case.after.versions[version])
        match case.evidence.found(version, files, as_current=version in moved):
            case Found.NO:
                message = f"{version} is on no branch that {case.stage} takes from ({taken})"
                yield Problem(rule=Rule.FROM, asset=str(version), message=message)
            case Found.NOT_CURRENT:
                message = f"{version} lies on a stage that {case.stage} takes from, but never ran there"
                hint = f"gitml promote {version} -t {next(iter(patterns), 'STAGE')}"
                yield Problem(rule=Rule.FROM, asset=str(version), message=message, hint=hint)
            case Found.OTHERWISE:
                message = f"{version} is another one on the branches that have it"
                yield Problem(rule=Rule.FROM, asset=str(version), message=message)
            case Found.NOT_PUSHED:
                message = f"{version} is on a branch of this clone only, and not pushed yet"
                yield Problem(rule=Rule.NOT_PUSHED, asset=str(version), message=message, hint="gitml push")
            case Found.YES:
                pass
    if case.shape is Shape.BY_BRANCH:
        for what in case.evidence.foreign_code():
            message = f"{what} is on no branch that {case.stage} takes from ({taken})"
            yield Problem(rule=Rule.FROM, asset=what, message=message)
