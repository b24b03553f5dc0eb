"""The rules of a stage: each is off in turn, and something here notices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.demands import DEMANDS, demanding
from support.stage_case import Scene, allowed, current, digest_of, model_3, pointer, statement

from gitml.promotion import policy
from gitml.promotion.case import Found, Reviews, Shape
from gitml.promotion.view import Defect

M3 = "models/digits/3/asset.yaml"
D2 = "datasets/digits/2/asset.yaml"
STAGE_FILE = "models/digits/production.yaml"


def test_allowed() -> None:
    scene = allowed()
    assert scene.problems() == []
    assert sorted(scene.witness.asked) == [("datasets/digits@2", False), ("models/digits@3", True)]


def test_a_true_statement_is_allowed() -> None:
    scene = allowed()
    scene.stated = statement()
    assert scene.problems() == []


def test_moves_and_additions() -> None:
    case = allowed().case()
    assert [(str(m.asset), str(m.from_version), str(m.to_version)) for m in case.moves] == [
        ("models/digits", "2", "3")
    ]
    assert list(map(str, case.added)) == ["datasets/digits@2", "models/digits@3"]


def broken_pointer(s: Scene) -> None:
    s.after[M3] = s.after[M3].replace(b"schema: gitml/asset/v1", b"schema: gitml/asset/v9")


def pointer_of_another(s: Scene) -> None:
    s.after[M3] = pointer("models/digits@4")


def conflict_markers_in_pointer(s: Scene) -> None:
    s.after[M3] = b"<<<<<<< ours\n" + s.after[M3] + b"=======\n>>>>>>> theirs\n"


def conflict_markers_in_stage_file(s: Scene) -> None:
    s.after[STAGE_FILE] = b'<<<<<<< ours\ncurrent: "2"\n=======\ncurrent: "3"\n>>>>>>> theirs\n'


def stray_pointer(s: Scene) -> None:
    s.after["models/Digits!/3/asset.yaml"] = s.after[M3]


def link_in_folder(s: Scene) -> None:
    s.modes["models/digits/3/README.md"] = "120000"


def broken_configuration(s: Scene) -> None:
    s.shape = Shape.BY_BRANCH
    s.after["gitml.yaml"] = b"<<<<<<< ours\n"


def broken_about(s: Scene) -> None:
    s.shape = Shape.BY_BRANCH
    s.after["models/digits/about.yaml"] = b"aliases: [\n"


def touches_configuration(s: Scene) -> None:
    s.after["gitml.yaml"] = b"schema: gitml/config/v1\nstages: {}\n"


def touches_code(s: Scene) -> None:
    s.after["train.py"] = b"import os\n"


def touches_another_stage(s: Scene) -> None:
    s.after["models/digits/staging.yaml"] = current("3")


def touches_about(s: Scene) -> None:
    s.after["models/digits/about.yaml"] = b"description: better\n"


def deletes_code(s: Scene) -> None:
    del s.after["train.py"]


def rewrites_version(s: Scene) -> None:
    s.after["models/digits/2/asset.yaml"] = pointer("models/digits@2", store="default", inputs={})


def adds_to_version(s: Scene) -> None:
    s.after["models/digits/2/README.md"] = b"late\n"


def changes_mode_in_version(s: Scene) -> None:
    s.before["models/digits/2/run.sh"] = b"#!\n"
    s.after["models/digits/2/run.sh"] = b"#!\n\n"


def removes_pointer_only(s: Scene) -> None:
    s.before["models/digits/2/README.md"] = s.after["models/digits/2/README.md"] = b"two\n"
    del s.after["models/digits/2/asset.yaml"]


def removes_input_of_current(s: Scene) -> None:
    s.before["datasets/digits/2/asset.yaml"] = s.after[D2]
    del s.after[D2]


def same_version_twice(s: Scene) -> None:
    s.after["models/digits/03/asset.yaml"] = pointer("models/digits@03")


def current_is_absent(s: Scene) -> None:
    s.after[STAGE_FILE] = current("9")


def current_of_unknown_asset(s: Scene) -> None:
    s.after["models/ghost/production.yaml"] = current("1")


def input_is_absent(s: Scene) -> None:
    del s.after[D2]


def input_has_another_digest(s: Scene) -> None:
    s.after[M3] = model_3({"datasets/digits@2": "datasets/digits@1"})


def input_of_input_is_absent(s: Scene) -> None:
    s.after[D2] = pointer("datasets/digits@2", {"datasets/raw@1": "datasets/raw@1"})


def input_of_old_input_is_absent(s: Scene) -> None:
    old = pointer("datasets/digits@1", {"datasets/raw@1": "datasets/raw@1"})
    s.before["datasets/digits/1/asset.yaml"] = s.after["datasets/digits/1/asset.yaml"] = old
    s.after[M3] = model_3({"datasets/digits@1": "datasets/digits@1"})


def input_elsewhere_is_missing(s: Scene) -> None:
    s.after[M3] = model_3(repo="shared")
    s.witness.lacking["shared//datasets/digits@2"] = "it is not there"


def input_elsewhere_is_not_promoted(s: Scene) -> None:
    s.require(inputs_promoted=True, no_inputs="allowed")
    input_elsewhere_is_missing(s)


def no_inputs_says_something_else(s: Scene) -> None:
    s.require(no_inputs=True)


def store_is_not_named(s: Scene) -> None:
    s.after[M3] = model_3(store="mine")


def input_is_malformed(s: Scene) -> None:
    s.after[D2] = s.after[D2].replace(b"schema: gitml/asset/v1", b"schema: gitml/asset/v9")


def old_input_is_malformed(s: Scene) -> None:
    bad = pointer("datasets/digits@1").replace(b"gitml/asset/v1", b"gitml/asset/v9")
    s.before["datasets/digits/1/asset.yaml"] = s.after["datasets/digits/1/asset.yaml"] = bad
    s.after[M3] = model_3({"datasets/digits@1": "datasets/digits@1"})


def bytes_are_missing_and_files_unknown(s: Scene) -> None:
    s.witness.without_bytes.add("models/digits@3")
    s.witness.contents = None
    s.require(formats={"models/*": ["*.md"]})


def bytes_are_missing(s: Scene) -> None:
    s.witness.without_bytes.add("models/digits@3")


def bytes_of_input_are_missing(s: Scene) -> None:
    s.witness.without_bytes.add("datasets/digits@2")


def bytes_of_moved_are_missing(s: Scene) -> None:
    s.before |= {path: data for path, data in s.after.items() if path != STAGE_FILE}
    s.witness.without_bytes.add("models/digits@3")


def not_on_source(s: Scene) -> None:
    s.witness.found_as["models/digits@3"] = Found.NO


def input_not_on_source(s: Scene) -> None:
    s.witness.found_as["datasets/digits@2"] = Found.NO


def never_ran_on_source(s: Scene) -> None:
    s.witness.found_as["models/digits@3"] = Found.NOT_CURRENT


def not_pushed(s: Scene) -> None:
    s.witness.found_as["models/digits@3"] = Found.NOT_PUSHED


def code_not_on_source(s: Scene) -> None:
    s.shape = Shape.BY_BRANCH
    s.witness.code = ["commit 123456"]


def unknown_requirement(s: Scene) -> None:
    s.require(sealed=True)


def two_files_in_two_cases(s: Scene) -> None:
    s.after["models/digits/3/ReadMe.md"] = s.after["models/digits/3/README.md"]
    s.after[M3] = model_3(review=["README.md", "ReadMe.md"])
    assert s.witness.contents is not None
    s.witness.contents["ReadMe.md"] = s.witness.contents["README.md"]


def type_in_another_case(s: Scene) -> None:
    s.shape = Shape.BY_BRANCH
    s.after["Models/digits/3/asset.yaml"] = s.after[M3]


def folder_in_another_case(s: Scene) -> None:
    s.shape = Shape.BY_BRANCH
    s.after["models/Digits/notes.md"] = b"mine\n"


def stage_file_in_another_case(s: Scene) -> None:
    s.shape = Shape.BY_BRANCH
    s.after["models/ghosts/Production.yaml"] = current("3")


def copy_differs(s: Scene) -> None:
    s.after["models/digits/3/README.md"] = b"# Better than it is\n"


def copy_is_not_listed(s: Scene) -> None:
    s.after["models/digits/3/notes.md"] = b"late\n"


def copy_is_missing(s: Scene) -> None:
    del s.after["models/digits/3/README.md"]


def copy_is_not_in_the_contents(s: Scene) -> None:
    s.witness.contents = {}


def copy_cannot_be_compared(s: Scene) -> None:
    s.witness.contents = None


def copy_of_moved_differs(s: Scene) -> None:
    s.before |= {path: data for path, data in s.after.items() if path != STAGE_FILE}
    s.before["models/digits/3/README.md"] = s.after["models/digits/3/README.md"] = b"other\n"


def unknown_key_of_the_stage(s: Scene) -> None:
    s.policy = replace(s.policy, extra={"freeze": True})


def approvals_are_no_count(s: Scene) -> None:
    s.require(approvals="two")


def approvals_are_a_flag(s: Scene) -> None:
    s.require(approvals=True)


def negative_approvals(s: Scene) -> None:
    s.require(approvals=-1)


def inputs_promoted_is_no_flag(s: Scene) -> None:
    s.require(inputs_promoted="yes")


def too_few_approvals(s: Scene) -> None:
    s.require(approvals=2)
    s.reviews = Reviews(approved_by=("bob@example.com", "bob@example.com"))


def rejected(s: Scene) -> None:
    s.reviews = Reviews(rejected_by=("bob@example.com",))


def statement_that_is_none(s: Scene) -> None:
    s.stated = Defect(path="", message="the statement of commit 1 is no JSON")


def statement_about_another_stage(s: Scene) -> None:
    s.stated = replace(statement(), target="staging")


def statement_with_another_digest(s: Scene) -> None:
    s.stated = replace(statement(), subjects=statement().subjects | {"models/digits@3": digest_of("other")})


def statement_of_a_version_that_is_not_there(s: Scene) -> None:
    s.stated = replace(statement(), subjects=statement().subjects | {"models/digits@9": digest_of("other")})


def statement_without_a_version(s: Scene) -> None:
    s.stated = replace(statement(), subjects={"models/digits@3": digest_of("models/digits@3")})


def statement_without_a_move(s: Scene) -> None:
    s.stated = replace(statement(), moves=())


def statement_of_another_move(s: Scene) -> None:
    s.stated = replace(statement(), moves=(replace(statement().moves[0], to_version="2"),))


def inherited_current_is_judged(s: Scene) -> None:
    s.born = False
    s.before[STAGE_FILE] = current("3")
    s.witness.found_as["models/digits@3"] = Found.NO


SPOILT: list[tuple[Callable[[Scene], None], set[str]]] = [
    (broken_pointer, {"schema"}),
    (pointer_of_another, {"schema"}),
    (conflict_markers_in_pointer, {"schema"}),
    (conflict_markers_in_stage_file, {"current"}),
    (stray_pointer, {"schema", "scope"}),
    (link_in_folder, {"schema"}),
    (broken_configuration, {"schema"}),
    (broken_about, {"schema"}),
    (touches_configuration, {"scope", "schema"}),
    (touches_code, {"scope"}),
    (touches_another_stage, {"scope"}),
    (touches_about, {"scope"}),
    (deletes_code, {"scope"}),
    (rewrites_version, {"write-once"}),
    (adds_to_version, {"write-once"}),
    (changes_mode_in_version, {"write-once"}),
    (removes_pointer_only, {"write-once"}),
    (removes_input_of_current, {"write-once", "inputs"}),
    (same_version_twice, {"write-once"}),
    (two_files_in_two_cases, {"schema"}),
    (type_in_another_case, {"schema"}),
    (folder_in_another_case, {"schema"}),
    (stage_file_in_another_case, {"schema"}),
    (copy_differs, {"review"}),
    (copy_is_not_listed, {"review"}),
    (copy_is_missing, {"review"}),
    (copy_is_not_in_the_contents, {"review"}),
    (copy_cannot_be_compared, {"review"}),
    (copy_of_moved_differs, {"review"}),
    (current_is_absent, {"current"}),
    (current_of_unknown_asset, {"current"}),
    (input_is_absent, {"inputs"}),
    (input_has_another_digest, {"inputs"}),
    (input_of_input_is_absent, {"inputs"}),
    (input_of_old_input_is_absent, {"inputs"}),
    (input_elsewhere_is_missing, {"inputs"}),
    (input_elsewhere_is_not_promoted, {"inputs"}),
    (no_inputs_says_something_else, {"require"}),
    (input_is_malformed, {"schema"}),
    (old_input_is_malformed, {"inputs"}),
    (bytes_are_missing_and_files_unknown, {"bytes"}),
    (store_is_not_named, {"bytes"}),
    (bytes_are_missing, {"bytes"}),
    (bytes_of_input_are_missing, {"bytes"}),
    (bytes_of_moved_are_missing, {"bytes"}),
    (not_on_source, {"from"}),
    (input_not_on_source, {"from"}),
    (never_ran_on_source, {"from"}),
    (not_pushed, {"not-pushed"}),
    (code_not_on_source, {"from"}),
    (unknown_requirement, {"require"}),
    (unknown_key_of_the_stage, {"require"}),
    (approvals_are_no_count, {"require"}),
    (approvals_are_a_flag, {"require"}),
    (negative_approvals, {"require"}),
    (inputs_promoted_is_no_flag, {"require"}),
    (too_few_approvals, {"approvals"}),
    (rejected, {"rejected"}),
    (inherited_current_is_judged, {"from"}),
    (statement_that_is_none, {"statement"}),
    (statement_about_another_stage, {"statement"}),
    (statement_with_another_digest, {"statement"}),
    (statement_of_a_version_that_is_not_there, {"statement"}),
    (statement_without_a_version, {"statement"}),
    (statement_without_a_move, {"statement"}),
    (statement_of_another_move, {"statement"}),
]


@pytest.mark.parametrize("folder", ["", "registry"])
@pytest.mark.parametrize(("spoil", "rules"), SPOILT, ids=lambda value: getattr(value, "__name__", ""))
def test_each_fault_is_named_by_its_rule(
    spoil: Callable[[Scene], None], rules: set[str], folder: str
) -> None:
    scene = allowed()
    scene.folder = folder
    spoil(scene)
    found = scene.problems()
    assert {problem.rule.value for problem in found} == rules
    assert all(problem.message and "\n" not in problem.message for problem in found)


@pytest.mark.parametrize("off", policy.RULES, ids=lambda rule: rule.__name__)
def test_no_rule_is_idle(off: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one rule off, some fault of the table is no longer named as it should be."""
    monkeypatch.setattr(policy, "RULES", tuple(rule for rule in policy.RULES if rule is not off))

    def noticed(scene: Scene, spoil: Callable[[Scene], None], rules: set[str]) -> bool:
        spoil(scene)
        return scene.rules() != rules

    assert any(noticed(allowed(), *row) for row in SPOILT) or any(
        noticed(demanding(), *row) for row in DEMANDS
    )


