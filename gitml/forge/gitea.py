"""Gitea and Forgejo, by their REST API, version 1.

Translates words and failures. What the API has no field for stands in texts: a draft's title begins with `WIP: `.
Source: the description that each server has at `/api/swagger`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from gitml.errors import InvalidInput, PolicyRefused
from gitml.forge.access import Access, owner_and_name
from gitml.forge.base import Capabilities, RequestState, ReviewKind
from gitml.forge.comments import Conversation, Remark
from gitml.forge.gitea_replies import (
    EVENTS,
    WIP,
    account_of,
    commit_logins,
    has_head,
    is_draft,
    is_from_here,
    request_of,
    review_of,
    state_of,
)
from gitml.forge.hosting import (
    Account,
    CheckState,
    HostedRequest,
    HostedReview,
    MergeOutcome,
    Merging,
    merged_at,
    refuse_merged,
)
from gitml.forge.patience import Failed
from gitml.forge.rest import Answer, Rest, attempted, items_of, number_in, path_of, text_in

T = TypeVar("T")
_NAMED_STATE: Final = {RequestState.OPEN: "open", None: "all"}
_STATUS: Final = {CheckState.PENDING: "pending", CheckState.PASSED: "success", CheckState.FAILED: "failure"}
_LATER: Final = "try again later"
_MOST_LATER: Final = 4
_MOVED: Final = ("head out of date", "push out of date")


def open_host(access: Access) -> GiteaHost:
    """The repository of a remote on Gitea or Forgejo."""
    return GiteaHost(access)


class GiteaHost:
    """One repository on Gitea or Forgejo."""

    kind = "gitea"
    capabilities = Capabilities(draft=True, reviewers=True, auto_merge=True)

    def __init__(self, access: Access) -> None:
        self._repo = path_of("repos", *owner_and_name(access.place))
        self._rest = Rest(access, {"Authorization": f"token {access.token.value}"})
        self._patience = access.patience
        self._page_size = access.page_size
        self._me: Account | None = None

    def me(self) -> Account:
        """See :meth:`gitml.forge.hosting.Host.me`."""
        if self._me is None:
            self._me = self._rest.read(
                "it could not be asked whose token this is",
                lambda: account_of(self._rest.call("GET", "/user").body),
            )
        return self._me

    # Requests ------------------------------------------------------------------------------------------------------

    def open(self, *, branch: str, target: str, title: str, body: str, draft: bool) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.open`."""
        said = {"head": branch, "base": target, "title": WIP + title if draft else title, "body": body}

        def find() -> HostedRequest | None:
            return next(self.list(RequestState.OPEN, branch=branch, target=target), None)

        def attempt() -> HostedRequest:
            try:
                return request_of(self._call("POST", "/pulls", body=said).body)
            except Failed as failed:
                found = find() if failed.status == 409 else None
                if found is None:
                    raise
                return found

        return self._rest.write(f"no request from {branch} to {target} could be opened", attempt, find)

    def update(self, number: int, *, title: str, body: str) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.update`; a draft stays one."""

        def attempt() -> HostedRequest:
            kept = WIP if is_draft(self._pull(number)) else ""
            return request_of(self._edited(number, title=kept + title, body=body))

        return self._rest.read(f"request {number} could not be changed", attempt)

    def get(self, number: int) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.get`."""
        return self._rest.read(f"request {number} could not be read", lambda: request_of(self._pull(number)))

    def list(
        self, state: RequestState | None = None, *, branch: str | None = None, target: str | None = None
    ) -> Iterator[HostedRequest]:
        """See :meth:`gitml.forge.hosting.Host.list`; Gitea has no filter by branch, and of old none by target."""

        def translate(pull: Any) -> HostedRequest | None:
            # A fork may have a branch of the same name.
            is_meant = has_head(pull) and (branch is None or is_from_here(pull))
            return request_of(pull) if is_meant else None

        query = {"state": _NAMED_STATE.get(state, "closed")}
        if target is not None:
            query["base_branch"] = target
        for found in self._pages("requests could not be listed", "/pulls", translate, query):
            if found is None or branch not in (None, found.branch) or target not in (None, found.target):
                continue
            if state in (None, found.state):
                yield found

    def close(self, number: int, comment: str | None) -> None:
        """See :meth:`gitml.forge.hosting.Host.close`."""

        def attempt() -> RequestState:
            pull = self._pull(number)
            return state_of(
                self._edited(number, state="closed") if state_of(pull) is RequestState.OPEN else pull
            )

        refuse_merged(number, self._rest.read(f"request {number} could not be closed", attempt))
        if comment:
            self._conversation(number).say_once(comment)

    def _pull(self, number: int) -> Any:
        return self._call("GET", f"/pulls/{number}").body

    def _edited(self, number: int, **words: str) -> Any:
        return self._call("PATCH", f"/pulls/{number}", body=words).body

    # What people say -----------------------------------------------------------------------------------------------

    def comment(self, number: int, marker: str, body: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.comment`."""
        self._conversation(number).keep(marker, body)

    def _conversation(self, number: int) -> Conversation[int]:
        path = f"/issues/{number}/comments"

        def read() -> Iterator[Remark[int]]:
            def attempt() -> list[Remark[int]]:
                return [
                    Remark(handle=number_in(one, "id"), body=one["body"])
                    for one in items_of(self._call("GET", path).body)
                ]

            yield from self._rest.read(f"comments of request {number} could not be read", attempt)

        def edit(comment: int, text: str) -> None:
            attempted(
                lambda: text_in(
                    self._call("PATCH", f"/issues/comments/{comment}", body={"body": text}).body, "body"
                )
            )()

        def add(text: str) -> None:
            attempted(lambda: number_in(self._call("POST", path, body={"body": text}).body, "id"))()

        return Conversation(number=number, patience=self._patience, read=read, edit=edit, add=add)

    def set_status(self, commit: str, *, name: str, state: CheckState, text: str, url: str = "") -> None:
        """See :meth:`gitml.forge.hosting.Host.set_status`; said twice, the second one counts, and says the same."""
        said = {"context": name, "state": _STATUS[state], "description": text, "target_url": url}
        self._rest.read(
            f"the status {name} of {commit[:12]} could not be set",
            lambda: number_in(self._call("POST", f"/statuses/{commit}", body=said).body, "id"),
        )

    def reviews(self, number: int) -> tuple[HostedReview, ...]:
        """See :meth:`gitml.forge.hosting.Host.reviews`.

        Of a person's words Gitea calls one official: the last one, where the person may approve. It stands last here,
        since a review that was begun before another one and sent after it keeps its place and time.
        """
        found = [one for one in self._reviews(number, review_of) if one is not None]
        return tuple(sorted(found, key=lambda review: (review.stands, review.time)))

    def _reviews(self, number: int, translate: Callable[[Any], T]) -> Iterator[T]:
        return self._pages(
            f"reviews of request {number} could not be read", f"/pulls/{number}/reviews", translate
        )

    def authors(self, number: int) -> tuple[str, ...]:
        """See :meth:`gitml.forge.hosting.Host.authors`."""
        logins = {self.get(number).author.login}
        what = f"commits of request {number} could not be read"
        for found in self._pages(what, f"/pulls/{number}/commits", commit_logins):
            logins.update(found)
        return tuple(sorted(logins))

    def approve(self, number: int, *, head: str, comment: str | None) -> None:
        """See :meth:`gitml.forge.hosting.Host.approve`."""
        self._say(number, head, ReviewKind.APPROVED, comment or "")

    def reject(self, number: int, *, head: str, comment: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.reject`."""
        self._say(number, head, ReviewKind.REJECTED, comment)

    def _say(self, number: int, head: str, kind: ReviewKind, comment: str) -> None:
        me, event = self.me(), EVENTS[kind]
        said = {"event": event, "commit_id": head, "body": comment}

        def attempt() -> bool:
            number_in(self._call("POST", f"/pulls/{number}/reviews", body=said).body, "id")
            return True

        def look() -> bool | None:
            for review in self._reviews(number, lambda one: one):
                is_same = review.get("state") == event and review.get("commit_id") == head
                is_mine = account_of(review.get("user")).login == me.login
                if is_mine and is_same and not review.get("dismissed"):
                    return True
            return None

        self._rest.write(f"request {number} could not be reviewed", attempt, look)

    def ask(self, number: int, reviewers: Sequence[str]) -> None:
        """See :meth:`gitml.forge.hosting.Host.ask`; `ORGANISATION/TEAM` is a team.

        Who has reviewed the head is not asked again: Gitea would count that review no more.
        """
        head = self.get(number).head
        done = {one.actor.login for one in self.reviews(number) if one.stands and one.head == head}
        said = {
            "reviewers": [name for name in reviewers if "/" not in name and name not in done],
            "team_reviewers": [name.partition("/")[2] for name in reviewers if "/" in name],
        }
        if any(said.values()):
            self._rest.read(
                f"{', '.join(reviewers)} could not be asked to review request {number}",
                lambda: self._call("POST", f"/pulls/{number}/requested_reviewers", body=said),
            )

    # Merging -------------------------------------------------------------------------------------------------------

    def merge(self, number: int, *, head: str, message: str) -> Merging:
        """See :meth:`gitml.forge.hosting.Host.merge`.

        After a push Gitea looks first whether it can merge, and says till then that it is to be asked later; so it does
        where it cannot.
        """
        title, _, text = message.strip().partition("\n")
        said = {
            "Do": "merge",
            "MergeTitleField": title,
            "MergeMessageField": text.strip(),
            "head_commit_id": head,
        }
        later = iter(range(_MOST_LATER))

        def look() -> Merging | None:
            return merged_at(self.get(number), head)

        def attempt() -> Merging:
            try:
                self._call("POST", f"/pulls/{number}/merge", body=said)
            except Failed as failed:
                if failed.status not in (405, 409):
                    raise
                if _LATER in failed.said and next(later, None) is not None:
                    raise Failed(503, failed.said, sent=False) from failed
                is_stale = failed.status == 409 and any(word in failed.said for word in _MOVED)
                outcome = MergeOutcome.STALE if is_stale else MergeOutcome.REFUSED
                return look() or Merging(outcome=outcome, said=failed.said)
            return look() or Merging(outcome=MergeOutcome.REFUSED, said="it said yes and merged nothing")

        return self._rest.write(f"request {number} could not be merged", attempt, look)

    def merge_when_allowed(self, number: int, *, head: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.merge_when_allowed`; Gitea itself does not compare the head."""
        said = {"Do": "merge", "head_commit_id": head, "merge_when_checks_succeed": True}

        def attempt() -> None:
            pull = request_of(self._pull(number))
            if pull.state is not RequestState.OPEN:
                return
            if pull.head != head:
                raise Failed(409, "the head is another one")
            try:
                self._call("POST", f"/pulls/{number}/merge", body=said)
            except Failed as failed:
                if failed.status != 409:  # that it waits for the checks already
                    raise

        try:
            self._rest.read(f"request {number} could not be set to merge by itself", attempt)
        except InvalidInput as error:
            raise PolicyRefused(
                error.message,
                code="auto-merge-refused",
                hint=f"gitml pr merge {number}",
                context={"number": number},
            ) from error

    # Calls ---------------------------------------------------------------------------------------------------------

    def _call(self, method: str, path: str, **rest: Any) -> Answer:
        return self._rest.call(method, self._repo + path, **rest)

    def _pages(
        self,
        what: str,
        path: str,
        translate: Callable[[Any], T],
        query: Mapping[str, str] | None = None,
    ) -> Iterator[T]:
        """Everything in a list, a page at a time; a server may give fewer at once than it is asked for."""
        number, seen = 1, 0
        while True:
            asked = {**(query or {}), "page": str(number), "limit": str(self._page_size)}
            found, total = self._rest.read(what, partial(self._page, path, asked, translate))
            yield from found
            number, seen = number + 1, seen + len(found)
            if not found or (total.isdecimal() and seen >= int(total)):
                return

    def _page(
        self, path: str, query: Mapping[str, str], translate: Callable[[Any], T]
    ) -> tuple[Sequence[T], str]:
        answer = self._call("GET", path, query=query)
        return [translate(one) for one in items_of(answer.body)], answer.headers.get("x-total-count", "")
