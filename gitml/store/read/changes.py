"""What differs between two trees, without reading what they share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gitml.store.read.entries import FileEntry

if TYPE_CHECKING:
    from gitml.store.read.reader import TreeReader

Change = tuple[str, FileEntry | None, FileEntry | None]


def changes(old: TreeReader | None, new: TreeReader | None) -> Iterator[Change]:
    """Files that were added, removed or changed, in path order: path, old entry, new entry.

    Segments with equal logical digests are not read.

    Raises:
        IntegrityError: A list of files is not what its pointer promises.
    """
    if old is not None and new is not None and old.root.tree == new.root.tree:
        return
    shared = _logical(old) & _logical(new)
    before, after = _entries(old, shared), _entries(new, shared)
    left, right = next(before, None), next(after, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left.path.encode() < right.path.encode()):
            if left is not None:
                yield left.path, left, None
            left = next(before, None)
        elif left is None or right.path.encode() < left.path.encode():
            yield right.path, None, right
            right = next(after, None)
        else:
            if left.digest != right.digest:
                yield left.path, left, right
            left, right = next(before, None), next(after, None)


def _logical(reader: TreeReader | None) -> set[bytes]:
    return set() if reader is None else {row.logical for row in reader.rows}


def _entries(reader: TreeReader | None, shared: set[bytes]) -> Iterator[FileEntry]:
    if reader is None:
        return
    for number, row in enumerate(reader.rows):
        if row.logical not in shared:
            yield from reader.segment_entries(number)