def test_approvals_are_set_aside_before_the_request() -> None:
    scene = allowed()
    scene.require(approvals=1)
    assert scene.problems() == []
    scene.reviews = Reviews()
    assert scene.rules() == {"approvals"}
    scene.reviews = Reviews(approved_by=("bob@example.com",))
    assert scene.problems() == []


def test_a_version_that_nothing_needs_may_go() -> None:
    scene = allowed()
    del scene.after["models/digits/2/asset.yaml"]
    assert scene.problems() == []


@pytest.mark.parametrize("promoted", [False, True])
def test_an_input_in_another_repository_is_looked_up_there(promoted: bool) -> None:
    scene = allowed()
    scene.require(inputs_promoted=promoted)
    scene.after[M3] = model_3({"datasets/elsewhere@2": "datasets/elsewhere@2"}, repo="shared")
    assert scene.problems() == []
    assert scene.witness.sought == [("shared//datasets/elsewhere@2", promoted)]


def test_inputs_may_stay_behind_where_the_policy_says_so() -> None:
    scene = allowed()
    scene.require(no_inputs="allowed")
    scene.after[M3] = model_3({"datasets/raw@7": "datasets/raw@7"})
    assert scene.problems() == []
    scene.require(no_inputs="allowed", inputs_promoted=True)
    assert scene.rules() == {"inputs"}


