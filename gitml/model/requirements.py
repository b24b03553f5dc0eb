"""What a stage may require of a promotion: the rules of `stages.<stage>.require`, taken apart.

Owns their shapes and the grammar of metric rules. Whether a change meets them is for the promotion room. What
breaks a shape is a fault of the file; what has the right shape, but says something that this version does not
know, is left for the policy to refuse.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeVar

from gitml.model.fields import FieldError, Fields, Path, at
from gitml.model.glob import compile_glob
from gitml.model.shown import shown

T = TypeVar("T")
ByPattern = tuple[tuple[str, T], ...]
"""Values by pattern, in the order of the file."""

ALLOWED_SIGNERS: Final = ".gitml/allowed_signers"
REVOKED_SIGNERS: Final = ".gitml/revoked_signers"
ALLOWED: Final = "allowed"
CARD: Final = "card"
LICENCE: Final = "licence"
SIGNATURE: Final = "signature"
NOT_WORSE: Final = "not worse than current"

_WORDS: Final = frozenset({CARD, LICENCE, "license", SIGNATURE, "description", "author", "inputs", "metrics"})
_SECTIONS: Final = frozenset({"labels", "params", "metrics", "source", "spec"})
_MAX_RULE: Final = 300
_BOUND: Final = re.compile(
    r"(?P<metric>[^<>=\s](?:[^<>=]*[^<>=\s])?)\s*(?P<comparison>[<>]=?)\s*"
    r"(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
)


class UnknownRuleError(Exception):
    """A rule has the right shape and says something that this version cannot judge."""


class Comparison(Enum):
    """How a metric is held against a number."""

    AT_LEAST = ">="
    ABOVE = ">"
    AT_MOST = "<="
    BELOW = "<"

    def holds(self, value: float, bound: float) -> bool:
        """Whether `value` stands in this relation to `bound`."""
        match self:
            case Comparison.AT_LEAST:
                return value >= bound
            case Comparison.ABOVE:
                return value > bound
            case Comparison.AT_MOST:
                return value <= bound
            case Comparison.BELOW:
                return value < bound


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRule:
    """`METRIC >= NUMBER` and the like, or `METRIC not worse than current`.

    Attributes:
        metric: Name of the metric.
        comparison: None where the metric is held against what the stage runs.
        bound: The number; 0 where there is none.
    """

    metric: str
    comparison: Comparison | None = None
    bound: float = 0

    def __str__(self) -> str:
        if self.comparison is None:
            return f"{self.metric} {NOT_WORSE}"
        return f"{self.metric} {self.comparison.value} {self.bound}"

    @classmethod
    def parse(cls, text: str) -> MetricRule:
        """Read a rule; `parse(str(x)) == x`.

        Raises:
            UnknownRuleError: It is neither form.
        """
        words = text.strip()
        if words.endswith(f" {NOT_WORSE}"):
            metric = words.removesuffix(NOT_WORSE).strip()
            if metric and len(words) <= _MAX_RULE:
                return cls(metric=metric)
        match = _BOUND.fullmatch(words) if len(words) <= _MAX_RULE else None
        bound = _number(match["number"]) if match else None
        if match is None or bound is None:
            raise UnknownRuleError(
                f"{shown(text)} is no rule for a metric: METRIC >= NUMBER (or > <= <), or METRIC {NOT_WORSE}"
            )
        return cls(metric=match["metric"], comparison=Comparison(match["comparison"]), bound=bound)


def _number(text: str) -> float | None:
    """The number a text means, a whole one exactly; None where it is beyond all bounds."""
    if text.lstrip("-").isdecimal():
        return int(text)
    value = float(text)
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """Who has to approve.

    Attributes:
        count: How many people other than the authors.
        owners: Pattern of paths -> people (e-mail addresses) and teams (`@NAME`), one of whom has to; the last
            pattern that matches a path decides, as in a CODEOWNERS file.
    """

    count: int = 0
    owners: ByPattern[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Whose signatures count: files of the registry on the target, as `ssh-keygen` reads them."""

    allowed_signers: str = ALLOWED_SIGNERS
    revoked: str = REVOKED_SIGNERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """All that a stage requires.

    Attributes:
        inputs_promoted: Whether everything that a version was made from has to be promoted, too.
        no_inputs: Whether a version may come without what it was made from.
        rollback_now: Whether a rollback needs nobody's approval.
        fields: Pattern of assets -> fields that a version must have.
        formats: Pattern of assets -> patterns of files, one of which every file of the contents must match.
        unread: Rule -> why it cannot be judged; each refuses every promotion.
    """

    approvals: Approvals = field(default_factory=Approvals)
    inputs_promoted: bool = False
    no_inputs: bool = False
    rollback_now: bool = False
    metrics: ByPattern[tuple[MetricRule, ...]] = ()
    fields: ByPattern[tuple[str, ...]] = ()
    formats: ByPattern[tuple[str, ...]] = ()
    signed: Signed | None = None
    unread: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, require: Mapping[str, Any]) -> Requirements:
        """Take the rules of a stage apart; never fails, see `unread`."""
        found: dict[str, Any] = {}
        unread: list[tuple[str, str]] = []
        for key, value in require.items():
            reader = _READERS.get(key)
            try:
                if reader is None:
                    raise UnknownRuleError("it is no rule that this version knows")
                found[key] = reader(value, (key,))
            except UnknownRuleError as error:
                unread.append((key, str(error)))
            except FieldError as error:
                unread.append((key, f"{'.'.join(map(str, error.path))} {error}"))
        return cls(**found, unread=tuple(sorted(unread)))


