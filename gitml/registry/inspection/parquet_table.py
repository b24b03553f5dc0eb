"""Rows, columns, types and ranges of Parquet files, from their footers alone.

An own reader of the footer: a library in C++ was seen to end the whole process on a footer with one flipped bit, and
this reads files that strangers propose.
Source: the Apache Parquet project's `parquet.thrift`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, BinaryIO, Final

from gitml.model.findings import Column, Table
from gitml.registry.inspection.archive import UninspectableError
from gitml.registry.inspection.thrift import read_struct

_MAX_FOOTER_BYTES: Final = 4 << 20
_MAX_COLUMNS: Final = 2000
_PHYSICAL: Final = ("boolean", "int32", "int64", "int96", "float", "double", "bytes", "fixed")
_LAYOUT: Final = {1: "<i", 2: "<q", 4: "<f", 5: "<d"}
_CONVERTED: Final = {
    0: "string", 1: "map", 2: "map", 3: "list", 4: "enum", 5: "decimal", 6: "date", 7: "time[ms]", 8: "time[us]",
    9: "timestamp[ms]", 10: "timestamp[us]", 11: "uint8", 12: "uint16", 13: "uint32", 14: "uint64", 15: "int8",
    16: "int16", 17: "int32", 18: "int64", 19: "json", 20: "bson", 21: "interval",
}  # fmt: skip
_LOGICAL: Final = {
    1: "string", 2: "map", 3: "list", 4: "enum", 5: "decimal", 6: "date", 7: "time", 8: "timestamp", 11: "null",
    12: "json", 13: "bson", 14: "uuid", 15: "float16",
}  # fmt: skip
_UNITS: Final = {1: "ms", 2: "us", 3: "ns"}
_PER_SECOND: Final = {"ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Leaf:
    """A column, and what the groups of rows said of it so far."""

    name: str
    type: str
    physical: int | None = None
    scale: int = 0
    nulls: int | None = 0
    ends: list[Any] | None = field(default_factory=list)


def read(path: str, stream: BinaryIO, size_bytes: int) -> Table:
    """The table that a Parquet file holds.

    Raises:
        UninspectableError: It is damaged, encrypted or too large.
    """
    stream.seek(max(0, size_bytes - 8))
    tail = stream.read(8)
    footer_bytes = int.from_bytes(tail[:4], "little")
    if size_bytes < 12 or tail[4:] != b"PAR1":
        raise UninspectableError("it is encrypted" if tail[4:] == b"PARE" else "it has no footer")
    if footer_bytes > min(_MAX_FOOTER_BYTES, size_bytes - 12):
        raise UninspectableError(f"its footer has {footer_bytes} bytes")
    stream.seek(size_bytes - 8 - footer_bytes)
    try:
        return _table(path, read_struct(stream.read(footer_bytes)))
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        OverflowError,
        ArithmeticError,
    ) as error:
        raise UninspectableError(f"its footer is malformed: {str(error)[:100]}") from error


def _table(path: str, footer: Mapping[int, Any]) -> Table:
    leaves = _columns(footer[2])
    if len(leaves) > _MAX_COLUMNS:
        raise UninspectableError(f"it has {len(leaves)} columns")
    for group in footer.get(4, []):
        told = {}
        for chunk in group[1]:
            described = chunk.get(3, {})
            names = described.get(3, [])
            if len(names) == 1:
                told[names[0]] = described.get(12)
        for name, leaf in leaves.items():
            _add(leaf, told.get(name), group[3])
    rows = footer[3]
    if not isinstance(rows, int) or rows < 0:
        raise ValueError("its number of rows is none")
    return Table(path=path, format="parquet", rows=rows, columns=tuple(map(_column, leaves.values())))


def _columns(elements: Sequence[Mapping[int, Any]]) -> dict[bytes, _Leaf]:
    """The columns below the root; those that hold others are one column each."""
    found: dict[bytes, _Leaf] = {}
    position = 1
    for _ in range(elements[0].get(5, 0)):
        element = elements[position]
        name, children, repeated = element[4], element.get(5, 0), element.get(3) == 2
        if name in found:
            raise ValueError("two of its columns have the same name")
        leaf = _Leaf(name=name.decode("utf-8", "replace"), type=_type(element))
        if not children and not repeated:
            leaf.physical, leaf.scale = element[1], element.get(7, 0)
        found[name] = leaf
        left = children
        position += 1
        while left:
            left += elements[position].get(5, 0) - 1
            position += 1
    return found


def _type(element: Mapping[int, Any]) -> str:
    logical = next(iter(element.get(10, {}).items()), None)
    if logical is not None and logical[0] == 10:
        return f"{'int' if logical[1].get(2, True) else 'uint'}{int(logical[1][1])}"
    if logical is not None and logical[0] in (7, 8):
        unit = _UNITS.get(next(iter(logical[1].get(2, {})), 0), "?")
        return f"{_LOGICAL[logical[0]]}[{unit}{', UTC' if logical[1].get(1) else ''}]"
    name = _LOGICAL.get(logical[0]) if logical else _CONVERTED.get(element.get(6, -1))
    if name == "decimal":
        return f"decimal({int(element.get(8, 0))}, {int(element.get(7, 0))})"
    if name is not None:
        return name
    return "struct" if element.get(5) else _PHYSICAL[element[1]]


def _add(leaf: _Leaf, statistics: Mapping[int, Any] | None, rows: int) -> None:
    """What one group of rows says of a column; silence of one group makes the whole unknown."""
    nulls = statistics.get(3) if statistics else None
    leaf.nulls = (
        leaf.nulls + nulls if leaf.nulls is not None and isinstance(nulls, int) and nulls >= 0 else None
    )
    if leaf.ends is None or statistics is None or leaf.physical is None:
        leaf.ends = None
        return
    ends = [_value(leaf, statistics.get(number)) for number in (6, 5)]
    if None not in ends:
        leaf.ends = [*leaf.ends, *ends]
    elif nulls != rows:
        leaf.ends = None


def _value(leaf: _Leaf, data: bytes | None) -> Any:
    """An end of a range; None for what has none, or none that is worth showing."""
    layout = _LAYOUT.get(leaf.physical if leaf.physical is not None else -1)
    if data is None or layout is None or len(data) != struct.calcsize(layout):
        return None
    kind = leaf.type
    value = struct.unpack(layout.upper() if kind.startswith("uint") else layout, data)[0]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if kind == "date":
        return date(1970, 1, 1) + timedelta(days=value)
    if kind.startswith("timestamp["):
        per_second = _PER_SECOND.get(kind[10:12])
        return None if per_second is None else _EPOCH + timedelta(microseconds=value * 10**6 // per_second)
    if kind.startswith("decimal"):
        return Decimal(value).scaleb(-leaf.scale)
    return value if "int" in kind else None


def _column(leaf: _Leaf) -> Column:
    if not leaf.ends:
        return Column(name=leaf.name, type=leaf.type, nulls=leaf.nulls)
    least, most = (_shown(one) for one in (min(leaf.ends), max(leaf.ends)))
    return Column(name=leaf.name, type=leaf.type, nulls=leaf.nulls, least=least, most=most)


def _shown(value: Any) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else str(value)