def test_a_branch_may_bring_code_and_configuration() -> None:
    scene = allowed()
    scene.shape = Shape.BY_BRANCH
    scene.after["train.py"] = b"import os\n"
    scene.after["models/digits/staging.yaml"] = current("3")
    assert scene.problems() == []


def rollback_scene() -> Scene:
    scene = allowed()
    scene.before = dict(scene.after)
    scene.after = scene.after | {STAGE_FILE: current("2")}
    scene.witness.found_as["models/digits@2"] = Found.NO
    return scene


def test_a_rollback_needs_no_source() -> None:
    scene = rollback_scene()
    scene.witness.earlier = {"models/digits@2"}
    scene.require(approvals=1)
    scene.reviews = Reviews()
    assert scene.rules() == {"approvals"}


def test_a_rollback_at_once_needs_nobody_but_may_be_refused() -> None:
    scene = rollback_scene()
    scene.witness.earlier = {"models/digits@2"}
    scene.require(approvals={"count": 1, "owners": {"**": ["eve@example.com"]}}, rollback_now="allowed")
    scene.reviews = Reviews()
    assert scene.problems() == []
    scene.reviews = Reviews(rejected_by=("bob@example.com",))
    assert scene.rules() == {"rejected"}
    scene.require(approvals=1, rollback_now=True)
    assert scene.rules() == {"require", "rejected", "approvals"}


