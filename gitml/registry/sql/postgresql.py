"""PostgreSQL: one read-only transaction that sees one state of the database, and one cursor on the server.

The cursor takes a single statement that gives rows, whatever the text says, and rows come in pieces. Types are fixed by
the server before the first row: see `_TYPES`; an enum is text; what is not there is refused with the cast to write.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import psycopg
import pyarrow as pa
from psycopg.types.string import TextLoader
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection as Session
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from gitml.errors import AccessDenied, GitMLError, InvalidInput, NotFound, StoreUnavailable
from gitml.model.shown import shown
from gitml.model.sql import Connection
from gitml.registry.sql.columns import Column, Result, cast, check_names, decimal

_CONNECT_S: Final = "15"
# A server that is gone is found out within a minute, also while it computes and says nothing.
_ALIVE: Final = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
# How values are written must not depend on the user, the role or the server.
_SETTINGS: Final = (
    "set local timezone = 'UTC'",
    "set local datestyle = 'ISO, YMD'",
    "set local extra_float_digits = 3",
)
_TYPES: Final = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "oid": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "text": pa.string(),
    "varchar": pa.string(),
    "bpchar": pa.string(),
    "name": pa.string(),
    '"char"': pa.string(),
    "uuid": pa.string(),
    "json": pa.string(),
    "jsonb": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}
_AS_TEXT: Final = ("json", "jsonb", "uuid")  # kept as the server writes them
_NUMERIC: Final = "numeric"
_ENUM: Final = "e"
_KINDS: Final = "select oid, typtype from pg_catalog.pg_type where oid = any(%s)"
_UNKNOWN_USER: Final = (
    "authentication failed", "no password supplied", "no pg_hba.conf entry", "certificate verify failed",
    "does not permit", "permission denied", "is not permitted to log in", "certificate authentication",
)  # fmt: skip


@contextmanager
def open_result(connection: Connection, sql: str) -> Iterator[Result]:
    """Ask a server.

    Args:
        connection: The database.
        sql: One statement that gives rows.

    Raises:
        InvalidInput: The query fails, or a column has a type that cannot be kept.
        NotFound: There is no such database.
        StoreUnavailable: The server does not answer, or ended the connection.
        AccessDenied: It refuses the user, or the user the table.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: _connect(connection),
        poolclass=NullPool,
        use_native_hstore=False,
    )
    try:
        with engine.connect() as session:
            session.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            for setting in _SETTINGS:
                session.exec_driver_sql(setting)
            streamed = {"stream_results": True, "no_parameters": True}
            with closing(session.exec_driver_sql(sql, execution_options=streamed)) as answer:
                yield Result(columns=_columns(session, answer), rows=answer)
    except DBAPIError as error:
        raise _failed(connection, error.orig or error) from error
    except (psycopg.Error, UnicodeError) as error:
        raise _failed(connection, error) from error
    finally:
        engine.dispose()


def _connect(connection: Connection) -> psycopg.Connection[Any]:
    options: dict[str, Any] = {"connect_timeout": _CONNECT_S, **_ALIVE, **connection.options}
    if not connection.is_local and "sslmode" not in options and "PGSSLMODE" not in os.environ:
        # Off this machine nothing goes over an open line, unless somebody says so.
        options["sslmode"] = "require"
    opened = psycopg.connect(
        host=connection.host,
        port=connection.port,
        dbname=connection.database,
        user=connection.user,
        password=connection.password,
        client_encoding="utf8",
        application_name="gitml",
        **options,
    )
    for name in _AS_TEXT:
        opened.adapters.register_loader(name, TextLoader)
    return opened


def _columns(session: Session, answer: Any) -> tuple[Column, ...]:
    """Names and types as the server describes them.

    Raises:
        InvalidInput: Names that a Parquet file cannot hold, or types; all of these are in `context["faults"]`.
    """
    described = answer.cursor.description
    modifiers = [answer.cursor.pgresult.fmod(position) for position in range(len(described))]
    check_names([one.name for one in described])
    enums = _enums(session, [one.type_code for one in described])
    columns, faults = [], []
    for one, modifier in zip(described, modifiers, strict=True):
        kind = pa.string() if one.type_code in enums else _type(one.type_code, modifier)
        if kind is None:
            faults.append((one.name, one.type_display))
        else:
            columns.append(Column(name=one.name, type=kind, database_type=one.type_display))
    if faults:
        name, type_name = faults[0]
        wanted = "numeric(38, 10)" if type_name.startswith(_NUMERIC) else "text"
        raise InvalidInput(
            f"column {shown(name)} has the type {type_name}, which "
            + (
                "needs a precision and a scale"
                if wanted != "text"
                else "no column of a Parquet file can hold as it is"
            ),
            code="type-cannot-be-kept",
            hint=cast(name, wanted + "[]" if type_name.endswith("[]") else wanted),
            context={"faults": [{"column": name, "type": type_name} for name, type_name in faults]},
        )
    return tuple(columns)


