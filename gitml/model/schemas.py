"""JSON Schemas of everything that GitML reads and prints, and validation against them.

The schemas are package data. Nothing is ever fetched: the registry of references is empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml.errors import InvalidInput
from gitml.model.fault import Fault, field_name
from gitml.model.shown import shown
from gitml.model.strict_yaml import Document
from gitml.model.user_schema import check_user_schema

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_NAME = re.compile(r"[a-z0-9_-]+(?:/[a-z0-9_-]+)?")
_SHOWN_FAULTS = 5


@lru_cache(maxsize=1)
def _folder() -> Path:
    package = Path(__file__).resolve().parent.parent
    shipped = package / "schemas"
    return shipped if shipped.is_dir() else package.parent / "schemas"


def schema_names() -> list[str]:
    """Names of all schemas, sorted."""
    folder = _folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.json"))


@lru_cache(maxsize=64)
def _text(name: str) -> str:
    path = _folder() / f"{name}.json"
    if _NAME.fullmatch(name) is None or not path.is_file():
        raise InvalidInput(
            f"there is no schema {shown(name)}", code="no-schema", hint=f"one of {', '.join(schema_names())}"
        )
    return path.read_text(encoding="utf-8")


def schema(name: str) -> dict[str, Any]:
    """One schema: `asset`, `config`, `about`, `stage`, `request`, `types/models`, `json/register`, …

    Raises:
        InvalidInput: There is none of this name.
    """
    value: dict[str, Any] = json.loads(_text(name))
    return value


@lru_cache(maxsize=64)
def _validator(text: str) -> Any:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    empty: Registry[Any] = Registry()
    return Draft202012Validator(json.loads(text), registry=empty)


def validate(document: Document, name: str) -> None:
    """Hold a document against a schema.

    Raises:
        InvalidInput: It breaks rules. The message names file, line, field, rule and fix of the first, and
            counts the others; `context["faults"]` has them all.
    """
    raise_for(document, faults(document, name))


def validate_spec(document: Document, asset_type: str, user_schema: Any | None) -> None:
    """Hold the `spec` of a pointer against the schema of its type.

    Args:
        document: The pointer.
        asset_type: Plural folder name.
        user_schema: Schema from the registry's configuration; None for a type that GitML brings along.

    Raises:
        InvalidInput: The spec breaks the schema, or the schema itself is no valid one.
    """
    if user_schema is not None:
        check_user_schema(user_schema)
        validator = _validator(json.dumps(user_schema))
        _check_schema(validator, asset_type)
    elif f"types/{asset_type}" in schema_names():
        validator = _validator(_text(f"types/{asset_type}"))
    else:
        return
    raise_for(document, _found(document, validator, ("spec",)))


def _check_schema(validator: Any, asset_type: str) -> None:
    from jsonschema.exceptions import SchemaError

    try:
        type(validator).check_schema(validator.schema)
    except SchemaError as error:
        path = field_name(("types", asset_type, *error.absolute_path))
        raise InvalidInput(
            f"gitml.yaml: {path} is no valid JSON Schema: {shown(error.message)[1:-1]}",
            code="bad-schema",
            hint="correct the schema in gitml.yaml",
        ) from error


def faults(document: Document, name: str) -> list[Fault]:
    """The same as :func:`validate`, as a list."""
    return _found(document, _validator(_text(name)), ())


def _found(document: Document, validator: Any, below: tuple[str | int, ...]) -> list[Fault]:
    value = document.value
    for part in below:
        value = value[part] if isinstance(value, dict) and part in value else {}
    found = [fault for error in _errors(validator, value) for fault in _described(document, error, below)]
    return list(dict.fromkeys(found))


def raise_for(document: Document, found: Iterable[Fault]) -> None:
    """Raise one error for all faults of a document; nothing where there is none.

    Raises:
        InvalidInput: There is a fault.
    """
    ordered = sorted(found, key=lambda fault: (fault.line, fault.field))
    if not ordered:
        return
    first, others = ordered[0], ordered[1:_SHOWN_FAULTS]
    more = "".join(f"; line {fault.line}: {fault.field} {fault.rule}" for fault in others)
    more += f"; and {len(ordered) - _SHOWN_FAULTS} more" if len(ordered) > _SHOWN_FAULTS else ""
    raise InvalidInput(
        f"{document.file}:{first.line}: {first.field} {first.rule}{more}",
        code="bad-field",
        hint=first.fix,
        context={
            "file": document.file,
            "line": first.line,
            "field": first.field,
            "faults": [
                {"line": fault.line, "field": fault.field, "rule": fault.rule, "fix": fault.fix}
                for fault in ordered
            ],
        },
    )


def _errors(validator: Any, value: Any) -> list[ValidationError]:
    from referencing.exceptions import Unresolvable

    try:
        return list(validator.iter_errors(value))
    except Unresolvable as error:
        raise InvalidInput(
            f"a schema refers to {shown(error.ref)}, which is not in it",
            code="schema-reference",
            hint="define it under `$defs`",
        ) from error
    except RecursionError:
        raise InvalidInput(
            "a schema refers to itself without end",
            code="schema-recursion",
            hint="correct the schema in gitml.yaml",
        ) from None


def _described(document: Document, error: ValidationError, below: tuple[str | int, ...]) -> list[Fault]:
    path = (*below, *error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        path = (*path, str(error.instance))
    line = document.line_of(path)
    if error.validator == "required":
        wanted: Any = error.validator_value
        present: Any = error.instance
        return [
            Fault(line=line, field=field_name((*path, key)), rule="is missing", fix=f"add `{key}:`")
            for key in wanted
            if key not in present
        ]
    return [Fault(line=line, field=field_name(path), rule=_rule(error), fix=_fix(error))]


_TYPES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "null",
}


def _rule(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    found = shown(error.instance)
    match error.validator:
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else wanted
            return f"must be {' or '.join(_TYPES.get(kind, kind) for kind in kinds)}, and is {found}"
        case "const":
            return f"must be {wanted}, and is {found}"
        case "enum":
            return f"must be one of {', '.join(map(str, wanted))}, and is {found}"
        case "pattern":
            return f"must be {_description(error) or f'what matches {wanted}'}, and is {found}"
        case "minimum" | "minItems" | "minLength" | "minProperties":
            return f"must be at least {wanted}{_counted(error)}, and is {found}"
        case "maximum" | "maxItems" | "maxLength" | "maxProperties":
            return f"must be at most {wanted}{_counted(error)}, and is {found}"
        case "propertyNames" | "additionalProperties":
            return f"has a key that is not allowed: {shown(error.message)[1:-1]}"
        case _:
            return f"breaks the rule `{error.validator}`: {shown(error.message)[1:-1]}"


def _counted(error: ValidationError) -> str:
    kind = str(error.validator)
    for ending, word in (("Items", " entries"), ("Length", " characters long"), ("Properties", " keys")):
        if kind.endswith(ending):
            return word
    return ""


def _fix(error: ValidationError) -> str:
    if error.validator == "type" and error.validator_value == "string" and _is_plain(error.instance):
        key = error.absolute_path[-1] if error.absolute_path else ""
        text = json.dumps(error.instance)
        return (
            f'put it into quotes: {key}: "{text}"'
            if isinstance(key, str) and key
            else f'put it into quotes: "{text}"'
        )
    described = _description(error)
    return f"give {described}" if described else "correct the value"


def _description(error: ValidationError) -> str | None:
    described = error.schema.get("description") if isinstance(error.schema, dict) else None
    return described if isinstance(described, str) else None


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float))
