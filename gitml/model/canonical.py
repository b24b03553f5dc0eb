"""The canonical form: the one way in which GitML writes a value as YAML.

Block style alone, indent 2, list items indented under their key; `{}` and `[]` where empty; a string bare
where that is safe in every YAML, else in JSON's quotes; numbers as JSON; one line a scalar; no comments.
Equal values give equal bytes, so a diff shows what changed and nothing else.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gitml.errors import InvalidInput
from gitml.model.shown import shown

MAX_INT: Final = 2**53
# YAML finds a key only where its colon stands within 1,024 characters; escaping can take 6 for one.
MAX_KEY: Final = 160

# Words that YAML 1.1 reads as something else than text.
_WORDS = ("y", "n", "yes", "no", "true", "false", "on", "off", "null")
_YAML11 = "|".join(form for word in _WORDS for form in dict.fromkeys((word, word.capitalize(), word.upper())))
BARE = re.compile(rf"(?!(?:{_YAML11})\Z)[A-Za-z](?:[A-Za-z0-9 ._/@+-]*[A-Za-z0-9._/@+-])?").fullmatch
# What JSON leaves as it is, but a reader cannot see or YAML cannot hold: C1 controls, formats, line ends,
# private use and noncharacters of the basic plane. Higher planes have no JSON escape that YAML reads.
_INVISIBLE = re.compile(
    "[\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3000\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufeff\ufff0-\uffff]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOrder:
    """Order of a mapping's keys, and of those below it.

    Keys that are not listed come last and sorted.

    Attributes:
        keys: Known keys in their order.
        below: Order below a key; `*` stands for every key that is not named. Lists pass theirs on to items.
    """

    keys: tuple[str, ...] = ()
    below: Mapping[str, KeyOrder] = field(default_factory=dict)

    def sorted(self, value: Mapping[str, Any]) -> list[str]:
        """The keys of a mapping in this order."""
        known = [key for key in self.keys if key in value]
        return known + sorted(value.keys() - set(known))

    def of(self, key: str) -> KeyOrder:
        """The order below a key."""
        return self.below.get(key) or self.below.get("*") or SORTED


SORTED: Final = KeyOrder()


def dump(value: Any, *, order: KeyOrder = SORTED) -> bytes:
    """Write a value in canonical form.

    Raises:
        InvalidInput: It holds what no reader would accept: a number that is not finite or beyond 2^53, a lone
            surrogate, a key that is too long or no text, or something that is no JSON value.
    """
    lines: list[str] = []
    if isinstance(value, Mapping) and value:
        _write_mapping(value, order, "", lines, 1)
    elif _is_list(value) and value:
        _write_list(value, order, "", lines, 1)
    else:
        lines.append(scalar(value))
    lines.append("")
    return "\n".join(lines).encode("utf-8")


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def _write_mapping(
    value: Mapping[str, Any], order: KeyOrder, indent: str, lines: list[str], depth: int
) -> None:
    for key in order.sorted(value):
        _write_entry(f"{indent}{key_text(key)}:", value[key], order.of(key), indent, lines, depth)


def _write_list(value: Sequence[Any], order: KeyOrder, indent: str, lines: list[str], depth: int) -> None:
    _check_depth(depth)
    for item in value:
        if (isinstance(item, Mapping) or _is_list(item)) and item:
            # The first line of the item stands on the line of its dash.
            nested: list[str] = []
            write = _write_mapping if isinstance(item, Mapping) else _write_list
            write(item, order, indent + "  ", nested, depth + 1)
            nested[0] = f"{indent}- {nested[0][len(indent) + 2 :]}"
            lines.extend(nested)
        else:
            lines.append(f"{indent}- {scalar(item)}")


def _write_entry(head: str, value: Any, order: KeyOrder, indent: str, lines: list[str], depth: int) -> None:
    _check_depth(depth)
    if isinstance(value, Mapping) and value:
        lines.append(head)
        _write_mapping(value, order, indent + "  ", lines, depth + 1)
    elif _is_list(value) and value:
        lines.append(head)
        _write_list(value, order, indent + "  ", lines, depth + 1)
    else:
        lines.append(f"{head} {scalar(value)}")


_MAX_DEPTH = 32


def _check_depth(depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise InvalidInput(
            f"a value nests deeper than {_MAX_DEPTH} levels", code="bad-value", hint="make the value flatter"
        )


def key_text(key: object) -> str:
    """Write a key.

    Raises:
        InvalidInput: It is no text, or too long.
    """
    if not isinstance(key, str) or len(key) > MAX_KEY:
        raise InvalidInput(
            f"{shown(key)} cannot be a key: keys are texts of at most {MAX_KEY} characters",
            code="bad-key",
            hint="shorten the key",
        )
    return string(key)


def string(text: str) -> str:
    """Write a string: bare where it is safe, else as JSON does, with what cannot be seen escaped.

    Raises:
        InvalidInput: It has a lone surrogate.
    """
    if BARE(text):
        return text
    if max(text, default="") >= "\ud800" and any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidInput(f"{shown(text)} has a lone surrogate", code="bad-value", hint="remove it")
    return _INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))


def scalar(value: Any) -> str:
    """Write a scalar or an empty collection.

    Raises:
        InvalidInput: It cannot be written.
    """
    if isinstance(value, str):
        return string(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) <= MAX_INT:
        return int.__repr__(value)
    if isinstance(value, float) and math.isfinite(value):
        return float.__repr__(value)
    if isinstance(value, Mapping) and not value:
        return "{}"
    if _is_list(value) and not value:
        return "[]"
    raise InvalidInput(
        f"{shown(value)} ({type(value).__name__}) cannot be written: numbers must be finite and within 2^53",
        code="bad-value",
        hint="use a text, a finite number, true, false, null, a list or a mapping",
    )
