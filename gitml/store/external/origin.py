"""Where referenced bytes lie: what every kind of place offers, and what is said when it does not keep its word.

An origin only reads. What it reads for a reference is checked against what the reference says the medium knows: its
size, its etag, its version id. Whether the bytes have the right digest is the business of whoever asked for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Protocol

from gitml.errors import IntegrityError, InvalidInput
from gitml.model.references import Reference
from gitml.model.source_url import SourceUrl

BLOCK_BYTES = 8 << 20


class Origin(Protocol):
    """One location; safe to use from several threads."""

    @property
    def ranged(self) -> bool:
        """Whether a part of a file can be asked for, and is then known to be a part of the very file referred to."""

    def files(self) -> Iterator[Reference]:
        """Every file below the location, or the one that it is, without digests, in any order.

        Raises:
            NotFound: There is nothing.
            InvalidInput: A name is refused.
        """

    def look(self, reference: Reference) -> None:
        """Ask whether the file is still there and the same, without reading it where the medium can tell.

        Raises:
            IntegrityError: It is gone, or another one.
        """

    def blocks(self, reference: Reference, start: int = 0) -> Iterator[bytes]:
        """Its bytes from `start` in blocks of at most 8 MiB; `start` is 0 where it is not `ranged`.

        Raises:
            IntegrityError: It is gone, or another one.
        """


def hashed(origin: Origin, reference: Reference) -> Reference:
    """The reference with the digest of its bytes, all of which are read.

    Raises:
        IntegrityError: The file changed since it was listed.
    """
    hasher, size = sha256(), 0
    for block in origin.blocks(reference):
        hasher.update(block)
        size += len(block)
    if size != reference.size_bytes:
        raise changed(reference, f"it has {size} bytes instead of {reference.size_bytes}")
    return replace(reference, sha256=hasher.hexdigest())


def path_below(location: SourceUrl, key: str) -> str:
    """Path in the contents of what lies at a key, seen from a location.

    Raises:
        InvalidInput: It does not lie below it.
    """
    if key == location.key:
        return location.name
    prefix = f"{location.key}/" if location.key else ""
    if not key.startswith(prefix):
        raise InvalidInput(
            f"{location} was listed, and {key!r} does not lie below it",
            code="bad-listing",
            hint="the server answers what was not asked: do not trust it",
        )
    return key[len(prefix) :]


def changed(reference: Reference, why: str) -> IntegrityError:
    """What to say of a source that is no longer what was registered."""
    return IntegrityError(
        f"{reference.path}: {reference.url} is not what was registered: {why}",
        code="source-changed",
        hint="put the registered bytes back there, or register what is there as a new version",
        context={"path": reference.path, "url": str(reference.url)},
    )


def missing(reference: Reference) -> IntegrityError:
    """What to say of a source that is gone."""
    return IntegrityError(
        f"{reference.path}: there is no {reference.url} any more",
        code="source-missing",
        hint="put the registered bytes back there, or register what is there as a new version",
        context={"path": reference.path, "url": str(reference.url)},
    )
