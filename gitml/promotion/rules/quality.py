"""Rules about what a version says of itself and holds: metrics, fields, formats."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gitml.model.digest import Digest
from gitml.model.glob import compile_glob
from gitml.model.names import VersionId
from gitml.model.pointer import Pointer
from gitml.model.requirements import CARD, LICENCE, SIGNATURE, ByPattern, MetricRule, T
from gitml.model.shown import shown
from gitml.promotion.case import Case, Move, Problem, Rule
from gitml.promotion.view import Defect

EVALUATION_ROLES = frozenset({"eval", "evaluation", "holdout", "test", "testing", "validation"})
"""Roles of inputs that say what the metrics of a version were measured on."""

_SHOWN = 3


def metrics(case: Case) -> Iterator[Problem]:
    """What is to run is as good as the target demands, and where it says so, no worse than what runs there."""
    if not case.requirements.metrics or case.is_rollback:
        return
    for move in case.moves:
        pointer = case.coming.get(move.to) if move.to else None
        if pointer is None:
            continue  # the rules `schema` and `current` say so
        for rule in _of(case.requirements.metrics, pointer.id):
            for message, hint in _judge_metric(case, move, pointer, rule):
                yield Problem(rule=Rule.METRICS, asset=str(pointer.id), message=message, hint=hint)


def _judge_metric(
    case: Case, move: Move, pointer: Pointer, rule: MetricRule
) -> Iterator[tuple[str, str | None]]:
    """Why a version does not satisfy a rule, and what would."""
    wanted = f"{case.stage} requires {str(rule)!r}"
    value = _finite(pointer.metrics.get(rule.metric))
    if value is None:
        said = "has no such metric" if rule.metric not in pointer.metrics else "has no finite number there"
        yield (
            f"{wanted}, and {pointer.id} {said}",
            f"gitml register {move.asset} … --metric {rule.metric}=NUMBER",
        )
    elif rule.comparison is None:
        yield from _not_worse(case, move, pointer, rule, value)
    elif not rule.comparison.holds(value, rule.bound):
        yield (
            f"{wanted}, and {pointer.id} has {rule.metric} {value}",
            f"promote a version whose {rule.metric} is {rule.comparison.value} {rule.bound}",
        )


def _not_worse(
    case: Case, move: Move, pointer: Pointer, rule: MetricRule, value: float
) -> Iterator[tuple[str, str | None]]:
    wanted = f"{case.stage} requires {str(rule)!r}"
    direction = case.directions.get(rule.metric)
    if direction not in ("higher", "lower"):
        yield (
            f"{wanted}, and gitml.yaml there does not say whether higher or lower {rule.metric} is better",
            f"metrics: {{{rule.metric}: higher}} (or lower), in gitml.yaml on {case.stage}",
        )
        return
    if move.from_version is None:
        return  # nothing runs there that it could be worse than
    running = VersionId(asset=move.asset, version=move.from_version)
    present = case.before.pointer(running) if running in case.before.versions else None
    if present is None or isinstance(present, Defect):
        why = "its pointer is not there" if present is None else present.message
        yield (f"{wanted}, and {running}, which runs there, cannot be compared: {why}", None)
        return
    there = _finite(present.metrics.get(rule.metric))
    if there is None:
        yield (f"{wanted}, and {running}, which runs there, has no number for {rule.metric}", None)
        return
    difference = _other_data(pointer, present)
    if difference:
        yield (
            f"{wanted}, and they cannot be compared: {difference}",
            "measure both on one dataset, and name it: --input test=datasets/NAME@VERSION",
        )
    elif (value < there) if direction == "higher" else (value > there):
        yield (
            f"{wanted}, and {pointer.id} has {value} where {running} has {there} ({direction} is better)",
            f"promote a version whose {rule.metric} is {there} or {direction}",
        )


def _other_data(ours: Pointer, theirs: Pointer) -> str | None:
    """Why two versions were not measured on the same data; None where they were."""
    ours_on, theirs_on = _evaluated_on(ours), _evaluated_on(theirs)
    for pointer, found in ((ours, ours_on), (theirs, theirs_on)):
        if not found:
            roles = ", ".join(sorted(EVALUATION_ROLES))
            return f"{pointer.id} names no input that it was measured on (roles {roles})"
    if ours_on == theirs_on:
        return None
    for role in sorted(ours_on.keys() | theirs_on.keys()):
        if ours_on.get(role) != theirs_on.get(role):
            said = " and ".join(f"{pointer.id} {_data(pointer, role)}" for pointer in (ours, theirs))
            return f"{said} as {role}"
    return None


def _evaluated_on(pointer: Pointer) -> dict[str, frozenset[Digest]]:
    """Role -> digests of the inputs that say what a version was measured on."""
    found: dict[str, frozenset[Digest]] = {}
    for item in pointer.inputs:
        role = (item.role or "").casefold()
        if role in EVALUATION_ROLES:
            found[role] = found.get(role, frozenset()) | {item.digest}
    return found


def _data(pointer: Pointer, role: str) -> str:
    refs = [str(item.ref) for item in pointer.inputs if (item.role or "").casefold() == role]
    return f"has {', '.join(refs)}" if refs else "has none"


def _finite(value: Any) -> float | None:
    """The number a metric is; None where it is none that can be compared."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def fields(case: Case) -> Iterator[Problem]:
    """What comes says what the target wants said."""
    for version, pointer in case.coming.items():
        for name in _of(case.requirements.fields, version):
            if not _says(case, pointer, name):
                message = f"{case.stage} requires {name!r}, and {version} has none"
                yield Problem(rule=Rule.FIELDS, asset=str(version), message=message, hint=_how(name))


