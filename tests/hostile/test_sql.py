"""Queries and connections that say what they should not, and passwords that must turn up nowhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.canaries import Door, assert_refused, program, program_environment
from support.cli import InFolder
from support.databases import Postgresql, postgresql, sqlite

PASSWORD = "hunter2-never-to-be-seen"

CONNECTIONS = [
    (f"mysql://ada:{PASSWORD}@db/x", 2),
    (f"postgresql+psycopg2://ada:{PASSWORD}@db/x", 2),
    (f"sqlite+pysqlcipher://:{PASSWORD}@/x.db", 2),
    (f"https://ada:{PASSWORD}@db/x", 2),
    (f"file://ada:{PASSWORD}@db/x", 2),
    (f"postgresql://ada:{PASSWORD}@db", 3),
    (f"postgresql://ada:{PASSWORD}@db:port/x", 3),
    (f"postgresql://ada:{PASSWORD}@db/x?options=-c%20x", 3),
    (f"postgresql://ada@db/x?password={PASSWORD}", 3),
    (f"postgresql://ada@db/x?host={PASSWORD}", 3),
    (f"postgresql://ada:{PASSWORD}@db/x?service=y", 3),
    (f"postgresql://ada:{PASSWORD}@[::1/x", 3),
    (f"postgresql://ada:{PASSWORD}@db/x%00", 3),
    (f"postgresql://ada:{PASSWORD}@db/x\x1b[2J", 3),
    (f"ada:{PASSWORD}@db/x", 3),
    (f"env:{PASSWORD}", 3),
    ("env:NOT_SET_ANYWHERE", 2),
    ("no-such-name", 2),
    ("", 3),
    ("~/shop.db", 3),
    ("sqlite://", 3),
    ("sqlite:///:memory:", 3),
    ("sqlite:///file:shop.db?mode=rwc", 3),
    ("sqlite:////dev/zero", 3),
    ("sqlite:////proc/self/environ", 3),
    ("sqlite:///missing/shop.db", 4),
    ("sqlite:///.", 3),
]

QUERIES = [
    "",
    "   ;  ",
    "drop table orders",
    "attach database '../outside/folder/other.txt' as x",
    "pragma journal_mode = delete",
    "vacuum into 'copy.db'",
    "select load_extension('/tmp/evil')",
    "select writefile('evil', 'x')",
    "select readfile('../outside/sentinel.txt')",
    "select edit('x')",
    "select fts3_tokenizer('x', x'00')",
    "with a as (select 1) delete from orders",
    "select 1; drop table orders",
    "select 1) ; drop table orders; --",
    "select * from orders) union select (1",
    "select '\x00'",
    "select \x1b[31m",
    "select '\ud800'",
    "select '" + "x" * 17_000 + "'",
    "(" * 5000 + "select 1" + ")" * 5000,
    "/*" * 5000,
    "select " + ",".join(["1"] * 3000),
    "select 'password=hunter2-never-to-be-seen'",
]


@pytest.mark.parametrize(("connection", "exit_code"), CONNECTIONS)
def test_connections(arena, door: Door, connection: str, exit_code: int) -> None:
    outcome = arena.call(door, "register", "datasets/q", sql="select 1 as x", connection=connection)
    assert_refused(outcome, exit_code)
    assert PASSWORD not in outcome.said


@pytest.mark.parametrize("sql", QUERIES, ids=range(len(QUERIES)))
def test_queries(arena, door: Door, sql: str) -> None:
    """Each is refused, and the database is what it was, with nothing beside it."""
    file = arena.base / "contents/../shop.db"
    if door is not Door.PYTHON and not sql.isprintable() and "\ud800" in sql:
        pytest.skip("no such argument can be typed")
    sqlite(file, "create table orders(id)", "insert into orders values (1)")
    before = file.read_bytes()
    try:
        outcome = arena.call(door, "register", "datasets/q", sql=sql, connection="sqlite:///../shop.db")
        assert_refused(outcome, 3)
        assert file.read_bytes() == before
        assert sorted(path.name for path in arena.base.glob("*.db*")) == ["shop.db"]
    finally:
        file.unlink()


def test_views_that_call_what_acts_outside(own_arena) -> None:
    """A database of somebody else brings its own views; they run with no function that is not harmless."""
    sqlite(
        own_arena.base / "shop.db",
        "create table orders(id)",
        "insert into orders values (1)",
        "create view evil as select load_extension('/tmp/evil') as x from orders",
        "create view tokens as select fts3_tokenizer('simple') as x from orders",
    )
    for view in ("evil", "tokens"):
        outcome = own_arena.call(
            Door.CLI, "register", "datasets/q", sql=f"select * from {view}", connection="sqlite:///../shop.db"
        )
        assert_refused(outcome, 3)


def test_columns_with_names_that_act_on_a_terminal(own_arena) -> None:
    sqlite(own_arena.base / "shop.db", "create table orders(id)")
    sql = 'select 1 as "x\\", 2 as "y: {}", 3 as "- !!python/name:os.system"'
    outcome = own_arena.call(Door.CLI, "register", "datasets/q", sql=sql, connection="sqlite:///../shop.db")
    assert outcome.exit_code == 0, outcome.said
    columns = own_arena.ada.registry.show("datasets/q").asset["spec"]["columns"]
    assert [column["name"] for column in columns] == ["x\\", "y: {}", "- !!python/name:os.system"]


def everything(folder: Path) -> bytes:
    """All that a clone holds: files, and objects of git as they are when unpacked."""
    files = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    dump = ["git", "-C", str(folder), "cat-file", "--batch-all-objects", "--batch", "--unordered"]
    return files + subprocess.run(dump, check=True, capture_output=True).stdout


def said(folder: Path, environment: dict[str, str], *line: str) -> tuple[int, str]:
    done = subprocess.run(
        program("-C", str(folder), *line),
        env=program_environment(environment),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_password_turns_up_nowhere(
    own_arena, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in git, not in the state, not in what is said, however it ends and however much is asked for."""
    database: Postgresql = postgresql()
    ada = own_arena.ada.folder
    wrong = database.url.replace(database.password, PASSWORD)
    closed = wrong.replace(f":{database.port}/", ":1/")
    endings = {
        (database.url, "select 1 as x"): 0,
        (database.url, "select nothing"): 3,
        (database.url, "select '1 s'::interval as x"): 3,
        (database.url, "select 1/0 as x"): 3,
        (wrong, "select 1 as x"): 10,
        (closed, "select 1 as x"): 7,
        (database.url.replace(database.name, "absent"), "select 1 as x"): 4,
    }
    line = ["register", "datasets/q", "--connection"]
    for (url, sql), expected in endings.items():
        monkeypatch.setenv("SHOP_URL", url)
        for connection, how in ((url, "-vv"), ("env:SHOP_URL", "--json"), (url, "-n")):
            ran = InFolder(ada)(*line, connection, "--sql", sql, how)
            assert ran.exit_code == (0 if how == "-n" else expected), ran
            told = ran.stdout + ran.stderr
            assert database.password not in told and PASSWORD not in told, told
    code, told = said(ada, environment, *line, wrong, "--sql", "select 1", "-vv")
    assert (code, PASSWORD in told, "Traceback" in told) == (10, False, True)
    held = everything(ada) + everything(own_arena.team.remote)
    home = Path(environment["HOME"])
    held += b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"select 1 as x" in held
    for secret in (database.password, PASSWORD):
        assert secret.encode() not in held


