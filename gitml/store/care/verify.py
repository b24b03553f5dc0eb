"""Checking what a store holds of trees. Faults are collected, not raised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gitml.errors import IntegrityError, InvalidInput
from gitml.model.progress import SILENT, Progress
from gitml.store.care.deep import Reading, read_all
from gitml.store.care.faults import Fault, Share, fault_of
from gitml.store.care.judging import HasMedium, StoreReport, object_faults, spread, verify_store
from gitml.store.care.wanted import Wanted
from gitml.store.formats.pack import PackRef
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.read.reader import Promised, TreeReader

__all__ = [
    "Fault",
    "Reading",
    "Share",
    "StoreReport",
    "Tree",
    "object_faults",
    "verify_store",
    "verify_tree",
    "verify_trees",
]

_HEADS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A tree to check.

    Attributes:
        root: As the store has it.
        expected: What the pointer promises.
        label: Names the asset in problems.
    """

    root: Root
    expected: Promised | None = None
    label: str = ""


def verify_tree(
    store: HasMedium,
    root: Root,
    *,
    expected: Promised | None = None,
    label: str = "",
    deep: bool = False,
    progress: Progress = SILENT,
) -> list[Fault]:
    """Check that one tree is complete, and when `deep`, that each byte of it is right; see :func:`verify_trees`."""
    tree = Tree(root=root, expected=expected, label=label)
    return verify_trees(store, [tree], deep=deep, progress=progress).faults


def verify_trees(
    store: HasMedium,
    trees: Iterable[Tree],
    *,
    deep: bool = False,
    share: Share | None = None,
    progress: Progress = SILENT,
) -> Reading:
    """Check that trees are complete, and when `deep`, that each byte of them is right.

    Args:
        store: Holds them.
        trees: What is checked; packs that several of them use are read once.
        deep: Read and hash everything; otherwise the store is only asked for the size of each object.
        share: How much of that; lists of files are always read.
        progress: Learns of what was checked.

    Raises:
        StoreUnavailable, AccessDenied: The store cannot be asked.
    """
    chosen = list(trees)
    found = Reading()
    shallow, wanted = _Shallow(store.medium), Wanted(store.medium)
    files = sum(tree.root.files for tree in chosen)
    progress.begin("verifying" if not deep else "listing files", total_files=files)
    try:
        for tree in chosen:
            found.faults += shallow.look(tree, wanted if deep else None, progress)
        if not deep:
            found.faults += shallow.missing_packs()
    finally:
        progress.end()
    if deep:
        total_bytes = sum(pack.ref.size_bytes for pack in wanted.packs.values())
        progress.begin("verifying", total_bytes=total_bytes)
        try:
            read = read_all(store.medium, wanted, share or Share(), progress)
        finally:
            progress.end()
        read.faults = [*found.faults, *read.faults]
        found = read
    found.faults = list(dict.fromkeys(found.faults))
    return found


@dataclass(slots=True)
class _Shallow:
    """What can be said of trees by their lists of files."""

    medium: Medium
    packs: dict[bytes, tuple[PackRef, dict[str, str]]] = field(default_factory=dict)
    """Each pack, and for each asset that uses it a file that does."""

    def look(self, tree: Tree, wanted: Wanted | None, progress: Progress) -> list[Fault]:
        """Read a tree's lists of files, and note what they want, of `wanted` or of packs that are to be there."""
        label = tree.label
        try:
            reader = TreeReader(self.medium, tree.root, expected=tree.expected, label=label, kept_entries=0)
            count = len(reader.rows)
        except (IntegrityError, InvalidInput) as error:
            return [fault_of(error, label)]
        faults: list[Fault] = []
        digest = hashlib.sha256()
        for number in range(count):
            try:
                segment = reader.segment(number)
            except (IntegrityError, InvalidInput) as error:
                faults.append(fault_of(error, label))
                continue
            digest.update(b"".join(segment.lines()))
            if wanted is not None:
                faults += wanted.add(reader, number)
            else:
                for at, runs in enumerate(segment.runs):
                    for pack, _, _ in runs:
                        self._note(segment.packs[pack], label, segment.paths[at])
            progress.advance(files=len(segment.paths))
        if not faults:
            try:
                reader.check_tree(digest.digest())
            except IntegrityError as error:
                faults.append(fault_of(error, label))
        return faults

    def missing_packs(self) -> list[Fault]:
        """Packs that are not there with the size they must have."""
        faults = []
        refs = [ref for ref, _ in self.packs.values()]
        for ref, size in spread(lambda one: self.medium.head(layout.pack_name(one.hex)), refs, _HEADS):
            if size == ref.size_bytes:
                continue
            problem = (
                "the store lost it" if size is None else f"it has {size} bytes instead of {ref.size_bytes}"
            )
            faults += [
                Fault(object=layout.pack_name(ref.hex), path=path, problem=problem, label=label)
                for label, path in self.packs[ref.id][1].items()
            ]
        return faults

    def _note(self, ref: PackRef, label: str, path: str) -> None:
        _, users = self.packs.setdefault(ref.id, (ref, {}))
        users.setdefault(label, path)
