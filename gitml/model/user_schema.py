"""JSON Schemas that a repository brings along: which of them are let near the validator.

They come with the repository, so they may neither take unbounded time (regular expressions, references that
multiply or never end) nor reach outside the document.
"""

from __future__ import annotations

from typing import Any, Final

from gitml.errors import InvalidInput
from gitml.model.shown import shown

_EXPRESSIONS: Final = ("pattern", "patternProperties")
# They make a validator walk the same parts again and again.
_COSTLY: Final = ("unevaluatedProperties", "unevaluatedItems")
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_REBASING: Final = ("$id", "$schema", "$vocabulary", "$anchor", "$dynamicAnchor", "id")
# Keywords whose mapping has names of the user's own for keys; below the names come schemas again.
_NAMED: Final = frozenset(["properties", "$defs", "definitions", "dependentSchemas"])
# Keywords whose value is data and no schema.
_DATA: Final = frozenset(["const", "enum", "default", "examples", "required", "dependentRequired"])
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_MAX_RULES: Final = 2000


def check_user_schema(schema: Any) -> None:
    """Refuse a schema whose judgement could take long, or that refers to anything outside itself.

    Raises:
        InvalidInput: It has regular expressions, references that leave it, that form a circle or that lead
            nowhere, or more than 2,000 rules when its references are written out.
    """
    todo: list[Any] = [schema]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            for key, value in node.items():
                _check_keyword(key, value)
        todo.extend(_inner(node))
    _count(schema, schema, {}, set())


def _inner(node: Any) -> list[Any]:
    """Schemas right inside a schema, or inside a list of schemas."""
    if isinstance(node, list):
        return node
    found: list[Any] = []
    for key, value in node.items() if isinstance(node, dict) else ():
        if key in _NAMED and isinstance(value, dict):
            found.extend(value.values())
        elif key not in _DATA:
            found.append(value)
    return found


def _check_keyword(key: str, value: Any) -> None:
    if key in _EXPRESSIONS:
        raise InvalidInput(
            f"its schema uses `{key}`, and regular expressions of a repository are not run",
            code="schema-expression",
            hint=f"remove `{key}`; enum, const, minLength and maxLength are allowed",
        )
    if key in _COSTLY:
        raise InvalidInput(
            f"its schema uses `{key}`, which can take very long",
            code="schema-too-costly",
            hint=f"use {key.replace('unevaluatedP', 'additionalP').replace('unevaluatedI', 'i')} instead",
        )
    if key in _REFERENCES and not (key == "$ref" and isinstance(value, str) and value.startswith("#/")):
        raise InvalidInput(
            f"its schema refers to {shown(value)} with `{key}`, and only parts of itself may be referred to",
            code="schema-reference",
            hint="put that schema under `$defs` and write $ref: '#/$defs/NAME'",
        )
    if key in _REBASING and value != _DRAFT and (key != "id" or isinstance(value, str)):
        raise InvalidInput(f"its schema sets `{key}`", code="schema-identity", hint=f"remove `{key}`")


def _count(node: Any, root: Any, known: dict[str, int], open_: set[str]) -> int:
    """Number of rules of a schema with its references written out; each target is counted once and kept."""
    total, todo = 0, [node]
    while todo:
        part = todo.pop()
        total += 1
        reference = part.get("$ref") if isinstance(part, dict) else None
        if isinstance(reference, str):
            if reference in open_:
                raise InvalidInput(
                    f"its schema refers to {shown(reference)} in a circle",
                    code="schema-circle",
                    hint="write the inner schema out as far as it is needed",
                )
            if reference not in known:
                target = _target(root, reference)
                known[reference] = _count(target, root, known, open_ | {reference})
            total += known[reference]
        todo.extend(_inner(part))
        if total > _MAX_RULES or len(open_) > _MAX_RULES // 20:
            raise InvalidInput(
                f"its schema has more than {_MAX_RULES} rules when its references are written out",
                code="schema-too-costly",
                hint="make it smaller",
            )
    return total


def _target(root: Any, reference: str) -> Any:
    node = root
    for part in reference.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isascii() and key.isdecimal() and int(key[:9]) < len(node):
            node = node[int(key[:9])]
        else:
            raise InvalidInput(
                f"its schema refers to {shown(reference)}, which is not in it",
                code="schema-reference",
                hint="define it under `$defs`",
            )
    return node
