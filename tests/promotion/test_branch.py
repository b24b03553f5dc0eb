"""`promote -s BRANCH`: code travels, and the newest of what the branch added is what runs."""

from __future__ import annotations

import pytest
from support.promoting import land, number, register, runs
from support.team import Member, Team, git, write

from gitml.errors import Conflict, NotFound, PolicyRefused, UsageError


def commit(member: Member, files: dict[str, str], message: str = "Code") -> None:
    write(member.folder, files)
    member.git("add", *files)
    member.git("commit", "--quiet", "-m", message)


def branch(team: Team) -> None:
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    team.ada.git("switch", "--quiet", "-c", "working/new")
    commit(team.ada, {"train.py": "print('new')\n"})
    register(team.ada, "models/digits", "two")
    register(team.ada, "models/digits", "three", inputs=["datasets/digits@1"])
    register(team.ada, "models/other", "first")
    team.ada.git("push", "--quiet", "origin", "working/new")


THEN = {"branched": branch}


@pytest.fixture
def branched(team: Team) -> Team:
    """staging runs digits 1; working/new has code, digits 2 and 3, and a new model."""
    return team


def test_code_and_newest_versions(branched: Team) -> None:
    ada = branched.ada
    staging = git(branched.remote, "rev-parse", "staging")
    promotion = ada.registry.promote(source="working/new", target="staging")
    assert promotion.request is not None
    assert promotion.request.refs == ()
    assert promotion.request.source == "working/new"
    parents = ada.git("rev-parse", f"{promotion.request.head}^@").splitlines()
    assert parents == [staging, git(branched.remote, "rev-parse", "working/new")]
    merged = land(ada, promotion)
    assert runs(branched, "staging") == {"models/digits": "3", "models/other": "1"}
    assert git(branched.remote, "show", "staging:train.py") == "print('new')"
    assert merged.request.merged_commit == git(branched.remote, "rev-parse", "staging")
    again = ada.registry.promote(source="working/new", target="staging")
    assert again.request is None
    assert "2 of 2" in again.summary[0]


def test_head_is_the_source_by_default(branched: Team) -> None:
    assert branched.ada.registry.promote(target="staging").plan.source == "working/new"


def test_the_default_branch_needs_a_reference(team: Team) -> None:
    with pytest.raises(UsageError) as caught:
        team.ada.registry.promote(source="main", target="staging")
    assert caught.value.code == "ref-required"
    with pytest.raises(UsageError, match="to itself"):
        team.ada.registry.promote(source="staging", target="staging")


def test_a_stage_as_source_brings_what_it_runs(branched: Team) -> None:
    ada = branched.ada
    land(ada, ada.registry.promote(source="working/new", target="staging"))
    promotion = ada.registry.promote(source="staging", target="production")
    assert sorted((str(m.asset), str(m.to_version)) for m in promotion.plan.moves) == [
        ("models/digits", "3"),
        ("models/other", "1"),
    ]
    bob = branched.clone("bob")
    land(ada, promotion, bob)
    assert runs(branched, "production") == {"models/digits": "3", "models/other": "1"}
    assert git(branched.remote, "show", "production:models/digits/staging.yaml") == 'current: "3"'


def test_a_branch_that_is_not_pushed(branched: Team) -> None:
    commit(branched.ada, {"train.py": "print('newer')\n"})
    with pytest.raises(NotFound) as caught:
        branched.ada.registry.promote(source="working/new", target="staging")
    assert (caught.value.code, caught.value.hint) == ("not-pushed", "gitml push")
    with pytest.raises(NotFound, match="there is no branch"):
        branched.ada.registry.promote(source="working/none", target="staging")


def test_a_conflict_in_code_lists_the_files(branched: Team) -> None:
    ada = branched.ada
    ada.git("switch", "--quiet", "-c", "hotfix", "origin/staging")
    commit(ada, {"train.py": "print('hot')\n"})
    ada.git("push", "--quiet", "origin", "hotfix:staging")
    with pytest.raises(Conflict) as caught:
        ada.registry.promote(source="working/new", target="staging")
    assert caught.value.context["paths"] == ["train.py"]


def test_a_branch_that_the_stage_does_not_take(branched: Team) -> None:
    ada = branched.ada
    ada.git("switch", "--quiet", "-c", "private/new")
    commit(ada, {"train.py": "print('private')\n"})
    ada.git("push", "--quiet", "origin", "private/new")
    with pytest.raises(PolicyRefused) as caught:
        ada.registry.promote(source="private/new", target="staging")
    assert [reason["rule"] for reason in caught.value.context["reasons"]] == ["from"]
    assert "commit" in caught.value.message


def test_merging_main_never_changes_what_a_stage_runs(branched: Team) -> None:
    ada = branched.ada
    commit(ada, {"models/digits/staging.yaml": 'current: "2"\n'}, "Set by hand on a branch")
    ada.git("push", "--quiet", "origin", "working/new")
    land(ada, ada.registry.promote(source="working/new", target="staging"))
    assert runs(branched, "staging")["models/digits"] == "3"


def test_a_shallow_clone_says_how_to_deepen(branched: Team) -> None:
    carl = branched.clone("carl", None, None, "--depth", "1", "--branch", "working/new")
    with pytest.raises(NotFound) as caught:
        carl.registry.promote(source="working/new", target="staging")
    assert caught.value.hint == "git fetch --unshallow origin"
    by_asset = carl.registry.promote("models/digits@3", target="staging")
    assert carl.registry.requests.merge(number(by_asset)).commit is not None
    assert runs(branched, "staging") == {"models/digits": "3"}


def test_a_check_in_a_shallow_clone_says_how_to_deepen(branched: Team) -> None:
    carl = branched.clone("carl", None, None, "--depth", "1")
    assert carl.registry.check().passed, "nothing is judged where nothing changes"
    carl.git("fetch", "--quiet", "--depth", "1", "origin", "working/new")
    with pytest.raises(NotFound) as caught:
        carl.registry.check("..FETCH_HEAD")
    assert caught.value.hint == "git fetch --unshallow origin"
    carl.git("fetch", "--quiet", "--unshallow", "origin", "main", "working/new")
    assert carl.registry.check(f"..{branched.ada.git('rev-parse', 'working/new')}").versions


def test_a_check_of_what_has_no_commit_in_common(branched: Team) -> None:
    ada = branched.ada
    orphan = ada.git("commit-tree", "main^{tree}", "-m", "from nowhere")
    with pytest.raises(Conflict) as caught:
        ada.registry.check(f"..{orphan}")
    assert caught.value.code == "unrelated" and caught.value.hint


def test_code_smuggled_into_the_merge_is_refused(branched: Team) -> None:
    ada = branched.ada
    promotion = ada.registry.promote(source="working/new", target="staging")
    assert promotion.request is not None
    ada.git("switch", "--quiet", "--detach", promotion.request.head)
    write(ada.folder, {"train.py": "print('evil')\n"})
    ada.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    evil = ada.git("rev-parse", "HEAD")
    from support.events import forge_event

    forge_event(ada, 2, kind="updated", head=evil)
    with pytest.raises(PolicyRefused, match=r"the change of train\.py"):
        ada.registry.requests.merge(2)
