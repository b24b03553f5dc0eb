"""One thing that is wrong with a document, and how fields are called in messages."""

from __future__ import annotations

from dataclasses import dataclass

from gitml.model.shown import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One broken rule.

    Attributes:
        line: Where it stands.
        field: Name of the field.
        rule: The rule, as it goes on after the field's name.
        fix: What to do.
    """

    line: int
    field: str
    rule: str
    fix: str


def field_name(path: tuple[str | int, ...]) -> str:
    """A field's name in messages: `contents.digest`, `inputs[0].ref`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isidentifier() and part.isascii() else shown(part)
            text += f".{name}" if text else name
    return text or "the document"
