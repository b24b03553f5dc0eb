"""What PyGithub gives and raises, in the words of the forge room; for :mod:`gitml.forge.github` alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import requests
from github.GithubException import GithubException
from github.IssueComment import IssueComment
from github.NamedUser import NamedUser
from github.PullRequest import PullRequest
from github.PullRequestReview import PullRequestReview

from gitml.forge.base import RequestState, ReviewKind
from gitml.forge.by_requests import lost
from gitml.forge.comments import Remark
from gitml.forge.hosting import Account, HostedRequest, HostedReview
from gitml.forge.patience import Failed

T = TypeVar("T")
_NOT_THE_API: Final = (
    AssertionError, TypeError, ValueError, KeyError, AttributeError, IndexError, RuntimeError,
)  # fmt: skip
_NO_ANSWER: Final = "an answer that is none of GitHub's API"
_MEMBERS: Final = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})


def attempted(attempt: Callable[[], T]) -> Callable[[], T]:
    """One try, with PyGithub's failures in the words of :mod:`gitml.forge.patience`."""

    def tried() -> T:
        try:
            return attempt()
        except GithubException as error:
            if error.status is None or error.status < 400:
                raise Failed(None, _NO_ANSWER) from error
            headers = {name: str(value) for name, value in (error.headers or {}).items()}
            raise Failed(error.status, said_by(error), headers) from error
        except requests.RequestException as error:
            raise lost(error) from error
        except _NOT_THE_API as error:
            # What PyGithub raises where a reply is a page for people, cut off, not of the promised form, or leads to
            # another host.
            raise Failed(None, _NO_ANSWER) from error

    return tried


def said_by(error: GithubException) -> str:
    """What GitHub said, in one text."""
    data = error.data if isinstance(error.data, dict) else {}
    words = [str(data.get("message") or error.message or "")]
    for one in data.get("errors") or []:
        words.append(str(one.get("message") or one.get("code") or "") if isinstance(one, dict) else str(one))
    return ": ".join(word for word in words if word)


def text_of(value: Any) -> str:
    """A text that has to be there."""
    if not isinstance(value, str) or not value:
        raise TypeError("no text where GitHub promises one")
    return value


def account_of(user: NamedUser | None) -> Account:
    """A user as it stands in other replies, which hold the login alone; a deleted one is `ghost`, as on the pages."""
    login = "ghost" if user is None else text_of(user.login)
    return Account(login=login, name=login)


def state_of(pull: PullRequest) -> RequestState:
    """Where a request stands."""
    if pull.merged_at is not None:
        return RequestState.MERGED
    return RequestState.OPEN if pull.state == "open" else RequestState.CLOSED


def request_of(pull: PullRequest, *, with_merger: bool = False) -> HostedRequest:
    """A request; lists do not tell who merged, and asking for it would be one call for each."""
    merged = pull.merged_at
    return HostedRequest(
        number=pull.number,
        state=state_of(pull),
        branch=text_of(pull.head.ref),
        target=text_of(pull.base.ref),
        head=text_of(pull.head.sha),
        base=pull.base.sha,
        author=account_of(pull.user),
        title=pull.title,
        body=pull.body or "",
        draft=bool(pull.draft),
        opened=_utc(pull.created_at),
        updated=_utc(pull.updated_at),
        url=pull.html_url,
        merged_commit=pull.merge_commit_sha if merged is not None else None,
        merged=_utc(merged) if merged is not None else None,
        merged_by=account_of(pull.merged_by) if merged is not None and with_merger else None,
    )


def review_of(review: PullRequestReview) -> HostedReview | None:
    """A review; a mere comment is none, and one that is not sent yet neither."""
    kinds = {"APPROVED": ReviewKind.APPROVED, "CHANGES_REQUESTED": ReviewKind.REJECTED}
    state = text_of(review.state)
    if state not in (*kinds, "DISMISSED"):
        return None
    is_member = review.author_association in _MEMBERS
    return HostedReview(
        kind=kinds.get(state, ReviewKind.APPROVED),
        actor=account_of(review.user),
        head=review.commit_id,
        time=_utc(review.submitted_at),
        comment=review.body or "",
        stands=state in kinds and is_member,
        why_not="" if is_member else "the account is no member of the repository",
    )


def remark_of(comment: IssueComment) -> Remark[IssueComment]:
    """A comment, which has a text."""
    return Remark(handle=comment, body=text_of(comment.body))


def _utc(time: datetime | None) -> datetime:
    if time is None:
        raise TypeError("no time where GitHub promises one")
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
