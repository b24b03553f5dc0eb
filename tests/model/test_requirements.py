"""The rules of a stage, taken apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.model.config import Config
from gitml.model.fields import FieldError
from gitml.model.requirements import (
    Approvals,
    Comparison,
    MetricRule,
    Requirements,
    Signed,
    UnknownRuleError,
    check_shapes,
)


@pytest.mark.parametrize(
    ("text", "metric", "comparison", "bound"),
    [
        ("accuracy >= 0.9", "accuracy", Comparison.AT_LEAST, 0.9),
        ("accuracy>=0.9", "accuracy", Comparison.AT_LEAST, 0.9),
        ("loss < 1e-3", "loss", Comparison.BELOW, 0.001),
        ("loss <= -2", "loss", Comparison.AT_MOST, -2),
        ("top 5 accuracy > 0", "top 5 accuracy", Comparison.ABOVE, 0),
        ("steps >= 900719925474099267", "steps", Comparison.AT_LEAST, 900719925474099267),
        ("accuracy not worse than current", "accuracy", None, 0),
        ("  top 5 not worse than current ", "top 5", None, 0),
    ],
)
def test_rules_for_metrics(text: str, metric: str, comparison: Comparison | None, bound: float) -> None:
    rule = MetricRule.parse(text)
    assert (rule.metric, rule.comparison, rule.bound) == (metric, comparison, bound)
    assert MetricRule.parse(str(rule)) == rule


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "accuracy", "accuracy =>0.9", "accuracy == 0.9", ">= 0.9", "accuracy >= ", "accuracy >= NaN",
        "accuracy >= .9", "accuracy >= 09", "accuracy >= 1e999", "accuracy >= 0.9 or 1", "accuracy >= 0,9",
        "accuracy not worse", "not worse than current", " not worse than current", "accuracy NOT WORSE THAN CURRENT",
        "accuracy within 0.1 of current", "accuracy >= 0.9\naccuracy >= 0.1", "0.9 <= accuracy <= 1",
        "a" * 300 + " > 1", "a" * 300 + " not worse than current", "accuracy >= ٣", "accuracy >= 9" + "9" * 5000,
    ],
)  # fmt: skip
def test_texts_that_are_no_rule(text: str) -> None:
    with pytest.raises(UnknownRuleError):
        MetricRule.parse(text)


@given(st.text(max_size=400))
def test_any_text_is_a_rule_or_none(text: str) -> None:
    try:
        rule = MetricRule.parse(text)
    except UnknownRuleError:
        return
    assert MetricRule.parse(str(rule)) == rule


@pytest.mark.parametrize("value", [1.0, 2.0, float("nan")])
def test_comparisons(value: float) -> None:
    bound = 2
    assert Comparison.AT_LEAST.holds(value, bound) is (value >= bound)
    assert Comparison.ABOVE.holds(value, bound) is (value > bound)
    assert Comparison.AT_MOST.holds(value, bound) is (value <= bound)
    assert Comparison.BELOW.holds(value, bound) is (value < bound)


def test_everything_is_read() -> None:
    found = Requirements.read(
        {
            "approvals": {"count": 2, "owners": {"models/*": ["ada@example.com", "@vision"]}},
            "inputs_promoted": True,
            "metrics": {"models/*": ["accuracy >= 0.9"]},
            "fields": {"models/*": ["card", "labels.licence", "spec.signature.inputs"]},
            "formats": {"models/*": ["*.onnx"]},
            "signed": {"allowed_signers": "keys/allowed"},
        }
    )
    assert found.approvals == Approvals(count=2, owners=(("models/*", ("ada@example.com", "@vision")),))
    assert found.inputs_promoted
    assert found.metrics == (("models/*", (MetricRule.parse("accuracy >= 0.9"),)),)
    assert found.fields == (("models/*", ("card", "labels.licence", "spec.signature.inputs")),)
    assert found.formats == (("models/*", ("*.onnx",)),)
    assert found.signed == Signed(allowed_signers="keys/allowed", revoked=".gitml/revoked_signers")
    assert found.unread == ()


def test_nothing_is_required_where_nothing_is_said() -> None:
    assert Requirements.read({}) == Requirements()
    assert Requirements.read({"signed": False, "approvals": 0, "inputs_promoted": False}) == Requirements()
    assert Requirements.read({"signed": True}).signed == Signed()


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("freeze", True), ("Approvals", 1), ("approvals", "two"), ("approvals", True), ("approvals", -1),
        ("approvals", 1.0), ("approvals", None), ("approvals", {"count": 1, "of": "x"}), ("approvals", {"count": True}),
        ("approvals", {"owners": {"": ["x"]}}), ("approvals", {"owners": {"x": "y"}}),
        ("approvals", {"owners": {"x" * 2000: ["y"]}}),
        ("inputs_promoted", "yes"), ("inputs_promoted", 1),
        ("metrics", []), ("metrics", {"x": ["better"]}), ("metrics", {"x": "accuracy >= 0.9"}), ("metrics", {"x": [1]}),
        ("fields", {"x": ["colour"]}), ("fields", {"x": ["labels"]}), ("fields", {"x": ["labels."]}),
        ("fields", {"x": ["contents.digest"]}), ("fields", ["card"]),
        ("formats", {"x": ["y" * 2000]}), ("formats", "*.onnx"),
        ("signed", "yes"), ("signed", {"by": "ada"}), ("signed", {"allowed_signers": "../x"}),
        ("signed", {"allowed_signers": ""}), ("signed", {"revoked": "/x"}), ("signed", {"revoked": 3}),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_told(rule: str, value: Any) -> None:
    found = Requirements.read({rule: value, "inputs_promoted": False} | {rule: value})
    assert [name for name, why in found.unread if why] == [rule]


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("freeze", True), ("metrics", {"x": ["accuracy within 0.1 of current"]}), ("fields", {"x": ["colour"]}),
        ("approvals", {"count": 1, "of": "x"}), ("signed", {"by": "sigstore"}),
    ],
)  # fmt: skip
def test_what_a_later_version_may_know_is_no_fault_of_the_file(rule: str, value: Any) -> None:
    check_shapes({rule: value}, ())


@pytest.mark.parametrize("value", [{"metrics": {"x": [1]}}, {"approvals": "two"}, {"signed": []}])
def test_a_wrong_shape_is_a_fault_of_the_file(value: dict[str, Any]) -> None:
    with pytest.raises(FieldError):
        check_shapes(value, ())


def test_the_example_of_the_docs() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    head = "schema: gitml/config/v1\nregistry: 6c1d0b9e-5a1f-4f0e-9d57-0c8f5a3b2e11\ndefault_branch: main\n"
    config = Config.parse((head + example).encode(), file="gitml.yaml")
    found = Requirements.read(config.stages["production"].require)
    assert found.unread == ()
    assert {"vision", "data"} == set(config.teams)
    assert found.signed and found.metrics and found.formats and found.fields and found.approvals.owners
