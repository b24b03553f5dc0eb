"""Writes a result as Parquet: the same rows in the same order give the same bytes.

Nothing of the time, the machine or the database goes into a file; all settings of the format are fixed here. What
is left is the name of the library that wrote it, so another release of pyarrow may give other bytes for the same rows.
Pages end where the contents say (content-defined chunking), so that a version which differs in a few rows shares most
of its chunks with the one before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from gitml.model.progress import Progress
from gitml.model.sql import ResultColumn
from gitml.registry.sql.columns import Result, array

_BATCH_BYTES: Final = 8 << 20
_BATCH_ROWS: Final = 16_384
_GROUP_BYTES: Final = 64 << 20
_GROUP_ROWS: Final = 1 << 20
_PART_BYTES: Final = 1 << 30
# Pages about as large as a chunk of the store, and no dictionary so long that one value more changes all that follows:
# of 400,000 rows of which a dozen changed, a tenth is stored anew (a quarter with the library's own sizes).
_PAGES: Final = {"min_chunk_size": 64 << 10, "max_chunk_size": 256 << 10}
_DICTIONARY_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written.

    Attributes:
        rows: How many.
        columns: Their names, types, and whether they have a NULL.
    """

    rows: int
    columns: tuple[ResultColumn, ...]


def write_result(
    result: Result,
    folder: Path,
    progress: Progress,
    *,
    group_bytes: int = _GROUP_BYTES,
    part_bytes: int = _PART_BYTES,
) -> Written:
    """Write all rows to `part-00000.parquet` and, where it is large, further files in a folder.

    Args:
        result: The rows.
        folder: Where to.
        progress: Told of every batch.
        group_bytes: A group of rows ends after so many bytes in memory.
        part_bytes: A file ends with the group of rows that takes it past so many.

    Raises:
        InvalidInput: A value does not fit its column.
    """
    schema = pa.schema([pa.field(column.name, column.type) for column in result.columns])
    nullable = [False] * len(result.columns)
    rows = 0
    with _Parts(folder, schema, group_bytes, part_bytes) as parts:
        for arrays in _batches(result):
            table = pa.Table.from_arrays(arrays, schema=schema)
            nullable = [was or bool(now.null_count) for was, now in zip(nullable, arrays, strict=True)]
            rows += table.num_rows
            progress.advance(size_bytes=table.nbytes, rows=table.num_rows)
            parts.add(table)
    columns = tuple(
        ResultColumn(
            name=column.name, type=column.type_name, nullable=null, database_type=column.database_type
        )
        for column, null in zip(result.columns, nullable, strict=True)
    )
    return Written(rows=rows, columns=columns)


def _batches(result: Result) -> Iterator[list[Any]]:
    """Columns of the next rows, about so many bytes at a time; how many rows that is depends on the rows alone."""
    before, wanted = 0, 1
    while rows := result.rows.fetchmany(wanted):
        columns = zip(result.columns, zip(*rows, strict=True), strict=True)
        arrays = [array(column, values, before) for column, values in columns]
        before += len(rows)
        row_bytes = max(1, sum(one.nbytes for one in arrays) // len(rows))
        wanted = max(1, min(_BATCH_BYTES // row_bytes, _BATCH_ROWS, 8 * wanted))
        yield arrays


class _Parts:
    """The files of one result; at least one, and that also without rows."""

    def __init__(self, folder: Path, schema: pa.Schema, group_bytes: int, part_bytes: int) -> None:
        self._folder, self._schema = folder, schema
        self._group_bytes, self._part_bytes = group_bytes, part_bytes
        self._pending: list[Any] = []
        self._count = 0
        self._open: contextlib.ExitStack | None = None
        self._sink: Any = None
        self._writer: Any = None

    def __enter__(self) -> _Parts:
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            # The footer of a file that nobody will read: its failure must not hide the first one.
            with contextlib.suppress(OSError, pa.ArrowException):
                self._end()
            return
        try:
            self._flush()
        finally:
            self._end()

    def add(self, table: Any) -> None:
        """The next rows."""
        self._pending.append(table)
        if (
            sum(one.nbytes for one in self._pending) >= self._group_bytes
            or sum(one.num_rows for one in self._pending) >= _GROUP_ROWS
        ):
            self._flush()

    def _flush(self) -> None:
        """Write what is pending as one group of rows."""
        if not self._pending:
            return
        if self._writer is None:
            self._begin()
        group = pa.concat_tables(self._pending)
        self._pending = []
        self._writer.write_table(group, row_group_size=group.num_rows)
        if self._sink.tell() >= self._part_bytes:
            self._end()

    def _begin(self) -> None:
        with contextlib.ExitStack() as opening:
            self._sink = opening.enter_context((self._folder / f"part-{self._count:05}.parquet").open("xb"))
            self._writer = opening.enter_context(
                parquet.ParquetWriter(
                    self._sink,
                    self._schema,
                    version="2.6",
                    data_page_version="1.0",
                    compression="zstd",
                    compression_level=1,
                    dictionary_pagesize_limit=_DICTIONARY_BYTES,
                    use_content_defined_chunking=_PAGES,
                )
            )
            self._open = opening.pop_all()
        self._count += 1

    def _end(self) -> None:
        opened, self._open, self._writer = self._open, None, None
        if opened is not None:
            opened.close()
