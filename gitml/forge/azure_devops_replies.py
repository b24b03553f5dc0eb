"""What Azure DevOps replies, in the words of the forge room; for :mod:`gitml.forge.azure_devops` alone.

The record of votes (:mod:`gitml.forge.votes`) is Azure DevOps' own notes among the threads; that of pushes is the
iterations of the request, one for each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from gitml.forge import votes
from gitml.forge.base import RequestState, ReviewKind
from gitml.forge.comments import Remark
from gitml.forge.hosting import Account, HostedRequest, HostedReview
from gitml.forge.rest import number_in, text_in
from gitml.forge.votes import Push, Vote, Voter

HEADS: Final = "refs/heads/"
_STATES: Final = {
    "active": RequestState.OPEN,
    "completed": RequestState.MERGED,
    "abandoned": RequestState.CLOSED,
}
_SERVICE: Final = "00000002000088888000"  # of Azure DevOps itself
_FRACTION: Final = re.compile(r"\.(\d{1,6})\d*")


def state_of(pull: Mapping[str, Any]) -> RequestState:
    """Where a request stands."""
    return _STATES[text_in(pull, "status")]


def head_of(pull: Mapping[str, Any]) -> str:
    """Its newest commit."""
    return text_in(pull["lastMergeSourceCommit"], "commitId")


def key_of(identity: str) -> str:
    """The identifier of an identity, which is written in two ways."""
    return identity.replace("-", "").casefold()


def account_of(identity: Mapping[str, Any]) -> Account:
    """An identity; what is unique of it is mostly the e-mail address that its owner signs in with."""
    login = identity.get("uniqueName") or text_in(identity, "id")
    return Account(
        login=login, name=identity.get("displayName") or login, email=login if "@" in login else None
    )


def names_of_identity(identity: Mapping[str, Any]) -> frozenset[str]:
    """What an identity may be called, case-folded."""
    properties = identity.get("properties") or {}
    found = [_said(properties, name) for name in ("Account", "Mail")]
    return frozenset(str(one).casefold() for one in found if one)


def remarks_of(threads: Sequence[Mapping[str, Any]]) -> Sequence[Remark[tuple[int, int]]]:
    """What people wrote: the first comment of each thread, by the numbers of both."""
    found = []
    for thread in threads:
        for first in thread["comments"][:1]:
            is_text = first.get("content") and first.get("commentType") != "system"
            if is_text and not first.get("isDeleted"):
                handle = (number_in(thread, "id"), number_in(first, "id"))
                found.append(Remark(handle=handle, body=text_in(first, "content")))
    return found


def request_of(pull: Mapping[str, Any], page: str) -> HostedRequest:
    """A request.

    Args:
        pull: The reply.
        page: Address of the pages for people, without the number.
    """
    state, number = state_of(pull), number_in(pull, "pullRequestId")
    is_merged = state is RequestState.MERGED
    opened = time_of(text_in(pull, "creationDate"))
    closed = time_of(text_in(pull, "closedDate")) if state is not RequestState.OPEN else None
    closer = pull.get("closedBy")
    return HostedRequest(
        number=number,
        state=state,
        branch=text_in(pull, "sourceRefName").removeprefix(HEADS),
        target=text_in(pull, "targetRefName").removeprefix(HEADS),
        head=head_of(pull),
        base=(pull.get("lastMergeTargetCommit") or {}).get("commitId"),
        author=account_of(pull["createdBy"]),
        title=text_in(pull, "title"),
        body=pull.get("description") or "",
        draft=bool(pull.get("isDraft")),
        opened=opened,
        updated=closed or opened,  # it does not say when a request was changed
        url=f"{page}/{number}",
        merged_commit=text_in(pull["lastMergeCommit"], "commitId") if is_merged else None,
        merged=closed if is_merged else None,
        merged_by=account_of(closer) if is_merged and closer else None,
    )


def reviews_of(
    pull: Mapping[str, Any], threads: Sequence[Mapping[str, Any]], iterations: Sequence[Mapping[str, Any]]
) -> tuple[HostedReview, ...]:
    """Votes, from the notes of them, the iterations, and what the votes are now."""
    people = [one for one in pull.get("reviewers") or () if not one.get("isContainer")]
    pushes = [
        Push(time=time_of(text_in(one, "createdDate")), head=text_in(one["sourceRefCommit"], "commitId"))
        for one in iterations
    ]
    return votes.reviews_of(
        [vote for vote in map(_vote_of, threads) if vote is not None],
        pushes,
        {
            key_of(one["id"]): Voter(account=account_of(one), kind=_kind_of(one.get("vote", 0)))
            for one in people
        },
        head=head_of(pull),
        opened=time_of(text_in(pull, "creationDate")),
    )


def _kind_of(vote: int) -> ReviewKind | None:
    """10 approved, 5 approved with suggestions, 0 none, -5 waiting for the author, -10 rejected."""
    if vote == 0:
        return None
    return ReviewKind.APPROVED if vote > 0 else ReviewKind.REJECTED


def _vote_of(thread: Mapping[str, Any]) -> Vote | None:
    """When who voted what, where a thread is Azure DevOps' own note of a vote."""
    properties = thread.get("properties") or {}
    if _said(properties, "CodeReviewThreadType") != "VoteUpdate":
        return None
    who = _said(properties, "CodeReviewVotedByTfId")
    if who is None:
        named = str(_said(properties, "CodeReviewVotedByIdentity"))
        who = text_in(thread["identities"][named], "id")
    note = thread["comments"][0]
    # Whoever opens a thread chooses its properties. Azure DevOps writes its notes in the voter's name, or in its own.
    author = note["author"]
    is_its_own = author.get("isContainer") or key_of(author["id"]).startswith(_SERVICE)
    if text_in(note, "commentType") != "system" or not (is_its_own or key_of(author["id"]) == key_of(who)):
        return None
    kind = _kind_of(int(_said(properties, "CodeReviewVoteResult") or 0))
    return Vote(time=time_of(text_in(thread, "publishedDate")), who=key_of(who), kind=kind)


def _said(properties: Mapping[str, Any], name: str) -> Any:
    return (properties.get(name) or {}).get("$value")


def time_of(text: str) -> datetime:
    """A time; Azure DevOps tells seven digits of a second."""
    found = datetime.fromisoformat(_FRACTION.sub(lambda match: "." + match[1].ljust(6, "0"), text))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
