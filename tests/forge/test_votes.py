"""Votes that name no commit, on the forges that have such: each counts for the head that was there, and for no other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.forges import World, world

from gitml.errors import Conflict
from gitml.forge.base import ReviewKind
from gitml.forge.hosting import Account, HostedRequest
from gitml.forge.votes import Push, Vote, Voter, reviews_of

START = datetime(2026, 1, 1, tzinfo=UTC)
BOB = Account(login="bob", name="Bob")


@pytest.fixture(params=["azure_devops", "bitbucket"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with world(request.param, tmp_path) as found:
        yield found
        assert found.double.complaints == []


def opened(there: World) -> HostedRequest:
    there.branch("feature")
    return there.host().open(branch="feature", target="production", title="T", body="B", draft=False)


def test_a_vote_is_cast_anew_on_a_new_head(there: World) -> None:
    made, bob = opened(there), there.host("bob")
    bob.approve(made.number, head=made.head, comment=None)
    moved = there.branch("feature", "production", other="text")
    bob.approve(made.number, head=moved, comment=None)
    bob.approve(made.number, head=moved, comment=None)
    assert [(one.head, one.stands) for one in bob.reviews(made.number)] == [(made.head, False), (moved, True)]


def test_a_vote_that_fell_on_another_head_is_taken_back(
    there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, bob = opened(there), there.host("bob")
    review = there.project.review

    def late(*arguments: Any, **more: Any) -> Any:
        monkeypatch.undo()
        there.branch("feature", "production", other="text")
        return review(*arguments, **more)

    monkeypatch.setattr(there.project, "review", late)
    with pytest.raises(Conflict):
        bob.approve(made.number, head=made.head, comment=None)
    assert not any(one.stands for one in bob.reviews(made.number))


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def vote(minutes: int, kind: ReviewKind | None = ReviewKind.APPROVED, who: str = "b") -> Vote:
    return Vote(time=at(minutes), who=who, kind=kind)


PUSHES = [Push(time=at(0), head="h1"), Push(time=at(10), head="h2")]


@pytest.mark.parametrize(
    ("votes", "now", "found"),
    [
        ([vote(5)], ReviewKind.APPROVED, [("h1", True)]),
        ([vote(15)], ReviewKind.APPROVED, [("h2", True)]),
        ([vote(10)], ReviewKind.APPROVED, [("h2", True)]),
        ([vote(5), vote(15)], ReviewKind.APPROVED, [("h1", False), ("h2", True)]),
        ([vote(15), vote(5)], ReviewKind.APPROVED, [("h1", False), ("h2", True)]),
        ([vote(5)], None, [("h1", False)]),
        ([vote(5), vote(6, None)], None, [("h1", False)]),
        ([vote(5), vote(6, None)], ReviewKind.APPROVED, [("h1", False)]),
        ([vote(5), vote(6, ReviewKind.REJECTED)], ReviewKind.REJECTED, [("h1", False), ("h1", True)]),
        ([vote(-5)], ReviewKind.APPROVED, [(None, False)]),
        ([vote(5, who="stranger")], None, []),
        ([], ReviewKind.APPROVED, [("h2", False)]),
        ([], ReviewKind.REJECTED, [("h2", True)]),
        ([], None, []),
    ],
)
def test_which_head_a_vote_is_of(
    votes: list[Vote], now: ReviewKind | None, found: list[tuple[str | None, bool]]
) -> None:
    reviews = reviews_of(votes, PUSHES, {"b": Voter(account=BOB, kind=now)}, head="h2", opened=START)
    assert [(one.head, one.stands) for one in reviews] == found
