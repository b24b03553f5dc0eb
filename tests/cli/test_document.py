from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from gitml.cli.terminal.document import document, dumps, value_of
from gitml.model.digest import Digest
from gitml.model.names import AssetId, Version, VersionId

ASSET = AssetId(type="models", name="digits")


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    from_: tuple[str, ...]
    _private: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    ref: VersionId
    inner: Inner
    aliases: dict[Version, AssetId]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Digest.parse("sha256:" + "ab" * 32), "sha256:" + "ab" * 32),
        (Version.parse("3"), "3"),
        (ASSET, "models/digits"),
        (VersionId(asset=ASSET, version=Version.parse("3")), "models/digits@3"),
        (datetime(2026, 11, 21, 4, 30, tzinfo=UTC), "2026-11-21T04:30:00Z"),
        (PurePosixPath("a/b"), "a/b"),
        (Path("a/b"), "a/b"),
        (Colour.RED, "red"),
        ((1, None, True), [1, None, True]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ("https://ada:hunter2secret@example.com/x", "https://***@example.com/x"),
    ],
)
def test_values(value: object, expected: Any) -> None:
    assert value_of(value) == expected


def test_dataclasses_come_by_field_name() -> None:
    outer = Outer(
        ref=VersionId(asset=ASSET, version=Version.parse("1.0.0")),
        inner=Inner(from_=("main",)),
        aliases={Version.parse("2"): ASSET},
    )
    assert document("pr list", outer) == {
        "schema": "gitml/pr-list/v1",
        "ref": "models/digits@1.0.0",
        "inner": {"from": ["main"]},
        "aliases": {"2": "models/digits"},
    }


def test_what_no_document_can_hold_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        value_of(object())
    with pytest.raises(TypeError):
        document("list", ["not", "a", "mapping"])
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps({"x": float("nan")}, indent=False)


def test_documents_are_one_line_of_ascii_for_programs() -> None:
    text = dumps({"name": "ü\u202e"}, indent=False)
    assert text.isascii()
    assert text.count("\n") == 1
    assert json.loads(text) == {"name": "ü\u202e"}
