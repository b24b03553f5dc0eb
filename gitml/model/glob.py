"""Matching of globs in time proportional to pattern times path, however hostile the pattern is."""

from __future__ import annotations

import re
from collections.abc import Callable

from gitml.errors import InvalidInput
from gitml.model.shown import shown

_MAX_PATTERN = 1024
_PIECE = re.compile(r"\*\*+|\*|\?|[^*?]", re.DOTALL)


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """Make a test for one anchored pattern; see :func:`gitml.model.paths.glob_matcher`.

    Raises:
        InvalidInput: The pattern is empty or too long.
    """
    if not pattern or len(pattern) > _MAX_PATTERN:
        raise InvalidInput(
            f"the pattern {shown(pattern)} is empty or has more than {_MAX_PATTERN} characters",
            code="bad-glob",
            hint="give a pattern such as '**/*.csv'",
        )
    text = pattern.removeprefix("/")
    text = text + "**" if text.endswith("/") else text
    if "*" not in text and "?" not in text:
        return text.__eq__
    return _by_expression(text) if len(re.findall(r"\*+", text)) <= 2 else _by_states(text)


def _by_expression(text: str) -> Callable[[str], bool]:
    """With at most two stars a backtracking matcher takes at most quadratic time."""
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    out: list[str] = []
    for piece in _pieces(text):
        out.append(wild.get(piece) or re.escape(piece))
    match = re.compile("".join(out), re.DOTALL).fullmatch
    return lambda path: match(path) is not None


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for piece in _PIECE.findall(text):
        piece = "**" if piece.startswith("**") else piece
        if (
            piece == "/"
            and pieces
            and pieces[-1] == "**"
            and (len(pieces) == 1 or pieces[-2] in ("/", "**/"))
        ):
            pieces[-1] = "**/"
        else:
            pieces.append(piece)
    return pieces


def _by_states(text: str) -> Callable[[str], bool]:
    """Run all ways to match at once: bit i is set when the first i pieces match what was read."""
    pieces = _pieces(text)
    accept = 1 << len(pieces)
    star = deep = folders = any_one = 0
    letters: dict[str, int] = {}
    for position, piece in enumerate(pieces):
        bit = 1 << position
        if piece == "*":
            star |= bit
        elif piece == "**":
            deep |= bit
        elif piece == "**/":
            folders |= bit
        elif piece == "?":
            any_one |= bit
        else:
            letters[piece] = letters.get(piece, 0) | bit
    optional = star | deep | folders

    def close(states: int) -> int:
        """Step over pieces that may match nothing."""
        while True:
            more = states | ((states & optional) << 1)
            if more == states:
                return states
            states = more

    def matches(path: str) -> bool:
        # `within`: a `**/` was begun, and ends at any later slash.
        states, within = close(1), 0
        for char in path:
            within |= states & folders
            here = states & letters.get(char, 0)
            kept = states & deep
            if char != "/":
                here |= states & any_one
                kept |= states & star
            states = (here << 1) | kept
            if char == "/":
                states |= within << 1
            states = close(states)
        return bool(states & accept)

    return matches
