"""The stores of one configuration: where a version's bytes go, and where they are.

Owns opening (where each lies is said by :mod:`gitml.registry.locations`) and the order of reading:
the embedded store, then the configured one. How bytes are laid out is the store room's business.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gitml._lazy import LazyModule
from gitml.errors import (
    AccessDenied,
    GitMLError,
    IntegrityError,
    NotFound,
    StoreUnavailable,
)
from gitml.model.config import DEFAULT_STORE, EMBEDDED_STORE, Config
from gitml.model.names import AssetId, Version, VersionId
from gitml.model.progress import Progress
from gitml.registry.locations import Locations
from gitml.registry.places import checked_place, refuse_unchecked
from gitml.registry.settings import Settings
from gitml.store.media import layout

if TYPE_CHECKING:
    from gitml.model.pointer import Pointer
    from gitml.store import store as _store
    from gitml.store.media import cache as _cache
    from gitml.store.media import folder as _folder
    from gitml.store.media import opening as _opening
    from gitml.store.media.medium import Medium
    from gitml.store.store import Root, RootKey, Store
else:
    # What only reads pointers never opens a store.
    _store = LazyModule("gitml.store.store")
    _cache = LazyModule("gitml.store.media.cache")
    _folder = LazyModule("gitml.store.media.folder")
    _opening = LazyModule("gitml.store.media.opening")

DEFAULT = DEFAULT_STORE
EMBEDDED = EMBEDDED_STORE
PURGED = "purged"
"""Code of errors about contents that were purged."""
_EMPTY = "store-empty"


class StoreSet(Locations):
    """Opens each store once, when it is first needed.

    Args:
        config: The configuration that names the stores and the registry id.
        jobs: Worker threads; None lets the store choose.
        settings, state, base, repository, progress, prefix: See :class:`Locations`.
    """

    def __init__(
        self,
        config: Config,
        settings: Settings,
        *,
        state: Path,
        base: Path | None,
        repository: str,
        progress: Progress,
        jobs: int | None,
        prefix: str = "",
    ) -> None:
        super().__init__(
            config,
            settings,
            state=state,
            base=base,
            repository=repository,
            progress=progress,
            prefix=prefix,
        )
        self._jobs = jobs
        self._open: dict[str, Store] = {}

    @property
    def embedded(self) -> Store:
        """The store inside this repository's own folder; it always exists."""
        if EMBEDDED not in self._open:
            self._open[EMBEDDED] = _store.Store(
                _folder.FolderMedium(self._state / "store"),
                journal=self._state / "journal",
                cache=None,
                jobs=self._jobs,
            )
        return self._open[EMBEDDED]

    @property
    def has_embedded(self) -> bool:
        """Whether anything was ever written to the embedded store."""
        return (self._state / "store").is_dir()

    def configured(self, name: str = DEFAULT) -> Store:
        """Open a configured store.

        Raises:
            UsageError: No such store is configured.
            InvalidInput: Its URL is malformed or of a kind that is not allowed.
            AccessDenied: Its location changed since it was last used on this machine.
            PolicyRefused: It is of a kind that promises nothing, and nobody checked it, or it was found unfit.
        """
        if name not in self._open:
            refuse_unchecked(self.location(name), self._settings)
            medium = self.medium(name)
            cache = _cache.cache_for(medium, self._settings.cache)
            if cache is not None and cache.problem is not None:
                self._progress.note(f"no cache is used: {cache.problem}")
            self._open[name] = _store.Store(
                medium, journal=self._state / "journal", cache=cache, jobs=self._jobs
            )
        return self._open[name]

    def medium(self, name: str) -> Medium:
        """The place of a configured store, whether or not it is fit to be one.

        Raises:
            UsageError: No such store is configured.
            InvalidInput: Its URL is malformed or of a kind that is not allowed.
            AccessDenied: Its location changed since it was last used on this machine.
        """
        location = self.location(name)
        if name not in self._settings.store_urls:
            self.check_trust(name)
        self.check_endpoint(name)
        return _opening.open_medium(
            location, options=self.options(name), allowed=self._settings.allow_schemes
        )

    def elsewhere(self, text: str, base: Path) -> Store:
        """The store at a URL or path that the user typed.

        Raises:
            InvalidInput: The URL is malformed or of a kind that is not allowed.
            PolicyRefused: As for :meth:`configured`.
        """
        return _store.Store(checked_place(text, base, self._settings), jobs=self._jobs)

    def for_writing(self, name: str) -> Store:
        """As :meth:`configured`; see :meth:`refuse_gone`."""
        store = self.configured(name)
        self.refuse_gone(name, store.medium)
        return store

    def remember_written(self, store: Store) -> None:
        """Note that a store was begun at its place."""
        name = next((name for name, one in self._open.items() if one is store), EMBEDDED)
        if name == EMBEDDED or not isinstance(store.medium, _folder.FolderMedium):
            return
        mark = self.begun(name)
        if not mark.exists():
            with suppress(OSError):
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()

    def target(self, asset_type: str, *, offline: bool = False) -> tuple[str, Store]:
        """Where `register` writes: the store that takes the type, or the embedded one where there is none."""
        name = self.config.store_for(asset_type)
        if offline or name not in self.names():
            return EMBEDDED, self.embedded
        return name, self.for_writing(name)

    def key(self, version: VersionId) -> RootKey:
        """Name of a version's root in every store."""
        return _store.RootKey(registry=self.config.registry, id=version)

    def claimed(self, asset: AssetId, store: Store) -> list[Version]:
        """Versions of an asset that a store has roots for; a hint, as every listing."""
        return store.versions(self.config.registry, asset)

    def locate(self, pointer: Pointer) -> tuple[Store, Root]:
        """The store that has the pointer's bytes, and their root there.

        Raises:
            NotFound: Neither store has that version.
            StoreUnavailable: The configured store holds nothing at all, as where it is not mounted.
            IntegrityError: The store has other contents under that version.
        """
        key = self.key(pointer.id)
        if self.has_embedded:
            root = self.embedded.root(key)
            if root is not None and root.tree == pointer.contents.digest:
                return self.embedded, root
        name = pointer.contents.store
        if name not in self.names():
            raise NotFound(
                f"the bytes of {pointer.id} are in the embedded store of another clone: no store {name!r} is configured",
                code="bytes-not-here",
                hint="in the clone that registered it: gitml init --store URL|PATH, then gitml push",
                context={"ref": str(pointer.id), "store": name},
            )
        store = self.configured(name)
        root = store.root(key)
        if root is None:
            raise self._absent(store, pointer)
        if root.tree != pointer.contents.digest:
            raise IntegrityError(
                f"the store {name} has {root.tree} under {pointer.id}, but its pointer says {pointer.contents.digest}",
                code="root-differs",
                hint="gitml store verify, and restore the root from a copy of the store",
                context={"ref": str(pointer.id), "store": name},
            )
        return store, root

    def _absent(self, store: Store, pointer: Pointer) -> GitMLError:
        """What is said of a version that its store does not keep."""
        id_, name = pointer.id, pointer.contents.store
        context = {"ref": str(id_), "store": name}
        if not store.has_anything():
            return self.empty(name, f"gitml push in the clone that registered {id_}")
        if store.has_purged(pointer.contents.digest):
            return NotFound(
                f"the contents of {id_} were purged from the store {name}, on purpose and for good",
                code=PURGED,
                hint=f"gitml deprecate {id_} -m purged, so that it is no longer the latest; or git rm -r {id_.folder}",
                context=context | {"object": layout.purged_name(pointer.contents.digest.hex)},
            )
        return NotFound(
            f"the store {name} ({self.location(name)}) has no bytes of {id_}",
            code="bytes-not-here",
            hint="gitml push in the clone that registered it",
            context=context,
        )

    def empty(self, name: str, otherwise: str) -> StoreUnavailable:
        """What is said of a store that holds nothing, where something is looked for."""
        first = "look at its URL" if "://" in self.location(name) else "mount it"
        return StoreUnavailable(
            f"the store {name} ({self.location(name)}) holds nothing at all",
            code=_EMPTY,
            hint=f"{first}; where nothing was ever written to it, {otherwise}",
            context={"store": name},
        )

    def missing(self, pointer: Pointer, *, shared: bool) -> list[str]:
        """What keeps the pointer's bytes from being whole in a store; empty when they are.

        Args:
            pointer: The version.
            shared: Only the configured store counts, because others have to read it too.

        Raises:
            StoreUnavailable, AccessDenied: A store cannot be asked, which says nothing about the bytes.
        """
        try:
            store, root = self.locate(pointer)
            if shared and store is self._open.get(EMBEDDED):
                store = self.configured(pointer.contents.store)
                found = store.root(self.key(pointer.id))
                if found is None or found.tree != pointer.contents.digest:
                    return [f"{pointer.id} is in this clone's embedded store only"]
                root = found
            return store.missing(root)
        except GitMLError as error:
            if isinstance(error, AccessDenied | StoreUnavailable) and error.code != _EMPTY:
                raise
            return [error.message]

    def holds(self, pointer: Pointer, *, shared: bool = False) -> bool:
        """Whether every object of the pointer's tree is in a store; see :meth:`missing`."""
        return not self.missing(pointer, shared=shared)
