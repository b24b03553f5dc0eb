from __future__ import annotations

import io
import re
import threading

from support.cli import Terminal

from gitml.cli.terminal.progress import HEARTBEAT_S, Bar, Heartbeat, reporter


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
        r"gitml: register models/digits: 1\.0 MiB of 4\.0 MiB \(25 %\), 2 of 8 files, 512 B already there, "
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
    assert "1.0 MiB of 4.0 MiB (25 %)" in drawn
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
