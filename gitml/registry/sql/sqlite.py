"""SQLite: a file that is opened to be read only.

Its columns have no types that hold, so the values decide: a column whose values are all INTEGER is `int64`; INTEGER and
REAL, `double`; TEXT, `string`; BLOB, `binary`; only NULL, `null`. Anything else is refused by row and column. The query
runs twice for that in one transaction, once inside SQLite alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection as Session
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from gitml.errors import AccessDenied, Busy, GitMLError, Interrupted, InvalidInput, NoSpace, StoreUnavailable
from gitml.model.shown import shown
from gitml.registry.sql.columns import Column, Result, cast, check_names, misfit

_WAIT_S: Final = 5.0
_NULL: Final = ("", "")
# The least and the greatest class of a column, in the order of their names: blob, integer, real, text.
_TYPES: Final = {
    _NULL: pa.null(),
    ("integer", "integer"): pa.int64(),
    ("integer", "real"): pa.float64(),
    ("real", "real"): pa.float64(),
    ("text", "text"): pa.string(),
    ("blob", "blob"): pa.binary(),
}
_PYTHON: Final = {int: "integer", float: "real", str: "text", bytes: "blob"}
_AT_ONCE: Final = 1000  # columns; SQLite takes 2,000 sums in a statement
_FETCHED: Final = 1000
_STEPS_UNHEARD: Final = 1_000_000  # of SQLite's machine: some 20 ms


@contextmanager
def open_result(file: Path, sql: str) -> Iterator[Result]:
    """Ask a database.

    Args:
        file: A regular file.
        sql: One statement that gives rows.

    Raises:
        InvalidInput: It is no database, or the query fails, or gives what has no type.
        AccessDenied: The file may not be read.
        Busy: Another process holds it.
        NoSpace: There is no room to sort the result.
        StoreUnavailable: The file could not be read.
        Interrupted: The user stopped it.
    """
    engine = create_engine("sqlite://", creator=lambda: _connect(file), poolclass=NullPool)
    try:
        with engine.connect() as session:
            session.exec_driver_sql("begin")
            columns = _columns(session, sql)
            with closing(session.exec_driver_sql(sql)) as answer:
                check_names([name for name, *_ in _description(answer)])
                yield Result(columns=columns, rows=answer)
    except DBAPIError as error:
        raise _failed(file, error.orig or error) from error
    except (sqlite3.Error, UnicodeError) as error:
        raise _failed(file, error) from error
    finally:
        engine.dispose()


def _connect(file: Path) -> sqlite3.Connection:
    location = f"file:{quote(str(file.absolute()))}?mode=ro"
    connection = sqlite3.connect(location, uri=True, timeout=_WAIT_S, isolation_level=None)
    # Loading extensions is off unless it is switched on; views of the file may call no function that acts outside.
    connection.execute("pragma query_only = on")
    connection.execute("pragma trusted_schema = off")
    # Python hears of Ctrl-C only when some of it runs; what is raised there ends the statement.
    connection.set_progress_handler(lambda: 0, _STEPS_UNHEARD)
    return connection


def _description(answer: Any) -> Sequence[Any]:
    """Name and no more of each column; nothing for a statement without rows."""
    return (answer.cursor.description or ()) if answer.cursor is not None else ()


def _columns(session: Session, sql: str) -> tuple[Column, ...]:
    # The statement is the caller's own and stands in brackets as it is; nothing of a result gets into one.
    empty = session.exec_driver_sql(f"select * from (\n{sql}\n) limit 0")  # noqa: S608
    names = [name for name, *_ in _description(empty)]
    classes = _classes(session, sql, len(names))
    mixed = {position for position, found in enumerate(classes) if found not in _TYPES}
    if mixed:
        raise _mixed(session.exec_driver_sql(sql), names, mixed)
    return tuple(Column(name=name, type=_TYPES[found]) for name, found in zip(names, classes, strict=True))


def _classes(session: Session, sql: str, columns: int) -> list[tuple[str, str]]:
    """The least and the greatest class of the values in each column."""
    places = ",".join(f"c{position}" for position in range(columns))
    found: list[tuple[str, str]] = []
    for start in range(0, columns, _AT_ONCE):
        sums = ",".join(
            f"min(nullif(typeof(c{position}),'null')),max(nullif(typeof(c{position}),'null'))"
            for position in range(start, min(start + _AT_ONCE, columns))
        )
        whole = f"with gitml_result({places}) as (\n{sql}\n) select {sums} from gitml_result"  # noqa: S608
        seen = [name or "" for name in session.exec_driver_sql(whole).one()]
        found += zip(seen[::2], seen[1::2], strict=True)
    return found


def _mixed(answer: Any, names: Sequence[str], columns: set[int]) -> InvalidInput:
    """The first value of these columns that is of another class than those before it."""
    before = dict.fromkeys(columns, _NULL)
    row = 0
    while rows := answer.fetchmany(_FETCHED):
        for values in rows:
            row += 1
            for position in sorted(columns):
                kind = _PYTHON.get(type(values[position]))
                if kind is None:
                    continue
                least, greatest = before[position]
                now = (min(least or kind, kind), max(greatest, kind))
                if now not in _TYPES:
                    return misfit(names[position], row, values[position], greatest.upper())
                before[position] = now
    name = names[min(columns)]
    return InvalidInput(
        f"column {shown(name)} has values of several types",
        code="value-does-not-fit",
        hint=cast(name, "text"),
    )


def _failed(file: Path, error: BaseException) -> GitMLError:
    """What an exception of the library means."""
    text = " ".join(str(error).split())
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary == sqlite3.SQLITE_INTERRUPT:
        return Interrupted("stopped")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(
            f"{file.name} is held by another process: {text}",
            code="database-busy",
            hint="let its writer finish, then run the command again",
        )
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return AccessDenied(
            f"{file.name} cannot be opened: {text}",
            code="database-refused",
            hint=f"get the right to read {file.name} and the files beside it",
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return InvalidInput(
            f"{file.name} is no sound SQLite database: {text}",
            code="bad-database",
            hint=f'sqlite3 {file.name} "pragma integrity_check"',
        )
    if primary == sqlite3.SQLITE_FULL:
        return NoSpace(f"no room to sort the result: {text}", hint="make room, then run it again")
    if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM):
        return StoreUnavailable(
            f"{file.name} could not be read: {text}", code="database-unavailable", hint="run it again"
        )
    return InvalidInput(
        f"{file.name} refuses the query: {text}", code="query-failed", hint="try the query in sqlite3 first"
    )
