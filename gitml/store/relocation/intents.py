"""Intents, `gc/moving/<id>`: a layout that a version is about to be given, which keeps it alive until it has it.

Each operation writes its own under a name that nobody else has, so that no other can take it away.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any, Final

from gitml.errors import IntegrityError, NotFound
from gitml.store.formats.root import Root, decode_root, encode_root
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.media.objects import put_named

SCHEMA: Final = "gitml/moving/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What an operation is about to do.

    Attributes:
        version: Name of the root that is to be replaced.
        root: What it is to be replaced by.
    """

    version: str
    root: Root


def write_intent(medium: Medium, version: str, root: Root) -> str:
    """Keep a layout alive; the name of the intent. On return every later look of a collector sees it.

    Raises:
        OutcomeUnknown: A reply was lost, and the look failed too.
    """
    name = f"{layout.MOVING}{secrets.token_hex(16)}"
    body = {"schema": SCHEMA, "name": version, "root": json.loads(encode_root(root))}
    put_named(medium, name, [json.dumps(body, indent=1).encode() + b"\n"])
    return name


def read_intents(medium: Medium) -> dict[str, Intent]:
    """Every intent that stands, by its name.

    Raises:
        IntegrityError: One is damaged: what it keeps alive is not known.
    """
    intents = {}
    for name, _ in medium.list(layout.MOVING):
        try:
            intents[name] = _decode(medium.get(name), name)
        except NotFound:
            continue
    return intents


def _decode(data: bytes, name: str) -> Intent:
    try:
        body: Any = json.loads(data)
        if body["schema"] == SCHEMA:
            root = decode_root(json.dumps(body["root"]).encode(), name)
            return Intent(version=str(body["name"]), root=root)
    except (ValueError, KeyError, TypeError):
        pass
    raise IntegrityError(
        f"{name} is damaged: what it keeps alive is not known",
        code="object-malformed",
        hint="remove it once no register, repack, repair or purge is at work on that store",
        context={"object": name},
    )
