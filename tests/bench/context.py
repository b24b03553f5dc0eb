"""What every row is given: sizes, peers and a folder to work in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.bucket import Place
from tests.bench.material import Sizes
from tests.bench.tools import Borg, Dvc, Gitml, Peers, Restic


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Rows leave `folder` as they like: it is emptied before the next one.

    Attributes:
        server: Name of the S3 server of the rows that need one.
    """

    sizes: Sizes
    peers: Peers
    folder: Path
    server: str = "moto"

    def gitml(self, place: Place | None = None) -> Gitml:
        return Gitml(self.folder / "gitml", place)

    def dvc(self, place: Place | None = None) -> Dvc | None:
        executable = self.peers.dvc_s3 if place else self.peers.dvc
        return Dvc(self.folder / "dvc", executable, place) if executable else None

    def restic(self, place: Place | None = None) -> Restic | None:
        return Restic(self.folder / "restic", self.peers.restic, place) if self.peers.restic else None

    def borg(self) -> Borg | None:
        return Borg(self.folder / "borg", self.peers.borg) if self.peers.borg else None
