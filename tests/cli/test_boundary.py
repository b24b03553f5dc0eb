"""What surrounds every command: global flags, documents, failures, exit codes; with small commands of its own."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

import pytest
from support.cli import GonePipe, run
from support.cli_commands import FAILURES, SECRET, tiny

EXIT_CODES = {
    "conflict": 5,
    "partly": 13,
    "full": 11,
    "quota": 11,
    "denied": 10,
    "readonly": 10,
    "pipe": 70,
    "interrupt": 130,
    "abort": 130,
    "memory": 70,
    "bug": 70,
}


@pytest.mark.parametrize("how", sorted(FAILURES))
def test_failures_on_a_terminal(how: str) -> None:
    ran = run("fail", how, program=tiny)
    assert ran.exit_code == EXIT_CODES[how]
    assert ran.stdout == ""
    lines = ran.stderr.splitlines()
    assert lines[0].startswith("gitml: ")
    assert len(lines) <= (4 if how == "partly" else 3)
    assert "Traceback" not in ran.stderr
    assert SECRET not in ran.stderr


@pytest.mark.parametrize("how", sorted(FAILURES))
@pytest.mark.parametrize("place", ["before", "after"])
def test_failures_as_documents(how: str, place: str) -> None:
    ran = run(*(["--json", "fail", how] if place == "before" else ["fail", how, "--json"]), program=tiny)
    assert ran.exit_code == EXIT_CODES[how]
    body = ran.document
    assert body["schema"] == "gitml/fail/v1"
    assert set(body["error"]) == {"code", "message", "hint", "context"}
    assert SECRET not in ran.stdout + ran.stderr
    assert ("done" in body) == ("failed" in body) == (how == "partly")
    assert ran.stderr == ""


def test_a_batch_lists_what_worked_and_what_did_not() -> None:
    body = run("fail", "partly", "--json", program=tiny).document
    assert body["done"] == ["models/a@1"]
    assert body["failed"]["models/b@1"] == {
        "code": "bytes-not-here",
        "message": "no bytes",
        "hint": "gitml push",
        "context": {},
    }
    text = run("fail", "partly", program=tiny).stderr
    assert "  models/b@1: no bytes\n" in text


def test_a_message_stays_on_its_line() -> None:
    lines = run("fail", "conflict", program=tiny).stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("gitml: the thing is there")
    assert lines[0].endswith("already at https://***@example.com")
    assert lines[1] == "Try: choose another name"


def test_context_survives_what_json_cannot_say() -> None:
    context = run("fail", "conflict", "--json", program=tiny).document["error"]["context"]
    assert context == {"url": "https://***@example.com", "count": 3, "odd": [1, 2]}


def test_the_traceback_is_for_those_who_ask_and_holds_no_secret() -> None:
    ran = run("-vv", "fail", "bug", program=tiny)
    assert "Traceback" in ran.stderr
    assert "KeyError" in ran.stderr
    assert SECRET not in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("Try: ")
    assert "Traceback" not in run("-v", "fail", "bug", program=tiny).stderr
    as_document = run("-vv", "fail", "bug", "--json", program=tiny)
    assert "Traceback" in as_document.stderr
    assert as_document.document["error"]["code"] == "unexpected"


def test_a_bug_says_that_it_is_one() -> None:
    ran = run("fail", "bug", program=tiny)
    assert "a bug in GitML" in ran.stderr
    assert "-vv" in ran.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["ecoh"], "unknown-command", "did you mean 'echo'"),
        (["parts", "ecoh"], "unknown-command", "did you mean 'echo'"),
        (["echo", "--uper"], "unknown-option", "did you mean --upper"),
        (["--jsn", "echo"], "unknown-option", "did you mean --json"),
        (["fail"], "missing-argument", "missing argument"),
        (["fail", "nohow"], "bad-argument", "nohow"),
        (["-j", "0", "echo"], "bad-argument", "--jobs"),
        ([], "no-command", "echo, note"),
        (["parts"], "no-command", "echo"),
    ],
)
def test_mistakes_on_the_command_line(words: list[str], code: str, message: str) -> None:
    ran = run(*words, program=tiny)
    assert ran.exit_code == 2
    assert ran.stdout == ""
    assert message in ran.stderr
    assert len(ran.stderr.splitlines()) <= 3
    body = run(*words, "--json", program=tiny)
    assert body.exit_code == 2
    assert body.document["error"]["code"] == code
    assert body.stderr == ""


def test_a_mistake_outside_any_command_has_a_document_of_its_own() -> None:
    assert run("ecoh", "--json", program=tiny).document["schema"] == "gitml/error/v1"
    assert run("parts", "ecoh", "--json", program=tiny).document["schema"] == "gitml/error/v1"
    assert run("parts", "echo", "--uper", "--json", program=tiny).document["schema"] == "gitml/parts-echo/v1"


@pytest.mark.parametrize("words", [["--json", "echo", "a"], ["echo", "--json", "a"], ["echo", "a", "--json"]])
def test_global_flags_stand_before_and_after(words: list[str]) -> None:
    assert run(*words, program=tiny).document == {"schema": "gitml/echo/v1", "words": ["a"]}


def test_json_as_a_word_is_no_flag() -> None:
    assert run("echo", "--", "--json", program=tiny).stdout == "--json\n"


def test_quiet_prints_references_only() -> None:
    assert run("-q", "echo", "a", "b", program=tiny).stdout == "a\nb\n"
    assert run("echo", "a", "b", "-q", program=tiny).stdout == "a\nb\n"


def test_a_dry_run_says_that_it_is_a_plan() -> None:
    assert run("echo", "a", "-n", "--json", program=tiny).document == {
        "schema": "gitml/echo/v1",
        "plan": {"words": ["a"]},
    }


def test_minus_capital_c_is_gits(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    before = os.getcwd()
    ran = run("-C", str(tmp_path), "-C", "a", "echo", "-C", "b", "x", program=tiny)
    assert ran.exit_code == 0
    assert os.getcwd() == before
    missing = run("-C", str(tmp_path / "none"), "echo", "x", program=tiny)
    assert missing.exit_code == 4
    assert "there is no folder" in missing.stderr


def test_notes_and_logs_go_to_stderr_without_secrets() -> None:
    ran = run("note", "--json", program=tiny)
    assert ran.document["done"] is True
    assert "warning: token" in ran.stderr
    assert SECRET not in ran.stderr
    assert "\x1b" not in ran.stderr
    assert "INFO" not in ran.stderr
    logged = run("note", "-v", program=tiny)
    assert "INFO gitml.somewhere: asked https://***@example.com" in logged.stderr


def test_the_log_level_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITML_LOG", "info")
    assert "INFO gitml.somewhere" in run("note", program=tiny).stderr


def test_a_reader_that_has_read_enough_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stdout", GonePipe())
    monkeypatch.setattr(sys, "stderr", stderr)
    with pytest.raises(SystemExit) as ended:
        tiny.main(["echo", "a"])
    assert ended.value.code == 0
    assert stderr.getvalue() == ""


def test_help_names_arguments_options_and_an_example() -> None:
    ran = run("echo", "--help", program=tiny)
    assert ran.exit_code == 0
    assert "Options of every command:" in ran.stdout
    assert re.search(r"Example:\n  tiny echo hello\n", ran.stdout)


@pytest.mark.parametrize("words", [["list"], ["-R", "/", "list"], ["status", "--json"]])
def test_a_folder_that_is_gone(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    ran = run(*words)
    assert ran.exit_code == 4
    assert "is gone" in (ran.stdout if "--json" in words else ran.stderr)