def _type(oid: int, modifier: int) -> pa.DataType | None:
    """The type of a column; None where there is none.

    Args:
        oid: Of its type in the server.
        modifier: Precision and scale of a `numeric` or an array of them, packed; -1 where there are none.
    """
    info = psycopg.postgres.types.get(oid)
    if info is None:
        return None
    if info.name == _NUMERIC:
        scale = (((modifier - 4) & 0x7FF) ^ 0x400) - 0x400  # eleven bits with a sign
        kind = decimal(((modifier - 4) >> 16) & 0xFFFF, scale) if modifier >= 4 else None
    else:
        kind = _TYPES.get(info.name)
    if kind is None or oid == info.oid:
        return kind
    return pa.list_(kind) if oid == info.array_oid else None


def _enums(session: Session, oids: Sequence[int]) -> set[int]:
    """Those of these types that are enums of this database."""
    unknown = [oid for oid in oids if psycopg.postgres.types.get(oid) is None]
    if not unknown:
        return set()
    return {oid for oid, kind in session.exec_driver_sql(_KINDS, (unknown,)) if kind == _ENUM}


def _failed(connection: Connection, error: BaseException) -> GitMLError:
    """What an exception of the library means."""
    state = getattr(error, "sqlstate", None)
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    text = " ".join((primary or str(error)).split())
    if connection.password:
        text = text.replace(connection.password, "***")
    if state is None and isinstance(error, psycopg.OperationalError):
        return _unreached(connection, text)
    state = state or ""
    if state[:2] == "28" or state == "42501":
        return AccessDenied(
            f"{connection} refuses: {text}",
            code="database-refused",
            hint="ask for the right to SELECT there, or name another user",
        )
    # 08P01 is a parameter without a value: the query's own fault.
    if (state[:2] in ("08", "40", "53", "57", "58") and state != "08P01") or state == "55P03":
        return StoreUnavailable(
            f"{connection} gave up: {text}", code="database-unavailable", hint="run it again"
        )
    if state == "25006":
        text += "; a query may only read"
    if isinstance(error, psycopg.DataError) and not state:
        return InvalidInput(
            f"{connection} gave a value that cannot be kept: {text}",
            code="value-does-not-fit",
            hint="leave such rows out, or write the column as text: cast(COLUMN as text)",
        )
    if "multiple commands" in text:
        hint = "write one statement"
    elif "data-modifying" in text or state == "25006":
        hint = "write a query that only reads"
    else:
        hint = "run the query in psql"
    return InvalidInput(f"{connection} refuses the query: {text}", code="query-failed", hint=hint)


def _unreached(connection: Connection, text: str) -> GitMLError:
    """A server that was not reached, or went away. Before there is a session there is no code, but for its words."""
    words = text.lower()
    if "database" in words and "does not exist" in words and "role" not in words:
        return NotFound(
            f"{connection}: {text}", code="no-database", hint="name a database that the server has"
        )
    if any(phrase in words for phrase in _UNKNOWN_USER) or ("role" in words and "does not exist" in words):
        return AccessDenied(
            f"{connection} refuses the user: {text}",
            code="database-refused",
            hint="check user and password: in the URL, in PGPASSWORD, or in ~/.pgpass",
        )
    if "does not support ssl" in words:
        return StoreUnavailable(
            f"{connection} has no TLS: {text}",
            code="database-unavailable",
            hint="?sslmode=disable at the end of the URL, if the way there is safe",
        )
    return StoreUnavailable(
        f"{connection} does not answer: {text}",
        code="database-unavailable",
        hint="look whether the server runs and can be reached from here, then run it again",
    )