def _says(case: Case, pointer: Pointer, name: str) -> bool:
    if name == CARD:
        files = case.after.versions[pointer.id]
        return any(_is_card(copy) and copy in files for copy in pointer.contents.review)
    if name in (LICENCE, "license"):
        return any(pointer.labels.get(word, "").strip() for word in (LICENCE, "license"))
    path = ["spec", SIGNATURE] if name == SIGNATURE else name.split(".")
    return _is_said(_at(pointer.to_dict(), path))


def _at(value: Any, path: Sequence[str]) -> Any:
    """What stands at a dotted path; keys that hold dots themselves are found, too."""
    if not path:
        return value
    if not isinstance(value, Mapping):
        return None
    for end in range(len(path), 0, -1):
        found = _at(value.get(".".join(path[:end])), path[end:])
        if found is not None:
            return found
    return None


def _is_said(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return value is not None and value != {} and value != []


def _is_card(name: str) -> bool:
    folded = name.casefold()
    return folded.startswith("readme") or "card" in folded


def _how(name: str) -> str:
    if name == CARD:
        return "put a README.md or a model card beside the files, and register that"
    if name in (LICENCE, "license"):
        return "register it with --label licence=NAME"
    section, _, key = name.partition(".")
    flags = {"labels": "--label", "params": "--param", "metrics": "--metric"}
    if key and section in flags:
        return f"register it with {flags[section]} {key}=VALUE"
    others = {"description": "-m TEXT", "inputs": "--input REF", "metrics": "--metric K=V"}
    return f"register it with {others.get(name, '--spec FILE')}"


def formats(case: Case) -> Iterator[Problem]:
    """Every file of what comes has a name that the target allows; a name proves nothing of what is in the file."""
    for version, pointer in case.coming.items():
        rules = [
            files for pattern, files in case.requirements.formats if compile_glob(pattern)(str(version.asset))
        ]
        if not rules or not case.has_bytes(pointer):
            continue  # the rule `bytes` says so
        paths = case.evidence.paths(pointer)
        if paths is None:
            message = f"the files of {version} cannot be listed, and {case.stage} allows some formats only"
            yield Problem(rule=Rule.FORMATS, asset=str(version), message=message)
            continue
        for patterns in rules:
            tests = [compile_glob(pattern if "/" in pattern else f"**/{pattern}") for pattern in patterns]
            wrong = [path for path in paths if not any(test(path) for test in tests)]
            if wrong:
                some = ", ".join(shown(path) for path in wrong[:_SHOWN])
                more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
                message = f"{case.stage} allows {', '.join(patterns) or 'no file'}, and {version} holds {some}{more}"
                hint = "register it without them"
                yield Problem(rule=Rule.FORMATS, asset=str(version), message=message, hint=hint)


def _of(rules: ByPattern[tuple[T, ...]], version: VersionId) -> list[T]:
    """What is said of an asset, by all the patterns that match it, each once."""
    found = [one for pattern, ones in rules if compile_glob(pattern)(str(version.asset)) for one in ones]
    return list(dict.fromkeys(found))