def check_shapes(require: Mapping[str, Any], path: Path) -> None:
    """Refuse a rule that has not the shape it must have; what else is wrong is for the policy to refuse.

    Raises:
        FieldError: The field below `path` that is wrong.
    """
    for key, value in require.items():
        reader = _READERS.get(key)
        if reader is None:
            continue
        try:
            reader(value, (*path, key))
        except UnknownRuleError:
            continue


def is_team(owner: str) -> bool:
    """Whether an owner is a team, `@NAME`, and no person."""
    return owner.startswith("@")


def _flag(value: Any, path: Path) -> bool:
    if not isinstance(value, bool):
        raise FieldError(path, f"must be true or false, and is {shown(value)}", "give true or false")
    return value


def _allowed(value: Any, path: Path) -> bool:
    if value != ALLOWED:
        raise UnknownRuleError(f"{shown(value)} is not {ALLOWED!r}, and leaving the rule out forbids it")
    return True


def _count(value: Any, path: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise FieldError(path, f"must be a whole number, and is {shown(value)}", "give a whole number")
    if value < 0:
        raise FieldError(path, f"must be at least 0, and is {value}", "correct the number")
    return value


def _approvals(value: Any, path: Path) -> Approvals:
    if not isinstance(value, dict):
        return Approvals(count=_count(value, path))
    owners = _by_pattern(value.get("owners", {}), (*path, "owners"))
    count = _count(value.get("count", 0), (*path, "count"))
    _nothing_else(value, ("count", "owners"))
    return Approvals(count=count, owners=owners)


def _signed(value: Any, path: Path) -> Signed | None:
    if isinstance(value, bool):
        return Signed() if value else None
    fields = Fields(value, path)
    files = {key: fields.optional_text(key) for key in ("allowed_signers", "revoked")}
    for key, name in files.items():
        if name is not None and any(part in ("", ".", "..") for part in name.split("/")):
            raise FieldError(
                (*path, key), f"is {shown(name)}, which is no path in the registry", f"as {ALLOWED_SIGNERS}"
            )
    _nothing_else(value, tuple(files))
    return Signed(**{key: name for key, name in files.items() if name is not None})


def _metrics(value: Any, path: Path) -> ByPattern[tuple[MetricRule, ...]]:
    found = _by_pattern(value, path)
    return tuple((pattern, tuple(map(MetricRule.parse, texts))) for pattern, texts in found)


def _fields(value: Any, path: Path) -> ByPattern[tuple[str, ...]]:
    found = _by_pattern(value, path)
    for name in (name for _, names in found for name in names):
        section, dot, rest = name.partition(".")
        if not (name in _WORDS or (dot and rest and section in _SECTIONS)):
            raise UnknownRuleError(f"{shown(name)} is no field that can be required")
    return found


def _formats(value: Any, path: Path) -> ByPattern[tuple[str, ...]]:
    found = _by_pattern(value, path)
    for pattern, files in found:
        for number, file in enumerate(files):
            with at((*path, pattern, number)):
                compile_glob(file)
    return found


def _by_pattern(value: Any, path: Path) -> ByPattern[tuple[str, ...]]:
    """Lists of texts by pattern."""
    fields = Fields(value, path)
    found = []
    for pattern in list(fields.rest()):
        with at((*path, pattern)):
            compile_glob(pattern)
        found.append((pattern, fields.texts(pattern)))
    return tuple(found)


def _nothing_else(value: Mapping[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise UnknownRuleError(f"it says {shown(unknown[0])}, which this version does not know")


_READERS: Final[Mapping[str, Callable[[Any, Path], Any]]] = {
    "approvals": _approvals,
    "inputs_promoted": _flag,
    "no_inputs": _allowed,
    "rollback_now": _allowed,
    "metrics": _metrics,
    "fields": _fields,
    "formats": _formats,
    "signed": _signed,
}
