"""Repairing a store from whatever still has the bytes: other stores, the local cache, files of this machine.

What is missing or damaged is found first. An object that some copy has comes back as it was, under its name. For a pack
that no copy has, :mod:`gitml.store.care.mending` makes up. Nothing is deleted; an object that passes its check is never
written over; a version changes to an equivalent layout of the same tree only. Run again, it goes on.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from gitml.errors import GitMLError, IntegrityError, InvalidInput, NotFound, StoreUnavailable
from gitml.model.digest import Digest
from gitml.model.progress import SILENT, Progress
from gitml.store.care.copies import CACHED, Expected, Origins, Overwriting, read_object
from gitml.store.care.judging import object_faults, verify_store
from gitml.store.care.marking import key_of
from gitml.store.care.mending import LostPack, Mended, Remains, lost_files
from gitml.store.care.missing import Missing, missing_ranges
from gitml.store.care.survivors import Survivors
from gitml.store.formats.manifest import decode_manifest
from gitml.store.formats.marker import FORMAT
from gitml.store.formats.pack import PackRef
from gitml.store.formats.root import Root, RootKey, encode_root
from gitml.store.formats.wire import needs_newer
from gitml.store.media import layout
from gitml.store.media.cache import Kind
from gitml.store.media.medium import Medium
from gitml.store.media.objects import put_named
from gitml.store.read.reader import TreeReader
from gitml.store.relocation.moving import leave_condemned, replace_root
from gitml.store.relocation.relocate import load_manifest, used_objects
from gitml.store.store import Store
from gitml.store.write.placed import PlacedTree

_REBUILT: Final = "what is left of it, and files that were found"


@dataclass(slots=True, kw_only=True)
class Repair:
    """What a repair found and did, or would do.

    Attributes:
        wrong: Objects that were missing or damaged.
        healed: Those that are right again, and where they came from.
        versions: Versions that were laid out anew.
        unneeded: Damaged objects that nobody has, and no version needs.
        missing: What is still missing.
        healed_bytes: Bytes that were written.
    """

    wrong: set[str] = field(default_factory=set)
    healed: dict[str, str] = field(default_factory=dict)
    versions: list[RootKey] = field(default_factory=list)
    unneeded: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    healed_bytes: int = 0


def repair(store: Store, origins: Origins, *, dry_run: bool = False, progress: Progress = SILENT) -> Repair:
    """Find what a store lost, and restore as much of it as any copy has.

    Args:
        store: What is repaired.
        origins: Only read.
        dry_run: Only say what would be done; what only a restored list of files would show is not seen.
        progress: Learns of the reading, and of each restored object.

    Raises:
        InvalidInput: The store needs a newer GitML.
        StoreUnavailable, AccessDenied, NoSpace, OutcomeUnknown: As the media say; run it again.
    """
    _check_format(store)
    report = verify_store(store, progress=progress)
    work = _Work(store, origins, dry_run, progress)
    work.found.wrong = {fault.object for fault in report.faults if not work.is_right(fault.object)}
    progress.begin("Repairing")
    try:
        work.roots()
        work.objects()
        work.stray_roots()
        work.lists()
        work.packs()
        work.end()
    finally:
        progress.end()
    return work.found


@dataclass(slots=True)
class _Work:
    store: Store
    origins: Origins
    dry_run: bool
    progress: Progress
    found: Repair = field(default_factory=Repair)
    given_up: set[str] = field(default_factory=set)

    @property
    def medium(self) -> Medium:
        """The store's."""
        return self.store.medium

    def still_wrong(self) -> set[str]:
        """Objects that are not right yet."""
        return self.found.wrong - set(self.found.healed)

    # -- roots

    def is_right(self, name: str) -> bool:
        """Whether an object is there, and passes its check."""
        data = read_object(self.medium, name)
        return data is not None and not object_faults(name, data)

    def roots(self) -> None:
        """Restore what names the versions, so that it is known what they need."""
        self.found.wrong.update(key.name for key, root in self._roots() if self._contradicts(root))
        for name in sorted(name for name in self.found.wrong if name.startswith(layout.ROOTS)):
            key = key_of(name)
            if key is not None:
                self._root(key, self.promised.get(name))
        for one in self.origins.expected:
            names = (one.key.name, layout.purged_name(one.digest.hex))
            if names[0] not in self.found.wrong and all(self.medium.head(name) is None for name in names):
                self.found.wrong.add(one.key.name)
                self._root(one.key, one)

    def stray_roots(self) -> None:
        """Restore roots that name a manifest that nobody has, where another names one that is there."""
        for key, root in list(self._roots()):
            if layout.manifest_name(root.manifest) in self.still_wrong():
                self._root(key, self.promised.get(key.name), tree=root.tree)
        self.objects()

    @property
    def promised(self) -> dict[str, Expected]:
        """Versions that pointers tell of, by the names of their roots."""
        return {one.key.name: one for one in self.origins.expected}

    def _contradicts(self, root: Root) -> bool:
        """Whether a root says what its own manifest denies; such a one is damaged."""
        try:
            manifest = load_manifest(self.medium, root)
        except GitMLError:
            return False
        said = (root.tree.raw, root.listing.raw, root.files, root.size_bytes)
        return said != (manifest.tree, manifest.listing(), manifest.files, manifest.size_bytes)

    def _root(self, key: RootKey, promised: Expected | None, tree: Digest | None = None) -> None:
        """Restore a root; of a version that nobody promised, with the tree that it had if that is known."""
        standing = read_object(self.medium, key.name)
        tree = promised.digest if promised is not None else tree
        for origin, other in self.origins.stores.items():
            with contextlib.suppress(GitMLError):
                root = other.root(key)
                if root is not None and tree in (None, root.tree) and encode_root(root) != standing:
                    self._objects_of(other, root)
                    self._write_root(key, root, origin, standing)
                    return
        if promised is not None:
            root = self._root_of_manifest(promised)
            if root is not None:
                self._write_root(key, root, "the pointer, and a manifest of its tree", standing)
            else:
                self._root_of_folder(promised, standing)

    def _objects_of(self, other: Store, root: Root) -> None:
        """Copy what a version needs and this store lacks, before anything names it."""
        for used in used_objects(other.medium, root):
            if self.medium.head(used.name) is None:
                self.found.wrong.add(used.name)
                if not self._restore(used.name):
                    self.given_up.add(used.name)

    def _root_of_manifest(self, promised: Expected) -> Root | None:
        """The root that a lost one must have been, if its manifest is there."""
        for name, _ in self.medium.list(layout.MANIFESTS):
            with contextlib.suppress(GitMLError):
                hex_id = layout.id_of(name)
                manifest = decode_manifest(self.medium.get(name), bytes.fromhex(hex_id), name)
                if manifest.tree == promised.digest.raw and manifest.listing() == promised.listing.raw:
                    return Root(
                        tree=promised.digest,
                        listing=promised.listing,
                        manifest=hex_id,
                        size_bytes=promised.size_bytes,
                        files=promised.files,
                        created=promised.created,
                    )
        return None

    def _root_of_folder(self, promised: Expected, standing: bytes | None) -> None:
        """Store a version again that is placed somewhere."""
        for folder in self.origins.folders:
            placed = PlacedTree.find(folder, promised.digest, promised.files, promised.size_bytes)
            if placed is not None and self.dry_run:
                self._note(promised.key.name, str(folder), 0)
                return
            if placed is not None:
                written = self.store.write(placed).root
                root = replace(written, created=promised.created)
                self._write_root(promised.key, root, str(folder), standing)
                return

    def _write_root(self, key: RootKey, root: Root, origin: str, standing: bytes | None) -> None:
        """Let a root take the place of the wrong one, unless somebody did so meanwhile."""
        body = encode_root(root)
        if not self.dry_run:
            if standing is None:
                self.medium.put_if_absent(key.name, [body])
            elif read_object(self.medium, key.name) == standing:
                self.medium.put(key.name, [body])
            else:
                return
            self._leave_condemned(key, root)
        self.found.wrong.add(key.name)
        self._note(key.name, origin, len(body))

    def _leave_condemned(self, key: RootKey, root: Root) -> None:
        """What has to follow any write of a root; a tree that is not whole waits for what else is restored."""
        try:
            leave_condemned(self.medium, key.name, root)
        except StoreUnavailable as error:
            if error.code != "objects-gone":
                raise

    # -- objects that some copy has

    def objects(self) -> None:
        """Restore manifests, then segments, then packs; what was restored shows what else is missing."""
        before: set[str] = set()
        while True:
            for _, root in self._roots():
                self.found.wrong |= self._missing(root)
            todo = self.still_wrong() - self.given_up
            if not todo or todo == before:
                return
            before = todo
            for name in sorted(todo, key=_order):
                if name.startswith(tuple(CACHED)) and not self._restore(name):
                    self.given_up.add(name)

    def _roots(self) -> Iterator[tuple[RootKey, Root]]:
        for name, _ in sorted(self.medium.list(layout.ROOTS)):
            key = key_of(name)
            with contextlib.suppress(IntegrityError, InvalidInput):
                root = None if key is None else self.store.root(key)
                if key is not None and root is not None:
                    yield key, root

    def _missing(self, root: Root) -> set[str]:
        """Objects of a tree that the store lost, as far as it can be followed."""
        try:
            return set(self.store.missing(root))
        except (IntegrityError, InvalidInput) as error:
            return {str(error.context.get("object"))}

    def _restore(self, name: str) -> bool:
        """Bring an object back from a copy; False where nobody has it."""
        for origin, read in self.origins.copies(self.store, name):
            data = read()
            if data is not None and not object_faults(name, data):
                self._put(name, [data], origin)
                return True
        return False

    def _put(self, name: str, body: Sequence[bytes], origin: str) -> None:
        """Write an object that is missing, or that fails its check."""
        if not self.dry_run:
            standing = read_object(self.medium, name)
            if standing is None:
                put_named(self.medium, name, body)
            elif object_faults(name, standing):
                self.medium.put(name, body)
        self._note(name, origin, sum(map(len, body)))

    def _note(self, name: str, origin: str, size_bytes: int) -> None:
        self.found.healed[name] = origin
        self.found.healed_bytes += size_bytes
        self.progress.advance(size_bytes=size_bytes, files=1)

    # -- what no copy has

    def lists(self) -> None:
        """Versions whose list of files is lost: store them again from where they are placed."""
        for key, root in self._roots():
            lists = {name for name in self._missing(root) if not name.startswith(layout.PACKS)}
            if not lists & self.still_wrong():
                continue
            for folder in self.origins.folders:
                placed = PlacedTree.find(folder, root.tree, root.files, root.size_bytes)
                if placed is None:
                    continue
                if self.dry_run:
                    for name in lists & self.still_wrong():
                        self._note(name, str(folder), 0)
                    break
                medium = Overwriting(self.medium, self.still_wrong())
                written = Store(medium).write(placed).root
                for name, size_bytes in medium.written:
                    self._note(name, str(folder), size_bytes)
                if written.manifest != root.manifest:
                    self._replace(key, root, replace(written, created=root.created))
                break

    def packs(self) -> None:
        """Put packs together again, or move what is left of them."""
        roots = [
            (key, root)
            for key, root in self._roots()
            if all(name.startswith(layout.PACKS) for name in self._missing(root))
        ]
        lost = self._lost_packs([root for _, root in roots])
        if not lost:
            return
        files = lost_files(self.medium, [root for _, root in roots], lost)
        remains = Remains(lost, [self.medium, *(other.medium for other in self.origins.stores.values())])
        wanted = {digest: file.size_bytes for digest, file in files.items()}
        remains.find(Survivors(wanted, self.origins.folders, self._readers(wanted)), files)
        for pack_id, one in list(lost.items()):
            body = remains.whole(one)
            name = layout.pack_name(one.ref.hex)
            if body is not None and not object_faults(name, b"".join(body)):
                self._put(name, body, _REBUILT)
                del lost[pack_id]
        lost = {pack_id: one for pack_id, one in lost.items() if remains.gains(one)}
        if self.dry_run:
            self._foresee(lost, remains)
        elif lost:
            self._mend(roots, lost, remains)

    def _foresee(self, lost: Mapping[bytes, LostPack], remains: Remains) -> None:
        """Note the packs of which everything that is wanted can be had."""
        for one in lost.values():
            size_bytes = 0
            for number, chunk in remains.chunks(one):
                if number < len(one.wanted) and one.wanted[number]:
                    if chunk is None:
                        break
                    size_bytes += len(chunk.stored)
            else:
                self._note(layout.pack_name(one.ref.hex), _REBUILT, size_bytes)

    def _mend(
        self, roots: Sequence[tuple[RootKey, Root]], lost: Mapping[bytes, LostPack], remains: Remains
    ) -> None:
        # Where all of a pack was found, the new one may come out as the old one was.
        medium = Overwriting(self.medium, self.still_wrong())
        mended = Mended(medium, lost, remains)
        for key, root in roots:
            self._replace(key, root, mended.root(root))
        for name, size_bytes in medium.written:
            self._note(name, _REBUILT, size_bytes)

    def _replace(self, key: RootKey, root: Root, new: Root) -> None:
        if new != root and replace_root(self.medium, key.name, root, new) is not None:
            self.found.versions.append(key)

    def _lost_packs(self, roots: Iterable[Root]) -> dict[bytes, LostPack]:
        wrong = self.still_wrong()
        lost: dict[bytes, LostPack] = {}
        for root in roots:
            for used in used_objects(self.medium, root):
                if used.pack is not None and used.name in wrong and used.pack.id not in lost:
                    lost[used.pack.id] = self._lost_pack(used.pack)
        return lost

    def _lost_pack(self, ref: PackRef) -> LostPack:
        one = LostPack(ref)
        for store in (self.store, *self.origins.stores.values()):
            if store.cache is not None:
                one.learn_footer(store.cache.read(Kind.FOOTER, ref.hex) or b"")
        return one

    def _readers(self, wanted: Mapping[bytes, int]) -> Iterator[TreeReader]:
        for store in (*self.origins.stores.values(), self.store) if wanted else ():
            with contextlib.suppress(IntegrityError, InvalidInput):
                for _, root in store.all_roots():
                    yield store.tree(root)

    # -- what is left

    def end(self) -> None:
        """Say what is still missing, and which damage does not matter."""
        wrong = self.still_wrong()
        needed: set[str] = set()
        for key, root in self._roots():
            lost = missing_ranges(self.medium, str(key.id), root, wrong)
            # A dry run healed nothing, and so finds again what it would heal.
            missing = [one for one in lost if one.object not in self.found.healed]
            self.found.missing += missing
            needed |= {one.object for one in missing}
        promised = self.promised
        for name in sorted({*(name for name in wrong if name.startswith(layout.ROOTS)), *self._taken()}):
            known = key_of(name)
            ref = name.removeprefix(layout.ROOTS) if known is None else str(known.id)
            size = promised[name].size_bytes if name in promised else 0
            self.found.missing.append(Missing(ref=ref, object=name, path=None, start=0, end=size))
            needed.add(name)
        self.found.unneeded = sorted(name for name in wrong - needed if self.medium.head(name) is not None)

    def _taken(self) -> Iterator[str]:
        """Versions that name another tree than their pointers; whose that is only people can say."""
        for one in self.origins.expected:
            with contextlib.suppress(IntegrityError, InvalidInput):
                root = self.store.root(one.key)
                if root is not None and root.tree != one.digest:
                    yield one.key.name


def _check_format(store: Store) -> None:
    """Refuse a store of another format: what looks damaged there may only be newer."""
    with contextlib.suppress(NotFound, ValueError, AttributeError):
        version = json.loads(store.medium.get(layout.MARKER)).get("format")
        if isinstance(version, int) and version > FORMAT:
            raise needs_newer(f"the store {store.url} has format {version}", f"{version}.0")


def _order(name: str) -> tuple[int, str]:
    return next((at for at, prefix in enumerate(CACHED) if name.startswith(prefix)), len(CACHED)), name
