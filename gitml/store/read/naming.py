"""Errors of reading say which asset, which file and which object they are about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from gitml.errors import GitMLError, IntegrityError, InvalidInput, NotFound

HINT = "gitml verify --deep"

_Error = TypeVar("_Error", bound=GitMLError)


@contextmanager
def naming(label: str, object_name: str, path: str | None = None) -> Iterator[None]:
    """Add asset, file and object to whatever goes wrong inside; a missing object is an integrity error.

    Args:
        label: The asset as the user knows it, `models/digits@3`; may be empty.
        object_name: Name of the object in the store.
        path: File of the asset, where one is concerned.
    """
    try:
        yield
    except NotFound as error:
        raise damaged(
            f"the store lost object {object_name}", label, object_name, path, code="object-lost"
        ) from error
    except IntegrityError as error:
        if "object" in error.context and "asset" in error.context:
            raise
        raise damaged(error.message, label, object_name, path, code=error.code) from error
    except InvalidInput as error:
        raise _named(InvalidInput, error.message, error.code, error.hint, label, object_name, path) from error


def damaged(
    message: str, label: str, object_name: str, path: str | None = None, *, code: str = "damaged"
) -> IntegrityError:
    """An integrity error that names asset, file and object."""
    return _named(IntegrityError, message, code, HINT, label, object_name, path)


def _named(
    kind: type[_Error],
    message: str,
    code: str,
    hint: str | None,
    label: str,
    object_name: str,
    path: str | None,
) -> _Error:
    where = ": ".join(part for part in (label, path) if part)
    text = f"{where}: {message}" if where else message
    if object_name not in text:
        text += f" (object {object_name})"
    context: dict[str, Any] = {"asset": label or None, "file": path, "object": object_name}
    return kind(text, code=code, hint=hint, context=context)
