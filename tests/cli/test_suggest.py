from __future__ import annotations

import pytest

from gitml.cli.commands import entries, full_names
from gitml.cli.terminal.suggest import _COMMANDS, nearest_command, nearest_option


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("regsiter", "register"),
        ("promot", "promote"),
        ("statsu", "status"),
        ("ls", "list"),
        ("log", "history"),
        ("approve", "pr approve"),
        ("du", "store du"),
        ("LIST", "list"),
        ("zzzzzz", None),
    ],
)
def test_commands(typed: str, meant: str | None) -> None:
    assert nearest_command(typed, entries(), everywhere=full_names()) == meant


def test_a_slip_is_answered_only_by_a_command_that_exists() -> None:
    assert nearest_command("repo", ["repro", "list"], everywhere=["repro", "list"]) == "repro"
    assert nearest_command("repo", ["list"], everywhere=["list"]) is None
    for word in _COMMANDS:
        meant = nearest_command(word, entries(), everywhere=full_names())
        assert meant is None or meant.startswith("--") or meant in full_names()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--metrik", "--metric"),
        ("--base", "--target"),
        ("--head", "--source"),
        ("--dry", "--dry-run"),
        ("--out", "--output"),
        ("--zzz", None),
    ],
)
def test_options(typed: str, meant: str | None) -> None:
    known = ["--metric", "--target", "--source", "-n", "--dry-run", "--output", "--json"]
    assert nearest_option(typed, known) == meant
