"""Replicating: every version of one store in another, object by object, and healing what that one lost.

Objects travel as they are and are compared with their names on the way. The order is that of any write: packs,
segments, manifest, root; so it may run beside everything else, be killed and run again, and then goes on.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from gitml.errors import Conflict, GitMLError, IntegrityError, InvalidInput, NotFound, PolicyRefused
from gitml.model.progress import SILENT, Progress
from gitml.store.care.marking import Marking, key_of
from gitml.store.care.verify import object_faults, verify_store
from gitml.store.formats.root import Root, RootKey, encode_root
from gitml.store.media import layout
from gitml.store.media.objects import put_named
from gitml.store.relocation.moving import replace_root
from gitml.store.relocation.relocate import used_objects
from gitml.store.store import Store, Taken, WriteStats, WrittenTree

_JOBS: Final = 4
_ORDER: Final = (layout.PACKS, layout.SEGMENTS, layout.MANIFESTS)
_NO_STATS: Final = WriteStats(
    files=0, size_bytes=0, new_bytes=0, reused_bytes=0, stored_bytes=0, packs=0, segments=0, requests=0
)


@dataclass(slots=True, kw_only=True)
class Replication:
    """What a replication did, or would do.

    Attributes:
        versions: Versions that the target lacked, or had without all of their bytes.
        present: Number of versions that were there, and whole.
        healed: Objects of the target that were missing or damaged, and are right now.
        unhealed: Those that the source does not have either.
        objects: Number of objects that were copied, healed ones included.
        copied_bytes: Their bytes.
        failed: Versions that the target refused, or that the source cannot give.
    """

    versions: list[RootKey] = field(default_factory=list)
    present: int = 0
    healed: list[str] = field(default_factory=list)
    unhealed: list[str] = field(default_factory=list)
    objects: int = 0
    copied_bytes: int = 0
    failed: dict[RootKey, GitMLError] = field(default_factory=dict)


def replicate(
    source: Store, target: Store, *, deep: bool = False, dry_run: bool = False, progress: Progress = SILENT
) -> Replication:
    """Give the target every version that it lacks, and every object that it lost and the source has.

    Args:
        source: Read only.
        target: Written to.
        deep: Read all of the target first, and heal what is damaged, too; otherwise only what is missing or has a
            wrong size.
        dry_run: Only say what would be copied.
        progress: Learns of each object.

    Raises:
        InvalidInput: The stores are of different formats.
        StoreUnavailable, AccessDenied, NoSpace, OutcomeUnknown: As the media say; run it again.
    """
    return _Replicator(source, target, dry_run=dry_run, progress=progress).run(deep=deep)


class _Replicator:
    def __init__(self, source: Store, target: Store, *, dry_run: bool, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._dry_run = dry_run
        self._progress = progress
        self._bad: set[str] = set()
        self._right: set[str] = set()
        self._whole: dict[str, Root] = {}
        self._lock = threading.Lock()
        self._found = Replication()

    def run(self, *, deep: bool) -> Replication:
        self._check_format()
        if deep:
            report = verify_store(self._target, progress=self._progress)
            self._bad = {fault.object for fault in report.faults}
        self._progress.begin("Replicating")
        try:
            self._heal()
            for name, _ in sorted(self._source.medium.list(layout.ROOTS)):
                key = key_of(name)
                if key is None:
                    continue
                try:
                    self._version(key)
                except (Conflict, PolicyRefused, IntegrityError, InvalidInput, NotFound) as error:
                    self._found.failed[key] = error
        finally:
            self._progress.end()
        self._found.unhealed = sorted(self._unhealed())
        return self._found

    def _unhealed(self) -> set[str]:
        """What is still wrong in the target, but for what no version uses any more."""
        wrong = self._bad - self._right
        if not wrong or self._dry_run:
            return wrong
        marking = Marking(self._target.medium)
        try:
            marking.look()
        except (IntegrityError, InvalidInput):
            return wrong
        return {name for name in wrong if name in marking.live or name in marking.roots}

    def _check_format(self) -> None:
        """Give a new target the source's marker; refuse one of another format."""
        try:
            ours = self._source.medium.get(layout.MARKER)
        except NotFound as error:
            raise NotFound(
                f"{self._source.url} is no GitML store", code="not-a-store", hint="gitml store list"
            ) from error
        if not self._dry_run and self._target.medium.head(layout.MARKER) is None:
            self._target.medium.put_if_absent(layout.MARKER, [ours])
        with contextlib.suppress(NotFound, ValueError):
            theirs = json.loads(self._target.medium.get(layout.MARKER))
            if theirs.get("format") != json.loads(ours).get("format"):
                raise InvalidInput(
                    f"{self._source.url} and {self._target.url} are stores of different formats",
                    code="store-format",
                    hint="pip install --upgrade gitml",
                )

    # -- what the target lost

    def _heal(self) -> None:
        """Restore the target's own objects under their names, as far as the source has them."""
        for name, _ in sorted(self._target.medium.list(layout.ROOTS)):
            key = key_of(name)
            try:
                root = None if key is None else self._target.root(key)
            except IntegrityError:
                self._bad.add(name)
                continue
            if root is not None:
                self._heal_tree(name, root)
        self._restore(self._bad)

    def _heal_tree(self, name: str, root: Root) -> None:
        before: set[str] | None = None
        while True:
            missing = self._missing(root)
            if not missing:
                self._whole[name] = root
                return
            self._bad |= missing
            if missing == before or self._dry_run:
                return
            before = missing
            self._restore(missing)  # a restored manifest or segment shows what else is missing

    def _missing(self, root: Root) -> set[str]:
        """Objects of a tree that the target lost, as far as it can be followed."""
        try:
            return set(self._target.missing(root))
        except (IntegrityError, InvalidInput) as error:
            return {str(error.context.get("object"))}

    def _restore(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            if name.startswith(_ORDER) and name not in self._right and self._copy(name):
                self._found.healed.append(name)

    # -- what it never had

    def _version(self, key: RootKey) -> None:
        root = self._source.root(key)
        if root is None:
            return
        standing, is_damaged = None, False
        try:
            standing = self._target.root(key)
        except IntegrityError:
            is_damaged = True
        if standing is not None and standing.tree != root.tree:
            raise Conflict(
                f"{key.id} has other contents in {self._target.url}: {standing.tree} instead of {root.tree}",
                code="version-exists",
                hint="decide which one stays, and let the other go with gitml store forget",
            )
        if standing is not None and self._is_whole(key.name, standing):
            self._found.present += 1
            return
        if self._target.has_purged(root.tree):
            raise PolicyRefused(
                f"the contents {root.tree} were purged from {self._target.url} and are refused",
                code="purged",
                hint=f"purge {key.id} from {self._source.url}, too",
                context={"tree": str(root.tree)},
            )
        self._copy_all(root)
        self._found.versions.append(key)
        if not self._dry_run:
            self._name(key, root, standing, is_damaged=is_damaged)

    def _is_whole(self, name: str, root: Root) -> bool:
        if self._whole.get(name) != root:
            return False
        wrong = self._bad - self._right
        return not wrong or all(used.name not in wrong for used in used_objects(self._target.medium, root))

    def _copy_all(self, root: Root) -> None:
        """Copy the objects of a tree that are not right in the target, in the order of any write."""
        used = [one.name for one in used_objects(self._source.medium, root) if one.name not in self._right]
        for prefix in _ORDER:
            names = [name for name in used if name.startswith(prefix)]
            with ThreadPoolExecutor(_JOBS, thread_name_prefix="gitml-replicate") as pool:
                for name, copied in zip(names, pool.map(self._copy_if_needed, names), strict=True):
                    if not copied:
                        raise NotFound(f"{self._source.url} lost {name}", code="object-missing")

    def _copy_if_needed(self, name: str) -> bool:
        if name not in self._bad:
            size_bytes = self._target.medium.head(name)
            if size_bytes is not None and size_bytes == self._source.medium.head(name):
                self._right.add(name)
                return True
        return self._copy(name)

    def _copy(self, name: str) -> bool:
        """Copy one object; False where the source does not have it, or not rightly."""
        if self._dry_run:
            size_bytes = self._source.medium.head(name)
            return size_bytes is not None and self._note(name, size_bytes)
        try:
            data = self._source.medium.get(name)
        except NotFound:
            return False
        if object_faults(name, data):
            return False
        if name in self._bad:
            self._target.medium.put(name, [data])
        else:
            put_named(self._target.medium, name, [data])
        return self._note(name, len(data))

    def _note(self, name: str, size_bytes: int) -> bool:
        with self._lock:
            self._right.add(name)
            self._found.objects += 1
            self._found.copied_bytes += size_bytes
        self._progress.advance(size_bytes=size_bytes, files=1)
        return True

    def _name(self, key: RootKey, root: Root, standing: Root | None, *, is_damaged: bool) -> None:
        """Let the target's version name the tree, whose objects are all there."""
        if is_damaged:
            self._target.medium.put(key.name, [encode_root(root)])
            self._right.add(key.name)
        elif standing is not None and standing != root:
            replace_root(self._target.medium, key.name, standing, root)
        claimed = self._target.claim(key, WrittenTree(root=root, stats=_NO_STATS))
        if isinstance(claimed, Taken):
            raise Conflict(
                f"{key.id} was registered with other contents in {self._target.url} meanwhile",
                code="version-exists",
                hint="run the command again",
            )
