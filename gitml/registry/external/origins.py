"""Where referenced data may be read from: locations that a person on this machine has trusted, and no others.

A repository names locations, and whoever can write to it could name a private file or a server behind the firewall.
So nothing is read from a location before somebody here registered it or said `gitml store trust LOCATION`. Trust is
kept for each repository, and holds for all that lies below the location. The server of a bucket comes from the SDK's
own configuration, from the user's settings, or from a configured store in the same bucket; where the repository
names that server, it is part of what is trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gitml.errors import AccessDenied, GitMLError
from gitml.model.shown import shown
from gitml.model.source_url import SourceKind, SourceUrl
from gitml.registry.settings import TrustedStores
from gitml.registry.stores import StoreSet
from gitml.store.external.origin import Origin
from gitml.store.external.origins import open_origin
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.write.sourcecache import SourceCache

EXTERNAL = "external"
"""Name in the user's settings for buckets that no store lies in."""


class Origins:
    """Opens locations, each once.

    Args:
        stores: The stores of the same configuration.
        repository: Name of the repository in the memory of trusted locations.
        cache: What is known of files of this machine.
    """

    def __init__(self, stores: StoreSet, repository: str, cache: SourceCache | None = None) -> None:
        self._stores = stores
        self._repository = repository
        self._cache = cache
        self._open: dict[SourceUrl, Origin] = {}

    def check(self, locations: Sequence[SourceUrl]) -> None:
        """Refuse locations that nobody on this machine has trusted for this repository.

        Raises:
            AccessDenied: One of them.
        """
        untrusted = [one for one in locations if not self.trusted(one)]
        if untrusted:
            first = self._said(untrusted[0])
            more = f" and {len(untrusted) - 1} more" if len(untrusted) > 1 else ""
            raise AccessDenied(
                f"the data lies at {shown(first)}{more}, which is not trusted on this machine",
                code="source-not-trusted",
                hint=f"gitml store trust '{untrusted[0]}', if that is where it should be read from",
                context={"sources": [self._said(one) for one in untrusted]},
            )

    def trusted(self, location: SourceUrl) -> bool:
        """Whether a location, or one above it, is trusted with the server that it has at present."""
        for text, said in TrustedStores().locations(self._repository).items():
            if "://" not in text:
                continue
            try:
                above = SourceUrl.parse(text)
            except GitMLError:
                continue
            if above.covers(location) and said == self._said(above):
                return True
        return False

    def trust(self, location: SourceUrl, *, dry_run: bool = False) -> tuple[str | None, str]:
        """Trust a location on this machine; gives what was trusted before, and now.

        Raises:
            AccessDenied: This machine's memory of trusted locations cannot be written.
        """
        memory, said = TrustedStores(), self._said(location)
        before = memory.location(self._repository, str(location))
        if not dry_run and before != said and not memory.remember(self._repository, str(location), said):
            raise AccessDenied(
                "cannot write the memory of trusted locations on this machine",
                code="settings-unwritable",
                hint="make the state folder of your user writable",
            )
        return before, said

    def open(self, location: SourceUrl) -> Origin:
        """What reads a location; the caller has checked that it may.

        Raises:
            UsageError: The extra that brings its client is not installed.
        """
        if location not in self._open:
            options = None if location.kind is SourceKind.FOLDER else self._options(location)
            self._open[location] = open_origin(location, options=options, cache=self._cache)
        return self._open[location]

    def _options(self, location: SourceUrl) -> RemoteOptions:
        name = None if location.kind is SourceKind.WEB else self._holder(location)
        if name is None:
            return self._stores.settings.options(EXTERNAL)
        options, endpoint = self._stores.settings.options(name), self._stores.endpoint(name)
        return options if endpoint is None else replace(options, endpoint_url=endpoint)

    def _holder(self, location: SourceUrl) -> str | None:
        """The configured store that lies in the same bucket, whose server and credentials then count here, too."""
        wanted = str(location.root)
        for name in self._stores.names():
            try:
                if str(SourceUrl.parse(self._stores.location(name)).root) == wanted:
                    return name
            except GitMLError:
                continue
        return None

    def _said(self, location: SourceUrl) -> str:
        """A location, with its server where the repository names that."""
        if location.kind in (SourceKind.FOLDER, SourceKind.WEB):
            return str(location)
        name = self._holder(location)
        endpoint = None if name is None else self._stores.endpoint(name)
        return f"{location} at {endpoint}" if endpoint else str(location)
