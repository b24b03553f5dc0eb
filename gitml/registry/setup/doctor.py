"""Judge the installation: git, identity, registry, stores, remote, and what protects the stages."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from gitml._version import __version__
from gitml.errors import GitMLError, NotFound
from gitml.git.repository import Repository, git_version
from gitml.model.config import DEFAULT_STORE
from gitml.registry.care.checking import hasty
from gitml.registry.settings import STORE_KEYS, variable
from gitml.registry.setup.doctor_stores import store_checks
from gitml.registry.setup.health import Check, Health, failed
from gitml.registry.setup.hooks import protects_stages
from gitml.registry.workspace import Workspace

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
    "GITML_ALLOW_SCHEMES",
    "GITML_CACHE_DIR",
    "GITML_CACHE_SIZE",
    "GITML_FORGE_HOSTS",
    "GITML_FORGE_TOKEN",
    "GITML_JOBS",
    "GITML_LOG",
    "GITML_TIMEOUT_S",
)
# What other programs, or older ones, call the same thing.
_OTHER_NAMES: Final = {
    "AWS_ACCESS_KEY": "AWS_ACCESS_KEY_ID",
    "AWS_KEY_ID": "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_KEY": "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_ACCESS_KEY_ID": "AWS_SECRET_ACCESS_KEY",
    "AWS_S3_ENDPOINT": "AWS_ENDPOINT_URL",
    "AWS_S3_ENDPOINT_URL": "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT": "AWS_ENDPOINT_URL",
    "AZURE_STORAGE_ACCOUNT": "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_KEY": "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY": "AZURE_STORAGE_ACCOUNT_KEY",
    "GITML_STORE_URL": "GITML_STORE_DEFAULT_URL",
    "GITML_STORE_ENDPOINT_URL": "GITML_STORE_DEFAULT_ENDPOINT_URL",
}
_CUTOFF: Final = 0.93


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Everything that `doctor` looked at, and whether anything failed."""

    healthy: bool
    checks: tuple[Check, ...]

    @property
    def error(self) -> GitMLError | None:
        """That of the first check that failed: what failed later may follow from it."""
        return next((check.error for check in self.checks if check.error is not None), None)


def diagnose(path: str | Path = ".", registry: str | Path | None = None) -> Diagnosis:
    """Look at everything a command depends on; reports faults instead of raising them."""
    checks = [_program(), _git()]
    try:
        ws = Workspace.open(path, registry)
        ws.settings = hasty(ws.settings)
        checks += [
            _ok("registry", f"{ws.folder or '.'} in {ws.repo.top or ws.repo.git_dir}"),
            _attempt("configuration", lambda: _configuration(ws)),
            _attempt("identity", lambda: _identity(ws.repo)),
            *_stores(ws),
            *_variables(ws),
            _attempt("remote", lambda: _remote(ws)),
            _attempt("stages", lambda: _stages(ws)),
        ]
    except GitMLError as error:
        checks.append(failed("registry", error))
    return Diagnosis(healthy=all(check.health is not Health.FAILED for check in checks), checks=tuple(checks))


def _ok(name: str, found: str) -> Check:
    return Check(name=name, health=Health.OK, found=found)


def _attempt(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except GitMLError as error:
        return failed(name, error)


def _program() -> Check:
    return _ok("gitml", f"{__version__} on Python {platform.python_version()}, {platform.system()}")


def _git() -> Check:
    try:
        version = git_version()
    except GitMLError as error:
        return failed("git", error)
    text = ".".join(map(str, version))
    if version[:2] < _OLDEST_GIT:
        old = NotFound(f"git {text} is too old", code="git-too-old", hint="install git 2.38 or newer")
        return failed("git", old)
    return _ok("git", text)


def _configuration(ws: Workspace) -> Check:
    config = ws.config
    return _ok(
        "configuration",
        f"default branch {config.default_branch}, stages {', '.join(config.stages) or 'none'}, "
        f"{len(ws.head().assets())} asset(s) with {len(ws.head().ids())} version(s) at HEAD",
    )


def _identity(repo: Repository) -> Check:
    identity = repo.identity()
    return _ok("identity", f"{identity.name} <{identity.email}>")


def _stores(ws: Workspace) -> list[Check]:
    try:
        return list(store_checks(ws.stores(ws.config)))
    except GitMLError as error:
        return [failed("store", error)]


def near_misses(names: Iterable[str], stores: Collection[str] = ()) -> list[tuple[str, str]]:
    """Variables whose names are almost those that are looked for, and what they were meant to be.

    Args:
        names: Of the variables that are set.
        stores: Names of the stores whose settings may be set.
    """
    present = set(names)
    settings = [variable(store, key) for store in stores for key in STORE_KEYS]
    known = [*_VARIABLES, *settings]
    close = []
    for name in sorted(present - set(known)):
        other = _OTHER_NAMES.get(name.upper())
        if other is not None and other not in present:
            close.append((name, other))
        elif other is None and (meant := get_close_matches(name.upper(), known, n=1, cutoff=_CUTOFF)):
            close.append((name, meant[0]))
    return close


def _variables(ws: Workspace) -> list[Check]:
    """A warning for each misspelled variable; values are not looked at."""
    stores = {DEFAULT_STORE}
    with suppress(GitMLError):  # that a configuration is broken is said elsewhere
        stores |= ws.config.stores.keys()
    return [
        Check(
            name="variables",
            health=Health.WARNING,
            found=f"{name} means nothing here; it looks like {meant}",
            hint=f"rename it to {meant}, or unset it",
        )
        for name, meant in near_misses(os.environ, stores)
    ]


def _remote(ws: Workspace) -> Check:
    if ws.remote is None:
        return Check(
            name="remote",
            health=Health.WARNING,
            found="this clone has no git remote: nothing is shared",
            hint="gitml init --remote URL",
        )
    ws.repo.remote_refs(ws.remote, f"refs/heads/{ws.config.default_branch}")
    return _ok("remote", f"{ws.remote} answers")


def _stages(ws: Workspace) -> Check:
    url = ws.remotes[ws.remote] if ws.remote else ""
    path = Path(url.removeprefix("file://"))
    if path.is_absolute() and protects_stages(path):
        return _ok(
            "stages",
            f"{', '.join(ws.config.stages) or 'none'}: {path} lets them move by request only, by its pre-receive hook",
        )
    return Check(
        name="stages",
        health=Health.WARNING,
        found=f"{', '.join(ws.config.stages) or 'none'}: GitML moves them by request only, but nothing that can be seen "
        "from here stops a plain `git push` to them",
        hint="protect these branches on the server; on a bare repository: gitml install --server",
    )
