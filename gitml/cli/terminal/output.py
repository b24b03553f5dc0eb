"""What goes to stdout for a person: lines, fields, tables and trees.

Drawn by rich where stdout is a terminal, plain aligned text where it is not. Every text passes through
:func:`gitml.cli.terminal.text.visible`, so that no name or message can act on the terminal.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TextIO

from gitml.cli.terminal.text import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree


class Style(Enum):
    """Why a piece of text stands out; what it looks like is decided here alone."""

    PLAIN = ""
    STRONG = "bold"
    DIM = "dim"
    GOOD = "green"
    WARN = "yellow"
    BAD = "bold red"
    NAME = "cyan"


class Styled(NamedTuple):
    """Text that stands out."""

    text: str
    style: Style


Piece = str | Styled

_GAP = 2  # blanks between the columns of a table


@dataclass(frozen=True, slots=True)
class Column:
    """Heading of a table's column.

    Attributes:
        right: Whether its cells stand right, as numbers do.
        spare: Whether a narrow terminal does without it: the higher the sooner, and never at 0.
    """

    title: str
    right: bool = False
    spare: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """A label and what hangs under it."""

    label: Piece
    children: Sequence[Node] = field(default=())


class ReaderGoneError(Exception):
    """Whoever read our output has closed it."""


class Printer:
    """Writes for a person.

    Args:
        stream: Where to.
        rich: Whether to draw with rich; None: when the stream is a terminal.
    """

    def __init__(self, stream: TextIO, *, rich: bool | None = None) -> None:
        self._stream = stream
        self._rich = stream.isatty() if rich is None else rich
        self._console: Console | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at it directly."""
        return self._rich

    def line(self, *pieces: Piece) -> None:
        """One line; pieces are joined without a space."""
        if not self._rich:
            self.write("".join(_plain(piece) for piece in pieces) + "\n")
            return
        from rich.text import Text

        line = Text()
        for piece in pieces:
            line.append_text(_text(piece))
        self._draw(line)

    def blank(self) -> None:
        """An empty line."""
        self.write("\n")

    def fields(self, rows: Iterable[tuple[str, Piece]], indent: int = 0) -> None:
        """Names and values, the values aligned."""
        rows = list(rows)
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            self.line(Styled(" " * indent + name.ljust(width) + "  ", Style.DIM), value)

    def table(self, columns: Sequence[Column | str], rows: Iterable[Sequence[Piece]]) -> None:
        """Rows under headings; columns that are empty in all rows are left out."""
        heads = [column if isinstance(column, Column) else Column(column) for column in columns]
        body = [list(row) for row in rows]
        used = [i for i in range(len(heads)) if not body or any(_plain(row[i]) for row in body)]
        heads, body = [heads[i] for i in used], [[row[i] for i in used] for row in body]
        if self._rich:
            self._rich_table(heads, body)
        else:
            self._plain_table(heads, body)

    def tree(self, root: Node) -> None:
        """A tree, its root at the left edge."""
        if self._rich:
            self._draw(_rich_tree(root))
            return
        self.line(root.label)
        self._branches(root.children, "")

    def write(self, text: str) -> None:
        """Text as it stands: for bytes of the user's own that must arrive unchanged.

        Raises:
            ReaderGoneError: Nobody reads any more.
        """
        try:
            self._stream.write(text)
        except OSError as error:
            raise _gone(error) from error

    def flush(self) -> None:
        """Hand everything to the system, so that a full disk or a closed pipe shows here.

        Raises:
            ReaderGoneError: Nobody reads any more.
        """
        try:
            self._stream.flush()
        except OSError as error:
            raise _gone(error) from error

    def _branches(self, nodes: Sequence[Node], prefix: str) -> None:
        for position, node in enumerate(nodes, start=1):
            last = position == len(nodes)
            self.line(prefix + ("└── " if last else "├── "), node.label)
            self._branches(node.children, prefix + ("    " if last else "│   "))

    def _plain_table(self, heads: list[Column], body: list[list[Piece]]) -> None:
        rows = [[head.title for head in heads], *([_plain(cell) for cell in row] for row in body)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
        for row in rows:
            cells = (
                cell.rjust(width) if head.right else cell.ljust(width)
                for cell, width, head in zip(row, widths, heads, strict=True)
            )
            self.write("  ".join(cells).rstrip() + "\n")

    def _rich_table(self, heads: list[Column], body: list[list[Piece]]) -> None:
        from rich import box
        from rich.table import Table

        # Words are read in one piece: what a narrow terminal cannot show whole makes room for what matters more.
        width = self._terminal.width
        kept = list(range(len(heads)))
        while not (roomy := _least_width(heads, body, kept) <= width):
            spare = max(kept, key=lambda i: heads[i].spare)
            if not heads[spare].spare:
                break
            kept.remove(spare)
        left_out = [head.title for i, head in enumerate(heads) if i not in kept]
        heads, body = [heads[i] for i in kept], [[row[i] for i in kept] for row in body]
        table = Table(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold"
        )
        for position, head in enumerate(heads):
            table.add_column(
                head.title,
                justify="right" if head.right else "left",
                no_wrap=position == 0 or (roomy and not any(" " in _plain(row[position]) for row in body)),
                overflow="fold",
            )
        for row in body:
            table.add_row(*(_text(cell) for cell in row))
        self._draw(table)
        if left_out:
            self.line(Styled(f"no room for {', '.join(left_out)}", Style.DIM))

    @property
    def _terminal(self) -> Console:
        if self._console is None:
            self._console = console(self._stream)
        return self._console

    def _draw(self, drawing: object) -> None:
        try:
            self._terminal.print(drawing, soft_wrap=not _wraps(drawing))
        except OSError as error:
            raise _gone(error) from error


def _least_width(heads: list[Column], body: list[list[Piece]], kept: list[int]) -> int:
    """Width of a table of these columns in which no word is broken."""
    cells = [[heads[i].title, *(_plain(row[i]) for row in body)] for i in kept]
    return (
        sum(max(len(word) for cell in column for word in cell.split(" ")) + _GAP for column in cells) - _GAP
    )


def console(stream: TextIO) -> Console:
    """A rich console that prints what it is given: no markup, no highlighting, no emoji codes."""
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            # rich would end the process here, with an exit code of its own.
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    return Quiet(
        file=stream, markup=False, highlight=False, emoji=False, force_terminal=stream.isatty() or None
    )


def _wraps(drawing: object) -> bool:
    return type(drawing).__name__ == "Table"


def _gone(error: OSError) -> Exception:
    if error.errno != errno.EPIPE:
        return error
    return ReaderGoneError()


def silence(stream: TextIO) -> None:
    """Point a stream whose reader is gone at nothing, so that the interpreter's last flush stays quiet."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)


def _plain(piece: Piece) -> str:
    return visible(piece.text if isinstance(piece, Styled) else piece)


def _text(piece: Piece) -> Text:
    from rich.text import Text

    style = piece.style.value if isinstance(piece, Styled) else ""
    return Text(_plain(piece), style=style)


def _rich_tree(root: Node) -> Tree:
    from rich.tree import Tree

    tree = Tree(_text(root.label), guide_style="dim")
    todo = [(tree, child) for child in root.children]
    while todo:
        parent, node = todo.pop(0)
        branch = parent.add(_text(node.label))
        todo.extend((branch, child) for child in node.children)
    return tree
