"""Make a git repository a registry: write and commit `gitml.yaml`, and nothing else."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from gitml.errors import AccessDenied, Conflict, NoSpace, NotFound, UsageError
from gitml.git.failures import NO_ROOM
from gitml.git.repository import Repository
from gitml.git.urls import check_url, same_remote
from gitml.model import config as configuration
from gitml.model.store_url import parse_store_url
from gitml.registry.committing import commit_on
from gitml.registry.settings import load_settings
from gitml.registry.snapshot import CONFIG_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What `init` did, or would do.

    Attributes:
        directory: The registry's folder.
        created_repository: Whether it made the git repository, too.
        registry: The registry's id.
        default_branch: The branch that aliases are read from and stages are born from.
        store: Location of the store, as recorded; None for the embedded one.
        remote: URL of the git remote, if any.
        commit: The commit it made; None where nothing changed.
        changed: Whether `gitml.yaml` or the remote changed.
        dry_run: Nothing was done.
    """

    directory: Path
    created_repository: bool
    registry: str
    default_branch: str
    store: str | None
    remote: str | None
    commit: str | None
    changed: bool
    dry_run: bool


def initialise(
    directory: Path, *, store: str | None = None, remote: str | None = None, dry_run: bool = False
) -> Initialised:
    """Make `directory` a registry; again, with the same answers: no change.

    Args:
        directory: The folder; made if it does not exist, and made a git repository if it is in none.
        store: URL, or path relative to the current folder, of the store that the team shares.
        remote: URL of the git remote `origin`.
        dry_run: Only say what would be done.

    Raises:
        UsageError: The repository is bare, or HEAD is detached.
        InvalidInput: The store's or remote's URL is malformed or of a kind that is not allowed.
        Conflict: Another store, remote or registry is there already.
    """
    if remote is not None:
        check_url(remote)
    folder = directory.resolve()
    location = None if store is None else _recorded(store, folder)
    repo, created = _repository(folder, dry_run=dry_run)
    if repo is None:
        return _new(folder, location, remote)
    if repo.top is None:
        raise UsageError(
            "this repository is bare: there is no work tree to put gitml.yaml in",
            code="bare-repository",
            hint="git clone it, and run gitml init in the clone",
        )
    _refuse_nested(repo, folder)
    remote_changed = _remote(repo, remote, dry_run=dry_run)
    text, old = _text(repo, folder, location)
    commit = None
    if text != old and not dry_run:
        commit = _commit(repo, folder, text)
    parsed = configuration.Config.parse(text, file=CONFIG_FILE)
    default = parsed.stores.get("default")
    return Initialised(
        directory=folder,
        created_repository=created,
        registry=parsed.registry,
        default_branch=parsed.default_branch,
        store=default.url if default else None,
        remote=remote or repo.remotes().get("origin"),
        commit=commit,
        changed=text != old or remote_changed or created,
        dry_run=dry_run,
    )


def _repository(folder: Path, *, dry_run: bool) -> tuple[Repository | None, bool]:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        repo = Repository.discover(existing)
    except NotFound:
        if dry_run:
            return None, True
        return Repository.init(_made(folder)), True
    if not dry_run:
        repo.recover_locks()
        _made(folder)
    return repo, False


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise NoSpace(
                f"cannot make the folder {folder}: {error.strerror}", hint="make room, then run it again"
            ) from error
        raise AccessDenied(
            f"cannot make the folder {folder}: {error.strerror}",
            code="cannot-create",
            hint="choose a folder that you may write to",
        ) from error
    return folder


def _new(folder: Path, location: str | None, remote: str | None) -> Initialised:
    """The dry run of a folder that is no repository yet."""
    return Initialised(
        directory=folder,
        created_repository=True,
        registry="",
        default_branch="main",
        store=location,
        remote=remote,
        commit=None,
        changed=True,
        dry_run=True,
    )


