"""`pr approve`, `pr merge` and what they refuse."""

from __future__ import annotations

import pytest
from support.events import forge_event
from support.promoting import land, number, register, runs
from support.team import Member, Team, git, write

from gitml.errors import Conflict, NotFound, PolicyRefused
from gitml.forge.base import RequestState
from gitml.promotion.plan import Promotion


def stage(team: Team) -> None:
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))


THEN = {"staged": stage}


@pytest.fixture
def staged(team: Team) -> Team:
    """staging runs models/digits 1."""
    return team


@pytest.fixture
def asked(staged: Team) -> Promotion:
    """Ada asked for models/digits 1 on production: request 2."""
    return staged.ada.registry.promote("models/digits", source="staging", target="production")


def reasons(error: PolicyRefused) -> list[str]:
    return [reason["rule"] for reason in error.context["reasons"]]


def propose_by_hand(
    member: Member, target: str, changes: dict[str, str | None], parent: str | None = None
) -> int:
    """Open a request whose head was committed with plain git, then return its number."""
    promotion = member.registry.promote("datasets/digits", target=target)
    assert promotion.request is not None
    member.git("switch", "--quiet", "--detach", parent or promotion.request.head)
    for path, text in changes.items():
        if text is None:
            member.git("rm", "--quiet", "-r", path)
        else:
            write(member.folder, {path: text})
            member.git("add", path)
    arguments = ["--amend", "--no-edit"] if parent is None else ["-m", "By hand"]
    member.git("commit", "--quiet", *arguments)
    head = member.git("rev-parse", "HEAD")
    member.git("switch", "--quiet", "main")
    forge_event(member, number(promotion), kind="updated", head=head)
    return number(promotion)


def test_approval_is_required(staged: Team, asked: Promotion, bob: Member) -> None:
    before = git(staged.remote, "for-each-ref")
    with pytest.raises(PolicyRefused) as caught:
        staged.ada.registry.requests.merge(2)
    assert reasons(caught.value) == ["approvals"]
    assert "gitml pr approve 2" in str(caught.value.hint)
    assert git(staged.remote, "for-each-ref") == before
    bob.registry.requests.approve(2, "looks good")
    merged = staged.ada.registry.requests.merge(2)
    assert merged.request.state is RequestState.MERGED
    assert merged.request.merged_commit == git(staged.remote, "rev-parse", "production")


def test_self_approval_is_refused(staged: Team, asked: Promotion) -> None:
    with pytest.raises(PolicyRefused) as caught:
        staged.ada.registry.requests.approve(2)
    assert caught.value.code == "self-approval"
    staged.ada.git("config", "user.email", "ADA@Example.com")
    with pytest.raises(PolicyRefused):
        staged.ada.registry.requests.approve(2)


def test_a_self_approval_by_hand_does_not_count(staged: Team, asked: Promotion, bob: Member) -> None:
    forge_event(staged.ada, 2, kind="approved", actor={"name": "Ada", "email": "Ada@EXAMPLE.com"})
    request = bob.registry.requests.show(2)
    assert [review.ignored for review in request.reviews] == ["it is the author's own"]
    with pytest.raises(PolicyRefused, match="author's own"):
        bob.registry.requests.merge(2)


def test_a_commit_of_the_approver_in_the_request(staged: Team, bob: Member) -> None:
    """Whoever wrote one of the commits that a request brings cannot approve it, though another opened it."""
    bob.git("switch", "--quiet", "-c", "working/bob")
    write(bob.folder, {"train.py": "print()\n"})
    bob.git("add", "train.py")
    bob.git("commit", "--quiet", "-m", "Code")
    bob.git("push", "--quiet", "origin", "working/bob")
    staged.ada.git("fetch", "--quiet")
    promotion = staged.ada.registry.promote(source="working/bob", target="staging")
    assert promotion.request is not None
    assert promotion.request.authors == ("ada@example.com", "bob@example.com")
    with pytest.raises(PolicyRefused):
        bob.registry.requests.approve(number(promotion))


def test_a_base_that_hides_commits_does_not_help(staged: Team, bob: Member) -> None:
    promotion = staged.ada.registry.promote("datasets/digits", target="staging")
    assert promotion.request is not None
    head = promotion.request.head
    forge_event(staged.ada, 2, kind="updated", base=head, actor={"name": "Eve", "email": "eve@example.com"})
    assert "ada@example.com" in bob.registry.requests.show(2).authors


