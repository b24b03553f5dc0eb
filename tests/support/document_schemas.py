"""The schemas of the `--json` documents, drawn from the results that the API returns.

`python tests/support/document_schemas.py` writes `schemas/json/*.json`; a test compares them, so that no field
of a result changes without its schema saying so.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from gitml.cli.demo.walk import Demonstration
from gitml.errors import GitMLError
from gitml.forge.base import Request
from gitml.model.digest import Digest
from gitml.model.names import AssetId, Version, VersionId
from gitml.model.request import Actor, EventActor
from gitml.promotion.audit import HistoryVerification
from gitml.promotion.check import Checked
from gitml.promotion.events import Events
from gitml.promotion.history import History
from gitml.promotion.merge import Merged
from gitml.promotion.propose import Promotion
from gitml.registry.care.checking import StoreCheck
from gitml.registry.care.garbage import Forgotten, GarbageCollection
from gitml.registry.care.repair import Repaired
from gitml.registry.care.replication import Replicated
from gitml.registry.care.stored import DiskUsage, StoreInfo, StoreVerification, Trusted
from gitml.registry.care.upkeep import Purged, Repacked
from gitml.registry.care.verification import Verification
from gitml.registry.place.placement import Placement
from gitml.registry.place.status import Status
from gitml.registry.read.diff import Difference
from gitml.registry.read.lineage import Lineage
from gitml.registry.read.listing import Listing, Shown
from gitml.registry.setup.doctor import Diagnosis
from gitml.registry.setup.hooks import Installed
from gitml.registry.setup.initialise import Initialised
from gitml.registry.setup.pipelines import Pipeline
from gitml.registry.share.outgoing import Hooked
from gitml.registry.share.sync import Pulled, Pushed
from gitml.registry.write.edit import Edited
from gitml.registry.write.registered import Registered

FOLDER = Path(__file__).resolve().parents[2] / "schemas" / "json"
DRAFT = "https://json-schema.org/draft/2020-12/schema"

# Command -> its result: a dataclass, or the fields of a document that wraps a list.
RESULTS: dict[str, type | dict[str, Any]] = {
    "alias": Edited,
    "check": Checked,
    "ci init": Pipeline,
    "completion": {"shell": str, "script": str},
    "demo": Demonstration,
    "deprecate": Edited,
    "diff": Difference,
    "doctor": Diagnosis,
    "events": Events,
    "get": Placement,
    "history": History,
    "hook": Hooked,
    "init": Initialised,
    "install": Installed,
    "lineage": Lineage,
    "list": Listing,
    "pr approve": Request,
    "pr close": Request,
    "pr list": {"requests": tuple[Request, ...]},
    "pr merge": Merged,
    "pr reject": Request,
    "pr show": Request,
    "promote": Promotion,
    "pull": Pulled,
    "push": Pushed,
    "register": Registered,
    "rollback": Promotion,
    "show": Shown,
    "status": Status,
    "store check": StoreCheck,
    "store adopt": Registered,
    "store du": DiskUsage,
    "store forget": Forgotten,
    "store gc": GarbageCollection,
    "store list": {"stores": tuple[StoreInfo, ...]},
    "store purge": Purged,
    "store repack": Repacked,
    "store repair": Repaired,
    "store replicate": Replicated,
    "store trust": Trusted,
    "store verify": StoreVerification,
    "verify": Verification,
}
# Commands whose result is another one with another option.
ALSO: dict[str, type] = {"verify": HistoryVerification}
# Commands that end with another exit code than 0 and yet have a result, with the error beside it.
JUDGING = {"check", "diff", "doctor", "list", "status"}
# Commands with a dry run whose result has no `plan` of its own: the document then holds nothing but the plan.
PLANNED = {
    "alias",
    "ci init",
    "deprecate",
    "init",
    "install",
    "pr approve",
    "pr close",
    "pr merge",
    "pr reject",
    "pull",
    "push",
    "store forget",
    "store gc",
    "store purge",
    "store repack",
    "store repair",
    "store replicate",
    "store trust",
}

_TEXT = {"type": "string"}
_NAME = "[a-z0-9][a-z0-9._-]*"
_PLAIN: dict[Any, dict[str, Any]] = {
    str: _TEXT,
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Path: _TEXT,
    PurePath: _TEXT,
    Version: _TEXT,
    datetime: {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"},
    Digest: {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
    AssetId: {"type": "string", "pattern": f"^[a-z0-9_-]+/{_NAME}$"},
    GitMLError: {"$ref": "#/$defs/error"},
    VersionId: {"type": "string", "pattern": f"^[a-z0-9_-]+/{_NAME}@[A-Za-z0-9][A-Za-z0-9.+_-]*$"},
}
_POINTER = {
    "type": "object",
    "description": "The pointer's fields under their own names.",
    "required": ["schema", "type", "name", "version", "contents"],
}
_FAILURE = {
    "type": "object",
    "description": "Why the command failed; its exit code says which kind of failure it is.",
    "required": ["code", "message", "hint", "context"],
    "properties": {
        "code": {
            "type": "string",
            "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$",
            "description": "Stable name of the rule.",
        },
        "message": {"type": "string", "description": "What happened to which thing, and why."},
        "hint": {"type": ["string", "null"], "description": "What to do next."},
        "context": {"type": "object", "description": "Facts: names, digests, sizes."},
    },
}
_DONE = {"type": "array", "items": _TEXT, "description": "What worked, where some of a batch failed."}


class _Drawing:
    """Schemas of types, those of dataclasses under their names."""

    def __init__(self) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        if kind is Any:
            return {}
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            return self._any_of([self.of(one) for one in arguments])
        if origin in (tuple, list, Sequence, frozenset):
            return {"type": "array", "items": self.of(arguments[0])}
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {"enum": [one.value for one in kind]}
        if kind is Actor:
            return self._reference(EventActor)
        if is_dataclass(kind) and isinstance(kind, type):
            return self._reference(kind)
        raise TypeError(f"no schema for {kind}")

    def fields_of(self, kind: type) -> dict[str, dict[str, Any]]:
        # The demo imports the history only for its annotations.
        hints = typing.get_type_hints(kind, localns={"History": History})
        notes = _notes(kind)
        found = {}
        for item in fields(kind):
            if item.name.startswith("_"):
                continue
            drawn = dict(_POINTER) if (kind, item.name) == (Shown, "asset") else self.of(hints[item.name])
            if item.name in notes:
                drawn["description"] = notes[item.name]
            found[item.name.rstrip("_")] = drawn
        return found

    def _reference(self, kind: type) -> dict[str, Any]:
        name = kind.__name__
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = _object(self.fields_of(kind), _summary(kind))
        return {"$ref": f"#/$defs/{name}"}

    @staticmethod
    def _any_of(drawn: list[dict[str, Any]]) -> dict[str, Any]:
        if all(set(one) == {"type"} for one in drawn):
            return {"type": [one["type"] for one in drawn]}
        return {"anyOf": drawn}


def _object(properties: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": list(properties),
        "properties": properties,
    }


def _summary(kind: type) -> str:
    return (inspect.getdoc(kind) or kind.__name__).split("\n\n")[0].replace("\n", " ")


def _notes(kind: type) -> dict[str, str]:
    """What the docstring says of each attribute."""
    _, _, section = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    notes: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        start = re.match(r"    ([a-z_]+(?:, [a-z_]+)*): (.+)", line)
        if start:
            names = start[1].split(", ")
            notes |= dict.fromkeys(names, start[2])
        elif line.startswith("        "):
            notes |= {name: f"{notes[name]} {line.strip()}" for name in names}
        else:
            break
    return notes


def schema_of(command: str) -> dict[str, Any]:
    """The schema of one command's document."""
    drawing = _Drawing()
    name = f"gitml/{command.replace(' ', '-')}/v1"
    head = {"schema": {"const": name}}
    result = RESULTS[command]
    properties = (
        {key: drawing.of(kind) for key, kind in result.items()}
        if isinstance(result, dict)
        else drawing.fields_of(result)
    )
    described = "The result." if isinstance(result, dict) else _summary(result)
    kinds = {"result": _object(head | properties, described)}
    if command in JUDGING:
        kinds["result"]["properties"] |= _beside(properties)
    if command in ALSO:
        also = ALSO[command]
        kinds["other"] = _object(head | drawing.fields_of(also), _summary(also))
    if command in PLANNED:
        plan = _object(properties, "What would be done.")
        kinds["plan"] = _object(head | {"plan": plan}, "A dry run: nothing was done.")
    body = _document(name, f"gitml {command} --json", kinds, drawing.definitions)
    if command in JUDGING:
        body["$defs"]["failure"]["not"] = {"required": [next(iter(properties))]}
    return body


