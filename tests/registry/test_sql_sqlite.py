"""Queries of SQLite: what is kept, what is refused, and what is left behind."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from support.cli import InFolder
from support.databases import sqlite
from support.team import Member, git

from gitml.errors import (
    Busy,
    Conflict,
    GitMLError,
    InvalidInput,
    NotFound,
    PolicyRefused,
    UsageError,
)
from gitml.model.progress import SILENT
from gitml.registry.sql import sqlite as adapter
from gitml.registry.sql.parquet import write_result

ORDERS = "create table orders(id integer primary key, name text, price real, raw blob)"


@pytest.fixture
def shop(alone: Member) -> Path:
    """A database of 300 orders beside the registry's files."""
    rows = [(n, f"näme {n}", n / 4, bytes([n % 256])) for n in range(300)]
    return sqlite(alone.folder / "shop.db", ORDERS, "insert into orders values (?, ?, ?, ?)", rows=rows)


def asked(member: Member, sql: str, name: str = "q", **options: Any) -> Any:
    return member.registry.register(f"datasets/{name}", sql=sql, connection="sqlite:///shop.db", **options)


def table(member: Member, ref: str, folder: Path) -> Any:
    member.registry.get(ref, folder)
    return parquet.read_table(folder)


def spec(member: Member, ref: str) -> dict[str, Any]:
    return dict(member.registry.show(ref).asset["spec"])


def scratch(member: Member) -> list[str]:
    """What is left of queries in the clone."""
    state = member.folder / ".git/gitml"
    found = [*state.glob("scratch*"), *state.glob("operations/*"), *state.glob("sources/*")]
    return [path.name for path in found]


def test_every_class_comes_back_as_it_was(alone: Member, tmp_path: Path) -> None:
    file = alone.folder / "shop.db"
    rows: list[tuple[Any, ...]] = [
        (1, 1, 0.5, "a", b"\x00\xff", None, 2**63 - 1),
        (2, None, 7, "ß\n'", b"", None, -(2**63)),
        (3, -1, None, None, None, None, 0),
    ]
    sqlite(file, "create table t(k, i, r, t, b, n, big)", "insert into t values (?,?,?,?,?,?,?)", rows=rows)
    done = asked(alone, "select * from t order by k")
    assert (done.query.rows, done.query.columns, done.files) == (3, 7, 1)
    found = table(alone, "datasets/q", tmp_path / "out")
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        (1, 1, 0.5, "a", b"\x00\xff", None, 2**63 - 1),
        (2, None, 7.0, "ß\n'", b"", None, -(2**63)),
        (3, -1, None, None, None, None, 0),
    ]
    written = spec(alone, "datasets/q@1")
    assert written["columns"] == [
        {"name": "k", "type": "int64", "nullable": False},
        {"name": "i", "type": "int64", "nullable": True},
        {"name": "r", "type": "double", "nullable": True},
        {"name": "t", "type": "string", "nullable": True},
        {"name": "b", "type": "binary", "nullable": True},
        {"name": "n", "type": "null", "nullable": True},
        {"name": "big", "type": "int64", "nullable": False},
    ]
    assert [str(field.type) for field in found.schema] == [column["type"] for column in written["columns"]]
    time = written["query"].pop("time")
    assert len(time) == 20
    assert (written["rows"], written["format"]) == (3, "parquet")
    assert written["query"] == {
        "dialect": "sqlite",
        "database": "shop.db",
        "sql": "select * from t order by k",
    }


def test_the_same_rows_are_no_news_and_other_rows_or_another_query_are(alone: Member, shop: Path) -> None:
    query = "select * from orders order by id"
    first = asked(alone, query, metrics={"rows": 300})
    pointer = (alone.folder / "datasets/q/1/asset.yaml").read_bytes()
    again = asked(alone, f" {query} ;\n")
    assert (first.created, again.created, again.new_bytes, again.query.rows) == (True, False, 0, 300)
    assert (alone.folder / "datasets/q/1/asset.yaml").read_bytes() == pointer
    assert alone.git("rev-parse", "HEAD") == first.commit
    other = asked(alone, "select * from orders where id >= 0 order by id")
    assert (str(other.ref), other.digest, other.new_bytes) == ("datasets/q@2", first.digest, 0)
    sqlite(shop, "update orders set name = 'x' where id = 7")
    changed = asked(alone, "select * from orders where id >= 0 order by id")
    assert (str(changed.ref), changed.digest != first.digest) == ("datasets/q@3", True)


