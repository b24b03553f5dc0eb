"""A registration of a query that dies or runs out of room: nothing is in the way, and nothing stays."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.databases import postgresql, sqlite
from support.killing import Runner
from support.team import Member, git

from gitml.api import init

LINE = ("register", "datasets/q", "--sql", "select * from t order by n", "--connection", "sqlite:///t.db")


@pytest.fixture
def member(tmp_path: Path) -> Member:
    folder = tmp_path / "alone"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    init(folder)
    rows = [(n, f"{n * n:x}") for n in range(20_000)]
    sqlite(folder / "t.db", "create table t(n, x)", "insert into t values (?, ?)", rows=rows)
    return Member(folder)


def left(member: Member) -> list[str]:
    state = member.folder / ".git/gitml"
    return [path.name for path in (*state.glob("scratch*"), *state.glob("operations/*"))]


@pytest.mark.parametrize(("places", "steps"), [("operations", range(1, 4)), ("scratch-", range(1, 12, 2))])
def test_killed_on_the_way(member: Member, runner: Runner, places: str, steps: range) -> None:
    """From the record of the folder to its removal, and in between."""
    below = member.folder / ".git/gitml" / places
    for step in steps:
        ended = runner.run(member.folder, *LINE, kill_at=step, below=below)
        if not ended.killed:
            break
        # any other command, or the same one again
        (member.folder / "data").write_text(str(step))
        line = ("register", "datasets/other", "data") if step % 4 == 1 else LINE
        again = runner.run(member.folder, *line)
        assert again.status == 0, again.stderr
        assert left(member) == [], step
    assert step >= 3
    assert runner.run(member.folder, *LINE).status == 0
    assert git(member.folder, "ls-files", "datasets/q").splitlines() == ["datasets/q/1/asset.yaml"]
    assert git(member.folder, "status", "--porcelain", "--", "datasets") == ""


def test_a_disk_that_is_full(member: Member, runner: Runner) -> None:
    ended = runner.run(member.folder, *LINE, largest_file_bytes=30_000)
    assert (ended.status, "Try: " in ended.stderr) == (11, True), ended.stderr
    assert left(member) == []
    assert runner.run(member.folder, *LINE).status == 0


def test_a_folder_that_cannot_be_made(member: Member, runner: Runner) -> None:
    (member.folder / ".git/gitml").mkdir(exist_ok=True)
    (member.folder / ".git/gitml").chmod(0o500)
    try:
        ended = runner.run(member.folder, *LINE, powerless=True)
        assert (ended.status, "Try: " in ended.stderr) == (10, True), ended.stderr
    finally:
        (member.folder / ".git/gitml").chmod(0o700)
    assert runner.run(member.folder, *LINE).status == 0


def soon(holds: Callable[[], bool]) -> None:
    """Return when it holds."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def opened(pid: int, name: str) -> bool:
    """Whether a process has a file of that name open."""
    names = []
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(Path(os.readlink(handle)).name)
    return name in names


def test_stopped_by_the_user(member: Member, runner: Runner) -> None:
    """SQLite computes without end, and never gives a row."""
    endless = "with recursive c(n) as (select 1 union all select n + 1 from c) select n from c where n < 0"
    running = runner.start(
        member.folder, "register", "datasets/q", "--sql", endless, "--connection", "sqlite:///t.db"
    )
    soon(lambda: opened(running.pid, "t.db"))
    running.interrupt()
    ended = running.wait()
    assert (ended.status, ended.stderr.splitlines()[-1]) == (130, "gitml: stopped")
    assert left(member) == []


def test_stopped_while_a_server_computes(member: Member, runner: Runner) -> None:
    database = postgresql()
    line = ("register", "datasets/q", "--sql", "select pg_sleep(60)::text", "--connection", database.url)
    asking = "select 1 from pg_stat_activity where application_name = 'gitml' and wait_event = 'PgSleep'"
    running = runner.start(member.folder, *line)
    soon(lambda: database.rows(asking) != [])
    running.interrupt()
    ended = running.wait()
    assert (ended.status, ended.stderr.splitlines()[-1]) == (130, "gitml: stopped")
    assert left(member) == []
    soon(lambda: database.rows(asking) == [])
