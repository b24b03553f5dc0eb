"""Rows and columns of CSV files: the whole of a small file, the beginning of a large one."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import BinaryIO, Final

from gitml.model.findings import Column, Table
from gitml.registry.inspection.archive import UninspectableError

WHOLE_BYTES: Final = 4 << 20
_SAMPLE_BYTES: Final = 512 << 10
_MAX_COLUMNS: Final = 1000
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?Z?)?"
)
_MISSING: Final = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"})
_TRUTH: Final = frozenset({"true", "false", "True", "False", "TRUE", "FALSE"})


@dataclass(slots=True)
class _Seen:
    """What one column was found to hold so far."""

    type: str = "empty"
    nulls: int = 0
    least: float | str | None = None
    most: float | str | None = None

    def add(self, text: str) -> None:
        if text in _MISSING:
            self.nulls += 1
            return
        kind = _kind(text)
        if self.type != kind:
            self._widen(kind)
        if self.type == "text" or self.type == "boolean":
            return
        value: float | str = (
            text if self.type == "date" else int(text) if self.type == "integer" else float(text)
        )
        if self.least is None or value < self.least:  # type: ignore[operator]
            self.least = value
        if self.most is None or value > self.most:  # type: ignore[operator]
            self.most = value

    def _widen(self, kind: str) -> None:
        if self.type == "empty":
            self.type = kind
        elif {self.type, kind} == {"integer", "number"}:
            self.type = "number"
        else:
            self.type, self.least, self.most = "text", None, None


def _kind(text: str) -> str:
    if _WHOLE.fullmatch(text):
        return "integer"
    if _NUMBER.fullmatch(text):
        return "number"
    if _DATE.fullmatch(text):
        return "date"
    return "boolean" if text in _TRUTH else "text"


def read(path: str, stream: BinaryIO, size_bytes: int) -> Table:
    """The table that a CSV file holds; its first row names the columns.

    Raises:
        UninspectableError: It is no such file.
    """
    whole = size_bytes <= WHOLE_BYTES
    stream.seek(0)
    data = stream.read(WHOLE_BYTES if whole else _SAMPLE_BYTES)
    if not whole:
        data = data[: data.rfind(b"\n") + 1]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UninspectableError("it is not UTF-8") from error
    if "\x00" in text:
        raise UninspectableError("it holds NUL characters")
    first = text.partition("\n")[0]
    separator = max(",\t;", key=lambda mark: (first.count(mark), mark == ","))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names = next(rows, [])
        if not names or len(names) > _MAX_COLUMNS:
            raise UninspectableError(f"its first row has {len(names)} columns")
        if len(set(names)) < len(names):
            raise UninspectableError("two of its columns have the same name")
        seen, count = _scan(rows, len(names))
    except csv.Error as error:
        raise UninspectableError(f"it is no CSV: {error}") from error
    columns = tuple(
        Column(name=name, type=one.type, nulls=one.nulls, least=_shown(one.least), most=_shown(one.most))
        for name, one in zip(names, seen, strict=True)
    )
    return Table(
        path=path,
        format="csv",
        rows=count if whole else None,
        sampled_rows=None if whole else count,
        columns=columns,
    )


def _scan(rows: object, width: int) -> tuple[list[_Seen], int]:
    seen, count = [_Seen() for _ in range(width)], 0
    for row in rows:  # type: ignore[attr-defined]
        if not row:
            continue
        if len(row) > width:
            raise UninspectableError(f"its row {count + 1} has {len(row)} columns, and the first has {width}")
        count += 1
        for position, one in enumerate(seen):
            one.add(row[position] if position < len(row) else "")
    return seen, count


def _shown(value: float | str | None) -> str | None:
    return None if value is None else value if isinstance(value, str) else repr(value)
