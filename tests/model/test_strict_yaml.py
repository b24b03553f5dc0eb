"""Strict YAML and JSON: what is accepted, what it means, and that nothing hostile gets through."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput
from gitml.model import strict_yaml
from gitml.model.strict_yaml import load, load_json


def value(text: str | bytes) -> Any:
    return load(text.encode() if isinstance(text, str) else text, file="asset.yaml").value


def refused(text: str | bytes, line: int | None = None, code: str = "bad-yaml") -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        value(text)
    error = caught.value
    assert error.code == code
    assert error.message.startswith("asset.yaml:")
    assert error.message.isprintable()
    assert error.hint
    if line is not None:
        assert error.context["line"] == line
    return error


@pytest.mark.parametrize(
    "text",
    [
        "no", "yes", "on", "off", "y", "N", "True", "TRUE", "False", "Null", "NULL", "~", "017", "0o17", "0x10", "0b1", "1_000",
        "12:30:45", "190:20:30", "2026-01-01", "2026-01-01T00:00:00Z", "1.", ".5", "+1", "1e", "--1", "01", "-01",
        "00", "1.5.0", ".inf",
        "-.inf", ".nan", "NaN", "nan", "Infinity", "inf", "1,000", "１", "٣", "1e5x", "=", "<", "a b", "http://x", "a:b", "C:/x",
        "-", "-a", "x#y",
    ],
)  # fmt: skip
def test_what_is_no_json_scalar_is_text(text: str) -> None:
    if text == "-":
        refused(f"a: {text}\n")
        return
    assert value(f"a: {text}\n") == {"a": text}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("null", None), ("true", True), ("false", False), ("0", 0), ("-0", 0), ("-1", -1), ("12", 12), ("1.0", 1.0),
        ("1.50", 1.5),
        ("1e5", 1e5), ("1E+2", 100.0), ("1e-05", 1e-5), ("-0.0", -0.0), ("1e-400", 0.0), ("9007199254740992", 2**53),
        ("-9007199254740992", -(2**53)), ("1e300", 1e300),
    ],
)  # fmt: skip
def test_json_scalars(text: str, expected: Any) -> None:
    found = value(f"a: {text}\n")["a"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "1e999",
        "-1e999",
        "9007199254740993",
        "-9007199254740993",
        "1" + "0" * 400,
        "1" * 5000,
        "1." + "0" * 500,
    ],
)
def test_numbers_that_lose_digits_are_refused(text: str) -> None:
    refused(f"x: y\na: {text}\n", 2)


QUOTED = ["'no'", '"no"', '"3"', "'3'", "|\n  3\n", ">\n  3\n", "|-\n  null", '"true"', "'~'"]


@pytest.mark.parametrize("text", QUOTED)
def test_quoted_scalars_are_always_text(text: str) -> None:
    assert isinstance(value(f"a: {text}\n")["a"], str)


TAGS = [
    "!!python/object/apply:os.system ['id']", "!!python/object/new:os.system [id]", "!!python/object:object {}",
    "!!python/name:os.system",
    "!!python/module:os", "!!python/tuple [1]", "!!python/none ''", "!!python/str x", "!!python/bytes x", "!!python/long 1",
    "!!python/complex 1", "!!python/dict {}", "!!python/object/apply:subprocess.Popen [[id]]", "!!python/object/apply:eval ['1']",
    "!!str 1", "!!int '1'", "!!float 1", "!!bool yes", "!!null ''", "!!binary aGk=", "!!timestamp 2026-01-01",
    "!!set {a}", "!!omap [a: 1]",
    "!!pairs [a: 1]", "!!map {}", "!!seq []", "!local x", "!<tag:yaml.org,2002:str> x", "! x", "!e!x y",
]  # fmt: skip


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("form", ["a: {}\n", "- {}\n", "{}\n"])
def test_tags_are_refused(tag: str, form: str) -> None:
    refused(form.replace("{}", tag, 1))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &x 1\n", 1), ("a: 1\nb: *a\n", 2), ("a: &x [1]\nb: *x\n", 1), ("&x a: 1\n", 1), ("a: &x\n", 1),
        ("- &a [lol]\n- &b [*a, *a]\n", 1),
        ("a: &a [x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]\n", 1), ("a: {b: &q {}}\n", 1), ("*a: 1\n", 1),
        ("<<: {a: 1}\n", 1), ("a: 1\n<<:\n  b: 2\n", 2), ("a: {<<: {b: 1}}\n", 1), ("<<: [{a: 1}]\n", 1),
    ],
)  # fmt: skip
def test_anchors_aliases_and_merge_keys_are_refused(text: str, line: int) -> None:
    refused(text, line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2\n", 2), ("a: 1\nb: 2\na: 1\n", 3), ('a: 1\n"a": 2\n', 2), ("a: 1\n'a': 2\n", 2), ("{a: 1, a: 2}\n", 1),
        ('a: 1\n"\\x61": 2\n', 2), ("x:\n  b: 1\n  b: 1\n", 3), ("- {k: 1, k: 1}\n", 1), ("? a\n: 1\n? a\n: 2\n", 3),
        ("é: 1\né: 1\n", 2),
    ],
)  # fmt: skip
def test_duplicate_keys_are_refused(text: str, line: int) -> None:
    assert "twice" in refused(text, line).message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1: a\n", 1), ("true: a\n", 1), ("null: a\n", 1), ("1.5: a\n", 1), ("a: 1\n: b\n", 2), ("[a]: b\n", 1),
        ("{a: 1}: b\n", 1),
        ("? [a, b]\n: c\n", 1), ("? {a: b}\n: c\n", 1), (f"{'k' * 161}: 1\n", 1),
    ],
)  # fmt: skip
def test_keys_must_be_texts(text: str, line: int) -> None:
    refused(text, line)


def test_a_quoted_number_is_a_key() -> None:
    assert value('"1": a\n2a: b\n') == {"1": "a", "2a": "b"}


@pytest.mark.parametrize(
    "text", ["a:\n", "a:\nb: 1\n", "- \n", "{a: }\n", "{a}\n", "a: # comment\n", "---\n"]
)
def test_missing_values_are_refused(text: str) -> None:
    refused(text)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\xef\xbb\xbfa: 1\n", "byte order mark"), ("a: 1\n".encode("utf-16"), "byte order mark"),
        ("a: 1\n".encode("utf-16-be"), "\\u0000"),
        ("a: 1\n".encode("utf-32-le"), ""), (b"a: \xff\n", "UTF-8"), (b"a: \xe9\n", "UTF-8"),
        (b"a: \xed\xa0\x80\n", "UTF-8"), (b"a: \xc0\x80\n", "UTF-8"),
        (b"a: 1\r\n", "carriage return"), (b"a: 1\rb: 2\r", "carriage return"), (b"a: \x00\n", "\\u0000"),
        (b"a: \x1b[31m\n", "\\u001b"),
        (b"a:\t1\n", "tab"), (b"\ta: 1\n", "tab"), (b"a: 'x\ty'\n", "tab"), (b"a: \x7f\n", "\\u007f"),
        ("a: \x85\n".encode(), "\\u0085"),
        ("a: \u2028b\n".encode(), "\\u2028"), ("a: x\ufeff\n".encode(), "\\ufeff"),
        ("a: \ufffe\n".encode(), "\\ufffe"), (b"a: \x0c\n", "\\u000c"),
        (b"", "empty"), (b"\n\n", "empty"), (b"# only a comment\n", "empty"), (b"   ", "empty"),
    ],
)  # fmt: skip
def test_encodings_and_characters(data: bytes, word: str) -> None:
    assert word in refused(data).message


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udfff"', '"\\ud83d\\ude00"'])
def test_surrogates_are_refused(text: str) -> None:
    refused(f"a: {text}\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> other\n", 2), ("<<<<<<< ours\na: 1\n", 1),
        ("a: 1\n=======\nb: 2\n", 2),
        ("a: 1\n>>>>>>> theirs\n", 2), ("a: 1\n||||||| base\nb: 1\n", 2), ("<<<<<<<\n", 1),
    ],
)  # fmt: skip
def test_conflicts_that_git_left_are_named(text: str, line: int) -> None:
    assert "conflict" in refused(text, line, "merge-conflict").message


def test_lines_that_only_look_like_conflicts() -> None:
    assert value("a: '======= x'\nb: |\n  <<<<<<< HEAD\n") == {"a": "======= x", "b": "<<<<<<< HEAD\n"}


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\n---\nb: 2\n", "a: 1\n...\n---\nb: 1\n", "%YAML 1.1\n---\na: 1\n", "%TAG ! tag:x,2000:\n---\na: 1\n",
        "%x\n---\na: 1\n", "a: [\n",
        "a: {b\n", "a: 'x\n", 'a: "x\n', "a: b: c\n", "- a\nb: c\n", "a: 1\n  b: 2\n", "@a: 1\n", "`a`\n",
        "a: |x\n  y\n", 'a: "\\q"\n', "]\n", ": :\n- -",
        "a: b\n c\nd", "a: ,\n  - [",
    ],
)  # fmt: skip
def test_what_is_no_single_document_is_refused(text: str) -> None:
    refused(text)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{a: "])
@pytest.mark.parametrize("depth", [33, 100, 1_000, 20_000])
def test_depth_is_bounded(opening: str, depth: int) -> None:
    text = (opening * depth)[:65_000]
    assert "deeper" in refused(text).message or "key" in refused(text).message


def test_the_last_depth_that_is_allowed() -> None:
    assert value("[" * 32 + "]" * 32) is not None
    refused("[" * 33 + "]" * 33)
    nested: Any = 1
    for _ in range(32):
        nested = {"k": nested}
    assert value(strict_yaml.dump(nested)) == nested


def test_size_and_nodes_are_bounded() -> None:
    assert len(value("a: " + "x" * 65_532 + "\n")["a"]) == 65_532
    refused("a: " + "x" * 65_533 + "\n")
    assert len(value("[" + "1," * 9_998 + "1]")) == 9_999
    refused("[" + "1," * 10_000 + "1]")
    refused("k: " * 200)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("bomb", [BOMB, "a: &a\n  b: &b {c: *a}\n", "&a [*a]\n"])
def test_alias_bombs_cost_nothing(bomb: str) -> None:
    refused(bomb, 1)


def test_lines_are_remembered() -> None:
    text = "a: 1\nb:\n  c: [x,\n    y]\n  d:\n    - e: 1\n      f: 2\n"
    document = load(text.encode(), file="f")
    found = {
        path: document.line_of(path)
        for path in [("a",), ("b",), ("b", "c"), ("b", "c", 1), ("b", "d", 0, "f"), ("b", "zz"), ("q",)]
    }
    assert found == {
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 3,
        ("b", "c", 1): 4,
        ("b", "d", 0, "f"): 7,
        ("b", "zz"): 2,
        ("q",): 1,
    }


PIECES = [
    "a", "b", "key", ": ", ":", " ", "  ", "\n", "\n  ", "- ", "-", "[", "]", "{", "}", ",", ", ", '"x"', "'y'",
    '"\\u00e9"', "#", " # c", "|\n",
    "|-\n  x", "> \n", "? ", "&a ", "*a", "!t ", "1", "1.5", "null", "...", "\n---\n", "%", "é", "\\", "'", '"',
    "a: b\n", "c:\n  d: e\n", "- f\n",
    "k: [1, 2]\n", "k2: {a: b, c: 1}\n", "|2\n   q\n", "?", "<", "=", "\n\n", "http://x", "::", "😀",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_both_parsers_of_pyyaml_read_the_same(text: str) -> None:
    """A text means one thing, whether or not PyYAML was built with its C library."""
    if not yaml.__with_libyaml__:
        pytest.skip("PyYAML has one parser here")
    found: list[Any] = []
    for loader in (yaml.CLoader, yaml.SafeLoader):
        patch = pytest.MonkeyPatch()
        patch.setattr(strict_yaml, "_Loader", loader)
        try:
            found.append(load(text.encode(), file="f"))
        except InvalidInput:
            found.append(None)
        finally:
            patch.undo()
    if None not in found:
        assert found[0] == found[1]


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (load, load_json):
        try:
            read(data, file="f")
        except InvalidInput as error:
            assert error.message.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}', '{"x": {"a": 1, "a": 1}}', "[NaN]", "[Infinity]", "[-Infinity]", "[1e999]",
        "[9007199254740993]", f"[{'1' * 5000}]", "[" * 33 + "]" * 33,
        "[" * 30_000, '{"a":' * 10_000, '["\\ud800"]', '{"\\udfff": 1}', "[1,]", "{a: 1}", "'a'", "[01]", "[.5]",
        "[+1]", "", " ", "\ufeff[]", "// c\n[]", "[1] [2]", "nul", '"\n"', '["a\tb"]',
        "[" + "1," * 40_000 + "1]",
    ],
)  # fmt: skip
def test_json_that_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_json(text.encode("utf-8", "surrogatepass"), file="e.json")
    assert caught.value.message.startswith("e.json")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, 1.5, "x", null, true, {}]}',
        "[]",
        '"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["',
        '"\\ud83d\\ude00"',
        "1",
    ],
)
def test_json_that_is_read(text: str) -> None:
    assert load_json(text.encode(), file="e.json").value == json.loads(text)


WATCHED = (
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "socket.",
    "open",
    "import",
    "exec",
    "compile",
)


def test_reading_yaml_starts_nothing_and_opens_nothing() -> None:
    script = f"""
import sys
from gitml.errors import InvalidInput
from gitml.model import strict_yaml

def read(text):
    try:
        strict_yaml.load(text.encode(), file="f")
    except InvalidInput:
        pass

read("a: !x y")
seen = []
sys.addaudithook(lambda name, args: name.startswith({WATCHED!r}) and seen.append(name))
for tag in {TAGS!r}:
    read("a: " + tag)
found = list(seen)
open("/dev/null").close()
print(found, len(seen) - len(found))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "1"], "the hook sees the last `open` and nothing before it"
