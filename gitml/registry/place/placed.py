"""What GitML remembers of the folders that it filled, in `<common dir>/gitml/placed/`.

There is a record for each folder: which version, which part of it, and the stat cache of its files. All of it may be
deleted at any time: files are then hashed again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gitml.errors import NoSpace
from gitml.registry.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What GitML remembers of a folder that it filled.

    Attributes:
        destination: The folder.
        ref: The version placed there.
        digest: Tree digest of that version.
        partial: Whether only some of its files were asked for.
        cache_path: Where the stat cache of its files lies.
    """

    destination: Path
    ref: str
    digest: str
    partial: bool
    cache_path: Path


def cache_path(ws: Workspace, destination: Path) -> Path:
    """Where the stat cache of a folder lies, or will lie."""
    name = hashlib.sha256(os.fsencode(destination)).hexdigest()[:32]
    return _base(ws) / name / "files"


def remember(record: Record) -> None:
    """Keep a record, but where the repository may only be read: there every file is hashed again next time.

    Raises:
        NoSpace: The repository's disk is full.
    """
    said = {
        "destination": str(record.destination),
        "ref": record.ref,
        "digest": record.digest,
        "partial": record.partial,
    }
    folder = record.cache_path.parent
    temporary = folder / f".record.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(said) + "\n", encoding="utf-8")
        temporary.replace(folder / "record.json")
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise NoSpace(
                f"{folder} cannot be written: {error.strerror}",
                hint="make room on the repository's disk, then run it again",
            ) from error


def records(ws: Workspace) -> Iterator[Record]:
    """What GitML placed from this repository, wherever; damaged records are passed over."""
    base = _base(ws)
    if not base.is_dir():
        return
    for folder in sorted(base.iterdir()):
        try:
            value = json.loads((folder / "record.json").read_text(encoding="utf-8"))
            yield Record(
                destination=Path(value["destination"]),
                ref=str(value["ref"]),
                digest=str(value["digest"]),
                partial=bool(value["partial"]),
                cache_path=folder / "files",
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _base(ws: Workspace) -> Path:
    return ws.repo.common_dir / "gitml" / "placed"
