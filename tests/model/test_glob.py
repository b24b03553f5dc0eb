"""Globs against a plain, slow definition, and against patterns that would stall a backtracking matcher."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput
from gitml.model.glob import compile_glob
from gitml.model.paths import glob_matcher


def plain(pattern: str, path: str) -> bool:
    """What a pattern means, by trying everything."""

    def fits(p: int, s: int) -> bool:
        if p == len(pattern):
            return s == len(path)
        if pattern.startswith("**", p):
            end = p
            while end < len(pattern) and pattern[end] == "*":
                end += 1
            folders = end < len(pattern) and pattern[end] == "/" and (p == 0 or pattern[p - 1] == "/")
            if folders:
                return fits(end + 1, s) or any(
                    path[i] == "/" and fits(end + 1, i + 1) for i in range(s, len(path))
                )
            return any(fits(end, i) for i in range(s, len(path) + 1))
        if pattern[p] == "*":
            return any(fits(p + 1, i) for i in range(s, len(path) + 1) if "/" not in path[s:i])
        if s == len(path):
            return False
        if pattern[p] == "?":
            return path[s] != "/" and fits(p + 1, s + 1)
        return pattern[p] == path[s] and fits(p + 1, s + 1)

    return fits(0, 0)


@given(
    st.lists(
        st.sampled_from(["a", "b", "/", "*", "**", "?", "**/", "/**", "/**/", "."]), min_size=1, max_size=7
    ).map("".join),
    st.lists(st.sampled_from(["a", "b", "/", ".", "ab"]), max_size=8).map("".join),
)
def test_matching_is_the_plain_definition(pattern: str, path: str) -> None:
    text = pattern.removeprefix("/")
    text = text + "**" if text.endswith("/") else text
    assert compile_glob(pattern)(path) == plain(text, path)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.csv", "a.csv", True), ("*.csv", "d/a.csv", False), ("**/*.csv", "d/e/a.csv", True), ("**/*.csv", "a.csv", True),
        ("**.csv", "d/a.csv", True), ("train/", "train/a/b", True), ("train/", "train", False), ("train", "train/a", False),
        ("/train/*", "train/a", True), ("a?c", "abc", True), ("a?c", "a/c", False), ("a[bc]", "ab", False),
        ("a[bc]", "a[bc]", True),
        ("**", "a/b", True), ("*", "a", True), ("*", "a/b", False), ("a/**/b", "a/b", True), ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "axb", False), ("x+y(z)", "x+y(z)", True), ("A.csv", "a.csv", False), ("a**b", "a/x/b", True),
        ("***", "a/b", True),
        ("*a*b*c*", "xaxbxcx", True), ("**/a*b*c/**", "q/axbxc/d/e", True), ("a\n*", "a\nb", True),
    ],
)  # fmt: skip
def test_examples(pattern: str, path: str, expected: bool) -> None:
    assert compile_glob(pattern)(path) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "*a" * 200 + "b",
        "**a" * 200 + "b",
        "**/" * 200 + "b",
        "?*" * 300,
        "*" * 1000,
        "**/*" * 200 + "x",
        "*a**a" * 100,
    ],
)
def test_hostile_patterns_end(pattern: str) -> None:
    match = compile_glob(pattern)
    for path in ("a" * 1024, "a/" * 511 + "a", "/" * 1024):
        assert match(path) in (True, False)


@pytest.mark.parametrize("pattern", ["", "a" * 1025])
def test_patterns_of_no_use_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput):
        glob_matcher([pattern], [])


def test_include_and_exclude() -> None:
    match = glob_matcher(["**/*.csv", "README*"], ["test/**"])
    assert [path for path in ("a.csv", "test/a.csv", "README.md", "x/README.md", "b.txt") if match(path)] == [
        "a.csv",
        "README.md",
    ]
    assert glob_matcher([], [])("anything")
    assert not glob_matcher([], ["**"])("anything")
