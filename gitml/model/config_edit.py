"""Adding a store to the text of a `gitml.yaml` without touching any other line."""

from __future__ import annotations

import re
from typing import Any

import yaml

from gitml.errors import Conflict, InvalidInput
from gitml.model import strict_yaml
from gitml.model.canonical import key_text, string
from gitml.model.config import STORE_NAME
from gitml.model.shown import shown

_FILE = "gitml.yaml"


def add_store(text: bytes, name: str, url: str) -> bytes:
    """Add a store; the same store again changes nothing.

    Raises:
        InvalidInput: The text breaks a rule, or the name does.
        Conflict: There is a store of this name with another URL.
    """
    if STORE_NAME.fullmatch(name) is None:
        raise InvalidInput(
            f"{shown(name)} is no valid name of a store", code="bad-store-name", hint=STORE_NAME.pattern
        )
    before = strict_yaml.load(text, file=_FILE).value
    if not isinstance(before, dict) or not isinstance(before.get("stores", {}), dict):
        raise InvalidInput(f"{_FILE}: `stores` must be a mapping", code="bad-field", hint=f"correct {_FILE}")
    existing = before.get("stores", {}).get(name)
    if existing is not None:
        if isinstance(existing, dict) and existing.get("url") == url:
            return text
        raise Conflict(
            f"{_FILE} has a store {name} already, with another URL",
            code="store-exists",
            hint=f"edit {_FILE} if the store has moved",
            context={"store": name},
        )
    after = _inserted(text.decode("utf-8"), name, url).encode("utf-8")
    wanted = before | {"stores": {**before.get("stores", {}), name: {"url": url}}}
    if strict_yaml.load(after, file=_FILE).value != wanted:
        raise InvalidInput(
            f"{_FILE} is written in a way that GitML cannot edit safely",
            code="cannot-edit",
            hint=f"add to it by hand: stores: {{{name}: {{url: {string(url)}}}}}",
        )
    return after


def _inserted(text: str, name: str, url: str) -> str:
    block = f"{key_text(name)}:\n  url: {string(url)}\n"
    position = _stores_position(text)
    if position is None:
        return _appended(text, "stores:\n" + _indented(block, 2))
    key, value = position
    if value.flow_style:
        start = value.start_mark.index + 1
        if _is_empty_flow(text, start):
            end = text.index("}", start) + 1
            line_end = text.find("\n", end)
            rest = text[end : line_end if line_end >= 0 else len(text)]
            tail = text[line_end + 1 :] if line_end >= 0 else ""
            if not rest.strip() or rest.lstrip().startswith("#"):
                head = text[: key.end_mark.index] + ":" + rest.rstrip()
                return f"{head}\n{_indented(block, key.start_mark.column + 2)}{tail}"
            return f"{text[:start]}{key_text(name)}: {{url: {string(url)}}}{text[end - 1 :]}"
        return f"{text[:start]}{key_text(name)}: {{url: {string(url)}}}, {text[start:]}"
    line_start = text.rfind("\n", 0, value.start_mark.index) + 1
    return text[:line_start] + _indented(block, value.start_mark.column) + text[line_start:]


def _is_empty_flow(text: str, start: int) -> bool:
    return re.match(r"\s*\}", text[start:]) is not None


def _indented(block: str, columns: int) -> str:
    return "".join(" " * columns + line for line in block.splitlines(keepends=True))


def _appended(text: str, block: str) -> str:
    closed = text if text.endswith("\n") else text + "\n"
    return closed + block


def _stores_position(text: str) -> tuple[Any, Any] | None:
    """Events of the key `stores` and of its value, at the top level."""
    depth, key, is_key = 0, None, True
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if depth == 1 and isinstance(event, yaml.NodeEvent):
            if not is_key and key is not None and key.value == "stores":
                return key, event
            key = event if is_key and isinstance(event, yaml.ScalarEvent) else None
            is_key = not is_key
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
    return None
