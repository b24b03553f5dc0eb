"""How the text of a request, which is Markdown, looks on a terminal: headings, tables and lines, without their marks.

Only what GitML itself writes is taken apart; anything else is shown as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gitml.cli.terminal.output import Printer, Style, Styled

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HEADING = re.compile(r"#{1,6} +(.*)")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)")
_RULE = re.compile(r"\|[ :|-]+\|")


def markdown(text: str, out: Printer) -> None:
    """Print a text."""
    for block in _blocks(_COMMENT.sub("", text).strip().splitlines()):
        heading = _HEADING.fullmatch(block[0])
        if heading:
            out.line(Styled(_plain(heading[1]), Style.STRONG))
        elif len(block) > 1 and _RULE.fullmatch(block[1]):
            rows = [_cells(line) for line in [block[0], *block[2:]]]
            width = max(map(len, rows))
            full = [[*row, *[""] * (width - len(row))] for row in rows]
            out.table([head.upper() for head in full[0]], full[1:])
        else:
            out.line(_plain(block[0]))


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Lines, those of one table together."""
    table: list[str] = []
    for line in lines:
        if line.startswith("|") and line.endswith("|"):
            table.append(line)
            continue
        if table:
            yield table
            table = []
        yield [line]
    if table:
        yield table


def _cells(line: str) -> list[str]:
    return [_plain(cell.strip()) for cell in line.split("|")[1:-1]]


def _plain(text: str) -> str:
    """Text without the marks of code and of emphasis; what stands in code stays as it is."""
    parts, at = [], 0
    for span in _SPAN.finditer(text):
        parts += [_bare(text[at : span.start()]), span[2].strip() if len(span[1]) > 1 else span[2]]
        at = span.end()
    return "".join([*parts, _bare(text[at:])])


def _bare(text: str) -> str:
    return text.replace("**", "")
