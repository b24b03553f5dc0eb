"""A registry in another repository, whichever way its commits were brought here."""

from __future__ import annotations

from pathlib import Path

from gitml.errors import InvalidInput, NotFound
from gitml.git.repository import Repository
from gitml.registry.others.addresses import Address
from gitml.registry.snapshot import CONFIG_FILE, Snapshot
from gitml.registry.workspace import Workspace


class DistantWorkspace(Workspace):
    """A registry that is not this clone's: no branch of it is checked out, and it is known by its address.

    Attributes:
        address: Where its repository lies.
    """

    address: Address

    def checked_out(self) -> tuple[str | None, Snapshot]:
        """See :meth:`Workspace.checked_out`: no branch is."""
        return None, self.head()

    def branch(self) -> str | None:
        """See :meth:`Workspace.branch`: none is checked out."""
        return None

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
