"""Inputs of other registries: pinned with commit and digest, shown in the lineage, and never taken for our own."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import InFolder
from support.promoting import POLICY, founded, register
from support.team import Team, git

from gitml.errors import InvalidInput, UsageError
from gitml.model.pointer import Pointer


@pytest.fixture
def theirs(tmp_path: Path) -> Team:
    return founded(tmp_path / "theirs", POLICY)


@pytest.fixture
def ours(tmp_path: Path, theirs: Team) -> Team:
    return Team(tmp_path / "ours", configuration=POLICY + f'registries: {{shared: "{theirs.remote}"}}\n')


def test_a_pin_names_repository_commit_and_digest(ours: Team, theirs: Team) -> None:
    register(ours.ada, "models/m", "m", inputs=["training=shared//datasets/digits@1"])
    asset = ours.ada.registry.show("models/m").asset
    (pinned,) = asset["inputs"]
    assert pinned["ref"] == "shared//datasets/digits@1"
    assert pinned["commit"] == git(theirs.remote, "rev-parse", "main")
    assert pinned["digest"] == theirs.ada.registry.show("datasets/digits@1").asset["contents"]["digest"]
    assert pinned["role"] == "training"
    text = ours.ada.registry.show("models/m").text.encode()
    assert Pointer.parse(text, file="asset.yaml").format() == text


def test_the_url_of_a_named_registry_is_recorded_by_its_name(ours: Team, theirs: Team) -> None:
    register(ours.ada, "models/m", "m", inputs=[f"{theirs.remote.as_uri()}//datasets/digits"])
    assert ours.ada.registry.show("models/m").asset["inputs"][0]["ref"] == "shared//datasets/digits@1"
    register(ours.ada, "models/n", "n", inputs=[f"{theirs.ada.folder}//datasets/digits"])
    assert ours.ada.registry.show("models/n").asset["inputs"][0]["ref"] == (
        f"{theirs.ada.folder}//datasets/digits@1"
    )


def test_registering_again_changes_nothing_though_the_other_registry_moved_on(
    ours: Team, theirs: Team
) -> None:
    register(ours.ada, "models/m", "m", inputs=["shared//datasets/digits@1"])
    register(theirs.ada, "datasets/more", "x")
    theirs.ada.registry.push()
    register(ours.ada, "models/m", "m", inputs=["shared//datasets/digits@1"])
    assert [str(row.ref) for row in ours.ada.registry.list("models/m").versions] == ["models/m@1"]


def test_lineage_shows_it_and_does_not_take_it_for_our_own(ours: Team) -> None:
    register(ours.ada, "datasets/digits", "other bytes")
    register(ours.ada, "models/m", "m", inputs=["shared//datasets/digits@1", "datasets/digits@1"])
    foreign, own = ours.ada.registry.lineage("models/m").related
    assert (foreign.state.value, foreign.repo) == ("elsewhere", "shared")
    assert (own.state.value, own.repo) == ("present", None)
    users = ours.ada.registry.lineage("datasets/digits@1", direction="down").related
    assert [str(one.ref) for one in users] == ["models/m@1"]
    register(ours.ada, "models/n", "n", inputs=["shared//datasets/digits@1"])
    users = ours.ada.registry.lineage("datasets/digits@1", direction="down").related
    assert [str(one.ref) for one in users] == ["models/m@1"], "models/n was made from theirs"
    shown = InFolder(ours.ada.folder)("lineage", "models/m")
    assert f"shared//datasets/digits@1  {foreign.digest[:19]}" in shown.stdout.replace("…", "")
    assert str(foreign.commit)[:7] in shown.stdout


def test_a_file_is_no_input(ours: Team) -> None:
    with pytest.raises(UsageError):
        register(ours.ada, "models/m", "m", inputs=["shared//datasets/digits@1:data.txt"])


@pytest.mark.parametrize("commit", ["main", "4F2C", "x" * 40, "--upload-pack=x"])
def test_a_pin_with_a_bad_commit_is_refused(ours: Team, commit: str) -> None:
    register(ours.ada, "models/m", "m", inputs=["shared//datasets/digits@1"])
    asset = ours.ada.registry.show("models/m")
    said = str(asset.asset["inputs"][0]["commit"])
    quoted = f'"{said}"' if f'"{said}"' in asset.text else said
    text = asset.text.replace(quoted, f'"{commit}"')
    with pytest.raises(InvalidInput) as caught:
        Pointer.parse(text.encode(), file="asset.yaml")
    assert "commit" in caught.value.message
