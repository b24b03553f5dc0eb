from __future__ import annotations

from pathlib import Path

import pytest

from gitml.cli.terminal import fields
from gitml.errors import InvalidInput, NotFound, UsageError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.98", 0.98),
        ("5", 5),
        ("-1e-3", -0.001),
        ("true", True),
        ("null", None),
        ("no", "no"),
        ("017", "017"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("NaN", "NaN"),
        ("a=b", "a=b"),
        ("", ""),
        ("[1]", "[1]"),
    ],
)
def test_values_are_json_scalars_or_text(text: str, value: object) -> None:
    assert fields.values("--param", [f"k={text}"]) == {"k": value}


@pytest.mark.parametrize("text", ["1e999", "9" * 5000])
def test_numbers_that_json_cannot_carry_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        fields.values("--metric", [f"k={text}"])
    assert "--metric k" in caught.value.message


@pytest.mark.parametrize("item", ["accuracy", "=1", ""])
def test_a_flag_needs_key_and_value(item: str) -> None:
    with pytest.raises(UsageError):
        fields.texts("--label", [item])


def test_a_key_given_twice_is_refused_unless_it_says_the_same() -> None:
    assert fields.texts("--label", ["a=1", "a=1"]) == {"a": "1"}
    with pytest.raises(UsageError, match="'1' and '2'"):
        fields.texts("--label", ["a=1", "a=2"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.json", '{"eval": {"f1": 0.9, "by": {"a": 1}}, "loss": 0.5, "empty": {}, "list": [1, 2]}'),
        ("m.yaml", "eval:\n  f1: 0.9\n  by:\n    a: 1\nloss: 0.5\nempty: {}\nlist: [1, 2]\n"),
    ],
)
def test_nested_keys_of_a_file_are_dotted_and_flags_win(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert fields.values("--metric", ["loss=0.1", "new=1"], file) == {
        "eval.f1": 0.9,
        "eval.by.a": 1,
        "loss": 0.1,
        "empty": {},
        "list": [1, 2],
        "new": 1,
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.json", "[1]"),
        ("m.json", '{"a": NaN}'),
        ("m.json", '{"a": 1, "a": 2}'),
        ("m.json", "[" * 5000),
        ("m.yaml", "a: !!python/object/apply:os.system [x]"),
        ("m.yaml", "a: &x 1\nb: *x\n"),
        ("m.yaml", "text"),
    ],
)
def test_files_that_break_a_rule_are_named(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        fields.mapping(file)
    assert name in caught.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        fields.mapping(tmp_path / "none.json")
