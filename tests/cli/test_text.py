from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.cli.terminal import text


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (1024**2, "1.0 MiB"),
        (4_831_838, "4.6 MiB"),
        (1024**3 - 1, "1.0 GiB"),
        (5 * 1024**4, "5.0 TiB"),
        (3 * 1024**6, "3.0 EiB"),
    ],
)
def test_sizes_have_binary_units_and_one_decimal(size_bytes: int, shown: str) -> None:
    assert text.size(size_bytes) == shown


@given(st.integers(min_value=0, max_value=2**62))
def test_no_size_shows_four_digits_before_the_point(size_bytes: int) -> None:
    value, unit = text.size(size_bytes).split()
    assert float(value) < 1024 or unit == "EiB"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (130, "2 min 10 s"), (3900, "1 h 05 min")],
)
def test_time_spans(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_times_are_utc() -> None:
    there = datetime(2026, 11, 21, 6, 30, 0, 999, tzinfo=timezone(timedelta(hours=2)))
    assert text.moment(there) == "2026-11-21T04:30:00Z"
    assert text.moment(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00Z"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain ü 漢", "plain ü 漢"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\rb\nc\td", "a\\rb\\nc\\td"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("csi \x9b31m", "csi \\x9b31m"),
        ("lone \ud83d", "lone \\ud83d"),
        ("tag \U000e0041", "tag \\U000e0041"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_as_an_escape(raw: str, shown: str) -> None:
    assert text.visible(raw) == shown


@given(st.text(alphabet=st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Cs", "Ll"])))
def test_visible_text_holds_no_control_character(raw: str) -> None:
    shown = text.visible(raw)
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in shown)
    shown.encode("utf-8")


def test_counts() -> None:
    assert text.count(1, "file") == "1 file"
    assert text.count(20000, "file") == "20,000 files"
    assert text.count(0, "branch", "branches") == "0 branches"


def test_values_look_like_json_but_for_quotes() -> None:
    assert (
        text.pairs({"a": 0.5, "b": True, "c": None, "d": "x", "e": [1, "y"]})
        == "a=0.5 b=true c=null d=x e=[1, y]"
    )
