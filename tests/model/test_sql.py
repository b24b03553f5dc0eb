from __future__ import annotations

import pytest

from gitml.errors import GitMLError, InvalidInput, UsageError
from gitml.model.sql import (
    MAX_SQL_BYTES,
    Dialect,
    ResultColumn,
    answered_spec,
    asked_spec,
    check_query,
    lasting,
    parse_connection,
)

SECRET = "hunter2secret"


def test_a_server_taken_apart() -> None:
    found = parse_connection("postgresql://ad%40a:p%2Fa%3Ass%25@db.example.com:6543/sh%20op?sslmode=require")
    assert (found.dialect, found.host, found.port) == (Dialect.POSTGRESQL, "db.example.com", 6543)
    assert (found.user, found.password, found.database) == ("ad@a", "p/a:ss%", "sh op")
    assert found.options == {"sslmode": "require"}
    assert str(found) == "postgresql://db.example.com:6543/sh op"
    assert "p/a" not in repr(found) and "ad@a" not in repr(found)


def test_what_may_be_left_out() -> None:
    found = parse_connection("postgres:///shop")
    assert (found.host, found.port, found.user, found.password, found.is_local) == (
        None,
        None,
        None,
        None,
        True,
    )
    assert parse_connection("postgresql://[::1]:5/x").host == "::1"


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.3", True), ("[::1]", True), ("10.0.0.1", False), ("db", False)],
)
def test_what_stays_on_this_machine(host: str, local: bool) -> None:
    assert parse_connection(f"postgresql://{host}/x").is_local is local


@pytest.mark.parametrize(
    ("text", "path"), [("sqlite:///a/b.db", "a/b.db"), ("sqlite:////srv/a%20b.db", "/srv/a%20b.db")]
)
def test_files_of_sqlite(text: str, path: str) -> None:
    assert parse_connection(text).database == path


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://ada:{SECRET}@db",
        f"postgresql://ada:{SECRET}@db/",
        f"postgresql://ada:{SECRET}@db:99999/x",
        f"postgresql://ada:{SECRET}@db:port/x",
        f"postgresql://ada:{SECRET}/@db/x",
        f"postgresql://ada:{SECRET}#@db/x",
        f"postgresql://ada:{SECRET}@a,b/x",
        f"postgresql://ada:x@{SECRET}@db/x",
        f"postgresql://ada:{SECRET}%@db/x",
        f"postgresql://ada:{SECRET}%ff@db/x",
        f"postgresql://ada:{SECRET}%0a@db/x",
        f"postgresql://ada:{SECRET}@db/x/y",
        f"postgresql://ada@db/x?password={SECRET}",
        f"postgresql://ada@db/x?options={SECRET}",
        f"postgresql://ada@db/x?sslmode=a&sslmode={SECRET}",
        f"postgresql://ada:{SECRET}@db/x?connect_timeout=soon",
        f"postgresql://ada:{SECRET}@-host -c x/x",
        f"postgresql:/ada:{SECRET}@db/x",
        f"ada:{SECRET}@db/x",
        f"postgresql://ada:{SECRET}@db/x\n",
        "postgresql://" + SECRET * 1000,
        "sqlite://host/x.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=rw",
        "sqlite:///x.db#y",
        "sqlite:x.db",
        "",
    ],
)
def test_malformed_ones_are_refused_without_a_word_of_them(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_connection(text)
    assert caught.value.code == "bad-connection"
    assert SECRET not in caught.value.message + str(caught.value.hint) + repr(caught.value.context)


@pytest.mark.parametrize(
    "kind", ["mysql", "mssql+pyodbc", "oracle", "duckdb", "file", "https", "sqlite+pysqlite", "postgresql+x"]
)
def test_other_kinds_are_not_asked(kind: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_connection(f"{kind}://ada:{SECRET}@db/x")
    assert (caught.value.code, SECRET in caught.value.message) == ("unknown-database", False)
    assert "postgresql" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" select 1 ;\n", "select 1"),
        ("SELECT 1; ;", "SELECT 1"),
        ("-- why\n/* how\n*/ (select 1)", "-- why\n/* how\n*/ (select 1)"),
        ("with a as (select 1) select * from a", "with a as (select 1) select * from a"),
        ("values (1), (2)", "values (1), (2)"),
        ("table orders", "table orders"),
        ("select ';'", "select ';'"),
    ],
)
def test_queries(text: str, kept: str) -> None:
    assert check_query(text) == kept


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "query-without-rows"),
        (";", "query-without-rows"),
        ("-- select 1", "query-without-rows"),
        ("/* select", "query-without-rows"),
        ("update orders set x = 1", "query-without-rows"),
        ("insert into orders values (1) returning *", "query-without-rows"),
        ("drop table orders", "query-without-rows"),
        ("attach database 'x' as y", "query-without-rows"),
        ("copy orders to program 'x'", "query-without-rows"),
        ("explain select 1", "query-without-rows"),
        ("selection", "query-without-rows"),
        ("select '\x00'", "bad-query"),
        ("select '\x1b[2J'", "bad-query"),
        ("select '\ud800'", "bad-query"),
        ("select " + "1" * MAX_SQL_BYTES, "bad-query"),
    ],
)
def test_statements_that_are_no_queries(text: str, code: str) -> None:
    with pytest.raises(GitMLError) as caught:
        check_query(text)
    assert (caught.value.exit_code, caught.value.code) == (3, code)


def test_comments_without_end_cost_no_time() -> None:
    with pytest.raises(InvalidInput):
        check_query("(/**/" * 3000)
    with pytest.raises(InvalidInput):
        check_query("--\n" * 5000)


def _asked(**said: object) -> dict[str, object]:
    connection = parse_connection(f"postgresql://ada:{SECRET}@db.example.com:6543/shop")
    return asked_spec(said, connection, "shop", "select 1")


def test_the_spec_says_where_and_what_but_not_who() -> None:
    columns = [ResultColumn(name="x", type="int32", nullable=True, database_type="int4")]
    spec = answered_spec(
        _asked(target="x", columns=[{"name": "x", "unit": "m", "type": "?"}]),
        rows=7,
        columns=columns,
        time="2026-11-21T04:30:00Z",
    )
    assert spec == {
        "target": "x",
        "format": "parquet",
        "rows": 7,
        "columns": [{"name": "x", "unit": "m", "type": "int32", "nullable": True, "database_type": "int4"}],
        "query": {
            "dialect": "postgresql",
            "host": "db.example.com",
            "port": 6543,
            "database": "shop",
            "sql": "select 1",
            "time": "2026-11-21T04:30:00Z",
        },
    }
    assert lasting(spec) == lasting({**spec, "query": {**spec["query"], "time": "2027-01-01T00:00:00Z"}})
    assert lasting(spec) != lasting({**spec, "query": {**spec["query"], "sql": "select 2"}})
    assert lasting({"query": "a text of somebody"}) == {"query": "a text of somebody"}


def test_columns_that_the_query_does_not_give_are_not_described() -> None:
    with pytest.raises(InvalidInput, match="'y'"):
        answered_spec(_asked(columns=[{"name": "y"}]), rows=0, columns=[], time="")


def test_columns_that_would_fill_the_pointer_are_left_out() -> None:
    columns = [ResultColumn(name=f"feature_{n:04}", type="double", nullable=False) for n in range(1600)]
    assert "columns" not in answered_spec(_asked(columns=[]), rows=1, columns=columns, time="")
    assert len(answered_spec(_asked(), rows=1, columns=columns[:200], time="")["columns"]) == 200
