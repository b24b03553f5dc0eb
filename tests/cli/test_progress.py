from __future__ import annotations

import io
import re
import threading

import pytest
from support.cli import Terminal

from gitml.cli.terminal.progress import HEARTBEAT_S, Bar, Heartbeat, _Work, reporter


class Log(io.StringIO):
    """A log that knows when a line has come."""

    def __init__(self) -> None:
        super().__init__()
        self.line = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        self.line.set()
        return written


class Screen(Terminal):
    def __init__(self, awaited: str) -> None:
        super().__init__()
        self.shown = threading.Event()
        self._awaited = awaited

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._awaited in self.getvalue():
            self.shown.set()
        return written


def test_a_log_gets_a_line_while_work_goes_on() -> None:
    log = Log()
    beat = Heartbeat(log, interval_s=0.01)
    beat.begin("register models/digits", total_bytes=4 * 1024**2, total_files=8)
    beat.advance(size_bytes=1024**2, files=2, reused_bytes=512)
    assert log.line.wait(10)
    beat.end()
    line = log.getvalue().splitlines()[0]
    assert re.fullmatch(
        r"gitml: register models/digits: 1\.0 MiB of 4\.0 MiB \(25 %\), 2 of 8 files, 512 B already there \(0 %\), "
        r"[0-9.]+ [KMGT]iB/s, \d+ s left",
        line,
    ), line


def test_the_heartbeat_keeps_its_promise_of_two_seconds() -> None:
    assert HEARTBEAT_S < 2


def test_nothing_is_said_once_the_work_is_over() -> None:
    log = Log()
    beat = Heartbeat(log, interval_s=0.01)
    beat.begin("a")
    assert log.line.wait(10)
    beat.end()
    said = log.getvalue()
    assert not [
        thread for thread in threading.enumerate() if thread.name == "gitml-heartbeat" and thread.join(10)
    ]
    assert log.getvalue() == said


def test_work_inside_work_gives_the_line_back() -> None:
    log = Log()
    beat = Heartbeat(log, interval_s=0.01)
    beat.begin("outer")
    beat.begin("inner")
    beat.end()
    log.line.clear()
    assert log.line.wait(10)
    beat.close()
    assert log.getvalue().splitlines()[-1].startswith("gitml: outer: ")


def test_a_command_that_waits_for_a_server_says_so() -> None:
    """Before there is any work to count, and after."""
    log = Log()
    beat = Heartbeat(log, interval_s=0.01)
    beat.watch("store gc")
    assert log.line.wait(10)
    beat.watch("store gc")
    beat.begin("Collecting", total_bytes=10)
    beat.end()
    log.line.clear()
    assert log.line.wait(10)
    beat.close()
    lines = log.getvalue().splitlines()
    assert re.fullmatch(r"gitml: store gc: \d+ s so far", lines[0]), lines[0]
    assert lines[-1].startswith("gitml: store gc: ")


def test_rate_and_time_left_are_of_the_last_seconds() -> None:
    """What a store has already goes by at once: it says nothing about how long the rest will take."""
    work = _Work("storing", total_bytes=1000 * 1024**2, total_files=None, now_s=0.0)
    work.add(size_bytes=800 * 1024**2, files=0, reused_bytes=800 * 1024**2, rows=0)
    assert work.line(1.0).endswith("800.0 MiB already there (100 %), 800.0 MiB/s, 0 s left")
    for second in range(2, 22):
        work.add(size_bytes=5 * 1024**2, files=0, reused_bytes=0, rows=0)
        line = work.line(float(second))
    assert line.endswith("(90 %), 800.0 MiB already there (88 %), 5.0 MiB/s, 20 s left"), line
    assert work.line(40.0).endswith("0 B/s, 40 s so far")  # nothing moves any more


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_bar_is_one_line(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    screen = Screen(" left")
    bar = Bar(screen, delay_s=0.01)
    bar.begin("Storing", total_bytes=900 * 1024**2, total_files=2000)
    bar.advance(size_bytes=600 * 1024**2, files=1999, reused_bytes=590 * 1024**2)
    assert screen.shown.wait(10)
    bar.end()
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).replace("\r", "\n")
    lines = [line.rstrip() for line in drawn.splitlines() if line.strip()]  # the last takes the bar away
    assert all(line.startswith("Storing ━") and line.endswith(" left") for line in lines[:-1]), lines
    assert "98 % already there" in lines[0] or "already there (98 %)" in lines[0]


def test_short_work_shows_nothing() -> None:
    for stream in (Log(), Terminal()):
        made = reporter(stream)
        made.begin("quick", total_bytes=10)
        made.advance(size_bytes=10)
        made.end()
        assert stream.getvalue() == ""


def test_quiet_still_tells_what_a_person_must_know() -> None:
    log = Log()
    quiet = Heartbeat(log, interval_s=0.01, quiet=True)
    quiet.begin("work")
    quiet.note("store default: first use of https://ada:hunter2secret@example.com\x1b[2J")
    quiet.close()
    assert log.getvalue().count("\n") == 1
    assert "first use" in log.getvalue()
    assert "hunter2secret" not in log.getvalue()
    assert "\x1b" not in log.getvalue()


def test_a_terminal_gets_a_bar_with_bytes_rate_and_time_left() -> None:
    screen = Screen(" left")
    bar = Bar(screen, delay_s=0.01)
    bar.begin("get models/digits", total_bytes=4 * 1024**2)
    bar.advance(size_bytes=1024**2)
    assert screen.shown.wait(10)
    bar.note("above the bar")
    bar.end()
    drawn = screen.getvalue()
    assert "get models/digits" in drawn
    assert "25 % of 4.0 MiB" in drawn
    assert "iB/s" in drawn
    assert "gitml: above the bar" in drawn


def test_counters_take_reports_from_many_threads() -> None:
    log = Log()
    beat = Heartbeat(log, interval_s=3600)
    beat.begin("many", total_bytes=80_000)
    threads = [
        threading.Thread(target=lambda: [beat.advance(size_bytes=1, files=1) for _ in range(10_000)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    beat.close()
    beat = Heartbeat(log, interval_s=0.01)
    assert log.getvalue() == ""
