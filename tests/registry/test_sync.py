from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.team import Team, read, write

from gitml.api import init
from gitml.errors import AccessDenied, Conflict, NotFound, StoreUnavailable, UsageError

FILES = {"a.txt": "1\n", "b.bin": b"\7" * 100_000}


def test_a_second_clone_gets_what_the_first_pushed(team: Team, tmp_path: Path) -> None:
    team.ada.registry.register("models/digits", write(tmp_path / "out", FILES))
    pushed = team.ada.registry.push()
    assert [branch.name for branch in pushed.branches] == ["main"] and pushed.sent == ()
    again = team.ada.registry.push()
    assert again.branches == () and again.checked == 1
    grace = team.clone("grace")
    pulled = grace.registry.pull()
    assert [str(one.ref) for one in pulled.placements] == ["models/digits@1"]
    assert read(grace.folder / "models/digits/1").items() >= read(tmp_path / "out").items()
    assert grace.git("status", "--porcelain") == ""


def test_plain_git_push_is_safe_because_bytes_came_first(team: Team, tmp_path: Path) -> None:
    team.ada.registry.register("models/digits", write(tmp_path / "out", FILES))
    team.ada.git("push", "--quiet")
    assert team.clone("grace").registry.get("models/digits", tmp_path / "got").written == 2


def test_offline_bytes_go_before_the_refs(team: Team, tmp_path: Path) -> None:
    done = team.ada.registry.register("models/digits", write(tmp_path / "out", FILES), offline=True)
    assert (
        done.store == "embedded"
        and team.ada.registry.show("models/digits").asset["contents"]["store"] == "default"
    )
    assert [str(id_) for id_ in team.ada.registry.status().embedded] == ["models/digits@1"]
    pushed = team.ada.registry.push()
    assert [str(id_) for id_ in pushed.sent] == ["models/digits@1"]
    shutil.rmtree(team.ada.folder / ".git/gitml/store")
    assert team.ada.registry.verify(deep=True).versions == 1
    assert team.clone("grace").registry.get("models/digits", tmp_path / "got").written == 2


def test_without_a_store_embedded_bytes_cannot_be_shared(tmp_path: Path) -> None:
    team = Team(tmp_path / "team", store=False)
    team.ada.registry.register("models/digits", write(tmp_path / "out", FILES))
    with pytest.raises(UsageError) as caught:
        team.ada.registry.push()
    assert caught.value.hint == "gitml init --store URL|PATH"
    assert team.ada.git("ls-remote", "origin", "main").split()[0] != team.ada.git("rev-parse", "HEAD")
    init(team.ada.folder, store=str(team.store))
    assert [str(id_) for id_ in team.ada.registry.push().sent] == ["models/digits@1"]


def test_bytes_follow_pointers_that_git_alone_pushed(tmp_path: Path) -> None:
    """A plain push took the pointer along before there was a store; nothing about it is new to the remote since."""
    team = Team(tmp_path / "team", store=False)
    ada = team.ada
    ada.registry.register("models/digits", write(tmp_path / "out", FILES))
    ada.git("push", "--quiet", "origin", "main")
    assert [str(id_) for id_ in ada.registry.status().embedded] == ["models/digits@1"]
    with pytest.raises(UsageError) as caught:
        ada.registry.push()
    assert caught.value.hint == "gitml init --store URL|PATH"
    with pytest.raises(NotFound, match="embedded store of another clone"):
        team.clone("grace").registry.get("models/digits", tmp_path / "got")

    init(ada.folder, store=str(team.store))
    assert not ada.registry.status().clean
    assert [str(id_) for id_ in ada.registry.push().sent] == ["models/digits@1"]
    assert ada.registry.status().clean
    assert team.clone("carl").registry.get("models/digits", tmp_path / "got").written == 2
    ada.registry.register("models/other", write(tmp_path / "out", FILES))
    assert ada.registry.push().sent == ()


def test_a_push_asks_once_for_what_it_sent(team: Team, tmp_path: Path) -> None:
    ada = team.ada
    ada.registry.register("models/digits", write(tmp_path / "out", FILES), offline=True)
    assert len(ada.registry.push().sent) == 1
    shutil.rmtree(team.store)
    assert ada.registry.push().checked == 1, "the store is not even opened"
    marks = list((ada.folder / ".git/gitml/sent").iterdir())
    assert len(marks) == 1
    marks[0].unlink()
    ada.registry.stores.trust("default")  # it is to begin anew
    assert len(ada.registry.push().sent) == 1, (
        "whoever lost the marks asks the store, and sends what it lacks"
    )


def test_reading_asks_no_remote(team: Team, tmp_path: Path) -> None:
    """Reads never fetch: with the remote out of reach all of them work, and none tells of what is new there."""
    ada, grace = team.ada, team.clone("grace")
    ada.registry.register("models/digits", write(tmp_path / "out", FILES), metrics={"a": 1})
    ada.registry.register("models/digits", write(tmp_path / "out", FILES), metrics={"a": 2})
    ada.registry.push()
    request = ada.registry.promote("models/digits@1", target="staging").request
    assert request is not None
    ada.registry.requests.merge(request.number)
    grace.git("pull", "--quiet")
    ada.registry.register("models/digits", write(tmp_path / "out", FILES), metrics={"a": 3}, push=True)
    team.remote.rename(tmp_path / "gone.git")
    registry = grace.registry
    assert registry.show("models/digits").ref.version.text == "2"
    assert registry.show("models/digits@staging").ref.version.text == "1"
    assert len(registry.list("models/digits").versions) == 2
    assert registry.diff("models/digits@1", "models/digits@2").equal is False
    assert registry.lineage("models/digits").related == ()
    assert registry.get("models/digits", tmp_path / "got").written == 2
    assert registry.open("models/digits:a.txt").read() == b"1\n"
    assert registry.status().incoming == () and registry.verify(deep=True).versions == 2
    for asks in (
        registry.requests.list,
        lambda: registry.history("staging"),
        lambda: registry.status(remote=True),
    ):
        with pytest.raises((NotFound, StoreUnavailable)):
            asks()


