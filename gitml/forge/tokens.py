"""Where a token for a forge comes from, and which host may see it.

A token from the environment goes to the vendor's public hosts, to a host that the build server itself names, and to
hosts that the user confirmed. What git's credential helpers and `gh` keep is kept for one host, and goes to that one.
A repository names a host by its remote and in `gitml.yaml`; that alone opens no way to a token of the environment.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from gitml.errors import AccessDenied, InvalidInput
from gitml.forge.access import Place, Token, host_of
from gitml.forge.vendors import Vendor
from gitml.git.credentials import gh_token, stored_credential

VARIABLE = "GITML_FORGE_TOKEN"


def token_for(vendor: Vendor, place: Place, api_url: str, *, confirmed: Collection[str]) -> Token:
    """The token to speak to an API with.

    Args:
        vendor: Kind of forge.
        place: The remote.
        api_url: Where the API is, as vendor or configuration say.
        confirmed: Hosts that the user trusts with tokens.

    Raises:
        AccessDenied: The host is not the remote's own and not confirmed, or there is no token for it.
        InvalidInput: What stands in a variable cannot be a token.
    """
    host = host_of(api_url)
    is_own = host in (place.host, host_of(vendor.api_url(place)))
    if not is_own and host not in confirmed:
        raise AccessDenied(
            f"gitml.yaml names {host} as the forge of a repository on {place.host}, and a token would go there",
            code="forge-host-not-trusted",
            hint=_confirm(host),
            context={"host": host, "remote_host": place.host},
        )
    is_public = is_own and vendor.is_public(place.host)
    is_meant = host in confirmed or host in _named(vendor)
    for token in _candidates(vendor, place, is_public=is_public, is_meant=is_meant, is_own=is_own):
        if not token.value.isprintable() or not token.value.isascii() or " " in token.value:
            raise InvalidInput(
                f"what {token.source} holds cannot be a token",
                code="bad-token",
                hint=f"set {token.source} anew",
            )
        return token
    raise _none(vendor, host, is_public=is_public, is_meant=is_meant)


def _candidates(
    vendor: Vendor, place: Place, *, is_public: bool, is_meant: bool, is_own: bool
) -> Iterator[Token]:
    names: tuple[str, ...] = ()
    if is_public:
        names = (VARIABLE, *vendor.variables)
    elif is_meant:
        names = (VARIABLE, *(vendor.own_variables or vendor.variables))
    for name in names:
        value = os.environ.get(name, "").strip()
        if value:
            yield Token(value=value, source=name)
    if not is_own:
        return
    port = f":{place.port}" if place.is_web and place.port is not None else ""
    stored = stored_credential(place.host + port, place.path)
    if stored is not None:
        yield Token(value=stored.password, user=stored.username or None, source="git's credential helper")
    if vendor.kind == "github":
        kept = gh_token("github.com" if place.host == "ssh.github.com" else place.host)
        if kept:
            yield Token(value=kept, source="gh auth token")


def _named(vendor: Vendor) -> set[str]:
    """Hosts that the environment itself says the tokens are meant for."""
    found = set()
    for name in vendor.named_by:
        text = os.environ.get(name, "")
        host = host_of(text if "://" in text else f"https://{text}")
        if host:
            found.add(host)
    return found


def how_to_give(vendor: Vendor) -> str:
    """How a person gives a token, in a few words."""
    more = ", or gh auth login" if vendor.kind == "github" else ", or git's credential helper"
    return f"{VARIABLE} or {vendor.variables[0]} in the environment{more}"


def _none(vendor: Vendor, host: str, *, is_public: bool, is_meant: bool) -> AccessDenied:
    ignored = [] if is_public or is_meant else [
        name for name in (VARIABLE, *vendor.variables) if os.environ.get(name)
    ]  # fmt: skip
    if ignored:
        return AccessDenied(
            f"{ignored[0]} holds a token, and nothing says that it is meant for {host}",
            code="forge-host-not-trusted",
            hint=_confirm(host),
            context={"host": host},
        )
    return AccessDenied(
        f"there is no token for {vendor.title} on {host}",
        code="no-forge-token",
        hint=f"{how_to_give(vendor)}; it needs {vendor.rights}",
        context={"host": host, "forge": vendor.kind},
    )


def _confirm(host: str) -> str:
    return f"if you trust it: forge: {{hosts: [{host}]}} in your settings (config.yaml), or GITML_FORGE_HOSTS={host}"
