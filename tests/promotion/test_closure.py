"""Inputs that other registries hold are judged, through any number of registries; and versions without inputs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import InFolder
from support.promoting import POLICY, founded, land, number, register, runs, work
from support.team import Member, Team

from gitml.errors import NotFound, PolicyRefused, StoreUnavailable

OPEN = POLICY.replace(", inputs_promoted: true", "").replace("{approvals: 1}", "{approvals: 0}")
STRICT = POLICY.replace("approvals: 1, ", "").replace(
    'from: ["working/*", main]', 'from: ["working/*", main]\n    require: {inputs_promoted: true}'
)


def team_of(base: Path, policy: str, **registries: Path) -> Team:
    named = "".join(f"\n  {name}: {path.as_uri()}" for name, path in registries.items())
    return Team(base, configuration=policy + (f"registries:{named}\n" if named else ""))


@pytest.fixture
def theirs(tmp_path: Path) -> Team:
    return founded(tmp_path / "theirs", OPEN)


@pytest.fixture
def ours(tmp_path: Path, theirs: Team) -> Team:
    team = team_of(tmp_path / "ours", STRICT, shared=theirs.remote)
    register(team.ada, "models/m", "m", inputs=["training=shared//datasets/digits@1"])
    team.ada.registry.push()
    return team


def refused(member: Member, ref: str = "models/m") -> PolicyRefused:
    with pytest.raises(PolicyRefused) as caught:
        member.registry.promote(ref, target="staging")
    return caught.value


def test_an_input_has_to_be_promoted_there_too(ours: Team, theirs: Team) -> None:
    error = refused(ours.ada)
    assert error.exit_code == 12
    assert "nothing was promoted to the stage staging" in error.message
    (tree,) = error.context["missing"]
    assert tree["ref"] == "models/m@1"
    assert [node["ref"] for node in tree["needs"]] == ["shared//datasets/digits@1"]
    land(theirs.ada, theirs.ada.registry.promote("models/digits", target="staging"))
    land(ours.ada, ours.ada.registry.promote("models/m", target="staging"))
    assert runs(ours, "staging") == {"models/m": "1"}


def test_without_that_rule_being_there_is_enough(tmp_path: Path, theirs: Team) -> None:
    ours = team_of(tmp_path / "ours", OPEN, shared=theirs.remote)
    register(ours.ada, "models/m", "m", inputs=["shared//datasets/digits@1"])
    ours.ada.registry.push()
    land(ours.ada, ours.ada.registry.promote("models/m", target="staging"))


def test_what_was_pinned_is_compared(tmp_path: Path, theirs: Team) -> None:
    ours = team_of(tmp_path / "ours", OPEN, shared=theirs.remote)
    other = founded(tmp_path / "other", OPEN)
    register(other.ada, "datasets/digits", "forged")
    register(ours.ada, "models/m", "m", inputs=["shared//datasets/digits@1"])
    path = ours.ada.folder / "models/m/1/asset.yaml"
    right = str(theirs.ada.registry.show("datasets/digits@1").asset["contents"]["digest"])
    path.write_text(path.read_text().replace(right, right[:-4] + "0000"))
    ours.ada.git("commit", "--quiet", "-am", "Forge")
    ours.ada.registry.push()
    error = refused(ours.ada)
    assert "was pinned as" in error.message


def test_a_registry_that_the_target_does_not_name_is_not_asked(tmp_path: Path, theirs: Team) -> None:
    ours = team_of(tmp_path / "ours", OPEN)
    register(ours.ada, "models/m", "m", inputs=[f"{theirs.remote.as_uri()}//datasets/digits@1"])
    ours.ada.registry.push()
    theirs.remote.rename(theirs.remote.with_suffix(".gone"))
    error = refused(ours.ada)
    assert "does not name" in error.message


def test_a_registry_that_cannot_be_asked(tmp_path: Path, theirs: Team, ours: Team) -> None:
    land(theirs.ada, theirs.ada.registry.promote("models/digits", target="staging"))
    asked = ours.ada.registry.promote("models/m", target="staging")
    config = ours.ada.folder / "gitml.yaml"
    config.write_text(config.read_text().replace(theirs.remote.as_uri(), "http://127.0.0.1:9/x.git"))
    ours.ada.git("commit", "--quiet", "-am", "Move")
    ours.ada.git("push", "--quiet")
    with pytest.raises(PolicyRefused) as judged:
        ours.ada.registry.requests.merge(number(asked))
    assert "cannot be looked up" in judged.value.message
    with pytest.raises(StoreUnavailable) as caught:
        ours.ada.registry.promote("models/m", target="staging")
    assert caught.value.exit_code == 7


def test_through_several_registries_and_round_in_circles(tmp_path: Path) -> None:
    """A's model was made from B's dataset, that from C's, and that from the first version of B's."""
    remotes = {name: tmp_path / name / "remote.git" for name in "abc"}
    b = team_of(tmp_path / "b", OPEN, c=remotes["c"])
    c = team_of(tmp_path / "c", OPEN, b=remotes["b"])
    a = team_of(tmp_path / "a", STRICT, b=remotes["b"])
    register(b.ada, "datasets/x", "one")
    b.ada.registry.push()
    register(c.ada, "datasets/y", "y", inputs=["b//datasets/x@1"])
    c.ada.registry.push()
    register(b.ada, "datasets/x", "two", inputs=["c//datasets/y@1", "datasets/x@1"])
    b.ada.registry.push()
    register(a.ada, "models/m", "m", inputs=["b//datasets/x@2"])
    a.ada.registry.push()
    land(b.ada, b.ada.registry.promote("datasets/x@2", target="staging"))
    error = refused(a.ada)
    (tree,) = error.context["missing"]
    (x,) = tree["needs"]
    assert (x["ref"], x["problem"]) == ("b//datasets/x@2", None)
    assert [(node["ref"], node["problem"] is None) for node in x["needs"]] == [("c//datasets/y@1", False)]
    land(c.ada, c.ada.registry.promote("datasets/y", target="staging"))
    land(a.ada, a.ada.registry.promote("models/m", target="staging"))


def test_check_shows_the_tree(ours: Team, theirs: Team) -> None:
    ours.ada.git("switch", "--quiet", "-c", "staging")
    ours.ada.git("push", "--quiet", "origin", "staging")
    ours.ada.git("switch", "--quiet", "main")
    register(ours.ada, "models/m", "m2", inputs=["training=shared//datasets/digits@1"])
    found = ours.ada.registry.check("staging..HEAD")
    (tree,) = [problem.missing for rule in found.rules for problem in rule.problems if problem.missing]
    assert [(node.ref, node.problem is None) for node in tree.needs] == [("shared//datasets/digits@1", False)]
    shown = InFolder(ours.ada.folder)("check", "staging..HEAD")
    assert shown.exit_code == 12
    assert "shared//datasets/digits@1" in shown.stdout


def test_versions_without_inputs_only_where_the_policy_allows(tmp_path: Path) -> None:
    closed = founded(tmp_path / "closed", POLICY)
    with pytest.raises(PolicyRefused) as caught:
        closed.ada.registry.promote("models/digits", target="staging", no_inputs=True)
    assert "no_inputs: allowed" in str(caught.value.hint)
    allowed = Team(
        tmp_path / "allowed",
        configuration=OPEN.replace(
            'from: ["working/*", main]', 'from: ["working/*", main]\n    require: {no_inputs: allowed}'
        ),
    )
    register(allowed.ada, "models/first", "first")
    allowed.ada.registry.push()
    land(allowed.ada, allowed.ada.registry.promote("models/first", target="staging"))
    work(allowed)
    with_them = allowed.ada.registry.promote("models/digits", target="staging", dry_run=True)
    assert [str(one) for one in with_them.plan.folders] == ["datasets/digits@1", "models/digits@1"]
    alone = allowed.ada.registry.promote("models/digits", target="staging", no_inputs=True)
    assert [str(one) for one in alone.plan.folders] == ["models/digits@1"]
    land(allowed.ada, alone)


@pytest.mark.parametrize("said", ["yes", "true", "Allowed", "1"])
def test_anything_else_than_allowed_refuses(tmp_path: Path, said: str) -> None:
    rule = f'from: ["working/*", main]\n    require: {{no_inputs: "{said}"}}'
    team = founded(tmp_path / "team", OPEN.replace('from: ["working/*", main]', rule))
    with pytest.raises(PolicyRefused) as caught:
        team.ada.registry.promote("models/digits", target="staging")
    assert {reason["rule"] for reason in caught.value.context["reasons"]} == {"require"}


def test_a_name_that_nobody_gave(tmp_path: Path) -> None:
    team = Team(tmp_path / "team", configuration=OPEN)
    with pytest.raises(NotFound):
        register(team.ada, "models/m", "m", inputs=["nobody//datasets/digits@1"])