def test_an_approval_of_an_old_head_does_not_count(staged: Team, bob: Member) -> None:
    register(staged.ada, "models/digits", "two")
    register(staged.ada, "models/digits", "three")
    staged.ada.registry.push()
    land(staged.ada, staged.ada.registry.promote("models/digits@2", target="staging"))
    asked = staged.ada.registry.promote("models/digits@1", target="production")
    bob.registry.requests.approve(number(asked))
    land(staged.ada, staged.ada.registry.promote("models/digits@2", target="production"), bob)
    again = staged.ada.registry.promote("models/digits@1", target="production")
    assert again.updated
    assert again.request is not None
    assert [review.ignored for review in again.request.reviews] == ["it is of an older head"]
    with pytest.raises(PolicyRefused, match="older head"):
        staged.ada.registry.requests.merge(number(asked))


def test_a_rejection_stands_until_the_same_person_approves(
    staged: Team, asked: Promotion, bob: Member
) -> None:
    carl = staged.clone("carl")
    carl.registry.requests.reject(2, "too slow")
    bob.registry.requests.approve(2)
    with pytest.raises(PolicyRefused, match=r"carl@example\.com rejected"):
        staged.ada.registry.requests.merge(2)
    assert [request.number for request in bob.registry.requests.list("rejected")] == [2]
    carl.registry.requests.approve(2)
    assert staged.ada.registry.requests.merge(2).commit is not None


def test_approving_twice_says_it_once(staged: Team, asked: Promotion, bob: Member) -> None:
    bob.registry.requests.approve(2)
    bob.registry.requests.approve(2)
    assert len(bob.registry.requests.show(2).events) == 2


def test_merging_again_is_said(staged: Team, bob: Member) -> None:
    before = git(staged.remote, "for-each-ref")
    again = bob.registry.requests.merge(1)
    assert again.already
    assert again.commit == git(staged.remote, "rev-parse", "staging")
    assert git(staged.remote, "for-each-ref") == before


def test_a_closed_request_cannot_be_merged(staged: Team, asked: Promotion, bob: Member) -> None:
    bob.registry.requests.close(2)
    bob.registry.requests.close(2)
    with pytest.raises(Conflict, match="closed"):
        staged.ada.registry.requests.merge(2)
    with pytest.raises(Conflict):
        bob.registry.requests.approve(2)
    again = staged.ada.registry.promote("models/digits", source="staging", target="production")
    assert number(again) == 3


def test_an_unknown_number(staged: Team) -> None:
    with pytest.raises(NotFound):
        staged.ada.registry.requests.merge(99)


def test_a_rehearsed_merge_moves_nothing(staged: Team, asked: Promotion, bob: Member) -> None:
    bob.registry.requests.approve(2)
    before = git(staged.remote, "for-each-ref")
    rehearsed = staged.ada.registry.requests.merge(2, dry_run=True)
    assert rehearsed.commit is None
    assert [str(move.to_version) for move in rehearsed.moves] == ["1"]
    assert git(staged.remote, "for-each-ref") == before


def test_a_request_cannot_loosen_the_policy(staged: Team) -> None:
    text = (staged.ada.folder / "gitml.yaml").read_text()
    number = propose_by_hand(
        staged.ada, "staging", {"gitml.yaml": text.replace("approvals: 1", "approvals: 0")}
    )
    with pytest.raises(PolicyRefused) as caught:
        staged.ada.registry.requests.merge(number)
    assert reasons(caught.value) == ["scope"]


def test_the_policy_of_a_merged_branch_is_the_targets_own(staged: Team, asked: Promotion) -> None:
    """gitml.yaml may travel with a branch, but the request that brings it is judged without it."""
    ada = staged.ada
    ada.git("switch", "--quiet", "-c", "working/lax")
    path = ada.folder / "gitml.yaml"
    path.write_text(
        path.read_text().replace("from: [staging]", 'from: ["*"]').replace("approvals: 1", "approvals: 0")
    )
    ada.git("commit", "--quiet", "--all", "-m", "Lax")
    ada.git("push", "--quiet", "origin", "working/lax")
    with pytest.raises(PolicyRefused) as caught:
        ada.registry.promote(source="working/lax", target="production")
    assert set(reasons(caught.value)) == {"from"}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"models/digits/1/asset.yaml": "schema: gitml/asset/v1\n"}, "write-once"),
        ({"models/digits/1/README.md": "late\n"}, "write-once"),
        ({"models/digits/staging.yaml": 'current: "9"\n'}, "current"),
        ({"models/digits/staging.yaml": '<<<<<<< a\ncurrent: "1"\n=======\n>>>>>>> b\n'}, "current"),
        ({"models/digits/production.yaml": 'current: "1"\n'}, "scope"),
        ({"models/digits/about.yaml": "description: x\n"}, "scope"),
        ({"train.py": "print()\n"}, "scope"),
        ({"models/digits/7/asset.yaml": "<<<<<<< a\n=======\n>>>>>>> b\n"}, "schema"),
        ({"models/digits/1": None}, "write-once"),
        ({"datasets/digits/1": None}, "write-once"),
    ],
)
def test_heads_made_by_hand(staged: Team, changes: dict[str, str | None], rule: str) -> None:
    number = propose_by_hand(staged.ada, "staging", changes)
    before = git(staged.remote, "rev-parse", "staging")
    with pytest.raises(PolicyRefused) as caught:
        staged.ada.registry.requests.merge(number)
    assert rule in reasons(caught.value)
    assert git(staged.remote, "rev-parse", "staging") == before


