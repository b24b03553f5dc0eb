"""Taking the fields of a value apart, strictly: what is there, of which type, and what was left over.

Used by every format of this room. A fault names the field by its path; the format's `parse` adds file and
line, and asks the JSON schema for all other faults of the same document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from gitml.errors import GitMLError, InvalidInput
from gitml.model.fault import Fault, field_name
from gitml.model.shown import shown
from gitml.model.strict_yaml import Document

T = TypeVar("T")
Path = tuple[str | int, ...]
_MISSING: Any = object()
_LINE = re.compile(r"[^\x00\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*")


class FieldError(Exception):
    """A field breaks a rule.

    Args:
        path: Where it is.
        problem: The rule, as it goes on after the field's name.
        fix: What to do.
    """

    def __init__(self, path: Path, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.path = path
        self.problem = problem
        self.fix = fix


class Fields:
    """The fields of one mapping, each taken at most once.

    Raises:
        FieldError: From every method, where the field is absent or of another type.
    """

    def __init__(self, value: Any, path: Path = ()) -> None:
        if not isinstance(value, dict):
            raise FieldError(path, "must be a mapping", "write `key: value` lines")
        self.path = path
        self._left = dict(value)

    def take(self, key: str, kind: type[T] | tuple[type, ...], name: str, default: Any = _MISSING) -> Any:
        """A field of one type; booleans are no numbers."""
        value = self._left.pop(key, _MISSING)
        if value is _MISSING:
            if default is _MISSING:
                raise FieldError((*self.path, key), "is missing", f"add `{key}:`")
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            fix = (
                f'put it into quotes: {key}: "{value}"'
                if kind is str and _is_plain(value)
                else f"give {name}"
            )
            raise FieldError((*self.path, key), f"must be {name}, and is {shown(value)}", fix)
        return value

    def text(self, key: str) -> str:
        """A text that must be there and may not be empty."""
        value: str = self.take(key, str, "a text")
        if not value:
            raise FieldError((*self.path, key), "is empty", f"write a text after `{key}:`")
        return value

    def optional_text(self, key: str) -> str | None:
        """A text, None where it is absent."""
        value: str | None = self.take(key, str, "a text", None)
        return value

    def line(self, key: str) -> str | None:
        """A text that stands on one line, None where it is absent."""
        value = self.optional_text(key)
        if value is not None and _LINE.fullmatch(value) is None:
            raise FieldError(
                (*self.path, key),
                f"must be one line, and is {shown(value)}",
                "put longer text into a README.md of the contents",
            )
        return value

    def whole(self, key: str, least: int = 0) -> int:
        """A whole number of at least so much."""
        value: int = self.take(key, int, "a whole number")
        if value < least:
            raise FieldError(
                (*self.path, key), f"must be at least {least}, and is {value}", "correct the number"
            )
        return value

    def optional_flag(self, key: str) -> bool | None:
        """true or false, None where it is absent."""
        value: bool | None = self.take(key, bool, "true or false", None)
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """A mapping, empty where it is absent."""
        value: dict[str, Any] = self.take(key, dict, "a mapping", {})
        return value

    def text_mapping(self, key: str) -> dict[str, str]:
        """A mapping from texts to texts, empty where it is absent."""
        value = self.mapping(key)
        for name, text in value.items():
            if not isinstance(text, str):
                fix = f'put it into quotes: "{text}"' if _is_plain(text) else "give a text"
                raise FieldError((*self.path, key, name), f"must be a text, and is {shown(text)}", fix)
        return value

    def list_of(self, key: str) -> list[Any]:
        """A list, empty where it is absent."""
        value: list[Any] = self.take(key, list, "a list", [])
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, empty where it is absent."""
        value = self.list_of(key)
        for position, text in enumerate(value):
            if not isinstance(text, str) or not text:
                raise FieldError(
                    (*self.path, key, position), f"must be a text, and is {shown(text)}", "give a text"
                )
        return tuple(value)

    def parsed(self, key: str, parse: Callable[[str], T]) -> T:
        """A text that something else can read."""
        text = self.text(key)
        with at((*self.path, key)):
            return parse(text)

    def schema(self, expected: str, *, required: bool = True) -> None:
        """The format's own name and version."""
        value = self.text("schema") if required or "schema" in self._left else expected
        if value == expected:
            return
        family = expected.rpartition("/")[0] + "/v"
        if value.startswith(family) and value[len(family) :].isdecimal():
            raise FieldError(
                (*self.path, "schema"), f"is {shown(value)}, which is newer", "install a newer GitML"
            )
        raise FieldError(
            (*self.path, "schema"), f"must be {expected}, and is {shown(value)}", f"schema: {expected}"
        )

    def rest(self) -> dict[str, Any]:
        """The fields that nobody took: a later version may know them, so they are kept."""
        return self._left


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float))


@contextmanager
def at(path: Path) -> Iterator[None]:
    """Turn an error about a value into one about the field that holds it."""
    try:
        yield
    except GitMLError as error:
        raise FieldError(path, f"is refused: {error.message}", error.hint or "correct it") from error


def read(document: Document, schema: str, build: Callable[[Any], T]) -> T:
    """Build a value from a document.

    Raises:
        InvalidInput: The value breaks a rule; the message names file, line, field and rule, and all faults
            that the JSON schema finds beside it.
    """
    try:
        return build(document.value)
    except FieldError as error:
        from gitml.model.schemas import faults, raise_for

        own = fault(document, error)
        others: list[Fault] = []
        if error.path != ("schema",):
            others = [other for other in faults(document, schema) if other.field != own.field]
        try:
            raise_for(document, [own, *others])
        except InvalidInput as combined:
            raise combined from error
        raise


def fault(document: Document, error: FieldError) -> Fault:
    """A field's error, with its line."""
    return Fault(
        line=document.line_of(error.path), field=field_name(error.path), rule=error.problem, fix=error.fix
    )
