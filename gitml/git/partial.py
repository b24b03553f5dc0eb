"""A bare repository that has of another one only what was asked for: commits with their trees, and single files.

It is a cache. Commits come without history and without the bytes of files (`--depth=1 --filter=blob:none`), files when
they are read, all that one call reads in one request. Nothing in it follows anything, no ref is written, and the
address of the other repository is not stored: git is told on each call. Git never fetches by itself here, so that what
cannot be had is an error of the read that wanted it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gitml.errors import AccessDenied, NoSpace, NotFound, UnexpectedError
from gitml.git import discovery, remotes
from gitml.git.command import GitCommand
from gitml.git.failures import NO_ROOM
from gitml.git.names import check_branch, check_oid
from gitml.git.repository import Repository
from gitml.git.urls import without_credentials

if TYPE_CHECKING:
    from gitml.git.discovery import Place

_HEADS: Final = "refs/heads/"
_USUAL: Final = ("main", "master")
_REMOTE: Final = "upstream"
_FETCH: Final = (
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-recurse-submodules",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    remotes.UPLOAD,
)
_NOT_GIVEN: Final = re.compile(r"unadvertised object|not our ref|no such remote ref|couldn't find remote ref")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tips:
    """Branches of another repository at one moment.

    Attributes:
        default: Name of the branch that its HEAD is, or where that does not exist, of one that usually is; else None.
        branches: Those asked for, and the default one, as far as they exist: name -> commit.
    """

    default: str | None
    branches: dict[str, str]


def ask_tips(address: str, branches: Sequence[str], *, cwd: Path) -> Tips:
    """Ask a repository where its HEAD and some of its branches are.

    Args:
        address: As :func:`gitml.git.urls.check_url` gives it.
        branches: Short names.
        cwd: Folder that git runs in.

    Raises:
        StoreUnavailable: It cannot be reached.
        AccessDenied: It may not be read.
        NotFound: There is no repository.
    """
    wanted = [_HEADS + check_branch(name) for name in dict.fromkeys((*branches, *_USUAL))]
    result = GitCommand(cwd=cwd).run(
        "ls-remote", "--quiet", "--symref", remotes.UPLOAD, "--end-of-options", address, "HEAD", *wanted,
        env=remotes.protocols(address),
        what=f"refs could not be asked from {without_credentials(address)}",
    )  # fmt: skip
    default, head, found = None, None, dict[str, str]()
    for line in result.text.split("\n"):
        value, _, name = line.partition("\t")
        if name == "HEAD" and value.startswith(f"ref: {_HEADS}"):
            default = value.removeprefix(f"ref: {_HEADS}")
        elif name == "HEAD":
            head = check_oid(value)
        elif name in wanted:
            found[name.removeprefix(_HEADS)] = check_oid(value)
    if head is None:
        default = next((name for name in _USUAL if name in found), None)
    else:
        # An old server does not tell what HEAD is a name for.
        default = default or next((name for name in found if found[name] == head), "HEAD")
        found[default] = head
    return Tips(default=default, branches=found)


class PartialRepository(Repository):
    """See the module.

    Attributes:
        common_dir: Folder where what must outlive the cache is remembered; git has nothing in it.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._address: str | None = None
        self._asked: dict[str, None] = {}

    @classmethod
    def at(cls, folder: Path, address: str | None, *, state: Path) -> PartialRepository:
        """Open the cache in a folder, or make it there; safe beside others that do the same.

        Args:
            folder: It appears whole or not at all, readable by this user only.
            address: Where missing objects come from; None: nowhere, so that they are not found.
            state: See `common_dir`.

        Raises:
            AccessDenied, NoSpace: The folder cannot be written.
        """
        if not (folder / "HEAD").exists():
            _make(folder)
        found = cls(discovery.find(folder))
        found._address = address
        found.common_dir = state
        return found

    @property
    def is_shallow(self) -> bool:
        """Always: there is no history."""
        return True

    def has(self, commit: str) -> bool:
        """Whether a commit is here; its trees then are, too."""
        return self._objects.info(f"{check_oid(commit)}^{{commit}}") is not None

    def bring(self, commits: Sequence[str]) -> None:
        """Bring commits with all of their trees, and no files.

        Raises:
            NotFound: The repository does not have one of them, or does not give it.
            StoreUnavailable, AccessDenied: It cannot be reached or read.
            Busy: Another process is bringing commits.
        """
        missing = [oid for oid in dict.fromkeys(commits) if not self.has(oid)]
        self._asked |= dict.fromkeys(commits)
        if missing:
            self._fetch(missing, "--depth=1", "--filter=blob:none")

    def blob(self, commit: str, path: str) -> bytes | None:
        """See :meth:`Repository.blob`; the file is fetched where it is not here."""
        entry = self.entry(commit, path)
        return None if entry is None or entry.kind != "blob" else self.blobs([entry.oid])[entry.oid]

    def blobs(self, oids: Sequence[str]) -> dict[str, bytes]:
        """See :meth:`Repository.blobs`; what is not here is fetched at once."""
        wanted = list(dict.fromkeys(check_oid(oid) for oid in oids))
        missing = [oid for oid, info in zip(wanted, self._objects.infos(wanted), strict=True) if info is None]
        if missing:
            self._fetch_files(missing)
        return super().blobs(wanted)

    def _fetch_files(self, oids: Sequence[str]) -> None:
        """Fetch files; a server that gives only what a branch names gives the branch with all of its files."""
        try:
            self._fetch(oids, "--filter=blob:none")
        except NotFound as error:
            if error.code != "remote-object" or not self._asked:
                raise
            self._fetch(list(self._asked), "--depth=1", "--refetch", "--no-filter")

    def _fetch(self, oids: Sequence[str], *options: str) -> None:
        if self._address is None:
            raise NotFound(
                f"{len(oids)} object(s) of another repository were never read on this machine, {oids[0]} first",
                code="not-cached",
                hint="leave out --cached",
            )
        what = f"nothing could be fetched from {without_credentials(self._address)}"
        try:
            self._git.run(
                *_FETCH, *options, "--stdin", "--end-of-options", _REMOTE,
                stdin="".join(f"{oid}\n" for oid in oids).encode(),
                settings=self._promise(),
                env=remotes.protocols(self._address),
                what=what,
            )  # fmt: skip
        except (UnexpectedError, NotFound) as error:
            if not _NOT_GIVEN.search(error.message):
                raise
            raise NotFound(
                f"{what}: it has no object {oids[0]}, or gives only what a branch names (git protocol 2 gives more)",
                code="remote-object",
                hint="look with: git ls-remote REMOTE",
                context={"objects": list(oids[:10])},
            ) from error

    def _promise(self) -> list[tuple[str, str]]:
        """Settings that make the other repository the one that has what is missing here, and store nothing."""
        assert self._address is not None
        return [
            (f"remote.{_REMOTE}.url", self._address),
            (f"remote.{_REMOTE}.promisor", "true"),
            (f"remote.{_REMOTE}.partialclonefilter", "blob:none"),
            ("fetch.negotiationAlgorithm", "consecutive"),
        ]


def _make(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            Repository.init(temporary, bare=True)
            with suppress(FileExistsError):
                os.rename(temporary, folder)  # noqa: PTH104 - fails where another process made it first
        except OSError:
            if not (folder / "HEAD").exists():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as exc:
        error = NoSpace if exc.errno in NO_ROOM else AccessDenied
        raise error(
            f"no cache of another repository could be made in {folder}: {exc.strerror}",
            code="cache-unwritable",
            hint=f"make {folder.parent} writable, or set XDG_CACHE_HOME",
        ) from exc
