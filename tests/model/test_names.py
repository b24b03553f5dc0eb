"""Names, versions and their order."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput, UsageError
from gitml.model.names import (
    ASSET_TYPES,
    AssetId,
    Version,
    VersionId,
    bump,
    check_name,
    check_type_name,
    check_word,
    highest,
    next_integer,
    parse_type,
)


def versions(*texts: str) -> list[Version]:
    return [Version.parse(text) for text in texts]


DEVICES = ["con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))]
TRAVERSALS = [
    "", ".", "..", "../x", "..\\x", "/etc/passwd", "/", "\\", "a/b", "a\\b", "a/../b", "%2e%2e", "%252e%252e", "a%2fb",
    "a#b", "a?b", "a;b", "a:b", "a b", " a", "a ", "a\n", "\na", "a\r", "a\t", "a\0", "a\x1b[31m", "-a", "--help", "_a",
    ".git", ".a", "~", "~root", "a~1", "$HOME", "${X}", "{{x}}", "%PATH%", "a*", "a|b", "a<b", 'a"b', "a'b", "`id`", "a@b",
    "a!b", "a&b", "a=b", "a,b", "a+b",
]  # fmt: skip
UNICODE = [
    "mоdels", "ａ", "é", "e\u0301", "ß", "ı", "İ", "\u212a", "ﬁ", "a\u200bb", "a\u200db", "\ufeffa", "a\u202eb", "a\u2066b",
    "a\u00adb", "٣", "a\u0000", "a\ud800", "日本", "😀", "a\u2028b", "a\u0085b", "a\x7f",
]  # fmt: skip


@pytest.mark.parametrize("name", [*TRAVERSALS, *UNICODE, "A", "Digits", "a" * 129, "a.", "a...", "0."])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_name(name)
    assert caught.value.code == "bad-asset-name"
    assert caught.value.message.isascii() and caught.value.message.isprintable(), (
        "the message must show what is hidden"
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("form", ["{}", "{}.txt", "{}.tar.gz", "{}.a-b"])
def test_windows_devices_are_refused_everywhere(device: str, form: str) -> None:
    text = form.format(device)
    for check in (
        check_name,
        lambda t: check_word(t, "stage"),
        Version.parse,
        lambda t: Version.parse(t.upper()),
    ):
        with pytest.raises(InvalidInput):
            check(text)


@pytest.mark.parametrize(
    "name", ["a", "0", "a" * 128, "digits", "a.b", "a-b_c.d", "con-1", "console", "com", "com10", "nul-l"]
)
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "text",
    [t for t in [*TRAVERSALS, *UNICODE] if t != "a+b"]
    + ["a" * 65, "1.", "v1.yaml", "1.YAML", "x.Yaml", "1.0.", "+1"],
)
def test_bad_versions_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Version.parse(text)
    assert caught.value.code == "bad-version"


@pytest.mark.parametrize(
    "text",
    ["1", "0", "007", "1.0.0-rc.1+build.5", "v2", "2026-11-21", "A" * 64, "a_b", "yaml", "1.yml", "x+y"],
)
def test_good_versions(text: str) -> None:
    assert str(Version.parse(text)) == text


@pytest.mark.parametrize("not_text", [None, 3, 3.0, True, ["a"], {"a": 1}])
def test_values_that_are_no_text_are_refused(not_text: object) -> None:
    for check in (check_name, Version.parse, lambda t: check_word(t, "alias")):
        with pytest.raises(InvalidInput):
            check(not_text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "word",
    ["latest", "about", "asset", "1st", "Prod", "a..b", "a.lock", "x.", "a/b", "a" * 65, "", "-a", "a b"],
)
def test_bad_words_are_refused(word: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_word(word, "stage")
    assert caught.value.code == "bad-stage"


@pytest.mark.parametrize("word", ["staging", "production", "champion", "a", "a" * 64, "eu-west.1_x"])
def test_good_words(word: str) -> None:
    assert check_word(word, "alias") == word


@pytest.mark.parametrize("name", ["Reports", "1a", "a.b", "a/b", "con", "", ".."])
def test_bad_type_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_type_name(name)


def test_types_in_singular_and_plural() -> None:
    for plural in ASSET_TYPES:
        assert parse_type(plural) == parse_type(plural[:-1]) == plural
    assert parse_type("report", [*ASSET_TYPES, "reports"]) == "reports"


@pytest.mark.parametrize("text", ["modles", "Models", "", "..", "modelss", "reports", "model/"])
def test_unknown_types_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_type(text)
    assert caught.value.code == "unknown-type"


def test_a_near_type_is_suggested() -> None:
    with pytest.raises(UsageError) as caught:
        parse_type("modle")
    assert caught.value.hint == "write models"


ASCENDING = [
    "0", "1", "2", "3", "03", "9", "10", "100",
    "0.0.1", "0.1.0", "1.0.0-0", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
    "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "v1.0.0-rc.2", "1.0.0", "v1.0.1", "1.2.0", "1.10.0", "2.0.0",
    "1.2", "1.10", "2026-01-02", "2026-01-10", "a", "a1", "a2", "a10", "b", "v1", "v2", "v10",
]  # fmt: skip


def test_the_order() -> None:
    for lower, higher in itertools.pairwise(versions(*ASCENDING)):
        if {lower.text, higher.text} == {"3", "03"}:
            continue
        assert lower < higher, (lower, higher)
        assert not higher < lower
    shuffled = versions(*(text for text in ASCENDING if text != "03"))
    random.Random(3).shuffle(shuffled)
    assert [v.text for v in sorted(shuffled)] == [text for text in ASCENDING if text != "03"]


VERSION_TEXT = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,11}", fullmatch=True) | st.from_regex(
    r"v?[0-9]{1,2}(\.[0-9]{1,2}){0,3}(-[a-z0-9]{1,3}(\.[a-z0-9]{1,3})?)?(\+[a-z0-9]{1,3})?", fullmatch=True
)


def _valid(text: str) -> bool:
    try:
        Version.parse(text)
    except InvalidInput:
        return False
    return True


VERSIONS = VERSION_TEXT.filter(_valid).map(Version.parse)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_the_order_is_total_and_agrees_with_equality(a: Version, b: Version, c: Version) -> None:
    assert (a < b) + (b < a) + (a == b) == 1
    assert (a == b) == (a.text == b.text)
    assert hash(a) == hash(Version.parse(a.text))
    if a < b and b < c:
        assert a < c
    assert (a <= b) == (not b < a)


@given(st.lists(VERSIONS, max_size=8))
def test_highest_is_the_last_in_order(found: list[Version]) -> None:
    assert highest(found) == (sorted(found)[-1] if found else None)


def test_highest_leaves_out_what_is_deprecated() -> None:
    assert highest(versions("1", "2", "3"), {"3": "why", "2": "why"}) == Version.parse("1")
    assert highest(versions("1"), ["1"]) is None


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("3", "03", True), ("3", "3", True), ("0", "000", True), ("3", "30", False), ("RC1", "rc1", True), ("1.0", "1.00", False),
        ("1.1", "1.10", False), ("1.0.0-A", "1.0.0-a", True), ("a01", "a1", False), ("1.0.0+a", "1.0.0+b", False),
        ("v3", "3", False),
    ],
)  # fmt: skip
def test_versions_that_would_be_confused(a: str, b: str, same: bool) -> None:
    assert Version.parse(a).same_as(Version.parse(b)) is same
    assert Version.parse(b).same_as(Version.parse(a)) is same


@pytest.mark.parametrize(
    ("existing", "expected"),
    [([], "1"), (["1"], "2"), (["9", "10"], "11"), (["007"], "8"), (["0"], "1"), (["3", "1"], "4")],
)
def test_the_next_integer(existing: list[str], expected: str) -> None:
    assert next_integer(versions(*existing)).text == expected


@pytest.mark.parametrize("newest", ["1.0.0", "v1", "final"])
def test_no_next_integer_after_another_kind(newest: str) -> None:
    with pytest.raises(UsageError) as caught:
        next_integer(versions("1", newest))
    assert caught.value.code == "no-next-version"


@pytest.mark.parametrize(
    ("newest", "part", "expected"),
    [
        ("1.2.3", "patch", "1.2.4"), ("1.2.3", "minor", "1.3.0"), ("1.2.3", "major", "2.0.0"), ("v1.2.3", "minor", "v1.3.0"),
        ("1.2.0-rc.1", "patch", "1.2.0"), ("1.2.0-rc.1", "minor", "1.2.0"), ("1.2.0-rc.1", "major", "2.0.0"),
        ("2.0.0-rc.1", "major", "2.0.0"), ("1.2.3-rc.1", "minor", "1.3.0"), ("1.2.3+b5", "patch", "1.2.4"),
        ("0.0.9", "patch", "0.0.10"),
    ],
)  # fmt: skip
def test_bump(newest: str, part: str, expected: str) -> None:
    before = Version.parse(newest)
    after = bump(before, part)  # type: ignore[arg-type]
    assert after.text == expected
    assert before < after


@pytest.mark.parametrize("newest", ["3", "1.0", "x", "01.0.0", "1.0.0.0"])
def test_only_semver_can_be_bumped(newest: str) -> None:
    with pytest.raises(UsageError):
        bump(Version.parse(newest), "minor")


def test_ids_are_written_as_people_write_them() -> None:
    asset = AssetId.parse("model/digits")
    version = VersionId(asset=asset, version=Version.parse("3"))
    assert (str(asset), asset.folder) == ("models/digits", "models/digits")
    assert (str(version), version.folder) == ("models/digits@3", "models/digits/3")
    assert (version.type, version.name) == ("models", "digits")
    assert AssetId.parse(str(asset)) == asset


@pytest.mark.parametrize(
    "text", ["digits", "models/", "/digits", "models/a/b", "models/../x", "models//a", "x/digits"]
)
def test_bad_asset_ids(text: str) -> None:
    with pytest.raises((UsageError, InvalidInput)):
        AssetId.parse(text)
