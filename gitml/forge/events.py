"""The events of a request: reading a chain, refusing what is malformed or forged, and what it adds up to.

A chain is read from its newest event backwards. Anybody with push rights can write any commit there, so
nothing is believed that the shape of the chain does not bear out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gitml.errors import GitMLError, InvalidInput
from gitml.forge.base import Request, RequestState, Review, ReviewKind
from gitml.git.repository import Repository
from gitml.git.types import Identity, TreeEntry
from gitml.model.request import EventKind, RequestEvent

EVENT_FILE = "event.json"
_MAX_EVENTS = 1000
_FINAL = {EventKind.MERGED: RequestState.MERGED, EventKind.CLOSED: RequestState.CLOSED}
_REVIEWS = {EventKind.APPROVED: ReviewKind.APPROVED, EventKind.REJECTED: ReviewKind.REJECTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One event and the commit that carries it."""

    oid: str
    parents: tuple[str, ...]
    event: RequestEvent


Chain = tuple[Link, ...]


class EventReader:
    """Reads chains, many at once; an event never changes, so each is read once."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._known: dict[str, Link | InvalidInput] = {}

    def chains(self, tips: Mapping[int, str]) -> dict[int, Chain | InvalidInput]:
        """The events of requests, oldest first, or why a request cannot be believed.

        Args:
            tips: Number -> commit of the newest event.
        """
        found: dict[int, list[Link]] = {number: [] for number in tips}
        results: dict[int, Chain | InvalidInput] = {}
        level = dict(tips)
        while level:
            self._load(level)
            following: dict[int, str] = {}
            for number, oid in level.items():
                link = self._known[oid]
                if isinstance(link, InvalidInput):
                    results[number] = _of(number, link.message)
                    continue
                found[number].append(link)
                if link.event.kind is EventKind.OPENED:
                    chain = tuple(reversed(found[number]))
                    fault = _fault(number, chain)
                    results[number] = chain if fault is None else _of(number, fault)
                elif len(link.parents) != 2:
                    results[number] = _of(
                        number, f"event {oid[:12]} has {len(link.parents)} parents instead of 2"
                    )
                elif len(found[number]) >= _MAX_EVENTS:
                    results[number] = _of(number, f"it has more than {_MAX_EVENTS} events")
                else:
                    following[number] = link.parents[0]
            level = following
        return results

    def _load(self, level: Mapping[int, str]) -> None:
        wanted = sorted({oid for oid in level.values() if oid not in self._known})
        if not wanted:
            return
        # Anybody can let such a ref name a file or a tag.
        kinds = self._repo.kinds(wanted)
        there = [oid for oid, kind in zip(wanted, kinds, strict=True) if kind == "commit"]
        files = [_event_file(entries) for entries in self._repo.trees(there)]
        texts = self._texts([file for file in files if file is not None])
        for commit, file in zip(self._repo.commits(there), files, strict=True):
            text = None if file is None else texts.get(file)
            self._known[commit.oid] = _link(commit.oid, tuple(commit.parents), text)
        for oid in wanted:
            self._known.setdefault(oid, InvalidInput(f"event {oid[:12]} is no commit"))

    def _texts(self, files: Sequence[str]) -> dict[str, bytes]:
        """What blobs hold; those that are none, or not there, are left out."""
        kinds = self._repo.kinds(files)
        return self._repo.blobs([file for file, kind in zip(files, kinds, strict=True) if kind == "blob"])


def _event_file(entries: Sequence[TreeEntry]) -> str | None:
    """The blob of the event, where a tree consists of it."""
    if [(entry.path, entry.mode) for entry in entries] != [(EVENT_FILE, "100644")]:
        return None
    return entries[0].oid


def _link(oid: str, parents: tuple[str, ...], text: bytes | None) -> Link | InvalidInput:
    if text is None:
        return InvalidInput(f"event {oid[:12]} does not consist of the one file {EVENT_FILE}")
    try:
        return Link(oid=oid, parents=parents, event=RequestEvent.parse(text))
    except GitMLError as error:
        return InvalidInput(f"event {oid[:12]}: {error.message}")


def _of(number: int, why: str) -> InvalidInput:
    return InvalidInput(
        f"request {number} cannot be believed: {why}",
        code="bad-request",
        hint=f"open it anew with gitml promote; who looks after the remote can delete refs/gitml/requests/{number}",
        context={"number": number},
    )


def _fault(number: int, chain: Chain) -> str | None:
    """The first thing that the shape of a chain does not bear out."""
    opened = chain[0]
    if opened.parents != (opened.event.head,):
        return f"its first event {opened.oid[:12]} does not have its head as its only parent"
    head, final = opened.event.head, False
    for position, link in enumerate(chain):
        event, name = link.event, f"event {link.oid[:12]} ({link.event.kind.value})"
        if event.number != number:
            return f"{name} is of request {event.number}"
        if event.target != opened.event.target:
            return f"{name} names the target {event.target} instead of {opened.event.target}"
        if final:
            return f"{name} comes after its end"
        if position and link.parents != (chain[position - 1].oid, event.head):
            return f"{name} does not have the event before it and the head as its parents"
        if event.kind is EventKind.UPDATED:
            head = event.head
        elif event.head != head:
            return f"{name} names the head {event.head[:12]}, and the head then was {head[:12]}"
        final = event.kind in _FINAL
    return None


def read_request(
    chain: Chain, number: int, commit_emails: Iterable[str], merged_commit: str | None
) -> Request:
    """What the events of a believable chain add up to.

    Args:
        chain: The events, oldest first.
        number: Number of the request.
        commit_emails: Addresses of the authors of the commits that the head would bring.
        merged_commit: The merge commit on the target, where it is known.
    """
    opened, last = chain[0].event, chain[-1].event
    present = [link.event for link in chain if link.event.kind in (EventKind.OPENED, EventKind.UPDATED)][-1]
    merged = last if last.kind is EventKind.MERGED else None
    authors = {opened.actor.email.casefold(), present.actor.email.casefold()}
    authors |= {email.casefold() for email in commit_emails}
    title, _, body = present.comment.partition("\n")
    source = present.extra.get("source", "")
    return Request(
        number=number,
        state=_FINAL.get(last.kind, RequestState.OPEN),
        source=source if isinstance(source, str) and source.isprintable() else "",
        target=opened.target,
        head=present.head,
        base=merged.base if merged else present.base,
        refs=tuple(present.refs),
        author=_identity(opened),
        title=title,
        body=body.strip(),
        opened=opened.time,
        updated=last.time,
        merged_commit=merged_commit,
        merged=merged.time if merged else None,
        merged_by=_identity(merged) if merged else None,
        reviews=_reviews(chain, present.head, authors),
        authors=tuple(sorted(authors)),
        events=tuple(link.event for link in chain),
        tip=chain[-1].oid,
    )


def _reviews(chain: Chain, head: str, authors: set[str]) -> tuple[Review, ...]:
    """All reviews; only a person's last word on the present head counts, and no author's approval."""
    last_word = {
        link.event.actor.email.casefold(): link.oid
        for link in chain
        if link.event.kind in _REVIEWS and link.event.head == head
    }
    reviews: list[Review] = []
    for link in chain:
        event = link.event
        if event.kind not in _REVIEWS:
            continue
        who = event.actor.email.casefold()
        ignored = None
        if event.head != head:
            ignored = "it is of an older head"
        elif last_word[who] != link.oid:
            ignored = "the same person said something else later"
        elif event.kind is EventKind.APPROVED and who in authors:
            ignored = "it is the author's own"
        reviews.append(
            Review(
                kind=_REVIEWS[event.kind],
                actor=_identity(event),
                head=event.head,
                time=event.time,
                comment=event.comment,
                counts=ignored is None,
                ignored=ignored,
            )
        )
    return tuple(reviews)


def _identity(event: RequestEvent) -> Identity:
    return Identity(name=event.actor.name, email=event.actor.email)
