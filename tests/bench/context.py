"""What every row is given: sizes, peers and a folder to work in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.material import Sizes
from tests.bench.tools import Borg, Dvc, Gitml, Peers, Restic


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Rows leave `folder` as they like: it is emptied before the next one."""

    sizes: Sizes
    peers: Peers
    folder: Path

    def gitml(self) -> Gitml:
        return Gitml(self.folder / "gitml")

    def dvc(self) -> Dvc | None:
        return Dvc(self.folder / "dvc", self.peers.dvc) if self.peers.dvc else None

    def restic(self) -> Restic | None:
        return Restic(self.folder / "restic", self.peers.restic) if self.peers.restic else None

    def borg(self) -> Borg | None:
        return Borg(self.folder / "borg", self.peers.borg) if self.peers.borg else None
