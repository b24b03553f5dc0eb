"""What a result is: columns with a type each, and rows that are fetched piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pyarrow as pa

from gitml.errors import InvalidInput
from gitml.model.shown import shown

_MOST_DIGITS: Final = 38  # what every reader of Parquet takes
_MOST_DIGITS_AT_ALL: Final = 76


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a result.

    Attributes:
        name: Its name.
        type: Its type in Arrow, and so in the Parquet file.
        database_type: Its type as the database calls it, where that has one.
    """

    name: str
    type: pa.DataType
    database_type: str | None = None

    @property
    def type_name(self) -> str:
        """Its type as the pointer says it; of a list, whatever its items are called."""
        return f"list<{self.type.value_type}>" if pa.types.is_list(self.type) else str(self.type)


class Rows(Protocol):
    """Rows that have not been fetched yet."""

    def fetchmany(self, size: int) -> Sequence[Any]:
        """The next rows, at most so many; none at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a database gives back, as it comes.

    Attributes:
        columns: At least one, each with a name of its own.
        rows: To be fetched once.
    """

    columns: tuple[Column, ...]
    rows: Rows


def decimal(precision: int, scale: int) -> pa.DataType | None:
    """The type of SQL's `numeric(precision, scale)`; None where it is too long for any.

    A scale below zero, or above the precision, is what PostgreSQL allows beyond the standard.
    """
    if scale < 0:
        precision, scale = precision - scale, 0
    precision = max(precision, scale)
    if precision <= _MOST_DIGITS:
        return pa.decimal128(precision, scale)
    return pa.decimal256(precision, scale) if precision <= _MOST_DIGITS_AT_ALL else None


def check_names(names: Sequence[str]) -> None:
    """Refuse a result that a Parquet file could not hold by its names.

    Raises:
        InvalidInput: There is no column, or one without a name, or two have one.
    """
    if not names:
        raise InvalidInput(
            "the query gives no columns", code="query-without-rows", hint="select at least one column"
        )
    for position, name in enumerate(names):
        if not name or name in names[:position]:
            what = f"two columns are called {shown(name)}" if name else f"column {position + 1} has no name"
            raise InvalidInput(
                f"{what}, and each needs a name of its own",
                code="bad-column",
                hint="give it one: select … as NAME",
                context={"column": position + 1},
            )


def array(column: Column, values: Sequence[Any], rows_before: int) -> Any:
    """Values of one column as Arrow has them.

    Args:
        column: The column.
        values: Its values in some rows.
        rows_before: How many rows came before these.

    Raises:
        InvalidInput: A value does not fit the type; the first such row is named.
    """
    refused = (pa.ArrowException, ValueError, TypeError, OverflowError)
    try:
        return pa.array(values, type=column.type)
    except refused as whole:
        for position, value in enumerate(values, start=rows_before + 1):
            try:
                pa.array([value], type=column.type)
            except refused as error:
                raise misfit(column.name, position, value, column.type_name) from error
        raise InvalidInput(
            f"column {shown(column.name)}: its values do not fit {column.type_name}: {whole}",
            code="value-does-not-fit",
            hint=cast(column.name, "text"),
        ) from whole


def misfit(name: str, row: int, value: object, type_name: str) -> InvalidInput:
    """A value that is not what its column holds."""
    return InvalidInput(
        f"row {row:,}, column {shown(name)}: {shown(str(value))} is no {type_name}",
        code="value-does-not-fit",
        hint=cast(name, "text"),
        context={"row": row, "column": name},
    )


def cast(name: str, type_name: str) -> str:
    """What to write into a query so that a column can be kept."""
    quoted = '"' + name.replace('"', '""') + '"'
    return f"write it with a type: cast(EXPRESSION as {type_name}) as {quoted}"
