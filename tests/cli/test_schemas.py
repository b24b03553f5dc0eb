from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from support.document_schemas import FOLDER, RESULTS, all_schemas, text_of

from gitml.cli.commands import full_names
from gitml.model.schemas import schema


def test_every_command_has_a_schema() -> None:
    assert set(full_names()) - {"store", "pr", "ci"} == set(RESULTS)


def test_the_schemas_say_what_the_results_hold() -> None:
    drawn = {name: text_of(one) for name, one in all_schemas().items()}
    shipped = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    stale = sorted(name for name in drawn.keys() | shipped.keys() if drawn.get(name) != shipped.get(name))
    assert stale == [], "results changed; look at it, then: python tests/support/document_schemas.py"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_each_is_a_valid_schema_that_the_package_ships(path: object) -> None:
    found = schema(f"json/{path.stem}")  # type: ignore[attr-defined]
    Draft202012Validator.check_schema(found)
    assert "http" not in json.dumps({key: value for key, value in found.items() if key != "$schema"})


def test_the_failure_is_the_same_everywhere() -> None:
    errors = {json.dumps(schema(f"json/{path.stem}")["$defs"]["error"]) for path in FOLDER.glob("*.json")}
    assert len(errors) == 1
