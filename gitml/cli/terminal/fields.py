"""`KEY=VALUE` flags and files of metrics, parameters and specs, as mappings of JSON values.

The reader of YAML is imported where a file or number is read: no help page needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gitml.errors import AccessDenied, InvalidInput, NotFound, UsageError

# The text of a JSON number, true, false or null; every other value is text, as in the pointer itself.
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")


def texts(flag: str, items: Iterable[str]) -> dict[str, str]:
    """`KEY=TEXT` flags.

    Raises:
        UsageError: No `=`, an empty key, or a key that is given twice.
    """
    found: dict[str, str] = {}
    for item in items:
        key, separator, value = item.partition("=")
        if not separator or not key:
            raise UsageError(
                f"{flag} {item!r} is not KEY=VALUE", code="bad-argument", hint=f"{flag} KEY=VALUE"
            )
        if key in found and found[key] != value:
            raise UsageError(
                f"{flag} gives {key!r} twice: {found[key]!r} and {value!r}",
                code="bad-argument",
                hint=f"keep one {flag} {key}=…",
            )
        found[key] = value
    return found


def values(flag: str, items: Iterable[str], file: Path | None = None) -> dict[str, Any]:
    """`KEY=VALUE` flags over the values of a file; nested keys of the file are dotted.

    Raises:
        UsageError: See :func:`texts`.
        InvalidInput: The file, or a number, breaks a rule.
        NotFound: There is no such file.
    """
    found: dict[str, Any] = dict(_dotted(mapping(file))) if file is not None else {}
    for key, text in texts(flag, items).items():
        found[key] = _value(text, f"{flag} {key}")
    return found


def mapping(file: Path) -> dict[str, Any]:
    """A JSON or YAML file that holds a mapping.

    Raises:
        NotFound: There is no such file.
        AccessDenied: It cannot be read.
        InvalidInput: It breaks a rule of strict JSON or YAML, or holds something else.
    """
    try:
        data = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"there is no file {file}", code="no-file", hint="name an existing file") from error
    except OSError as error:
        raise AccessDenied(
            f"cannot read {file}: {error.strerror}", code="unreadable-file", hint="name a readable file"
        ) from error
    from gitml.model import strict_yaml

    read = strict_yaml.load_json if file.suffix.lower() == ".json" else strict_yaml.load
    value = read(data, file=str(file)).value
    if not isinstance(value, dict):
        raise InvalidInput(
            f"{file} holds no mapping of names to values",
            code="not-a-mapping",
            hint="name: value, one a line",
        )
    return value


def _value(text: str, where: str) -> Any:
    if not _SCALAR.fullmatch(text):
        return text
    from gitml.model import strict_yaml

    return strict_yaml.load_json(text.encode(), file=where).value


def _dotted(nested: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in nested.items():
        if isinstance(value, dict) and value:
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
