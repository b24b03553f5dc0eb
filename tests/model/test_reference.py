"""The grammar of references."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput, UsageError
from gitml.model.names import ASSET_TYPES
from gitml.model.reference import AssetRef, is_digest_selector

DIGEST = "sha256:" + "9f86d081884c7d65" * 4


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("digits", (None, None, "digits", None, None)),
        ("models/digits", (None, "models", "digits", None, None)),
        ("model/digits", (None, "models", "digits", None, None)),
        ("models/digits@3", (None, "models", "digits", "3", None)),
        ("models/digits/3", (None, "models", "digits", "3", None)),
        ("models/digits/3/", (None, "models", "digits", "3", None)),
        ("models/digits/", (None, "models", "digits", None, None)),
        ("models/digits@production", (None, "models", "digits", "production", None)),
        ("digits@latest", (None, None, "digits", "latest", None)),
        ("datasets/digits@1:train.csv", (None, "datasets", "digits", "1", "train.csv")),
        ("datasets/digits:a/b:c@d", (None, "datasets", "digits", None, "a/b:c@d")),
        ("models/digits/3:w.npz", (None, "models", "digits", "3", "w.npz")),
        (f"digits@{DIGEST}", (None, None, "digits", DIGEST, None)),
        (f"digits@{DIGEST}:x y", (None, None, "digits", DIGEST, "x y")),
        ("digits@1.0.0-rc.1+b", (None, None, "digits", "1.0.0-rc.1+b", None)),
        ("shared//models/digits@3", ("shared", "models", "digits", "3", None)),
        (
            "git@host:team/repo.git//models/digits@3",
            ("git@host:team/repo.git", "models", "digits", "3", None),
        ),
        ("https://host/o/r//digits", ("https://host/o/r", None, "digits", None, None)),
        (
            "ssh://git@host:22/o/r.git//models/digits/3:p",
            ("ssh://git@host:22/o/r.git", "models", "digits", "3", "p"),
        ),
        ("file:///srv/r//models/digits", ("file:///srv/r", "models", "digits", None, None)),
        ("/srv/r//digits", ("/srv/r", None, "digits", None, None)),
    ],
)
def test_references(text: str, parts: tuple[str | None, ...]) -> None:
    ref = AssetRef.parse(text)
    assert (ref.repo, ref.type, ref.name, ref.selector, ref.path) == parts
    assert AssetRef.parse(str(ref)) == ref


def test_the_folder_form_is_the_same_reference() -> None:
    assert str(AssetRef.parse("model/digits/3")) == "models/digits@3"


@pytest.mark.parametrize(
    "text",
    [
        "", "@", ":", "@3", ":x", "/", "//", "a//", "models/", "models//digits@3@4", "models/digits/3@4", "models/digits/3/4",
        "a/b/c/d", "digits@", "digits@3:", "/digits", "models/digits@3@4", "https://host/o/r", "-x//models/digits", "x y//digits",
        "\n//digits", "nomodels/digits", "https://host//", "digits@" + "x" * 5000, "models/digits@:x",
    ],
)  # fmt: skip
def test_malformed_references(text: str) -> None:
    with pytest.raises((UsageError, InvalidInput)) as caught:
        AssetRef.parse(text)
    assert caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "models/Digits", "models/..", "../digits", "models/digits@../x", "models/digits/..", "digits@-x", "digits@sha256:abc",
        f"digits@{DIGEST.upper()}", f"digits@{DIGEST}0", "digits@md5:abc", "digits:../x", "digits:/etc/passwd",
        "digits:a//../b", "digits:a\\b",
        "digits:a\0b", "digits@x.yaml", "digits@con", "con@3", "digits%2f@3", "mоdels/digits", "digits@3\n", "digits\u200b",
        "models/digits@$HOME", "models/digits@{{x}}", "digits:.", "digits:a/./b", "digits:\x1b[31m",
    ],
)  # fmt: skip
def test_hostile_references(text: str) -> None:
    with pytest.raises((InvalidInput, UsageError)) as caught:
        AssetRef.parse(text)
    assert caught.value.message.isprintable()


def test_types_of_the_registry_are_known() -> None:
    assert AssetRef.parse("report/q3", [*ASSET_TYPES, "reports"]).type == "reports"
    with pytest.raises(UsageError):
        AssetRef.parse("report/q3")


def test_digest_selectors() -> None:
    assert is_digest_selector(DIGEST)
    assert not is_digest_selector("3")


NAME = st.from_regex(r"x[a-z0-9._-]{0,8}[a-z0-9]", fullmatch=True)


@given(
    st.none() | st.sampled_from(["shared", "git@h:o/r", "https://h/o/r.git"]),
    st.none() | st.sampled_from(ASSET_TYPES),
    NAME,
    st.none() | st.just(DIGEST) | NAME.filter(lambda text: not text.endswith(".yaml")),
    st.none() | st.text(st.sampled_from("ab.@: é"), min_size=1).filter(lambda p: set(p) != {"."}),
)
def test_parse_reads_what_str_writes(
    repo: str | None, kind: str | None, name: str, selector: str | None, path: str | None
) -> None:
    ref = AssetRef(repo=repo, type=kind, name=name, selector=selector, path=path)
    assert AssetRef.parse(str(ref)) == ref


@given(st.text(st.sampled_from("ab/@:.-3 sha256:\\\n") | st.characters(), max_size=25))
def test_any_text_is_read_or_refused_properly(text: str) -> None:
    try:
        ref = AssetRef.parse(text)
    except (UsageError, InvalidInput):
        return
    assert AssetRef.parse(str(ref)) == ref
