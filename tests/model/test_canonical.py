"""The canonical form: frozen by a golden file, read back exactly, and safe in other readers."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput
from gitml.model.canonical import KeyOrder, dump, scalar, string
from gitml.model.strict_yaml import load

GOLDEN = Path(__file__).parent / "golden"

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", " ", "a ", " a", "no", "Yes", "NULL", "null", "true", "1", "1.0", "1e5", "-", "- a", "a: b", "a #b", "~",
     "=", "<<", "&a", "*a", "!a",
     "%a", "@a", "`a", "|", ">", "'", '"', "\\", "\n", "\t", "\r\n", "\0", "\x7f", "\x85", "\u2028", "\ufeff", "😀",
     "é", "[a]", "{a}", "---", "...",
     "2026-01-01", "12:30", "0x10", "017", "1_000", ".inf", "a" * 3000, "y", "n", "on", "OFF", "a\u202eb",
     "\U000e0041", "\uffff", "\ue000"]
)  # fmt: skip
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["no", "1", "true", "<<", "a b", "", "k" * 160]
)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)


def same(a: Any, b: Any) -> bool:
    """Equal, types and signs of zeros included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    return bool(a == b)


@given(VALUES)
def test_what_is_written_is_read_back_exactly(value: Any) -> None:
    text = dump(value)
    assert same(load(text, file="f", max_bytes=1 << 20).value, value)
    assert dump(load(text, file="f", max_bytes=1 << 20).value) == text


@given(VALUES)
def test_the_text_is_plain(value: Any) -> None:
    text = dump(value).decode()
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\xa0\xad\u200b-\u200f\u2028-\u202e\ufeff]", text)
    for line in text.splitlines():
        assert line == line.rstrip(" ") and line.strip()
        assert (len(line) - len(line.lstrip(" "))) % 2 == 0


@given(TEXTS)
def test_a_string_means_the_same_in_json_or_yaml_1_1(text: str) -> None:
    written = string(text)
    if written.startswith('"'):
        assert json.loads(written) == text
    else:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9 ._/@+-]*", written) and not written.endswith(" ")
    assert yaml.safe_load(f"a: {written}\n") == {"a": text}
    assert yaml.safe_load(f"- {written}\n") == [text]


@pytest.mark.parametrize(
    "word",
    ["y", "Y", "n", "N", "yes", "Yes", "YES", "no", "No", "NO", "true", "True", "TRUE", "false", "False", "FALSE",
     "on", "On", "ON", "off", "Off",
     "OFF", "null", "Null", "NULL", "", "3", "1.0", "a ", " a", "a:b", "sha256:ab", "é", "-a", "_a", "a,b", "a#b",
     "(a)", "2026-11-21T04:30:00Z", "a\tb"],
)  # fmt: skip
def test_strings_in_quotes(word: str) -> None:
    assert string(word) == json.dumps(word, ensure_ascii=False)


@pytest.mark.parametrize(
    "word",
    [
        "a",
        "MIT",
        "train.py",
        "models/digits@3",
        "CNN on 8x8 digits",
        "a-b_c+d",
        "nope",
        "nO",
        "tRUE",
        "e1",
        "inf",
        "nan",
        "x  y",
        "yess",
    ],
)
def test_bare_strings(word: str) -> None:
    assert string(word) == word


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (-5, "-5"), (0.1, "0.1"), (1e16, "1e+16"), (1e-7, "1e-07"), (1.0, "1.0"), (-0.0, "-0.0"), (2**53,
     "9007199254740992"),
     (True, "true"), (False, "false"), (None, "null"), ({}, "{}"), ([], "[]"), ((), "[]")],
)  # fmt: skip
def test_scalars_are_written_as_json(value: Any, text: str) -> None:
    assert scalar(value) == text


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 2**53 + 1, -(2**53) - 1, 10**400, "\ud800", {"a": "x\udfff"}, {"\ud800": 1},
     {1: "a"}, {None: 1}, {"k" * 161: 1}, b"x",
     {1, 2}, {"a": {3}}, 1j],
    ids=ascii,
)  # fmt: skip
def test_what_no_reader_would_accept_is_not_written(value: Any) -> None:
    with pytest.raises(InvalidInput):
        dump(value)


def test_values_that_nest_too_deep_are_not_written() -> None:
    value: Any = {}
    for _ in range(40):
        value = {"a": [value]}
    with pytest.raises(InvalidInput):
        dump(value)
    value.clear()
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidInput):
        dump(endless)


def test_known_keys_come_first_and_the_others_sorted() -> None:
    order = KeyOrder(keys=("z", "a"), below={"z": KeyOrder(keys=("w", "x")), "*": KeyOrder(keys=("q", "p"))})
    value = {"m": {"p": 1, "q": 2}, "a": 1, "b": 2, "z": [{"x": 1, "w": 2, "t": 3}]}
    assert dump(value, order=order) == b"z:\n  - w: 2\n    x: 1\n    t: 3\na: 1\nb: 2\nm:\n  q: 2\n  p: 1\n"


LAYOUT: dict[str, Any] = {
    "bare": "CNN on 8x8 digits", "quoted": "12:30:45", "empty text": "", "no": "no", "1": "one", "unicode": "Größe 日本 😀",
    "invisible": "a\u200bb\u202ec\u00a0d\ufeff", "lines": "first\nsecond\ttab\\ \"quoted\" 'single' /",
    "controls": "\x00\x1b\x7f\x85\u2028",
    "numbers": [0, -1, 2**53, 0.1, 1e16, 1e-7, -0.0, 1.0], "words": [True, False, None], "empty": {"list": [], "mapping": {}},
    "list": ["a", ["b", ["c"], []], {"k": "v", "l": [1, {"m": {}}]}, {}, []], "mapping": {"b": {"c": {"d": 1}}, "a b": 2, "é": 3},
    "long": "word " * 60 + "end",
}  # fmt: skip


def test_the_layout_never_changes() -> None:
    """Version 1 is read and written for ever: a difference here is a mistake in the code."""
    golden = (GOLDEN / "layout.yaml").read_bytes()
    assert dump(LAYOUT) == golden
    assert load(golden, file="layout.yaml").value == LAYOUT
