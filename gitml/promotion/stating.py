"""Makes the statement of a promotion from its facts; `stated` finds it again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from gitml._version import __version__
from gitml.git.types import Identity
from gitml.model.findings import Finding, Inspection
from gitml.model.pointer import Pointer
from gitml.model.statement import StatedMove, Statement
from gitml.promotion.facts import Facts, subjects
from gitml.promotion.policy import Verdict
from gitml.promotion.prepare import Prepared

_MAX_FINDINGS: Final = 100


def state(prepared: Prepared, facts: Facts, asker: Identity, when: datetime) -> Statement | None:
    """The statement of a plan; None where no version comes or is to run, as in a promotion of code alone."""
    plan, view = prepared.plan, prepared.case.after
    pointers = [view.pointer(version) for version in subjects(plan)]
    known = [pointer for pointer in pointers if isinstance(pointer, Pointer)]
    if not known:
        return None
    return Statement(
        subjects={str(pointer.id): pointer.contents.digest for pointer in known},
        kind=plan.kind.value,
        target=plan.target,
        base=plan.base,
        source=plan.source,
        source_commit=facts.source_commit,
        moves=tuple(
            StatedMove(
                asset=str(move.asset),
                from_version=str(move.from_version) if move.from_version else None,
                to_version=str(move.to_version) if move.to_version else None,
            )
            for move in plan.moves
        ),
        asker=(asker.name, asker.email),
        time=when,
        tool=__version__,
        versions=tuple(_version(pointer) for pointer in known),
        rules=tuple(
            {"rule": one.rule.value, "verdict": one.verdict.value}
            for one in facts.rules
            if one.verdict is not Verdict.NOT_REQUIRED
        ),
        inspections=tuple(
            _inspection(str(one.version), one.inspection)
            for one in facts.versions
            if one.inspection is not None and one.inspection.looked_at
        ),
    )


def _version(pointer: Pointer) -> dict[str, Any]:
    inputs = []
    for item in pointer.inputs:
        ref = str(item.ref) if item.repo is None else f"{item.repo}//{item.ref}"
        role = {"role": item.role} if item.role else {}
        inputs.append({"ref": ref, "digest": str(item.digest), **role})
    contents = pointer.contents
    return {"ref": str(pointer.id), "size": contents.size_bytes, "files": contents.files, "inputs": inputs}


def _inspection(ref: str, found: Inspection) -> dict[str, Any]:
    listed = found.findings[:_MAX_FINDINGS]
    return {
        "ref": ref,
        "tool": found.tool,
        "version": found.version,
        "files": found.files,
        "looked_at": found.looked_at,
        "findings": [_finding(one) for one in listed],
        "left_out": found.left_out + len(found.findings) - len(listed),
    }


def _finding(one: Finding) -> dict[str, Any]:
    opcode = {"opcode": one.opcode} if one.opcode else {}
    return {
        "file": one.file,
        "kind": one.kind.value,
        "grade": one.grade.value,
        "name": one.name[:200],
        "count": one.count,
        **opcode,
    }
