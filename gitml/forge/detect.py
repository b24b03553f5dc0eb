"""Which forge keeps the requests of a repository."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gitml.errors import UsageError
from gitml.forge.local import LocalForge
from gitml.forge.shared import Shared
from gitml.registry.workspace import Workspace

LOCAL = "local"
AUTO = "auto"

# A forge that hosts a repository is where its people look for requests, so silence would mislead them.
_KNOWN_HOSTS = {
    "github.com": "github",
    "ssh.github.com": "github",
    "gitlab.com": "gitlab",
    "altssh.gitlab.com": "gitlab",
    "dev.azure.com": "azure_devops",
    "ssh.dev.azure.com": "azure_devops",
    "vs-ssh.visualstudio.com": "azure_devops",
    "bitbucket.org": "bitbucket",
    "altssh.bitbucket.org": "bitbucket",
    "gitea.com": "gitea",
    "codeberg.org": "gitea",
}
_KNOWN_SUFFIXES = {".ghe.com": "github", ".visualstudio.com": "azure_devops"}
_WITHOUT_ADAPTER = frozenset({*_KNOWN_HOSTS.values()})
_HINT = "forge: {kind: local} (in gitml.yaml)"

_WITH_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/@]*@)?(?P<host>\[[^\]]*\]|[^/:]*)")
_SCP_LIKE = re.compile(r"(?:[^/@:]+@)?(?P<host>\[[^\]]*\]|[^/:@]{2,}):(?!//)")


def forge_of_url(url: str) -> str | None:
    """Kind of the public forge that a git URL points to; None for a path or any other host."""
    match = _WITH_SCHEME.match(url) or _SCP_LIKE.match(url) or re.match(r"[^/@:]+@(?P<host>[^/:@]+)/", url)
    if match is None:
        return None
    host = match["host"].rstrip(".").casefold()
    if host in _KNOWN_HOSTS:
        return _KNOWN_HOSTS[host]
    return next((kind for suffix, kind in _KNOWN_SUFFIXES.items() if host.endswith(suffix)), None)


def forge_kind(settings: Mapping[str, Any], remote_url: str | None) -> str:
    """Kind of forge to use.

    Args:
        settings: The `forge` section of the configuration.
        remote_url: URL of the remote; None where there is none.

    Returns:
        "local", the only forge that this version speaks to.

    Raises:
        UsageError: The forge is known, but this version has no adapter for it, or the kind is no forge.
    """
    kind = settings.get("kind", AUTO)
    if kind == LOCAL:
        return LOCAL
    if kind == AUTO:
        found = forge_of_url(remote_url) if remote_url else None
        if found is None:
            return LOCAL
        raise _no_adapter(found, "the remote is there")
    if isinstance(kind, str) and kind in _WITHOUT_ADAPTER:
        raise _no_adapter(kind, "gitml.yaml asks for it")
    raise UsageError(
        f"gitml.yaml: forge.kind is {kind!r}; known are {AUTO}, {LOCAL}, {', '.join(sorted(_WITHOUT_ADAPTER))}",
        code="unknown-forge",
        hint=_HINT,
    )


def _no_adapter(kind: str, why: str) -> UsageError:
    return UsageError(
        f"requests on the forge {kind!r} are not supported by this version, and {why}",
        code="no-forge-adapter",
        hint=_HINT,
        context={"forge": kind},
    )


def open_forge(ws: Workspace) -> LocalForge:
    """The keeper of this registry's requests, refreshed.

    Raises:
        UsageError: See :func:`forge_kind`.
        StoreUnavailable: It cannot be reached.
    """
    remotes = ws.remotes
    forge_kind(ws.config.forge, remotes[ws.remote] if ws.remote else None)
    forge = LocalForge(Shared(ws.repo, ws.remote), ws.config.default_branch, progress=ws.progress)
    forge.refresh()
    return forge
