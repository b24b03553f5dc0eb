"""Judging a pointer in full, as registering and merging need it; reading one judges only its form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gitml.errors import InvalidInput
from gitml.model import strict_yaml
from gitml.model.fault import field_name
from gitml.model.redact import find_secret
from gitml.model.schemas import validate, validate_spec

if TYPE_CHECKING:
    from gitml.model.config import Config
    from gitml.model.pointer import Pointer

_FILE = "asset.yaml"


def check_pointer(pointer: Pointer, config: Config) -> None:
    """Refuse a pointer that must not be kept.

    Raises:
        InvalidInput: It would not read back as it is, its spec does not fit its type, or it holds a credential.
    """
    check_pointer_text(pointer.format(), config, file=f"{pointer.id.folder}/{_FILE}", pointer=pointer)


def check_pointer_text(data: bytes, config: Config, *, file: str, pointer: Pointer | None = None) -> Pointer:
    """The same for the text of a pointer that somebody else may have written; gives what it says.

    Raises:
        InvalidInput: As :func:`check_pointer`.
    """
    from gitml.model.pointer import Pointer

    expect = pointer.id if pointer is not None else None
    found = Pointer.parse(data, file=file, expect=expect, known_types=config.known_types)
    document = strict_yaml.load(data, file=file)
    validate(document, "asset")
    validate_spec(document, found.id.type, config.types.get(found.id.type))
    for path, text in _texts(document.value, ()):
        kind = find_secret(text)
        if kind is not None:
            raise InvalidInput(
                f"{file}:{document.line_of(path)}: {field_name(path)} holds {kind}, and what is in git stays in git",
                code="secret",
                hint="remove the credential, and revoke it if it was ever pushed",
                context={"file": file, "line": document.line_of(path), "field": field_name(path)},
            )
    return found


def _texts(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield path, key
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _texts(item, (*path, position))
