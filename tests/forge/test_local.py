"""Requests in refs: their shape, what is refused as malformed or forged, and racing writers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.events import commit_event, forge_event, last, push_event
from support.promoting import POLICY, founded, number
from support.team import Member, Team, git

from gitml.api import Registry
from gitml.errors import Conflict, InvalidInput, NotFound, OutcomeUnknown, StoreUnavailable, UsageError
from gitml.forge.detect import open_forge
from gitml.model.progress import Silent
from gitml.registry.workspace import Workspace


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return founded(tmp_path, POLICY)


def ask(team: Team) -> None:
    assert number(team.ada.registry.promote("models/digits", target="staging")) == 1


@pytest.fixture
def asked(tmp_path: Path) -> Team:
    """Request 1: models/digits to staging, by Ada."""
    return founded(tmp_path, POLICY, ask)


def test_shape_of_the_chain(asked: Team) -> None:
    ada = asked.ada
    bob = asked.clone("bob")
    bob.registry.requests.approve(1, "fine")
    approved, fields = last(ada, 1)
    opened = ada.git("rev-parse", f"{approved}^1")
    head = ada.git("rev-parse", f"{approved}^2")
    assert ada.git("rev-parse", f"{opened}^@") == head
    assert ada.git("ls-tree", "--name-only", approved) == "event.json"
    assert fields == {
        "schema": "gitml/request/v1",
        "number": 1,
        "kind": "approved",
        "target": "staging",
        "base": git(asked.remote, "rev-parse", "main"),
        "head": head,
        "refs": ["models/digits@1"],
        "actor": {"name": "Bob", "email": "bob@example.com"},
        "time": fields["time"],
        "comment": "fine",
    }


def test_a_clone_does_not_carry_them_but_finds_them(asked: Team) -> None:
    bob = asked.clone("bob")
    assert "gitml/requests" not in bob.git("for-each-ref")
    assert [request.number for request in bob.registry.requests.list()] == [1]
    shown = bob.registry.requests.show(1)
    assert (shown.source, shown.target, shown.title) == (
        "main",
        "staging",
        "Promote models/digits@1 to staging",
    )
    assert "refs/gitml/requests/" not in bob.git("for-each-ref"), "the original is on the remote alone"


def test_no_such_request(asked: Team) -> None:
    with pytest.raises(NotFound) as caught:
        asked.ada.registry.requests.show(7)
    assert caught.value.code == "request-not-found"


def test_states(asked: Team) -> None:
    requests = asked.ada.registry.requests
    requests.close(1)
    assert requests.list() == ()
    assert [request.number for request in requests.list("closed")] == [1]
    assert [request.number for request in requests.list("all")] == [1]
    with pytest.raises(UsageError):
        requests.list("lost")


def test_a_rejection_needs_a_reason(asked: Team) -> None:
    with pytest.raises(UsageError):
        asked.clone("bob").registry.requests.reject(1, "  ")


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def wrong_number(member: Member, tip: str, fields: dict[str, object]) -> str:
    return commit_event(member, fields | {"number": 2}, [tip, str(fields["head"])])


def unknown_kind(member: Member, tip: str, fields: dict[str, object]) -> str:
    return commit_event(member, fields | {"kind": "blessed"}, [tip, str(fields["head"])])


def no_json(member: Member, tip: str, fields: dict[str, object]) -> str:
    return commit_event(member, "{", [tip, str(fields["head"])])


def another_file(member: Member, tip: str, fields: dict[str, object]) -> str:
    return commit_event(member, fields | {"kind": "approved"}, [tip, str(fields["head"])], name="other.json")


def duplicate_key(member: Member, tip: str, fields: dict[str, object]) -> str:
    text = json.dumps(fields | {"kind": "approved"})
    return commit_event(member, text[:-1] + ', "number": 1}', [tip, str(fields["head"])])


def without_previous(member: Member, tip: str, fields: dict[str, object]) -> str:
    return commit_event(member, fields | {"kind": "approved"}, [str(fields["head"])])


def parents_turned_round(member: Member, tip: str, fields: dict[str, object]) -> str:
    return commit_event(member, fields | {"kind": "approved"}, [str(fields["head"]), tip])


def three_parents(member: Member, tip: str, fields: dict[str, object]) -> str:
    parents = [tip, str(fields["head"]), str(fields["base"])]
    return commit_event(member, fields | {"kind": "approved"}, parents)


def another_head(member: Member, tip: str, fields: dict[str, object]) -> str:
    base = str(fields["base"])
    return commit_event(member, fields | {"kind": "approved", "head": base}, [tip, base])


def head_that_is_no_parent(member: Member, tip: str, fields: dict[str, object]) -> str:
    return commit_event(
        member, fields | {"kind": "updated", "head": fields["base"]}, [tip, str(fields["head"])]
    )


def another_target(member: Member, tip: str, fields: dict[str, object]) -> str:
    return commit_event(
        member, fields | {"kind": "updated", "target": "production"}, [tip, str(fields["head"])]
    )


def opened_on_top(member: Member, tip: str, fields: dict[str, object]) -> str:
    return commit_event(member, fields, [tip, str(fields["head"])])


def after_the_end(member: Member, tip: str, fields: dict[str, object]) -> str:
    closed = commit_event(member, fields | {"kind": "closed"}, [tip, str(fields["head"])])
    return commit_event(member, fields | {"kind": "approved"}, [closed, str(fields["head"])])


def option_as_head(member: Member, tip: str, fields: dict[str, object]) -> str:
    return commit_event(
        member, fields | {"kind": "updated", "head": "--upload-pack=x"}, [tip, str(fields["head"])]
    )


def a_plain_commit(member: Member, tip: str, fields: dict[str, object]) -> str:
    return str(fields["base"])


FORGED = [
    wrong_number,
    unknown_kind,
    no_json,
    another_file,
    duplicate_key,
    without_previous,
    parents_turned_round,
    three_parents,
    another_head,
    head_that_is_no_parent,
    another_target,
    opened_on_top,
    after_the_end,
    option_as_head,
    a_plain_commit,
]


@pytest.mark.parametrize("make", FORGED, ids=lambda make: make.__name__)
def test_what_is_malformed_or_forged_is_refused_alone(asked: Team, make: object) -> None:
    ada = asked.ada
    ada.registry.promote("datasets/digits", target="staging")
    tip, fields = last(ada, 1)
    push_event(ada, 1, make(ada, tip, fields))  # type: ignore[operator]
    notes = Notes()
    registry = Registry(ada.folder, progress=notes)
    assert [request.number for request in registry.requests.list("all")] == [2]
    assert any("request 1 cannot be believed" in note for note in notes.notes)
    for act in (
        registry.requests.show,
        registry.requests.approve,
        registry.requests.merge,
        registry.requests.close,
    ):
        with pytest.raises(InvalidInput, match="request 1 cannot be believed"):
            act(1)
    assert registry.requests.merge(2).commit is not None
    again = registry.promote("models/digits", target="staging")
    assert number(again) == 3, "a number is never used twice"


def test_other_refs_there_are_nobodys_requests(asked: Team) -> None:
    for name in ("01", "x", "99999999999"):
        asked.ada.git("push", "--quiet", "origin", f"HEAD:refs/gitml/requests/{name}")
    assert [request.number for request in asked.ada.registry.requests.list("all")] == [1]


def test_unknown_fields_are_kept_out_of_the_way(asked: Team) -> None:
    forge_event(asked.ada, 1, kind="updated", mood="good")
    assert asked.ada.registry.requests.show(1).number == 1


def test_a_review_of_what_changed_meanwhile_is_refused(asked: Team) -> None:
    """Between looking and approving the head changed: approving blindly would approve something unseen."""
    bob = asked.clone("bob")
    forge = open_forge(Workspace.open(bob.folder))
    seen = forge.get(1)
    asked.ada.git("commit", "--quiet", "--allow-empty", "-m", "Other")
    other = asked.ada.git("rev-parse", "HEAD")
    forge_event(asked.ada, 1, kind="updated", head=other, parents=[last(asked.ada, 1)[0], other])
    with pytest.raises(Conflict) as caught:
        forge.approve(1)
    assert caught.value.code == "request-changed"
    assert forge.get(1).head == other != seen.head


def test_the_remote_is_gone(asked: Team) -> None:
    ada = asked.ada
    ada.git("remote", "set-url", "origin", "https://127.0.0.1:1/repository.git")
    for act in (
        lambda: ada.registry.requests.list(),
        lambda: ada.registry.requests.approve(1),
        lambda: ada.registry.requests.merge(1),
        lambda: ada.registry.promote("datasets/digits", target="staging"),
    ):
        with pytest.raises((StoreUnavailable, OutcomeUnknown)) as caught:
            act()
        assert caught.value.exit_code == 7
    assert "refs/gitml/requests" not in ada.git("for-each-ref"), "a number is never given out offline"


def test_requests_made_before_there_was_a_remote_stay_here(tmp_path: Path) -> None:
    from support.team import write

    from gitml.api import init

    folder = tmp_path / "alone"
    git(tmp_path, "init", "--quiet", str(folder))
    init(folder, store=str(tmp_path / "store"))
    registry = Registry(folder)
    registry.register("models/digits", write(tmp_path / "contents", {"w.txt": "one"}))
    registry.promote("models/digits", target="staging")
    mine = git(folder, "rev-parse", "refs/gitml/requests/1")
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    git(folder, "remote", "add", "origin", str(tmp_path / "remote.git"))
    git(folder, "push", "--quiet", "origin", "main")
    assert registry.requests.list("all") == ()
    registry.promote("models/digits", target="staging")
    assert git(folder, "rev-parse", "refs/gitml/requests/1") == mine
