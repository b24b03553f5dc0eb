"""Votes of forges whose votes name no commit: which head each was of, and which still stand.

A forge keeps the order of its pushes and votes, and what everybody's vote is now. From these alone it is told: a vote is
of the last head that was pushed before it. One that the record does not tell of only ever counts against a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gitml.forge.base import ReviewKind
from gitml.forge.hosting import Account, HostedReview


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A head that a request got, and since when."""

    time: datetime
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """A vote as the record tells it; `who` is the forge's own key of a person, and no kind is a vote taken back."""

    time: datetime
    who: str
    kind: ReviewKind | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """A person whose word is asked for or was given, and what it is now."""

    account: Account
    kind: ReviewKind | None


def reviews_of(
    votes: Sequence[Vote], pushes: Sequence[Push], now: Mapping[str, Voter], *, head: str, opened: datetime
) -> tuple[HostedReview, ...]:
    """Reviews, oldest first.

    Args:
        votes: The record of votes.
        pushes: The record of heads.
        now: Everybody's present vote, by key.
        head: The present head.
        opened: When the request was opened: the time of a vote that has none.
    """
    ordered = sorted(votes, key=lambda vote: vote.time)
    last = {vote.who: position for position, vote in enumerate(ordered)}
    found = []
    for position, vote in enumerate(ordered):
        if vote.kind is None or vote.who not in now:
            continue
        before = [push for push in sorted(pushes, key=lambda push: push.time) if push.time <= vote.time]
        found.append(
            HostedReview(
                kind=vote.kind,
                actor=now[vote.who].account,
                head=before[-1].head if before else None,
                time=vote.time,
                stands=bool(before) and last[vote.who] == position and now[vote.who].kind is vote.kind,
            )
        )
    for who, voter in now.items():
        if voter.kind is not None and who not in last:
            found.append(
                HostedReview(
                    kind=voter.kind,
                    actor=voter.account,
                    head=head,
                    time=opened,
                    stands=voter.kind is ReviewKind.REJECTED,
                    why_not="the forge does not tell which commit it was of",
                )
            )
    return tuple(found)
