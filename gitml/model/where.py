"""Conditions on fields, as `list --where` takes them: `metrics.accuracy>=0.9`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gitml.errors import UsageError
from gitml.model.shown import shown

_FORM = re.compile(
    r"\s*(?P<field>[^=!<>\s][^=!<>]*?)\s*(?P<operator>!=|<=|>=|=|<|>)\s*(?P<value>.*?)\s*", re.DOTALL
)
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_MAX_TEXT = 1024
_ABSENT: Any = object()


class Operator(Enum):
    """How a field is compared."""

    EQUAL = "="
    DIFFERENT = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition.

    Attributes:
        field: Name of a field, parts joined by full stops.
        operator: How it is compared.
        value: With what: a number, true, false, null, or a text.
        text: The value as it was written, to compare with texts.
    """

    field: str
    operator: Operator
    value: Any
    text: str

    def holds(self, fields: Mapping[str, Any]) -> bool:
        """Whether some fields satisfy it.

        A field that is absent satisfies `!=` alone; a text and a number are never equal, and cannot be put
        in order. A list is equal to each of its entries.
        """
        found = lookup(fields, self.field)
        if found is _ABSENT:
            return self.operator is Operator.DIFFERENT
        if self.operator is Operator.EQUAL:
            return self._equals(found)
        if self.operator is Operator.DIFFERENT:
            return not self._equals(found)
        if isinstance(found, bool) or isinstance(self.value, bool):
            return False
        if isinstance(found, (int, float)) and isinstance(self.value, (int, float)):
            return _ordered(self.operator, found, self.value)
        if isinstance(found, str):
            return _ordered(self.operator, found, self.text)
        return False

    def _equals(self, found: Any) -> bool:
        if isinstance(found, (list, tuple)):
            return any(self._equals(item) for item in found)
        if isinstance(found, str):
            return found == self.text
        if isinstance(found, bool) or isinstance(self.value, bool) or found is None or self.value is None:
            return found is self.value
        return bool(found == self.value)

    def __str__(self) -> str:
        return f"{self.field}{self.operator.value}{self.text}"


def _ordered(operator: Operator, left: Any, right: Any) -> bool:
    if operator is Operator.LESS:
        return bool(left < right)
    if operator is Operator.AT_MOST:
        return bool(left <= right)
    return bool(left > right) if operator is Operator.MORE else bool(left >= right)


def lookup(fields: Mapping[str, Any], name: str) -> Any:
    """A field by its dotted name; keys that have full stops themselves are found too."""
    if name in fields:
        return fields[name]
    for position in (index for index, char in enumerate(name) if char == "."):
        inner = fields.get(name[:position])
        if isinstance(inner, Mapping):
            found = lookup(inner, name[position + 1 :])
            if found is not _ABSENT:
                return found
    return _ABSENT


def parse_where(text: str) -> Condition:
    """Read `FIELD=|!=|<|<=|>|>=VALUE`.

    Raises:
        UsageError: It has another form.
    """
    match = _FORM.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None:
        raise UsageError(
            f"{shown(text)} is no condition", code="bad-condition", hint="write it as 'metrics.accuracy>=0.9'"
        )
    written = match["value"]
    if len(written) >= 2 and written[0] == written[-1] and written[0] in "\"'":
        written = value = written[1:-1]
    else:
        value = _value(written)
    return Condition(field=match["field"], operator=Operator(match["operator"]), value=value, text=written)


def _value(text: str) -> Any:
    if text in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[text]
    if _NUMBER.fullmatch(text):
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else float(text)
    return text
