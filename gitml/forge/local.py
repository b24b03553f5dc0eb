"""Requests in the refs of a plain git repository.

`refs/gitml/requests/N` is a chain of commits, one per event, each with the single file `event.json`. Numbers are
claimed, and events appended, by compare-and-swap of that one ref, so that writers in several clones cannot lose
each other's words. An approval here proves no more than the right to push.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gitml.errors import Conflict, InvalidInput, NotFound, PolicyRefused, UsageError
from gitml.forge.base import (
    Capabilities,
    Draft,
    Landing,
    Opened,
    Request,
    RequestState,
    ReviewKind,
)
from gitml.forge.events import EVENT_FILE, Chain, EventReader, read_request
from gitml.forge.shared import HEADS, REQUESTS, Moved, RefMove, Shared
from gitml.git.racing import Race
from gitml.git.repository import Repository
from gitml.git.types import Commit, Identity
from gitml.model.progress import SILENT, Progress
from gitml.model.request import EventKind, RequestEvent
from gitml.model.typed import check_text

STATES: dict[str, RequestState | None] = {
    "open": RequestState.OPEN,
    "merged": RequestState.MERGED,
    "closed": RequestState.CLOSED,
    "rejected": RequestState.OPEN,
    "all": None,
}


def utc_now() -> datetime:
    """The present moment in whole seconds, as events record it."""
    return datetime.now(UTC).replace(microsecond=0)


class LocalForge:
    """Keeper of requests in the shared repository.

    Args:
        shared: The shared repository.
        default_branch: Where a stage that is not born yet would be born.
        now: The clock.
        progress: Where a request that cannot be believed is told.
    """

    kind = "local"
    capabilities = Capabilities()

    def __init__(
        self,
        shared: Shared,
        default_branch: str,
        *,
        now: Callable[[], datetime] = utc_now,
        progress: Progress = SILENT,
    ) -> None:
        self._shared = shared
        self._repo: Repository = shared.repo
        self._default_branch = default_branch
        self._now = now
        self._progress = progress
        self._told: set[int] = set()
        self._events = EventReader(shared.repo)
        self._merges: dict[str, dict[tuple[str, ...], str]] = {}

    @property
    def shared(self) -> Shared:
        """See :attr:`gitml.forge.base.Forge.shared`."""
        return self._shared

    def refresh(self) -> None:
        """See :meth:`gitml.forge.base.Forge.refresh`."""
        self._shared.refresh()
        self._merges.clear()

    def branch(self, name: str) -> str | None:
        """See :meth:`gitml.forge.base.Forge.branch`."""
        return self._shared.branch(name)

    def get(self, number: int) -> Request:
        """See :meth:`gitml.forge.base.Forge.get`."""
        tip = self._shared.requests().get(number)
        if tip is None:
            raise NotFound(
                f"there is no request {number} in {self._shared.name}",
                code="request-not-found",
                hint="gitml pr list",
                context={"number": number},
            )
        chain = self._events.chains({number: tip})[number]
        if isinstance(chain, InvalidInput):
            raise chain
        return self._request(number, chain)

    def list(self, state: str = "open") -> tuple[Request, ...]:
        """See :meth:`gitml.forge.base.Forge.list`."""
        if state not in STATES:
            raise UsageError(
                f"{state!r} is no state of a request", code="bad-state", hint=f"one of {', '.join(STATES)}"
            )
        wanted = STATES[state]
        found = []
        for number, chain in sorted(self._chains().items(), reverse=True):
            if wanted in (None, _state(chain)):
                request = self._request(number, chain)
                if state != "rejected" or request.rejections:
                    found.append(request)
        return tuple(found)

    def _chains(self) -> dict[int, Chain]:
        """Every request that can be believed; the others are told, once."""
        chains: dict[int, Chain] = {}
        for number, chain in self._events.chains(self._shared.requests()).items():
            if not isinstance(chain, InvalidInput):
                chains[number] = chain
            elif number not in self._told:
                self._told.add(number)
                self._progress.note(chain.message)
        return chains

    def merged_requests(self, target: str) -> Sequence[Request]:
        """See :meth:`gitml.forge.base.Forge.merged_requests`."""
        return [
            self._request(number, chain)
            for number, chain in sorted(self._chains().items())
            if _state(chain) is RequestState.MERGED and chain[0].event.target == target
        ]

    def oldest_merge(self, target: str, chain: Sequence[Commit]) -> Request | None:
        """See :meth:`gitml.forge.base.Forge.oldest_merge`; of most requests no more than the newest commit is read."""
        tips = self._shared.requests()
        by_head: dict[str, dict[int, str]] = {}
        for number, commit in self._newest(tips).items():
            by_head.setdefault("".join(commit.parents[-1:]), {})[number] = commit.oid
        for merge in reversed(chain):
            if len(merge.parents) != 2:
                continue
            for number, events in self._events.chains(by_head.get(merge.parents[-1], {})).items():
                if not isinstance(events, InvalidInput) and _made(events, target, merge):
                    return self._request(number, events)
        return None

    def _newest(self, tips: Mapping[int, str]) -> dict[int, Commit]:
        """The commits of the newest events; anybody can let such a ref name something else."""
        kinds = self._repo.kinds(list(tips.values()))
        there = [number for number, kind in zip(tips, kinds, strict=True) if kind == "commit"]
        return dict(zip(there, self._repo.commits([tips[number] for number in there]), strict=True))

    def find_open(self, source: str, target: str, refs: Sequence[str]) -> Request | None:
        """See :meth:`gitml.forge.base.Forge.find_open`."""
        wanted = tuple(sorted(refs))
        for request in reversed(self.list("open")):
            if (request.source, request.target, tuple(sorted(request.refs))) == (source, target, wanted):
                return request
        return None

    def find_by_head(self, head: str, target: str | None = None) -> Request | None:
        """The newest open request that would merge a commit; only requests that end in it are read."""
        tips = self._shared.requests()
        ends = {number for number, commit in self._newest(tips).items() if commit.parents[-1:] == (head,)}
        chains = self._events.chains({number: tip for number, tip in tips.items() if number in ends})
        for number, chain in sorted(chains.items(), reverse=True):
            if isinstance(chain, InvalidInput) or _state(chain) is not RequestState.OPEN:
                continue
            if target in (None, chain[0].event.target):
                return self._request(number, chain)
        return None

    def open_or_update(
        self, draft: Draft, *, proposes: Callable[[Request], bool] = lambda _: False
    ) -> Opened:
        """See :meth:`gitml.forge.base.Forge.open_or_update`."""
        check_text(draft.title, draft.body)
        actor = self._repo.identity()
        race = Race("open a request")
        for attempt in race.attempts():
            if attempt:
                self.refresh()
            request = self.find_open(draft.source, draft.target, draft.refs)
            if request is not None and (request.head == draft.head or proposes(request)):
                stays = draft.may_stay and request.base == draft.base
                if stays or (request.title, request.body) == (draft.title, draft.body):
                    return Opened(request=request, created=False, updated=False, retries=race.retries)
                draft = replace(draft, base=request.base, head=request.head)
            if request is None:
                number = max(self._shared.requests(), default=0) + 1
                kind, tip = EventKind.OPENED, None
            else:
                number, kind, tip = request.number, EventKind.UPDATED, request.tip
            event = RequestEvent(
                number=number,
                kind=kind,
                target=draft.target,
                base=draft.base,
                head=draft.head,
                refs=tuple(sorted(draft.refs)),
                actor=actor,
                time=self._now(),
                comment=f"{draft.title}\n\n{draft.body}".strip(),
                extra={"source": draft.source},
            )
            if self._append(event, tip) is Moved.DONE:
                return Opened(
                    request=self.get(number),
                    created=request is None,
                    updated=request is not None,
                    retries=race.retries,
                )
        raise race.lost(said=self._shared.lost)

    def approve(self, number: int, comment: str | None = None, *, dry_run: bool = False) -> Request:
        """See :meth:`gitml.forge.base.Forge.approve`."""
        return self._review(number, EventKind.APPROVED, comment or "", dry_run=dry_run)

    def reject(self, number: int, comment: str, *, dry_run: bool = False) -> Request:
        """See :meth:`gitml.forge.base.Forge.reject`."""
        if not comment.strip():
            raise UsageError(
                f"a rejection of request {number} needs a reason",
                code="no-reason",
                hint=f"gitml pr reject {number} -m TEXT",
            )
        return self._review(number, EventKind.REJECTED, comment, dry_run=dry_run)

    def _review(self, number: int, kind: EventKind, comment: str, *, dry_run: bool) -> Request:
        check_text(comment)
        actor, seen = self._repo.identity(), None
        race = Race(f"review request {number}")
        for attempt in race.attempts():
            if attempt:
                self.refresh()
            request = self.get(number)
            must_be_open(request)
            if seen not in (None, request.head):
                raise Conflict(
                    f"request {number} changed while you reviewed it",
                    code="request-changed",
                    hint=f"gitml pr show {number}",
                    context={"number": number, "head": request.head},
                )
            seen = request.head
            if kind is EventKind.APPROVED and actor.email.casefold() in request.authors:
                raise PolicyRefused(
                    f"request {number} is {actor.email}'s own work, and somebody else has to approve it",
                    code="self-approval",
                    hint=f"ask a colleague to run: gitml pr approve {number}",
                    context={"number": number, "authors": list(request.authors)},
                )
            if dry_run or self._said(request, kind, actor):
                return request
            if self._append(self._event(request, kind, actor, comment), request.tip) is Moved.DONE:
                return self.get(number)
        raise race.lost(said=self._shared.lost)

    def close(self, number: int, comment: str | None = None, *, dry_run: bool = False) -> Request:
        """See :meth:`gitml.forge.base.Forge.close`."""
        check_text(comment)
        actor = self._repo.identity()
        race = Race(f"close request {number}")
        for attempt in race.attempts():
            if attempt:
                self.refresh()
            request = self.get(number)
            if request.state is RequestState.CLOSED:
                return request
            must_be_open(request)
            if dry_run:
                return request
            if (
                self._append(self._event(request, EventKind.CLOSED, actor, comment or ""), request.tip)
                is Moved.DONE
            ):
                return self.get(number)
        raise race.lost(said=self._shared.lost)

    def land(self, request: Request, *, merge: str, onto: str, tip: str | None) -> Landing:
        """See :meth:`gitml.forge.base.Forge.land`."""
        moves = [RefMove(ref=HEADS + request.target, new=merge, old=tip)]
        if request.state is not RequestState.MERGED:
            # Otherwise the remote died between the two refs, and the event is there already.
            event = self._event(request, EventKind.MERGED, self._repo.identity(), "", base=onto)
            new = self._commit(event, request.tip)
            moves.append(RefMove(ref=f"{REQUESTS}{request.number}", new=new, old=request.tip))
        if self._shared.move(moves) is Moved.STALE:
            return Landing.STALE
        self._merges.clear()
        return Landing.LANDED

    def record_merged(self, request: Request, *, onto: str) -> None:
        """See :meth:`gitml.forge.base.Forge.record_merged`."""
        self._append(
            self._event(request, EventKind.MERGED, self._repo.identity(), "", base=onto), request.tip
        )
        self.refresh()

    def _said(self, request: Request, kind: EventKind, actor: Identity) -> bool:
        """Whether this person's last word on the present head is that already."""
        wanted = ReviewKind(kind.value)
        return any(
            review.counts
            and review.kind is wanted
            and review.actor.email.casefold() == actor.email.casefold()
            for review in request.reviews
        )

    def _event(
        self, request: Request, kind: EventKind, actor: Identity, comment: str, base: str | None = None
    ) -> RequestEvent:
        return RequestEvent(
            number=request.number,
            kind=kind,
            target=request.target,
            base=base or request.base,
            head=request.head,
            refs=request.refs,
            actor=actor,
            time=self._now(),
            comment=comment.strip(),
        )

    def _append(self, event: RequestEvent, tip: str | None) -> Moved:
        move = RefMove(ref=f"{REQUESTS}{event.number}", new=self._commit(event, tip), old=tip)
        return self._shared.move([move])

    def _commit(self, event: RequestEvent, tip: str | None) -> str:
        tree = self._repo.write_tree(None, {EVENT_FILE: event.format()})
        parents = [event.head] if tip is None else [tip, event.head]
        return self._repo.write_commit(tree, parents, f"request {event.number}: {event.kind.value}\n")

    def _request(self, number: int, chain: Chain) -> Request:
        event = chain[-1].event
        head = next(
            link.event.head
            for link in reversed(chain)
            if link.event.kind in (EventKind.OPENED, EventKind.UPDATED)
        )
        merged = self._merge_of(event) if event.kind is EventKind.MERGED else None
        base = event.base if event.kind is EventKind.MERGED else self._trusted_base(event.target)
        commits = self._repo.between(base or event.base, head)
        emails = [person.email for commit in commits for person in (commit.author, commit.committer)]
        return read_request(chain, number, emails, merged)

    def _trusted_base(self, target: str) -> str | None:
        """What the head is compared with to find its authors; never what the request says of itself."""
        return self._shared.branch(target) or self._shared.branch(self._default_branch)

    def _merge_of(self, event: RequestEvent) -> str | None:
        """The commit on the target's first-parent chain that merged the head into the base."""
        if event.target not in self._merges:
            tip = self._shared.branch(event.target)
            chain = self._repo.first_parents(tip) if tip else ()
            self._merges[event.target] = {tuple(c.parents): c.oid for c in chain if len(c.parents) == 2}
        return self._merges[event.target].get((event.base, event.head))


def must_be_open(request: Request) -> None:
    """Refuse a request that is merged or closed.

    Raises:
        Conflict: It is not open.
    """
    if request.state is not RequestState.OPEN:
        raise Conflict(
            f"request {request.number} is {request.state.value}",
            code=f"request-{request.state.value}",
            hint=f"gitml pr show {request.number}",
            context={"number": request.number, "state": request.state.value},
        )


def _made(chain: Chain, target: str, merge: Commit) -> bool:
    """Whether a request ended with a merge."""
    event = chain[-1].event
    is_merged = event.kind is EventKind.MERGED and event.target == target
    return is_merged and tuple(merge.parents) == (event.base, event.head)


def _state(chain: Chain) -> RequestState:
    kind = chain[-1].event.kind
    return {EventKind.MERGED: RequestState.MERGED, EventKind.CLOSED: RequestState.CLOSED}.get(
        kind, RequestState.OPEN
    )
