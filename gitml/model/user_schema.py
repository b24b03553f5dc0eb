"""JSON Schemas that a repository brings along: which of them are let near the validator.

They come with the repository, so they may neither take unbounded time (regular expressions) nor reach
outside the document (references).
"""

from __future__ import annotations

from typing import Any, Final

from gitml.errors import InvalidInput
from gitml.model.shown import shown

_EXPRESSIONS: Final = ("pattern", "patternProperties")
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_REBASING: Final = ("$id", "$schema", "$vocabulary", "id")
# Keywords whose mapping has names of the user's own for keys; below the names come schemas again.
_NAMED: Final = frozenset(["properties", "$defs", "definitions", "dependentSchemas"])
# Keywords whose value is data and no schema.
_DATA: Final = frozenset(["const", "enum", "default", "examples", "required", "dependentRequired"])
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def check_user_schema(schema: Any) -> None:
    """Refuse a schema with regular expressions, or with references that leave it.

    Raises:
        InvalidInput: It has one; the message names the keyword.
    """
    todo: list[Any] = [schema]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo.extend(node)
        elif isinstance(node, dict):
            for key, value in node.items():
                _check_keyword(key, value)
                if key in _NAMED and isinstance(value, dict):
                    todo.extend(value.values())
                elif key not in _DATA:
                    todo.append(value)


def _check_keyword(key: str, value: Any) -> None:
    if key in _EXPRESSIONS:
        raise InvalidInput(
            f"its schema uses `{key}`, and regular expressions of a repository are not run",
            code="schema-expression",
            hint=f"remove `{key}`; enum, const, minLength and maxLength are allowed",
        )
    if key in _REFERENCES and not (isinstance(value, str) and value.startswith("#")):
        raise InvalidInput(
            f"its schema refers to {shown(value)}, and schemas are never fetched",
            code="schema-reference",
            hint="copy that schema under `$defs` and refer to it as #/$defs/NAME",
        )
    if key in _REBASING and value != _DRAFT and (key != "id" or isinstance(value, str)):
        raise InvalidInput(f"its schema sets `{key}`", code="schema-identity", hint=f"remove `{key}`")
