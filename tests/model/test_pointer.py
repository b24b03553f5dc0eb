"""The pointer: frozen by a golden file, read back exactly, and refused with file, line, field, rule and fix."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput
from gitml.model import schemas, strict_yaml
from gitml.model.canonical import dump
from gitml.model.config import Config, initial
from gitml.model.digest import Digest
from gitml.model.names import ASSET_TYPES, AssetId, Version, VersionId
from gitml.model.pointer import Contents, External, Input, Pointer, Source
from gitml.model.source_url import SourceUrl

GOLDEN = (Path(__file__).parent / "golden" / "pointer.yaml").read_bytes()
FILE = "models/digits/3/asset.yaml"
ID = VersionId(asset=AssetId(type="models", name="digits"), version=Version.parse("3"))
CONFIG = Config.parse(initial("6c1d0b9e-5a1f-4f0e-9d57-0c8f5a3b2e11", "main", None), file="gitml.yaml")
D1 = Digest.parse("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
D2 = Digest.parse("sha256:77ab7f3c6b1d5e0e9a4c2f8b6d3e1a0f5c7b9d2e4f6a8c0b1d3e5f7a9b0c2d4e")
POINTER = Pointer(
    id=ID,
    description="CNN on 8x8 digits",
    created="2026-11-21T04:30:00Z",
    author="Ada Example <ada@example.com>",
    labels={"team": "vision", "licence": "MIT"},
    contents=Contents(
        digest=D1, listing=D2, size_bytes=4831838, files=3, store="default", review=("README.md",)
    ),
    inputs=(
        Input(
            ref=VersionId(asset=AssetId(type="datasets", name="digits"), version=Version.parse("1")),
            digest=D1,
            role="training",
        ),
    ),
    source=Source(
        repo="git@host:team/repo.git",
        commit="4f2c884c7d659a2feaa0c55ad015a3bf4f1b2b0b",
        dirty=False,
        path="train.py",
        command="python train.py",
    ),
    params={"learning_rate": 0.001, "epochs": 5},
    metrics={"accuracy": 0.981},
)
EXTERNAL = External(files=2, size_bytes=7, sources=(SourceUrl.parse("s3://team-ml/raw"),))
VALUE: dict[str, Any] = strict_yaml.load(GOLDEN, file=FILE).value


def parsed(value: dict[str, Any], **kwargs: Any) -> Pointer:
    return Pointer.parse(dump(value), file=FILE, **kwargs)


def refused(data: bytes, **kwargs: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        Pointer.parse(data, file=FILE, **kwargs)
    assert caught.value.message.startswith(f"{FILE}:")
    assert caught.value.message.isprintable()
    assert caught.value.hint
    return caught.value


def test_the_pointer_never_changes() -> None:
    """Version 1 is read and written for ever: a difference here is a mistake in the code."""
    assert POINTER.format() == GOLDEN
    assert Pointer.parse(GOLDEN, file=FILE, expect=ID) == POINTER


def test_the_fields_come_under_their_own_names() -> None:
    assert POINTER.to_dict() == VALUE
    assert list(POINTER.to_dict()) == list(VALUE)


def test_the_least_a_pointer_can_say() -> None:
    keys = ("schema", "type", "name", "version", "created", "author", "contents")
    least = parsed({key: VALUE[key] for key in keys})
    assert (least.description, least.labels, least.inputs, least.source) == (None, {}, (), Source())
    assert Pointer.parse(least.format(), file=FILE) == least


def test_an_unquoted_version_is_refused_with_the_line_and_the_advice() -> None:
    error = refused(GOLDEN.replace(b'version: "3"', b"version: 3"))
    assert error.message == f"{FILE}:4: version must be a text, and is 3"
    assert error.hint == 'put it into quotes: version: "3"'


@pytest.mark.parametrize(
    "version",
    [
        b"3", b"1.10", b"1e5", b"true", b"null", b"[]", b"{}", b"''", b"../x", b"con", b"1.yaml", b"a b", b"-1",
    ],
)  # fmt: skip
def test_versions_that_are_refused(version: bytes) -> None:
    assert refused(GOLDEN.replace(b'version: "3"', b"version: " + version)).context["field"] == "version"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("schema",), "gitml/asset/v2", "schema"), (("schema",), "gitml/config/v1", "schema"), (("schema",), 1, "schema"),
        (("type",), "model", "type"), (("type",), "reports", "type"), (("type",), "../x", "type"), (("name",), "Digits", "name"),
        (("name",), "..", "name"), (("name",), 3, "name"), (("description",), 3, "description"),
        (("description",), None, "description"), (("description",), "two\nlines", "description"),
        (("description",), "end\n", "description"), (("description",), "a\u2028b", "description"),
        (("description",), "a\0b", "description"), (("author",), "a\0 <b>", "author"),
        (("labels", ""), "x", "labels"), (("labels", "a\0"), "x", "labels"), (("labels", "team"), "a\0", "labels.team"),
        (("params", ""), 1, "params"), (("metrics", ""), 1, "metrics"),
        (("source", "command"), "a\0b", "source.command"), (("source", "path"), "a\0b", "source.path"),
        (("source", "repo"), "a\0b", "source.repo"), (("inputs", 0, "role"), "a\0b", "inputs[0].role"),
        (("inputs", 0, "ref"), "datasets/digits@latest", "inputs[0].ref"),
        (("inputs", 0, "ref"), "other//datasets/digits@latest", "inputs[0].ref"),
        (("contents", "review"), ["asset.yaml"], "contents.review"),
        (("contents", "review"), ["Asset.YAML"], "contents.review"),
        (("created",), "2026-11-21", "created"), (("created",), "2026-11-21T04:30:00", "created"),
        (("created",), "2026-13-21T04:30:00Z", "created"),
        (("created",), "2026-11-21T04:30:00+01:00", "created"), (("author",), "", "author"), (("labels",), [], "labels"),
        (("labels", "team"), 3, "labels.team"), (("labels", "team"), None, "labels.team"), (("contents",), None, "contents"),
        (("contents", "digest"), "md5:9f86d081884c7d659a2feaa0c55ad015", "contents.digest"),
        (("contents", "digest"), str(D1).upper(), "contents.digest"),
        (("contents", "listing"), "", "contents.listing"), (("contents", "size"), -1, "contents.size"),
        (("contents", "size"), 1.5, "contents.size"),
        (("contents", "size"), "1", "contents.size"), (("contents", "size"), True, "contents.size"),
        (("contents", "files"), 0, "contents.files"),
        (("contents", "store"), "s3://bucket/x", "contents.store"),
        (("contents", "store"), "../x", "contents.store"), (("contents", "kind"), "links", "contents.kind"),
        (("contents", "review"), ["a/b"], "contents.review"), (("contents", "review"), ["a"] * 9, "contents.review"),
        (("contents", "review"), ["../x"], "contents.review"),
        (("contents", "review"), "README.md", "contents.review"), (("inputs",), {}, "inputs"),
        (("inputs", 0), "datasets/digits@1", "inputs[0]"),
        (("inputs", 0, "ref"), "digits@1", "inputs[0].ref"),
        (("inputs", 0, "ref"), "datasets/digits", "inputs[0].ref"),
        (("inputs", 0, "ref"), "dataset/digits@1", "inputs[0].ref"),
        (("inputs", 0, "ref"), "datasets/digits/1", "inputs[0].ref"),
        (("inputs", 0, "ref"), "datasets/digits@1:x", "inputs[0].ref"),
        (("inputs", 0, "ref"), f"datasets/digits@{D1}", "inputs[0].ref"),
        (("inputs", 0, "digest"), "x", "inputs[0].digest"), (("inputs", 0, "role"), 1, "inputs[0].role"),
        (("source",), [], "source"), (("source", "commit"), "4f2c", "source.commit"),
        (("source", "commit"), "main", "source.commit"), (("source", "dirty"), "no", "source.dirty"),
        (("source", "repo"), 1, "source.repo"), (("params",), [], "params"),
        (("metrics", "accuracy"), "0.9", "metrics.accuracy"), (("metrics", "accuracy"), True, "metrics.accuracy"),
        (("metrics", "accuracy"), None, "metrics.accuracy"), (("spec",), None, "spec"),
    ],
)  # fmt: skip
def test_bad_fields_are_named(path: tuple[str | int, ...], value: Any, field: str) -> None:
    broken: Any = copy.deepcopy(VALUE)
    inner = broken
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    with pytest.raises(InvalidInput) as caught:
        parsed(broken)
    fields = [fault["field"] for fault in caught.value.context["faults"]]
    assert any(name == field or name.startswith(f"{field}[") for name in fields), caught.value.message


@pytest.mark.parametrize("key", ["schema", "type", "name", "version", "created", "author", "contents"])
def test_missing_fields_are_named(key: str) -> None:
    error = refused(dump({name: value for name, value in VALUE.items() if name != key}))
    assert f"{key} is missing" in error.message


def test_all_faults_of_a_pointer_are_collected() -> None:
    text = (
        GOLDEN.replace(b'version: "3"', b"version: 3")
        .replace(b"size: 4831838", b"size: -1")
        .replace(b"licence: MIT", b"licence: 1")
    )
    error = refused(text.replace(b"author:", b"writer:"))
    faults = error.context["faults"]
    assert [(fault["line"], fault["field"]) for fault in faults] == [
        (1, "author"),
        (4, "version"),
        (9, "labels.licence"),
        (14, "contents.size"),
    ]
    assert "\n" not in error.message


@pytest.mark.parametrize("data", [b"[]\n", b"a\n", b"null\n", b"3\n"])
def test_a_pointer_is_a_mapping(data: bytes) -> None:
    assert "must be a mapping" in refused(data).message


def test_a_pointer_belongs_to_its_folder() -> None:
    for other, field in (
        ("datasets/digits/3", "type"),
        ("models/other/3", "name"),
        ("models/digits/4", "version"),
    ):
        kind, name, version = other.split("/")
        expect = VersionId(asset=AssetId(type=kind, name=name), version=Version.parse(version))
        error = refused(GOLDEN, expect=expect)
        assert (error.code, error.context["field"]) == ("pointer-misplaced", field)


def test_unknown_fields_are_kept_where_they_were() -> None:
    value = copy.deepcopy(VALUE)
    value["zz_new"] = {"a": [1]}
    value["approval"] = "x"
    value["contents"]["chunks"] = 9
    value["inputs"][0]["as"] = "x"
    value["source"]["host"] = None
    pointer = parsed(value)
    assert pointer.to_dict() == value
    assert Pointer.parse(pointer.format(), file=FILE) == pointer
    assert pointer.format().endswith(b"spec: {}\napproval: x\nzz_new:\n  a:\n    - 1\n")


def test_references_to_data_elsewhere_are_marked() -> None:
    pointer = replace(POINTER, contents=replace(POINTER.contents, external=EXTERNAL))
    assert b"contents:\n  kind: references\n  digest:" in pointer.format()
    assert (
        b'  external:\n    files: 2\n    size: 7\n    from:\n      - "s3://team-ml/raw"\n' in pointer.format()
    )
    assert Pointer.parse(pointer.format(), file=FILE) == pointer


@pytest.mark.parametrize(
    ("contents", "field"),
    [
        ({"kind": "references"}, "contents.external.from"),
        ({"external": {"files": 1, "size": 1, "from": ["s3://team-ml"]}}, "contents.external"),
        ({"kind": "references", "external": {"files": 1, "size": 1, "from": []}}, "contents.external.from"),
        ({"kind": "references", "external": {"files": 0, "size": 1, "from": ["s3://team-ml"]}}, "contents.external.files"),
        ({"kind": "references", "external": {"files": 1, "size": 1, "from": ["memory://x"]}}, "contents.external.from[0]"),
        ({"kind": "references", "external": {"files": 1, "size": 1, "from": ["s3://b" * 1] * 65}}, "contents.external.from"),
    ],
)  # fmt: skip
def test_what_is_referred_to_is_said_with_that_kind_alone(contents: dict, field: str) -> None:
    value = copy.deepcopy(VALUE)
    value["contents"] |= contents
    with pytest.raises(InvalidInput) as caught:
        parsed(value)
    assert field in caught.value.message


def test_inputs_of_another_registry() -> None:
    value = copy.deepcopy(VALUE)
    value["inputs"][0]["ref"] = "git@host:o/r.git//reports/x@1"
    pointer = parsed(value)
    assert (pointer.inputs[0].repo, str(pointer.inputs[0].ref)) == ("git@host:o/r.git", "reports/x@1")
    assert pointer.to_dict() == value


def test_types_of_the_registry() -> None:
    value = {**VALUE, "type": "reports"}
    assert parsed(value, known_types=[*ASSET_TYPES, "reports"]).id.type == "reports"
    with pytest.raises(InvalidInput):
        parsed(value)


def test_other_valid_texts_are_read() -> None:
    text = GOLDEN.replace(
        b"spec: {}", b"spec:\n    signature: {inputs: [], outputs: []}   # by hand"
    ).replace(b'"git@host:team/repo.git"', b"git@host:team/repo.git")
    pointer = Pointer.parse(b"---\n# a comment\n" + text, file=FILE)
    assert pointer == replace(POINTER, spec={"signature": {"inputs": [], "outputs": []}})


def test_a_pointer_that_would_be_too_large_is_not_written() -> None:
    with pytest.raises(InvalidInput) as caught:
        replace(POINTER, params={"x": "y" * 70_000}).format()
    assert caught.value.code == "pointer-too-large"


def test_given_fields_tell_what_a_caller_said() -> None:
    later = replace(
        POINTER, created="2027-01-01T00:00:00Z", author="x", contents=replace(POINTER.contents, files=9)
    )
    assert later.given_fields() == POINTER.given_fields()
    assert replace(POINTER, params={}).given_fields() != POINTER.given_fields()


def test_checked_gives_the_pointer_back() -> None:
    assert POINTER.checked(CONFIG) is POINTER
    draft = replace(POINTER, contents=Contents.empty())
    assert draft.checked(CONFIG) is draft


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spec": {"signature": []}}, "spec.signature"), ({"spec": {"format": 3}}, "spec.format"),
        ({"spec": {"parameters": -1}}, "spec.parameters"),
        ({"spec": {"signature": {"inputs": [{"shape": ["a", 1.5]}]}}}, "spec.signature.inputs[0].shape[1]"),
        ({"created": "now"}, "created"), ({"author": ""}, "author"),
        ({"metrics": {"a": "b"}}, "metrics.a"), ({"labels": {"a": 1}}, "labels.a"),
    ],
)  # fmt: skip
def test_checked_refuses_what_may_not_be_registered(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        replace(POINTER, **change).checked(CONFIG)
    assert caught.value.context["field"] == field


@pytest.mark.parametrize("where", ["description", "label", "param", "key", "command", "repo"])
def test_checked_refuses_credentials(where: str) -> None:
    secret = "https://ada:" + "correcthorse" + "@host/o/r"
    changed = {
        "description": {"description": f"see {secret}"},
        "label": {"labels": {"url": secret}},
        "param": {"params": {"deep": {"list": [1, secret]}}},
        "key": {"params": {secret: 1}},
        "command": {"source": Source(command=f"git clone {secret}")},
        "repo": {"source": Source(repo=secret)},
    }[where]
    with pytest.raises(InvalidInput) as caught:
        replace(POINTER, **changed).checked(CONFIG)  # type: ignore[arg-type]
    assert caught.value.code == "secret"
    assert "correcthorse" not in caught.value.message


TEXT = st.text(max_size=12).filter(lambda text: "\0" not in text)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
LINE = TEXT.filter(lambda text: text.splitlines() in ([], [text]))
NAME = TEXT.filter(bool)
POINTERS = st.builds(
    Pointer,
    id=st.just(ID),
    description=st.none() | LINE,
    created=st.just("2026-11-21T04:30:00Z"),
    author=NAME,
    labels=st.dictionaries(NAME, TEXT, max_size=3),
    contents=st.builds(
        Contents,
        digest=st.just(D1),
        listing=st.just(D2),
        size_bytes=st.integers(0, 2**53),
        files=st.integers(1, 2**40),
        store=st.just("default"),
        review=st.lists(st.sampled_from(["README.md", "a b.yaml", "é.json"]), max_size=3).map(tuple),
        external=st.none() | st.just(EXTERNAL),
    ),
    inputs=st.lists(
        st.builds(Input, ref=st.just(ID), digest=st.just(D2), role=st.none() | TEXT), max_size=2
    ).map(tuple),
    source=st.builds(
        Source,
        repo=st.none() | TEXT,
        dirty=st.none() | st.booleans(),
        path=st.none() | TEXT,
        command=st.none() | TEXT,
    ),
    params=st.dictionaries(NAME, JSON, max_size=3),
    metrics=st.dictionaries(
        NAME, st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False), max_size=3
    ),
    spec=st.dictionaries(TEXT, JSON, max_size=2),
    extra=st.dictionaries(TEXT.map(lambda text: "x" + text), JSON, max_size=2),
)


@given(POINTERS)
def test_parse_reads_what_format_writes(pointer: Pointer) -> None:
    text = pointer.format()
    again = Pointer.parse(text, file=FILE, expect=ID)
    assert again == pointer
    assert again.format() == text
    assert schemas.faults(strict_yaml.load(text, file=FILE), "asset") == []


ODD = [
    None,
    True,
    0,
    -1,
    3,
    1.5,
    "",
    "x",
    "3",
    "../x",
    [],
    {},
    ["x"],
    {"a": 1},
    "a" * 200,
    str(D1),
    "sha256:x",
]


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in _paths(item, (*path, key)))]


@given(st.sampled_from(_paths(VALUE)[1:]), st.sampled_from(ODD))
def test_what_is_accepted_fits_the_schema(path: tuple[str | int, ...], odd: Any) -> None:
    """The fields are read without jsonschema, for speed; nothing may pass that the schema refuses."""
    broken: Any = copy.deepcopy(VALUE)
    inner = broken
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = odd
    document = strict_yaml.load(dump(broken), file=FILE)
    faults = schemas.faults(document, "asset")
    try:
        parsed(broken)
    except InvalidInput:
        return
    assert faults == []
