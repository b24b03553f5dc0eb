"""Paths inside contents: hostile ones are refused, on every platform, by name."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput
from gitml.model.names import is_windows_device
from gitml.model.paths import (
    are_plain,
    check_path,
    check_portable,
    check_siblings,
    check_top_level,
    path_problem,
    windows_problem,
)

HOSTILE = [
    "", "/", "//", ".", "..", "./a", "a/.", "a/./b", "../a", "a/..", "a/../b", "a/../../b", "/a", "//a", "a//b", "a/",
    "a//", "\\", "a\\b", "..\\a", "C:\\x", "\\\\server\\share", "a\\..\\b", "\0", "a\0", "a/\0/b", "a\n", "\na", "a\r\nb",
    "a\tb", "a\x1b[31m", "a\x1b]0;x\x07", "a\x7f", "a\x80", "a\x85b", "a\x9f", "\ud800", "a/\udfff", "a\udc80",
    "a/../../../../etc/passwd", "..;/a/..", "./.git/config", ".git/../.git", "a/b/../../..", "/proc/self/mem", "a" * 1025,
    "é" * 513, "a/" * 512 + "a",
]  # fmt: skip
HARMLESS = [
    "a", "a/b", "...", "....", ".a", "a.", "a..b", "..a", "a/..b", "a/...", " ", "a b", "%2e%2e/x", "%252e%252e", "a#b", "a?b",
    "a;b", "~", "~root/x", "-rf", "--", "a:b", "C:", "*", "$HOME", "`id`", "'", '"', "é", "日本/語", "😀", "a\u200bb",
    "a\u202eb", "a" * 1024, "é" * 512, "con", "aux.txt", ".gitx/y", "a\u2028b", "a|b",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE, ids=ascii)
def test_hostile_paths_are_refused(path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_path(path)
    assert caught.value.code == "bad-path"
    assert caught.value.message.isprintable(), "nothing of the path may reach a terminal raw"


@pytest.mark.parametrize("path", HARMLESS, ids=ascii)
def test_strange_but_harmless_paths_are_read(path: str) -> None:
    check_path(path)


def slow_verdict(path: str) -> bool:
    """The rule of the format, word by word."""
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return (
        len(encoded) <= 1024
        and not any(part in ("", ".", "..") for part in path.split("/"))
        and "\\" not in path
        and not any(unicodedata.category(char) == "Cc" for char in path)
    )


@given(st.text(st.sampled_from("./\\a\0\n\x85é\ud800") | st.characters(), max_size=12))
def test_the_fast_verdict_is_the_rule(path: str) -> None:
    assert (path_problem(path) is None) == slow_verdict(path)


@given(st.text(max_size=30))
def test_an_accepted_path_stays_below_its_root(path: str) -> None:
    if path_problem(path) is None:
        depth = 0
        for part in path.split("/"):
            depth += -1 if part == ".." else 0 if part in ("", ".") else 1
            assert depth > 0


@pytest.mark.parametrize(("size", "accepted"), [(1023, True), (1024, True), (1025, False)])
def test_the_length_of_a_path(size: int, accepted: bool) -> None:
    assert (path_problem("a/" * ((size - 1) // 2) + "b" * (size - (size - 1) // 2 * 2)) is None) is accepted


@pytest.mark.parametrize(
    ("part", "accepted"),
    [("a" * 254, True), ("a" * 255, True), ("a" * 256, False), ("é" * 127, True), ("é" * 128, False)],
)
def test_the_length_of_a_part(part: str, accepted: bool) -> None:
    path = f"d/{part}/f"
    check_path(path)
    if accepted:
        check_portable(path)
    else:
        with pytest.raises(InvalidInput) as caught:
            check_portable(path)
        assert "255" in caught.value.message


@pytest.mark.parametrize("path", ["e\u0301", "a/o\u0308.txt", "\u212a", "\u212b", "\u1100\u1161"])
def test_what_is_not_nfc_is_read_but_not_registered(path: str) -> None:
    check_path(path)
    with pytest.raises(InvalidInput) as caught:
        check_portable(path)
    assert caught.value.code == "path-not-nfc"
    assert caught.value.hint is not None and caught.value.hint.startswith("mv $'")


def test_the_hint_renames_byte_for_byte() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_portable("it's e\u0301")
    assert caught.value.hint == r"mv $'it\x27s e\xcc\x81' $'it\x27s \xc3\xa9'"


COLLISIONS = [
    ("A", "a"), ("README", "readme"), ("ß", "ss"), ("ẞ", "ß"), ("é", "e\u0301"), ("É", "e\u0301"), ("\u212a", "k"),
    ("\u212b", "å"),
    ("ﬁ", "fi"), ("ſ", "s"), ("Σ", "ς"), ("İ", "i̇"), ("ǅ", "ǆ"), ("A.csv", "a.CSV"), ("\u0390", "\u1fd3"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), COLLISIONS)
def test_names_that_collide_somewhere_are_refused(a: str, b: str) -> None:
    for pair in ((a, "other", b), (b, a)):
        with pytest.raises(InvalidInput) as caught:
            check_siblings(pair)
        assert caught.value.code == "path-collision"


@pytest.mark.parametrize(
    ("a", "b"), [("a", "b"), ("i", "ı"), ("a", "ä"), ("1", "¹"), ("ff", "f"), ("o", "о")]
)
def test_names_that_do_not_collide(a: str, b: str) -> None:
    check_siblings([a, b, a])


@given(st.lists(st.text(min_size=1, max_size=4), max_size=6))
def test_siblings_are_refused_exactly_when_two_fold_alike(names: list[str]) -> None:
    distinct = set(names)
    clash = len({unicodedata.normalize("NFC", name).casefold() for name in distinct}) < len(distinct)
    if clash:
        with pytest.raises(InvalidInput):
            check_siblings(names)
    else:
        check_siblings(names)


_NAMES = st.lists(
    st.one_of(
        st.sampled_from(
            ["a.bin", "b", "Ab", "aB", "con", "COM1.x", "x.", "é", "e\u0301", "ß", "SS", "a" * 255]
        ),
        st.text(st.sampled_from("aB.-_ 1é中"), min_size=1, max_size=4),
        st.text(min_size=1, max_size=4).filter(lambda name: "/" not in name and "\0" not in name),
    ),
    min_size=1,
    max_size=5,
    unique=True,
)


def _objections(folder: str, names: list[str]) -> bool:
    """Whether any rule objects to files of these names, asked one by one."""
    try:
        check_siblings(names)
        for name in names:
            check_portable(folder + name)
    except InvalidInput:
        return True
    return any(windows_problem(folder + name) for name in names)


@given(
    st.sampled_from(
        ["", "d/", "Data/2024/", "aux/", "d\u00e9/", "de\u0301/", "d./", "a\nb/", "d" * 250 + "/"]
    ),
    _NAMES,
)
def test_plain_names_are_those_that_no_rule_objects_to(folder: str, names: list[str]) -> None:
    if are_plain(folder, names):
        assert not _objections(folder, names)


@pytest.mark.parametrize("folder", ["", "d/", "data/été/"])
@pytest.mark.parametrize(
    "names", [["a"], ["f000.bin", "f001.bin", "README"], ["é", "中.txt"], ["database", "a.b.c", "a b"]]
)
def test_common_names_are_plain(folder: str, names: list[str]) -> None:
    assert are_plain(folder, names)


@pytest.mark.parametrize(
    "name",
    [
        "asset.yaml",
        "about.yaml",
        "Asset.YAML",
        "ABOUT.yaml",
        ".git",
        ".GIT",
        ".gitignore",
        ".gitattributes",
        ".Gitmodules",
        ".giT~1",
    ],
)
def test_reserved_names_at_the_top(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_top_level(name)
    assert caught.value.code == "reserved-path"


@pytest.mark.parametrize(
    "name", ["asset.yml", "asset", "git", "x.git", "production.yaml", ".dvc", "asset.yaml.txt"]
)
def test_other_names_at_the_top(name: str) -> None:
    check_top_level(name)


@pytest.mark.parametrize(
    "path",
    [
        "con", "CON", "a/PRN", "aux.txt", "nul.tar.gz", "com1", "COM¹.log", "lpt9", "conin$", "a.", "a/b ", "a:b",
        "a<b", "a>b", 'a"b', "a|b", "a?b", "a*b", "x./y", "con .txt",
    ],
)  # fmt: skip
def test_what_windows_cannot_hold(path: str) -> None:
    check_path(path)
    assert windows_problem(path) is not None


@pytest.mark.parametrize("path", ["a", "con1", "acon", "com", "com10", ".a", "a b", "é", "a/b.c", "lptx"])
def test_what_windows_can_hold(path: str) -> None:
    assert windows_problem(path) is None


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["con", "PRN", "com1", "lpt¹", "conin$", "aux ", "nul.txt", "a.", "b ", "x", "conf"]
            ),
            st.text(alphabet="conCON1$ .:x", max_size=6),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_windows_problems_are_those_of_the_parts(parts: list[str]) -> None:
    def bad(part: str) -> bool:
        return is_windows_device(part) or part.endswith((".", " ")) or ":" in part

    assert (windows_problem("/".join(parts)) is not None) == any(bad(part) for part in parts)
