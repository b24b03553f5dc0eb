"""Writing Markdown in which nothing that comes from other people can act.

Foreign text stands in code spans: there forges resolve no mention, no link, no reference, and neither Markdown nor HTML
means anything. A backslash would not do, since mentions are looked for after Markdown is gone. What a reader cannot see
is written as its escape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

_TICKS: Final = re.compile(r"`+")
# Letters by their category, and empty to the eye.
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_MAX_TEXT: Final = 200


def visible(text: str, limit: int = _MAX_TEXT) -> str:
    """Text on one line whose every character can be seen, cut to so many characters."""
    cut = text[:limit]
    seen = "".join(char if char.isprintable() and not _is_hidden(char) else _escape(char) for char in cut)
    return seen + ("…" if len(text) > limit else "")


def _is_hidden(char: str) -> bool:
    return char in _BLANK or 0xFE00 <= ord(char) <= 0xFE0F or 0xE0100 <= ord(char) <= 0xE01EF


def _escape(char: str) -> str:
    number = ord(char)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )


def code(text: object, limit: int = _MAX_TEXT) -> str:
    """Foreign text as a code span.

    A bar becomes an escape, too: what ends a cell of a table differs between forges, and with a backslash before it.
    """
    shown = visible(str(text), limit).replace("|", "\\x7c")
    if not shown.strip():
        return "–"
    fence = "`" * (max((len(run) for run in _TICKS.findall(shown)), default=0) + 1)
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table; cells are Markdown without a bar."""
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def sealed(text: str) -> str:
    """The author's own Markdown, so that what follows it stays outside of its fences, comments and tags."""
    lines = text.strip().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    fence = ""
    for number, line in enumerate(lines):
        mark = re.match(r" {0,3}(`{3,}|~{3,})(.*)", line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not mark[2].strip():
            fence = ""
        elif not fence:
            lines[number] = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", line)
    return "\n".join([*lines, fence] if fence else lines)
