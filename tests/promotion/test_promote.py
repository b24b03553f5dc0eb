"""`promote`: what travels, what is refused up front, what is so already."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.promoting import POLICY, founded, land, number, register, runs
from support.team import Member, Team, git, write

from gitml.errors import Conflict, InvalidInput, NotFound, PolicyRefused, StoreUnavailable, UsageError
from gitml.forge.base import RequestState


def files_of(team: Team, rev: str) -> set[str]:
    return set(git(team.remote, "ls-tree", "-r", "--name-only", rev).splitlines())


def refs_of(folder: Path) -> str:
    return git(folder, "for-each-ref", "--format=%(refname) %(objectname)")


def test_a_dry_run_moves_nothing_but_remote_tracking_branches(team: Team, tmp_path: Path) -> None:
    grace = team.clone("grace")
    register(grace, "models/digits", "two")
    grace.registry.push()
    land(grace, grace.registry.promote("models/digits@2", target="staging"))

    def own() -> object:
        files = {path: path.read_bytes() for path in team.ada.folder.rglob("*") if path.is_file()}
        kept = {
            path.relative_to(team.ada.folder).as_posix(): data
            for path, data in files.items()
            if not path.is_relative_to(team.ada.folder / ".git")
            or path.name in ("index", "HEAD", "FETCH_HEAD", "config", "exclude")
        }
        return kept, [
            ref for ref in refs_of(team.ada.folder).splitlines() if not ref.startswith("refs/remotes/")
        ]

    before = own(), refs_of(team.remote), sorted(team.store.rglob("*"))
    planned = team.ada.registry.promote("models/digits@staging", target="production", dry_run=True)
    assert planned.plan.base is not None and planned.request is None
    assert str(planned.plan.moves[0].to_version) == "2", "as the remote is now"
    assert (own(), refs_of(team.remote), sorted(team.store.rglob("*"))) == before


def test_inputs_travel_as_folders_only(team: Team) -> None:
    promotion = team.ada.registry.promote("models/digits", target="staging")
    assert [str(version) for version in promotion.plan.folders] == []  # born from main, which has them
    land(team.ada, promotion)
    register(team.ada, "datasets/digits", "3,4\n")
    register(team.ada, "models/digits", "two", inputs=["datasets/digits@2"])
    register(team.ada, "datasets/other", "5\n")
    team.ada.registry.push()
    promotion = team.ada.registry.promote("models/digits@2", target="staging")
    assert [str(version) for version in promotion.plan.folders] == ["datasets/digits@2", "models/digits@2"]
    assert "travels along: datasets/digits@2" in promotion.summary
    land(team.ada, promotion)
    assert runs(team, "staging") == {"models/digits": "2"}
    assert "datasets/digits/2/asset.yaml" in files_of(team, "staging")
    assert "datasets/other/1/asset.yaml" not in files_of(team, "staging")


def test_the_head_is_one_commit_on_the_target(team: Team) -> None:
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    register(team.ada, "models/digits", "two")
    team.ada.registry.push()
    request = team.ada.registry.promote("models/digits", target="staging").request
    assert request is not None
    assert team.ada.git("rev-parse", f"{request.head}^@") == git(team.remote, "rev-parse", "staging")
    assert team.ada.git("diff", "--name-only", f"{request.head}^", request.head).splitlines() == [
        "models/digits/2/asset.yaml",
        "models/digits/staging.yaml",
    ]
    diff = team.ada.git("diff", f"{request.head}^", request.head, "--", "models/digits/staging.yaml")
    assert '-current: "1"\n+current: "2"' in diff


def test_an_unborn_stage_is_born_from_main(team: Team) -> None:
    promotion = team.ada.registry.promote("models/digits", target="staging")
    main = git(team.remote, "rev-parse", "main")
    assert promotion.plan.base == main
    assert promotion.request is not None
    assert promotion.request.base == main
    assert "refs/heads/staging" not in refs_of(team.remote)
    merged = land(team.ada, promotion)
    assert git(team.remote, "rev-parse", "staging^1") == main
    assert team.ada.git("rev-parse", "refs/remotes/origin/staging") == merged.commit
    assert merged.request.base == main


def test_stage_files_on_main_mean_nothing_at_birth(team: Team) -> None:
    write(team.ada.folder, {"datasets/digits/staging.yaml": 'current: "1"\n'})
    team.ada.git("add", "datasets/digits/staging.yaml")
    team.ada.git("commit", "--quiet", "-m", "Stray")
    team.ada.git("push", "--quiet", "origin", "main")
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    assert runs(team, "staging") == {"models/digits": "1"}


def test_what_is_so_already_is_said(team: Team) -> None:
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    again = team.ada.registry.promote("models/digits@1", target="staging")
    assert (again.request, again.created, again.updated) == (None, False, False)
    assert [str(version) for version in again.plan.already] == ["models/digits@1"]
    assert "1 of 1" in again.summary[0]
    assert len(team.ada.registry.requests.list("all")) == 1


def test_promoting_again_updates_the_open_request(team: Team, bob: Member) -> None:
    first = team.ada.registry.promote("models/digits@1", target="staging")
    bob.registry.requests.approve(number(first))
    again = team.ada.registry.promote("models/digits@1", target="staging")
    assert (again.created, again.updated) == (False, False)
    assert again.request is not None
    assert len(again.request.approvals) == 1
    renamed = team.ada.registry.promote("models/digits@1", target="staging", title="Digits")
    assert (renamed.created, renamed.updated) == (False, True)
    assert renamed.request is not None
    assert (renamed.request.number, renamed.request.title) == (1, "Digits")
    assert len(renamed.request.approvals) == 1, "the head is the same, so what was said of it stands"


def test_a_stale_request_is_brought_up_to_date(team: Team, bob: Member) -> None:
    land(team.ada, team.ada.registry.promote("models/digits@1", target="staging"))
    for text in ("two", "three"):
        register(team.ada, "models/digits", text)
    team.ada.registry.push()
    second = team.ada.registry.promote("models/digits@2", target="staging")
    third = team.ada.registry.promote("models/digits@3", target="staging")
    land(team.ada, second)
    with pytest.raises(Conflict) as caught:
        land(team.ada, third)
    assert caught.value.context["paths"] == ["models/digits/staging.yaml"]
    updated = team.ada.registry.promote("models/digits@3", target="staging")
    assert updated.updated
    assert number(updated) == number(third)
    land(team.ada, updated)
    assert runs(team, "staging") == {"models/digits": "3"}


def test_promotions_of_two_assets_never_conflict(team: Team) -> None:
    one = team.ada.registry.promote("models/digits", target="staging")
    two = team.ada.registry.promote("datasets/digits", target="staging")
    land(team.ada, two)
    land(team.ada, one)
    assert runs(team, "staging") == {"models/digits": "1", "datasets/digits": "1"}


def test_several_assets_in_one_request(team: Team) -> None:
    land(team.ada, team.ada.registry.promote("models/digits", "datasets/digits@1", target="staging"))
    assert runs(team, "staging") == {"models/digits": "1", "datasets/digits": "1"}


def test_two_versions_of_one_asset_are_refused(team: Team) -> None:
    register(team.ada, "models/digits", "two")
    team.ada.registry.push()
    with pytest.raises(UsageError, match="cannot both be"):
        team.ada.registry.promote("models/digits@1", "models/digits@2", target="staging")


def test_not_pushed_yet(team: Team) -> None:
    register(team.ada, "models/digits", "two")
    before = refs_of(team.remote)
    with pytest.raises(NotFound) as caught:
        team.ada.registry.promote("models/digits", target="staging")
    assert (caught.value.code, caught.value.hint) == ("not-pushed", "gitml push")
    assert refs_of(team.remote) == before


def test_all_that_fails_is_named_at_once(team: Team) -> None:
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    register(team.ada, "models/digits", "two")
    team.ada.git("switch", "--quiet", "-c", "elsewhere")
    register(team.ada, "models/digits", "three")
    team.ada.git("push", "--quiet", "origin", "elsewhere")
    for root in team.store.rglob("*"):
        if root.is_file() and "3" in root.name and "digits" in str(root):
            root.unlink()
    with pytest.raises(PolicyRefused) as caught:
        team.ada.registry.promote("models/digits@3", target="production")
    rules = {reason["rule"] for reason in caught.value.context["reasons"]}
    assert "from" in rules
    assert all(reason["message"] for reason in caught.value.context["reasons"])


def test_missing_bytes_are_refused(team: Team) -> None:
    import shutil

    shutil.rmtree(team.store)
    team.store.mkdir()
    with pytest.raises(PolicyRefused) as caught:
        team.ada.registry.promote("models/digits", target="staging")
    assert {reason["rule"] for reason in caught.value.context["reasons"]} == {"bytes"}


def test_bytes_that_only_this_clone_has_are_refused(team: Team) -> None:
    register(team.ada, "models/digits", "two", offline=True)
    team.ada.git("push", "--quiet", "origin", "main")
    with pytest.raises(PolicyRefused, match="embedded store"):
        team.ada.registry.promote("models/digits", target="staging")


def test_from_a_branch_that_the_stage_does_not_take(team: Team) -> None:
    with pytest.raises(PolicyRefused) as caught:
        team.ada.registry.promote("models/digits", target="production")
    assert [reason["rule"] for reason in caught.value.context["reasons"]] == ["from"]


def test_on_staging_but_never_current_there(team: Team) -> None:
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    with pytest.raises(PolicyRefused, match="never ran there"):
        team.ada.registry.promote("datasets/digits", target="production")


def test_current_on_staging_once_is_enough(team: Team, bob: Member) -> None:
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    register(team.ada, "models/digits", "two")
    team.ada.registry.push()
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    land(team.ada, team.ada.registry.promote("models/digits@1", target="production"), bob)
    assert runs(team, "production") == {"models/digits": "1"}


def test_an_unknown_stage(team: Team) -> None:
    with pytest.raises(NotFound) as caught:
        team.ada.registry.promote("models/digits", target="stagging")
    assert caught.value.hint == "-t staging"
    with pytest.raises(NotFound):
        team.ada.registry.promote("models/digits", target="main")


def test_the_repository_may_be_named_in_any_spelling(team: Team, tmp_path: Path) -> None:
    promotion = team.ada.registry.promote("models/digits", target="staging", repo=str(team.remote))
    assert promotion.created
    with pytest.raises(UsageError) as caught:
        team.ada.registry.promote(source="main", target="staging", repo="git@github.com/contoso/mlproject")
    assert caught.value.code == "other-repository"


def test_what_the_forge_cannot_do(team: Team) -> None:
    with pytest.raises(UsageError, match="--draft, --reviewer, --auto-merge"):
        team.ada.registry.promote(
            "models/digits", target="staging", draft=True, reviewers=["bob"], auto_merge=True
        )


def test_a_rehearsal_leaves_refs_and_files_alone(team: Team) -> None:
    here, there = refs_of(team.ada.folder), refs_of(team.remote)
    status = team.ada.git("status", "--porcelain")
    promotion = team.ada.registry.promote("models/digits", target="staging", dry_run=True)
    assert promotion.request is None
    assert [str(move.to_version) for move in promotion.plan.moves] == ["1"]
    assert refs_of(team.remote) == there
    assert [
        line for line in refs_of(team.ada.folder).splitlines() if "/gitml/" not in line
    ] == here.splitlines()
    assert team.ada.git("status", "--porcelain") == status


def test_a_remote_that_is_gone(team: Team, tmp_path: Path) -> None:
    team.ada.git("remote", "set-url", "origin", "https://127.0.0.1:1/repository.git")
    before = refs_of(team.ada.folder)
    with pytest.raises(StoreUnavailable):
        team.ada.registry.promote("models/digits", target="staging")
    assert refs_of(team.ada.folder) == before


def test_one_word_in_two_spellings_is_one_version(team: Team) -> None:
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    team.ada.git("switch", "--quiet", "-c", "working/spelling")
    text = (
        (team.ada.folder / "models/digits/1/asset.yaml").read_text().replace('version: "1"', 'version: "01"')
    )
    write(team.ada.folder, {"models/digits/01/asset.yaml": text})
    team.ada.git("add", "models")
    team.ada.git("commit", "--quiet", "-m", "Spelling")
    team.ada.git("push", "--quiet", "origin", "working/spelling")
    with pytest.raises((PolicyRefused, InvalidInput)) as caught:
        team.ada.registry.promote("models/digits@01", target="staging")
    assert "write-once" in {reason["rule"] for reason in caught.value.context["reasons"]}


def test_a_registry_in_a_folder(tmp_path: Path) -> None:
    from gitml.api import Registry, init

    team = Team(tmp_path)
    sub = team.ada.folder / "registry"
    team.ada.git("rm", "--quiet", "gitml.yaml")
    team.ada.git("commit", "--quiet", "-m", "Elsewhere")
    sub.mkdir()
    init(sub, store=str(team.store))
    contents = write(tmp_path / "contents", {"w.txt": "one"})
    registry = Registry(sub)
    registry.register("models/digits", contents)
    registry.push()
    promotion = registry.promote("models/digits", target="staging")
    merged = registry.requests.merge(number(promotion))
    assert merged.request.state is RequestState.MERGED
    assert git(team.remote, "show", "staging:registry/models/digits/staging.yaml") == 'current: "1"'


def test_without_a_remote(tmp_path: Path) -> None:
    from gitml.api import Registry, init

    folder = tmp_path / "alone"
    git(tmp_path, "init", "--quiet", str(folder))
    init(folder)
    registry = Registry(folder)
    registry.register("models/digits", write(tmp_path / "contents", {"w.txt": "one"}))
    promotion = registry.promote("models/digits", target="staging")
    assert number(promotion) == 1
    merged = registry.requests.merge(1)
    assert git(folder, "rev-parse", "staging") == merged.commit
    assert registry.show("models/digits@staging").asset["version"] == "1"
    assert registry.requests.merge(1).already
    git(folder, "switch", "--quiet", "staging")
    registry.register("models/digits", write(tmp_path / "contents", {"w.txt": "two"}), branch="main")
    registry.promote("models/digits@2", source="main", target="staging")
    with pytest.raises(Conflict) as caught:
        registry.requests.merge(2)
    assert caught.value.code == "stage-checked-out"
    git(folder, "switch", "--quiet", "main")
    assert registry.requests.merge(2).commit is not None
    assert [str(e.to_version) for e in registry.history("staging").entries] == ["2", "1"]


def test_from_a_bare_clone(team: Team, tmp_path: Path) -> None:
    from gitml.api import Registry

    git(tmp_path, "clone", "--quiet", "--bare", team.remote.as_uri(), str(tmp_path / "bare.git"))
    git(tmp_path / "bare.git", "config", "user.email", "robot@example.com")
    registry = Registry(tmp_path / "bare.git")
    promotion = registry.promote("models/digits", target="staging")
    assert registry.requests.merge(number(promotion)).commit is not None
    assert runs(team, "staging") == {"models/digits": "1"}


def test_policy_of_the_default_branch_rules_the_birth(tmp_path: Path) -> None:
    team = founded(tmp_path, POLICY.replace("from: [staging]", "from: [main]"))
    promotion = team.ada.registry.promote("models/digits", target="production")
    with pytest.raises(PolicyRefused, match="requires 1 approval"):
        land(team.ada, promotion)
