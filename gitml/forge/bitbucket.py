"""Bitbucket Cloud, by the REST API, version 2.0. Bitbucket Data Center has another API, which is not spoken here.

Translates words and failures. What is Bitbucket's own: no merge can be told the head that it is meant for, so the head is
looked at right before and right after; opening a request a second time changes the first; approvals name no commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar
from urllib.parse import parse_qs, urlsplit

from gitml.errors import (
    Conflict,
    OutcomeUnknown,
    PolicyRefused,
    UsageError,
)
from gitml.forge.access import Access, host_of, owner_and_name
from gitml.forge.base import Capabilities, RequestState
from gitml.forge.bitbucket_replies import (
    NAMED_STATES,
    Json,
    account_of,
    accounts_of,
    authorization,
    hidden,
    is_at,
    key_of,
    quoted,
    remark_of,
    request_of,
    reviews_of,
    short_head,
    state_of,
)
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
from gitml.forge.rest import Rest, path_of, text_in

T = TypeVar("T")
Query = dict[str, str | int | bool | tuple[str, ...]]
API_HOST: Final = "api.bitbucket.org"
_HOSTS: Final = ("bitbucket.org", "altssh.bitbucket.org")
_STATUS: Final = {
    CheckState.PENDING: "INPROGRESS",
    CheckState.PASSED: "SUCCESSFUL",
    CheckState.FAILED: "FAILED",
}
_MOST_ON_A_PAGE: Final = 50
_MOST_COMMITS: Final = 100
_SHORT: Final = 12  # digits of a commit in a request
_MOST_STATUS_TEXT: Final = 250
_MOST_MERGING_S: Final = 60.0
_MERGED: Final = Merging(outcome=MergeOutcome.MERGED)


def open_host(access: Access) -> BitbucketHost:
    """The repository of a remote on Bitbucket Cloud.

    Raises:
        UsageError: The remote is on a host of one's own.
    """
    if host_of(access.api_url) == API_HOST and access.place.host not in _HOSTS:
        raise UsageError(
            f"{access.place.host} is not Bitbucket Cloud, and Bitbucket Data Center is not supported",
            code="no-forge-adapter",
            hint="forge: {kind: local} (in gitml.yaml)",
            context={"forge": "bitbucket", "host": access.place.host},
        )
    return BitbucketHost(access)


class BitbucketHost:
    """One repository on Bitbucket Cloud."""

    kind = "bitbucket"
    capabilities = Capabilities(draft=True, reviewers=True, longest_text=32_000, longest_comment=32_000)

    def __init__(self, access: Access) -> None:
        self._name = "/".join(owner_and_name(access.place))
        self._repo = path_of("repositories", *owner_and_name(access.place))
        self._rest = Rest(access, {"Authorization": authorization(access.token)})
        self._patience = access.patience
        self._page_size = min(access.page_size, _MOST_ON_A_PAGE)
        self._me: Account | None = None
        self._commits: dict[str, Json] = {}
        self._history: Iterator[Sequence[Json]] = iter(())

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
        said = {
            "title": title,
            "description": hidden(body),
            "source": {"branch": {"name": branch}},
            "destination": {"branch": {"name": target}},
            "close_source_branch": False,
            "draft": draft,
        }

        def find() -> HostedRequest | None:
            return next(self.list(RequestState.OPEN, branch=branch, target=target), None)

        def attempt() -> HostedRequest:
            # To open it again would change the title and the text of the one that is open.
            return find() or self._request(self._call("POST", "pullrequests", body=said))

        return self._rest.write(f"no request from {branch} to {target} could be opened", attempt, find)

    def update(self, number: int, *, title: str, body: str) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.update`."""
        return self._rest.read(
            f"request {number} could not be changed",
            lambda: self._request(
                self._change(self._pull(number), {"title": title, "description": hidden(body)})
            ),
        )

    def get(self, number: int) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.get`."""
        return self._rest.read(
            f"request {number} could not be read", lambda: self._request(self._pull(number))
        )

    def list(
        self, state: RequestState | None = None, *, branch: str | None = None, target: str | None = None
    ) -> Iterator[HostedRequest]:
        """See :meth:`gitml.forge.hosting.Host.list`."""
        query: Query = {"state": NAMED_STATES[state], "sort": "-id"}
        names = {"source": branch, "destination": target}
        wanted = [f"{side}.branch.name = {quoted(name)}" for side, name in names.items() if name is not None]
        if wanted:
            query["q"] = " AND ".join(wanted)
        if state is RequestState.MERGED and target is not None:
            self._history = self._bunches(target)
        return self._pages(
            "requests could not be listed", "pullrequests", translate=self._request, query=query
        )

    def close(self, number: int, comment: str | None) -> None:
        """See :meth:`gitml.forge.hosting.Host.close`."""

        def attempt() -> RequestState:
            state = state_of(self._pull(number))
            if state is RequestState.OPEN:
                return state_of(self._call("POST", "pullrequests", number, "decline", body={}))
            return state

        refuse_merged(number, self._rest.read(f"request {number} could not be closed", attempt))
        if comment:
            self._conversation(number).say_once(comment)

    # What people say -----------------------------------------------------------------------------------------------

    def comment(self, number: int, marker: str, body: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.comment`."""
        self._conversation(number).keep(marker, body)

    def _conversation(self, number: int) -> Conversation[int]:
        path = ("pullrequests", number, "comments")

        def read() -> Iterator[Remark[int]]:
            what = f"comments of request {number} could not be read"
            return filter(None, self._pages(what, *path, translate=remark_of))

        def edit(comment: int, text: str) -> None:
            self._call("PUT", *path, comment, body={"content": {"raw": hidden(text)}})

        def add(text: str) -> None:
            self._call("POST", *path, body={"content": {"raw": hidden(text)}})

        return Conversation(number=number, patience=self._patience, read=read, edit=edit, add=add)

    def set_status(self, commit: str, *, name: str, state: CheckState, text: str, url: str = "") -> None:
        """See :meth:`gitml.forge.hosting.Host.set_status`; a status has to lead somewhere, else to the commit."""
        body = {
            "key": name,
            "name": name,
            "state": _STATUS[state],
            "description": text[:_MOST_STATUS_TEXT],
            "url": url or f"https://bitbucket.org/{self._name}/commits/{commit}",
        }
        self._rest.read(
            f"the status {name} of {commit[:12]} could not be set",
            lambda: self._call("POST", "commit", commit, "statuses", "build", body=body),
        )

    def reviews(self, number: int) -> tuple[HostedReview, ...]:
        """See :meth:`gitml.forge.hosting.Host.reviews`."""
        what = f"reviews of request {number} could not be read"
        pull = self._rest.read(what, lambda: self._pull(number))
        activity = list(self._pages(what, "pullrequests", number, "activity", translate=lambda one: one))
        return self._rest.read(what, lambda: reviews_of(pull, activity, self._commit))

    def authors(self, number: int) -> tuple[str, ...]:
        """See :meth:`gitml.forge.hosting.Host.authors`."""
        what = f"commits of request {number} could not be read"
        logins = {self._rest.read(what, lambda: account_of(self._pull(number).get("author"))).login}
        for accounts in self._pages(what, "pullrequests", number, "commits", translate=accounts_of):
            logins.update(account.login for account in accounts)
        return tuple(sorted(logins))

    def approve(self, number: int, *, head: str, comment: str | None) -> None:
        """See :meth:`gitml.forge.hosting.Host.approve`."""
        self._vote(number, head, "approved", "approve")
        if comment:
            self._conversation(number).say_once(comment)

    def reject(self, number: int, *, head: str, comment: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.reject`."""
        self._vote(number, head, "changes_requested", "request-changes")
        self._conversation(number).say_once(comment)

    def _vote(self, number: int, head: str, state: str, verb: str) -> None:
        """Vote on a head; a vote that fell on another one, since Bitbucket asks for none, is taken back."""
        me = self.me()

        def attempt() -> bool:
            pull = self._pull(number)
            if not is_at(pull, head):
                return False
            mine = [one for one in pull["participants"] if key_of(one["user"]) == me.login]
            if mine and mine[0].get("state") == state:
                said = [one for one in self.reviews(number) if one.stands and one.actor.login == me.login]
                if any(one.head == head for one in said):
                    return True
                # It is of an older head, and the same again is refused.
                self._call("DELETE", "pullrequests", number, verb)
            self._call("POST", "pullrequests", number, verb, body={})
            if is_at(self._pull(number), head):
                return True
            self._call("DELETE", "pullrequests", number, verb)
            return False

        if not self._rest.read(f"request {number} could not be reviewed", attempt):
            raise changed_meanwhile(number)

    def ask(self, number: int, reviewers: Sequence[str]) -> None:
        """See :meth:`gitml.forge.hosting.Host.ask`; by the identifiers of accounts, since names are not unique."""

        def attempt() -> None:
            pull = self._pull(number)
            there = {key_of(one) for one in pull.get("reviewers") or ()}
            wanted = [name for name in reviewers if name not in there]
            if wanted:
                more = [{"uuid" if name.startswith("{") else "account_id": name} for name in wanted]
                self._change(pull, {"title": pull["title"]}, more)

        self._rest.read(f"{', '.join(reviewers)} could not be asked to review request {number}", attempt)

    # Merging -------------------------------------------------------------------------------------------------------

    def merge(self, number: int, *, head: str, message: str) -> Merging:
        """See :meth:`gitml.forge.hosting.Host.merge`."""
        said = {
            "type": "pullrequest_merge_parameters",
            "message": message,
            "merge_strategy": "merge_commit",
            "close_source_branch": False,
        }

        def look() -> Merging | None:
            pull = self._pull(number)
            if state_of(pull) is RequestState.OPEN and is_at(pull, head):
                return None
            if state_of(pull) is RequestState.MERGED and is_at(pull, head):
                return _MERGED
            return Merging(outcome=MergeOutcome.STALE, said=f"it is {pull['state']} at {short_head(pull)}")

        def attempt() -> Merging:
            done = look()
            if done is not None:
                return done
            try:
                answer = self._rest.call("POST", self._path("pullrequests", number, "merge"), body=said)
                if answer.status == 202:
                    self._await(number, text_in(answer.headers, "location"))
            except Failed as failed:
                done = look()
                if done is not None:
                    return done
                if failed.status == 409:
                    return Merging(outcome=MergeOutcome.STALE, said=failed.said)
                if failed.status == 400 or (failed.status == 403 and "merge check" in failed.said.casefold()):
                    return Merging(outcome=MergeOutcome.REFUSED, said=failed.said)
                raise
            return self._judged(number, head)

        return self._rest.write(f"request {number} could not be merged", attempt, look)

    def _judged(self, number: int, head: str) -> Merging:
        """What a merge came to; one of a head that was pushed in that very moment is told, since it is done."""
        pull = self._pull(number)
        if not is_at(pull, head):
            raise Conflict(
                f"request {number} was merged at {short_head(pull)}, which was pushed in the very moment of the merge, "
                f"and not at {head[:12]}",
                code="merged-another-head",
                hint="gitml verify --history STAGE, and gitml rollback where that is wrong",
                context={"number": number, "head": short_head(pull)},
            )
        return _MERGED

    def _await(self, number: int, location: str) -> None:
        """Wait for a merge that takes its time; its failure is raised as that of a call."""
        task = urlsplit(location).path.rpartition("/")[2]
        for _ in self._patience.pauses(_MOST_MERGING_S):
            found = self._call("GET", "pullrequests", number, "merge", "task-status", task)
            if text_in(found, "task_status") != "PENDING":
                return
        raise OutcomeUnknown(
            f"request {number} is being merged, and was not within {_MOST_MERGING_S:.0f} s",
            code="forge-outcome-unknown",
            hint=f"gitml pr show {number}; then run it again",
            context={"number": number},
        )

    def merge_when_allowed(self, number: int, *, head: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.merge_when_allowed`; Bitbucket's API has no such thing."""
        raise PolicyRefused(
            f"Bitbucket does not merge request {number} by itself",
            code="auto-merge-refused",
            hint=f"gitml pr merge {number}",
            context={"number": number},
        )

    # Calls ---------------------------------------------------------------------------------------------------------

    def _path(self, *parts: str | int) -> str:
        return self._repo + path_of(*parts)

    def _call(self, method: str, *parts: str | int, body: Json | None = None) -> Json:
        found: Json = self._rest.call(method, self._path(*parts), body=body).body
        return found

    def _pull(self, number: int) -> Json:
        return self._call("GET", "pullrequests", number)

    def _change(self, pull: Json, said: Json, more: Sequence[Json] = ()) -> Json:
        """Change a request; its reviewers are said again, since they are replaced."""
        reviewers = [*({"uuid": one["uuid"]} for one in pull.get("reviewers") or ()), *more]
        return self._call("PUT", "pullrequests", pull["id"], body={**said, "reviewers": reviewers})

    def _request(self, pull: Json) -> HostedRequest:
        return request_of(pull, self._commit)

    def _commit(self, name: str) -> Json:
        """A commit by the beginning of its name; one that is gone has no more than that."""
        if name not in self._commits:
            # Of merged requests, the next ones are mostly in the same bunch: a hundred calls become one.
            self._commits.update((text_in(one, "hash")[:_SHORT], one) for one in next(self._history, ()))
        if name not in self._commits:
            try:
                self._commits[name] = self._call("GET", "commit", name)
            except Failed as failed:
                if failed.status != 404:
                    raise
                return {"hash": name, "date": "1970-01-01T00:00:00+00:00"}
        return self._commits[name]

    def _bunches(self, branch: str) -> Iterator[Sequence[Json]]:
        """Commits of a branch, newest first, many at once; none where they cannot be had so."""
        number = 0
        while True:
            number += 1
            query = {"pagelen": _MOST_COMMITS, "page": number}
            try:
                body = self._rest.call("GET", self._path("commits", branch), query=query).body
            except Failed:
                return
            yield list(body["values"])
            if not body.get("next"):
                return

    def _pages(
        self, what: str, *parts: str | int, translate: Callable[[Json], T], query: Query | None = None
    ) -> Iterator[T]:
        """Everything in a list, a page at a time; a page names the next one, of which the query is followed."""
        place: Query = {**(query or {}), "pagelen": self._page_size}

        def attempt() -> tuple[list[T], str]:
            body = self._rest.call("GET", self._path(*parts), query=place).body
            return [translate(one) for one in body["values"]], text_in(body, "next") if body.get(
                "next"
            ) else ""

        while True:
            found, following = self._rest.read(what, attempt)
            yield from found
            if not following:
                return
            place = {key: tuple(values) for key, values in parse_qs(urlsplit(following).query).items()}
