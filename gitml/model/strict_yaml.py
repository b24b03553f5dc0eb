"""Strict YAML and JSON: the texts that GitML keeps in git.

Owns which texts are accepted, and the canonical form in which they are written. The accepted language is a
small part of YAML 1.1: UTF-8 with LF alone, no tags, anchors, aliases, merge keys, directives or duplicate
keys, and plain scalars that mean what they mean in JSON and are strings otherwise. PyYAML is used for its
events only; nothing of a text is ever constructed by it.

Laws: `load(dump(x)).value == x`; `dump(load(text).value) == text` where the text is canonical.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import yaml

from gitml.errors import InvalidInput
from gitml.model.canonical import BARE, MAX_INT, MAX_KEY, dump
from gitml.model.shown import shown

MAX_BYTES: Final = 65536
MAX_DEPTH: Final = 32
MAX_NODES: Final = 10_000
_MAX_NUMBER: Final = 400

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None}
# Tab included: YAML forbids it as indentation, and inside quotes it can be written \t.
_FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufdd0-\ufdef\ufeff\ufffe\uffff\ud800-\udfff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONFLICT = re.compile(r"^(?:<{7}(?: |$)|>{7}(?: |$)|\|{7}(?: |$)|={7}$)", re.MULTILINE)

_Loader: Any = yaml.CLoader if yaml.__with_libyaml__ else yaml.SafeLoader

Path = tuple[str | int, ...]

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "Document", "dump", "load", "load_json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text that was read.

    Attributes:
        value: Mappings, lists, strings, numbers, booleans and null.
        file: Name of the text in messages.
        lines: First line of each value, by its path.
    """

    value: Any
    file: str
    lines: Mapping[Path, int]

    def line_of(self, path: Path) -> int:
        """The line on which a value begins; for an absent one, that of what should hold it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def load(
    data: bytes,
    *,
    file: str,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    max_nodes: int = MAX_NODES,
) -> Document:
    """Read strict YAML.

    Args:
        data: The text.
        file: Its name in messages.
        max_bytes: Its greatest size.
        max_depth: How many mappings and lists may stand inside each other.
        max_nodes: How many keys and values it may have.

    Raises:
        InvalidInput: It breaks a rule; the message names file, line and rule.
    """
    text = _decoded(data, file, max_bytes)
    bad = _FORBIDDEN.search(text)
    if bad is not None:
        _refuse_character(text, bad, file)
    if "<<<<<<<" in text or ">>>>>>>" in text or "=======" in text or "|||||||" in text:
        conflict = _CONFLICT.search(text)
        if conflict is not None:
            raise _fault(
                file,
                text.count("\n", 0, conflict.start()) + 1,
                f"{conflict[0].strip()} is a conflict that git left in this file",
                "resolve the conflict, then run the command again",
                code="merge-conflict",
            )
    if text.startswith("%") or "\n%" in text:
        line = 1 if text.startswith("%") else text.count("\n", 0, text.index("\n%")) + 2
        raise _fault(
            file, line, "directives (a line that starts with `%`) are not allowed", "remove the line"
        )
    composer = _Composer(text, file, max_depth, max_nodes)
    try:
        value = composer.document()
    except yaml.YAMLError as error:
        raise _syntax_fault(file, error) from error
    return Document(value=value, file=file, lines=composer.lines)


def load_json(data: bytes, *, file: str, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Document:
    """Read strict JSON: UTF-8, no duplicate keys, only numbers that are finite and exact.

    Raises:
        InvalidInput: It breaks a rule; the message names the file and, where known, the line.
    """
    text = _decoded(data, file, max_bytes)
    deepest = _json_depth(text)
    if deepest > max_depth:
        raise _fault(file, 1, f"it nests {deepest} levels, and {max_depth} are allowed", "make it flatter")
    try:
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: _unique(pairs, file),
            parse_int=lambda number: _number(number, file, 0),
            parse_float=lambda number: _number(number, file, 0),
            parse_constant=lambda word: _refuse_constant(word, file),
        )
    except json.JSONDecodeError as error:
        raise _fault(file, error.lineno, f"it is no JSON: {error.msg}", "correct the file") from error
    if "\\u" in text:
        _refuse_surrogates(value, file)
    return Document(value=value, file=file, lines={(): 1})


def _decoded(data: bytes, file: str, max_bytes: int) -> str:
    if len(data) > max_bytes:
        raise _fault(
            file, 1, f"it has {len(data)} bytes, and {max_bytes} are allowed", "move large things elsewhere"
        )
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _fault(file, 1, "it starts with a byte order mark", "save it as UTF-8 without one")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _fault(
            file, line, f"byte 0x{data[error.start]:02x} is not UTF-8", "save it as UTF-8"
        ) from error
    if not text.strip(" \n"):
        raise _fault(file, 1, "it is empty", "restore it: git checkout -- FILE")
    return text


def _refuse_character(text: str, bad: re.Match[str], file: str) -> NoReturn:
    line = text.count("\n", 0, bad.start()) + 1
    if bad[0] == "\r":
        raise _fault(file, line, "it has a carriage return", "save it with Unix line ends (LF)")
    if bad[0] == "\t":
        raise _fault(file, line, "it has a tab", 'use spaces, or "\\t" inside double quotes')
    number = f"\\u{ord(bad[0]):04x}"
    raise _fault(
        file, line, f"it has the character {number}", f'remove it, or write "{number}" inside double quotes'
    )


def _fault(file: str, line: int, problem: str, fix: str, *, code: str = "bad-yaml") -> InvalidInput:
    where = f"{file}:{line}" if line else file
    return InvalidInput(f"{where}: {problem}", code=code, hint=fix, context={"file": file, "line": line})


def _syntax_fault(file: str, error: yaml.YAMLError) -> InvalidInput:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is no YAML"
    context = getattr(error, "context", None)
    text = " ".join(str(part) for part in (context, problem) if part)
    line = mark.line + 1 if mark is not None else 1
    if (
        "nesting depth" in text
    ):  # libyaml's own bound, which is far above any of ours, is met before the first event
        return _fault(file, line, "it nests far deeper than is allowed", "make it flatter")
    fix = "put texts with special characters into double quotes, and indent with spaces"
    return _fault(file, line, shown(text)[1:-1], fix)


def _number(text: str, file: str, line: int) -> int | float:
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > _MAX_NUMBER:
        raise _fault(file, line, f"the number {shown(text)} is too long", "put it into double quotes")
    if match[1] is None and match[2] is None:
        number = int(text)
        if abs(number) > MAX_INT:
            raise _fault(
                file,
                line,
                f"{shown(text)} is beyond 2^53, where numbers lose digits",
                "put it into double quotes",
            )
        return number
    real = float(text)
    if not math.isfinite(real):
        raise _fault(file, line, f"{shown(text)} is not finite", "put it into double quotes")
    return real


class _Composer:
    """Builds the value of one document from parser events, iteratively, and remembers lines."""

    def __init__(self, text: str, file: str, max_depth: int, max_nodes: int) -> None:
        self._text = text
        self._file = file
        self._max_depth = max_depth
        self._max_nodes = max_nodes
        self.lines: dict[Path, int] = {}

    def document(self) -> Any:
        loader = _Loader(self._text)
        try:
            return self._composed(loader.get_event)
        finally:
            loader.dispose()

    def _composed(self, next_event: Callable[[], Any]) -> Any:
        root: list[Any] = []
        # One frame per open collection: container, its path, and the key that waits for its value.
        stack: list[tuple[Any, Path]] = [(root, ())]
        keys: list[str | None] = [None]
        documents = nodes = 0
        while (kind := type(event := next_event())) is not yaml.StreamEndEvent:
            if kind is yaml.ScalarEvent:
                nodes += 1
                container, path = stack[-1]
                if type(container) is dict and keys[-1] is None:
                    keys[-1] = self._key(event, container, path)
                    continue
                self._attach(stack, keys, event, self._scalar(event))
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                nodes += 1
                self._open(event, stack, keys, {} if kind is yaml.MappingStartEvent else [])
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                stack.pop()
                keys.pop()
            elif kind is yaml.AliasEvent:
                raise self._fault(event, "aliases (`*name`) are not allowed", "write the value out")
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise self._fault(event, "a second document begins", "keep one document in the file")
            if nodes > self._max_nodes:
                raise self._fault(
                    event, f"it has more than {self._max_nodes} keys and values", "make it smaller"
                )
        if not root:
            raise _fault(self._file, 1, "it is empty", "restore it: git checkout -- FILE")
        return root[0]

    def _fault(self, event: Any, problem: str, fix: str) -> InvalidInput:
        return _fault(self._file, event.start_mark.line + 1, problem, fix)

    def _check_node(self, event: Any) -> None:
        if event.anchor is not None:
            raise self._fault(event, "anchors (`&name`) are not allowed", "remove it")
        if event.tag is not None:
            raise self._fault(event, f"tags ({shown(event.tag)}) are not allowed", "remove it")

    def _open(self, event: Any, stack: list[tuple[Any, Path]], keys: list[str | None], value: Any) -> None:
        self._check_node(event)
        container = stack[-1][0]
        if type(container) is dict and keys[-1] is None:
            raise self._fault(event, "a key must be a text", "write the key in double quotes")
        if len(stack) > self._max_depth:
            raise self._fault(event, f"it nests deeper than {self._max_depth} levels", "make it flatter")
        path = self._attach(stack, keys, event, value)
        stack.append((value, path))
        keys.append(None)

    def _attach(self, stack: list[tuple[Any, Path]], keys: list[str | None], event: Any, value: Any) -> Path:
        container, path = stack[-1]
        key = keys[-1]
        if key is not None:
            container[key] = value
            keys[-1] = None
            path = (*path, key)
        else:
            if len(stack) > 1:
                path = (*path, len(container))
            container.append(value)
        self.lines.setdefault(path, event.start_mark.line + 1)
        return path

    def _key(self, event: Any, container: dict[str, Any], path: Path) -> str:
        self._check_node(event)
        key: str = event.value
        if event.style is None or event.style == "":
            if not BARE(key):
                self._check_plain_key(event, key)
        elif _SURROGATE.search(key):
            raise self._fault(event, "a key has a lone surrogate", "remove it")
        if key in container:
            raise self._fault(event, f"the key {shown(key)} stands here twice", "keep one of the two")
        if len(key) > MAX_KEY:
            raise self._fault(event, f"a key has more than {MAX_KEY} characters", "shorten it")
        self.lines[(*path, key)] = event.start_mark.line + 1
        return key

    def _check_plain_key(self, event: Any, key: str) -> None:
        if key == "<<":
            raise self._fault(event, "merge keys (`<<`) are not allowed", "write the fields out")
        if key == "":
            raise self._fault(event, "a key is missing", "write the key before the colon")
        if key in _WORDS or _NUMBER.fullmatch(key):
            raise self._fault(event, f"the key {shown(key)} is no text", f'put it into quotes: "{key}"')

    def _scalar(self, event: Any) -> Any:
        self._check_node(event)
        text: str = event.value
        if event.style is None or event.style == "":
            if BARE(text):
                return text
            if text in _WORDS:
                return _WORDS[text]
            if text == "":
                raise self._fault(
                    event, "a value is missing", 'write the value; "" for an empty text, null for none'
                )
            if _NUMBER.fullmatch(text):
                return _number(text, self._file, event.start_mark.line + 1)
        elif _SURROGATE.search(text):
            raise self._fault(event, "a text has a lone surrogate", "remove it")
        return text


_JSON_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def _json_depth(text: str) -> int:
    depth = deepest = 0
    for token in _JSON_TOKENS.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in "]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]], file: str) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _fault(
                    file, 0, f"the key {shown(key)} stands in one object twice", "keep one of the two"
                )
            seen.add(key)
    return value


def _refuse_constant(word: str, file: str) -> NoReturn:
    raise _fault(file, 0, f"{word} is no JSON", "use a finite number, or a text")


def _refuse_surrogates(value: Any, file: str) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise _fault(file, 0, "a text has a lone surrogate", "remove it") from error
