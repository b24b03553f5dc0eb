"""What looking into the contents of a version finds: formats, tables, and what would run code when it is loaded.

Pure words. Findings are evidence for people and never decide anything: that nothing was found proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class FindingKind(Enum):
    """What was found."""

    PICKLE_IMPORT = "pickle-import"
    LAMBDA = "keras-lambda"
    CUSTOM_OBJECT = "custom-object"
    GRAPH_OPERATION = "graph-operation"
    CODE = "code"
    NOT_INSPECTED = "not-inspected"


class Grade(Enum):
    """How much it matters."""

    DANGER = "danger"  # loading it runs what it likes
    NOTICE = "notice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a reviewer should know of a file.

    Attributes:
        file: Path in the contents; inside an archive followed by `!` and the member.
        opcode: Instruction that it stands in, of a pickle.
        name: What it names: module and name, a layer, an operation; or why the file cannot be looked into.
        count: How often.
    """

    file: str
    kind: FindingKind
    grade: Grade
    opcode: str | None = None
    name: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """What a file is by its first bytes, whatever its name says.

    Attributes:
        detail: More of it, such as the number of tensors.
    """

    path: str
    size_bytes: int
    format: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        type: Its type, as the format or the values say it.
        nulls: How many values are missing; None where that is not known.
        least, most: Range of numbers and dates; texts may be private and have none.
    """

    name: str
    type: str
    nulls: int | None = None
    least: str | None = None
    most: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One file with rows.

    Attributes:
        rows: How many; None where only a part was read.
        sampled_rows: Rows that types and ranges were taken from; None where it is all of them.
    """

    path: str
    format: str
    rows: int | None
    sampled_rows: int | None = None
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found in one version, and with what.

    Attributes:
        tool, version: What looked.
        files: How many files the version has.
        looked_at: How many of them were looked into.
        formats: The files that were, in path order.
        tables: Those of them that hold rows.
        findings: What a reviewer should know.
        left_out: Findings beyond those that are listed.
        note: Why nothing was looked into; empty where something was.
    """

    tool: str = "gitml"
    version: str
    files: int
    looked_at: int = 0
    formats: tuple[FileFormat, ...] = ()
    tables: tuple[Table, ...] = ()
    findings: tuple[Finding, ...] = ()
    left_out: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChange:
    """How one table differs from another; `what` is `rows`, `column`, `type`, `nulls` or `range`.

    Attributes:
        column: The column; empty for rows.
        old, new: As text; None on the side that has none.
    """

    what: str
    column: str = ""
    old: str | None
    new: str | None


def table_pairs(old: Sequence[Table], new: Sequence[Table]) -> Iterator[tuple[Table | None, Table | None]]:
    """Tables to be compared: those of one path, or the only ones that either side has."""
    if len(old) == len(new) == 1:
        yield old[0], new[0]
        return
    before, after = {one.path: one for one in old}, {one.path: one for one in new}
    for path in sorted(before.keys() | after.keys()):
        yield before.get(path), after.get(path)


def table_changes(old: Table | None, new: Table | None) -> list[TableChange]:
    """In what two tables differ; values are compared only where both were read whole."""
    before = {column.name: column for column in old.columns} if old else {}
    after = {column.name: column for column in new.columns} if new else {}
    found: list[TableChange] = []
    rows = (old.rows if old else None, new.rows if new else None)
    if rows[0] != rows[1]:
        found.append(TableChange(what="rows", old=_text(rows[0]), new=_text(rows[1])))
    whole = all(table is None or table.sampled_rows is None for table in (old, new))
    for name in [*before, *(name for name in after if name not in before)]:
        found += _column_changes(name, before, after, whole=whole)
    return found


def _column_changes(
    name: str, before: Mapping[str, Column], after: Mapping[str, Column], *, whole: bool
) -> Iterator[TableChange]:
    old, new = before.get(name), after.get(name)
    if old is None or new is None:
        sides = (old.type if old else None, new.type if new else None)
        yield TableChange(what="column", column=name, old=sides[0], new=sides[1])
        return
    facts = {
        "type": (old.type, new.type),
        "nulls": (_text(old.nulls), _text(new.nulls)),
        "range": (_range(old), _range(new)),
    }
    for what, (was, is_) in facts.items():
        if was != is_ and (whole or what == "type"):
            yield TableChange(what=what, column=name, old=was, new=is_)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _range(column: Column) -> str | None:
    return None if column.least is None else f"{column.least} to {column.most}"
