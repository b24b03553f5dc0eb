"""The configuration: its first text, its rules, and the one edit that leaves all other lines alone."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import Conflict, GitMLError, InvalidInput
from gitml.model import schemas, strict_yaml
from gitml.model.canonical import dump
from gitml.model.config import Config, StagePolicy, StoreConfig, initial, is_branch_name, matches, with_store
from gitml.model.names import ASSET_TYPES

GOLDEN = (Path(__file__).parent / "golden" / "config.yaml").read_bytes()
UUID = "6c1d0b9e-5a1f-4f0e-9d57-0c8f5a3b2e11"
FULL = f"""schema: gitml/config/v1
registry: {UUID}                # random id, written by init
default_branch: main
stores:
  default: {{url: "s3://team-ml/registry", endpoint_url: "https://s3.eu.example.com", region: eu}}
stages:
  staging:    {{from: ["working/*", main]}}
  production: {{from: [staging], require: {{approvals: 1, inputs_promoted: true, \
metrics: {{"models/*": ["accuracy >= 0.9", "accuracy not worse than current"]}}}}}}
metrics: {{accuracy: higher, loss: lower}}     # which way is better
teams: {{vision: [ada@example.com, bob@example.com]}}
forge: {{kind: auto}}
registries: {{shared: "git@host:org/shared-registry.git"}}
types: {{reports: {{type: object}}}}
later: [1]
"""


def parsed(text: str) -> Config:
    return Config.parse(text.encode(), file="gitml.yaml")


def test_the_first_text_never_changes() -> None:
    assert initial(UUID, "main", "s3://team-ml/registry") == GOLDEN
    without = initial(UUID, "trunk", None)
    assert b"stores" not in without
    assert parsed(without.decode()).stages["staging"].from_ == ("working/*", "trunk")


def test_every_field_is_read() -> None:
    config = parsed(FULL)
    assert config.registry == UUID
    assert config.default_branch == "main"
    assert config.stores == {
        "default": StoreConfig(
            name="default",
            url="s3://team-ml/registry",
            endpoint_url="https://s3.eu.example.com",
            options={"region": "eu"},
        )
    }
    assert list(config.stages) == ["staging", "production"]
    assert config.stages["production"] == StagePolicy(
        name="production",
        from_=("staging",),
        require={
            "approvals": 1,
            "inputs_promoted": True,
            "metrics": {"models/*": ["accuracy >= 0.9", "accuracy not worse than current"]},
        },
    )
    assert config.metrics == {"accuracy": "higher", "loss": "lower"}
    assert config.teams == {"vision": ("ada@example.com", "bob@example.com")}
    assert config.forge == {"kind": "auto"}
    assert config.registries == {"shared": "git@host:org/shared-registry.git"}
    assert config.known_types == (*ASSET_TYPES, "reports")
    assert config.extra == {"later": [1]}
    assert schemas.faults(strict_yaml.load(FULL.encode(), file="f"), "config") == []


def test_rules_that_are_not_known_are_kept_for_the_policy_to_refuse() -> None:
    stage = parsed(
        FULL.replace("approvals: 1", "approvals: 1, frozen: [x]").replace(
            "{from: [staging]", "{freeze: true, from: [staging]"
        )
    ).stages["production"]
    assert stage.require["frozen"] == ["x"]
    assert stage.extra == {"freeze": True}


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("gitml/config/v1", "gitml/config/v2", "schema"), (UUID, "me", "registry"), (UUID, UUID.upper(), "registry"),
        (UUID, "../x", "registry"), ("branch: main", "branch: ..", "default_branch"),
        ("branch: main", "branch: -x", "default_branch"), ("branch: main", "branch: 3", "default_branch"),
        ("branch: main", "branch: 'a b'", "default_branch"),
        ('url: "s3://team-ml/registry", ', "", "stores.default.url"),
        ('"s3://team-ml/registry"', "3", "stores.default.url"), ("  default:", "  Default:", "stores.Default"),
        ("  default:", "  ../x:", "stores.'../x'"), ("  staging: ", "  latest: ", "stages.latest"),
        ("  staging: ", "  Staging: ", "stages.Staging"), ("  staging: ", "  con: ", "stages.con"),
        ('["working/*", main]', "main", "stages.staging.from"),
        ('["working/*", main]', "[1]", "stages.staging.from[0]"),
        ("approvals: 1", "approvals: -1", "stages.production.require.approvals"),
        ("approvals: 1", "approvals: true", "stages.production.require.approvals"),
        ("approvals: 1", 'approvals: "1"', "stages.production.require.approvals"),
        ("inputs_promoted: true", "inputs_promoted: yes", "stages.production.require.inputs_promoted"),
        ('["accuracy >= 0.9", "accuracy not worse than current"]', "x", "stages.production.require.metrics.'models/*'"),
        ("approvals: 1", "approvals: {count: -1}", "stages.production.require.approvals.count"),
        ("approvals: 1", "approvals: {owners: [x]}", "stages.production.require.approvals.owners"),
        ("approvals: 1", "approvals: {owners: {'models/*': bob}}", "stages.production.require.approvals.owners.'models/*'"),
        ("approvals: 1", "fields: {'models/*': [1]}", "stages.production.require.fields.'models/*'[0]"),
        ("approvals: 1", "fields: {'': [card]}", "stages.production.require.fields.''"),
        ("approvals: 1", "formats: {'models/*': [\"\"]}", "stages.production.require.formats.'models/*'[0]"),
        ("approvals: 1", "formats: ['*.onnx']", "stages.production.require.formats"),
        ("approvals: 1", "signed: [x]", "stages.production.require.signed"),
        ("approvals: 1", "signed: {allowed_signers: ../x}", "stages.production.require.signed.allowed_signers"),
        ("approvals: 1", "signed: {revoked: /etc/passwd}", "stages.production.require.signed.revoked"),
        ("vision: [ada@example.com, bob@example.com]", "vision: ada", "teams.vision"),
        ("vision: [", "Vision: [", "teams.Vision"), ("[ada@example.com, ", "[3, ", "teams.vision[0]"),
        ("accuracy: higher", "accuracy: up", "metrics.accuracy"), ("kind: auto", "kind: 1", "forge.kind"),
        ('"git@host:org/shared-registry.git"', "[]", "registries.shared"),
        ("shared:", "Shared:", "registries.Shared"), ("{type: object}", "x", "types.reports"),
        ("reports:", "Reports:", "types.Reports"),
        ("{type: object}", '{properties: {a: {pattern: "(a+)+$"}}}', "types.reports"),
        ("{type: object}", '{$ref: "http://127.0.0.1/x"}', "types.reports"),
    ],
)  # fmt: skip
def test_bad_fields_are_named(old: str, new: str, field: str) -> None:
    assert old in FULL
    with pytest.raises(InvalidInput) as caught:
        parsed(FULL.replace(old, new, 1))
    error = caught.value
    assert error.message.startswith("gitml.yaml:") and error.hint
    assert field in [fault["field"] for fault in error.context["faults"]], error.message


@pytest.mark.parametrize("name", ["main", "working/x", "a.b", "release-1.0", "é", "a@b", "x" * 200])
def test_branch_names(name: str) -> None:
    assert is_branch_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "-x", "/x", "x/", "a//b", "a..b", "a b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b", "a\\b", "a@{b", "@",
        ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a./b", "a\nb", "a\x7f", "x" * 201,
    ],
)  # fmt: skip
def test_what_git_allows_no_branch(name: str) -> None:
    assert not is_branch_name(name)


@pytest.mark.parametrize(
    ("pattern", "branch", "expected"),
    [
        ("main", "main", True), ("main", "Main", False), ("main", "main2", False),
        ("working/*", "working/a/b", True), ("working/*", "working/", True), ("working/*", "working", False),
        ("*", "a/b", True), ("*", "", True), ("a*b", "ab", True), ("a*b", "aXYb", True), ("a*b", "a", False),
        ("a*a", "a", False), ("*x*", "axb", True), ("*x*y*", "ayxb", False),
        ("*x*y*", "axyb", True), ("a**b", "ab", True), ("a?b", "axb", False), ("[ab]", "a", False), ("", "", True),
        ("", "a", False), ("release/*.0", "release/1/2.0", True), ("*a*b*c", "xaxbxc", True),
    ],
)  # fmt: skip
def test_patterns_of_branches(pattern: str, branch: str, expected: bool) -> None:
    assert matches(pattern, branch) is expected


@given(st.text("ab*/", max_size=8), st.text("ab/", max_size=8))
def test_patterns_mean_what_a_regular_expression_would(pattern: str, branch: str) -> None:
    import re

    expression = "".join(".*" if char == "*" else re.escape(char) for char in pattern)
    assert matches(pattern, branch) == (re.fullmatch(expression, branch, re.DOTALL) is not None)


def test_a_hostile_pattern_ends() -> None:
    assert not matches("*a" * 5000 + "b", "a" * 20_000)


BASE = f"schema: gitml/config/v1\nregistry: {UUID}\ndefault_branch: main\n"
EDITS = [
    BASE, BASE.rstrip("\n"), BASE + "# the end", BASE + "stores: {}\n",
    BASE + "stores: {}   # none yet\nforge: {kind: auto}\n", BASE + "stores:  {  }\nforge: {kind: auto}\n",
    BASE + "stores: {} ", BASE + "stores: {}", BASE + "stores:\n  other: {url: /x}\n",
    BASE + "stores:\n  # ours\n  other:\n    url: /x   # kept\nforge: {kind: auto}\n",
    BASE + "stores:\n      other:\n        url: /x\n", BASE + "stores: {other: {url: /x}}\n",
    BASE + "stores: { other: {url: /x} }  # flow\nforge: {kind: auto}\n",
    BASE + "stores: {\n  other: {url: /x},\n  more: {url: /y}\n}\nforge: {kind: auto}\n", "stores: {}\n" + BASE,
    "# first\nstores:\n  other: {url: /x}\n" + BASE,
    BASE + '"stores":\n  other: {url: /x}\n', BASE + "stages: {stores: {from: [a]}}\nstores: {}\n",
    BASE + "stores:\n  {}\nforge: {kind: auto}\n",
    BASE + "stores:\n  {other: {url: /x}}\n", initial(UUID, "main", None).decode(),
    FULL.replace("default: {url", "other: {url"), BASE + "forge: {kind: auto}\n\n\n",
    BASE + "registries: {é: x}\nstores: {é1: {url: /ü}}\n".replace("é: x", "e: ü").replace("é1", "e1"),
]  # fmt: skip


@pytest.mark.parametrize("text", EDITS)
@pytest.mark.parametrize("url", ["/srv/store", "../store", 's3://b/"q"', "a: b #c", "no"])
def test_a_store_is_added_and_all_else_stays(text: str, url: str) -> None:
    before = strict_yaml.load(text.encode(), file="f").value
    after = with_store(text.encode(), "default", url)
    value = strict_yaml.load(after, file="f").value
    assert value["stores"].pop("default") == {"url": url}
    assert value["stores"] == before.get("stores", {})
    assert {key: item for key, item in value.items() if key != "stores"} == {
        key: item for key, item in before.items() if key != "stores"
    }
    lost = [
        line
        for line in difflib.ndiff(text.splitlines(), after.decode().splitlines())
        if line.startswith("- ")
    ]
    assert all("stores:" in line or line.strip("- ") in ("{", "{}") or "{other:" in line for line in lost), (
        lost
    )
    assert len(lost) <= 1
    for comment in ("# none yet", "# ours", "# kept", "# flow", "# the end", "# first", "# random id"):
        assert (comment in text) == (comment in after.decode())
    assert with_store(after, "default", url) == after


def test_another_url_is_a_conflict() -> None:
    with pytest.raises(Conflict):
        with_store(GOLDEN, "default", "/elsewhere")
    assert with_store(GOLDEN, "default", "s3://team-ml/registry") == GOLDEN


@pytest.mark.parametrize("text", ["stores: []\n", "[]\n", "stores: x\n", "a: &x {}\n", "", "<<<<<<< HEAD\n"])
def test_a_broken_text_is_not_edited(text: str) -> None:
    with pytest.raises(InvalidInput):
        with_store(text.encode(), "default", "/x")


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "x" * 65])
def test_a_bad_store_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        with_store(GOLDEN, name, "/x")


ODD: list[Any] = [
    None,
    True,
    -1,
    1,
    "",
    "x",
    [],
    {},
    [1],
    {"a": 1},
    {"a": {}},
    {"con": {}},
    {"a": {"url": 1}},
]


@given(
    st.sampled_from(
        [
            "schema",
            "registry",
            "default_branch",
            "stores",
            "stages",
            "metrics",
            "forge",
            "registries",
            "types",
        ]
    ),
    st.sampled_from(ODD),
)
def test_what_is_accepted_fits_the_schema(key: str, odd: Any) -> None:
    value = {**strict_yaml.load(FULL.encode(), file="f").value, key: odd}
    faults = schemas.faults(strict_yaml.load(dump(value), file="f"), "config")
    try:
        parsed(dump(value).decode())
    except GitMLError:
        return
    assert faults == []
