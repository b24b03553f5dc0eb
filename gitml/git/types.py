"""Words of this room: what git objects, refs, heads and pushes look like to the rest of GitML.

Object ids are opaque lower-case hexadecimal text (40 digits with SHA-1, 64 with SHA-256). Nothing here runs git.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final


class Operation(Enum):
    """What the user has begun in a work tree and not finished."""

    MERGE = "merge"
    REBASE = "rebase"
    CHERRY_PICK = "cherry-pick"
    REVERT = "revert"
    BISECT = "bisect"
    APPLY_MAILBOX = "am"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where HEAD of one work tree stands.

    Attributes:
        branch: Short name of the current branch; None when HEAD is detached.
        commit: Commit that HEAD names; None when the branch is unborn.
        operation: Unfinished operation, if any.
    """

    branch: str | None
    commit: str | None
    operation: Operation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A name and an e-mail address."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who did something, and when (in UTC)."""

    name: str
    email: str
    time: datetime

    @property
    def identity(self) -> Identity:
        """The same person without the time."""
        return Identity(name=self.name, email=self.email)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str

    @property
    def subject(self) -> str:
        """First line of the message."""
        return self.message.partition("\n")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """One row of a tree; `path` is relative to the top of the repository."""

    mode: str
    kind: str
    oid: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An object that is in the repository already, to be put at a path of a new tree."""

    mode: str
    oid: str


FILE_MODE: Final = "100644"
FOLDER_MODE: Final = "040000"

TreeChange = bytes | Entry | None
"""New bytes of a file, an existing object, or None to delete the path (a file or a whole folder)."""

Changes = Mapping[str, TreeChange]
"""Path relative to the top of the repository -> what becomes of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A path that differs between two trees; None stands for absent."""

    path: str
    old_oid: str | None
    new_oid: str | None
    old_mode: str | None = None
    new_mode: str | None = None


class RefUpdate(Enum):
    """How a compare-and-swap of a ref ended."""

    UPDATED = "updated"
    STALE = "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """The branch was not where the caller expected it; nothing was changed."""

    ref: str
    actual: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverged:
    """The current branch has commits that the other tip lacks; nothing was changed."""

    branch: str
    ours: str | None
    theirs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedTree:
    """Two trees were merged without conflict."""

    oid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeConflict:
    """Two trees do not merge by themselves at these paths."""

    paths: tuple[str, ...]


class Any_(Enum):  # noqa: N801 - the type of a single constant
    """Type of :data:`ANY`."""

    ANY = "any"


ANY: Final = Any_.ANY
"""As `PushRef.expected`: no lease; the remote takes the push only if it is a fast-forward or a new ref."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRef:
    """One ref to move on a remote.

    Attributes:
        ref: Full name.
        new: Commit it shall name; None deletes it.
        expected: Commit it must name now; None: it must not exist; ANY: see there.
    """

    ref: str
    new: str | None
    expected: str | Any_ | None = ANY


class PushStatus(Enum):
    """What a remote did with one ref."""

    OK = "ok"
    UP_TO_DATE = "up-to-date"
    STALE = "stale"
    REFUSED = "refused"
    NOT_TRIED = "not-tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushResult:
    """What a remote did with one ref, and why."""

    status: PushStatus
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the remote has the wanted value now."""
        return self.status in (PushStatus.OK, PushStatus.UP_TO_DATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """What a local branch follows: a remote's name and a branch there."""

    remote: str
    branch: str
