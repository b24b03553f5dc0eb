"""Rules about the versions that come: what they were made from, their bytes, and where they come from."""

from __future__ import annotations

from collections.abc import Iterator

from gitml.model.digest import Digest
from gitml.model.names import VersionId
from gitml.model.pointer import Input, Pointer
from gitml.promotion.case import Case, Found, Problem, Rule, Shape
from gitml.promotion.view import POINTER_FILE, Defect


def inputs(case: Case) -> Iterator[Problem]:
    """The pinned inputs of what comes, and theirs, are on the target with the pinned digests."""
    queue, seen = dict(case.coming), set[VersionId]()
    while queue:
        version, pointer = queue.popitem()
        seen.add(version)
        for item in pointer.inputs:
            found = case.after.pointer(item.ref) if item.ref in case.after.versions else None
            problem = _foreign_input(case, version, item) if item.repo else _input(case, version, item, found)
            if problem is not None:
                yield problem
            elif isinstance(found, Pointer) and item.repo is None and item.ref not in seen:
                queue[item.ref] = found


def _foreign_input(case: Case, version: VersionId, item: Input) -> Problem | None:
    if not case.requirements.inputs_promoted:
        return None
    message = f"{version} was made from {item.ref} of another repository, which {case.stage} cannot hold"
    return Problem(rule=Rule.INPUTS, asset=str(version), message=message)


def _input(case: Case, version: VersionId, item: Input, found: Pointer | Defect | None) -> Problem | None:
    if found is None:
        message = f"{version} was made from {item.ref}, which would not be on {case.stage}"
        hint = f"gitml promote {item.ref} -t {case.stage}"
        return Problem(rule=Rule.INPUTS, asset=str(version), message=message, hint=hint)
    if isinstance(found, Defect):
        if item.ref in case.added:
            return None  # the rule `schema` says so
        return Problem(rule=Rule.INPUTS, asset=str(version), message=found.message)
    if found.contents.digest != item.digest:
        message = (
            f"{version} was made from {item.ref} with {item.digest}, but there it has {found.contents.digest}"
        )
        return Problem(rule=Rule.INPUTS, asset=str(version), message=message)
    return None


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
            case Found.NOT_PUSHED:
                message = f"{version} is on a branch of this clone only, and not pushed yet"
                yield Problem(rule=Rule.NOT_PUSHED, asset=str(version), message=message, hint="gitml push")
            case Found.YES:
                pass
    if case.shape is Shape.BY_BRANCH:
        for what in case.evidence.foreign_code():
            message = f"{what} is on no branch that {case.stage} takes from ({taken})"
            yield Problem(rule=Rule.FROM, asset=what, message=message)
