"""Schemas: they are valid, they are found, they fetch nothing, and a hostile one is refused."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput
from gitml.model import schemas
from gitml.model.canonical import dump
from gitml.model.names import ASSET_TYPES
from gitml.model.strict_yaml import Document, load
from gitml.model.user_schema import check_user_schema


def document(spec: Any) -> Document:
    return load(dump({"type": "reports", "spec": spec}), file="asset.yaml")


def test_every_schema_is_valid_and_closed_in_itself() -> None:
    names = schemas.schema_names()
    assert {
        "asset",
        "config",
        "about",
        "stage",
        "request",
        *(f"types/{kind}" for kind in ASSET_TYPES),
    } <= set(names)
    for name in names:
        found = schemas.schema(name)
        assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        jsonschema.Draft202012Validator.check_schema(found)
        for reference in _references(found):
            assert reference.startswith("#"), (name, reference)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in _references(item)]
    return [found for item in value for found in _references(item)] if isinstance(value, list) else []


@pytest.mark.parametrize(
    "name",
    [
        "", "nope", "../pyproject", "types", "types/", "/etc/passwd", "types/../asset", "asset.json", "a/b/c",
        "asset\n",
    ],
)  # fmt: skip
def test_there_is_no_other_schema(name: str) -> None:
    with pytest.raises(InvalidInput):
        schemas.schema(name)


def test_a_schema_is_the_callers_own() -> None:
    schemas.schema("asset").clear()
    assert schemas.schema("asset")


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("datasets", {"rows": -1}), ("datasets", {"columns": [{"type": "int"}]}), ("datasets", {"format": 1}),
        ("datasets", {"splits": []}), ("environments", {"python": 3.12}),
        ("environments", {"packages": "numpy"}), ("environments", {"packages": {"numpy": 2}}),
        ("environments", {"variables": {"A": 1}}), ("models", {"signature": "x"}),
        ("models", {"framework": ["tf"]}), ("models", {"signature": {"inputs": {}}}),
        ("experiments", {"status": "done"}), ("experiments", {"duration_s": -1}), ("experiments", {"seed": 1.5}),
        ("components", {"command": 1}), ("components", {"inputs": []}), ("endpoints", {"traffic": {"blue": 101}}),
        ("endpoints", {"traffic": [1]}), ("endpoints", {"model": 3}),
        ("endpoints", {"resources": {"instances": -1}}),
    ],
)  # fmt: skip
def test_known_names_of_a_spec_have_types(kind: str, spec: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        schemas.validate_spec(document(spec), kind, None)
    assert caught.value.context["field"].startswith("spec.")
    assert caught.value.message.startswith("asset.yaml:")


@pytest.mark.parametrize("kind", [*ASSET_TYPES, "reports"])
def test_other_names_of_a_spec_are_free(kind: str) -> None:
    schemas.validate_spec(document({"anything": {"a": [1, None]}, "other": 3}), kind, None)


def test_the_schema_of_a_registrys_own_type() -> None:
    schema = {
        "type": "object",
        "required": ["quarter"],
        "properties": {
            "quarter": {"enum": ["q1", "q2"], "description": "a quarter"},
            "n": {"$ref": "#/$defs/n"},
        },
        "$defs": {"n": {"type": "integer"}},
    }
    schemas.validate_spec(document({"quarter": "q1", "n": 3}), "reports", schema)
    with pytest.raises(InvalidInput) as caught:
        schemas.validate_spec(document({"n": "x"}), "reports", schema)
    assert [fault["field"] for fault in caught.value.context["faults"]] == ["spec.quarter", "spec.n"]


EVIL = [
    r"(a+)+$", r"(a|a)*$", r"(a|aa)+$", r"(.*a){20}$", r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(x+x+)+y", r"([a-zA-Z]+)*$",
    r"(a*)*b", r"((a+)+)+$", r"^(\w+\s?)*$",
    r"(\d+)+x", r"(?:a?){30}a{30}", r"^(a?){25}a{25}$", r"(([^/])*/)*$", r"a{1,100}{1,100}$", r"(a.*)*b", r"\s+$",
    r"(.+)+\1", "a", "",
]  # fmt: skip


@pytest.mark.parametrize("pattern", EVIL)
@pytest.mark.parametrize(
    "form",
    [
        lambda p: {"pattern": p},
        lambda p: {"properties": {"a": {"items": {"pattern": p}}}},
        lambda p: {"patternProperties": {p: {}}},
        lambda p: {"allOf": [{"not": {"if": {"then": {"pattern": p}}}}]},
        lambda p: {"$defs": {"x": {"dependentSchemas": {"y": {"pattern": p}}}}},
        lambda p: {"properties": {"pattern": {"pattern": p}}},
    ],
)
def test_regular_expressions_of_a_repository_are_not_run(form: Any, pattern: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        schemas.validate_spec(document({"a": "a" * 5000}), "reports", form(pattern))
    assert caught.value.code == "schema-expression"


def test_a_property_may_be_called_pattern() -> None:
    check_user_schema(
        {
            "properties": {"pattern": {"type": "string"}, "$ref": {"type": "string"}},
            "enum": [{"pattern": "x"}],
        }
    )


REFERENCES = [
    "http://127.0.0.1:{port}/x", "https://127.0.0.1:{port}/x", "HTTP://127.0.0.1:{port}/x", "//127.0.0.1:{port}/x",
    "file:///etc/passwd", "ftp://127.0.0.1/x", "urn:x", "other.json",
    "/etc/passwd", "../x", "data:,{{}}", "", "x#/a", "http://169.254.169.254/latest/meta-data",
    "https://json-schema.org/draft/2020-12/schema", " #/x",
]  # fmt: skip


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$recursiveRef"])
@pytest.mark.parametrize("reference", REFERENCES)
def test_references_that_leave_a_schema_are_refused(keyword: str, reference: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        hits: list[Any] = []
        listener.settimeout(0.05)

        def listen() -> None:
            try:
                hits.append(listener.accept())
            except OSError:
                return

        thread = threading.Thread(target=listen)
        thread.start()
        with pytest.raises(InvalidInput) as caught:
            schemas.validate_spec(
                document({"a": 1}), "reports", {"properties": {"a": {keyword: reference.format(port=port)}}}
            )
        thread.join()
    assert caught.value.code == "schema-reference"
    assert hits == []


@pytest.mark.parametrize("reference", [3, None, {}, []])
def test_references_must_be_texts(reference: Any) -> None:
    with pytest.raises(InvalidInput):
        check_user_schema({"$ref": reference})


@pytest.mark.parametrize(
    "schema",
    [
        {"$id": "http://x/y"}, {"$schema": "http://json-schema.org/draft-07/schema#"}, {"$vocabulary": {}},
        {"$schema": "http://x"},
    ],
)  # fmt: skip
def test_a_schema_may_not_change_its_own_base(schema: Any) -> None:
    with pytest.raises(InvalidInput):
        check_user_schema(schema)


DOUBLING = {
    "$defs": {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)} | {"a40": {}},
    "$ref": "#/$defs/a0",
}
NESTED: dict[str, Any] = {}
for _ in range(28):
    NESTED = {"unevaluatedProperties": False, "allOf": [NESTED]}
CIRCLE = {
    "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"properties": {"x": {"$ref": "#/$defs/a"}}}},
    "$ref": "#/$defs/a",
}


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        (DOUBLING, "schema-too-costly"), (NESTED, "schema-too-costly"), (CIRCLE, "schema-circle"),
        ({"allOf": [{}] * 2001}, "schema-too-costly"), ({"properties": {"a": {"$ref": "#/properties/a"}}}, "schema-circle"),
    ],
)  # fmt: skip
def test_schemas_that_would_take_long_are_refused(schema: Any, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        schemas.validate_spec(document({"a": {"x": 1}}), "reports", schema)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"}, {"required": "a"}, {"properties": []}, {"minimum": "1"}, {"$ref": "#/$defs/none"},
        {"$ref": "#"},
    ],
)  # fmt: skip
def test_schemas_that_make_no_sense_are_refused(schema: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        schemas.validate_spec(document({"a": 1}), "reports", schema)
    assert caught.value.message.isprintable()


@given(
    st.recursive(
        st.sampled_from([True, False, {}, {"type": "object"}, {"const": 1}]),
        lambda inner: (
            st.dictionaries(
                st.sampled_from(["not", "if", "then", "else", "items", "contains", "additionalProperties"]),
                inner,
                max_size=2,
            )
            | st.fixed_dictionaries(
                {"properties": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)}
            )
        ),
        max_leaves=5,
    )
)
def test_any_schema_judges_or_is_refused(schema: Any) -> None:
    try:
        schemas.validate_spec(document({"a": [1], "b": {"a": "x"}}), "reports", schema)
    except InvalidInput as error:
        assert error.message.isprintable()


@pytest.mark.parametrize(
    "modules", ["names, reference, digest, paths, glob, progress, redact, where, store_url"]
)
def test_light_modules_stay_light(modules: str) -> None:
    script = f"from gitml.model import {modules}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"yaml", "jsonschema", "msgspec", "referencing", "zstandard", "git", "fsspec", "rich"} & set(
        json.loads(done.stdout)
    )


def test_reading_a_valid_pointer_does_not_need_jsonschema() -> None:
    script = """
import sys
from pathlib import Path
from gitml.model.pointer import Pointer
Pointer.parse(Path(sys.argv[1]).read_bytes(), file="f")
print("jsonschema" in sys.modules)
"""
    golden = __file__.replace("test_schemas.py", "golden/pointer.yaml")
    done = subprocess.run([sys.executable, "-c", script, golden], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
