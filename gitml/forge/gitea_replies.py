"""What Gitea's API gives, in the words of the forge room; for :mod:`gitml.forge.gitea` alone."""

from __future__ import annotations

import re
from typing import Any, Final

from gitml.forge.base import RequestState, ReviewKind
from gitml.forge.hosting import Account, HostedRequest, HostedReview
from gitml.forge.rest import number_in, text_in, time_in, words_in

WIP: Final = "WIP: "
_WIP: Final = re.compile(r"(?:WIP:|\[WIP\])\s*", re.IGNORECASE)
EVENTS: Final = {ReviewKind.APPROVED: "APPROVED", ReviewKind.REJECTED: "REQUEST_CHANGES"}
_KINDS: Final = {event: kind for kind, event in EVENTS.items()}


def account_of(user: Any) -> Account:
    """A user; a deleted one is `Ghost`, as on the pages."""
    if user is None:
        return Account(login="Ghost", name="Ghost")
    login = text_in(user, "login")
    return Account(
        login=login, name=words_in(user, "full_name") or login, email=words_in(user, "email") or None
    )


def state_of(pull: Any) -> RequestState:
    """Where a request stands."""
    if pull["merged"]:
        return RequestState.MERGED
    return RequestState.OPEN if pull["state"] == "open" else RequestState.CLOSED


def is_draft(pull: Any) -> bool:
    """Whether a request is one; older servers say so by the title alone."""
    return bool(pull.get("draft")) or _WIP.match(pull["title"]) is not None


def is_from_here(pull: Any) -> bool:
    """Whether the head is a branch of the repository itself, not of a fork."""
    return number_in(pull["head"], "repo_id") == number_in(pull["base"], "repo_id")


def has_head(pull: Any) -> bool:
    """Whether a request's commit is still there: that of a fork that is gone may not be."""
    return bool(pull["head"]["sha"])


def request_of(pull: Any) -> HostedRequest:
    """A request."""
    state, head = state_of(pull), pull["head"]
    is_merged = state is RequestState.MERGED
    merger = pull.get("merged_by")
    title = text_in(pull, "title")
    match = _WIP.match(title)
    ref, label = text_in(head, "ref"), words_in(head, "label")
    if ref.startswith("refs/") and label:  # the branch is gone
        ref = label
    return HostedRequest(
        number=number_in(pull, "number"),
        state=state,
        branch=ref,
        target=text_in(pull["base"], "ref"),
        head=text_in(head, "sha"),
        base=words_in(pull["base"], "sha") or None,
        author=account_of(pull["user"]),
        title=title if match is None else title[match.end() :],
        body=words_in(pull, "body"),
        draft=is_draft(pull),
        opened=time_in(pull, "created_at"),
        updated=time_in(pull, "updated_at"),
        url=text_in(pull, "html_url"),
        merged_commit=(words_in(pull, "merge_commit_sha") or None) if is_merged else None,
        merged=time_in(pull, "merged_at") if is_merged and pull.get("merged_at") else None,
        merged_by=account_of(merger) if is_merged and merger else None,
    )


def review_of(review: Any) -> HostedReview | None:
    """A review; a comment is none, nor one that is not sent yet or only asked for."""
    kind = _KINDS.get(text_in(review, "state"))
    if kind is None:
        return None
    is_dismissed, is_official = bool(review.get("dismissed")), bool(review.get("official"))
    return HostedReview(
        kind=kind,
        actor=account_of(review["user"]),
        head=words_in(review, "commit_id"),
        time=time_in(review, "submitted_at"),
        comment=words_in(review, "body"),
        stands=is_official and not is_dismissed,
        why_not=""
        if is_official or is_dismissed
        else "Gitea does not count it: the account may not approve here, said something else later, or was asked again",
    )


def commit_logins(commit: Any) -> list[str]:
    """Whose accounts made a commit, as far as the forge knows."""
    return [account_of(commit[role]).login for role in ("author", "committer") if commit.get(role)]
