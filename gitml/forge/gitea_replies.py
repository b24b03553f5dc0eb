"""What Gitea's API gives, in the words of the forge room; for :mod:`gitml.forge.gitea` alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from gitml.forge.base import RequestState, ReviewKind
from gitml.forge.hosting import Account, HostedRequest, HostedReview
from gitml.forge.rest import number_in, text_in

WIP: Final = "WIP: "
_WIP: Final = re.compile(r"(?:WIP:|\[WIP\])\s*", re.IGNORECASE)
EVENTS: Final = {ReviewKind.APPROVED: "APPROVED", ReviewKind.REJECTED: "REQUEST_CHANGES"}
_KINDS: Final = {event: kind for kind, event in EVENTS.items()}


def account_of(user: Any) -> Account:
    """A user; a deleted one is `Ghost`, as on the pages."""
    if user is None:
        return Account(login="Ghost", name="Ghost")
    login = text_in(user, "login")
    return Account(login=login, name=user.get("full_name") or login, email=user.get("email") or None)


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
    # Where the branch is gone, `ref` names what Gitea keeps of it.
    branch = head["label"] if text_in(head, "ref").startswith("refs/") and head["label"] else head["ref"]
    return HostedRequest(
        number=number_in(pull, "number"),
        state=state,
        branch=branch,
        target=text_in(pull["base"], "ref"),
        head=text_in(head, "sha"),
        base=pull["base"].get("sha") or None,
        author=account_of(pull["user"]),
        title=_WIP.sub("", pull["title"], count=1) if _WIP.match(pull["title"]) else pull["title"],
        body=pull.get("body") or "",
        draft=is_draft(pull),
        opened=_time(pull, "created_at"),
        updated=_time(pull, "updated_at"),
        url=text_in(pull, "html_url"),
        merged_commit=(pull.get("merge_commit_sha") or None) if is_merged else None,
        merged=_time(pull, "merged_at") if is_merged and pull.get("merged_at") else None,
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
        head=review.get("commit_id") or "",
        time=_time(review, "submitted_at"),
        comment=review.get("body") or "",
        stands=is_official and not is_dismissed,
        why_not=""
        if is_official or is_dismissed
        else "Gitea does not count it: the account may not approve here, said something else later, or was asked again",
    )


def commit_logins(commit: Any) -> list[str]:
    """Whose accounts made a commit, as far as the forge knows."""
    return [account_of(commit[role]).login for role in ("author", "committer") if commit.get(role)]


def _time(value: Any, key: str) -> datetime:
    return datetime.fromisoformat(text_in(value, key)).astimezone(UTC)