def test_an_unknown_requirement_refuses(team: Team) -> None:
    path = team.ada.folder / "gitml.yaml"
    path.write_text(path.read_text().replace("approvals: 1,", "approvals: 1, sealed: true,"))
    team.ada.git("commit", "--quiet", "--all", "-m", "Sealed")
    team.ada.git("push", "--quiet", "origin", "main")
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    with pytest.raises(PolicyRefused) as caught:
        team.ada.registry.promote("models/digits", target="production")
    assert reasons(caught.value) == ["require"]


def test_judged_against_the_target_as_it_is_now(staged: Team, asked: Promotion, bob: Member) -> None:
    """The branch it was taken from went away after the request was opened."""
    bob.registry.requests.approve(2)
    git(staged.remote, "update-ref", "-d", "refs/heads/staging")
    with pytest.raises(PolicyRefused) as caught:
        staged.ada.registry.requests.merge(2)
    assert reasons(caught.value) == ["from"]


@pytest.mark.parametrize("way", ["squash", "rebase", "merge"])
def test_merged_past_gitml(staged: Team, way: str, bob: Member) -> None:
    """A request by asset survives what other tools do with it."""
    ada = staged.ada
    register(ada, "models/digits", "two")
    ada.registry.push()
    promotion = ada.registry.promote("models/digits", target="staging")
    assert promotion.request is not None
    head = promotion.request.head
    other = ada.registry.promote("datasets/digits", target="staging")
    land(ada, other)
    bob.git("fetch", "--quiet", "origin", "+refs/gitml/requests/*:refs/requests/*")
    bob.git("switch", "--quiet", "--track", "origin/staging")
    bob.git("pull", "--quiet", "--ff-only")
    if way == "squash":
        bob.git("merge", "--squash", "--quiet", head)
        bob.git("commit", "--quiet", "-m", "Squashed")
    elif way == "rebase":
        bob.git("cherry-pick", head)
    else:
        bob.git("merge", "--quiet", "--no-ff", "-m", "Merged", head)
    bob.git("push", "--quiet", "origin", "staging")
    assert runs(staged, "staging") == {"models/digits": "2", "datasets/digits": "1"}
    ada.git("fetch", "--quiet")
    assert ada.registry.show("models/digits@staging").asset["version"] == "2"
    done = ada.registry.requests.merge(number(promotion))
    assert done.already
    assert done.request.state is (RequestState.MERGED if way == "merge" else RequestState.CLOSED)
    newest = ada.registry.history("models/digits").entries[0]
    assert (str(newest.from_version), str(newest.to_version), newest.stage) == ("1", "2", "staging")
    assert newest.time_guessed is (way != "merge")


def test_a_merge_past_gitml_is_not_called_approved(staged: Team, asked: Promotion, bob: Member) -> None:
    assert asked.request is not None
    ada = staged.ada
    forge_event(ada, 2, kind="approved", actor={"name": "Ada", "email": "ada@example.com"})
    ada.git("switch", "--quiet", "-c", "production", "origin/main")
    ada.git("merge", "--quiet", "--no-ff", "-m", "Past everybody", asked.request.head)
    ada.git("push", "--quiet", "origin", "production")
    done = bob.registry.requests.merge(2)
    assert done.already
    assert done.request.state is RequestState.CLOSED
    assert [entry.kind.value for entry in bob.registry.history("production").entries] == ["moved"]


def test_the_users_work_is_not_touched(staged: Team, asked: Promotion, bob: Member) -> None:
    bob.git("switch", "--quiet", "-c", "mine")
    write(bob.folder, {"draft.txt": "draft", "notes.txt": "untracked"})
    bob.git("add", "draft.txt")
    before = (bob.git("status", "--porcelain"), bob.git("rev-parse", "HEAD"), bob.git("branch", "--list"))
    bob.registry.requests.approve(2)
    bob.registry.requests.merge(2)
    assert (
        bob.git("status", "--porcelain"),
        bob.git("rev-parse", "HEAD"),
        bob.git("branch", "--list"),
    ) == before
    assert bob.git("rev-parse", "origin/production") == git(staged.remote, "rev-parse", "production")


def test_a_hook_of_the_remote_that_refuses(staged: Team, asked: Promotion, bob: Member) -> None:
    bob.registry.requests.approve(2)
    hook = staged.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho frozen >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PolicyRefused) as caught:
        staged.ada.registry.requests.merge(2)
    assert caught.value.code == "remote-refused"
    assert "production" not in git(staged.remote, "branch", "--list")
