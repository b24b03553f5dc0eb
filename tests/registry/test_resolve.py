from __future__ import annotations

from pathlib import Path

import pytest
from support.team import Member, Team, alone, write

from gitml.errors import Conflict, NotFound, UsageError


@pytest.fixture
def three(tmp_path: Path) -> Member:
    return alone(tmp_path, three_times)


def three_times(member: Member, folder: Path) -> None:
    for number in (1, 2, 3):
        member.registry.register("models/digits", write(folder / "out", {"a": f"{number}"}))


def shown(member: Member, ref: str, rev: str | None = None) -> str:
    return str(member.registry.show(ref, rev=rev).ref)


def test_every_spelling_of_a_version(three: Member) -> None:
    digest = three.registry.show("models/digits@2").asset["contents"]["digest"]
    for ref in ("models/digits@2", "models/digits/2", "model/digits@2", "digits@2", f"digits@{digest}"):
        assert shown(three, ref) == "models/digits@2"
    for ref in ("models/digits", "digits", "digits@latest"):
        assert shown(three, ref) == "models/digits@3"


def test_a_name_in_two_types_is_ambiguous(three: Member, tmp_path: Path) -> None:
    three.registry.register("datasets/digits", write(tmp_path / "data", {"a": "d"}))
    with pytest.raises(UsageError, match="datasets/digits, models/digits"):
        shown(three, "digits")


def test_latest_passes_over_deprecated_versions(three: Member) -> None:
    three.registry.deprecate("models/digits@3", message="leaks labels", replaced_by="models/digits@2")
    assert shown(three, "models/digits") == "models/digits@2"
    row = three.registry.list("models/digits").versions[0]
    assert (
        row.deprecated is not None
        and row.deprecated.reason == "leaks labels"
        and row.deprecated.replaced_by == "2"
    )
    for version in ("1", "2"):
        three.registry.deprecate(f"models/digits@{version}")
    with pytest.raises(NotFound, match="every version"):
        shown(three, "models/digits")


def test_aliases_move(three: Member) -> None:
    first = three.registry.alias("models/digits", "champion", "1")
    assert first.changed and shown(three, "models/digits@champion") == "models/digits@1"
    assert not three.registry.alias("models/digits", "champion", "1").changed
    three.registry.alias("models/digits", "champion", "2")
    assert shown(three, "models/digits@champion") == "models/digits@2"
    assert three.git("show", "--name-only", "--format=", "HEAD") == "models/digits/about.yaml"
    assert three.git("status", "--porcelain") == ""


@pytest.mark.parametrize("name", ["production", "latest", "2", "asset", "about", "Big", "-x"])
def test_an_alias_that_would_clash_is_refused(three: Member, name: str) -> None:
    with pytest.raises((Conflict, Exception)) as caught:
        three.registry.alias("models/digits", name, "1")
    assert getattr(caught.value, "exit_code", None) in (3, 5)


def test_what_is_not_there_is_not_found_with_a_hint(three: Member, tmp_path: Path) -> None:
    three.registry.register("models/other", write(tmp_path / "x", {"a": "x"}), branch="working/x")
    three.registry.register("models/other", write(tmp_path / "y", {"a": "y"}), branch="working/y")
    for ref, hint in [
        ("models/digit", "gitml show models/digits"),
        ("models/digits@9", "gitml list models/digits"),
        ("models/other", "add --rev working/x"),
        ("models/other@2", "add --rev working/y"),
        ("models/other@3", "add --rev working/x"),
    ]:
        with pytest.raises(NotFound) as caught:
            shown(three, ref)
        assert caught.value.hint == hint
    assert shown(three, "models/other", rev="working/x") == "models/other@1"


def test_a_stage_without_its_branch_is_its_own_error(team: Team, tmp_path: Path) -> None:
    team.ada.registry.register("models/digits", write(tmp_path / "out", {"a": "1"}))
    with pytest.raises(NotFound) as caught:
        shown(team.ada, "models/digits@production")
    assert caught.value.code == "stage-not-here" and caught.value.hint == "git fetch origin production"


def test_reading_works_in_a_depth_one_clone(team: Team, tmp_path: Path) -> None:
    team.ada.registry.register("models/digits", write(tmp_path / "out", {"a": "1"}))
    team.ada.registry.register("models/digits", write(tmp_path / "out", {"a": "2"}))
    team.ada.registry.push()
    shallow = team.clone("shallow", None, None, "--depth", "1")
    assert [str(row.ref) for row in shallow.registry.list("models/digits").versions] == [
        "models/digits@2",
        "models/digits@1",
    ]
    assert shallow.registry.get("models/digits@1", tmp_path / "got").written == 1
    assert (tmp_path / "got/a").read_text() == "1"
