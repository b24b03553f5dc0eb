"""What a request on a hosted forge says of itself: the name of its branch, and a hidden line in its text.

Law: `read_body(write_body(b, s, r)) == (b, s, r)` for a body without surrounding space that is not longer than it may
be. What is read may be anybody's words: it finds requests again, and is never trusted.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, Final

MAX_TEXT_BYTES: Final = 60_000
PREFIX: Final = "gitml/"
_SLUG_LENGTH: Final = 48
_CUT: Final = "*The text is longer than this forge allows; the rest is left out.*"
_CLOSING: Final = "\n```"
_HIDDEN: Final = re.compile(r"\s*^<!-- gitml-request (?P<json>\{[^\n]*\}) -->[ \t]*\r?$\s*", re.MULTILINE)


def branch_of(source: str, target: str, refs: Sequence[str]) -> str:
    """The branch that a request's head is pushed to: the same for the same source, target and assets."""
    key = "\0".join((source, target, *sorted(refs))).encode("utf-8", "surrogatepass")
    words = re.sub(r"[^a-z0-9]+", "-", (sorted(refs)[0] if refs else source).casefold()).strip("-")
    slug = words[:_SLUG_LENGTH].strip("-") or "request"
    return f"{PREFIX}{target}/{slug}-{hashlib.sha256(key).hexdigest()[:10]}"


def write_body(body: str, source: str, refs: Sequence[str], *, longest: int | None = None) -> str:
    """The text of a request, with what GitML needs to find it again; only the body gives way to a limit."""
    # As escapes, so that nothing in it can end the comment.
    said = (
        json.dumps({"source": source, "refs": sorted(refs)}).replace(">", "\\u003e").replace("<", "\\u003c")
    )
    hidden = f"<!-- gitml-request {said} -->"
    shown = body.strip() if longest is None else cut(body.strip(), longest - len(hidden) - 2)
    return f"{shown}\n\n{hidden}".strip()


def cut(text: str, longest: int) -> str:
    """A Markdown text of at most so many characters: whole lines, no block left open, and a word that it was cut.

    Law: `cut(cut(t, n), n) == cut(t, n)`, and a text that is short enough stays as it is.
    """
    if len(text) <= longest:
        return text
    kept: list[str] = []
    room = longest - len(_CUT) - len(_CLOSING) - 2
    for line in text.split("\n"):
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    shown = "\n".join(kept).rstrip()
    if sum(line.lstrip().startswith("```") for line in kept) % 2:
        shown += _CLOSING
    return f"{shown}\n\n{_CUT}".strip()


def read_body(text: str) -> tuple[str, str, tuple[str, ...]]:
    """A body, the source and the references that a text holds; the latter are empty where it does not say."""
    found = _HIDDEN.search(text)
    if found is None:
        return text.replace("\r\n", "\n").strip(), "", ()
    try:
        said: Any = json.loads(found["json"])
    except ValueError:
        said = {}
    source, refs = said.get("source"), said.get("refs")
    is_list = isinstance(refs, list) and all(_is_line(ref) for ref in refs)
    body = _HIDDEN.sub("\n\n", text).replace("\r\n", "\n").strip()
    return body, source if _is_line(source) else "", tuple(refs) if is_list else ()


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= 1000
