from __future__ import annotations

import re

import pytest
from support.cli import GonePipe, Terminal

from gitml.cli.terminal.output import Column, Node, Printer, ReaderGoneError, Style, Styled

ROWS = [["models/digits@3", Styled("4.6 MiB", Style.GOOD), ""], ["models/x@1", "1 B", ""]]
HEADS = ["REFERENCE", Column("SIZE", right=True), "NOTE"]
TREE = Node("root", [Node("a", [Node("a1"), Node("a2")]), Node(Styled("b", Style.BAD))])
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Plain(Terminal):
    def isatty(self) -> bool:
        return False


def test_a_plain_table_is_aligned_and_leaves_empty_columns_out() -> None:
    stream = Plain()
    Printer(stream).table(HEADS, ROWS)
    assert (
        stream.getvalue() == "REFERENCE           SIZE\nmodels/digits@3  4.6 MiB\nmodels/x@1           1 B\n"
    )


def test_a_terminal_gets_the_same_words_in_colour() -> None:
    stream = Terminal()
    Printer(stream).table(HEADS, ROWS)
    drawn = stream.getvalue()
    assert "\x1b[32m4.6 MiB\x1b[0m" in drawn
    words = COLOUR.sub("", drawn).split()
    assert [word for word in words if not set(word) <= set("─")] == [
        "REFERENCE", "SIZE", "models/digits@3", "4.6", "MiB", "models/x@1", "1", "B",
    ]  # fmt: skip


def test_no_color_means_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    Printer(stream).line(Styled("bad", Style.BAD))
    assert "\x1b[31m" not in stream.getvalue()
    assert "\x1b[1;31m" not in stream.getvalue()
    assert "bad" in stream.getvalue()


@pytest.mark.parametrize("kind", [Plain, Terminal])
def test_trees(kind: type[Terminal]) -> None:
    stream = kind()
    Printer(stream).tree(TREE)
    drawn = [line.rstrip() for line in COLOUR.sub("", stream.getvalue()).splitlines()]
    assert drawn == ["root", "├── a", "│   ├── a1", "│   └── a2", "└── b"]


@pytest.mark.parametrize("kind", [Plain, Terminal])
def test_nothing_that_is_printed_can_act_on_the_terminal(kind: type[Terminal]) -> None:
    evil = "x\x1b]0;owned\x07\r\u202e[bold]:boom:"
    stream = kind()
    printer = Printer(stream)
    printer.line(evil)
    printer.table(["A"], [[evil]])
    printer.tree(Node(evil, [Node(evil)]))
    printer.fields([("name", evil)])
    drawn = COLOUR.sub("", stream.getvalue())
    assert not set(drawn) & set("\x1b\x07\r\u202e")
    assert drawn.count("[bold]:boom:") == 5


def test_long_lines_are_not_cut_or_wrapped_where_a_person_copies_from() -> None:
    stream = Terminal()
    Printer(stream).line("sha256:" + "a" * 300)
    assert "a" * 300 in stream.getvalue()


@pytest.mark.parametrize("rich", [False, True])
def test_a_reader_that_is_gone_is_told_apart_from_other_failures(rich: bool) -> None:
    with pytest.raises(ReaderGoneError):
        Printer(GonePipe(), rich=rich).line("hello")


def at_width(monkeypatch: pytest.MonkeyPatch, width: int, columns: list[Column | str]) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = Terminal()
    Printer(stream).table(columns, [["models/digits@3", "2026-11-30T18:16:35Z", "many words " * 9]])
    drawn = COLOUR.sub("", stream.getvalue())
    assert max(map(len, drawn.splitlines())) <= width
    return drawn


def test_words_stay_in_one_piece_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "2026-11-30T18:16:35Z" in at_width(monkeypatch, 46, ["REFERENCE", "CREATED", "NOTE"])
    assert "2026-11-30T18:16:35Z" not in at_width(monkeypatch, 36, ["REFERENCE", "CREATED", "NOTE"])


def test_a_narrow_terminal_does_without_what_matters_least_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns: list[Column | str] = ["REFERENCE", Column("CREATED", spare=2), Column("NOTE", spare=1)]
    assert "no room" not in at_width(monkeypatch, 46, columns)
    drawn = at_width(monkeypatch, 36, columns)
    assert "many words" in drawn and "2026" not in drawn
    assert drawn.rstrip().endswith("no room for CREATED")
