"""What a hostile colleague with push rights may try: `check`, `pr merge` and `verify --history` each refuse it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.events import commit_event, forge_event, last, push_event
from support.promoting import POLICY, land, number, register
from support.team import Member, Team, git, write

from gitml.errors import GitMLError, PolicyRefused
from gitml.promotion.plan import Promotion

Files = dict[str, str | None]


_MADE: dict[str, Team] = {}


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """production runs models/digits 1, by an approved request; models/digits 2 waits on staging.

    Made once, by the first test that asks: every test leaves it as it was.
    """
    if "team" not in _MADE:
        _MADE["team"] = made(tmp_path_factory.mktemp("team"))
    return _MADE["team"]


def made(folder: Path) -> Team:
    policy = POLICY.replace("approvals: 1", "approvals: 1, fields: {'models/*': [description]}")
    team = Team(folder, configuration=policy)
    register(team.ada, "datasets/digits", "1,2\n")
    bob = team.clone("bob")
    for version, text in (("1", "one"), ("2", "two")):
        register(team.ada, "models/digits", text, inputs=["training=datasets/digits@1"], message=text)
        team.ada.registry.push()
        land(team.ada, team.ada.registry.promote(f"models/digits@{version}", target="staging"))
        if version == "1":
            land(team.ada, team.ada.registry.promote("models/digits@1", target="production"), bob)
    return team


@pytest.fixture
def open_request(stage: Team) -> Iterator[tuple[Team, Promotion]]:
    """A fresh and honest request; whatever becomes of the branches is undone afterwards."""
    tips = {name: git(stage.remote, "rev-parse", name) for name in ("main", "staging", "production")}
    promotion = stage.ada.registry.promote("models/digits@2", target="production")
    yield stage, promotion
    for name, tip in tips.items():
        git(stage.remote, "update-ref", f"refs/heads/{name}", tip)
    for request in stage.ada.registry.requests.list("open"):
        stage.ada.registry.requests.close(request.number)
    stage.ada.git("fetch", "--quiet", "--prune", "--force")


def commit_by_hand(member: Member, parent: str, files: Files, *, amend: bool = False) -> str:
    """A commit made with plain git, off every branch."""
    member.git("fetch", "--quiet")
    member.git("switch", "--quiet", "--detach", parent)
    for path, text in files.items():
        if text is None:
            member.git("rm", "--quiet", "-r", "-f", path)
        else:
            write(member.folder, {path: text})
            member.git("add", "--force", path)
    member.git("commit", "--quiet", *(["--amend", "--no-edit"] if amend else ["-m", "By hand"]))
    head = member.git("rev-parse", "HEAD")
    member.git("switch", "--quiet", "--force", "main")
    return head


def show(member: Member, rev: str, path: str) -> str:
    return member.git("show", f"{rev}:{path}") + "\n"


def own_policy(ada: Member, head: str) -> Files:
    return {"gitml.yaml": show(ada, head, "gitml.yaml").replace("approvals: 1", "approvals: 0")}


def own_signer(ada: Member, head: str) -> Files:
    return {".gitml/allowed_signers": "ada@example.com ssh-ed25519 AAAA\n"}


def stage_in_another_case(ada: Member, head: str) -> Files:
    return {"models/digits/Production.yaml": 'current: "2"\n'}


def conflict_markers(ada: Member, head: str) -> Files:
    text = show(ada, head, "models/digits/2/asset.yaml")
    return {"models/digits/5/asset.yaml": f"<<<<<<< ours\n{text}=======\n{text}>>>>>>> theirs\n"}


def current_that_is_not_there(ada: Member, head: str) -> Files:
    return {"models/digits/production.yaml": 'current: "9"\n'}


def version_rewritten(ada: Member, head: str) -> Files:
    text = show(ada, head, "models/digits/1/asset.yaml")
    return {"models/digits/1/asset.yaml": text.replace("description: one", "description: won")}


def swapped_bytes(ada: Member, head: str) -> Files:
    text = show(ada, head, "models/digits/2/asset.yaml")
    lines = text.splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.startswith("  digest: "))
    lines[at] = f'  digest: "sha256:{"0" * 64}"\n'
    return {"models/digits/2/asset.yaml": "".join(lines)}


def unknown_file(ada: Member, head: str) -> Files:
    return {"models/digits/2/install.sh": "#!/bin/sh\n"}


# What is tried, a rule that `check` and merge name, and one that `verify --history` names, which asks no store.
HEADS: list[tuple[Callable[[Member, str], Files], str, str]] = [
    (own_policy, "scope", "scope"),
    (own_signer, "scope", "scope"),
    (stage_in_another_case, "schema", "schema"),
    (conflict_markers, "schema", "schema"),
    (current_that_is_not_there, "current", "current"),
    (version_rewritten, "write-once", "write-once"),
    (swapped_bytes, "bytes", "from"),
    (unknown_file, "review", "from"),
]


def rules_of(error: PolicyRefused) -> set[str]:
    return {reason["rule"] for reason in error.context["reasons"]}


def ways(team: Team, name: str = "production") -> list[tuple[str, str | None]]:
    """What `verify --history` finds, as (way, rule)."""
    try:
        team.ada.registry.verify(history=name)
    except PolicyRefused as error:
        return [(fault["way"], fault["rule"]) for fault in error.context["faults"]]
    return []


def test_an_honest_request_passes(open_request: tuple[Team, Promotion]) -> None:
    team, promotion = open_request
    assert promotion.request is not None
    found = team.ada.registry.check(f"..{promotion.request.head}")
    assert not found.passed
    assert {one.rule.value for one in found.rules if one.problems} == {"approvals"}
    bob = Member(team.base / "bob")
    bob.registry.requests.approve(number(promotion))
    found = bob.registry.check(f"origin/production..{promotion.request.head}")
    assert found.passed
    assert (found.request, found.target, found.is_stage) == (number(promotion), "production", True)
    assert list(map(str, found.versions)) == ["models/digits@2"]
    assert ways(team) == []


@pytest.mark.parametrize(
    ("attempt", "rule", "in_history"), HEADS, ids=[attempt.__name__ for attempt, _, _ in HEADS]
)
def test_a_head_made_by_hand(
    open_request: tuple[Team, Promotion],
    attempt: Callable[[Member, str], Files],
    rule: str,
    in_history: str,
) -> None:
    team, promotion = open_request
    assert promotion.request is not None
    ada, honest = team.ada, promotion.request.head
    head = commit_by_hand(ada, honest, attempt(ada, honest), amend=True)
    forge_event(ada, number(promotion), kind="updated", head=head)
    Member(team.base / "bob").registry.requests.approve(number(promotion))

    found = ada.registry.check(f"..{head}", target="production")
    assert rule in {one.rule.value for one in found.rules if one.problems}
    assert not found.passed

    with pytest.raises(PolicyRefused) as caught:
        ada.registry.requests.merge(number(promotion))
    assert rule in rules_of(caught.value)

    base = git(team.remote, "rev-parse", "production")
    ada.git("switch", "--quiet", "--detach", "origin/production")
    ada.git("merge", "--quiet", "--no-ff", "-m", "Past everybody", head)
    merge = ada.git("rev-parse", "HEAD")
    ada.git("push", "--quiet", "origin", "HEAD:production")
    ada.git("switch", "--quiet", "main")
    assert ways(team) == [("past-requests", None)]
    forge_event(ada, number(promotion), kind="merged", base=base)
    again = ways(team)
    assert all(way == "refused" for way, _ in again)
    assert merge == git(team.remote, "rev-parse", "production")
    assert in_history in {found_rule for _, found_rule in again}
    # The journal says merged, and the fixture puts the stage back: for those after, the request never was.
    git(team.remote, "update-ref", "-d", f"refs/gitml/requests/{number(promotion)}")


def test_a_forced_push_and_an_old_tip(open_request: tuple[Team, Promotion]) -> None:
    team, promotion = open_request
    ada, bob = team.ada, Member(team.base / "bob")
    land(ada, promotion, bob)
    assert ways(team) == []
    first = ada.git("rev-parse", "origin/production~1")
    seen = ada.git("rev-parse", "origin/production")
    forced = commit_by_hand(ada, first, {"models/digits/staging.yaml": 'current: "1"\n'})
    ada.git("push", "--quiet", "--force", "origin", f"{forced}:production")
    assert ways(team) == [("lost-merge", None), ("past-requests", None)]
    ada.git("update-ref", "refs/remotes/origin/production", seen)
    waiting = forged_request(bob, number(promotion))
    for act in (
        lambda: ada.registry.promote("models/digits@2", target="production"),
        lambda: ada.registry.check(f"..{forced}", target="production"),
        lambda: ada.registry.requests.merge(waiting),
    ):
        with pytest.raises(PolicyRefused) as caught:
            act()
        assert (caught.value.exit_code, caught.value.code) == (12, "stage-forced")
    assert ada.git("rev-parse", "origin/production") == seen, "what is read is what was there last"
    git(team.remote, "update-ref", "-d", f"refs/gitml/requests/{waiting}")

    ada.git("push", "--quiet", "--force", "origin", f"{first}:production")
    assert ways(team) == [("lost-merge", None)]
    ada.git("fetch", "--quiet")
    again = ada.registry.promote("models/digits@2", target="production")
    found = ada.registry.check(f"..{again.request.head}") if again.request else None
    assert found is not None and not found.passed
    git(team.remote, "update-ref", "-d", f"refs/gitml/requests/{number(promotion)}")


def forged_request(member: Member, like: int) -> int:
    """An open request, written by hand in the image of another."""
    _, fields = last(member, like)
    made = commit_event(member, fields | {"kind": "opened", "number": like + 1}, [fields["head"]])
    push_event(member, like + 1, made)
    return like + 1


def landed_by_hand(member: Member, head: str) -> str:
    """Merge a head into production with plain git; gives the tip that it was merged onto."""
    member.git("fetch", "--quiet")
    base = member.git("rev-parse", "origin/production")
    member.git("switch", "--quiet", "--detach", base)
    member.git("merge", "--quiet", "--no-ff", "-m", "Past everybody", head)
    member.git("push", "--quiet", "origin", "HEAD:production")
    member.git("switch", "--quiet", "main")
    return base


def test_a_request_that_replays_an_old_tip(open_request: tuple[Team, Promotion]) -> None:
    """An old tip by itself changes nothing, for the stage has it; as a new head it needs approvals of its own."""
    team, promotion = open_request
    ada, bob = team.ada, Member(team.base / "bob")
    old = ada.git("rev-parse", "origin/production")
    assert ada.registry.check(f"..{old}", target="production").moves == ()
    land(ada, promotion, bob)
    registered = register_two_again(team)
    asked = ada.registry.promote(registered, target="production")
    bob.registry.requests.approve(number(asked))
    ada.git("fetch", "--quiet")
    tree, tip = ada.git("rev-parse", f"{old}^{{tree}}"), ada.git("rev-parse", "origin/production")
    replay = ada.git("commit-tree", "-m", "Replay", "-p", tip, tree)
    forge_event(ada, number(asked), kind="updated", head=replay)

    found = ada.registry.check(f"..{replay}", target="production")
    assert [str(move.to_version) for move in found.moves] == ["1"]
    assert "approvals" in {one.rule.value for one in found.rules if one.problems}
    with pytest.raises(PolicyRefused) as caught:
        ada.registry.requests.merge(number(asked))
    assert "approvals" in rules_of(caught.value)
    base = landed_by_hand(ada, replay)
    forge_event(ada, number(asked), kind="merged", base=base)
    assert ("refused", "approvals") in ways(team)
    for one in (promotion, asked):
        git(team.remote, "update-ref", "-d", f"refs/gitml/requests/{number(one)}")


def register_two_again(team: Team) -> str:
    """A third version, on staging."""
    if git(team.remote, "ls-tree", "main", "models/digits/3") == "":
        register(team.ada, "models/digits", "three", inputs=["training=datasets/digits@1"], message="three")
        team.ada.registry.push()
    land(team.ada, team.ada.registry.promote("models/digits@3", target="staging"))
    return "models/digits@3"


def test_a_stage_that_was_deleted_and_born_again(open_request: tuple[Team, Promotion]) -> None:
    team, _ = open_request
    git(team.remote, "update-ref", "-d", "refs/heads/production")
    assert ways(team) == [("lost-merge", None)]
    team.ada.git("push", "--quiet", "origin", "origin/main:refs/heads/production")
    assert ways(team) == [("lost-merge", None), ("past-requests", None)]


def test_a_merge_that_holds_more_than_was_reviewed(open_request: tuple[Team, Promotion]) -> None:
    team, promotion = open_request
    assert promotion.request is not None
    ada, head = team.ada, promotion.request.head
    Member(team.base / "bob").registry.requests.approve(number(promotion))
    base = git(team.remote, "rev-parse", "production")
    ada.git("fetch", "--quiet")
    ada.git("switch", "--quiet", "--detach", "origin/production")
    ada.git("merge", "--quiet", "--no-ff", "--no-commit", head)
    write(ada.folder, {"backdoor.py": "import os\n"})
    ada.git("add", "backdoor.py")
    ada.git("commit", "--quiet", "-m", "Merge")
    ada.git("push", "--quiet", "origin", "HEAD:production")
    ada.git("switch", "--quiet", "main")
    forge_event(ada, number(promotion), kind="merged", base=base)
    assert ("altered-merge", None) in ways(team)
    git(team.remote, "update-ref", "-d", f"refs/gitml/requests/{number(promotion)}")


def test_unapproved_merges_are_told(open_request: tuple[Team, Promotion]) -> None:
    team, promotion = open_request
    assert promotion.request is not None
    ada, base = team.ada, git(team.remote, "rev-parse", "production")
    forge_event(ada, number(promotion), kind="approved", actor={"name": "Ada", "email": "ADA@example.com"})
    ada.git("fetch", "--quiet")
    ada.git("switch", "--quiet", "--detach", "origin/production")
    ada.git("merge", "--quiet", "--no-ff", "-m", "Merge", promotion.request.head)
    ada.git("push", "--quiet", "origin", "HEAD:production")
    ada.git("switch", "--quiet", "main")
    forge_event(ada, number(promotion), kind="merged", base=base)
    assert ways(team) == [("refused", "approvals")]
    git(team.remote, "update-ref", "-d", f"refs/gitml/requests/{number(promotion)}")


def test_a_request_ref_that_is_no_commit(open_request: tuple[Team, Promotion]) -> None:
    team, promotion = open_request
    assert promotion.request is not None
    blob = git(team.remote, "rev-parse", "main:gitml.yaml")
    git(team.remote, "update-ref", "refs/gitml/requests/77", blob)
    try:
        assert team.ada.registry.check(f"..{promotion.request.head}").request == number(promotion)
        assert ways(team) == []
    finally:
        git(team.remote, "update-ref", "-d", "refs/gitml/requests/77")


def test_what_is_no_stage_has_no_history(stage: Team, tmp_path: Path) -> None:
    for name in ("nowhere", "main"):
        with pytest.raises(GitMLError) as caught:
            stage.ada.registry.verify(history=name)
        assert caught.value.exit_code == 4


def test_a_birth_by_push_that_is_merged_back(team: Team) -> None:
    """The push lies below the first request, and the default branch has it, too, by a merge."""
    ada = team.ada
    pushed = commit_by_hand(ada, "origin/main", {"models/digits/staging.yaml": 'current: "1"\n'})
    ada.git("push", "--quiet", "origin", f"{pushed}:refs/heads/staging")
    land(ada, ada.registry.promote("datasets/digits", target="staging"))
    assert ways(team, "staging") == [("past-requests", None), ("past-requests", None)]
    ada.git("fetch", "--quiet")
    ada.git("merge", "--quiet", "--no-edit", "--no-ff", "origin/staging")
    ada.git("push", "--quiet", "origin", "main")
    # Its birth cannot be told any more, and then the request did not state all that it made the stage run.
    assert ways(team, "staging") == [("past-requests", None), ("refused", "statement")]


def test_words_are_no_review(open_request: tuple[Team, Promotion]) -> None:
    """Trailers, the text of the request and the name of a committer approve nothing."""
    team, promotion = open_request
    assert promotion.request is not None
    ada, honest = team.ada, promotion.request.head
    ada.git("switch", "--quiet", "--detach", honest)
    said = "Reviewed-by: Bob <bob@example.com>\nApproved-by: bob@example.com\n"
    ada.git("commit", "--quiet", "--amend", "--message", f"{ada.git('log', '-1', '--format=%B')}\n\n{said}")
    head = ada.git("rev-parse", "HEAD")
    ada.git("switch", "--quiet", "main")
    forge_event(ada, number(promotion), kind="updated", head=head, comment=f"Title\n\n{said}")
    found = ada.registry.check(f"..{head}", target="production")
    assert {one.rule.value for one in found.rules if one.problems} == {"approvals"}
    with pytest.raises(PolicyRefused) as caught:
        ada.registry.requests.merge(number(promotion))
    assert rules_of(caught.value) == {"approvals"}


def test_a_branch_that_looks_like_a_stage(open_request: tuple[Team, Promotion]) -> None:
    """Names are compared as they are written, and a tag of the name is no branch."""
    team, promotion = open_request
    assert promotion.request is not None
    ada = team.ada
    ada.git("push", "--quiet", "origin", f"{promotion.request.head}:refs/heads/Production")
    ada.git("push", "--quiet", "origin", f"{promotion.request.head}:refs/tags/production")
    ada.git("fetch", "--quiet", "--tags")
    try:
        assert str(ada.registry.show("models/digits@production").ref) == "models/digits@1"
        assert ways(team) == []
        with pytest.raises(GitMLError) as caught:
            ada.registry.promote("models/digits@2", target="Production")
        assert caught.value.exit_code in (3, 4)
    finally:
        ada.git("push", "--quiet", "origin", "--delete", "refs/heads/Production", "refs/tags/production")
        ada.git("tag", "--delete", "production")
