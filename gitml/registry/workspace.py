"""The registry as this clone sees it: repository, folder, branches, configuration, settings.

Opens what a command works on and answers which branch a question is read from. It decides nothing about
assets, and it opens stores only through :mod:`gitml.registry.stores`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gitml.errors import NotFound, UsageError
from gitml.git.repository import Repository
from gitml.model.config import Config
from gitml.model.progress import SILENT, Progress
from gitml.model.typed import typed_path
from gitml.registry.committing import HEADS
from gitml.registry.settings import Settings, load_settings
from gitml.registry.snapshot import CONFIG_FILE, Snapshot
from gitml.registry.stores import StoreSet

REMOTES = "refs/remotes/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """A ref that was read, and the commit it had."""

    ref: str
    commit: str

    @property
    def short(self) -> str:
        """The ref as people write it: `main`, `origin/main`."""
        return self.ref.removeprefix(HEADS).removeprefix(REMOTES)


class Workspace:
    """One registry in one clone.

    Attributes:
        repo: The repository that holds the registry.
        folder: The registry's folder relative to the top of the repository; "" is the top.
        caller: The folder the call came from; paths that people type are relative to it.
        settings: What this user and machine have configured.
        progress: Where long work reports to.
        jobs: Worker threads for transfers; None lets GitML choose.
    """

    def __init__(
        self,
        repo: Repository,
        folder: str,
        caller: Path,
        settings: Settings,
        *,
        progress: Progress = SILENT,
        jobs: int | None = None,
    ) -> None:
        self.repo = repo
        self.folder = folder
        self.caller = caller
        self.settings = settings
        self.progress = progress
        self.jobs = jobs or settings.jobs
        self._snapshots: dict[str, Snapshot] = {}
        self._store_sets: dict[str, StoreSet] = {}

    @classmethod
    def open(
        cls,
        path: str | Path = ".",
        registry: str | Path | None = None,
        *,
        progress: Progress = SILENT,
        jobs: int | None = None,
        repo: Repository | None = None,
    ) -> Workspace:
        """Open the registry of the nearest `gitml.yaml` at or above a folder.

        Args:
            path: Where the caller is.
            registry: Where to look for the registry, if not there.
            progress: Where long work reports to.
            jobs: Worker threads for transfers.
            repo: The repository there, where it was found before.

        Raises:
            NotFound: No repository, or no registry in it.
            InvalidInput: The user's settings are malformed.
        """
        caller = typed_path(path).resolve()
        start = (caller / typed_path(registry)).resolve() if registry is not None else caller
        if not start.is_dir():
            raise NotFound(f"there is no folder {start}", code="no-folder", hint="name an existing folder")
        repo = repo or Repository.discover(start)
        folder = _registry_folder(repo, start)
        return cls(repo, folder, caller, load_settings(), progress=progress, jobs=jobs)

    @property
    def directory(self) -> Path | None:
        """The registry's folder in this work tree; None in a bare repository."""
        return None if self.repo.top is None else self.repo.top / self.folder

    def require_directory(self, what: str) -> Path:
        """The registry's folder in the work tree.

        Raises:
            UsageError: The repository is bare.
        """
        if self.directory is None:
            raise UsageError(
                f"{what} needs a work tree, and this repository is bare",
                code="bare-repository",
                hint="gitml get REF -o DIR",
            )
        return self.directory

    def at(self, commit: str) -> Snapshot:
        """The registry at a commit."""
        if commit not in self._snapshots:
            self._snapshots[commit] = Snapshot(self.repo, self.folder, commit)
        return self._snapshots[commit]

    def head(self) -> Snapshot:
        """The registry at HEAD.

        Raises:
            NotFound: There is no commit yet.
        """
        return self.checked_out()[1]

    def checked_out(self) -> tuple[str | None, Snapshot]:
        """The branch that is checked out (None when HEAD is detached), and the registry at HEAD.

        Raises:
            NotFound: There is no commit yet.
        """
        head = self.repo.head()
        if head.commit is None:
            raise NotFound("this repository has no commit yet", code="no-commit", hint="gitml init")
        return head.branch, self.at(head.commit)

    def revision(self, rev: str | None) -> Snapshot:
        """The registry at `rev` (branch, tag or commit), or at HEAD.

        Raises:
            NotFound: There is no such revision here.
        """
        if rev is None:
            return self.head()
        commit = self.repo.resolve(rev)
        if commit is None and self.remote is not None:
            commit = self.repo.resolve(f"{REMOTES}{self.remote}/{rev}")
        if commit is None:
            raise NotFound(
                f"there is no branch, tag or commit {rev!r} in this clone",
                code="revision-not-found",
                hint=f"git fetch {self.remote} {rev}" if self.remote else "git branch --all",
                context={"rev": rev},
            )
        return self.at(commit)

    @property
    def config(self) -> Config:
        """The configuration at HEAD."""
        return self.head().config

    @cached_property
    def remotes(self) -> dict[str, str]:
        """Name -> URL of every git remote, as it was when first asked."""
        return self.repo.remotes()

    @cached_property
    def remote(self) -> str | None:
        """The git remote that the team shares: `origin`, else the only one."""
        if "origin" in self.remotes:
            return "origin"
        return next(iter(self.remotes)) if len(self.remotes) == 1 else None

    def branch(self) -> str | None:
        """The branch that is checked out; None when HEAD is detached."""
        return self.repo.head().branch

    def tip(self, branch: str) -> Tip | None:
        """The local branch, or the remote-tracking one where no local one exists."""
        names = [HEADS + branch, *([f"{REMOTES}{self.remote}/{branch}"] if self.remote else [])]
        refs = self.repo.refs(*names)
        return next((Tip(ref=name, commit=refs[name]) for name in names if name in refs), None)

    def default_tip(self, config: Config | None = None) -> Tip:
        """Where aliases, deprecations and the birth of a stage are read.

        The remote-tracking default branch, or the local one where that is ahead of it.

        Raises:
            NotFound: This clone has neither.
        """
        name = (config or self.config).default_branch
        local, tracking = HEADS + name, f"{REMOTES}{self.remote}/{name}"
        refs = self.repo.refs(local, tracking)
        here = Tip(ref=local, commit=refs[local]) if local in refs else None
        there = Tip(ref=tracking, commit=refs[tracking]) if tracking in refs else None
        if here and there:
            return here if self.repo.is_ancestor(there.commit, here.commit) else there
        if found := here or there:
            return found
        raise NotFound(
            f"this clone does not have the default branch {name}",
            code="branch-not-here",
            hint=f"git fetch {self.remote} {name}" if self.remote else f"git branch {name}",
            context={"branch": name},
        )

    def stage_ref(self, stage: str) -> str:
        """The ref a stage is read from: remote-tracking where there is a remote, else the local branch."""
        return f"{REMOTES}{self.remote}/{stage}" if self.remote else HEADS + stage

    def stage_tip(self, stage: str) -> Tip:
        """The tip of a stage.

        Raises:
            NotFound: `stage-not-here` where a remote may have it, `stage-unborn` where nobody can.
        """
        ref = self.stage_ref(stage)
        commit = self.repo.refs(ref).get(ref)
        if commit is not None:
            return Tip(ref=ref, commit=commit)
        if self.remote:
            raise NotFound(
                f"this clone does not have the stage {stage} of {self.remote}, or nothing was promoted to it yet",
                code="stage-not-here",
                hint=f"git fetch {self.remote} {stage}",
                context={"stage": stage},
            )
        raise NotFound(
            f"nothing was promoted to the stage {stage} yet",
            code="stage-unborn",
            hint=f"gitml promote TYPE/NAME -t {stage}",
            context={"stage": stage},
        )

    def was_on(self, stage: str, commit: str, tip: str) -> bool:
        """Whether a stage whose tip is known was at a commit before."""
        return self.repo.is_ancestor(commit, tip)

    def branch_tips(self) -> dict[str, str]:
        """Every local and remote-tracking branch: full ref name -> commit."""
        return {
            ref: commit
            for ref, commit in self.repo.refs(HEADS, REMOTES).items()
            if not ref.endswith("/HEAD") or not ref.startswith(REMOTES)
        }

    def stores(self, config: Config) -> StoreSet:
        """The stores that a configuration names, and the embedded one."""
        key = repr(sorted(config.stores.items(), key=lambda item: item[0]))
        if key not in self._store_sets:
            self._store_sets[key] = StoreSet(
                config,
                self.settings,
                state=self.repo.common_dir / "gitml",
                base=self.base_folder,
                repository=self.identity_url(),
                progress=self.progress,
                jobs=self.jobs,
                prefix=self.prefix,
            )
        return self._store_sets[key]

    @property
    def prefix(self) -> str:
        """What stands before a reference to this registry, or to a store of it: nothing, for one's own."""
        return ""

    def identity_url(self) -> str:
        """What this repository is called where trust in its stores is remembered."""
        return self.remotes[self.remote] if self.remote else str(self.repo.common_dir)

    @property
    def base_folder(self) -> Path | None:
        """The folder that relative paths of `gitml.yaml` start from: the registry's, in the main work tree."""
        common = self.repo.common_dir
        main = common.parent if common.name == ".git" else (self.repo.top or common)
        return main / self.folder


def _registry_folder(repo: Repository, start: Path) -> str:
    """The nearest folder at or above `start` whose `gitml.yaml` is in the work tree, or else in HEAD."""
    if repo.top is not None:
        top = repo.top.resolve()
        relative = start.relative_to(top) if start.is_relative_to(top) else Path()
    else:
        relative = Path()
    candidates = [relative, *relative.parents]
    if repo.top is not None:
        for candidate in candidates:
            if (repo.top / candidate / CONFIG_FILE).is_file():
                return _posix(candidate)
    commit = repo.head().commit
    if commit is not None:
        for candidate in candidates:
            if repo.entry(commit, _posix(candidate / CONFIG_FILE)) is not None:
                return _posix(candidate)
    raise NotFound(
        f"there is no registry at or above {start}: no {CONFIG_FILE}",
        code="no-registry",
        hint="gitml init, or gitml -R PATH to name the registry's folder",
    )


def _posix(path: Path) -> str:
    text = path.as_posix()
    return "" if text == "." else text
