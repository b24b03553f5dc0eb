"""What a request is, whichever forge keeps it.

Owns the words *request*, *review* and *draft*, and the protocol that every forge adapter fulfils. It judges
nothing: whether a request may land is for `gitml.promotion`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from gitml.forge.shared import Shared
from gitml.git.types import Commit, Identity
from gitml.model.request import RequestEvent


class RequestState(Enum):
    """Where a request stands."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


class ReviewKind(Enum):
    """What a reviewer said."""

    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One person's word on one head of a request.

    Attributes:
        head: Commit that was looked at.
        counts: Whether it bears on the present head: it names that head, it is this person's last word on it,
            and an approval is not the author's own.
        ignored: Why it does not count; None where it does.
    """

    kind: ReviewKind
    actor: Identity
    head: str
    time: datetime
    comment: str
    counts: bool
    ignored: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A proposed change of a stage.

    Attributes:
        source: Branch that the change was taken from.
        target: The stage.
        head: Commit that would be merged.
        base: Tip of the target that the head was made on; where the stage was not born yet, the tip of the
            default branch; for a merged request, the tip that it was merged into.
        refs: References that were asked for, sorted; empty for a promotion by branch.
        author: On a hosted forge, as everywhere in a request of such, the "e-mail address" of a person is the login.
        authors: E-mail addresses, and on a hosted forge logins, case-folded, that cannot approve this request.
        merged_commit: The merge commit on the target; None until merged.
    """

    number: int
    state: RequestState
    source: str
    target: str
    head: str
    base: str
    refs: tuple[str, ...]
    author: Identity
    title: str
    body: str
    opened: datetime
    updated: datetime
    merged_commit: str | None = None
    merged: datetime | None = None
    merged_by: Identity | None = None
    reviews: tuple[Review, ...] = ()
    authors: tuple[str, ...] = ()
    events: tuple[RequestEvent, ...] = ()
    tip: str = ""

    @property
    def approvals(self) -> tuple[Review, ...]:
        """Approvals that count."""
        return tuple(
            review for review in self.reviews if review.counts and review.kind is ReviewKind.APPROVED
        )

    @property
    def rejections(self) -> tuple[Review, ...]:
        """Rejections of the present head that stand."""
        return tuple(
            review for review in self.reviews if review.counts and review.kind is ReviewKind.REJECTED
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a request is to say when it is opened or updated; the last three are for forges that can.

    Attributes:
        may_stay: Whether nobody chose title and body: an open request with this base that proposes the same says it as
            well as these do, whoever asked.
    """

    source: str
    target: str
    base: str
    head: str
    refs: tuple[str, ...]
    title: str
    body: str = ""
    may_stay: bool = False
    is_draft: bool = False
    reviewers: tuple[str, ...] = ()
    auto_merge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A request as it stands after `open_or_update`; neither flag: it already said all this.

    Attributes:
        retries: How often others were first, and it was tried again.
    """

    request: Request
    created: bool
    updated: bool
    retries: int = 0


class Landing(Enum):
    """How an attempt to land a merge ended."""

    LANDED = "landed"
    STALE = "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a forge can do beyond opening, reviewing and merging.

    Attributes:
        draft: Open a request that is not to be merged yet.
        reviewers: Ask people for a review.
        auto_merge: Merge by itself as soon as its own rules allow.
        makes_merges: Make the merge commit itself, and record it in the same act.
        longest_text: How many characters the text of a request may have, where that is less than GitML itself allows.
        longest_comment: The same of a comment.
    """

    draft: bool = False
    reviewers: bool = False
    auto_merge: bool = False
    makes_merges: bool = False
    longest_text: int | None = None
    longest_comment: int | None = None


class Forge(Protocol):
    """A keeper of requests. Numbers are unique and never used again."""

    @property
    def kind(self) -> str:
        """Name of the forge as in `forge: {kind: …}`."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @property
    def shared(self) -> Shared:
        """The repository that the requests are about."""

    def refresh(self) -> None:
        """Learn the present state; every other reading method answers from the last refresh.

        Raises:
            StoreUnavailable: The forge cannot be reached.
        """

    def branch(self, name: str) -> str | None:
        """Tip of a branch in the repository that the requests are about."""

    def get(self, number: int) -> Request:
        """One request.

        Raises:
            NotFound: No such number.
            InvalidInput: It is malformed or forged.
        """

    def list(self, state: str = "open") -> tuple[Request, ...]:
        """Requests in a state (open, merged, closed, rejected or all), newest first.

        `rejected` are the open ones that somebody refused. One that cannot be read is told to the person, and
        left out.

        Raises:
            UsageError: No such state.
        """

    def find_open(self, source: str, target: str, refs: Sequence[str]) -> Request | None:
        """The open request for the same source, target and assets."""

    def find_by_head(self, head: str, target: str | None = None) -> Request | None:
        """The newest open request that would merge a commit."""

    def open_or_update(self, draft: Draft, *, proposes: Callable[[Request], bool] = ...) -> Opened:
        """Open a request, or bring the open one for the same source, target and assets up to date.

        Args:
            draft: What it is to say.
            proposes: Whether an open request's own head comes to the same; its head, and so its reviews, then stay.
        """

    def approve(self, number: int, comment: str | None = None, *, dry_run: bool = False) -> Request:
        """Approve the present head; a dry run refuses what would be refused, and gives the request as it is.

        Raises:
            Conflict: The request is not open, or its head changed meanwhile.
            PolicyRefused: It is one's own work.
        """

    def reject(self, number: int, comment: str, *, dry_run: bool = False) -> Request:
        """Refuse the present head; it cannot be merged until this person approves or the head changes."""

    def close(self, number: int, comment: str | None = None, *, dry_run: bool = False) -> Request:
        """Give the request up without merging; closing again changes nothing."""

    def land(self, request: Request, *, merge: str, onto: str, tip: str | None) -> Landing:
        """Move the target to a merge commit and record it, both or neither.

        Args:
            request: The request as last read.
            merge: The merge commit; a forge that makes its own takes the message from it.
            onto: First parent of the merge commit.
            tip: Tip that the target must still have; None where the stage must not exist yet.
        """

    def record_merged(self, request: Request, *, onto: str) -> None:
        """Record a merge that is on the target already; nothing where somebody else just recorded something."""

    def merged_requests(self, target: str) -> Sequence[Request]:
        """Requests that were merged into a stage, by number."""

    def oldest_merge(self, target: str, chain: Sequence[Commit]) -> Request | None:
        """The request that made the oldest merge of a stage's chain that any made; its reviews may be left out.

        Args:
            target: The stage.
            chain: Its first-parent chain, newest first.
        """