def test_the_same_rows_give_the_same_bytes_whatever_the_file_they_come_from(
    alone: Member, shop: Path
) -> None:
    first = asked(alone, "select * from orders order by id")
    with sqlite3.connect(shop) as connection:
        connection.execute("create table copy as select * from orders order by id desc")
    sqlite3.connect(shop).execute("vacuum")
    again = asked(alone, "select * from copy order by id", name="other")
    assert again.digest == first.digest


def test_a_version_with_a_few_other_rows_shares_most_of_its_bytes(alone: Member) -> None:
    chance = random.Random(3)
    rows = [(n, chance.randbytes(12).hex(), chance.random(), chance.randbytes(20)) for n in range(100_000)]
    shop = sqlite(alone.folder / "shop.db", ORDERS, "insert into orders values (?,?,?,?)", rows=rows)
    first = asked(alone, "select * from orders order by id")
    sqlite(
        shop,
        "delete from orders where id between 1000 and 1010",
        "update orders set price = 1 where id = 60000",
    )
    second = asked(alone, "select * from orders order by id")
    assert first.size_bytes > 4_000_000
    assert second.new_bytes < first.size_bytes // 2


@pytest.mark.parametrize(
    ("values", "row", "said"),
    [
        ([1, "x"], 2, "'x' is no INTEGER"),
        (["x", None, 1.5], 3, "'1.5' is no TEXT"),
        ([b"x", b"y", b"z", "w"], 4, "'w' is no BLOB"),
        ([None, 1, 1.5, "x"], 4, "'x' is no REAL"),
        ([0.5, 2**53 + 1], 2, "9007199254740993"),
    ],
)
def test_values_that_do_not_fit_are_named_by_row_and_column(
    alone: Member, values: list[Any], row: int, said: str
) -> None:
    sqlite(
        alone.folder / "shop.db", "create table t(a, b)", "insert into t values (1, ?)",
        rows=[(one,) for one in values],
    )  # fmt: skip
    with pytest.raises(InvalidInput) as caught:
        asked(alone, "select * from t order by rowid")
    assert (caught.value.exit_code, caught.value.code) == (3, "value-does-not-fit")
    assert caught.value.message.startswith(f"row {row}, column 'b': ") and said in caught.value.message
    assert 'cast(EXPRESSION as text) as "b"' in str(caught.value.hint)
    assert scratch(alone) == []


def test_a_result_without_rows_is_a_file_with_columns(alone: Member, shop: Path, tmp_path: Path) -> None:
    done = asked(alone, "select id, name from orders where id < 0")
    assert (done.query.rows, done.warnings) == (0, ("the query gave no rows",))
    found = table(alone, "datasets/q", tmp_path / "out")
    assert (found.num_rows, found.column_names) == (0, ["id", "name"])


@pytest.mark.parametrize(
    ("sql", "code", "said"),
    [
        ("select id, name as id from orders", "bad-column", "two columns are called 'id'"),
        ("select 1 as ''", "bad-column", "no name"),
        ("select 1; select 2", "query-failed", "syntax error"),
        ("select * from absent", "query-failed", "no such table"),
        ("select ?", "query-failed", "bindings"),
        ("select load_extension('x')", "query-failed", "not authorized"),
        ("with x as (select 9) insert into orders(id) select * from x", "query-failed", ""),
        ("select cast(x'ff' as text)", "query-failed", "UTF-8"),
        ("select (", "query-failed", "syntax error"),
    ],
)
def test_queries_that_fail_leave_everything_as_it_was(
    alone: Member, shop: Path, sql: str, code: str, said: str
) -> None:
    before, head = shop.read_bytes(), alone.git("rev-parse", "HEAD")
    with pytest.raises(InvalidInput) as caught:
        asked(alone, sql)
    assert (caught.value.code, caught.value.exit_code) == (code, 3)
    assert said in caught.value.message
    assert (shop.read_bytes(), alone.git("rev-parse", "HEAD"), scratch(alone)) == (before, head, [])
    assert [path.name for path in alone.folder.glob("shop.db*")] == ["shop.db"]


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "text", "torn", "empty", "link-to-nowhere"])
def test_what_is_no_database(alone: Member, kind: str) -> None:
    path = alone.folder / "shop.db"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link-to-nowhere":
        path.symlink_to("nowhere")
    elif kind != "missing":
        head = "SQLite format 3\0" if kind == "torn" else ""
        path.write_text("" if kind == "empty" else head + "a text that goes on for a while" * 40)
    with pytest.raises((InvalidInput, NotFound)):
        asked(alone, "select * from orders")
    assert scratch(alone) == []
    assert kind != "missing" or not path.exists()


