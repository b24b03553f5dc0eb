"""GitLab, by python-gitlab, which only this module's own rooms import.

Translates words and failures. python-gitlab's own retries and pauses are off: what is repeated is for
:mod:`gitml.forge.patience` to say. Two things the REST API does not have are asked for by GraphQL: whose accounts made
the commits, and to request changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from gitml.errors import AccessDenied, InvalidInput, NotFound, PolicyRefused
from gitml.forge.access import Access
from gitml.forge.base import Capabilities, RequestState, ReviewKind
from gitml.forge.comments import Conversation, Remark
from gitml.forge.gitlab_calls import Calls, is_of_job, with_right
from gitml.forge.gitlab_replies import (
    account_of,
    arrival_of,
    has_head,
    is_from_here,
    request_of,
    reviews_of,
    state_of,
    tried,
)
from gitml.forge.gitlab_text import DRAFT, shown, written
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
from gitml.forge.rest import items_of, number_in, text_in

T = TypeVar("T")
_NAMED_STATE: Final = {
    RequestState.OPEN: "opened",
    RequestState.MERGED: "merged",
    RequestState.CLOSED: "closed",
    None: "all",
}
_STATUS: Final = {CheckState.PENDING: "pending", CheckState.PASSED: "success", CheckState.FAILED: "failed"}
_MOST_STATUS_TEXT: Final = 255
# While it looks whether it can merge; and that it can, where it found that just after it refused.
_BUSY: Final = frozenset({"checking", "unchecked", "preparing", "approvals_syncing", "mergeable"})
_MOST_BUSY: Final = 4
_JOB_RIGHTS: Final = "to be a person's, a project's or a group's, with the scope api: GITLAB_TOKEN"
_AUTHORS: Final = """query($project: ID!, $iid: String!, $after: String) {
  project(fullPath: $project) { mergeRequest(iid: $iid) {
    committers { nodes { username } }
    commits(first: 100, after: $after) { nodes { author { username } } pageInfo { hasNextPage endCursor } }
  } }
}"""
_REJECT: Final = """mutation($project: ID!, $iid: String!) {
  mergeRequestRequestChanges(input: {projectPath: $project, iid: $iid}) { errors }
}"""


def open_host(access: Access) -> GitLabHost:
    """The project of a remote on GitLab.

    Raises:
        AccessDenied: The token is a CI job's, and GitLab does not let it see merge requests.
    """
    if not is_of_job(access.token):
        return GitLabHost(access)
    access.patience.words = replace(access.patience.words, rights=_JOB_RIGHTS)
    host = GitLabHost(access)
    try:
        next(host.list(RequestState.OPEN), None)
    except (AccessDenied, NotFound) as error:
        raise AccessDenied(
            "GitLab does not let the token of a CI job see merge requests",
            code="no-forge-token",
            hint="give the job GITLAB_TOKEN, a project access token with the scope api, as a masked variable",
        ) from error
    return host


class GitLabHost:
    """One project on GitLab."""

    kind = "gitlab"
    capabilities = Capabilities(draft=True, reviewers=True, auto_merge=True)

    def __init__(self, access: Access) -> None:
        self._calls, self._patience = Calls(access), access.patience
        self._project, self._read = self._calls.project, self._calls.read
        self._me: tuple[int, Account] | None = None

    def me(self) -> Account:
        """See :meth:`gitml.forge.hosting.Host.me`; a job's token is that of who started the job."""
        return self._ask_me()[1]

    def _ask_me(self) -> tuple[int, Account]:
        def attempt() -> tuple[int, Account]:
            found: Any = self._calls.gitlab.http_get("/job" if self._calls.is_of_job else "/user")
            user = found["user"] if self._calls.is_of_job else found
            return number_in(user, "id"), account_of(user)

        if self._me is None:
            self._me = self._read("it could not be asked whose token this is", attempt)
        return self._me

    # Requests ------------------------------------------------------------------------------------------------------

    def open(self, *, branch: str, target: str, title: str, body: str, draft: bool) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.open`."""
        said = {
            "source_branch": branch,
            "target_branch": target,
            "title": DRAFT + title if draft else title,
            "description": written(body),
        }

        def find() -> HostedRequest | None:
            return next(self.list(RequestState.OPEN, branch=branch, target=target), None)

        def attempt() -> HostedRequest:
            try:
                return request_of(self._project.mergerequests.create(said).attributes)
            except Failed as failed:
                found = find() if failed.status == 409 else None
                if found is None:
                    raise
                return found

        return self._patience.write(
            f"no request from {branch} to {target} could be opened", tried(attempt), find
        )

    def update(self, number: int, *, title: str, body: str) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.update`; a draft stays one."""

        def attempt() -> HostedRequest:
            kept = DRAFT if request_of(self._calls.pull(number)).draft else ""
            return request_of(self._calls.edited(number, title=kept + title, description=written(body)))

        return self._read(f"request {number} could not be changed", attempt)

    def get(self, number: int) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.get`."""
        return self._read(f"request {number} could not be read", lambda: request_of(self._calls.pull(number)))

    def list(
        self, state: RequestState | None = None, *, branch: str | None = None, target: str | None = None
    ) -> Iterator[HostedRequest]:
        """See :meth:`gitml.forge.hosting.Host.list`."""
        asked = {"state": _NAMED_STATE[state], "order_by": "created_at", "sort": "desc"}
        asked |= {"source_branch": branch} if branch is not None else {}
        asked |= {"target_branch": target} if target is not None else {}

        def translate(pull: Any) -> HostedRequest | None:
            # A fork may have a branch of the same name.
            is_meant = has_head(pull) and (branch is None or is_from_here(pull))
            return request_of(pull) if is_meant else None

        page = partial(self._project.mergerequests.list, **asked)
        for found in self._calls.pages("requests could not be listed", page, translate):
            if found is not None and state in (None, found.state):
                yield found

    def close(self, number: int, comment: str | None) -> None:
        """See :meth:`gitml.forge.hosting.Host.close`."""

        def attempt() -> RequestState:
            pull = self._calls.pull(number)
            is_open = state_of(pull) is RequestState.OPEN
            return state_of(self._calls.edited(number, state_event="close") if is_open else pull)

        refuse_merged(number, self._read(f"request {number} could not be closed", attempt))
        if comment:
            self._conversation(number).say_once(comment)

    # What people say -----------------------------------------------------------------------------------------------

    def comment(self, number: int, marker: str, body: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.comment`."""
        self._conversation(number).keep(marker, body)

    def _conversation(self, number: int) -> Conversation[int]:
        notes = self._calls.lazy(number).notes

        def read() -> Iterator[Remark[int]]:
            for note in self._notes(number):
                if not note.get("system"):
                    yield Remark(handle=number_in(note, "id"), body=shown(note["body"]))

        def edit(note: int, text: str) -> None:
            tried(lambda: text_in(notes.update(note, {"body": written(text)}), "body"))()

        def add(text: str) -> None:
            tried(lambda: number_in(notes.create({"body": written(text)}).attributes, "id"))()

        return Conversation(number=number, patience=self._patience, read=read, edit=edit, add=add)

    def _notes(self, number: int) -> Iterator[Mapping[str, Any]]:
        page = partial(self._calls.lazy(number).notes.list, order_by="created_at", sort="asc")
        return self._calls.pages(f"comments of request {number} could not be read", page, lambda note: note)

    def set_status(self, commit: str, *, name: str, state: CheckState, text: str, url: str = "") -> None:
        """See :meth:`gitml.forge.hosting.Host.set_status`; what is said already, GitLab does not take again."""
        said = {"name": name, "state": _STATUS[state], "description": text[:_MOST_STATUS_TEXT]}
        said |= {"target_url": url} if url else {}

        def attempt() -> None:
            try:
                self._project.commits.get(commit, lazy=True).statuses.create(said)
            except Failed as failed:
                if failed.status != 400 or "Cannot transition status" not in failed.said:
                    raise

        self._read(f"the status {name} of {commit[:12]} could not be set", attempt)

    def reviews(self, number: int) -> tuple[HostedReview, ...]:
        """See :meth:`gitml.forge.hosting.Host.reviews`."""
        what, pull = f"reviews of request {number} could not be read", self._calls.lazy(number)
        approvals = self._read(what, lambda: self._approvals(number))
        reviewers = [*self._calls.pages(what, pull.reviewer_details.list, lambda one: one)]
        # Read last: a head that came in between makes an approval one of the head before it.
        arrivals = [*self._calls.pages(what, pull.diffs.list, arrival_of)]
        return self._read(
            what, lambda: reviews_of(arrivals, approvals, reviewers, lambda: self._notes(number))
        )

    def _approvals(self, number: int) -> Sequence[Any]:
        return items_of(self._calls.lazy(number).approvals.get().attributes["approved_by"])

    def authors(self, number: int) -> tuple[str, ...]:
        """See :meth:`gitml.forge.hosting.Host.authors`."""
        logins, after = {self.get(number).author.login}, None
        while True:

            def attempt(after: str | None = after) -> tuple[set[str], str | None]:
                pull = self._calls.graphql(_AUTHORS, number, after=after)["project"]["mergeRequest"]
                commits = pull["commits"]
                people = [*pull["committers"]["nodes"], *(one["author"] for one in commits["nodes"])]
                found = {account_of(person).login for person in people if person is not None}
                page = commits["pageInfo"]
                return found, text_in(page, "endCursor") if page["hasNextPage"] else None

            found, after = self._read(f"commits of request {number} could not be read", attempt)
            logins |= found
            if after is None:
                return tuple(sorted(logins))

    def approve(self, number: int, *, head: str, comment: str | None) -> None:
        """See :meth:`gitml.forge.hosting.Host.approve`; an approval of an older head is taken back first."""
        mine = self.me().login

        def attempt() -> bool:
            if mine in [account_of(one["user"]).login for one in self._approvals(number)]:
                self._calls.lazy(number).unapprove()
            with_right(lambda: self._calls.lazy(number).approve(sha=head))
            return True

        self._patience.write(
            f"request {number} could not be approved",
            tried(attempt),
            partial(self._has_said, number, ReviewKind.APPROVED, mine, head),
        )
        if comment:
            self._conversation(number).say_once(comment)

    def reject(self, number: int, *, head: str, comment: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.reject`; only who is a reviewer can."""
        (my_id, me), what = self._ask_me(), f"changes of request {number} could not be requested"
        self._read(what, lambda: self._with_reviewers(number, [my_id]))

        def attempt() -> bool:
            if request_of(self._calls.pull(number)).head != head:
                raise Failed(409, "the head is another one")
            refused = self._calls.graphql(_REJECT, number)["mergeRequestRequestChanges"]["errors"]
            if refused:
                raise Failed(422, "; ".join(map(str, refused)))
            return True

        look = partial(self._has_said, number, ReviewKind.REJECTED, me.login, head)
        self._patience.write(what, tried(attempt), look)
        self._conversation(number).say_once(comment)

    def _has_said(self, number: int, kind: ReviewKind, login: str, head: str) -> bool | None:
        said = [(one.kind, one.actor.login, one.head) for one in self.reviews(number)]
        return True if (kind, login, head) in said else None

    def ask(self, number: int, reviewers: Sequence[str]) -> None:
        """See :meth:`gitml.forge.hosting.Host.ask`; GitLab asks people, not groups."""
        what = f"{', '.join(reviewers)} could not be asked to review request {number}"
        wanted = [self._read(what, partial(self._user_id, name)) for name in reviewers]
        self._read(what, lambda: self._with_reviewers(number, wanted))

    def _user_id(self, login: str) -> int:
        found = self._calls.gitlab.users.list(username=login, page=1, per_page=1, get_all=False)
        if not found:
            raise Failed(404, f"no user {login}")
        return number_in(found[0].attributes, "id")

    def _with_reviewers(self, number: int, wanted: Sequence[int]) -> None:
        """Add reviewers to those that are there; without a licence GitLab keeps one, and does not say so."""
        there = [number_in(one, "id") for one in self._calls.pull(number)["reviewers"]]
        missing = [one for one in wanted if one not in there]
        if not missing:
            return
        kept = self._calls.edited(number, reviewer_ids=[*there, *missing])["reviewers"]
        if {*wanted} - {number_in(one, "id") for one in kept}:
            raise Failed(422, "GitLab keeps one reviewer: more of them need a licence of it")

    # Merging -------------------------------------------------------------------------------------------------------

    def merge(self, number: int, *, head: str, message: str) -> Merging:
        """See :meth:`gitml.forge.hosting.Host.merge`.

        After a push GitLab looks first whether it can merge, and refuses till then; a merge that failed is answered
        with the request as it stays.
        """
        busy = iter(range(_MOST_BUSY))

        def look() -> Merging | None:
            return merged_at(self.get(number), head)

        def attempt() -> Merging:
            against = self._makes_no_merge_commit()
            if against is not None:
                return look() or Merging(outcome=MergeOutcome.REFUSED, said=against)
            words = {"merge_commit_message": message, "sha": head, "squash": False}
            try:
                done = with_right(lambda: self._calls.lazy(number).merge(**words))
            except Failed as failed:
                if failed.status == 409:
                    return look() or Merging(outcome=MergeOutcome.STALE, said=failed.said)
                if failed.status not in (405, 406, 422):
                    raise
                why = str(self._calls.pull(number).get("detailed_merge_status") or "")
                if why in _BUSY and next(busy, None) is not None:
                    raise Failed(503, failed.said, sent=False) from failed
                said = f"{failed.said} {why.replace('_', ' ')}".strip()
                return look() or Merging(outcome=MergeOutcome.REFUSED, said=said)
            if state_of(done) is RequestState.MERGED:
                return Merging(outcome=MergeOutcome.MERGED)
            return Merging(outcome=MergeOutcome.REFUSED, said=str(done.get("merge_error") or ""))

        return self._patience.write(f"request {number} could not be merged", tried(attempt), look)

    def _makes_no_merge_commit(self) -> str | None:
        """What in the project's settings stands against a merge commit of the head itself."""
        project = self._calls.settings()
        if project.get("merge_method") == "ff":
            return "the project merges by fast-forward, without a merge commit"
        return "the project squashes" if project.get("squash_option") == "always" else None

    def merge_when_allowed(self, number: int, *, head: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.merge_when_allowed`."""

        def attempt() -> None:
            pull = self._calls.pull(number)
            if state_of(pull) is RequestState.OPEN and not pull.get("merge_when_pipeline_succeeds"):
                words = {"merge_when_pipeline_succeeds": True, "sha": head, "squash": False}
                with_right(lambda: self._calls.lazy(number).merge(**words))

        try:
            self._read(f"request {number} could not be set to merge by itself", attempt)
        except InvalidInput as error:
            raise PolicyRefused(
                error.message,
                code="auto-merge-refused",
                hint=f"if there is nothing to wait for: gitml pr merge {number}",
                context={"number": number},
            ) from error
