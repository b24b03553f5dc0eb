"""Databases for one test each: a file of SQLite, or a database on the real PostgreSQL server."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from servers.running import NotInstalledError, running


@dataclass(frozen=True)
class Postgresql:
    """An empty database on the server.

    Attributes:
        url: With user and password.
    """

    url: str
    password: str
    port: int
    name: str

    def run(self, *statements: str) -> None:
        """Statements, each committed at once."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query).fetchall()


def postgresql() -> Postgresql:
    """A database of its own; skips where there is no server, unless all are required."""
    try:
        server = running("postgresql")
    except NotInstalledError as error:
        if os.environ.get("GITML_REQUIRE_SERVERS"):
            raise
        pytest.skip(f"postgresql is not installed: {error}")
    name = f"test_{secrets.token_hex(4)}"
    with psycopg.connect(server.endpoint_url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    url, _, _ = server.endpoint_url.rpartition("/")
    password = url.partition("@")[0].rpartition(":")[2]
    return Postgresql(f"{url}/{name}", password, server.port, name)


def sqlite(file: Path, *statements: str, rows: Iterable[Sequence[Any]] = ()) -> Path:
    """A file of SQLite; the last statement is run for each of `rows`, where there are any."""
    connection = sqlite3.connect(file)
    found = list(rows)
    for statement in statements[: -1 if found else None]:
        connection.execute(statement)
    if found:
        connection.executemany(statements[-1], found)
    connection.commit()
    connection.close()
    return file
