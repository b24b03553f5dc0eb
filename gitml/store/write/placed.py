"""A folder that holds all files of a tree, and maybe its pointer beside them, as the source of a write."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gitml.errors import GitMLError
from gitml.model.digest import Digest, sum_line
from gitml.store.write.diskfile import DiskFile

_BESIDE: Final = frozenset({"asset.yaml", "about.yaml"})
"""Names that no contents have at their top."""


@dataclass(slots=True)
class PlacedTree:
    """The files of a tree, each with its digest; feeds :meth:`gitml.store.store.Store.write`."""

    found: list[DiskFile]
    warnings: list[str]

    @classmethod
    def find(cls, folder: Path, tree: Digest, files: int, size_bytes: int) -> PlacedTree | None:
        """The tree in a folder; None where it is not there just as it was registered."""
        found = _files(folder, files)
        if len(found) != files or sum(file.size_bytes for file in found) != size_bytes:
            return None
        digest = hashlib.sha256()
        hashed = []
        for file in found:
            try:
                hasher = hashlib.sha256()
                for block in file.blocks():
                    hasher.update(block)
                digest.update(sum_line(file.path, hasher.digest()))
            except (GitMLError, UnicodeEncodeError):
                return None
            hashed.append(msgspec.structs.replace(file, digest=hasher.digest()))
        return cls(hashed, []) if digest.digest() == tree.raw else None

    def files(self) -> Iterator[DiskFile]:
        """Every file, in path order."""
        return iter(self.found)

    def totals(self) -> tuple[int, int]:
        """Number of files, and their bytes."""
        return len(self.found), sum(file.size_bytes for file in self.found)


def _files(folder: Path, most: int) -> list[DiskFile]:
    """Regular files below a folder in path order; when there are too many, not all of them."""
    found: list[DiskFile] = []
    for base, _, names in os.walk(folder):
        if len(found) > most:
            break
        for name in names:
            location = Path(base, name)
            path = location.relative_to(folder).as_posix()
            try:
                status = location.lstat()
            except OSError:
                continue
            if path not in _BESIDE and stat.S_ISREG(status.st_mode):
                found.append(
                    DiskFile(path=path, size_bytes=status.st_size, location=str(location), status=status)
                )
    return sorted(found, key=lambda file: os.fsencode(file.path))
