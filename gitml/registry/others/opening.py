"""Other registries: read without a clone, from wherever `REPO//` points.

`REPO` is a name of `registries:` in `gitml.yaml`, or a git URL or path. What is read goes to a cache of this user, one
bare repository for each address and month: commits without history, and files when they are needed. Every call asks the
other repository where its branches are; only who says `cached` is answered from what was seen last, and told how old
that is. Processes share a cache without waiting for each other: objects are named by their contents, and where git holds
a lock for long the next folder is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from gitml.errors import NotFound, UsageError
from gitml.model.config import REGISTRY_NAME, Config
from gitml.model.progress import SILENT, Progress
from gitml.registry.committing import HEADS
from gitml.registry.others.addresses import Address, address_of, split
from gitml.registry.others.cache import Cache
from gitml.registry.others.distant import DistantWorkspace, registry_folder
from gitml.registry.settings import Settings, load_settings
from gitml.registry.snapshot import Snapshot
from gitml.registry.workspace import Tip, Workspace


class OtherRegistry(DistantWorkspace):
    """A registry that this machine has no clone of, seen as its repository has it at this moment.

    Its default branch stands for HEAD where no stage does. Nothing can be written to it.

    Args:
        address: Where it lies.
        caller: Folder that paths which people type are relative to.
        settings: What the user overrides.
        progress: Where long work reports to.
        jobs: Worker threads for transfers.
        cached: Answer from what was seen last, and do not ask the repository.
    """

    def __init__(
        self,
        address: Address,
        caller: Path,
        settings: Settings | None = None,
        *,
        progress: Progress = SILENT,
        jobs: int | None = None,
        cached: bool = False,
    ) -> None:
        self.address = address
        self.cached = cached
        self._cache = Cache(address, cached=cached)
        super().__init__(
            self._cache.repository,
            "",
            caller,
            settings or load_settings(),
            progress=progress,
            jobs=jobs,
        )
        self._tips: dict[str, str | None] = {}
        self._default: str | None = None
        self._home: Tip | None = None
        self._located = False

    # --- where its branches are -----------------------------------------------------------------------------------

    def look(self, *branches: str) -> None:
        """Learn where the default branch and some others are, and bring their trees; one question for all.

        Raises:
            StoreUnavailable: The repository cannot be reached.
            NotFound: There is no repository, or it is empty.
        """
        unknown = [name for name in branches if name not in self._tips]
        if self._default is not None and not unknown:
            return
        tips = self._cache.tips(unknown, self.progress)
        if tips.default is None:
            raise NotFound(
                f"{self.address.shown} has no commit yet",
                code="no-commit",
                hint="gitml init in a clone of it, and git push",
            )
        self._default = tips.default
        for name in (*unknown, tips.default):
            self._tips.setdefault(name, tips.branches.get(name))

    def _tip_of(self, branch: str) -> Tip | None:
        self.look(branch)
        commit = self._tips[branch]
        if commit is None:
            return None
        self.bring(commit)
        return Tip(ref=HEADS + branch, commit=commit)

    def bring(self, *commits: str) -> None:
        """Have the trees of commits here.

        Raises:
            NotFound: The repository does not have one of them, or does not give it.
        """
        self._cache.bring(commits)

    def at(self, commit: str) -> Snapshot:
        """See :meth:`Workspace.at`."""
        if not self._located:
            self.folder = registry_folder(self.repo, commit, self.address)
            self._located = True
        return super().at(commit)

    def prefer(self, branch: str) -> None:
        """Let a stage stand for HEAD, so that reading what it runs brings nothing else."""
        tip = self._tip_of(branch)
        if tip is not None and branch in self.at(tip.commit).config.stages:
            self._home = tip

    def head(self) -> Snapshot:
        """See :meth:`Workspace.head`: the default branch, or the stage that is preferred."""
        return self.at((self._home or self.default_tip()).commit)

    def revision(self, rev: str | None) -> Snapshot:
        """See :meth:`Workspace.revision`; a whole commit id is asked for by itself."""
        if rev is None:
            return self.head()
        if len(rev) in (40, 64) and all(digit in "0123456789abcdef" for digit in rev):
            self.bring(rev)
            return self.at(rev)
        tip = self._tip_of(rev)
        if tip is None:
            raise NotFound(
                f"there is no branch {rev!r} in {self.address.shown}",
                code="revision-not-found",
                hint=f"git ls-remote --heads {self.address.shown}",
                context={"rev": rev},
            )
        return self.at(tip.commit)

    def tip(self, branch: str) -> Tip | None:
        """See :meth:`Workspace.tip`."""
        return self._tip_of(branch)

    def default_tip(self, config: Config | None = None) -> Tip:
        """See :meth:`Workspace.default_tip`: what `gitml.yaml` says, or what HEAD of the repository is."""
        self.look()
        assert self._default is not None
        wanted = config.default_branch if config is not None else self._default
        tip = self._tip_of(wanted) or self._tip_of(self._default)
        assert tip is not None
        if config is None:
            said = self.at(tip.commit).config.default_branch
            tip = (self._tip_of(said) if said != self._default else None) or tip
        return tip

    def stage_tip(self, stage: str) -> Tip:
        """See :meth:`Workspace.stage_tip`."""
        tip = self._tip_of(stage)
        if tip is None:
            raise NotFound(
                f"nothing was promoted to the stage {stage} of {self.address.shown} yet",
                code="stage-unborn",
                hint=f"gitml promote TYPE/NAME -t {stage}, in a clone of it",
                context={"stage": stage},
            )
        return tip

    def was_on(self, stage: str, commit: str, tip: str) -> bool:
        """See :meth:`Workspace.was_on`: there is no history here, but it is known what was read as its tip."""
        return commit == tip or self._cache.was_tip(stage, commit)

    def branch_tips(self) -> dict[str, str]:
        """See :meth:`Workspace.branch_tips`: those that were looked at."""
        return {HEADS + name: commit for name, commit in self._tips.items() if commit is not None}

    # --- what it is here ------------------------------------------------------------------------------------------

    @cached_property
    def remotes(self) -> dict[str, str]:
        """See :attr:`Workspace.remotes`: none; it is itself the place that others follow."""
        return {}

    @property
    def directory(self) -> Path | None:
        """See :attr:`Workspace.directory`: the caller's folder, since there is no work tree."""
        return self.caller


def open_other(
    text: str,
    own: Callable[[], Workspace],
    *,
    caller: Path,
    progress: Progress = SILENT,
    jobs: int | None = None,
    cached: bool = False,
) -> tuple[Workspace, str]:
    """The registry that a reference is about, and the rest of the reference.

    Args:
        text: `[REPO//]…`.
        own: Opens the registry of the caller.
        caller: Folder of the caller.
        progress: Where long work reports to.
        jobs: Worker threads for transfers.
        cached: See :class:`OtherRegistry`.

    Raises:
        UsageError: `cached` where there is nothing to ask.
        As :func:`address_of`.
    """
    repo, rest = split(text)
    if repo is None:
        if cached:
            raise UsageError(
                f"--cached is for another registry, and {text!r} is in this one",
                code="cached-here",
                hint="leave out --cached",
            )
        return own(), text
    found = OtherRegistry(address_of(repo, own, caller), caller, progress=progress, jobs=jobs, cached=cached)
    selector = rest.partition(":")[0].partition("@")[2]
    if REGISTRY_NAME.fullmatch(selector):
        found.prefer(selector)
    return found, rest
