"""From `--sql` and `--connection` to a folder of Parquet files that can be registered.

The database is asked once, when everything else has been checked. What comes back is written, batch by batch, to a
private folder beside the registry's state: at most as much disk as the result takes, and memory that does not grow
with it. A password lives in :class:`gitml.model.sql.Connection` alone and is in no pointer, message or document.
"""

from __future__ import annotations

import importlib.util
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gitml.errors import AccessDenied, InvalidInput, NotFound, UsageError
from gitml.git.scratch import scratch_folder
from gitml.model.sql import (
    Connection,
    Dialect,
    ResultColumn,
    answered_spec,
    asked_spec,
    check_query,
    fits_pointer,
    parse_connection,
)
from gitml.registry.workspace import Workspace

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gitml.registry.sql.columns import Result

_VARIABLE: Final = re.compile(r"env:(?P<name>[A-Za-z_][A-Za-z0-9_]{0,127})")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SQLITE: Final = b"SQLite format 3\0"  # Source: sqlite.org/fileformat.html, section 1.3.1
_PACKAGES: Final = {
    Dialect.POSTGRESQL: ("sqlalchemy", "pyarrow", "psycopg"),
    Dialect.SQLITE: ("sqlalchemy", "pyarrow"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Queried:
    """A query, and what came back.

    Attributes:
        dialect: `postgresql` or `sqlite`.
        host, port: The server, where the connection named one.
        database: Its database; of SQLite, the path of its file.
        sql: The query.
        rows, columns: How many came back; None where it was not asked.
    """

    dialect: str
    host: str | None
    port: int | None
    database: str
    sql: str
    rows: int | None = None
    columns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query that was checked, but not asked.

    Attributes:
        sql: The statement.
        connection: The database.
        database: Its name as the pointer may say it.
        file: The file of an SQLite database.
    """

    sql: str
    connection: Connection
    database: str
    file: Path | None

    def spec(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """The spec of the version, as far as it is known before the query is asked."""
        return asked_spec(said, self.connection, self.database, self.sql)

    def facts(self, answer: Answer | None = None) -> Queried:
        """What may be told of it."""
        return Queried(
            dialect=self.connection.dialect.value,
            host=self.connection.host,
            port=self.connection.port,
            database=self.database,
            sql=self.sql,
            rows=None if answer is None else answer.rows,
            columns=None if answer is None else len(answer.columns),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a query gave.

    Attributes:
        folder: Holds the Parquet files, and nothing else.
        rows: How many there are.
        columns: Their names and types.
        time: When the database was asked.
    """

    folder: Path
    rows: int
    columns: tuple[ResultColumn, ...]
    time: str

    def spec(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The whole spec of the version.

        Raises:
            InvalidInput: See :func:`gitml.model.sql.answered_spec`.
        """
        return answered_spec(asked, rows=self.rows, columns=self.columns, time=self.time)

    def warnings(self) -> list[str]:
        """What a person should know."""
        found = [] if self.rows else ["the query gave no rows"]
        if not fits_pointer(self.columns):
            found.append(
                f"{len(self.columns):,} columns are too many for the pointer: only the Parquet file names them"
            )
        return found


def plan_query(ws: Workspace, sql: str | None, connection: str | None, paths: Sequence[object]) -> Query:
    """Check a query and find its database, without asking it.

    Args:
        ws: The registry.
        sql: The statement.
        connection: A URL, `env:NAME` for the URL in a variable, or a name of `connections` in the user's settings.
        paths: What else the caller wants to register, which must be nothing.

    Raises:
        UsageError: Something is missing or too much, or the kind of database or the extra `sql` is not there.
        InvalidInput: The statement gives no rows, or the connection is malformed.
        NotFound: There is no such file of SQLite.
    """
    if sql is None and connection is None:
        raise UsageError(
            "there is nothing to register: no PATH, and no --sql",
            code="missing-argument",
            hint="gitml register --help",
        )
    if sql is None or connection is None:
        said, missing = ("--sql", "--connection") if connection is None else ("--connection", "--sql")
        raise UsageError(
            f"{said} needs {missing}",
            code="missing-option",
            hint='gitml register datasets/NAME --sql "select …" --connection URL|env:NAME|NAME',
        )
    if paths:
        raise UsageError(
            "--sql takes no PATH: the version holds what the query gives",
            code="too-many-arguments",
            hint="register the files as a version of their own, and name it with --input",
        )
    statement = check_query(sql)
    found = parse_connection(_location(ws, connection))
    _require_packages(found.dialect)
    file = None if found.dialect is not Dialect.SQLITE else _database_file(ws, found)
    return Query(sql=statement, connection=found, database=_told(ws, found, file), file=file)


def _location(ws: Workspace, text: str) -> str:
    """The URL itself, from wherever it was said to be."""
    if "://" in text:
        return text
    variable = _VARIABLE.fullmatch(text)
    if variable is not None:
        value = os.environ.get(variable["name"])
        if not value:
            raise UsageError(
                f"the variable {variable['name']} is not set, and --connection env:{variable['name']} reads it",
                code="no-connection",
                hint=f"set {variable['name']} to postgresql://USER:PASSWORD@HOST/DATABASE",
            )
        return value
    known = ws.settings.connections
    if _NAME.fullmatch(text) is None:
        raise InvalidInput(
            "the connection is neither a URL, nor env:NAME, nor a name of your settings",
            code="bad-connection",
            hint="postgresql://USER@HOST/DATABASE, sqlite:///PATH, env:NAME or NAME",
        )
    if text not in known:
        raise UsageError(
            f"your settings have no connection {text}; they have {', '.join(sorted(known)) or 'none'}",
            code="no-connection",
            hint=f"write `connections: {{{text}: {{url: …}}}}` into your config.yaml, or give a URL",
        )
    return known[text]


def _require_packages(dialect: Dialect) -> None:
    missing = [name for name in _PACKAGES[dialect] if importlib.util.find_spec(name) is None]
    if missing:
        raise _no_extra(f"{', '.join(missing)} is not installed")


def _no_extra(why: str) -> UsageError:
    return UsageError(
        f"queries need the extra sql: {why}", code="extra-missing", hint="pip install 'gitml[sql]'"
    )


def _database_file(ws: Workspace, connection: Connection) -> Path:
    path = ws.caller / connection.database
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
        head = _head(path) if is_file else b""
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(
            f"there is no file {connection.database}", code="no-database", hint="name an existing database"
        ) from error
    except OSError as error:
        raise AccessDenied(
            f"{connection.database} may not be read: {error.strerror}",
            code="database-refused",
            hint=f"get the right to read {connection.database}",
        ) from error
    if head != _SQLITE:
        what = "is no database of SQLite" if is_file else "is no regular file"
        raise InvalidInput(
            f"{connection.database} {what}", code="bad-database", hint="name a file that sqlite3 wrote"
        )
    return path


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_SQLITE))


def _told(ws: Workspace, connection: Connection, file: Path | None) -> str:
    """What the pointer says: a file of the repository by its path there, any other as it was written."""
    top = ws.repo.top
    if file is None or top is None:
        return connection.database
    full, top = file.resolve(), top.resolve()
    return full.relative_to(top).as_posix() if full.is_relative_to(top) else connection.database


@contextmanager
def answered(ws: Workspace, query: Query) -> Iterator[Answer]:
    """Ask the database; the answer is there while the block runs.

    Raises:
        UsageError: The extra `sql` is not there, or broken.
        InvalidInput: The query fails, or gives what no Parquet file can hold.
        NotFound: The server has no such database.
        StoreUnavailable: The server does not answer; run it again.
        AccessDenied: The server refuses the user, or the user the table.
        Busy: Another process holds the file of SQLite.
        NoSpace: There is no room for the result.
    """
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with scratch_folder(ws.repo.common_dir) as folder:
        ws.progress.begin("query")
        try:
            answer = _ask(ws, query, folder, time)
        finally:
            ws.progress.end()
        yield answer


def _ask(ws: Workspace, query: Query, folder: Path, time: str) -> Answer:
    try:
        from gitml.registry.sql.parquet import write_result

        opened = _opened(query)
    except ImportError as error:
        raise _no_extra(str(error)) from error
    with opened as result:
        written = write_result(result, folder, ws.progress)
    return Answer(folder=folder, rows=written.rows, columns=written.columns, time=time)


def _opened(query: Query) -> AbstractContextManager[Result]:
    """The adapter's result, whose SDK is imported only here."""
    if query.file is not None:
        from gitml.registry.sql import sqlite

        return sqlite.open_result(query.file, query.sql)
    from gitml.registry.sql import postgresql

    return postgresql.open_result(query.connection, query.sql)
