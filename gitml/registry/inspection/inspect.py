"""Looking into a version: which files, in what order, how much of each."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO, Final, Protocol, cast

from gitml._version import __version__
from gitml.errors import GitMLError
from gitml.model.findings import FileFormat, Finding, FindingKind, Grade, Inspection, Table
from gitml.model.names import VersionId
from gitml.registry.inspection import csv_table, formats, models, parquet_table
from gitml.registry.inspection.archive import UninspectableError
from gitml.store.read.entries import FileEntry

INSPECTED_TYPES: Final = ("models", "datasets")
_MAX_LISTED: Final = 10_000
_MAX_FILES: Final = 64
_MAX_TABLES: Final = 16
_MAX_FINDINGS: Final = 200
_BUFFER_BYTES: Final = 64 << 10
_TABLES: Final = (".parquet", ".pq", ".csv", ".tsv")
_UNTOLD: Final = (".md", ".txt", ".json", ".yaml", ".yml", ".toml", ".png", ".jpg", ".svg")


class Opens(Protocol):
    """The files of a version, as a store reads them."""

    @property
    def files(self) -> int:
        """How many there are."""

    def entries(self) -> Iterator[FileEntry]:
        """Each, in path order."""

    def open(self, path: str) -> io.RawIOBase:
        """One, for reading by ranges."""


def inspect(version: VersionId, tree: Opens) -> Inspection:
    """Look into a model or a dataset; other types are only counted.

    Reads a few MiB at most, whatever the size of the files, and gives the same for the same contents.
    """
    if version.type not in INSPECTED_TYPES:
        return Inspection(version=__version__, files=tree.files, note=f"{version.type} are not looked into")
    try:
        listed = list(islice(tree.entries(), _MAX_LISTED))
        chosen = _tables(listed) if version.type == "datasets" else _models(listed)
        return _inspected(tree, chosen)
    except GitMLError as error:
        return Inspection(version=__version__, files=tree.files, note=f"it cannot be read: {error.message}")


def _tables(entries: Sequence[FileEntry]) -> list[FileEntry]:
    return [one for one in entries if one.path.casefold().endswith(_TABLES)][:_MAX_TABLES]


def _models(entries: Sequence[FileEntry]) -> list[FileEntry]:
    """The files to look into; those whose names promise nothing of interest come last."""
    ranked = sorted(entries, key=lambda one: one.path.casefold().endswith(_UNTOLD))[:_MAX_FILES]
    return sorted(ranked, key=lambda one: one.path.encode())


def _inspected(tree: Opens, chosen: Sequence[FileEntry]) -> Inspection:
    found: list[Finding] = []
    kinds: list[FileFormat] = []
    tables: list[Table] = []
    for entry in chosen:
        kind, table, findings = _look(tree, entry)
        kinds.append(kind)
        found += findings
        tables += [table] if table else []
    found.sort(key=lambda one: (one.grade is not Grade.DANGER, one.kind.value, one.file, one.name))
    return Inspection(
        version=__version__,
        files=tree.files,
        looked_at=len(chosen),
        formats=tuple(kinds),
        tables=tuple(tables),
        findings=tuple(found[:_MAX_FINDINGS]),
        left_out=max(0, len(found) - _MAX_FINDINGS),
    )


def _look(tree: Opens, entry: FileEntry) -> tuple[FileFormat, Table | None, list[Finding]]:
    path, size_bytes = entry.path, entry.size_bytes
    with tree.open(path) as raw:
        # Says to the handle that little of it will be read.
        raw.seek(0, io.SEEK_END)
        raw.seek(0)
        stream = cast(BinaryIO, io.BufferedReader(raw, _BUFFER_BYTES))
        kind = formats.of(path, stream.read(formats.HEAD_BYTES), size_bytes)
        table, detail, findings = None, "", list[Finding]()
        try:
            table = _table(path, kind, stream, size_bytes)
        except UninspectableError as why:
            findings = [Finding(file=path, kind=FindingKind.NOT_INSPECTED, grade=Grade.NOTICE, name=str(why))]
        if table is None and not findings:
            kind, detail, findings = models.look(path, kind, stream, size_bytes)
    told = "csv" if table and table.format == "csv" else kind
    return FileFormat(path=path, size_bytes=size_bytes, format=told, detail=detail), table, findings


def _table(path: str, kind: str, stream: BinaryIO, size_bytes: int) -> Table | None:
    if kind == formats.PARQUET:
        return parquet_table.read(path, stream, size_bytes)
    if kind in (formats.TEXT, formats.JSON) and path.casefold().endswith((".csv", ".tsv")):
        return csv_table.read(path, stream, size_bytes)
    return None
