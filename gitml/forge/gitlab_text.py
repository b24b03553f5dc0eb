"""How texts stand on GitLab: what it would carry out is escaped, and a draft's title begins with `Draft: `.

A line that begins with `/word` is a command there, in the text of a request and in a comment, carried out with the
rights of whoever wrote it. Law: `shown(written(t)) == t`, and no line of `written(t)` begins with `/`.
"""

from __future__ import annotations

import re
from typing import Final

DRAFT: Final = "Draft: "
_DRAFT: Final = re.compile(r"(?:\[draft\]|\(draft\)|draft:)\s*", re.IGNORECASE)
_COMMAND: Final = re.compile(r"^([^\S\n]*)(\\*/)", re.MULTILINE)
_ESCAPED: Final = re.compile(r"^([^\S\n]*)\\(\\*/)", re.MULTILINE)


def written(text: str) -> str:
    """A text as it is sent: Markdown shows the same."""
    return _COMMAND.sub(r"\1\\\2", text)


def shown(text: str) -> str:
    """A text as it was meant."""
    return _ESCAPED.sub(r"\1\2", text)


def without_draft(title: str) -> str:
    """The title of a draft."""
    match = _DRAFT.match(title)
    return title if match is None else title[match.end() :]
