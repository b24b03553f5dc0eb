"""Other registries: read without a clone, from wherever `REPO//` points.

`REPO` is a name of `registries:` in `gitml.yaml`, or a git URL or path. What is read goes to a cache of this user, one
bare repository for each address and month: commits without history, and files when they are needed. Every call asks the
other repository where its branches are; only who says `cached` is answered from what was seen last, and told how old
that is. Processes share a cache without waiting for each other: objects are named by their contents, and where git holds
a lock for long the next folder is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import platformdirs

from gitml.errors import Busy, GitMLError, InvalidInput, NotFound, StoreUnavailable, UsageError
from gitml.git.partial import PartialRepository, Tips, ask_tips
from gitml.git.repository import Repository
from gitml.git.urls import check_url, same_remote, without_credentials
from gitml.model.config import REGISTRY_NAME, STORE_NAME, Config
from gitml.model.progress import SILENT, Progress
from gitml.model.redact import strip_credentials
from gitml.registry.committing import HEADS
from gitml.registry.settings import Settings, load_settings
from gitml.registry.snapshot import CONFIG_FILE, Snapshot
from gitml.registry.workspace import Tip, Workspace

SEPARATOR: Final = "//"
_SLOTS: Final = 8
_BUCKETS: Final = ("s3:", "az:", "abfs:", "abfss:")
_ATTEMPTS: Final = 12
_EARLIER: Final = 63
_LOCK_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where another registry lies.

    Attributes:
        url: As git reads it; may hold credentials that the user typed.
        folder: The folder, where it lies on this machine.
    """

    url: str
    folder: Path | None

    @property
    def shown(self) -> str:
        """Without credentials; what pointers and messages say."""
        return strip_credentials(self.url)


def split(text: str) -> tuple[str | None, str]:
    """Take `REPO//REST` apart at the last `//`; None where the text names no other registry."""
    repo, separator, rest = text.rpartition(SEPARATOR)
    if not separator or not repo or repo.endswith(":"):
        return None, text
    return repo, rest


def names_store(text: str) -> bool:
    """Whether a text names a store of another registry, `REPO//NAME`, rather than a location of data."""
    repo, name = split(text)
    return repo is not None and STORE_NAME.fullmatch(name) is not None and not repo.startswith(_BUCKETS)


def address_of(repo: str, own: Callable[[], Workspace], caller: Path) -> Address:
    """What `REPO` means.

    Args:
        repo: A name, or a URL or path.
        own: Opens the registry that may name others; asked where `repo` is a word.
        caller: Folder that a path which people type is relative to.

    Raises:
        NotFound: No registry names it, or there is no such folder.
        InvalidInput: The URL is of a kind that GitML does not talk to.
    """
    if REGISTRY_NAME.fullmatch(repo) is None:
        return located(repo, caller)
    try:
        config = own().config
    except NotFound as error:
        raise NotFound(
            f"{repo}// is a name, and there is no registry here that could say what it means",
            code="registry-not-named",
            hint="write the URL of its repository instead, or ./ before the name of a folder",
        ) from error
    return named(config, repo, own())


def named(config: Config, name: str, ws: Workspace) -> Address:
    """The registry that a configuration calls so; relative paths start at the registry's folder.

    Raises:
        NotFound: It names none so.
        InvalidInput: The URL is of a kind that GitML does not talk to.
    """
    url = config.registries.get(name)
    if url is None:
        known = ", ".join(sorted(config.registries)) or "none"
        raise NotFound(
            f"gitml.yaml names no registry {name!r}; it names {known}",
            code="registry-not-named",
            hint=f"registries: {{{name}: URL}} in gitml.yaml, or write the URL itself",
            context={"name": name, "known": sorted(config.registries)},
        )
    address = located(url, ws.base_folder or ws.caller)
    if ws.base_folder is None and address.folder is not None:
        raise InvalidInput(
            f"{ws.identity_url()} names {name} as {address.shown}, a folder of its own machine",
            code="registry-elsewhere",
            hint="a URL in `registries:` there",
        )
    return address


