"""A stage that demands all that a stage can demand, and a change that meets it; then ways to meet it no more.

Each row of `DEMANDS` breaks one demand, and names the rule that has to notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.stage_case import Scene, allowed, current, model_3, pointer

from gitml.promotion.case import Found, Reviews, Shape

M2 = "models/digits/2/asset.yaml"
M3 = "models/digits/3/asset.yaml"
STAGE_FILE = "models/digits/production.yaml"
HELD = "datasets/held@1"
RULES: dict[str, Any] = {
    "approvals": {"count": 1, "owners": {"**": ["eve@example.com"], "models/*": ["@vision", "eve@example.com"]}},
    "inputs_promoted": True,
    "metrics": {
        "models/*": [
            "accuracy >= 0.9", "accuracy not worse than current", "loss < 0.5", "loss not worse than current",
        ],
        "datasets/*": ["rows > 1"],
    },
    "fields": {"models/*": ["card", "licence", "signature", "labels.team", "description"]},
    "formats": {"models/*": ["*.npz", "*.md", "weights/*.json"]},
    "signed": True,
}  # fmt: skip
SIGNERS = b"ada@example.com ssh-ed25519 AAAA\n"


def three(metrics: dict[str, Any] | None = None, **fields: Any) -> bytes:
    """A model 3 that is all it should be, but for what is given."""
    usual: dict[str, Any] = {
        "inputs": {"datasets/digits@2": "datasets/digits@2", HELD: HELD},
        "roles": {HELD: "test", "datasets/digits@2": "training"},
        "metrics": {"accuracy": 0.95, "loss": 0.1} if metrics is None else metrics,
        "labels": {"licence": "MIT", "team": "vision"},
        "spec": {"signature": {"inputs": ["pixels"]}},
        "description": "Better",
    }
    return model_3(**(usual | fields))


def two(metrics: dict[str, Any] | None = None, **fields: Any) -> bytes:
    """What runs there."""
    usual: dict[str, Any] = {
        "inputs": {"datasets/digits@1": "datasets/digits@1", HELD: HELD},
        "roles": {HELD: "Test"},
        "metrics": {"accuracy": 0.95, "loss": 0.1} if metrics is None else metrics,
    }
    return pointer("models/digits@2", **(usual | fields))


def demanding() -> Scene:
    """The change that meets every demand, as closely as it can be met."""
    scene = allowed()
    scene.require(**RULES)
    scene.directions = {"accuracy": "higher", "loss": "lower"}
    scene.teams = {"vision": ("Bob@example.com", "carl@example.com")}
    scene.reviews = Reviews(approved_by=("bob@example.com", "eve@example.com"))
    scene.witness.contents = {"README.md": b"# Digits\n", "a/b.npz": b"", "weights/c.json": b""}
    held = pointer(HELD)
    for side in (scene.before, scene.after):
        side["datasets/held/1/asset.yaml"] = held
        side[".gitml/allowed_signers"] = SIGNERS
        side[M2] = two()
    scene.after[M3] = three()
    return scene


def runs(scene: Scene, data: bytes) -> None:
    """Production runs a model 2 with this pointer."""
    scene.before[M2] = scene.after[M2] = data


def too_low(s: Scene) -> None:
    s.after[M3] = three({"accuracy": 0.89, "loss": 0.1})
    runs(s, two({"accuracy": 0.8, "loss": 0.1}))


def bound_is_not_below(s: Scene) -> None:
    s.after[M3] = three({"accuracy": 0.95, "loss": 0.5})
    runs(s, two({"accuracy": 0.95, "loss": 0.6}))


def worse_higher(s: Scene) -> None:
    s.after[M3] = three({"accuracy": 0.9499, "loss": 0.1})


def worse_lower(s: Scene) -> None:
    s.after[M3] = three({"accuracy": 0.95, "loss": 0.1001})


def metric_is_absent(s: Scene) -> None:
    s.after[M3] = three({"accuracy": 0.95})
    s.require(**RULES | {"metrics": {"models/*": ["loss < 0.5"]}})


def metric_is_absent_there(s: Scene) -> None:
    runs(s, two({"accuracy": 0.95}))


def metric_is_no_number_there(s: Scene) -> None:
    runs(s, two().replace(b"loss: 0.1", b"loss: nothing"))


def pointer_there_is_gone(s: Scene) -> None:
    del s.before[M2], s.after[M2]


def no_direction(s: Scene) -> None:
    del s.directions["loss"]


def no_direction_though_nothing_runs(s: Scene) -> None:
    del s.directions["loss"], s.before[STAGE_FILE]


def unknown_direction(s: Scene) -> None:
    s.directions["loss"] = "sideways"


def metric_is_absent_though_nothing_runs(s: Scene) -> None:
    del s.before[STAGE_FILE]
    s.after[M3] = three({"accuracy": 0.95})
    s.require(**RULES | {"metrics": {"models/*": ["loss not worse than current"]}})


def measured_on_nothing(s: Scene) -> None:
    s.after[M3] = three(roles={})


def measured_on_nothing_there(s: Scene) -> None:
    runs(s, two(roles={HELD: "training"}))


def measured_on_other_data(s: Scene) -> None:
    for side in (s.before, s.after):
        side["datasets/held/2/asset.yaml"] = pointer("datasets/held@2")
    s.after[M3] = three(inputs={"datasets/held@2": "datasets/held@2"}, roles={"datasets/held@2": "test"})


def measured_on_more_data(s: Scene) -> None:
    s.after[M3] = three(roles={HELD: "test", "datasets/digits@2": "test"})


def measured_in_another_role(s: Scene) -> None:
    s.after[M3] = three(roles={HELD: "validation"})


def a_second_pattern_demands_more(s: Scene) -> None:
    s.require(**RULES | {"metrics": RULES["metrics"] | {"models/digits": ["accuracy > 0.95"]}})


def no_card(s: Scene) -> None:
    s.after[M3] = three(review=[])
    del s.after["models/digits/3/README.md"]


def other_copy_is_no_card(s: Scene) -> None:
    s.after[M3] = three(review=["notes.md"])
    s.after["models/digits/3/notes.md"] = s.after.pop("models/digits/3/README.md")
    s.witness.contents = {"notes.md": b"# Digits\n"}


def no_licence(s: Scene) -> None:
    s.after[M3] = three(labels={"team": "vision"})


def blank_licence(s: Scene) -> None:
    s.after[M3] = three(labels={"team": "vision", "licence": "  "})


def no_label(s: Scene) -> None:
    s.after[M3] = three(labels={"licence": "MIT"})


def no_signature(s: Scene) -> None:
    s.after[M3] = three(spec={})


def empty_signature(s: Scene) -> None:
    s.after[M3] = three(spec={"signature": {}})


def empty_list(s: Scene) -> None:
    s.require(**RULES | {"fields": {"models/*": ["spec.signature.inputs"]}})
    s.after[M3] = three(spec={"signature": {"inputs": []}})


def no_description(s: Scene) -> None:
    s.after[M3] = three(description=None)


def input_has_no_field(s: Scene) -> None:
    s.require(**RULES | {"fields": {"datasets/*": ["labels.licence"]}})


def pickle_among_the_files(s: Scene) -> None:
    assert s.witness.contents is not None
    s.witness.contents["a/model.pkl"] = b""


def anchored_pattern(s: Scene) -> None:
    assert s.witness.contents is not None
    s.witness.contents["c.json"] = b""


def files_cannot_be_listed(s: Scene) -> None:
    s.witness.paths = lambda _: None  # type: ignore[method-assign]


def no_format_is_allowed(s: Scene) -> None:
    s.require(**RULES | {"formats": {"models/*": []}})


def formats_of_an_input(s: Scene) -> None:
    s.require(**RULES | {"formats": {"datasets/*": ["*.parquet"]}})


def unsigned(s: Scene) -> None:
    s.witness.faults = ["commit 123456: nobody signed it"]


def no_signers(s: Scene) -> None:
    del s.before[".gitml/allowed_signers"], s.after[".gitml/allowed_signers"]


def signers_come_with_the_request(s: Scene) -> None:
    s.shape = Shape.BY_BRANCH
    del s.before[".gitml/allowed_signers"]


def signers_are_a_link(s: Scene) -> None:
    s.modes[".gitml/allowed_signers"] = "120000"


def owner_did_not_approve(s: Scene) -> None:
    s.reviews = Reviews(approved_by=("mallory@example.com",))


def last_pattern_decides(s: Scene) -> None:
    s.require(
        **RULES | {"approvals": {"owners": {"models/*": ["bob@example.com"], "**": ["carl@example.com"]}}}
    )


def owner_of_the_input_did_not_approve(s: Scene) -> None:
    s.require(**RULES | {"approvals": {"owners": {"datasets/**": ["carl@example.com"]}}})


def owner_of_code_did_not_approve(s: Scene) -> None:
    s.shape = Shape.BY_BRANCH
    s.require(**RULES | {"approvals": {"owners": {"train.py": ["carl@example.com"]}}})
    s.after["train.py"] = b"import os\n"


def team_without_people(s: Scene) -> None:
    s.teams = {"vision": ()}
    s.require(**RULES | {"approvals": {"owners": {"models/*": ["@vision"]}}})


def unknown_team(s: Scene) -> None:
    s.teams = {"Vision": ("bob@example.com",)}


def too_few(s: Scene) -> None:
    s.require(**RULES | {"approvals": {"count": 3}})


def unknown_key_of_approvals(s: Scene) -> None:
    s.require(**RULES | {"approvals": {"count": 1, "within": "1 day"}})


def unknown_metric_rule(s: Scene) -> None:
    s.require(**RULES | {"metrics": {"models/*": ["accuracy within 0.1 of current"]}})


def metric_rule_of_another_asset(s: Scene) -> None:
    s.require(**RULES | {"metrics": {"endpoints/*": ["accuracy is good"]}})


def unknown_field(s: Scene) -> None:
    s.require(**RULES | {"fields": {"models/*": ["colour"]}})


def unknown_signing(s: Scene) -> None:
    s.require(**RULES | {"signed": {"by": "sigstore"}})


def what_ran_there_not_but_comes_from_there(s: Scene) -> None:
    """No rollback, since it brings something: the metric rules hold."""
    s.witness.earlier = {"models/digits@3"}
    s.after[M3] = three({"accuracy": 0.5, "loss": 0.1})
    runs(s, two({"accuracy": 0.4, "loss": 0.1}))


DEMANDS: list[tuple[Callable[[Scene], None], set[str]]] = [
    (too_low, {"metrics"}),
    (bound_is_not_below, {"metrics"}),
    (worse_higher, {"metrics"}),
    (worse_lower, {"metrics"}),
    (metric_is_absent, {"metrics"}),
    (metric_is_absent_there, {"metrics"}),
    (metric_is_no_number_there, {"metrics"}),
    (pointer_there_is_gone, {"metrics"}),
    (no_direction, {"metrics"}),
    (no_direction_though_nothing_runs, {"metrics"}),
    (unknown_direction, {"metrics"}),
    (metric_is_absent_though_nothing_runs, {"metrics"}),
    (measured_on_nothing, {"metrics"}),
    (measured_on_nothing_there, {"metrics"}),
    (measured_on_other_data, {"metrics"}),
    (measured_on_more_data, {"metrics"}),
    (measured_in_another_role, {"metrics"}),
    (a_second_pattern_demands_more, {"metrics"}),
    (what_ran_there_not_but_comes_from_there, {"metrics"}),
    (no_card, {"fields"}),
    (other_copy_is_no_card, {"fields"}),
    (no_licence, {"fields"}),
    (blank_licence, {"fields"}),
    (no_label, {"fields"}),
    (no_signature, {"fields"}),
    (empty_signature, {"fields"}),
    (empty_list, {"fields"}),
    (no_description, {"fields"}),
    (input_has_no_field, {"fields"}),
    (pickle_among_the_files, {"formats"}),
    (anchored_pattern, {"formats"}),
    (files_cannot_be_listed, {"formats"}),
    (no_format_is_allowed, {"formats"}),
    (formats_of_an_input, {"formats"}),
    (unsigned, {"signed"}),
    (no_signers, {"signed"}),
    (signers_come_with_the_request, {"signed"}),
    (signers_are_a_link, {"signed"}),
    (owner_did_not_approve, {"owners"}),
    (last_pattern_decides, {"owners"}),
    (owner_of_the_input_did_not_approve, {"owners"}),
    (owner_of_code_did_not_approve, {"owners"}),
    (team_without_people, {"owners"}),
    (unknown_team, {"require"}),
    (too_few, {"approvals"}),
    (unknown_key_of_approvals, {"require"}),
    (unknown_metric_rule, {"require"}),
    (metric_rule_of_another_asset, {"require"}),
    (unknown_field, {"require"}),
    (unknown_signing, {"require"}),
]

__all__ = [
    "DEMANDS",
    "RULES",
    "SIGNERS",
    "Found",
    "Reviews",
    "Shape",
    "current",
    "demanding",
    "runs",
    "three",
    "two",
]