def test_a_password_that_the_caller_writes_down_is_refused(arena, door: Door) -> None:
    leaks = {
        "sql": f"select 'postgresql://ada:{PASSWORD}@db/x' as x",
        "command": f"gitml register --connection postgresql://ada:{PASSWORD}@db/x",
        "message": f"from postgresql://ada:{PASSWORD}@db/x",
    }
    for option, text in leaks.items():
        words = {"sql": "select 1 as x", "connection": "postgresql://127.0.0.1/x", option: text}
        outcome = arena.call(door, "register", "datasets/q", **words)
        assert_refused(outcome, 3)
        assert PASSWORD not in outcome.said


def test_the_settings_of_a_user_do_not_tell(environment: dict[str, str], own_arena) -> None:
    """A named connection is neither repeated nor shown by what prints the settings."""
    from gitml.registry.settings import load_settings

    file = Path(environment["XDG_CONFIG_HOME"]) / "gitml/config.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'connections:\n  shop:\n    url: "postgresql://ada:{PASSWORD}@127.0.0.1:1/x"\n')
    assert PASSWORD not in repr(load_settings())
    gitml = InFolder(own_arena.ada.folder)
    line = ("register", "datasets/q", "--sql", "select 1", "--connection")
    for words in ((*line, "shop", "-vv"), (*line, "other", "-vv"), ("doctor", "-vv")):
        ran = gitml(*words)
        assert PASSWORD not in ran.stdout + ran.stderr, ran
    for broken in (f'  shop: "{PASSWORD}"', f'  shop: {{url: "x", word: "{PASSWORD}"}}', f'  - "{PASSWORD}"'):
        file.write_text(f"connections:\n{broken}\n")
        ran = gitml(*line, "shop", "-vv")
        assert ran.exit_code == 3
        assert PASSWORD not in ran.stdout + ran.stderr, ran
