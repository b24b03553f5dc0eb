"""A query whose result becomes a version: where it is asked, what it may be, and what the pointer says of it.

Locations are read by an allow-list, as those of stores are. A location may hold a password, so no message here
repeats any part of one that could be it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final
from urllib.parse import unquote

from gitml.errors import InvalidInput, UsageError
from gitml.model.shown import shown

MAX_SQL_BYTES: Final = 16 * 1024
_MAX_COLUMNS_BYTES: Final = 24 * 1024
_MAX_URL: Final = 4096

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_SQL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]{0,31})://(?P<rest>.*)", re.DOTALL)
_POSTGRESQL = re.compile(
    r"(?:(?P<user>[^:@/?#]*)(?P<colon>:(?P<password>[^:@/?#]*))?@)?"
    r"(?P<host>[A-Za-z0-9._-]{0,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
    r"/(?P<database>[^/?#]+)(?:\?(?P<options>[^#]*))?"
)
_OPTIONS: Final = frozenset(
    (
        "connect_timeout", "channel_binding", "gssencmode", "passfile", "sslcert", "sslkey", "sslmode",
        "sslnegotiation", "sslrootcert", "target_session_attrs",
    )
)  # fmt: skip
# Blanks, comments and opening parentheses before the first word of a statement.
_LEAD = re.compile(r"(?:\s++|--[^\n]*+(?:\n|\Z)|/\*(?s:.*?)\*/|\()*+")
_WORD = re.compile(r"[A-Za-z_]+")
_ROWS: Final = ("select", "with", "values", "table")


class Dialect(Enum):
    """A kind of database that can be asked."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


