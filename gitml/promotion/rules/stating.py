"""The rule about what a request states of itself: where its head carries a statement, that is true."""

from __future__ import annotations

from collections.abc import Iterator

from gitml.model.pointer import Pointer
from gitml.promotion.case import Case, Problem, Rule
from gitml.promotion.view import Defect

_HINT = "gitml promote, which makes the request anew"


def statement(case: Case) -> Iterator[Problem]:
    """The statement names this stage, every version that comes with its digest, and every move."""
    stated = case.stated
    if stated is None:
        return
    if isinstance(stated, Defect):
        yield Problem(rule=Rule.STATEMENT, asset="", message=stated.message, hint=_HINT)
        return
    if stated.target != case.stage:
        yield _problem("", f"the statement is about {stated.target}, and the request about {case.stage}")
    yield from _subjects(case, {name: str(digest) for name, digest in stated.subjects.items()})
    yield from _moves(case, {move.asset: move.to_version for move in stated.moves})


def _subjects(case: Case, stated: dict[str, str]) -> Iterator[Problem]:
    there = {str(version): version for version in case.after.versions if str(version) in stated}
    case.after.load(there.values())
    for name, digest in sorted(stated.items()):
        pointer = case.after.pointer(there[name]) if name in there else None
        if pointer is None:
            yield _problem(name, f"the statement names {name}, which would not be on {case.stage}")
        elif isinstance(pointer, Pointer) and str(pointer.contents.digest) != digest:
            told = (
                f"the statement says that {name} has {digest}, and its pointer says {pointer.contents.digest}"
            )
            yield _problem(name, told)
    for version in case.added:
        if str(version) not in stated:
            yield _problem(str(version), f"{version} comes, and the statement does not name it")


def _moves(case: Case, stated: dict[str, str | None]) -> Iterator[Problem]:
    after = {str(asset): version for asset, version in case.currents_after.items()}
    for asset, version in sorted(stated.items()):
        found = after.get(asset)
        if not isinstance(found, Defect) and (str(found) if found else None) != version:
            told = f"the statement says that {case.stage} would run {version or 'no version'} of {asset}"
            yield _problem(asset, f"{told}, and it would run {found or 'none'}")
    for move in case.moves:
        if str(move.asset) not in stated:
            yield _problem(
                str(move.asset), f"what runs of {move.asset} would change, and the statement does not say so"
            )


def _problem(asset: str, message: str) -> Problem:
    return Problem(rule=Rule.STATEMENT, asset=asset, message=message, hint=_HINT)
