"""Where the stores of one configuration lie: what the repository says, what the user's settings say instead.

Owns which server and settings hold for a store, whether its place is trusted on this machine, and whether a folder
that was written to is there still. Nothing is opened here.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gitml._lazy import LazyModule
from gitml.errors import AccessDenied, GitMLError, StoreUnavailable, UsageError
from gitml.model.config import Config
from gitml.model.progress import Progress
from gitml.model.store_url import check_endpoint, parse_store_url
from gitml.registry.places import naming
from gitml.registry.settings import Settings, TrustedStores, variable
from gitml.store.media import layout
from gitml.store.media.remote_options import RemoteOptions

if TYPE_CHECKING:
    from gitml.store.media import folder as _folder
    from gitml.store.media.medium import Medium
else:
    # What only reads pointers never opens a store.
    _folder = LazyModule("gitml.store.media.folder")


class Locations:
    """What is said about each store.

    Args:
        config: The configuration that names the stores.
        settings: What the user overrides.
        state: GitML's folder in the repository's common directory.
        base: The folder that relative store paths start from; None refuses them.
        repository: Name of the repository in the memory of trusted locations.
        progress: Where a first use is announced.
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
        prefix: str = "",
    ) -> None:
        self.config = config
        self._prefix = prefix
        self._settings = settings
        self._state = state
        self._base = base
        self._repository = repository
        self._progress = progress

    @property
    def state(self) -> Path:
        """Where this clone keeps what it knows."""
        return self._state

    @property
    def settings(self) -> Settings:
        """What the user overrides."""
        return self._settings

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

    def check_endpoint(self, name: str) -> None:
        """Refuse a server that cannot be one of a store.

        Raises:
            InvalidInput: It is malformed, or would be reached without TLS.
        """
        options = self.options(name)
        if options.endpoint_url is not None:
            said = "your settings" if self.endpoint(name) is None else "gitml.yaml"
            with naming(f"{said}: stores.{name}.endpoint_url"):
                check_endpoint(options.endpoint_url, allow_http=options.allow_http)

    def options(self, name: str) -> RemoteOptions:
        """The user's settings for a remote store; the repository may add the server of the URL that it names."""
        options = self._settings.options(name)
        endpoint = self.endpoint(name)
        return options if endpoint is None else replace(options, endpoint_url=endpoint)

    def endpoint(self, name: str) -> str | None:
        """The server that the repository names for a store, unless the user's own settings say where that is."""
        if name in self._settings.store_urls or self._settings.options(name).endpoint_url is not None:
            return None
        return self.config.stores[name].endpoint_url if name in self.config.stores else None

    def _whole(self, name: str) -> str:
        """What the repository says of a store's place, its server included."""
        endpoint = self.endpoint(name)
        return self._said(name) + (f" at {endpoint}" if endpoint else "")

    def check_trust(self, name: str) -> None:
        """Compare what the repository says with what it said last; a relative folder means another in each clone."""
        trusted, said = TrustedStores(), self._whole(name)
        known = trusted.location(self._repository, name)
        if known == said:
            return
        if known is None:
            endpoint = self.endpoint(name)
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
                self.begun(name).unlink(missing_ok=True)
        return before, said

    def last_location(self, name: str) -> str | None:
        """What the repository said of a store's place when it was last used on this machine."""
        return TrustedStores().location(self._repository, name)

    def trusted(self, name: str) -> bool:
        """Whether the store's location is the one last used on this machine, or the user's own."""
        if name in self._settings.store_urls:
            return True
        return self.last_location(name) == self._whole(name)

    def refuse_gone(self, name: str, medium: Medium) -> None:
        """Refuse a folder that was a store when this clone wrote to it, and is none any more.

        What is written below the mount point of a share that is not mounted would be lost to everybody else.

        Raises:
            StoreUnavailable: It is gone.
        """
        if (
            isinstance(medium, _folder.FolderMedium)
            and self.begun(name).exists()
            and medium.head(layout.MARKER) is None
        ):
            raise StoreUnavailable(
                f"the store {name} is gone: this clone has written to {medium.url}, where nothing is now",
                code="store-gone",
                hint=f"mount it; or, to begin it anew there: gitml store trust {name}",
                context={"store": name, "location": medium.url},
            )

    def begun(self, name: str) -> Path:
        """The mark of this clone having written to a store where it lies now."""
        where = hashlib.sha256(f"{name}\0{self.location(name)}".encode()).hexdigest()
        return self._state / "begun" / where[:32]
