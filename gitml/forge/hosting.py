"""What GitML asks of a hosted forge: one small interface, the same for every vendor.

Owns the words that cross it. An adapter translates them into its vendor's API and back, and its vendor's failures into
GitML's; it decides nothing. What a request means for a stage is told by `gitml.forge.hosted`, which gives any host the
shape of a :class:`gitml.forge.base.Forge`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from gitml.errors import Conflict
from gitml.forge.base import Capabilities, RequestState, ReviewKind


class CheckState(Enum):
    """What a status on a commit says."""

    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"


class MergeOutcome(Enum):
    """How a forge answered the wish to merge."""

    MERGED = "merged"
    STALE = "stale"  # head or target moved since they were looked at
    REFUSED = "refused"  # the forge's own rules forbid it


@dataclass(frozen=True, slots=True, kw_only=True)
class Merging:
    """How an attempt to merge ended, and in the forge's own words why it did not merge."""

    outcome: MergeOutcome
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person or program on the forge.

    Attributes:
        login: Name that is unique on the forge; what policies name people by.
        name: Name to show.
        email: Public e-mail address, where the forge tells it.
    """

    login: str
    name: str
    email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedReview:
    """One person's word on a request.

    Attributes:
        head: Commit that was looked at; None where the forge does not say, and drops reviews when the head moves.
        stands: Whether the forge still counts it: not dismissed, not withdrawn, by somebody who may.
        why_not: Why it does not stand, where that is not that it was dismissed or withdrawn.
    """

    kind: ReviewKind
    actor: Account
    head: str | None
    time: datetime
    comment: str = ""
    stands: bool = True
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedRequest:
    """A pull or merge request as the forge shows it.

    Attributes:
        branch: Branch that holds the head.
        head: Its newest commit.
        base: Commit of the target that the forge compares with, where it says so.
        merged_commit: Commit that the merge made on the target; None until merged.
        url: Page for people.
    """

    number: int
    state: RequestState
    branch: str
    target: str
    head: str
    base: str | None
    author: Account
    title: str
    body: str
    draft: bool
    opened: datetime
    updated: datetime
    url: str
    merged_commit: str | None = None
    merged: datetime | None = None
    merged_by: Account | None = None


def merged_at(request: HostedRequest, head: str) -> Merging | None:
    """That a request is merged at this head; None where it is not."""
    is_done = request.state is RequestState.MERGED and request.head == head
    return Merging(outcome=MergeOutcome.MERGED) if is_done else None


def refuse_merged(number: int, state: RequestState) -> None:
    """What closing says of a request that is merged.

    Raises:
        Conflict: It is.
    """
    if state is RequestState.MERGED:
        raise Conflict(f"request {number} is merged", code="request-merged", hint=f"gitml pr show {number}")


def changed_meanwhile(number: int) -> Conflict:
    """What a vote says of a request whose head moved meanwhile, on a forge whose votes name no commit."""
    return Conflict(
        f"request {number} changed while you reviewed it",
        code="request-changed",
        hint=f"gitml pr show {number}",
        context={"number": number},
    )


class Host(Protocol):
    """One repository on one forge, by its API; every method is one or a few calls, retried where that is safe.

    Every method raises: AccessDenied (401, 403: says which right the token lacks), NotFound (404), StoreUnavailable
    (the network, 5xx, rate limits that outlast the patience, an answer that is no answer), OutcomeUnknown (a write
    whose reply was lost and could not be looked up), InvalidInput (422: what the forge said).
    """

    @property
    def kind(self) -> str:
        """Name of the forge as in `forge: {kind: …}`."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do beyond opening, reviewing and merging."""

    def me(self) -> Account:
        """Whose token it is."""

    def open(self, *, branch: str, target: str, title: str, body: str, draft: bool) -> HostedRequest:
        """Open a request; one that is open for the same two branches is given back as it is."""

    def update(self, number: int, *, title: str, body: str) -> HostedRequest:
        """Change title and body."""

    def get(self, number: int) -> HostedRequest:
        """One request."""

    def list(
        self, state: RequestState | None = None, *, branch: str | None = None, target: str | None = None
    ) -> Iterator[HostedRequest]:
        """Requests, newest first, page by page."""

    def comment(self, number: int, marker: str, body: str) -> None:
        """Write the one comment that ends in `<!-- marker -->`: made at the first call, replaced at the others."""

    def set_status(self, commit: str, *, name: str, state: CheckState, text: str, url: str = "") -> None:
        """Say on a commit how a check went; a check is known by its name."""

    def reviews(self, number: int) -> tuple[HostedReview, ...]:
        """All that was said, oldest first."""

    def authors(self, number: int) -> tuple[str, ...]:
        """Logins of whoever opened the request or made one of its commits, as far as the forge knows."""

    def approve(self, number: int, *, head: str, comment: str | None) -> None:
        """Approve that head."""

    def reject(self, number: int, *, head: str, comment: str) -> None:
        """Ask for changes."""

    def ask(self, number: int, reviewers: Sequence[str]) -> None:
        """Ask people for a review."""

    def merge(self, number: int, *, head: str, message: str) -> Merging:
        """Merge by a real merge commit, if the head is still this one; one that is merged at this head is MERGED."""

    def merge_when_allowed(self, number: int, *, head: str) -> None:
        """Let the forge merge as soon as its own rules allow."""

    def close(self, number: int, comment: str | None) -> None:
        """Give the request up without merging; closing again changes nothing."""
