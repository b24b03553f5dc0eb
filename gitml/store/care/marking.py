"""What is alive in a store: all that the roots of all registries reach, and the layouts they are about to get.

Only reads. What an earlier look found alive stays alive for later ones, so that looking again is cheap; a root that
goes in between costs a collector some space until its next run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from gitml.errors import GitMLError, IntegrityError, NotFound
from gitml.model.names import AssetId, Version, VersionId, check_name
from gitml.store.formats.root import Root, RootKey, decode_root
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.relocation.intents import Intent, read_intents
from gitml.store.relocation.relocate import load_manifest, load_segment

_JOBS: Final = 8
_LOOKS: Final = 8


class Marking:
    """Names of the objects that roots reach.

    Args:
        medium: The store's.
        jobs: Roots that are read at a time.
    """

    def __init__(self, medium: Medium, jobs: int = _JOBS) -> None:
        self._medium = medium
        self._jobs = jobs
        self.live: set[str] = set()
        self.roots: dict[str, Root] = {}
        """Roots of the latest look, by name."""
        self.intents: dict[str, Intent] = {}
        """Layouts that versions were about to be given at the latest look, by the names of the intents."""

    def look(self) -> None:
        """Read every intent and every root, and what it reaches where no look has seen that yet.

        The intents come first: one that has gone by then left a root that is found, whereas one that went between the
        two might be missed together with the root it was for. See :mod:`gitml.store.relocation.moving`.

        Raises:
            IntegrityError: An intent, root, manifest or segment is lost or damaged: what it keeps alive is not known.
            StoreUnavailable, AccessDenied: The store cannot be asked.
        """
        self.roots = {}
        self.intents = read_intents(self._medium)
        for intent in self.intents.values():
            # One whose objects are gone has not replaced a root, and will not: it finds that out first.
            with contextlib.suppress(NotFound):
                self.live |= set(self._reached(intent.root))
        names = [name for name, _ in self._medium.list(layout.ROOTS)]
        with ThreadPoolExecutor(self._jobs, thread_name_prefix="gitml-mark") as pool:
            for name, found in zip(names, pool.map(self._follow, names), strict=True):
                if found is not None:
                    self.roots[name], reached = found
                    self.live |= reached

    def _follow(self, name: str) -> tuple[Root, set[str]] | None:
        """A root and the names it reaches; None where it is gone."""
        root = self._root(name)
        for _ in range(_LOOKS):
            if root is None:
                return None
            try:
                return root, set(self._reached(root))
            except NotFound as error:
                # Its layout may have been replaced, and the old one deleted, since it was read.
                before, root = root, self._root(name)
                if root == before:
                    raise _hole(name, str(error.context.get("object", "an object")), self._medium) from error
        raise _hole(name, "its manifest", self._medium)

    def _root(self, name: str) -> Root | None:
        try:
            return decode_root(self._medium.get(name), name)
        except NotFound:
            return None

    def _reached(self, root: Root) -> Iterator[str]:
        own = layout.manifest_name(root.manifest)
        yield own
        if own in self.live:
            return
        manifest = load_manifest(self._medium, root)
        for row in manifest.rows:
            name = layout.segment_name(row.segment_id.hex())
            if manifest.embedded is None:
                if name in self.live:
                    continue
                yield name
            for pack in load_segment(self._medium, manifest, row).packs:
                yield layout.pack_name(pack.hex)


def key_of(root_name: str) -> RootKey | None:
    """Which version a root is of; None for a name that no version gives."""
    parts = root_name.split("/")
    if len(parts) != 5:
        return None
    try:
        version = Version.parse(parts[4])
        asset = AssetId(type=parts[2], name=check_name(parts[3]))
    except GitMLError:
        return None
    key = RootKey(registry=parts[1], id=VersionId(asset=asset, version=version))
    return key if key.name == root_name else None


def _hole(root: str, missing: str, medium: Medium) -> IntegrityError:
    return IntegrityError(
        f"{root} in {medium.url} needs {missing}, which is lost: what it keeps alive is not known",
        code="root-incomplete",
        hint="restore it with gitml store replicate OTHER STORE, or let the version go with gitml store forget",
        context={"root": root, "object": missing},
    )
