"""Judge the installation: git, identity, registry, stores, remote, and what protects the stages."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path

from gitml._version import __version__
from gitml.errors import GitMLError
from gitml.git.repository import Repository, git_version
from gitml.registry.stores import DEFAULT
from gitml.registry.workspace import Workspace
from gitml.store.layout import MARKER
from gitml.store.medium import HasCredentials

_OLDEST_GIT = (2, 38)
_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
)


class Health(Enum):
    """Verdict of one check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        health: The verdict.
        found: What was found, in words.
        hint: What to do, unless all is well.
    """

    name: str
    health: Health
    found: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Everything that `doctor` looked at, and whether anything failed."""

    healthy: bool
    checks: tuple[Check, ...]


def diagnose(path: str | Path = ".", registry: str | Path | None = None) -> Diagnosis:
    """Look at everything a command depends on; reports faults instead of raising them."""
    checks = [_program(), _git()]
    try:
        ws = Workspace.open(path, registry)
        checks += [
            _ok("registry", f"{ws.folder or '.'} in {ws.repo.top or ws.repo.git_dir}"),
            _attempt("configuration", lambda: _configuration(ws)),
            _attempt("identity", lambda: _identity(ws.repo)),
            _attempt("store", lambda: _store(ws)),
            *_variables(),
            _attempt("remote", lambda: _remote(ws)),
            _attempt("stages", lambda: _stages(ws)),
        ]
    except GitMLError as error:
        checks.append(_failed("registry", error))
    return Diagnosis(healthy=all(check.health is not Health.FAILED for check in checks), checks=tuple(checks))


def _ok(name: str, found: str) -> Check:
    return Check(name=name, health=Health.OK, found=found)


def _failed(name: str, error: GitMLError) -> Check:
    return Check(name=name, health=Health.FAILED, found=error.message, hint=error.hint)


def _attempt(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except GitMLError as error:
        return _failed(name, error)


def _program() -> Check:
    return _ok("gitml", f"{__version__} on Python {platform.python_version()}, {platform.system()}")


def _git() -> Check:
    try:
        version = git_version()
    except GitMLError as error:
        return _failed("git", error)
    text = ".".join(map(str, version))
    if version[:2] < _OLDEST_GIT:
        return Check(
            name="git", health=Health.FAILED, found=f"{text} is too old", hint="install git 2.38 or newer"
        )
    return _ok("git", text)


def _configuration(ws: Workspace) -> Check:
    config = ws.config
    return _ok(
        "configuration",
        f"default branch {config.default_branch}, stages {', '.join(config.stages) or 'none'}, "
        f"{len(ws.head().assets())} assets with {len(ws.head().ids())} versions at HEAD",
    )


def _identity(repo: Repository) -> Check:
    identity = repo.identity()
    return _ok("identity", f"{identity.name} <{identity.email}>")


def _store(ws: Workspace) -> Check:
    stores = ws.stores(ws.config)
    if DEFAULT not in stores.names():
        return Check(
            name="store",
            health=Health.WARNING,
            found="none configured: bytes stay in this clone's embedded store",
            hint="gitml init --store URL|PATH",
        )
    medium = stores.configured(DEFAULT).medium
    marked = medium.head(MARKER) is not None
    found = medium.url + ("" if marked else " (empty: nothing was registered yet)")
    if isinstance(medium, HasCredentials):
        found += f", by {medium.credentials()}"
    return _ok("store", found)


def near_misses(names: Iterable[str]) -> list[tuple[str, str]]:
    """Variables whose names are almost those that a store's SDK looks for, and what they were meant to be."""
    close = []
    for name in sorted(set(names) - set(_VARIABLES)):
        meant = get_close_matches(name.upper(), _VARIABLES, n=1, cutoff=0.93)
        if meant:
            close.append((name, meant[0]))
    return close


def _variables() -> list[Check]:
    """A warning for each misspelled variable; values are not looked at."""
    return [
        Check(
            name="variables",
            health=Health.WARNING,
            found=f"{name} means nothing; it looks like {meant}",
            hint=f"rename it to {meant}, or unset it",
        )
        for name, meant in near_misses(os.environ)
    ]


def _remote(ws: Workspace) -> Check:
    if ws.remote is None:
        return Check(
            name="remote",
            health=Health.WARNING,
            found="this clone has no git remote: nothing is shared",
            hint="gitml init --remote URL",
        )
    ws.repo.fetch(ws.remote)
    return _ok("remote", f"{ws.remote} answers")


def _stages(ws: Workspace) -> Check:
    return Check(
        name="stages",
        health=Health.WARNING,
        found=f"{', '.join(ws.config.stages) or 'none'}: GitML moves them by request only, but nothing that can be seen "
        "from here stops a plain `git push` to them",
        hint="protect these branches on the server",
    )
