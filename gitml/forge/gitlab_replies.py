"""What python-gitlab gives and raises, in the words of the forge room; for :mod:`gitml.forge.gitlab` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from gitlab.exceptions import GitlabError

from gitml.forge.base import RequestState, ReviewKind
from gitml.forge.by_requests import lost
from gitml.forge.gitlab_text import shown, without_draft
from gitml.forge.hosting import Account, HostedRequest, HostedReview
from gitml.forge.patience import Failed
from gitml.forge.rest import NO_ANSWER, attempted, number_in, said_in, text_in, time_in, words_in

T = TypeVar("T")
_STATES: Final = {"merged": RequestState.MERGED, "closed": RequestState.CLOSED}
_APPROVED: Final = "approved this merge request"
_REJECTED: Final = "requested changes"
_UNDATED: Final = "GitLab does not tell when it was given, and so not of which head it is"


def session() -> requests.Session:
    """What python-gitlab makes its calls by.

    It sees each reply first: python-gitlab's own errors do not keep the headers, which say how long a limit lasts, and
    `requests` would take the header with the token along to wherever a reply leads.
    """
    made = requests.Session()
    made.hooks["response"].append(_judge)
    return made


def _judge(reply: requests.Response, **_: Any) -> None:
    if reply.is_redirect:
        there = urlsplit(urljoin(reply.url, reply.headers.get("location", "")))
        here = urlsplit(reply.url)
        if (there.scheme, there.netloc) != (here.scheme, here.netloc):
            raise Failed(None, "a reply that leads to another host, where the token does not go")
    if reply.status_code >= 400:
        try:
            said = said_in(reply.json())
        except (ValueError, RecursionError):
            said = ""
        raise Failed(reply.status_code, said or reply.reason or "", dict(reply.headers))


def tried(attempt: Callable[[], T]) -> Callable[[], T]:
    """One try, with python-gitlab's failures in the words of :mod:`gitml.forge.patience`."""

    def inner() -> T:
        try:
            return attempt()
        except GitlabError as error:
            raise Failed(None, NO_ANSWER) from error
        except requests.RequestException as error:
            raise lost(error) from error

    return attempted(inner)


# Requests ----------------------------------------------------------------------------------------------------------


def account_of(user: Any) -> Account:
    """A user; a deleted one is `ghost`, as on the pages."""
    if user is None:
        return Account(login="ghost", name="ghost")
    login = text_in(user, "username")
    return Account(login=login, name=words_in(user, "name") or login, email=words_in(user, "email") or None)


def state_of(pull: Mapping[str, Any]) -> RequestState:
    """Where a request stands; one that is being merged is open till then."""
    return _STATES.get(text_in(pull, "state"), RequestState.OPEN)


def is_from_here(pull: Mapping[str, Any]) -> bool:
    """Whether the head is a branch of the project itself, not of a fork."""
    return pull.get("source_project_id") == number_in(pull, "target_project_id")


def has_head(pull: Mapping[str, Any]) -> bool:
    """Whether a request has a commit at all: what was opened from an empty branch has none, which GitML never does."""
    return bool(pull.get("sha"))


def request_of(pull: Mapping[str, Any]) -> HostedRequest:
    """A request; where a project merges without merge commits, what was merged is the head or its squashed form."""
    state = state_of(pull)
    is_merged, is_draft = state is RequestState.MERGED, bool(pull.get("draft"))
    merger = pull.get("merge_user") or pull.get("merged_by")
    head, title = text_in(pull, "sha"), text_in(pull, "title")
    return HostedRequest(
        number=number_in(pull, "iid"),
        state=state,
        branch=text_in(pull, "source_branch"),
        target=text_in(pull, "target_branch"),
        head=head,
        base=words_in(pull.get("diff_refs") or {}, "start_sha") or None,
        author=account_of(pull["author"]),
        title=without_draft(title) if is_draft else title,
        body=shown(words_in(pull, "description")),
        draft=is_draft,
        opened=time_in(pull, "created_at"),
        updated=time_in(pull, "updated_at"),
        url=text_in(pull, "web_url"),
        merged_commit=(words_in(pull, "merge_commit_sha") or words_in(pull, "squash_commit_sha") or head)
        if is_merged
        else None,
        merged=time_in(pull, "merged_at") if is_merged and pull.get("merged_at") else None,
        merged_by=account_of(merger) if is_merged and merger else None,
    )


# Reviews -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A head, and when GitLab knew of it."""

    head: str
    time: datetime


def arrival_of(version: Mapping[str, Any]) -> Arrival:
    """One of a request's diff versions: each push makes one."""
    return Arrival(head=text_in(version, "head_commit_sha"), time=time_in(version, "created_at"))


def reviews_of(
    arrivals: Sequence[Arrival],
    approvals: Iterable[Mapping[str, Any]],
    reviewers: Iterable[Mapping[str, Any]],
    notes: Callable[[], Iterable[Mapping[str, Any]]],
) -> tuple[HostedReview, ...]:
    """What stands of a request's reviews, oldest first, each with the head that was there when it was given.

    GitLab does not say of which head an approval or a rejection is, and keeps both when the head moves, unless a
    project is set otherwise. What it says is when: of an approval itself, or by the note that it writes of either.
    One that cannot be dated counts only where it holds a request up.

    Args:
        arrivals: The heads.
        approvals: Who approved.
        reviewers: Who was asked for a review, with its state.
        notes: All comments, GitLab's own among them; asked for where they are needed.
    """
    given = [(account_of(one["user"]), one.get("approved_at")) for one in approvals]
    rejecting = [account_of(one["user"]) for one in reviewers if one.get("state") == "requested_changes"]
    dates: dict[tuple[str, str], datetime] = {}
    if rejecting or not all(at for _, at in given):
        for note in notes():
            if note.get("system"):
                dates[account_of(note["author"]).login, note["body"]] = time_in(note, "created_at")
    heads = sorted(arrivals, key=lambda one: one.time)
    found = []
    for account, at in given:
        time = time_in({"at": at}, "at") if at else dates.get((account.login, _APPROVED))
        found.append(_review(ReviewKind.APPROVED, account, time, heads))
    for account in rejecting:
        time = dates.get((account.login, _REJECTED))
        # Of the present head, if nothing tells more.
        last = heads[-1].time if heads else datetime.now(UTC)
        found.append(_review(ReviewKind.REJECTED, account, time or last, heads))
    return tuple(sorted(found, key=lambda one: one.time))


def _review(
    kind: ReviewKind, account: Account, time: datetime | None, heads: Sequence[Arrival]
) -> HostedReview:
    there = [one.head for one in heads if time is not None and one.time <= time]
    return HostedReview(
        kind=kind,
        actor=account,
        head=there[-1] if there else "",
        time=time or datetime.fromtimestamp(0, UTC),
        stands=bool(there),
        why_not="" if there else _UNDATED,
    )
