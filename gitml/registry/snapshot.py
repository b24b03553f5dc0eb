"""The registry as one commit holds it: which versions there are, and what each file says.

Only reads git, and objects alone, so it works the same on any branch, in a bare or a shallow repository, and whatever
the work tree looks like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from gitml._lazy import LazyModule
from gitml.errors import GitMLError, InvalidInput, NotFound
from gitml.git.reading import ReadableRepository
from gitml.git.types import TreeEntry
from gitml.model.config import Config
from gitml.model.names import AssetId, Version, VersionId, version_of

if TYPE_CHECKING:
    from gitml.model import about as _about
    from gitml.model import pointer as _pointer
    from gitml.model import stagefile as _stagefile
    from gitml.model.about import About
    from gitml.model.pointer import Pointer
else:
    _about = LazyModule("gitml.model.about")
    _pointer = LazyModule("gitml.model.pointer")
    _stagefile = LazyModule("gitml.model.stagefile")

CONFIG_FILE = "gitml.yaml"
POINTER_FILE = "asset.yaml"
ABOUT_FILE = "about.yaml"


class Snapshot:
    """A registry at one commit.

    Args:
        repo: The repository.
        folder: The registry's folder, relative to the top of the repository; "" is the top.
        commit: Commit id.
    """

    def __init__(self, repo: ReadableRepository, folder: str, commit: str) -> None:
        self._repo = repo
        self._folder = folder
        self.commit = commit
        self._pointers: dict[VersionId, Pointer] = {}

    def path(self, *parts: str) -> str:
        """Path, relative to the top of the repository, of a path inside the registry."""
        return "/".join(part for part in (self._folder, *parts) if part)

    @cached_property
    def config(self) -> Config:
        """The configuration of this commit.

        Raises:
            NotFound: This commit has no `gitml.yaml`.
            InvalidInput: It breaks a rule.
        """
        path = self.path(CONFIG_FILE)
        data = self._repo.blob(self.commit, path)
        if data is None:
            raise NotFound(
                f"{path} is not in commit {self.commit[:12]}: it is no registry there",
                code="no-registry",
                hint="gitml init",
                context={"commit": self.commit, "path": path},
            )
        return Config.parse(data, file=path)

    @cached_property
    def _blobs(self) -> Mapping[str, TreeEntry]:
        """Every file below a type's folder, by its path inside the registry."""
        skip = len(self._folder) + 1 if self._folder else 0
        found: dict[str, TreeEntry] = {}
        present = {entry.path[skip:] for entry in self._repo.tree(self.commit, self._folder, recursive=False)}
        for asset_type in self.config.known_types:
            if asset_type in present:
                for entry in self._repo.tree(self.commit, self.path(asset_type)):
                    found[entry.path[skip:]] = entry
        return MappingProxyType(found)

    @cached_property
    def _index(self) -> Mapping[AssetId, tuple[Version, ...]]:
        versions: dict[AssetId, list[Version]] = {}
        for path in self._blobs:
            parts = path.split("/")
            if len(parts) == 4 and parts[3] == POINTER_FILE:
                try:
                    found = version_of(*parts[:3])
                except GitMLError:
                    self._strays.append(path)
                    continue
                versions.setdefault(found.asset, []).append(found.version)
        return MappingProxyType(
            {asset: tuple(sorted(versions[asset])) for asset in sorted(versions, key=str)}
        )

    @cached_property
    def _strays(self) -> list[str]:
        return []

    @property
    def strays(self) -> Sequence[str]:
        """Paths of pointer files whose folder is no valid TYPE/NAME/VERSION; they are not versions."""
        _ = self._index
        return tuple(self._strays)

    def assets(self, asset_type: str | None = None) -> list[AssetId]:
        """Assets that have a version here, sorted."""
        return [asset for asset in self._index if asset_type in (None, asset.type)]

    def versions(self, asset: AssetId) -> tuple[Version, ...]:
        """Versions of an asset, lowest first; empty where there is none."""
        return self._index.get(asset, ())

    def ids(self) -> list[VersionId]:
        """Every version of every asset."""
        return [
            VersionId(asset=asset, version=version)
            for asset, found in self._index.items()
            for version in found
        ]

    def has(self, version: VersionId) -> bool:
        """Whether this commit holds that version's pointer."""
        return version.version in self._index.get(version.asset, ())

    def pointer_oid(self, version: VersionId) -> str | None:
        """Git object id of the pointer file: equal ids mean equal pointers."""
        entry = self._blobs.get(f"{version.folder}/{POINTER_FILE}")
        return entry.oid if entry else None

    def pointer_text(self, version: VersionId) -> bytes:
        """The pointer file as it stands.

        Raises:
            NotFound: No such version here.
        """
        data = (
            self._repo.blob(self.commit, self.path(version.folder, POINTER_FILE))
            if self.has(version)
            else None
        )
        if data is None:
            raise NotFound(
                f"{version} is not in commit {self.commit[:12]}",
                code="version-not-found",
                hint=f"gitml list {version.asset}",
                context={"ref": str(version), "commit": self.commit},
            )
        return data

    def pointer(self, version: VersionId) -> Pointer:
        """The pointer of one version.

        Raises:
            NotFound: No such version here.
            InvalidInput: The pointer breaks a rule.
        """
        if version not in self._pointers:
            self._pointers[version] = self._parse(version, self.pointer_text(version))
        return self._pointers[version]

    def pointers(
        self, versions: Iterable[VersionId], failed: dict[str, GitMLError] | None = None
    ) -> dict[VersionId, Pointer]:
        """Pointers of many versions, read in one batch; same errors as :meth:`pointer`.

        Args:
            versions: Which.
            failed: Takes the pointers that break a rule, which are then left out instead.
        """
        wanted = list(versions)
        missing = {
            version: self._blobs[f"{version.folder}/{POINTER_FILE}"].oid
            for version in wanted
            if version not in self._pointers and self.has(version)
        }
        texts = self._repo.blobs(list(missing.values()))
        for version, oid in missing.items():
            try:
                self._pointers[version] = self._parse(version, texts[oid])
            except InvalidInput as error:
                if failed is None:
                    raise
                failed[str(version)] = error
        return {version: self.pointer(version) for version in wanted if str(version) not in (failed or {})}

    def may_refer(self, versions: Iterable[VersionId]) -> list[VersionId]:
        """Those of the versions whose pointers may say `external`: without the word, or an escape in it, none does."""
        found = {id_: self._blobs[f"{id_.folder}/{POINTER_FILE}"].oid for id_ in versions if self.has(id_)}
        texts = self._repo.blobs(list(found.values()))
        return [id_ for id_, oid in found.items() if b"external" in texts[oid] or b"\\" in texts[oid]]

    def _parse(self, version: VersionId, data: bytes) -> Pointer:
        file = self.path(version.folder, POINTER_FILE)
        return _pointer.Pointer.parse(data, file=file, expect=version, known_types=self.config.known_types)

    def folder_oid(self, version: VersionId) -> str | None:
        """Git tree id of the version's folder: equal ids mean equal folders."""
        entry = self._repo.entry(self.commit, self.path(version.folder))
        return entry.oid if entry and entry.kind == "tree" else None

    def folder_files(self, version: VersionId) -> dict[str, str]:
        """File name -> blob id of everything in the version's folder."""
        prefix = f"{version.folder}/"
        return {
            path[len(prefix) :]: entry.oid for path, entry in self._blobs.items() if path.startswith(prefix)
        }

    def about(self, asset: AssetId) -> About:
        """What `about.yaml` says of the asset here; empty where there is none."""
        entry = self._blobs.get(f"{asset.folder}/{ABOUT_FILE}")
        if entry is None:
            return _about.About()
        data = self._repo.blobs([entry.oid])[entry.oid]
        return _about.About.parse(data, file=self.path(asset.folder, ABOUT_FILE))

    def current(self, asset: AssetId, stage: str) -> Version | None:
        """The version that TYPE/NAME/STAGE.yaml names; it means something on the branch STAGE only."""
        entry = self._blobs.get(f"{asset.folder}/{stage}.yaml")
        if entry is None:
            return None
        data = self._repo.blobs([entry.oid])[entry.oid]
        return _stagefile.StageFile.parse(data, file=self.path(asset.folder, f"{stage}.yaml")).current

    def currents(self, stage: str) -> dict[AssetId, Version]:
        """What the stage file of every asset names."""
        name = f"{stage}.yaml"
        assets = [
            AssetId(type=parts[0], name=parts[1])
            for parts in (path.split("/") for path in self._blobs)
            if len(parts) == 3 and parts[2] == name
        ]
        found = {asset: self.current(asset, stage) for asset in assets}
        return {asset: version for asset, version in found.items() if version is not None}
