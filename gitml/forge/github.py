"""GitHub and GitHub Enterprise, by PyGithub, which only this module and `github_replies` import.

Translates words and failures. PyGithub's own retries and pauses are off: what is repeated is for
:mod:`gitml.forge.patience` to say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from github import Auth, Github
from github.GithubException import GithubException
from github.GithubObject import NotSet
from github.IssueComment import IssueComment

from gitml.errors import InvalidInput, PolicyRefused
from gitml.forge.access import Access, owner_and_name
from gitml.forge.base import Capabilities, RequestState, ReviewKind
from gitml.forge.comments import Conversation, Remark
from gitml.forge.github_replies import (
    attempted,
    remark_of,
    request_of,
    review_of,
    said_by,
    state_of,
    text_of,
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

T = TypeVar("T")
_NAMED_STATE: Final = {RequestState.OPEN: "open", None: "all"}
_STATUS: Final = {CheckState.PENDING: "pending", CheckState.PASSED: "success", CheckState.FAILED: "failure"}
_MOST_STATUS_TEXT: Final = 140


def open_host(access: Access) -> GitHubHost:
    """The repository of a remote on GitHub."""
    # PyGithub logs what it sends and gets, where a program lets it.
    logging.getLogger("github.Requester").setLevel(logging.CRITICAL)
    return GitHubHost(access)


class GitHubHost:
    """One repository on GitHub."""

    kind = "github"
    capabilities = Capabilities(draft=True, reviewers=True, auto_merge=True)

    def __init__(self, access: Access) -> None:
        self._owner, name = owner_and_name(access.place)
        self._patience = access.patience
        self._page_size = access.page_size
        self._github = Github(
            base_url=access.api_url,
            auth=Auth.Token(access.token.value),
            timeout=int(access.timeout_s),
            per_page=access.page_size,
            user_agent="gitml",
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
            lazy=True,
        )
        self._repo = self._github.get_repo(f"{self._owner}/{name}")
        self._me: Account | None = None

    def me(self) -> Account:
        """See :meth:`gitml.forge.hosting.Host.me`."""
        if self._me is None:
            self._me = self._read("it could not be asked whose token this is", self._ask_me)
        return self._me

    def _ask_me(self) -> Account:
        user = self._github.get_user()
        return Account(login=text_of(user.login), name=user.name or user.login, email=user.email)

    # Requests ------------------------------------------------------------------------------------------------------

    def open(self, *, branch: str, target: str, title: str, body: str, draft: bool) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.open`."""

        def find() -> HostedRequest | None:
            return next(self.list(RequestState.OPEN, branch=branch, target=target), None)

        def attempt() -> HostedRequest:
            try:
                made = self._repo.create_pull(base=target, head=branch, title=title, body=body, draft=draft)
                return request_of(made)
            except GithubException as error:
                found = find() if error.status == 422 and "already exists" in said_by(error) else None
                if found is None:
                    raise
                return found

        return self._patience.write(
            f"no request from {branch} to {target} could be opened", attempted(attempt), find
        )

    def update(self, number: int, *, title: str, body: str) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.update`."""

        def attempt() -> HostedRequest:
            pull = self._repo.get_pull(number)
            pull.edit(title=title, body=body)
            return request_of(pull, with_merger=True)

        return self._read(f"request {number} could not be changed", attempt)

    def get(self, number: int) -> HostedRequest:
        """See :meth:`gitml.forge.hosting.Host.get`."""
        return self._read(
            f"request {number} could not be read",
            lambda: request_of(self._repo.get_pull(number), with_merger=True),
        )

    def list(
        self, state: RequestState | None = None, *, branch: str | None = None, target: str | None = None
    ) -> Iterator[HostedRequest]:
        """See :meth:`gitml.forge.hosting.Host.list`."""
        pulls = self._repo.get_pulls(
            state=_NAMED_STATE.get(state, "closed"),
            sort="created",
            direction="desc",
            base=target if target is not None else NotSet,
            head=f"{self._owner}:{branch}" if branch is not None else NotSet,
        )
        for found in self._pages("requests could not be listed", pulls, request_of):
            # GitHub ignores a filter that it does not understand, and gives everything.
            is_asked = branch in (None, found.branch) and target in (None, found.target)
            if is_asked and state in (None, found.state):
                yield found

    def close(self, number: int, comment: str | None) -> None:
        """See :meth:`gitml.forge.hosting.Host.close`."""

        def attempt() -> RequestState:
            pull = self._repo.get_pull(number)
            if state_of(pull) is RequestState.OPEN:
                pull.edit(state="closed")
            return state_of(pull)

        refuse_merged(number, self._read(f"request {number} could not be closed", attempt))
        if comment:
            self._conversation(number).say_once(comment)

    # What people say -----------------------------------------------------------------------------------------------

    def comment(self, number: int, marker: str, body: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.comment`."""
        self._conversation(number).keep(marker, body)

    def _conversation(self, number: int) -> Conversation[IssueComment]:
        def read() -> Iterator[Remark[IssueComment]]:
            pages = self._repo.get_issue(number).get_comments()
            return self._pages(f"comments of request {number} could not be read", pages, remark_of)

        def edit(comment: IssueComment, text: str) -> None:
            attempted(lambda: comment.edit(text))()

        def add(text: str) -> None:
            attempted(lambda: self._repo.get_issue(number).create_comment(text))()

        return Conversation(number=number, patience=self._patience, read=read, edit=edit, add=add)

    def set_status(self, commit: str, *, name: str, state: CheckState, text: str, url: str = "") -> None:
        """See :meth:`gitml.forge.hosting.Host.set_status`; said twice, the second one counts, and says the same."""

        def attempt() -> None:
            self._repo.get_commit(commit).create_status(
                state=_STATUS[state],
                context=name,
                description=text[:_MOST_STATUS_TEXT],
                target_url=url or NotSet,
            )

        self._read(f"the status {name} of {commit[:12]} could not be set", attempt)

    def reviews(self, number: int) -> tuple[HostedReview, ...]:
        """See :meth:`gitml.forge.hosting.Host.reviews`."""
        pages = self._repo.get_pull(number).get_reviews()
        found = self._pages(f"reviews of request {number} could not be read", pages, review_of)
        return tuple(review for review in found if review is not None)

    def authors(self, number: int) -> tuple[str, ...]:
        """See :meth:`gitml.forge.hosting.Host.authors`; GitHub tells the first 250 commits."""
        pages = self._repo.get_pull(number).get_commits()
        logins = {self.get(number).author.login}
        for commit in self._pages(f"commits of request {number} could not be read", pages, lambda one: one):
            logins.update(person.login for person in (commit.author, commit.committer) if person is not None)
        return tuple(sorted(logins))

    def approve(self, number: int, *, head: str, comment: str | None) -> None:
        """See :meth:`gitml.forge.hosting.Host.approve`."""
        self._say(number, head, "APPROVE", ReviewKind.APPROVED, comment or "")

    def reject(self, number: int, *, head: str, comment: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.reject`."""
        self._say(number, head, "REQUEST_CHANGES", ReviewKind.REJECTED, comment)

    def _say(self, number: int, head: str, event: str, kind: ReviewKind, comment: str) -> None:
        me = self.me()

        def attempt() -> bool:
            pull, commit = self._repo.get_pull(number), self._repo.get_commit(head)
            pull.create_review(commit=commit, body=comment or NotSet, event=event)
            return True

        def look() -> bool | None:
            mine = [one for one in self.reviews(number) if one.actor.login == me.login and one.head == head]
            return True if mine and mine[-1].kind is kind and mine[-1].stands else None

        self._patience.write(f"request {number} could not be reviewed", attempted(attempt), look)

    def ask(self, number: int, reviewers: Sequence[str]) -> None:
        """See :meth:`gitml.forge.hosting.Host.ask`; `ORGANISATION/TEAM` is a team."""
        teams = [name.partition("/")[2] for name in reviewers if "/" in name]
        people = [name for name in reviewers if "/" not in name]

        def attempt() -> None:
            self._repo.get_pull(number).create_review_request(
                reviewers=people or NotSet, team_reviewers=teams or NotSet
            )

        self._read(f"{', '.join(reviewers)} could not be asked to review request {number}", attempt)

    # Merging -------------------------------------------------------------------------------------------------------

    def merge(self, number: int, *, head: str, message: str) -> Merging:
        """See :meth:`gitml.forge.hosting.Host.merge`."""
        title, _, text = message.strip().partition("\n")

        def look() -> Merging | None:
            return merged_at(self.get(number), head)

        def attempt() -> Merging:
            try:
                self._repo.get_pull(number).merge(
                    commit_title=title, commit_message=text.strip(), merge_method="merge", sha=head
                )
            except GithubException as error:
                if error.status not in (405, 409):
                    raise
                said = said_by(error)
                is_stale = error.status == 409 or "was modified" in said
                outcome = MergeOutcome.STALE if is_stale else MergeOutcome.REFUSED
                return look() or Merging(outcome=outcome, said=said)
            return Merging(outcome=MergeOutcome.MERGED)

        return self._patience.write(f"request {number} could not be merged", attempted(attempt), look)

    def merge_when_allowed(self, number: int, *, head: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.merge_when_allowed`."""

        def attempt() -> None:
            pull = self._repo.get_pull(number)
            if pull.raw_data.get("auto_merge") is None and state_of(pull) is RequestState.OPEN:
                pull.enable_automerge(merge_method="MERGE", expected_head_oid=head)

        try:
            self._read(f"request {number} could not be set to merge by itself", attempt)
        except InvalidInput as error:
            raise PolicyRefused(
                error.message,
                code="auto-merge-refused",
                hint=f"allow auto-merge in the repository's settings, or: gitml pr merge {number}",
                context={"number": number},
            ) from error

    # Calls ---------------------------------------------------------------------------------------------------------

    def _read(self, what: str, attempt: Callable[[], T]) -> T:
        return self._patience.read(what, attempted(attempt))

    def _pages(self, what: str, pages: Any, translate: Callable[[Any], T]) -> Iterator[T]:
        """Everything in a list, a page at a time; what is translated is translated within the attempt."""
        number = 0
        while True:
            found = self._read(what, partial(_page, pages, number, translate))
            yield from found
            if len(found) < self._page_size:
                return
            number += 1


def _page(pages: Any, number: int, translate: Callable[[Any], T]) -> list[T]:
    return [translate(one) for one in pages.get_page(number)]