def name_of(config: Config, address: Address, ws: Workspace) -> str | None:
    """What a configuration calls the registry at an address."""
    for name in config.registries:
        with suppress(GitMLError):
            if same_remote(named(config, name, ws).url, address.url):
                return name
    return None


def located(text: str, base: Path) -> Address:
    """A URL as it is, and a path from a folder.

    Raises:
        NotFound: There is no such folder.
        InvalidInput: The URL is of a kind that GitML does not talk to.
    """
    url = check_url(text)
    if "://" in url:
        path = Path(url.removeprefix("file://localhost").removeprefix("file://"))
        return Address(url=url, folder=path if url.startswith("file:") else None)
    folder = base / url
    if folder.is_dir():
        return Address(url=str(folder.resolve()), folder=folder.resolve())
    if ":" in url.partition("/")[0]:
        return Address(url=url, folder=None)
    raise NotFound(
        f"there is no repository {without_credentials(text)!r}",
        code="remote-repository",
        hint="REPO// is a name of `registries:` in gitml.yaml, a git URL, or a path",
    )


class OtherRegistry(Workspace):
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
        key = hashlib.sha256(address.shown.encode()).hexdigest()[:32]
        self._cache = _Cache(address, key, cached=cached)
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

    def checked_out(self) -> tuple[str | None, Snapshot]:
        """See :meth:`Workspace.checked_out`: no branch is."""
        return None, self.head()

    def branch(self) -> str | None:
        """See :meth:`Workspace.branch`: none is checked out."""
        return None

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

    def identity_url(self) -> str:
        """See :meth:`Workspace.identity_url`."""
        return self.address.shown

    @property
    def prefix(self) -> str:
        """See :attr:`Workspace.prefix`."""
        return f"{self.address.shown}//"

    @property
    def base_folder(self) -> Path | None:
        """See :attr:`Workspace.base_folder`: none but for a repository on this machine."""
        if self.address.folder is None:
            return None
        common = self.address.folder
        return (common.parent if common.name == ".git" else common) / self.folder


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


def registry_folder(repo: Repository, commit: str, address: Address) -> str:
    """The folder that holds `gitml.yaml`; there is one registry in a repository.

    Raises:
        NotFound: There is none.
        InvalidInput: There are several.
    """
    if repo.entry(commit, CONFIG_FILE) is not None:
        return ""
    found = [e.path for e in repo.tree(commit) if e.path.endswith(f"/{CONFIG_FILE}") and e.kind == "blob"]
    if len(found) == 1:
        return found[0].removesuffix(f"/{CONFIG_FILE}")
    if found:
        raise InvalidInput(
            f"{address.shown} has {len(found)} files {CONFIG_FILE}, {found[0]} and {found[1]} among them",
            code="several-registries",
            hint="clone it, and use gitml -R FOLDER",
            context={"paths": found[:10]},
        )
    raise NotFound(
        f"{address.shown} is no registry: commit {commit[:12]} has no {CONFIG_FILE}",
        code="no-registry",
        hint="gitml init in a clone of it",
        context={"commit": commit},
    )


