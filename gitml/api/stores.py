"""The verbs of `gitml store`: :class:`Stores`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gitml._lazy import LazyModule
from gitml.model.progress import SILENT, Progress
from gitml.registry.workspace import Workspace

if TYPE_CHECKING:
    from gitml.registry.care import checking as _checking
    from gitml.registry.care import garbage as _garbage
    from gitml.registry.care import repair as _repair
    from gitml.registry.care import replication as _replication
    from gitml.registry.care import stored as _stored
    from gitml.registry.care import upkeep as _upkeep
    from gitml.registry.others import addresses as _addresses
    from gitml.registry.others import opening as _others
    from gitml.registry.write import referring as _referring
    from gitml.registry.write import registered as _registered
else:
    _checking = LazyModule("gitml.registry.care.checking")
    _garbage = LazyModule("gitml.registry.care.garbage")
    _repair = LazyModule("gitml.registry.care.repair")
    _replication = LazyModule("gitml.registry.care.replication")
    _stored = LazyModule("gitml.registry.care.stored")
    _upkeep = LazyModule("gitml.registry.care.upkeep")
    _addresses = LazyModule("gitml.registry.others.addresses")
    _others = LazyModule("gitml.registry.others.opening")
    _referring = LazyModule("gitml.registry.write.referring")


def stores(
    path: str | Path = ".",
    *,
    registry: str | Path | None = None,
    jobs: int | None = None,
    progress: Progress = SILENT,
) -> Stores:
    """The stores of the registry at or above a folder; `check` of a URL works where there is none, too."""

    def find() -> Workspace:
        return Workspace.open(path, registry, progress=progress, jobs=jobs)

    return Stores(find, caller=path, progress=progress)


class Stores:
    """The stores that this registry's configuration names."""

    def __init__(self, find: Callable[[], Workspace], *, caller: str | Path, progress: Progress) -> None:
        self._find = find
        self._caller = caller
        self._progress = progress

    @property
    def _ws(self) -> Workspace:
        return self._find()

    def list(self) -> tuple[_stored.StoreInfo, ...]:
        """Every store: name, location, where that is said, and whether it is trusted on this machine."""
        return _stored.stores(self._ws)

    def check(self, where: str | None = None) -> _checking.StoreCheck:
        """Ask a place everything that a store relies on: races writers, reads after writes, ranges, names, speed.

        What it writes is removed again. A place of a kind that promises nothing by itself (see `allow_schemes` in
        your settings) may be used as a store once this found it fit.

        Args:
            where: Name of a store, or a URL or path; default is the store `default`. A URL or path needs no registry.

        Raises:
            PolicyRefused: A promise is broken; `context["faults"]` lists all of them.
            UsageError: There is no such store.
            StoreUnavailable, AccessDenied, NoSpace: The place cannot be used at all.
        """
        caller = Path(self._caller).resolve()
        return _checking.check(self._find, where, caller=caller, progress=self._progress)

    def trust(self, name: str, *, dry_run: bool = False) -> _stored.Trusted:
        """Accept the present location of a store on this machine, or a location that versions refer to.

        Args:
            name: Name of a store, `REPO//` before it for one of another registry; or the URL of a folder, bucket,
                prefix or web address, and all below it.
            dry_run: Only say what would be trusted.

        Raises:
            UsageError: No such store.
            InvalidInput: No such kind of location.
        """
        if not ("//" in name and _addresses.names_store(name)):
            return _stored.trust(self._ws, name, dry_run=dry_run)
        caller = Path(self._caller).resolve()
        ws, inner = _others.open_other(name, self._find, caller=caller, progress=self._progress)
        return _stored.trust(ws, inner, dry_run=dry_run)

    def verify(
        self, name: str | None = None, *, part: str | None = None, within: str | None = None
    ) -> _stored.StoreVerification:
        """Check every object of a store against its name, and every version's tree for completeness.

        Args:
            name: Name of the store, or `embedded`; default is the configured one.
            part: Only this part, as `2/7`; seven such runs read each object once.
            within: Only what can be read in this time, as `10m`; the next run goes on there.

        Raises:
            IntegrityError: Something is wrong; `context["faults"]` lists all of it.
            StoreUnavailable: It holds nothing at all, and versions that should be in it are registered.
            UsageError: A malformed part or time.
        """
        return _stored.verify(self._ws, name, part=part, within=within)

    def du(self, name: str | None = None) -> _stored.DiskUsage:
        """Unique and shared bytes of each version in a store."""
        return _stored.du(self._ws, name)

    def adopt(self, ref: str, *, dry_run: bool = False) -> _registered.Registered:
        """Copy the data that a version refers to into the store, as the asset's next version.

        It gets the fields of the version it was copied from, which becomes its input. The bytes stream through this
        machine, judged on the way; none is kept on its disk.

        Args:
            ref: The version, registered with `reference`.
            dry_run: Plan only.

        Raises:
            UsageError: Its bytes are in the store already.
            AccessDenied: It refers to what is not trusted on this machine.
            IntegrityError: A source is gone, or not what was registered; no version is made.
        """
        return _referring.adopt(self._ws, ref, dry_run=dry_run)

    def forget(self, ref: str, *, store: str | None = None, dry_run: bool = False) -> _garbage.Forgotten:
        """Stop keeping a version, so that `gc` may free what only it uses.

        Args:
            ref: TYPE/NAME@VERSION.
            store: Name of the store, or `embedded`; default is the configured one.
            dry_run: Only say what would go.

        Raises:
            NotFound: The store does not keep that version.
            PolicyRefused: A local or remote-tracking branch still has its pointer; of the embedded store, and its
                bytes are in no other.
        """
        return _garbage.forget(self._ws, ref, store=store, dry_run=dry_run)

    def gc(self, name: str | None = None, *, dry_run: bool = False) -> _garbage.GarbageCollection:
        """Condemn what no version of any registry needs, and delete what was condemned two weeks ago.

        Safe beside writers, readers and other collections. Versions are never let go: see `forget`.

        Args:
            name: Name of the store, or `embedded`; default is the configured one.
            dry_run: Only say what would go.

        Raises:
            IntegrityError: A version cannot be followed, so nobody knows what it needs; nothing was deleted.
        """
        return _garbage.gc(self._ws, name, dry_run=dry_run)

    def repack(self, name: str | None = None, *, dry_run: bool = False) -> _upkeep.Repacked:
        """Merge small packs and leave behind what no version uses; `gc` frees the old ones.

        Safe beside writers, readers and collections.

        Args:
            name: Name of the store, or `embedded`; default is the configured one.
            dry_run: Only say what would be done.

        Raises:
            IntegrityError: Something that would have to move is damaged; nothing was changed.
        """
        return _upkeep.repack(self._ws, name, dry_run=dry_run)

    def purge(self, ref: str, *, store: str | None = None, dry_run: bool = False) -> _upkeep.Purged:
        """Remove what only one version uses from a store, at once, and refuse these contents from then on.

        Readers of other versions whose bytes have to move may have to begin again. Do not repack meanwhile.

        Args:
            ref: TYPE/NAME@VERSION.
            store: Name of the store, or `embedded`; default is the configured one.
            dry_run: Only say what would go.

        Raises:
            NotFound: The store does not keep that version.
            PolicyRefused: Another version has one of its files; `context["files"]` lists them.
            Conflict: The same bytes were registered meanwhile.
        """
        return _upkeep.purge(self._ws, ref, store=store, dry_run=dry_run)

    def replicate(
        self, a: str, b: str, *, deep: bool = False, dry_run: bool = False
    ) -> _replication.Replicated:
        """Give a store every version of another, and restore what it lost.

        Args:
            a: The store to read: a name, URL or path.
            b: The store to bring up to date: a name, URL or path.
            deep: Read all of `b` first and heal what is damaged, too; otherwise only what is missing.
            dry_run: Only say what would be copied.

        Raises:
            NotFound: `a` is no store.
            UsageError: `a` and `b` are one store, or one of them is a word that is no store's name.
            PartlyDone: Versions that `b` refused or that `a` cannot give, or objects that neither has; the rest is done.
        """
        return _replication.replicate(self._ws, a, b, deep=deep, dry_run=dry_run)

    def repair(
        self,
        name: str | None = None,
        *,
        sources: Sequence[str] = (),
        files: Sequence[str | Path] = (),
        dry_run: bool = False,
    ) -> _repair.Repaired:
        """Restore what a store lost, from other stores, the cache, and files that were placed from this clone.

        Reads all of the store first. Nothing is deleted, and what is right is left alone.

        Args:
            name: Name of the store, or `embedded`; default is the configured one.
            sources: Look in these stores: names, URLs or paths; default is every store that is known.
            files: Look in these folders, too, for files of versions.
            dry_run: Only say what would be done.

        Raises:
            PartlyDone: Bytes are lost; `context["missing"]` says which of which file. The rest is done.
            UsageError: A source is the store itself, or a word that is no store's name.
            NotFound: A source is no store; no such folder.
        """
        return _repair.repair(self._ws, name, sources=sources, files=files, dry_run=dry_run)
