"""Holds calls against a vendor's published OpenAPI document: method, path, query and body.

The documents are not part of the project. They lie in `.servers/openapi/VENDOR.json` where `.ci/run` put them; without
one nothing is held against it, and the tests that ask for it are skipped.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .routing import Call  # noqa: TID252 - by either name of the package

FOLDER = Path(__file__).resolve().parents[3] / ".servers/openapi"


def is_there(vendor: str) -> bool:
    """Whether the document of a vendor is installed."""
    return (FOLDER / f"{vendor}.json").exists()


@cache
def _document(vendor: str) -> tuple[dict[str, Any], list[tuple[re.Pattern[str], str]]]:
    document = json.loads((FOLDER / f"{vendor}.json").read_text())
    paths = []
    # Names without parameters first: /pulls/comments is not a pull request.
    for path in sorted(document["paths"], key=lambda text: (text.count("{"), text)):
        paths.append((re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))), path))
    return document, paths


def complaint(vendor: str, call: Call) -> str | None:
    """What the document has against a call."""
    if not is_there(vendor):
        return None
    document, paths = _document(vendor)
    path = next((name for pattern, name in paths if pattern.fullmatch(call.path)), None)
    if path is None:
        return "no such path is published"
    item = document["paths"][path]
    operation = item.get(call.method.lower())
    if operation is None:
        return f"{path} has no method {call.method}"
    parameters = [
        _resolved(document, one) for one in [*item.get("parameters", []), *operation.get("parameters", [])]
    ]
    return _query(document, parameters, call) or _path(document, parameters, path, call) or _body(
        document, operation, call
    )  # fmt: skip


def _resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        found: Any = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        value = found
    return value


def _query(document: dict[str, Any], parameters: list[dict[str, Any]], call: Call) -> str | None:
    known = {one["name"]: one for one in parameters if one["in"] == "query"}
    for name, values in call.query.items():
        if name not in known:
            return f"no parameter {name} is published"
        fault = _fault(document, known[name].get("schema", {}), _typed(document, known[name], values[0]))
        if fault is not None:
            return f"parameter {name}: {fault}"
    missing = [name for name, one in known.items() if one.get("required") and name not in call.query]
    return f"parameter {missing[0]} is missing" if missing else None


def _path(document: dict[str, Any], parameters: list[dict[str, Any]], path: str, call: Call) -> str | None:
    known = {one["name"]: one for one in parameters if one["in"] == "path"}
    for name, text in zip(path.split("/"), call.path.split("/"), strict=True):
        one = known.get(name.strip("{}")) if name.startswith("{") else None
        if one is not None:
            fault = _fault(document, one.get("schema", {}), _typed(document, one, unquote(text)))
            if fault is not None:
                return f"{name}: {fault}"
    return None


def _typed(document: dict[str, Any], parameter: dict[str, Any], text: str) -> Any:
    kind = _resolved(document, parameter.get("schema", {})).get("type")
    if kind in ("integer", "number") and re.fullmatch(r"-?\d+", text):
        return int(text)
    return {"true": True, "false": False}.get(text, text) if kind == "boolean" else text


def _body(document: dict[str, Any], operation: dict[str, Any], call: Call) -> str | None:
    body = _resolved(document, operation.get("requestBody", {}))
    if not body:
        return "a body is sent, and none is published" if call.body else None
    if not call.body:
        return "the body is missing" if body.get("required") else None
    media = body["content"].get("application/json")
    if media is None:
        return None
    try:
        value = json.loads(call.body)
    except ValueError:
        return "the body is no JSON"
    fault = _fault(document, media["schema"], value)
    if fault is not None:
        return f"body: {fault}"
    known = _resolved(document, media["schema"]).get("properties")
    extra = sorted(set(value) - set(known)) if isinstance(value, dict) and known else []
    return f"body: no field {extra[0]} is published" if extra else None


def _fault(document: dict[str, Any], schema: dict[str, Any], value: Any) -> str | None:
    """The first thing that a schema has against a value."""
    import jsonschema

    whole = {
        **schema,
        "components": document.get("components", {}),
        "definitions": document.get("definitions", {}),
    }
    kind = jsonschema.Draft4Validator if "swagger" in document or str(
        document.get("openapi", "")
    ).startswith("3.0") else jsonschema.Draft202012Validator  # fmt: skip
    if isinstance(value, type(None)) and schema.get("nullable"):
        return None
    error = next(iter(kind(whole).iter_errors(value)), None)
    return None if error is None else error.message[:200]
