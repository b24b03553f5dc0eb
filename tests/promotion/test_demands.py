"""What a stage can require: each demand is broken in turn, and its own rule says so, with what would help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.demands import DEMANDS, M3, RULES, SIGNERS, STAGE_FILE, demanding, runs, three, two
from support.stage_case import Scene, current

from gitml.promotion.case import Found, Reviews, Rule
from gitml.promotion.policy import OF_ANY_BRANCH, OF_GIT_ALONE, Verdict, by_rule, judge
from gitml.promotion.policy import RULES as ALL


def said(scene: Scene) -> str:
    (problem,) = scene.problems()
    assert problem.asset and "\n" not in problem.message
    return f"{problem.rule.value}: {problem.message} | {problem.hint}"


def test_all_demands_can_be_met() -> None:
    scene = demanding()
    assert scene.problems() == []
    assert scene.witness.signers == [(SIGNERS, None)]


@pytest.mark.parametrize("folder", ["", "registry"])
@pytest.mark.parametrize(("spoil", "rules"), DEMANDS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_demand_is_noticed_by_its_rule(
    spoil: Callable[[Scene], None], rules: set[str], folder: str
) -> None:
    scene = demanding()
    scene.folder = folder
    spoil(scene)
    found = scene.problems()
    assert {problem.rule.value for problem in found} == rules
    assert all(problem.message and "\n" not in problem.message for problem in found)


@pytest.mark.parametrize(
    "better", [{"accuracy": 0.95, "loss": 0.1}, {"accuracy": 0.96, "loss": 0.09}, {"accuracy": 1, "loss": 0}]
)
def test_as_good_is_not_worse(better: dict[str, float]) -> None:
    scene = demanding()
    scene.after[M3] = three(better)
    assert scene.problems() == []


def test_bounds_are_met_exactly() -> None:
    scene = demanding()
    runs(scene, two({"accuracy": 0.1, "loss": 1}))
    scene.after[M3] = three({"accuracy": 0.9, "loss": 0.4999})
    assert scene.problems() == []


def test_a_number_beyond_all_bounds_is_none() -> None:
    scene = demanding()
    scene.require(metrics={"models/*": ["accuracy >= 0.9"]})
    scene.after[M3] = three().replace(b"accuracy: 0.95", b"accuracy: 1e999")
    assert "metrics" in scene.rules() or "schema" in scene.rules()
    assert scene.problems() != []


def test_the_first_version_needs_no_comparison() -> None:
    scene = demanding()
    del scene.before[STAGE_FILE]
    scene.after[M3] = three(roles={})
    assert scene.problems() == []


def test_what_does_not_run_needs_no_metrics() -> None:
    """datasets/digits@2 travels along as an input; it is the model that is to run."""
    scene = demanding()
    assert "datasets/*" in RULES["metrics"]
    assert scene.problems() == []


def test_a_rollback_is_exempt_from_metrics_and_source_alone() -> None:
    scene = demanding()
    scene.before = dict(scene.after)
    scene.after = scene.after | {STAGE_FILE: current("2")}
    runs(scene, two({"accuracy": 0.1, "loss": 9}))
    scene.witness.found_as["models/digits@2"] = Found.NO
    assert scene.rules() == {"metrics", "fields", "from"}
    scene.witness.earlier = {"models/digits@2"}
    assert scene.rules() == {"fields"}
    scene.reviews = Reviews()
    assert scene.rules() == {"fields", "approvals", "owners"}


@pytest.mark.parametrize("name", ["README", "readme.rst", "model_card.md", "CARD.md"])
def test_cards(name: str) -> None:
    scene = demanding()
    scene.after[M3] = three(review=[name])
    scene.after[f"models/digits/3/{name}"] = scene.after.pop("models/digits/3/README.md")
    scene.witness.contents = {name: b"# Digits\n"}
    scene.require(fields={"models/*": ["card"]})
    assert scene.problems() == []


def test_fields_by_dotted_path() -> None:
    scene = demanding()
    scene.require(
        fields={"models/*": ["spec.a.b.c", "metrics.a.b", "params.deep.er", "source.commit", "inputs"]}
    )
    scene.after[M3] = three({"a.b": 0}, spec={"a": {"b": {"c": False}}}, params={"deep": {"er": 0}})
    assert said(scene).startswith("fields: production requires 'source.commit', and models/digits@3 has none")


def test_nothing_is_asked_of_assets_that_no_pattern_matches() -> None:
    scene = demanding()
    rules = {"x/*": ["accuracy >= 1"]}
    scene.require(
        metrics=rules, fields={"model/*": ["card"], "models": ["licence"]}, formats={"models/d": ["*.x"]}
    )
    scene.after[M3] = three({}, labels={}, spec={}, description=None)
    assert scene.problems() == []


def test_revoked_keys_are_those_of_the_target() -> None:
    scene = demanding()
    scene.require(signed={"allowed_signers": "keys/allowed", "revoked": "keys/revoked"})
    scene.before |= {"keys/allowed": b"a\n", "keys/revoked": b"r\n"}
    scene.after |= {"keys/allowed": b"b\n", "keys/revoked": b""}
    scene.shape = scene.shape.BY_BRANCH
    assert scene.problems() == []
    assert scene.witness.signers == [(b"a\n", b"r\n")]


def test_owners_are_not_the_authors_and_case_does_not_matter() -> None:
    scene = demanding()
    scene.reviews = Reviews(approved_by=("CARL@EXAMPLE.COM", "Eve@Example.com"))
    assert scene.problems() == []
    scene.require(approvals={"owners": {"models/*": ["@vision"]}})
    scene.reviews = Reviews(approved_by=("CARL@EXAMPLE.COM",))
    assert scene.problems() == []
    scene.reviews = None
    assert scene.problems() == []


def test_a_path_without_owners_needs_none() -> None:
    scene = demanding()
    scene.require(approvals={"owners": {"**": ["eve@example.com"], "models/*": [], "datasets/**": []}})
    scene.reviews = Reviews()
    assert scene.problems() == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("too_low", ["'accuracy >= 0.9'", "models/digits@3 has accuracy 0.89", "promote a version whose accuracy is >= 0.9"]),
        ("worse_higher", ["'accuracy not worse than current'", "0.9499", "models/digits@2 has 0.95", "0.95 or higher"]),
        ("worse_lower", ["0.1001", "0.1 or lower"]),
        ("no_direction", ["does not say whether higher or lower loss is better", "metrics: {loss: higher}"]),
        ("measured_on_nothing", ["models/digits@3 names no input that it was measured on", "--input test="]),
        ("measured_on_nothing_there", ["models/digits@2 names no input that it was measured on"]),
        ("measured_on_other_data", ["datasets/held@2", "datasets/held@1", "as test"]),
        ("metric_is_absent", ["has no such metric", "--metric loss=NUMBER"]),
        ("no_licence", ["'licence'", "--label licence=NAME"]),
        ("no_label", ["'labels.team'", "--label team=VALUE"]),
        ("no_card", ["'card'", "README.md"]),
        ("pickle_among_the_files", ["'a/model.pkl'", "*.npz, *.md, weights/*.json"]),
        ("no_signers", [".gitml/allowed_signers", "namespaces"]),
        ("owner_did_not_approve", ["@vision, eve@example.com", "mallory@example.com", "gitml pr approve"]),
    ],
)  # fmt: skip
def test_refusals_name_what_was_found_and_what_would_help(spoil: str, words: list[str]) -> None:
    scene = demanding()
    next(one for one, _ in DEMANDS if one.__name__ == spoil)(scene)
    texts = [f"{problem.message} | {problem.hint}" for problem in scene.problems()]
    assert any(all(word in text for word in words) for text in texts), texts


def test_every_rule_gets_a_verdict() -> None:
    def verdicts(scene: Scene) -> dict[str, str]:
        case = scene.case()
        return {one.rule.value: one.verdict.value for one in by_rule(case, judge(case))}

    plain = replace(demanding(), reviews=None)
    assert verdicts(plain) == {
        rule.value: "left-aside" if rule in (Rule.APPROVALS, Rule.OWNERS, Rule.REJECTED) else "passed"
        for rule in Rule
    } | {"statement": "not-required"}
    plain.require()
    assert {name for name, verdict in verdicts(plain).items() if verdict == "not-required"} == {
        "metrics", "fields", "formats", "signed", "approvals", "owners", "statement",
    }  # fmt: skip
    scene = demanding()
    next(one for one, _ in DEMANDS if one.__name__ == "too_low")(scene)
    assert verdicts(scene)["metrics"] == Verdict.FAILED.value
    assert set(verdicts(scene).values()) == {"failed", "passed", "not-required"}


def test_the_smaller_sets_of_rules_are_parts_of_the_whole() -> None:
    assert set(OF_ANY_BRANCH) < set(ALL)
    assert set(OF_GIT_ALONE) < set(ALL)
