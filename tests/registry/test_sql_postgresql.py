"""Queries of a real PostgreSQL server: types, one state, read-only, and every way in which it can refuse."""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from support.databases import Postgresql, postgresql
from support.team import Member, git

from gitml.errors import AccessDenied, GitMLError, InvalidInput, NotFound, StoreUnavailable, UsageError


@pytest.fixture
def database() -> Postgresql:
    return postgresql()


def asked(member: Member, database: Postgresql, sql: str, name: str = "q", **options: Any) -> Any:
    return member.registry.register(f"datasets/{name}", sql=sql, connection=database.url, **options)


def rows_of(member: Member, folder: Path, ref: str = "datasets/q") -> Any:
    member.registry.get(ref, folder)
    return parquet.read_table(folder)


def left(member: Member) -> list[str]:
    state = member.folder / ".git/gitml"
    return [path.name for path in (*state.glob("scratch*"), *state.glob("operations/*"))]


# Column -> SQL of a value, what Arrow gives back, the type in the file.
VALUES: dict[str, tuple[str, Any, str]] = {
    "bool": ("true", True, "bool"),
    "int2": ("(-32768)::int2", -32768, "int16"),
    "int4": ("2147483647", 2147483647, "int32"),
    "int8": ("(-9223372036854775808)::int8", -(2**63), "int64"),
    "oid": ("4294967295::oid", 4294967295, "int64"),
    "float4": ("0.1::float4", pytest.approx(0.1, rel=1e-7), "float"),
    "float8": ("1e-300::float8", 1e-300, "double"),
    "endless": ("'-infinity'::float8", float("-inf"), "double"),
    "num": ("12345.6::numeric(10,2)", Decimal("12345.60"), "decimal128(10, 2)"),
    "num_wide": (
        "1.5::numeric(60,20)",
        Decimal("1.50000000000000000000"),
        "decimal256(60, 20)",
    ),
    "num_coarse": ("12345::numeric(3,-2)", Decimal("12300"), "decimal128(5, 0)"),
    "num_fine": ("0.00123::numeric(3,5)", Decimal("0.00123"), "decimal128(5, 5)"),
    "text": ("E'\\u00e9\\n\\'x'", "é\n'x", "string"),
    "varchar": ("'ab'::varchar(5)", "ab", "string"),
    "bpchar": ("'ab'::char(4)", "ab  ", "string"),
    "name": ("'n'::name", "n", "string"),
    "bytea": ("'\\x00ff'::bytea", b"\x00\xff", "binary"),
    "date": ("'0001-01-01'::date", dt.date(1, 1, 1), "date32[day]"),
    "time": ("'23:59:59.999999'::time", dt.time(23, 59, 59, 999999), "time64[us]"),
    "stamp": (
        "'2024-02-29 12:00:00.000001'::timestamp",
        dt.datetime(2024, 2, 29, 12, 0, 0, 1),
        "timestamp[us]",
    ),
    "stamptz": (
        "'2024-02-29 12:00:00+05:30'::timestamptz",
        dt.datetime(2024, 2, 29, 6, 30, tzinfo=dt.UTC),
        "timestamp[us, tz=UTC]",
    ),
    "uuid": (
        "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "string",
    ),
    "json": ('\'{"b": 1,  "a": [1.50]}\'::json', '{"b": 1,  "a": [1.50]}', "string"),
    "jsonb": ('\'{"b":1,"a":[1.50]}\'::jsonb', '{"a": [1.50], "b": 1}', "string"),
    "mood": ("'happy'::mood", "happy", "string"),
    "ints": ("array[1,null,3]", [1, None, 3], "list<int32>"),
    "texts": ("array['a','b']::varchar[]", ["a", "b"], "list<string>"),
    "nums": (
        "array[1.5,2]::numeric(6,2)[]",
        [Decimal("1.50"), Decimal("2.00")],
        "list<decimal128(6, 2)>",
    ),
    "stamps": (
        "array['2024-01-01 00:00+00']::timestamptz[]",
        [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
        "list<timestamp[us, tz=UTC]>",
    ),
    "bools": ("array[true,false]", [True, False], "list<bool>"),
    "none": ("null", None, "string"),
}


def test_every_type_comes_back_as_it_was(alone: Member, database: Postgresql, tmp_path: Path) -> None:
    database.run("create type mood as enum ('happy', 'sad')")
    values = ", ".join(f'{sql} as "{name}"' for name, (sql, _, _) in VALUES.items())
    query = f"select k, v.* from generate_series(1, 2) k left join (select {values}) v on k = 1 order by k"
    done = asked(alone, database, query)
    assert (done.query.rows, done.query.columns) == (2, len(VALUES) + 1)
    first, second = rows_of(alone, tmp_path / "out").to_pylist()
    for name, (_, value, _) in VALUES.items():
        assert first[name] == value, name
        assert second[name] is None, name
    spec = alone.registry.show("datasets/q").asset["spec"]
    types = {column["name"]: column["type"] for column in spec["columns"]}
    assert types == {"k": "int32"} | {name: kind for name, (_, _, kind) in VALUES.items()}
    assert {column["name"] for column in spec["columns"] if column["nullable"]} == set(VALUES)
    said = {column["name"]: column["database_type"] for column in spec["columns"]}
    assert (said["num"], said["jsonb"], said["ints"]) == ("numeric(10,2)", "jsonb", "int4[]")
    assert spec["query"] == {
        "dialect": "postgresql",
        "host": "127.0.0.1",
        "port": database.port,
        "database": database.name,
        "sql": query,
        "time": spec["query"]["time"],
    }


@pytest.mark.parametrize(
    ("sql", "type_name", "wanted"),
    [
        ("'1 day'::interval", "interval", "text"),
        ("'12:00+01'::timetz", "timetz", "text"),
        ("'10.0.0.1'::inet", "inet", "text"),
        ("1::money", "money", "text"),
        ("int4range(1, 2)", "int4range", "text"),
        ("avg(1) over ()", "numeric", "numeric(38, 10)"),
        ("1::numeric(100, 2)", "numeric(100,2)", "numeric(38, 10)"),
        ("array[1.5]", "numeric[]", "numeric(38, 10)[]"),
        ("array['1 day'::interval]", "interval[]", "text[]"),
        ("row(1, 2)", "record", "text"),
    ],
)
def test_types_that_cannot_be_kept_are_named_with_the_cast_to_write(
    alone: Member, database: Postgresql, sql: str, type_name: str, wanted: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(alone, database, f'select 1 as id, {sql} as "the ""x""", \'1 s\'::interval as other')
    assert caught.value.code == "type-cannot-be-kept"
    assert f"column 'the \"x\"' has the type {type_name}" in caught.value.message
    assert f'cast(EXPRESSION as {wanted}) as "the ""x"""' in str(caught.value.hint)
    assert [fault["column"] for fault in caught.value.context["faults"]] == ['the "x"', "other"]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select x from (values (array[1]), (array[array[2, 3]])) t(x)", "row 2, column 'x'"),
        ("select x::numeric(5,1) from (values (1), ('NaN'::numeric)) t(x)", "row 2, column 'x'"),
        ("select 'infinity'::timestamp as x", "infinity"),
        ("select '0044-03-15 BC'::date as x", "BC"),
        ("select '24:00:00'::time as x", "24"),
    ],
)
def test_values_that_do_not_fit(alone: Member, database: Postgresql, sql: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(alone, database, sql)
    assert (caught.value.code, said in caught.value.message) == ("value-does-not-fit", True)
    assert left(alone) == []


def test_the_same_rows_are_no_news_whatever_the_session_says(alone: Member, database: Postgresql) -> None:
    database.run(
        "create table t as select n, n * 0.1::float8 as x, '2024-01-01'::timestamptz + n * interval '1 h' as at "
        "from generate_series(1, 5000) n"
    )
    query = "select * from t order by n"
    first = asked(alone, database, query)
    database.run(
        f"alter role ada in database {database.name} set timezone = 'Asia/Kolkata'",
        f"alter role ada in database {database.name} set datestyle = 'German'",
        f"alter role ada in database {database.name} set extra_float_digits = -10",
        f"alter role ada in database {database.name} set client_encoding = 'latin1'",
    )
    again = asked(alone, database, query + " ;")
    assert (first.created, again.created, again.digest) == (True, False, first.digest)
    database.run("update t set x = 1 where n = 17")
    changed = asked(alone, database, query)
    assert (changed.created, str(changed.ref)) == (True, "datasets/q@2")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select nextval('s')", "read-only"),
        ("select writing()", "read-only"),
        ("with gone as (delete from t returning *) select * from gone", "data-modifying"),
        ("select * into copy from t", "INTO"),
        ("select 1; drop table t", "multiple commands"),
        ("select * from t for update", "read-only"),
        ("select set_config('transaction_read_only', 'off', false), writing()", ""),
    ],
)
def test_nothing_but_reading(alone: Member, database: Postgresql, sql: str, said: str) -> None:
    database.run(
        "create table t(n int)",
        "insert into t values (1)",
        "create sequence s",
        "create function writing() returns int language sql as 'insert into t values (2) returning n'",
    )
    with pytest.raises(InvalidInput) as caught:
        asked(alone, database, sql)
    assert (caught.value.exit_code, caught.value.code) == (3, "query-failed")
    assert said in caught.value.message
    assert database.rows("select n from t") == [(1,)]
    assert database.rows("select last_value, is_called from s") == [(1, False)]
    assert left(alone) == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select * from missing", 'relation "missing" does not exist'),
        ("select 1/(n - 3000) as x from generate_series(1, 5000) n", "division by zero"),
        ("select from generate_series(1, 3)", "no columns"),
        ("select 1 as a, 2 as a", "two columns are called 'a'"),
        ("select '%s' || $1", "parameter"),
    ],
)
def test_queries_that_fail(alone: Member, database: Postgresql, sql: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(alone, database, sql)
    assert said in caught.value.message
    assert caught.value.exit_code == 3
    assert left(alone) == []


def test_signs_that_mean_something_to_drivers_mean_nothing_here(
    alone: Member, database: Postgresql, tmp_path: Path
) -> None:
    asked(alone, database, "select '100 %' as a, '%s %(x)s :name ? $1' as b, 7 % 4 as c -- 5 %")
    assert rows_of(alone, tmp_path / "out").to_pylist() == [
        {"a": "100 %", "b": "%s %(x)s :name ? $1", "c": 3}
    ]


def test_a_result_without_rows(alone: Member, database: Postgresql, tmp_path: Path) -> None:
    done = asked(alone, database, "select 1::int8 as x where false")
    assert (done.query.rows, done.warnings) == (0, ("the query gave no rows",))
    assert str(rows_of(alone, tmp_path / "out").schema.field("x").type) == "int64"


def refused(alone: Member, url: str, sql: str = "select 1 as x") -> GitMLError:
    head = git(alone.folder, "rev-parse", "HEAD")
    with pytest.raises(GitMLError) as caught:
        alone.registry.register("datasets/q", sql=sql, connection=url)
    assert git(alone.folder, "rev-parse", "HEAD") == head
    assert left(alone) == []
    assert caught.value.hint
    return caught.value


def test_who_may_not_come_in(alone: Member, database: Postgresql) -> None:
    wrong = database.url.replace(database.password, "wrong-word-of-mine")
    error = refused(alone, wrong)
    assert (type(error), error.code, "wrong-word" in error.message) == (
        AccessDenied,
        "database-refused",
        False,
    )
    nobody = database.url.replace("ada:", "nobody:")
    assert type(refused(alone, nobody)) is AccessDenied
    without = database.url.replace(f":{database.password}", "")
    assert type(refused(alone, without)) is AccessDenied
    missing = database.url.replace(database.name, "no_such_database")
    assert type(refused(alone, missing)) is NotFound


def test_who_may_not_read_a_table(alone: Member, database: Postgresql) -> None:
    role = f"guest_{database.name}"
    database.run("create table t(n int)", f"create role {role} login password 'guest-password'")
    url = database.url.replace(f"ada:{database.password}", f"{role}:guest-password")
    error = refused(alone, url, "select * from t")
    assert (type(error), "permission denied for table t" in error.message) == (AccessDenied, True)


def test_servers_that_do_not_answer(alone: Member, database: Postgresql) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        error = refused(alone, database.url.replace(f":{database.port}/", f":{port}/"))
        assert (type(error), "refused" in error.message.lower()) == (StoreUnavailable, True)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        url = database.url.replace(f":{database.port}/", f":{port}/") + "?connect_timeout=2"
        error = refused(alone, url)
        assert (type(error), "timeout" in error.message.lower()) == (StoreUnavailable, True)
    error = refused(alone, database.url.replace("127.0.0.1", "no-such-host.invalid"))
    assert type(error) is StoreUnavailable


def test_connections_that_end_on_the_way(alone: Member, database: Postgresql) -> None:
    error = refused(
        alone, database.url, "select pg_terminate_backend(pg_backend_pid()) from generate_series(1, 10)"
    )
    assert (type(error), error.code) == (StoreUnavailable, "database-unavailable")
    database.run(f"alter role ada in database {database.name} set statement_timeout = '50ms'")
    error = refused(alone, database.url, "select pg_sleep(30)::text")
    assert (type(error), "statement timeout" in error.message) == (StoreUnavailable, True)


def test_off_this_machine_nothing_goes_over_an_open_line(alone: Member, database: Postgresql) -> None:
    """`127.1` is this machine, too, but does not look like it; the server has no TLS."""
    elsewhere = database.url.replace("127.0.0.1", "127.1")
    error = refused(alone, elsewhere)
    assert (type(error), "sslmode" in str(error.hint)) == (StoreUnavailable, True)
    assert alone.registry.register(
        "datasets/q", sql="select 1 as x", connection=f"{elsewhere}?sslmode=disable"
    ).created


def test_one_state_of_the_database(alone: Member, database: Postgresql) -> None:
    from gitml.model.sql import parse_connection
    from gitml.registry.sql.postgresql import open_result

    database.run(
        "create table t as select n from generate_series(1, 3000) n",
        # What it counts is what the transaction sees at that moment, whatever the cursor saw when it was opened.
        "create function counted() returns bigint language plpgsql volatile as "
        "'begin return (select count(*) from t); end'",
    )
    with open_result(parse_connection(database.url), "select n, counted() from t") as result:
        first = result.rows.fetchmany(10)
        database.run("delete from t")
        rest = result.rows.fetchmany(5000)
    assert len(first) + len(rest) == 3000
    assert {count for _, count in (*first, *rest)} == {3000}


def test_the_extra_is_named_where_the_driver_is_missing(
    alone: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError) as caught:
        alone.registry.register("datasets/q", sql="select 1", connection="postgresql://127.0.0.1/x")
    assert (caught.value.code, "psycopg" in caught.value.message) == ("extra-missing", True)


def _peak_bytes(alone: Member, url: str, rows: int) -> int:
    """The most memory that a registration of so many rows takes, in a process of its own."""
    program = (
        "import gitml, pathlib, sys\n"
        'sql = f"select n, md5(n::text) as a, repeat(md5((n % 1000)::text), 8) as b from generate_series(1, {sys.argv[2]}) n"\n'
        "done = gitml.Registry(sys.argv[1]).register('datasets/q', sql=sql, connection=sys.argv[3])\n"
        "assert done.query.rows == int(sys.argv[2])\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) * 1024)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program, str(alone.folder), str(rows), url],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


@pytest.mark.nightly
def test_memory_does_not_grow_with_the_result(alone: Member, database: Postgresql) -> None:
    small, large = (_peak_bytes(alone, database.url, rows) for rows in (400_000, 4_000_000))
    assert large < small + (64 << 20), (small, large)
    assert large < 500_000_000
