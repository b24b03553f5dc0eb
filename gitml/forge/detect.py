"""Which forge keeps the requests of a repository, and how it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from gitml.errors import AccessDenied, InvalidInput, UsageError
from gitml.forge.access import Access, Place, check_api_url, host_of, place_of
from gitml.forge.base import Forge
from gitml.forge.hosted import HostedForge
from gitml.forge.hosting import Host
from gitml.forge.local import LocalForge
from gitml.forge.patience import Patience, Words
from gitml.forge.shared import Shared
from gitml.forge.tokens import how_to_give, token_for
from gitml.forge.vendors import VENDORS, Vendor, vendor_of_host
from gitml.registry.workspace import Workspace

_NO_WAY = frozenset(
    {
        "no-forge-token",
        "forge-host-not-trusted",
        "extra-missing",
        "no-forge-adapter",
        "no-forge-remote",
        "unknown-forge",
    }
)
LOCAL = "local"
AUTO = "auto"
_HINT = "forge: {kind: local} (in gitml.yaml)"


def forge_of_url(url: str) -> str | None:
    """Kind of the public forge that a git URL points to; None for a path or any other host."""
    place = place_of(url)
    vendor = vendor_of_host(place.host) if place is not None else None
    return vendor.kind if vendor is not None else None


def forge_kind(settings: Mapping[str, Any], remote_url: str | None) -> str:
    """Kind of forge to use.

    Args:
        settings: The `forge` section of the configuration.
        remote_url: URL of the remote; None where there is none.

    Raises:
        UsageError: The kind is no forge.
    """
    kind: object = settings.get("kind", AUTO)
    if kind == AUTO:
        return (forge_of_url(remote_url) if remote_url else None) or LOCAL
    if isinstance(kind, str) and (kind == LOCAL or kind in VENDORS):
        return kind
    raise UsageError(
        f"gitml.yaml: forge.kind is {kind!r}; known are {AUTO}, {LOCAL}, {', '.join(sorted(VENDORS))}",
        code="unknown-forge",
        hint=_HINT,
    )


def open_forge(ws: Workspace) -> Forge:
    """The keeper of this registry's requests, refreshed.

    Raises:
        UsageError: There is no such forge, its client is not installed, or the remote is on no host.
        AccessDenied: There is no token, or none that may go to that host.
        StoreUnavailable: It cannot be reached.
    """
    url = ws.remotes[ws.remote] if ws.remote else None
    kind = forge_kind(ws.config.forge, url)
    shared = Shared(ws.repo, ws.remote, stages=ws.config.stages)
    forge: Forge
    if kind == LOCAL:
        forge = LocalForge(shared, ws.config.default_branch, progress=ws.progress)
    else:
        forge = HostedForge(_host(ws, VENDORS[kind], url), shared, progress=ws.progress)
    forge.refresh()
    return forge


def open_forge_if_possible(ws: Workspace) -> tuple[Shared, Forge | None]:
    """The shared repository, refreshed, and the forge; None where this machine has no way to ask it, which is told.

    Raises:
        UsageError: There is no such forge.
        AccessDenied: The forge refuses the token.
        StoreUnavailable: Repository or forge cannot be reached.
    """
    try:
        forge = open_forge(ws)
        return forge.shared, forge
    except (AccessDenied, UsageError) as error:
        if error.code not in _NO_WAY:
            raise
        ws.progress.note(f"the forge is not asked about requests: {error.message}")
    shared = Shared(ws.repo, ws.remote, stages=ws.config.stages)
    shared.refresh()
    return shared, None


def _host(ws: Workspace, vendor: Vendor, url: str | None) -> Host:
    place = place_of(url) if url else None
    if place is None:
        raise UsageError(
            f"the forge is {vendor.title}, and this repository has no remote on a host",
            code="no-forge-remote",
            hint=f"git remote add origin URL, or {_HINT}",
            context={"forge": vendor.kind},
        )
    module = _adapter(vendor)
    api_url = _api_url(ws.config.forge, vendor, place)
    token = token_for(vendor, place, api_url, confirmed=ws.settings.forge_hosts)
    words = Words(
        forge=f"{vendor.title} ({host_of(api_url)})",
        rights=vendor.rights,
        token=f"that of {token.source} is not; {how_to_give(vendor)}",
    )
    patience = Patience(words, secret=token.value, total_s=ws.settings.options("").timeout_s)
    return cast(
        Host,
        module.open_host(Access(api_url=api_url, place=place, token=token, patience=patience)),
    )


def _api_url(settings: Mapping[str, Any], vendor: Vendor, place: Place) -> str:
    configured = settings.get("url")
    if configured is None:
        return vendor.api_url(place)
    if not isinstance(configured, str):
        raise InvalidInput("gitml.yaml: forge.url is no text", code="forge-url", hint="forge: {url: URL}")
    return check_api_url(configured)


def _adapter(vendor: Vendor) -> Any:
    """The module that speaks with a forge."""
    try:
        return import_module(vendor.module)
    except ImportError as error:
        if error.name == vendor.module:
            raise UsageError(
                f"requests on {vendor.title} are not supported by this version",
                code="no-forge-adapter",
                hint=_HINT,
                context={"forge": vendor.kind},
            ) from error
        raise UsageError(
            f"requests on {vendor.title} need the extra {vendor.extra}: {error}",
            code="extra-missing",
            hint=f"pip install 'gitml[{vendor.extra}]'",
            context={"forge": vendor.kind},
        ) from error