class _Cache:
    """The bare repositories of one address, and what was seen of its branches."""

    def __init__(self, address: Address, key: str, *, cached: bool) -> None:
        self._address = address
        self._cached = cached
        self._base = platformdirs.user_cache_path("gitml") / "registries"
        self._key = key
        self._state = platformdirs.user_state_path("gitml") / "registries" / key
        self._slot = 0
        self.repository = self._open(self._folders()[0])
        if not cached:
            self._sweep()

    def _folders(self) -> list[Path]:
        """Folders to use, the preferred first; a new one each month, so that none grows without end."""
        month = datetime.now(UTC).strftime("%Y-%m")
        fresh = [self._base / f"{self._key}-{month}{f'.{slot}' if slot else ''}" for slot in range(_SLOTS)]
        if not self._cached:
            return [folder for folder in fresh if not _is_locked(folder)] or fresh[:1]
        there = sorted(self._base.glob(f"{self._key}-*"), reverse=True) if self._base.is_dir() else []
        if not there:
            raise NotFound(
                f"nothing of {self._address.shown} was read on this machine lately",
                code="not-cached",
                hint="leave out --cached",
            )
        return there

    def _open(self, folder: Path) -> PartialRepository:
        address = None if self._cached else self._address.url
        return PartialRepository.at(folder, address, state=self._state)

    def _sweep(self) -> None:
        """Remove what belongs to no month that anybody still reads."""
        kept = {(datetime.now(UTC).year * 12 + datetime.now(UTC).month - 1 - back) for back in (-1, 0, 1)}
        for folder in self._base.glob(f"{self._key}-*"):
            with suppress(ValueError):
                year, month = folder.name.removeprefix(f"{self._key}-").split(".")[0].split("-")
                if int(year) * 12 + int(month) - 1 not in kept:
                    shutil.rmtree(folder, ignore_errors=True)

    # --- branches

    def tips(self, branches: Sequence[str], progress: Progress) -> Tips:
        """Ask where branches are, and remember the answer; or read what was remembered."""
        if self._cached:
            return self._remembered(branches, progress)
        try:
            tips = ask_tips(self._address.url, branches, cwd=self.repository.git_dir)
        except StoreUnavailable as error:
            error.hint = "run it again when the network is back; --cached shows what was read last"
            raise
        for name, commit in {**tips.branches, "": tips.default or ""}.items():
            self._remember(name, commit)
        for name in branches:
            if name not in tips.branches:
                self._seen(name).unlink(missing_ok=True)
        return tips

    def _seen(self, branch: str) -> Path:
        name = hashlib.sha256(branch.encode()).hexdigest()[:32]
        return self._base / "seen" / self._key / f"{name}.json"

    def _remember(self, branch: str, value: str) -> None:
        """Note a branch; a cache that cannot be written forgets, and nothing else."""
        path = self._seen(branch)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{random.getrandbits(32):x}")
        earlier = [one for one in self._earlier(branch) if one != value][:_EARLIER]
        record = {"branch": branch, "value": value, "seen": int(time.time()), "earlier": [value, *earlier]}
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
            temporary.replace(path)

    def was_tip(self, branch: str, commit: str) -> bool:
        """Whether a branch was lately seen at a commit."""
        return commit in self._earlier(branch)

    def _earlier(self, branch: str) -> list[str]:
        """Where a branch was seen, the last first."""
        try:
            record = json.loads(self._seen(branch).read_text(encoding="utf-8"))
            return [one for one in record["earlier"] if isinstance(one, str)]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _remembered(self, branches: Sequence[str], progress: Progress) -> Tips:
        default, oldest = self._recall(""), time.time()
        if default is None:
            raise NotFound(
                f"no branch of {self._address.shown} was read on this machine lately",
                code="not-cached",
                hint="leave out --cached",
            )
        found: dict[str, str] = {}
        for name in (*branches, default[0]):
            recalled = self._recall(name)
            if recalled is not None:
                found[name] = recalled[0]
                oldest = min(oldest, recalled[1])
        when = datetime.fromtimestamp(oldest, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        progress.note(f"{self._address.shown} was not asked: as of {when}, {_age(time.time() - oldest)} ago")
        return Tips(default=default[0], branches=found)

    def _recall(self, branch: str) -> tuple[str, float] | None:
        try:
            record = json.loads(self._seen(branch).read_text(encoding="utf-8"))
            if record["branch"] == branch and isinstance(record["value"], str):
                return record["value"], float(record["seen"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    # --- objects

    def bring(self, commits: Sequence[str]) -> None:
        """Have the trees of commits in the folder that is used."""
        for attempt in range(_ATTEMPTS):
            try:
                self.repository.bring(commits)
            except Busy:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(random.uniform(0, 0.05 * (attempt + 1)))  # noqa: S311 - spreads load, hides nothing
            else:
                return


def _is_locked(folder: Path) -> bool:
    """Whether a process died, or sits, on the one lock that git takes when it cuts history off."""
    try:
        return time.time() - (folder / "shallow.lock").stat().st_mtime > _LOCK_S
    except OSError:
        return False


def _age(seconds: float) -> str:
    for unit, size_s in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size_s:
            return f"{int(seconds // size_s)} {unit}"
    return f"{int(seconds)} seconds"
