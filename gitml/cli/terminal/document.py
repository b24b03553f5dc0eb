"""What goes to stdout for a machine: one JSON document per command."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import Any

from gitml.cli.terminal.failure import error_body
from gitml.cli.terminal.text import moment
from gitml.errors import GitMLError
from gitml.model.digest import Digest
from gitml.model.names import AssetId, Version, VersionId
from gitml.model.redact import redact
from gitml.model.reference import AssetRef

# Texts too short or too regular to hold a credential, which spares long documents most of the search for one.
_HARMLESS = re.compile(r"(?:sha256:)?[0-9a-f]{40,64}|[^\s:=?&]{0,19}")
_AS_TEXT = (Digest, Version, VersionId, AssetId, AssetRef, PurePath)
GENERAL = "error"


def schema_name(command: str) -> str:
    """`pr list` -> `gitml/pr-list/v1`."""
    return f"gitml/{command.replace(' ', '-')}/v1"


def value_of(value: object) -> Any:
    """A value of the API as a JSON value; dataclasses by field name.

    Raises:
        TypeError: A type that no document may hold: a programmer's mistake.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if _HARMLESS.fullmatch(value) else redact(value)
    if isinstance(value, _AS_TEXT):
        return redact(str(value))
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, GitMLError):
        return error_body(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {
            item.name.rstrip("_"): value_of(getattr(value, item.name))
            for item in fields(value)
            if not item.name.startswith("_")
        }
    if isinstance(value, Mapping):
        return {str(value_of(key)): value_of(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted(value_of(item) for item in value)
    if isinstance(value, list | tuple):
        return [value_of(item) for item in value]
    raise TypeError(f"a JSON document cannot hold a {type(value).__name__}")


def document(command: str, result: object) -> dict[str, Any]:
    """The document of a command that worked.

    A result that is a list of things comes under its command's own last word, as `{"requests": […]}` would.
    """
    body = value_of(result)
    if not isinstance(body, dict):
        raise TypeError(
            f"the result of {command} must be a dataclass or a mapping, not {type(result).__name__}"
        )
    return {"schema": schema_name(command), **body}


def dumps(body: Mapping[str, Any], *, indent: bool) -> str:
    """JSON text in ASCII, with a line break at its end."""
    return json.dumps(body, indent=2 if indent else None, allow_nan=False) + "\n"
