from __future__ import annotations

from pathlib import Path

import pytest

from gitml.errors import UsageError
from gitml.model.typed import MAX_TEXT_BYTES, check_text, typed_path


@pytest.mark.parametrize("texts", [("",), (None,), ("a\nb", None), ("é" * (MAX_TEXT_BYTES // 2),), ("🎉",)])
def test_texts_that_a_request_can_hold(texts: tuple[str | None, ...]) -> None:
    check_text(*texts)


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (("a\0b",), "NUL"),
        (("fine", "a\0b"), "NUL"),
        (("\udcff",), "Unicode"),
        (("x", "é" * (MAX_TEXT_BYTES // 2)), "longer than 65536 bytes"),
    ],
)
def test_texts_that_no_request_can_hold(texts: tuple[str | None, ...], why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        check_text(*texts)
    assert (caught.value.code, bool(caught.value.hint)) == ("bad-text", True)


def test_a_forge_may_allow_less() -> None:
    check_text("abc", most_bytes=3)
    with pytest.raises(UsageError, match="longer than 2 bytes"):
        check_text("abc", most_bytes=2)


def test_paths() -> None:
    assert typed_path("a/b") == typed_path(Path("a/b")) == Path("a/b")
    assert typed_path("\udcff") == Path("\udcff")  # the byte FF, as the system gives it
    for text in ("a\0b", "\ud800", "\udc7f", "\udd00", "\udfff"):
        with pytest.raises(UsageError, match="no path"):
            typed_path(text)