def test_a_database_that_somebody_writes_to(
    alone: Member, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_WAIT_S", 0.0)
    writer = sqlite3.connect(shop, isolation_level=None)
    writer.execute("begin exclusive")
    with pytest.raises(Busy, match="held by another process"):
        asked(alone, "select * from orders")
    writer.execute("rollback")
    writer.close()
    assert asked(alone, "select * from orders order by id").created


def test_both_runs_of_a_query_see_one_state(alone: Member, shop: Path) -> None:
    """A writer between them cannot change what the first run found out about types."""
    with sqlite3.connect(shop) as connection:
        connection.execute("pragma journal_mode = wal")
    with adapter.open_result(shop, "select name from orders order by id") as result:
        sqlite(shop, "update orders set name = 5.5")
        names = {row[0] for row in result.rows.fetchmany(1000)}
    assert names == {f"näme {n}" for n in range(300)}


def test_a_large_result_is_several_files_of_groups(shop: Path, tmp_path: Path) -> None:
    query = "select a.id * 300 + b.id as id, a.name, b.raw from orders a, orders b order by 1"
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        with adapter.open_result(shop, query) as result:
            written = write_result(result, tmp_path / folder, SILENT, group_bytes=200_000, part_bytes=40_000)
        assert written.rows == 90_000
    files = sorted((tmp_path / "one").iterdir())
    assert [path.name for path in files] == [f"part-{n:05}.parquet" for n in range(len(files))]
    assert len(files) > 2
    assert all(path.read_bytes() == (tmp_path / "other" / path.name).read_bytes() for path in files)
    ids = [number for path in files for number in parquet.read_table(path)["id"].to_pylist()]
    assert ids == list(range(90_000))
    assert max(parquet.ParquetFile(path).num_row_groups for path in files) > 1


def test_connections_from_a_variable_and_from_the_settings(
    alone: Member, shop: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{shop}")
    register = alone.registry.register
    assert register("datasets/a", sql="select 1 as x", connection="env:SHOP_URL").created
    settings = Path(environment["XDG_CONFIG_HOME"]) / "gitml/config.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text('connections:\n  shop:\n    url: "sqlite:///shop.db"\n')
    assert register("datasets/b", sql="select 1 as x", connection="shop").created
    assert spec(alone, "datasets/a")["query"]["database"] == "shop.db"
    for connection, exit_code in (("env:SHOP", 2), ("other", 2), ("shop.db/x", 3), ("env:", 3), ("", 3)):
        with pytest.raises(GitMLError) as caught:
            register("datasets/c", sql="select 1 as x", connection=connection)
        assert caught.value.exit_code == exit_code, connection
    settings.write_text('connections:\n  shop: "hunter2secret"\n')
    with pytest.raises(InvalidInput) as caught_too:
        register("datasets/c", sql="select 1 as x", connection="shop")
    assert "hunter2secret" not in caught_too.value.message


@pytest.mark.parametrize("missing", ["sqlalchemy", "pyarrow"])
def test_the_extra_is_named_where_it_is_missing(
    alone: Member, shop: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    for dry_run in (True, False):
        with pytest.raises(UsageError) as caught:
            asked(alone, "select 1 as x", dry_run=dry_run)
        assert (caught.value.code, caught.value.hint) == ("extra-missing", "pip install 'gitml[sql]'")
        assert missing in caught.value.message


def test_everything_else_is_checked_before_the_database_is_asked(alone: Member) -> None:
    """The query would fail; what is said is what is wrong beside it."""
    sqlite(alone.folder / "shop.db", ORDERS)
    git(alone.folder, "branch", "staging")
    with pytest.raises(PolicyRefused):
        asked(alone, "select fails", branch="staging")
    with pytest.raises(NotFound):
        asked(alone, "select fails", inputs=["datasets/none@1"])
    with pytest.raises(InvalidInput) as caught:
        asked(alone, "select 'postgresql://ada:hunter2secret@db/x', fails")
    assert (caught.value.code, "hunter2secret" in caught.value.message) == ("secret", False)
    asked(alone, "select 1 as x", version="1")
    with pytest.raises(Conflict):
        asked(alone, "select 2 as x", version="1")


def test_a_rehearsal_asks_nothing(alone: Member) -> None:
    (alone.folder / "shop.db").write_bytes(b"SQLite format 3\0 and not a page of it")
    done = asked(alone, "select * from orders", dry_run=True)
    assert (done.created, done.query, done.plan.query.rows) == (False, done.plan.query, None)
    assert (str(done.plan.ref), done.plan.query.database) == ("datasets/q@1", "shop.db")
    assert scratch(alone) == []


def test_the_command_line(alone: Member, shop: Path) -> None:
    gitml = InFolder(alone.folder)
    words = ("register", "datasets/q", "--sql", "select * from orders order by id", "--connection")
    rehearsed = gitml.ok(*words, "sqlite:///shop.db", "-n")
    assert "sqlite shop.db, not asked: select * from orders" in rehearsed.stdout
    done = gitml.ok(*words, "sqlite:///shop.db")
    assert "300 rows of 4 columns from sqlite shop.db" in done.stdout
    assert gitml.ok(*words, "sqlite:///shop.db", "-q").stdout == "datasets/q@1\n"
    body = gitml.ok(*words, "sqlite:///shop.db", "--json").document
    assert (body["created"], body["query"]["rows"], body["query"]["columns"]) == (False, 300, 4)
    for line, code in (
        (("register", "datasets/q"), "missing-argument"),
        (words[:-1], "missing-option"),
        (("register", "datasets/q", "--connection", "sqlite:///shop.db"), "missing-option"),
        ((*words, "sqlite:///shop.db", "shop.db"), "too-many-arguments"),
        ((*words, "mysql://db/x"), "unknown-database"),
    ):
        ran = gitml(*line, "--json")
        assert (ran.exit_code, ran.document["error"]["code"]) == (2, code), line


def test_fields_of_the_caller_stand_beside_those_of_the_query(alone: Member, shop: Path) -> None:
    said = {"target": "price", "columns": [{"name": "price", "unit": "EUR", "description": "with tax"}]}
    asked(alone, "select id, price from orders order by id", spec=said, labels={"licence": "MIT"})
    written = spec(alone, "datasets/q")
    assert written["target"] == "price"
    assert written["columns"][1] == {
        "name": "price",
        "unit": "EUR",
        "description": "with tax",
        "type": "double",
        "nullable": False,
    }
    with pytest.raises(InvalidInput, match="'weight'"):
        asked(alone, "select id from orders", spec={"columns": [{"name": "weight"}]})


def test_a_thousand_columns(alone: Member, tmp_path: Path) -> None:
    names = [f"feature_number_{n}" for n in range(1000)]
    create, insert = (
        f"create table wide({','.join(names)})",
        f"insert into wide values ({','.join('?' * 1000)})",
    )
    sqlite(alone.folder / "shop.db", create, insert, rows=[list(range(1000))])
    done = asked(alone, "select * from wide")
    assert "1,000 columns are too many for the pointer" in done.warnings[0]
    assert "columns" not in spec(alone, "datasets/q")
    assert table(alone, "datasets/q", tmp_path / "out").to_pylist() == [
        {name: n for n, name in enumerate(names)}
    ]
    assert not asked(alone, "select * from wide").created


def test_the_document_of_the_pointer_is_plain_json(alone: Member, shop: Path) -> None:
    asked(alone, "select * from orders order by id")
    assert json.loads(json.dumps(spec(alone, "datasets/q")))["query"]["dialect"] == "sqlite"
