"""Azure DevOps Services and Server, by the REST API, version 7.1.

Translates words and failures. What is Azure DevOps' own: a merge is a completion that is queued, with the head as its
lease; a vote names no commit; the text of a request has at most 4,000 characters, and lists cut it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from gitml.errors import NotFound, OutcomeUnknown, PolicyRefused
from gitml.forge.access import Access
from gitml.forge.azure_devops_calls import Calls, Json
from gitml.forge.azure_devops_replies import (
    HEADS,
    account_of,
    head_of,
    names_of_identity,
    remarks_of,
    request_of,
    reviews_of,
    state_of,
)
from gitml.forge.base import Capabilities, RequestState
from gitml.forge.comments import Conversation, Remark
from gitml.forge.hosting import (
    Account,
    CheckState,
    HostedRequest,
    HostedReview,
    MergeOutcome,
    Merging,
    changed_meanwhile,
    refuse_merged,
)
from gitml.forge.patience import Failed
from gitml.forge.rest import text_in

_NAMED_STATE: Final = {
    RequestState.OPEN: "active",
    RequestState.MERGED: "completed",
    RequestState.CLOSED: "abandoned",
    None: "all",
}
_STATUS: Final = {
    CheckState.PENDING: "pending",
    CheckState.PASSED: "succeeded",
    CheckState.FAILED: "failed",
}
_LISTED_TEXT: Final = 400  # how much of a request's text lists tell
_MOST_STATUS_TEXT: Final = 250
_MERGED: Final = Merging(outcome=MergeOutcome.MERGED)
_MOST_COMPLETING_S: Final = 60.0
_UNMERGED: Final = {
    "conflicts": "it conflicts with its target",
    "rejectedByPolicy": "the policies of its target are not satisfied",
    "failure": "the merge failed",
}


def open_host(access: Access) -> AzureDevOpsHost:
    """The repository of a remote on Azure DevOps."""
    return AzureDevOpsHost(access)


class AzureDevOpsHost:
    """One repository on Azure DevOps."""

    kind = "azure_devops"
    capabilities = Capabilities(draft=True, reviewers=True, auto_merge=True, longest_text=4000)

    def __init__(self, access: Access) -> None:
        self._calls = Calls(access)
        self._rest = self._calls.rest
        self._patience = access.patience
        self._my_id: str | None = None
        self._me: Account | None = None

    def me(self) -> Account:
        """See :meth:`gitml.forge.hosting.Host.me`."""
        if self._me is None:
            self._my_id, self._me = self._rest.read("it could not be asked whose token this is", self._ask_me)
        return self._me

    def _ask_me(self) -> tuple[str, Account]:
        user = self._calls.connection()["authenticatedUser"]
        name = ((user.get("properties") or {}).get("Account") or {}).get("$value")
        shown = user.get("customDisplayName") or user.get("providerDisplayName")
        identity = {"id": text_in(user, "id"), "uniqueName": name, "displayName": shown}
        return identity["id"], account_of(identity)

    # Requests ------------------------------------------------------------------------------------------------------

    def open(self, *, branch: str, target: str, title: str, body: str, draft: bool) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.open`."""
        said = {
            "sourceRefName": HEADS + branch,
            "targetRefName": HEADS + target,
            "title": title,
            "description": body,
            "isDraft": draft,
        }

        def find() -> HostedRequest | None:
            return next(self.list(RequestState.OPEN, branch=branch, target=target), None)

        def attempt() -> HostedRequest:
            try:
                return self._request(self._calls.call("POST", "pullrequests", body=said))
            except Failed as failed:
                found = find() if failed.status == 409 else None  # one is open for these two branches
                if found is None:
                    raise
                return found

        return self._rest.write(f"no request from {branch} to {target} could be opened", attempt, find)

    def update(self, number: int, *, title: str, body: str) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.update`."""
        return self._rest.read(
            f"request {number} could not be changed",
            lambda: self._request(self._calls.change(number, {"title": title, "description": body})),
        )

    def get(self, number: int) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.get`."""
        return self._rest.read(
            f"request {number} could not be read", lambda: self._request(self._calls.pull(number))
        )

    def list(
        self, state: RequestState | None = None, *, branch: str | None = None, target: str | None = None
    ) -> Iterator[HostedRequest]:
        """See :meth:`gitml.forge.hosting.Host.list`."""
        query = {"searchCriteria.status": _NAMED_STATE[state]}
        if branch is not None:
            query["searchCriteria.sourceRefName"] = HEADS + branch
        if target is not None:
            query["searchCriteria.targetRefName"] = HEADS + target
        what = "requests could not be listed"
        for pull in self._calls.requests(what, query):
            if len(pull.get("description") or "") >= _LISTED_TEXT:
                yield self.get(pull["pullRequestId"])
            else:
                yield self._rest.read(what, lambda pull=pull: self._request(pull))  # type: ignore[misc]

    def close(self, number: int, comment: str | None) -> None:
        """See :meth:`gitml.forge.hosting.Host.close`."""

        def attempt() -> RequestState:
            state = state_of(self._calls.pull(number))
            if state is RequestState.OPEN:
                return state_of(self._calls.change(number, {"status": "abandoned"}))
            return state

        refuse_merged(number, self._rest.read(f"request {number} could not be closed", attempt))
        if comment:
            self._conversation(number).say_once(comment)

    # What people say -----------------------------------------------------------------------------------------------

    def comment(self, number: int, marker: str, body: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.comment`."""
        self._conversation(number).keep(marker, body)

    def _conversation(self, number: int, *, status: str = "closed") -> Conversation[tuple[int, int]]:
        """The threads of people; a new one that is not closed can hold up the completion."""
        threads = ("pullRequests", number, "threads")

        def read() -> Iterator[Remark[tuple[int, int]]]:
            what = f"comments of request {number} could not be read"
            yield from self._rest.read(what, lambda: remarks_of(self._calls.threads(number)))

        def edit(handle: tuple[int, int], text: str) -> None:
            thread, comment = handle
            self._calls.call("PATCH", *threads, thread, "comments", comment, body={"content": text})

        def add(text: str) -> None:
            comment = {"parentCommentId": 0, "content": text, "commentType": "text"}
            self._calls.call("POST", *threads, body={"comments": [comment], "status": status})

        return Conversation(number=number, patience=self._patience, read=read, edit=edit, add=add)

    def set_status(self, commit: str, *, name: str, state: CheckState, text: str, url: str = "") -> None:
        """See :meth:`gitml.forge.hosting.Host.set_status`; said twice, the second one counts, and says the same."""
        genre, _, short = name.rpartition("/")
        body = {
            "state": _STATUS[state],
            "description": text[:_MOST_STATUS_TEXT],
            "context": {"name": short, "genre": genre or "gitml"},
        }
        if url:
            body["targetUrl"] = url
        self._rest.read(
            f"the status {name} of {commit[:12]} could not be set",
            lambda: self._calls.call("POST", "commits", commit, "statuses", body=body),
        )

    def reviews(self, number: int) -> tuple[HostedReview, ...]:
        """See :meth:`gitml.forge.hosting.Host.reviews`."""
        return self._rest.read(
            f"reviews of request {number} could not be read", lambda: self._reviews(number)
        )

    def _reviews(self, number: int) -> tuple[HostedReview, ...]:
        calls = self._calls
        return reviews_of(calls.pull(number), calls.threads(number), calls.iterations(number))

    def authors(self, number: int) -> tuple[str, ...]:
        """See :meth:`gitml.forge.hosting.Host.authors`: who opened it, who pushed, and the addresses of its commits."""
        what = f"commits of request {number} could not be read"

        def attempt() -> set[str]:
            opener = self._calls.pull(number)["createdBy"]
            pushers = [one["author"] for one in self._calls.iterations(number) if one.get("author")]
            return {account_of(identity).login for identity in (opener, *pushers)}

        found = self._rest.read(what, attempt)
        for commit in self._calls.commits(what, number):
            people = (commit.get("author") or {}, commit.get("committer") or {})
            found.update(person["email"] for person in people if person.get("email"))
        return tuple(sorted(found))

    def approve(self, number: int, *, head: str, comment: str | None) -> None:
        """See :meth:`gitml.forge.hosting.Host.approve`."""
        self._vote(number, head, 10)
        if comment:
            self._conversation(number).say_once(comment)

    def reject(self, number: int, *, head: str, comment: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.reject`."""
        self._vote(number, head, -10)
        self._conversation(number, status="active").say_once(comment)

    def _vote(self, number: int, head: str, vote: int) -> None:
        """Vote on a head; a vote that fell on another one, since Azure DevOps asks for none, is taken back."""
        self.me()
        path = ("pullRequests", number, "reviewers", self._my_id or "")

        def attempt() -> bool:
            pull = self._calls.pull(number)
            if head_of(pull) != head:
                return False
            voters = pull.get("reviewers") or ()
            if any(one["id"] == self._my_id and one.get("vote") == vote for one in voters):
                if any(_is_said(one, self.me(), head) for one in self._reviews(number)):
                    return True
                # It is of an older head, and the same vote again is not noted.
                self._calls.call("PUT", *path, body={"vote": 0})
            self._calls.call("PUT", *path, body={"vote": vote})
            if head_of(self._calls.pull(number)) == head:
                return True
            self._calls.call("PUT", *path, body={"vote": 0})
            return False

        if not self._rest.read(f"request {number} could not be reviewed", attempt):
            raise changed_meanwhile(number)

    def ask(self, number: int, reviewers: Sequence[str]) -> None:
        """See :meth:`gitml.forge.hosting.Host.ask`."""
        what = f"{', '.join(reviewers)} could not be asked to review request {number}"
        wanted = [self._rest.read(what, lambda name=name: self._id_of(name)) for name in reviewers]  # type: ignore[misc]

        def attempt() -> None:
            there = {one["id"] for one in self._calls.pull(number).get("reviewers") or ()}
            for identity in wanted:
                if identity not in there:  # asking again would take a vote back
                    self._calls.call("PUT", "pullRequests", number, "reviewers", identity, body={"vote": 0})

        self._rest.read(what, attempt)

    def _id_of(self, name: str) -> str:
        """The identity that a login means."""
        exact = [one for one in self._calls.identities(name) if name.casefold() in names_of_identity(one)]
        if len(exact) != 1:
            raise NotFound(
                f"{len(exact) or 'no'} identities of this organisation are called {name!r}",
                code="reviewer-not-found",
                hint="name a reviewer by the address that they sign in with",
                context={"reviewer": name},
            )
        return text_in(exact[0], "id")

    # Merging -------------------------------------------------------------------------------------------------------

    def merge(self, number: int, *, head: str, message: str) -> Merging:
        """See :meth:`gitml.forge.hosting.Host.merge`; a completion is queued, and then waited for."""
        said = {
            "status": "completed",
            "lastMergeSourceCommit": {"commitId": head},
            "completionOptions": _options(message),
        }

        def look() -> Merging | None:
            return self._completed(number, head, waits_when_ready=False)

        def attempt() -> Merging:
            done = look()
            if done is not None:
                return done
            try:
                self._calls.change(number, said)
            except Failed as failed:
                pull = self._calls.pull(number)
                if _is_merged(pull, head):
                    return _MERGED
                if head_of(pull) != head:
                    return Merging(outcome=MergeOutcome.STALE, said=failed.said)
                if failed.status in (400, 409) or (
                    failed.status == 403 and "polic" in failed.said.casefold()
                ):
                    return Merging(outcome=MergeOutcome.REFUSED, said=failed.said)
                raise
            return self._completed(number, head, waits_when_ready=True) or self._never_completed(number)

        return self._rest.write(f"request {number} could not be merged", attempt, look)

    def _completed(self, number: int, head: str, *, waits_when_ready: bool) -> Merging | None:
        """How a completion ended; None where none is under way, or it did not end within a minute."""
        for _ in self._patience.pauses(_MOST_COMPLETING_S):
            pull = self._calls.pull(number)
            if _is_merged(pull, head):
                return _MERGED
            if head_of(pull) != head or state_of(pull) is not RequestState.OPEN:
                return Merging(
                    outcome=MergeOutcome.STALE, said=f"it is {pull['status']}, at another head or closed"
                )
            status = pull.get("mergeStatus")
            if status in _UNMERGED and waits_when_ready:
                return Merging(
                    outcome=MergeOutcome.REFUSED, said=pull.get("mergeFailureMessage") or _UNMERGED[status]
                )
            if status != "queued" and not waits_when_ready:
                return None
        return None

    def _never_completed(self, number: int) -> Merging:
        if self._calls.pull(number).get("mergeStatus") == "queued":
            raise OutcomeUnknown(
                f"request {number} is to be completed, and was not within {_MOST_COMPLETING_S:.0f} s",
                code="forge-outcome-unknown",
                hint=f"gitml pr show {number}; then run it again",
                context={"number": number},
            )
        return Merging(
            outcome=MergeOutcome.REFUSED, said="it was not completed; its page says what is missing"
        )

    def merge_when_allowed(self, number: int, *, head: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.merge_when_allowed`."""
        self.me()

        def attempt() -> bool:
            pull = self._calls.pull(number)
            if state_of(pull) is not RequestState.OPEN or head_of(pull) != head:
                return False
            if not pull.get("autoCompleteSetBy"):
                message = f"Merged PR {number}: {pull['title']}"
                said = {"autoCompleteSetBy": {"id": self._my_id}, "completionOptions": _options(message)}
                self._calls.change(number, said)
            return True

        if not self._rest.read(f"request {number} could not be set to merge by itself", attempt):
            raise PolicyRefused(
                f"request {number} is not open at {head[:12]} any more",
                code="auto-merge-refused",
                hint=f"gitml pr show {number}",
                context={"number": number},
            )

    def _request(self, pull: Json) -> HostedRequest:
        return request_of(pull, self._calls.page)


def _is_said(review: HostedReview, by: Account, head: str) -> bool:
    return review.stands and review.head == head and review.actor.login == by.login


def _options(message: str) -> dict[str, Any]:
    return {
        "mergeStrategy": "noFastForward",
        "mergeCommitMessage": message,
        "deleteSourceBranch": False,
        "bypassPolicy": False,
    }


def _is_merged(pull: Json, head: str) -> bool:
    return state_of(pull) is RequestState.MERGED and head_of(pull) == head