def _beside(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside a result that is a failure, too."""
    error = {"$ref": "#/$defs/error", "description": "Why the exit code is not 0; absent where it is."}
    return {"error": error, "done": _DONE} if "failed" in properties else {"error": error}


def general_schema() -> dict[str, Any]:
    """The schema of a failure before any command was known."""
    return _document("gitml/error/v1", "gitml --json, when no command could be read", {}, {})


def _document(
    name: str, title: str, kinds: dict[str, dict[str, Any]], definitions: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    failure = _object({"schema": {"const": name}, "error": {"$ref": "#/$defs/error"}}, "The command failed.")
    failure["properties"] |= {
        "done": _DONE,
        "failed": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/error"},
            "description": "What failed of a batch, and why.",
        },
    }
    failure["dependentRequired"] = {"done": ["failed"], "failed": ["done"]}
    kinds = kinds | {"failure": failure}
    return {
        "$schema": DRAFT,
        "$id": f"urn:gitml:schema:json/{name.split('/')[1]}",
        "title": title,
        "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in kinds],
        "$defs": kinds | {"error": _FAILURE} | dict(sorted(definitions.items())),
    }


def all_schemas() -> dict[str, dict[str, Any]]:
    """File name -> schema."""
    drawn = {f"{command.replace(' ', '-')}.json": schema_of(command) for command in RESULTS}
    return drawn | {"error.json": general_schema()}


def text_of(schema: dict[str, Any]) -> str:
    """A schema as it is written."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def closed(schema: Any) -> Any:
    """The schema with no room for fields that it does not name."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    tight = {key: closed(value) for key, value in schema.items()}
    if isinstance(tight.get("properties"), dict) and "required" in tight:
        tight.setdefault("additionalProperties", False)
    return tight


def main() -> None:
    """Write every schema."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, schema in all_schemas().items():
        (FOLDER / name).write_text(text_of(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