_DIALECTS: Final = {
    "postgresql": Dialect.POSTGRESQL,
    "postgres": Dialect.POSTGRESQL,
    "sqlite": Dialect.SQLITE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A database, and how to get in.

    Attributes:
        dialect: Its kind.
        database: Its name; of SQLite the path of its file, as it was written.
        host, port: The server; None for the client library's own choice, and for SQLite.
        user: Who asks.
        password: A secret.
        options: Further parameters of the connection, all of an allow-list.
    """

    dialect: Dialect
    database: str
    host: str | None = None
    port: int | None = None
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        if self.dialect is Dialect.SQLITE:
            return f"sqlite:///{self.database}"
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host or ""
        return f"postgresql://{host}{'' if self.port is None else f':{self.port}'}/{self.database}"

    @property
    def is_local(self) -> bool:
        """Whether what is sent stays on this machine."""
        if self.host is None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_connection(text: str) -> Connection:
    """Read the location of a database.

    Args:
        text: `postgresql://[USER[:PASSWORD]@][HOST][:PORT]/DATABASE[?sslmode=…]` or `sqlite:///PATH`; in
            a user, password or database, `%40` and the like stand for characters that mean something in a URL.

    Raises:
        UsageError: It is a database of another kind.
        InvalidInput: It is malformed.
    """
    match = _SCHEME.fullmatch(text)
    if match is None or len(text) > _MAX_URL or _CONTROL.search(text):
        raise _malformed("it is no URL")
    dialect = _DIALECTS.get(match["scheme"])
    if dialect is None:
        raise UsageError(
            f"databases of the kind {match['scheme']}:// cannot be asked",
            code="unknown-database",
            hint="postgresql://… or sqlite:///PATH",
        )
    return _sqlite(match["rest"]) if dialect is Dialect.SQLITE else _postgresql(match["rest"])


def _sqlite(rest: str) -> Connection:
    if not rest.startswith("/"):
        raise _malformed("sqlite:// takes three slashes before a path, and no host")
    path = rest[1:]
    if not path or path == ":memory:" or "?" in path or "#" in path:
        raise _malformed("sqlite:/// takes the path of a file, without ? and #")
    return Connection(dialect=Dialect.SQLITE, database=path)


def _postgresql(rest: str) -> Connection:
    match = _POSTGRESQL.fullmatch(rest)
    if match is None:
        raise _malformed("it is not written postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise _malformed("its port is not between 1 and 65535")
    return Connection(
        dialect=Dialect.POSTGRESQL,
        database=_decoded(match["database"]),
        host=(match["host"] or "").strip("[]") or None,
        port=port,
        user=_decoded(match["user"]) if match["user"] else None,
        password=_decoded(match["password"]) if match["password"] else None,
        options=_options(match["options"] or ""),
    )


def _options(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in text.split("&") if text else ():
        name, separator, value = item.partition("=")
        if not separator or name not in _OPTIONS or name in found:
            raise _malformed(f"after the ? it may have, once each, {', '.join(sorted(_OPTIONS))}")
        found[name] = _decoded(value)
    if not found.get("connect_timeout", "10").isdecimal():
        raise _malformed("connect_timeout is no number of seconds")
    return found


def _decoded(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise _malformed("it has a % that is not followed by two hexadecimal digits")
    try:
        plain = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _malformed("what it has in %XX is no UTF-8") from None
    if _CONTROL.search(plain):
        raise _malformed("it has a control character")
    return plain


def _malformed(why: str) -> InvalidInput:
    return InvalidInput(
        f"the connection names no database: {why}",
        code="bad-connection",
        hint="postgresql://USER:PASSWORD@HOST/DATABASE with %XX for :/?#@% in the password, or sqlite:///PATH",
    )


def check_query(text: str) -> str:
    """The statement as it is asked and kept: without blanks around it and without its last semicolon.

    Raises:
        InvalidInput: It cannot be kept, or it is a statement that gives no rows.
    """
    sql = text.strip().rstrip("; \t\r\n")
    if len(sql.encode(errors="replace")) > MAX_SQL_BYTES:
        raise InvalidInput(
            f"the query has more than {MAX_SQL_BYTES:,} bytes",
            code="bad-query",
            hint="make a view of it in the database, and select from the view",
        )
    bad = _NOT_IN_SQL.search(sql)
    if bad is not None:
        raise InvalidInput(
            f"the query holds the character U+{ord(bad[0]):04X}", code="bad-query", hint="remove it"
        )
    lead = _LEAD.match(sql)
    word = _WORD.match(sql, lead.end() if lead else 0)
    if word is None or word[0].lower() not in _ROWS:
        what = f"begins with {shown(word[0].upper())}" if word else "is empty"
        raise InvalidInput(
            f"the query {what}, and only a SELECT, WITH, VALUES or TABLE gives rows",
            code="query-without-rows",
            hint='--sql "select … from … order by …"',
        )
    return sql


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultColumn:
    """A column of a result.

    Attributes:
        name: Its name, unlike that of any other.
        type: Its type in the Parquet file, as Arrow writes it.
        nullable: Whether the result has a NULL there.
        database_type: Its type as the database calls it, where that has one.
    """

    name: str
    type: str
    nullable: bool
    database_type: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """YAML keys and values."""
        known = {"name": self.name, "type": self.type, "nullable": self.nullable}
        return known if self.database_type is None else known | {"database_type": self.database_type}


def asked_spec(spec: Mapping[str, Any], connection: Connection, database: str, sql: str) -> dict[str, Any]:
    """The spec of a result before it is there: what the caller says, and where what is asked.

    Args:
        spec: What the caller says.
        connection: The database.
        database: Its name as the pointer may say it.
        sql: The query.
    """
    where: dict[str, Any] = {"dialect": connection.dialect.value, "database": database, "sql": sql}
    if connection.host is not None:
        where["host"] = connection.host
    if connection.port is not None:
        where["port"] = connection.port
    return {**spec, "format": "parquet", "query": where}


def answered_spec(
    asked: Mapping[str, Any], *, rows: int, columns: Sequence[ResultColumn], time: str
) -> dict[str, Any]:
    """The same with what came back. Columns that would fill the pointer are left out.

    Args:
        asked: What :func:`asked_spec` gave; what its `columns` say beside the type is kept.
        rows: How many there are.
        columns: All of them.
        time: When the database was asked, ISO 8601 in UTC.

    Raises:
        InvalidInput: The caller describes a column that the result does not have.
    """
    listed = asked.get("columns")
    entries = listed if isinstance(listed, list) else []
    said = {entry["name"]: entry for entry in entries if isinstance(entry, Mapping) and "name" in entry}
    unknown = sorted(said.keys() - {column.name for column in columns})
    if unknown:
        raise InvalidInput(
            f"the spec describes the column {shown(unknown[0])}, which the query does not give",
            code="no-such-column",
            hint="correct the spec, or give the column that name: select … as NAME",
        )
    found: dict[str, Any] = {**asked, "rows": rows, "query": {**asked["query"], "time": time}}
    if fits_pointer(columns):
        found["columns"] = [{**said.get(column.name, {}), **column.to_dict()} for column in columns]
    else:
        found.pop("columns", None)
    return found


def fits_pointer(columns: Sequence[ResultColumn]) -> bool:
    """Whether a pointer has room for these columns."""
    return sum(len(repr(column.to_dict())) for column in columns) <= _MAX_COLUMNS_BYTES


def lasting(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec without the time of its query, which alone is no news."""
    query = spec.get("query")
    if not isinstance(query, Mapping):
        return dict(spec)
    return {**spec, "query": {key: value for key, value in query.items() if key != "time"}}