def test_one_version_with_two_pointers_is_refused_with_the_way_out(team: Team, tmp_path: Path) -> None:
    grace = team.clone("grace")
    team.ada.registry.register("models/digits", write(tmp_path / "out", FILES), metrics={"a": 1})
    grace.registry.register(
        "models/digits", write(tmp_path / "out", FILES), metrics={"a": 2}, branch="working/g"
    )
    team.ada.registry.push()
    with pytest.raises(Conflict) as caught:
        grace.registry.push()
    assert "register models/digits PATH --version 2" in (caught.value.hint or "")


def test_other_branches_with_new_versions_go_along_and_stages_do_not(team: Team, tmp_path: Path) -> None:
    team.ada.registry.register("models/digits", write(tmp_path / "out", FILES), branch="working/new")
    team.ada.git("branch", "production")
    team.ada.git("branch", "unrelated")
    assert [branch.name for branch in team.ada.registry.push().branches] == ["working/new"]
    assert team.ada.git("rev-parse", "--abbrev-ref", "working/new@{upstream}") == "origin/working/new"


def test_a_diverged_branch_says_what_to_do_and_places_nothing(team: Team, tmp_path: Path) -> None:
    grace = team.clone("grace")
    team.ada.registry.register("models/a", write(tmp_path / "a", {"a": "a"}))
    team.ada.registry.push()
    grace.registry.register("models/b", write(tmp_path / "b", {"b": "b"}))
    for call in (grace.registry.push, grace.registry.pull):
        with pytest.raises(Conflict) as caught:
            call()
        assert caught.value.code == "diverged" and "git pull --rebase" in (caught.value.hint or "")
    grace.git("pull", "--quiet", "--rebase", "origin", "main")
    assert [str(id_) for id_ in grace.registry.push().branches[0].versions] == ["models/b@1"]


def test_pull_fast_forwards_and_takes_the_newest(team: Team, tmp_path: Path) -> None:
    grace = team.clone("grace")
    for number in "12":
        team.ada.registry.register("models/digits", write(tmp_path / "out", {"a": number}))
    team.ada.registry.push()
    assert [str(one.ref) for one in grace.registry.pull().placements] == ["models/digits@2"]
    assert not (grace.folder / "models/digits/1/a").exists()
    assert [str(one.ref) for one in grace.registry.pull("models/digits@1").placements] == ["models/digits@1"]
    assert len(grace.registry.pull(all=True).placements) == 2


def test_status_counts_against_the_remote(team: Team, tmp_path: Path) -> None:
    grace = team.clone("grace")
    team.ada.registry.register("models/digits", write(tmp_path / "out", FILES))
    assert [str(id_) for id_ in team.ada.registry.status().unpushed] == ["models/digits@1"]
    team.ada.registry.push()
    assert team.ada.registry.status(remote=True).clean
    assert grace.registry.status().clean
    assert [str(id_) for id_ in grace.registry.status(remote=True).incoming] == ["models/digits@1"]


def test_an_unreachable_remote_is_safe_to_retry(team: Team, tmp_path: Path) -> None:
    team.ada.registry.register("models/digits", write(tmp_path / "out", FILES))
    team.remote.rename(tmp_path / "away")
    with pytest.raises((StoreUnavailable, NotFound)):
        team.ada.registry.push()
    (tmp_path / "away").rename(team.remote)
    assert len(team.ada.registry.push().branches) == 1


def test_a_store_that_moves_must_be_trusted(team: Team, tmp_path: Path) -> None:
    team.ada.registry.register("models/digits", write(tmp_path / "out", FILES))
    config = team.ada.folder / "gitml.yaml"
    config.write_text(config.read_text().replace("../store", "../elsewhere"))
    team.ada.git("commit", "--quiet", "--all", "--message", "move")
    with pytest.raises(AccessDenied) as caught:
        team.ada.registry.register("models/digits", write(tmp_path / "out", {"a": "2"}))
    assert caught.value.hint == "gitml store trust default, if that is right"
    trusted = team.ada.registry.stores.trust("default")
    assert (trusted.before, trusted.location) == ("../store", "../elsewhere")
    assert team.ada.registry.register("models/digits", write(tmp_path / "out", {"a": "2"})).created


def test_a_linked_worktree_reads_and_writes_the_same_registry(team: Team, tmp_path: Path) -> None:
    from support.team import Member

    team.ada.git("worktree", "add", "--quiet", "-b", "working/tree", str(tmp_path / "deep/tree"))
    tree = Member(tmp_path / "deep/tree")
    done = tree.registry.register("models/digits", write(tmp_path / "out", FILES))
    assert done.branch == "working/tree" and tree.git("status", "--porcelain") == ""
    assert team.ada.registry.get("models/digits", tmp_path / "got", rev="working/tree").written == 2
