"""`columns.py make FILE BYTES` and `columns.py read REF NAME…`: a Parquet file, and some columns of it.

`read` opens it through GitML in the registry of the current folder. Both print how many bytes two columns take.
"""

from __future__ import annotations

import array
import random
import sys

import pyarrow as pa
from pyarrow import parquet

_COLUMNS = 16
_GROUP_ROWS = 1 << 20


def make(path: str, size_bytes: int) -> None:
    """Columns of random numbers that do not compress, in row groups as pyarrow makes them by itself."""
    source = random.Random("columns")
    names = [f"c{number:02}" for number in range(_COLUMNS)]
    rows = size_bytes // (8 * _COLUMNS)
    schema = pa.schema([(name, pa.int64()) for name in names])
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, rows, _GROUP_ROWS):
            count = min(_GROUP_ROWS, rows - start)
            columns = [pa.array(array.array("q", source.randbytes(8 * count))) for _ in names]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=_GROUP_ROWS)


def read(ref: str, names: list[str]) -> None:
    """Read columns, and say how many bytes of the file they are."""
    import gitml

    with gitml.Registry().open(ref) as stream:
        file = parquet.ParquetFile(stream)
        table = file.read(columns=names)
        metadata = file.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        chunks = [group.column(number) for group in groups for number in range(metadata.num_columns)]
        wanted = sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in names)
        if table.num_rows != metadata.num_rows:
            raise SystemExit("rows are missing")
        print(wanted)


if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    if verb == "make":
        make(words[0], int(words[1]))
    else:
        read(words[0], words[1:])
