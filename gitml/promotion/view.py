"""A tree of files seen as a registry: versions, what a stage runs, and everything else.

Works on a listing (path -> mode and object id), which is either a commit's or one that a plan proposes, so
that the same rules judge both. It reads no repository itself: the bytes come from a function it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from gitml.errors import GitMLError
from gitml.model.about import About
from gitml.model.config import Config
from gitml.model.names import AssetId, Version, VersionId, version_of
from gitml.model.paths import fold
from gitml.model.pointer import Pointer
from gitml.model.stagefile import StageFile

CONFIG_FILE = "gitml.yaml"
POINTER_FILE = "asset.yaml"
ABOUT_FILE = "about.yaml"
REGULAR_MODES = frozenset({"100644", "100755"})


@dataclass(frozen=True, slots=True)
class File:
    """Mode and object id of one file of a tree."""

    mode: str
    oid: str


Listing = Mapping[str, File]
ReadBlobs = Callable[[Sequence[str]], Mapping[str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A file that breaks its format."""

    path: str
    message: str


class TreeView:
    """One tree as a registry.

    Args:
        files: Every file of the tree, by path from the top of the repository.
        read: Gives the bytes of objects, many at once.
        folder: The registry's folder; "" is the top.
        types: Folders that count as asset types.
    """

    def __init__(self, files: Listing, read: ReadBlobs, *, folder: str, types: Collection[str]) -> None:
        self.files = files
        self.read = read
        self._prefix = f"{folder}/" if folder else ""
        self._types = frozenset(types)
        self._pointers: dict[VersionId, Pointer | Defect] = {}

    def path(self, *parts: str) -> str:
        """Path from the top of the repository of a path inside the registry."""
        return self._prefix + "/".join(parts)

    def _split(self, path: str) -> list[str] | None:
        """Parts of a path below a type's folder; None for any other path."""
        if not path.startswith(self._prefix):
            return None
        parts = path[len(self._prefix) :].split("/")
        return parts if parts[0] in self._types else None

    def inner(self, path: str) -> str | None:
        """A path inside the registry, of a path from the top of the repository; None for one outside."""
        return path[len(self._prefix) :] if path.startswith(self._prefix) else None

    def is_inside(self, path: str) -> bool:
        """Whether a path lies below a type's folder, in whatever case that is written."""
        inner = self.inner(path)
        return inner is not None and fold(inner.split("/")[0]) in self._types

    def is_in_version(self, path: str) -> bool:
        """Whether a path lies in a version's folder."""
        parts = self._split(path)
        return parts is not None and len(parts) > 3 and tuple(parts[:3]) in self._index[2]

    def text(self, path: str) -> bytes | None:
        """The bytes of a regular file of the registry; None where there is none."""
        file = self.files.get(self.path(path))
        return None if file is None or file.mode not in REGULAR_MODES else self.read([file.oid])[file.oid]

    @cached_property
    def _inside(self) -> list[tuple[str, list[str]]]:
        """Every path below a type's folder, and its parts."""
        split = ((path, self._split(path)) for path in self.files)
        return [(path, parts) for path, parts in split if parts is not None]

    @cached_property
    def _index(
        self,
    ) -> tuple[dict[VersionId, dict[str, File]], tuple[Defect, ...], Mapping[tuple[str, ...], VersionId]]:
        """Versions with the files of their folders, pointers whose folder is no version's name, and folders."""
        found: dict[tuple[str, ...], VersionId] = {}
        strays: list[Defect] = []
        for path, parts in self._inside:
            if len(parts) == 4 and parts[3] == POINTER_FILE:
                try:
                    found[tuple(parts[:3])] = version_of(*parts[:3])
                except GitMLError as error:
                    strays.append(Defect(path=path, message=error.message))
        folders: dict[VersionId, dict[str, File]] = {version: {} for version in found.values()}
        for path, parts in self._inside:
            version = found.get(tuple(parts[:3])) if len(parts) > 3 else None
            if version is not None:
                folders[version]["/".join(parts[3:])] = self.files[path]
        return folders, tuple(strays), found

    @property
    def versions(self) -> Mapping[VersionId, Mapping[str, File]]:
        """Every version and the files of its folder, by path inside the folder."""
        return self._index[0]

    @property
    def strays(self) -> tuple[Defect, ...]:
        """Pointers in folders that cannot be a version's."""
        return self._index[1]

    @property
    def folders(self) -> Mapping[tuple[str, ...], VersionId]:
        """The same by the names of its folders, which compare faster."""
        return self._index[2]

    def pointer(self, version: VersionId) -> Pointer | Defect:
        """The pointer of a version of this tree, or what is wrong with it."""
        if version not in self._pointers:
            self.load([version])
        return self._pointers[version]

    def load(self, versions: Iterable[VersionId]) -> None:
        """Read the pointers of versions of this tree in one batch."""
        wanted = {version: self.versions[version][POINTER_FILE] for version in versions}
        wanted = {version: file for version, file in wanted.items() if version not in self._pointers}
        texts = self.read([file.oid for file in wanted.values()]) if wanted else {}
        for version, file in wanted.items():
            path = self.path(version.folder, POINTER_FILE)
            try:
                self._pointers[version] = Pointer.parse(
                    texts[file.oid], file=path, expect=version, known_types=self._types
                )
            except GitMLError as error:
                self._pointers[version] = Defect(path=path, message=error.message)

    def stage_files(self, stage: str) -> dict[AssetId, File]:
        """The files that say what a stage runs, by asset."""
        name = f"{stage}.yaml"
        found: dict[AssetId, File] = {}
        for path, parts in self._inside:
            if len(parts) == 3 and parts[2] == name:
                found[AssetId(type=parts[0], name=parts[1])] = self.files[path]
        return found

    def currents(self, stage: str) -> dict[AssetId, Version | Defect]:
        """What the stage's files name, or what is wrong with them."""
        files = self.stage_files(stage)
        texts = self.read([file.oid for file in files.values()]) if files else {}
        found: dict[AssetId, Version | Defect] = {}
        for asset, file in files.items():
            path = self.path(asset.folder, f"{stage}.yaml")
            try:
                found[asset] = StageFile.parse(texts[file.oid], file=path).current
            except GitMLError as error:
                found[asset] = Defect(path=path, message=error.message)
        return found

    def defects_of(self, paths: Iterable[str]) -> list[Defect]:
        """What is wrong with the configuration and the about files among some paths."""
        wanted = {path: self.files[path] for path in paths if path in self.files and self._kind(path)}
        texts = self.read([file.oid for file in wanted.values()]) if wanted else {}
        defects: list[Defect] = []
        for path, file in wanted.items():
            try:
                if self._kind(path) == CONFIG_FILE:
                    Config.parse(texts[file.oid], file=path)
                else:
                    About.parse(texts[file.oid], file=path)
            except GitMLError as error:
                defects.append(Defect(path=path, message=error.message))
        return defects

    def _kind(self, path: str) -> str | None:
        if path == self.path(CONFIG_FILE):
            return CONFIG_FILE
        parts = self._split(path)
        return ABOUT_FILE if parts and len(parts) == 3 and parts[2] == ABOUT_FILE else None


def changed_paths(before: Listing, after: Listing) -> set[str]:
    """Paths that differ between two trees."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