def _recorded(store: str, folder: Path) -> str:
    """How `gitml.yaml` names the store: relative where it lies beside or under the registry, else absolute."""
    parsed = parse_store_url(store, allowed=load_settings().allow_schemes)
    if not parsed.is_folder:
        return store
    path = Path(os.path.abspath(parsed.path))  # noqa: PTH100, symbolic links stay as typed
    if path == folder:
        raise UsageError(
            f"the store would be the registry's own folder {folder}",
            code="store-in-registry",
            hint="--store with a folder of its own",
        )
    near = path.is_relative_to(folder) or path.is_relative_to(folder.parent)
    return (
        Path(os.path.relpath(path, folder)).as_posix() if near and folder.parent != Path("/") else str(path)
    )


def _refuse_nested(repo: Repository, folder: Path) -> None:
    """One registry per repository, at the same path on every branch."""
    top = (repo.top or folder).resolve()
    commit = repo.head().commit
    if commit is None:
        return
    for entry in repo.tree(commit):
        name = entry.path.rsplit("/", 1)[-1]
        if name == CONFIG_FILE and (top / entry.path).parent != folder and _is_ours(repo, commit, entry.path):
            raise Conflict(
                f"this repository has a registry already, in {entry.path}",
                code="second-registry",
                hint=f"gitml -R {Path(entry.path).parent.as_posix()}",
            )


def _is_ours(repo: Repository, commit: str, path: str) -> bool:
    return b"schema: gitml/config/" in (repo.blob(commit, path) or b"")


def _remote(repo: Repository, url: str | None, *, dry_run: bool) -> bool:
    if url is None:
        return False
    present = repo.remotes().get("origin")
    if present is None:
        if not dry_run:
            repo.add_remote("origin", url)
        return True
    if present != url and not same_remote(present, url):
        raise Conflict(
            f"origin is {present} already, not {url}",
            code="remote-exists",
            hint=f"git remote set-url origin {url}, if that is right",
        )
    return False


def _text(repo: Repository, folder: Path, location: str | None) -> tuple[bytes, bytes | None]:
    """What `gitml.yaml` shall say, and what HEAD says."""
    top = (repo.top or folder).resolve()
    relative = (folder.relative_to(top) / CONFIG_FILE).as_posix()
    commit = repo.head().commit
    committed = repo.blob(commit, relative) if commit else None
    file = folder / CONFIG_FILE
    text = file.read_bytes() if file.is_file() else committed
    if text is None:
        return configuration.initial(str(uuid.uuid4()), _default_branch(repo), location), None
    parsed = configuration.Config.parse(text, file=relative)
    if location is not None:
        known = parsed.stores.get("default")
        if known is None:
            text = configuration.with_store(text, "default", location)
        elif known.url != location:
            raise Conflict(
                f"{relative} names the store {known.url} already, not {location}",
                code="store-exists",
                hint=f"edit stores.default in {relative} by hand, if the store has moved",
                context={"was": known.url, "given": location},
            )
    return text, committed


def _default_branch(repo: Repository) -> str:
    """origin/HEAD, else the current branch."""
    target = repo.symbolic_ref("refs/remotes/origin/HEAD")
    if target is not None:
        return target.removeprefix("refs/remotes/origin/")
    branch = repo.head().branch
    if branch is None:
        raise UsageError(
            "HEAD is detached: there is no branch to commit to", code="no-branch", hint="git switch BRANCH"
        )
    return branch


def _commit(repo: Repository, folder: Path, text: bytes) -> str:
    branch = repo.head().branch
    if branch is None:
        raise UsageError(
            "HEAD is detached: there is no branch to commit to", code="no-branch", hint="git switch BRANCH"
        )
    top = (repo.top or folder).resolve()
    path = (folder.relative_to(top) / CONFIG_FILE).as_posix()
    file = folder / CONFIG_FILE
    if file.is_file() and file.read_bytes() != text:
        file.write_bytes(text)
    return commit_on(repo, branch, None, lambda _tip: {path: text}, "Make this repository a GitML registry\n")