def test_only_a_rollback_needs_nobody() -> None:
    scene = allowed()
    scene.require(approvals={"count": 1, "owners": {"**": ["eve@example.com"]}}, rollback_now="allowed")
    scene.reviews = Reviews()
    assert scene.rules() == {"approvals", "owners"}


def test_what_never_ran_is_no_rollback() -> None:
    scene = rollback_scene()
    assert scene.rules() == {"from"}


def test_a_rollback_that_brings_something_is_none() -> None:
    scene = rollback_scene()
    scene.witness.earlier = {"models/digits@2"}
    scene.after["models/digits/4/asset.yaml"] = pointer("models/digits@4")
    assert scene.rules() == {"from"}


def test_a_rollback_before_birth_is_none() -> None:
    scene = rollback_scene()
    scene.born = False
    scene.witness.earlier = {"models/digits@2"}
    assert scene.rules() == {"from"}


def test_bytes_need_not_be_shared_without_a_remote() -> None:
    scene = replace_stores(allowed())
    assert scene.problems() == []


def replace_stores(scene: Scene) -> Scene:
    changed = replace(scene, stores=None)
    changed.after[M3] = model_3(store="mine")
    return changed


def test_every_objection_is_named_at_once() -> None:
    scene = allowed()
    for spoil in (bytes_are_missing, touches_code, input_is_absent, unknown_requirement, not_on_source):
        spoil(scene)
    assert scene.rules() == {"bytes", "scope", "inputs", "require", "from"}


