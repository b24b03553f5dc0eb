"""The verbs that need no registry: make one, judge the installation, set the hooks of git and be run by them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gitml._lazy import LazyModule
from gitml.model.progress import SILENT, Progress
from gitml.model.typed import typed_path

if TYPE_CHECKING:
    from gitml.promotion import receive as _receive
    from gitml.registry.setup import doctor as _doctor
    from gitml.registry.setup import hooks as _hooks
    from gitml.registry.setup import initialise as _initialise
    from gitml.registry.share import outgoing as _outgoing
else:
    _receive = LazyModule("gitml.promotion.receive")
    _doctor = LazyModule("gitml.registry.setup.doctor")
    _hooks = LazyModule("gitml.registry.setup.hooks")
    _initialise = LazyModule("gitml.registry.setup.initialise")
    _outgoing = LazyModule("gitml.registry.share.outgoing")


def init(
    directory: str | Path = ".", *, store: str | None = None, remote: str | None = None, dry_run: bool = False
) -> _initialise.Initialised:
    """Make a git repository a registry and commit `gitml.yaml`; again: no change.

    Args:
        directory: The registry's folder; made, and made a git repository, where it is none.
        store: URL, or path relative to the current folder, of the store that the team shares.
        remote: URL of the git remote `origin`.
        dry_run: Only say what would be done.

    Raises:
        Conflict: Another store, remote or registry is there already.
    """
    return _initialise.initialise(typed_path(directory), store=store, remote=remote, dry_run=dry_run)


def doctor(path: str | Path = ".", *, registry: str | Path | None = None) -> _doctor.Diagnosis:
    """Judge the installation: git, identity, configuration, store, remote, protection of the stages.

    Args:
        path: Where the caller is; it need not be in a registry.
        registry: The registry's folder, if it is not at or above `path`.
    """
    return _doctor.diagnose(path, registry)


def install(
    path: str | Path = ".",
    *,
    server: str | Path | None = None,
    chain: bool = False,
    uninstall: bool = False,
    dry_run: bool = False,
) -> _hooks.Installed:
    """Set the hook of git that looks before a push: `pre-push` of a clone, or `pre-receive` of a server.

    Args:
        path: A folder of the clone.
        server: A bare repository: from then on its stages move by request only. It needs GitML to be installed there.
        chain: Keep a hook that is there already, and run it first.
        uninstall: Take the hook away, and put back what was there before.
        dry_run: Only say what would be done.

    Raises:
        NotFound: There is no repository.
        UsageError: The server's repository is not bare.
        Conflict: There is a hook that GitML did not write.
    """
    return _hooks.install(
        typed_path(path),
        server=None if server is None else typed_path(server),
        chain=chain,
        uninstall=uninstall,
        dry_run=dry_run,
    )


def hook(
    name: str,
    *arguments: str,
    updates: Iterable[str] = (),
    path: str | Path = ".",
    registry: str | Path | None = None,
    progress: Progress = SILENT,
) -> _outgoing.Hooked:
    """Judge a push as git's hook; see :func:`install`.

    Args:
        name: `pre-push` or `pre-receive`.
        arguments: What git gives the hook on its command line.
        updates: What git gives it on its standard input.
        path: Where git runs it.
        registry: The registry's folder, if it is not at or above `path`.
        progress: Where it reports to.

    Raises:
        UsageError: No such hook.
        PolicyRefused: The push must not happen.
    """
    return _receive.run_hook(
        name, arguments, updates, path=typed_path(path), registry=registry, progress=progress
    )
