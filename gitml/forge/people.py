"""Who wrote a request on a hosted forge, and whose word on it counts.

A person is an account, known by its login. Commits know people by e-mail address, so both are compared; the addresses
that forges make up to hide the real one name the login too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gitml.forge.base import Review, ReviewKind
from gitml.forge.hosting import Account, HostedReview
from gitml.git.types import Identity

_HIDING: Final = re.compile(r"(?:\d+[+-])?(?P<login>[^@+]+)@(?:users\.)?noreply\..+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authors:
    """Logins and e-mail addresses of authors, case-folded."""

    logins: frozenset[str]
    emails: frozenset[str]

    @classmethod
    def of(cls, logins: Iterable[str], emails: Iterable[str]) -> Authors:
        """Authors by what forge and git call them."""
        addresses = frozenset(email.casefold() for email in emails)
        hidden = {match["login"] for match in map(_HIDING.fullmatch, addresses) if match}
        return cls(logins=frozenset(login.casefold() for login in logins) | hidden, emails=addresses)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted(self.logins | self.emails))

    def include(self, account: Account) -> bool:
        """Whether an account is one of them."""
        if account.login.casefold() in self.logins:
            return True
        return account.email is not None and account.email.casefold() in self.emails


def identity(account: Account) -> Identity:
    """An account as the person that policies name: by login."""
    return Identity(name=account.name or account.login, email=account.login)


def read_reviews(reviews: Sequence[HostedReview], head: str, authors: Authors) -> tuple[Review, ...]:
    """Reviews, oldest first; only a person's last word on the present head counts, and no author's approval."""
    last = {_key(review): position for position, review in enumerate(reviews) if _is_of(review, head)}
    found = []
    for position, review in enumerate(reviews):
        ignored = None
        if not _is_of(review, head):
            ignored = "it is of an older head"
        elif not review.stands:
            ignored = review.why_not or "it was dismissed or withdrawn"
        elif last[_key(review)] != position:
            ignored = "the same person said something else later"
        elif review.kind is ReviewKind.APPROVED and authors.include(review.actor):
            ignored = "it is the author's own"
        found.append(
            Review(
                kind=review.kind,
                actor=identity(review.actor),
                head=review.head or head,
                time=review.time,
                comment=review.comment,
                counts=ignored is None,
                ignored=ignored,
            )
        )
    return tuple(found)


def _key(review: HostedReview) -> str:
    return review.actor.login.casefold()


def _is_of(review: HostedReview, head: str) -> bool:
    return review.head is None or review.head == head
