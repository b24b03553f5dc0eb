"""What Bitbucket Cloud replies, in the words of the forge room; for :mod:`gitml.forge.bitbucket` alone.

Two of its ways are undone here. Markdown there shows HTML comments to people, so that what is hidden is written as a link
definition that nothing refers to. And requests name commits by twelve digits.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from gitml.forge import votes
from gitml.forge.access import Token
from gitml.forge.base import RequestState, ReviewKind
from gitml.forge.comments import Remark
from gitml.forge.hosting import Account, HostedRequest, HostedReview
from gitml.forge.rest import number_in, text_in
from gitml.forge.votes import Push, Vote, Voter

Json = Mapping[str, Any]
_STATES: Final = {
    "OPEN": RequestState.OPEN,
    "MERGED": RequestState.MERGED,
    "DECLINED": RequestState.CLOSED,
    "SUPERSEDED": RequestState.CLOSED,
}
NAMED_STATES: Final = {
    RequestState.OPEN: ("OPEN",),
    RequestState.MERGED: ("MERGED",),
    RequestState.CLOSED: ("DECLINED", "SUPERSEDED"),
    None: ("OPEN", "MERGED", "DECLINED", "SUPERSEDED"),
}
_KINDS: Final = {"approved": ReviewKind.APPROVED, "changes_requested": ReviewKind.REJECTED}
_EVENTS: Final = {"approval": ReviewKind.APPROVED, "changes_requested": ReviewKind.REJECTED}
_HTML: Final = re.compile(r"^<!-- (.*) -->[ \t]*$", re.MULTILINE)
_LINK: Final = re.compile(r"^\[//\]: # \((.*)\)[ \t]*\r?$", re.MULTILINE)


def hidden(text: str) -> str:
    """A text as Bitbucket hides what an HTML comment hides. Law: `shown(hidden(t)) == t` for texts that GitML writes."""
    return _HTML.sub(lambda found: f"[//]: # ({_escaped(found[1])})", text)


def shown(text: str) -> str:
    """A text of Bitbucket with HTML comments."""
    return _LINK.sub(lambda found: f"<!-- {_unescaped(found[1])} -->", text)


def _escaped(text: str) -> str:
    return text.replace("(", "\\u0028").replace(")", "\\u0029")


def _unescaped(text: str) -> str:
    return text.replace("\\u0028", "(").replace("\\u0029", ")")


def authorization(token: Token) -> str:
    """An access token is a bearer; an API token or app password is the password of somebody, who is named with it."""
    if token.user is not None and token.user != "x-token-auth":
        pair = f"{token.user}:{token.value}"
    elif ":" in token.value:
        pair = token.value
    else:
        return f"Bearer {token.value}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def state_of(pull: Json) -> RequestState:
    """Where a request stands."""
    return _STATES[text_in(pull, "state")]


def is_at(pull: Json, head: str) -> bool:
    """Whether a request is at a head."""
    return head.startswith(short_head(pull))


def short_head(pull: Json) -> str:
    """The beginning of its newest commit."""
    return text_in(pull["source"]["commit"], "hash")


def key_of(user: Json) -> str:
    """What is unique of an account; names that people see are not."""
    return user.get("account_id") or text_in(user, "uuid")


def account_of(user: Json | None) -> Account:
    """An account; Bitbucket tells no addresses, and a deleted one not even that it was."""
    if user is None:
        return Account(login="nobody", name="a deleted account")
    login = key_of(user)
    return Account(login=login, name=user.get("display_name") or user.get("nickname") or login)


def accounts_of(commit: Json) -> Sequence[Account]:
    """Accounts that a commit is of, as far as Bitbucket knows them by its addresses."""
    people = [(commit.get(role) or {}).get("user") for role in ("author", "committer")]
    return [account_of(user) for user in people if user]


def remark_of(comment: Json) -> Remark[int] | None:
    """A comment that has a text."""
    raw = comment["content"].get("raw")
    if comment.get("deleted") or not isinstance(raw, str):
        return None
    return Remark(handle=number_in(comment, "id"), body=shown(raw))


def request_of(pull: Json, commit: Callable[[str], Json]) -> HostedRequest:
    """A request.

    Args:
        pull: The reply.
        commit: Finds a commit by the beginning of its name.
    """
    state, short = state_of(pull), short_head(pull)
    merge = None
    if state is RequestState.MERGED and pull.get("merge_commit"):
        merge = commit(text_in(pull["merge_commit"], "hash"))
    parents = [text_in(parent, "hash") for parent in (merge or {}).get("parents", ())]
    head = next((parent for parent in parents[1:] if parent.startswith(short)), None)
    target = pull["destination"].get("commit")
    merged = None
    if state is RequestState.MERGED:
        merged = time_of(text_in(merge, "date") if merge else text_in(pull, "updated_on"))
    return HostedRequest(
        number=number_in(pull, "id"),
        state=state,
        branch=text_in(pull["source"]["branch"], "name"),
        target=text_in(pull["destination"]["branch"], "name"),
        head=head or text_in(commit(short), "hash"),
        base=text_in(commit(text_in(target, "hash")), "hash")
        if target and state is RequestState.OPEN
        else None,
        author=account_of(pull.get("author")),
        title=text_in(pull, "title"),
        body=shown(pull.get("description") or ""),
        draft=bool(pull.get("draft")),
        opened=time_of(text_in(pull, "created_on")),
        updated=time_of(text_in(pull, "updated_on")),
        url=text_in(pull["links"]["html"], "href"),
        merged_commit=text_in(merge, "hash") if merge else None,
        merged=merged,
        merged_by=account_of(pull.get("closed_by")) if merged is not None else None,
    )


def reviews_of(
    pull: Json, activity: Sequence[Json], commit: Callable[[str], Json]
) -> tuple[HostedReview, ...]:
    """Approvals and wishes for changes, from the record of what happened and from what they are now."""
    head = text_in(commit(short_head(pull)), "hash")
    pushes, cast = [], []
    for entry in activity:
        if "update" in entry:
            short = text_in(entry["update"]["source"]["commit"], "hash")
            time = time_of(text_in(entry["update"], "date"))
            pushes.append(Push(time=time, head=text_in(commit(short), "hash")))
        for name, kind in _EVENTS.items():
            if name in entry:
                said = entry[name]
                cast.append(Vote(time=time_of(text_in(said, "date")), who=key_of(said["user"]), kind=kind))
    now = {
        key_of(one["user"]): Voter(account=account_of(one["user"]), kind=_KINDS.get(one.get("state") or ""))
        for one in pull["participants"]
    }
    return votes.reviews_of(cast, pushes, now, head=head, opened=time_of(text_in(pull, "created_on")))


def time_of(text: str) -> datetime:
    """A time."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def quoted(name: str) -> str:
    """A text in a filter."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
