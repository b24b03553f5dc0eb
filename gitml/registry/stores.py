"""The stores of one configuration: where a version's bytes go, and where they are.

Owns opening (settings override the repository, locations are trusted on first use) and the order of reading:
the embedded store, then the configured one. How bytes are laid out is the store room's business.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gitml._lazy import LazyModule
from gitml.errors import (
    AccessDenied,
    GitMLError,
    IntegrityError,
    NotFound,
    StoreUnavailable,
    UsageError,
)
from gitml.model.config import DEFAULT_STORE, EMBEDDED_STORE, Config
from gitml.model.names import AssetId, Version, VersionId
from gitml.model.progress import Progress
from gitml.model.store_url import check_endpoint, parse_store_url
from gitml.registry.places import checked_place, naming, refuse_unchecked
from gitml.registry.settings import Settings, TrustedStores, variable
from gitml.store.media import layout
from gitml.store.media.remote_options import RemoteOptions

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


class StoreSet:
    """Opens each store once, when it is first needed.

    Args:
        config: The configuration that names the stores and the registry id.
        settings: What the user overrides.
        state: GitML's folder in the repository's common directory.
        base: The folder that relative store paths start from; None refuses them.
        repository: Name of the repository in the memory of trusted locations.
        progress: Where a first use is announced.
        jobs: Worker threads; None lets the store choose.
        prefix: What stands before a store's name where people type it: `REPO//` for another registry.
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
        self.config = config
        self._prefix = prefix
        self._settings = settings
        self._state = state
        self._base = base
        self._repository = repository
        self._progress = progress
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
    def state(self) -> Path:
        """Where this clone keeps what it knows."""
        return self._state

    @property
    def settings(self) -> Settings:
        """What the user overrides."""
        return self._settings

    @property
    def has_embedded(self) -> bool:
        """Whether anything was ever written to the embedded store."""
        return (self._state / "store").is_dir()

    def names(self) -> list[str]:
        """Names of the configured stores, those of the user's settings included."""
        return sorted({*self.config.stores, *(name for name in self._settings.store_urls)})

    def location(self, name: str) -> str:
        """Where a configured store lies, a relative folder made absolute.

        Raises:
            UsageError: No such store is configured.
            InvalidInput: Its URL is malformed or of a kind that is not allowed.
        """
        said = "your settings" if name in self._settings.store_urls else "gitml.yaml"
        with naming(f"{said}: stores.{name}.url"):
            parsed = parse_store_url(self._said(name), self._base, allowed=self._settings.allow_schemes)
        if parsed.is_folder and not parsed.path.is_absolute():
            raise UsageError(
                f"the store {name} of {self._repository} is {parsed.path}, a folder beside a clone of that repository",
                code="relative-store",
                hint=f"clone it and run the command there, or set {variable(name, 'url')}",
                context={"store": name, "repository": self._repository},
            )
        return os.path.normpath(parsed.path) if parsed.is_folder else str(parsed)

    def _said(self, name: str) -> str:
        """A store's location as the user's override, or else the repository, says it."""
        if name in self._settings.store_urls:
            return self._settings.store_urls[name]
        if name in self.config.stores:
            return self.config.stores[name].url
        raise UsageError(
            f"no store {name!r} is configured",
            code="no-store",
            hint="gitml store list" if self.names() else "gitml init --store URL|PATH",
            context={"store": name, "configured": self.names()},
        )

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
            self._check_trust(name)
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

    def refuse_gone(self, name: str, medium: Medium) -> None:
        """Refuse a folder that was a store when this clone wrote to it, and is none any more.

        What is written below the mount point of a share that is not mounted would be lost to everybody else.

        Raises:
            StoreUnavailable: It is gone.
        """
        if (
            isinstance(medium, _folder.FolderMedium)
            and self._begun(name).exists()
            and medium.head(layout.MARKER) is None
        ):
            raise StoreUnavailable(
                f"the store {name} is gone: this clone has written to {medium.url}, where nothing is now",
                code="store-gone",
                hint=f"mount it; or, to begin it anew there: gitml store trust {name}",
                context={"store": name, "location": medium.url},
            )

    def remember_written(self, store: Store) -> None:
        """Note that a store was begun at its place."""
        name = next((name for name, one in self._open.items() if one is store), EMBEDDED)
        if name == EMBEDDED or not isinstance(store.medium, _folder.FolderMedium):
            return
        mark = self._begun(name)
        if not mark.exists():
            with suppress(OSError):
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()

    def _begun(self, name: str) -> Path:
        where = hashlib.sha256(f"{name}\0{self.location(name)}".encode()).hexdigest()
        return self._state / "begun" / where[:32]

    def check_endpoint(self, name: str) -> None:
        """Refuse a server that cannot be one of a store.

        Raises:
            InvalidInput: It is malformed, or would be reached without TLS.
        """
        options = self.options(name)
        if options.endpoint_url is not None:
            said = "your settings" if self._endpoint(name) is None else "gitml.yaml"
            with naming(f"{said}: stores.{name}.endpoint_url"):
                check_endpoint(options.endpoint_url, allow_http=options.allow_http)

    def options(self, name: str) -> RemoteOptions:
        """The user's settings for a remote store; the repository may add the server of the URL that it names."""
        options = self._settings.options(name)
        endpoint = self._endpoint(name)
        return options if endpoint is None else replace(options, endpoint_url=endpoint)

    def _endpoint(self, name: str) -> str | None:
        """The server that the repository names, unless the user's own settings say where the store is."""
        if name in self._settings.store_urls or self._settings.options(name).endpoint_url is not None:
            return None
        return self.config.stores[name].endpoint_url if name in self.config.stores else None

    def endpoint(self, name: str) -> str | None:
        """The server that the repository names for a store, where the user's own settings do not."""
        return self._endpoint(name)

    def _whole(self, name: str) -> str:
        """What the repository says of a store's place, its server included."""
        endpoint = self._endpoint(name)
        return self._said(name) + (f" at {endpoint}" if endpoint else "")

    def _check_trust(self, name: str) -> None:
        """Compare what the repository says with what it said last; a relative folder means another in each clone."""
        trusted, said = TrustedStores(), self._whole(name)
        known = trusted.location(self._repository, name)
        if known == said:
            return
        if known is None:
            endpoint = self._endpoint(name)
            place = self.location(name) + (f" at {endpoint}" if endpoint else "")
            self._progress.note(f"store {name}: first use of {place} on this machine")
            trusted.remember(self._repository, name, said)
            return
        raise AccessDenied(
            f"the store {name} moved from {known} to {said} since it was last used on this machine",
            code="store-not-trusted",
            hint=f"gitml store trust {self._prefix}{name}, if that is right",
            context={"store": f"{self._prefix}{name}", "was": known, "now": said},
        )

    def trust(self, name: str, *, dry_run: bool = False) -> tuple[str | None, str]:
        """Accept a store's present location on this machine; gives what was trusted before, and now.

        Raises:
            UsageError: No such store is configured.
            AccessDenied: This machine's memory of trusted stores cannot be written.
        """
        trusted, said = TrustedStores(), self._whole(name)
        before = trusted.location(self._repository, name)
        if not dry_run and before != said and not trusted.remember(self._repository, name, said):
            raise AccessDenied(
                "cannot write the memory of trusted stores on this machine",
                code="settings-unwritable",
                hint="make the state folder of your user writable",
            )
        if not dry_run:
            with suppress(GitMLError, OSError):  # an empty place is accepted, too
                self._begun(name).unlink(missing_ok=True)
        return before, said

    def last_location(self, name: str) -> str | None:
        """What the repository said of a store's place when it was last used on this machine."""
        return TrustedStores().location(self._repository, name)

    def trusted(self, name: str) -> bool:
        """Whether the store's location is the one last used on this machine, or the user's own."""
        if name in self._settings.store_urls:
            return True
        return self.last_location(name) == self._whole(name)

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
