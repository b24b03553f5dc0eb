"""Requests on a hosted forge, in the shape of those of any forge.

The forge keeps requests and reviews and makes the merge; git carries the commits. Of a request GitML itself says two
things, in its branch's name and in a hidden line of its text: which assets were asked for, and from where. Both are
only ever used to find a request again, never to judge it.

People are known by their logins here: the "e-mail address" of an author or reviewer is the login on that forge, which
is what a policy names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from gitml.errors import Conflict, GitMLError, NotFound, PolicyRefused, UsageError
from gitml.forge import hosted_text
from gitml.forge.base import Capabilities, Draft, Landing, Opened, Request, RequestState, Review
from gitml.forge.hosting import Account, Host, HostedRequest, MergeOutcome
from gitml.forge.local import STATES, must_be_open
from gitml.forge.people import Authors, identity, read_reviews
from gitml.forge.shared import HEADS, Moved, RefMove, Shared
from gitml.git.racing import Race
from gitml.git.repository import Repository
from gitml.git.types import Commit
from gitml.model.progress import SILENT, Progress
from gitml.model.typed import check_text


class HostedForge:
    """Keeper of requests on a hosted forge.

    Args:
        host: The forge's API.
        shared: The repository there, by git.
    """

    def __init__(self, host: Host, shared: Shared, *, progress: Progress = SILENT) -> None:
        self.host = host
        self._shared = shared
        self._repo: Repository = shared.repo
        self._progress = progress
        self._chains: dict[str, dict[str, Commit]] = {}

    @property
    def kind(self) -> str:
        """See :attr:`gitml.forge.base.Forge.kind`."""
        return self.host.kind

    @property
    def capabilities(self) -> Capabilities:
        """See :attr:`gitml.forge.base.Forge.capabilities`."""
        return replace(self.host.capabilities, makes_merges=True)

    @property
    def shared(self) -> Shared:
        """See :attr:`gitml.forge.base.Forge.shared`."""
        return self._shared

    def refresh(self) -> None:
        """See :meth:`gitml.forge.base.Forge.refresh`; what the forge itself keeps is always asked for."""
        self._shared.refresh()
        self._chains.clear()

    def branch(self, name: str) -> str | None:
        """See :meth:`gitml.forge.base.Forge.branch`."""
        return self._shared.branch(name)

    # Reading -------------------------------------------------------------------------------------------------------

    def get(self, number: int) -> Request:
        """See :meth:`gitml.forge.base.Forge.get`."""
        return self._request(self._get(number), with_reviews=True)

    def _get(self, number: int) -> HostedRequest:
        try:
            return self.host.get(number)
        except NotFound as error:
            raise NotFound(
                error.message, code="request-not-found", hint=error.hint, context={"number": number}
            ) from error

    def list(self, state: str = "open") -> tuple[Request, ...]:
        """See :meth:`gitml.forge.base.Forge.list`; reviews are read of open requests alone."""
        if state not in STATES:
            raise UsageError(
                f"{state!r} is no state of a request", code="bad-state", hint=f"one of {', '.join(STATES)}"
            )
        found = []
        for hosted in self.host.list(STATES[state]):
            request = self._request(hosted, with_reviews=hosted.state is RequestState.OPEN)
            if state != "rejected" or request.rejections:
                found.append(request)
        return tuple(found)

    def merged_requests(self, target: str) -> Sequence[Request]:
        """See :meth:`gitml.forge.base.Forge.merged_requests`."""
        hosted = self._merged(target)
        self._bring([one.head for one in hosted])
        return [self._request(one, with_reviews=True) for one in hosted]

    def oldest_merge(self, target: str, chain: Sequence[Commit]) -> Request | None:
        """See :meth:`gitml.forge.base.Forge.oldest_merge`; reviews would cost a call for each."""
        made = {}
        for hosted in self._merged(target):
            merge = self._merge_of(hosted)
            if merge is not None:
                made[merge.oid] = hosted
        oldest = next((made[commit.oid] for commit in reversed(chain) if commit.oid in made), None)
        return None if oldest is None else self._request(oldest, with_reviews=False)

    def _merged(self, target: str) -> Sequence[HostedRequest]:
        return sorted(self.host.list(RequestState.MERGED, target=target), key=lambda one: one.number)

    def find_open(self, source: str, target: str, refs: Sequence[str]) -> Request | None:
        """See :meth:`gitml.forge.base.Forge.find_open`."""
        found = self._find_open(hosted_text.branch_of(source, target, refs), target)
        return None if found is None else self._request(found, with_reviews=True)

    def _find_open(self, branch: str, target: str) -> HostedRequest | None:
        return next(self.host.list(RequestState.OPEN, branch=branch, target=target), None)

    def find_by_head(self, head: str, target: str | None = None) -> Request | None:
        """See :meth:`gitml.forge.base.Forge.find_by_head`."""
        for hosted in self.host.list(RequestState.OPEN, target=target):
            if hosted.head == head:
                return self._request(hosted, with_reviews=True)
        return None

    def _request(self, hosted: HostedRequest, *, with_reviews: bool) -> Request:
        body, source, refs = hosted_text.read_body(hosted.body)
        merge = self._merge_of(hosted)
        authors = self._authors(hosted, merge, asks=with_reviews)
        return Request(
            number=hosted.number,
            state=hosted.state,
            source=source or hosted.branch,
            target=hosted.target,
            head=hosted.head,
            base=self._base(hosted, merge),
            refs=refs,
            author=identity(hosted.author),
            title=" ".join(hosted.title.split()),
            body=body,
            opened=hosted.opened,
            updated=hosted.updated,
            merged_commit=merge.oid if merge else None,
            merged=hosted.merged,
            merged_by=identity(hosted.merged_by) if hosted.merged_by else None,
            reviews=read_reviews(self.host.reviews(hosted.number), hosted.head, authors)
            if with_reviews
            else (),
            authors=authors.names,
        )

    def _base(self, hosted: HostedRequest, merge: Commit | None) -> str:
        if merge is not None and merge.parents:
            return merge.parents[0]
        return hosted.base or self._shared.branch(hosted.target) or ""

    def _merge_of(self, hosted: HostedRequest) -> Commit | None:
        """The merge commit, where it is on the target's first-parent chain; what the forge says alone is no proof."""
        if hosted.state is not RequestState.MERGED or hosted.merged_commit is None:
            return None
        if hosted.target not in self._chains:
            tip = self._shared.branch(hosted.target)
            chain = self._repo.first_parents(tip) if tip else ()
            self._chains[hosted.target] = {commit.oid: commit for commit in chain}
        return self._chains[hosted.target].get(hosted.merged_commit)

    def _authors(self, hosted: HostedRequest, merge: Commit | None, *, asks: bool) -> Authors:
        """Whoever cannot approve: who opened it, and who made a commit that it brings."""
        logins = {hosted.author.login}
        emails = {hosted.author.email} if hosted.author.email else set()
        if asks:
            logins.update(self.host.authors(hosted.number))
            emails.update(self._emails(hosted, merge))
        return Authors.of(logins, emails)

    def _emails(self, hosted: HostedRequest, merge: Commit | None) -> Iterable[str]:
        if self._repo.resolve(hosted.head) is None:
            self._bring([hosted.head])
            if self._repo.resolve(hosted.head) is None:
                if hosted.state is RequestState.OPEN:
                    raise NotFound(
                        f"commit {hosted.head[:12]}, the head of request {hosted.number}, cannot be fetched",
                        code="head-not-here",
                        hint=f"git fetch {self._shared.remote}; then run it again",
                        context={"number": hosted.number, "head": hosted.head},
                    )
                return []
        base = merge.parents[0] if merge is not None and merge.parents else self._shared.branch(hosted.target)
        commits = self._repo.between(base, hosted.head)
        return [person.email for commit in commits for person in (commit.author, commit.committer)]

    def _bring(self, heads: Sequence[str]) -> None:
        """Fetch commits that no branch has any more; a forge that does not give them is no obstacle."""
        missing = sorted({head for head in heads if self._repo.resolve(head) is None})
        if missing and self._shared.remote is not None:
            with suppress(GitMLError):
                self._repo.fetch(self._shared.remote, missing)

    # Opening -------------------------------------------------------------------------------------------------------

    def open_or_update(
        self, draft: Draft, *, proposes: Callable[[Request], bool] = lambda _: False
    ) -> Opened:
        """See :meth:`gitml.forge.base.Forge.open_or_update`."""
        check_text(draft.title, draft.body, most_bytes=hosted_text.MAX_TEXT_BYTES)
        branch = hosted_text.branch_of(draft.source, draft.target, draft.refs)
        longest = self.host.capabilities.longest_text
        body = hosted_text.write_body(draft.body, draft.source, draft.refs, longest=longest)
        race = Race(f"move {branch}")
        for attempt in race.attempts():
            if attempt:
                self.refresh()
            hosted = self._find_open(branch, draft.target)
            keeps = hosted is not None and self._keeps(hosted, draft, proposes)
            if keeps or self._push(draft, branch) is Moved.DONE:
                opened = self._opened(draft, branch, body, hosted, moved=not keeps)
                return replace(opened, retries=race.retries)
        raise race.lost(said=self._shared.lost)

    def _keeps(self, hosted: HostedRequest, draft: Draft, proposes: Callable[[Request], bool]) -> bool:
        """Whether the open request's head comes to the same already, so that its reviews stay."""
        return hosted.head == draft.head or proposes(self._request(hosted, with_reviews=False))

    def _push(self, draft: Draft, branch: str) -> Moved:
        """Bring the head to its branch, and the target into being where it is not."""
        if self._shared.branch(draft.target) is None:
            # Whoever comes second finds it made: a request needs it to be there, and no more.
            birth = RefMove(ref=HEADS + draft.target, new=draft.base, old=None)
            if self._shared.move([birth]) is Moved.STALE:
                return Moved.STALE
        move = RefMove(ref=HEADS + branch, new=draft.head, old=self._shared.branch(branch))
        return Moved.DONE if move.new == move.old else self._shared.move([move])

    def _opened(
        self, draft: Draft, branch: str, body: str, found: HostedRequest | None, *, moved: bool
    ) -> Opened:
        if found is None:
            hosted = self.host.open(
                branch=branch, target=draft.target, title=draft.title, body=body, draft=draft.is_draft
            )
        else:
            hosted = found
        if draft.reviewers:
            self.host.ask(hosted.number, draft.reviewers)
        said = (hosted.title, hosted.body.replace("\r\n", "\n").strip())
        stays = draft.may_stay and found is not None and not moved and hosted.base == draft.base
        says_other = not stays and said != (draft.title, body.strip())
        if says_other:
            hosted = self.host.update(hosted.number, title=draft.title, body=body)
        if draft.auto_merge:
            self.host.merge_when_allowed(hosted.number, head=draft.head if moved else hosted.head)
        request = self.get(hosted.number)
        return Opened(
            request=request,
            created=found is None,
            updated=found is not None and (moved or says_other),
        )

    # Saying --------------------------------------------------------------------------------------------------------

    def approve(self, number: int, comment: str | None = None, *, dry_run: bool = False) -> Request:
        """See :meth:`gitml.forge.base.Forge.approve`."""
        check_text(comment, most_bytes=hosted_text.MAX_TEXT_BYTES)
        request, me = self._to_review(number)
        hosted = self._get(number)
        if self._authors(hosted, None, asks=True).include(me):
            raise PolicyRefused(
                f"request {number} is {me.login}'s own work, and somebody else has to approve it",
                code="self-approval",
                hint=f"ask a colleague to run: gitml pr approve {number}",
                context={"number": number, "authors": list(request.authors)},
            )
        if not dry_run and not _said(request.approvals, me):
            self.host.approve(number, head=request.head, comment=comment)
        return self._reviewed(number, request.head)

    def reject(self, number: int, comment: str, *, dry_run: bool = False) -> Request:
        """See :meth:`gitml.forge.base.Forge.reject`."""
        if not comment.strip():
            raise UsageError(
                f"a rejection of request {number} needs a reason",
                code="no-reason",
                hint=f"gitml pr reject {number} -m TEXT",
            )
        check_text(comment, most_bytes=hosted_text.MAX_TEXT_BYTES)
        request, me = self._to_review(number)
        if not dry_run and not _said(request.rejections, me):
            self.host.reject(number, head=request.head, comment=comment)
        return self._reviewed(number, request.head)

    def _to_review(self, number: int) -> tuple[Request, Account]:
        request = self.get(number)
        must_be_open(request)
        return request, self.host.me()

    def _reviewed(self, number: int, head: str) -> Request:
        request = self.get(number)
        if request.head != head:
            raise Conflict(
                f"request {number} changed while you reviewed it",
                code="request-changed",
                hint=f"gitml pr show {number}",
                context={"number": number, "head": request.head},
            )
        return request

    def close(self, number: int, comment: str | None = None, *, dry_run: bool = False) -> Request:
        """See :meth:`gitml.forge.base.Forge.close`."""
        check_text(comment, most_bytes=hosted_text.MAX_TEXT_BYTES)
        request = self.get(number)
        if request.state is not RequestState.CLOSED:
            must_be_open(request)
            if not dry_run:
                self.host.close(number, comment)
        return self.get(number)

    # Merging -------------------------------------------------------------------------------------------------------

    def land(self, request: Request, *, merge: str, onto: str, tip: str | None) -> Landing:
        """See :meth:`gitml.forge.base.Forge.land`.

        The forge compares the head in the same act; the target is compared just before it, since no forge can be
        told which tip to merge onto. A merge onto another tip is told, and `verify --history` judges it again.
        """
        self.refresh()
        if tip is None or self._shared.branch(request.target) != tip:
            return Landing.STALE
        message = self._repo.commits([merge])[0].message
        done = self.host.merge(request.number, head=request.head, message=message)
        if done.outcome is MergeOutcome.STALE:
            return Landing.STALE
        if done.outcome is MergeOutcome.REFUSED:
            raise PolicyRefused(
                f"the forge does not merge request {request.number}: {done.said or 'it does not say why'}",
                code="forge-refused",
                hint=f"satisfy the forge's own rules for {request.target}; then: gitml pr merge {request.number}",
                context={"number": request.number},
            )
        self.refresh()
        landed = self._merge_of(self._get(request.number))
        if landed is not None and landed.parents[:1] != (onto,):
            self._progress.note(
                f"{request.target} moved in the very moment of the merge; look with: "
                f"gitml verify --history {request.target}"
            )
        return Landing.LANDED

    def record_merged(self, request: Request, *, onto: str) -> None:
        """See :meth:`gitml.forge.base.Forge.record_merged`; a hosted forge records by itself."""


def _said(reviews: Iterable[Review], me: Account) -> bool:
    return any(review.actor.email.casefold() == me.login.casefold() for review in reviews)