def test_a_stage_file_that_cannot_be_read_is_no_move() -> None:
    scene = allowed()
    conflict_markers_in_stage_file(scene)
    assert scene.case().moves == ()
    scene.before, scene.after = scene.after, allowed().after
    assert [(move.from_version, str(move.to_version)) for move in scene.case().moves] == [(None, "3")]


def test_removing_beside_inputs_that_name_each_other() -> None:
    """Hostile pointers cannot make it run for ever, nor stumble over what is nowhere."""
    scene = allowed()
    del scene.after["datasets/digits/1/asset.yaml"]
    pins = {"models/digits@3": "models/digits@3", "datasets/gone@1": "datasets/gone@1"}
    scene.after[D2] = pointer("datasets/digits@2", pins)
    assert scene.rules() == {"inputs"}
    scene.after["models/digits/2/asset.yaml"] = scene.before["models/digits/2/asset.yaml"]
    scene.after[STAGE_FILE] = current("2")
    assert scene.rules() == {"inputs", "write-once"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (copy_is_missing, "is missing"),
        (copy_is_not_listed, "is none of the review copies"),
        (copy_cannot_be_compared, "cannot be compared with"),
        (copy_differs, "differs from"),
        (touches_configuration, "the configuration"),
        (touches_code, "a file that is no part of it"),
        (stage_file_in_another_case, "looks like production.yaml"),
        (two_files_in_two_cases, "differ only in the case"),
    ],
)
def test_what_is_said(spoil: Callable[[Scene], None], words: str) -> None:
    scene = allowed()
    spoil(scene)
    assert any(words in problem.message for problem in scene.problems())
