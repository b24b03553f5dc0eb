"""Places that may be stores: what a user typed, which settings hold for it, and whether anybody found it fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gitml._lazy import LazyModule
from gitml.errors import InvalidInput, PolicyRefused
from gitml.model.store_url import StoreKind, parse_store_url
from gitml.registry.settings import CheckedStores, Settings

if TYPE_CHECKING:
    from gitml.store.media import opening as _opening
    from gitml.store.media.medium import Medium
else:
    # What only reads pointers never opens a store.
    _opening = LazyModule("gitml.store.media.opening")


@contextmanager
def naming(field: str) -> Iterator[None]:
    """Let a refusal say which field it is about."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(
            f"{field}: {error.message}", code=error.code, hint=error.hint, context=error.context
        ) from error


def place(text: str, base: Path, settings: Settings, *, otherwise: str = "") -> Medium:
    """The place at a URL or path that the user typed, whether or not it is fit to be a store.

    What the user's settings say of a store at that very URL holds for it.

    Args:
        text: What was typed.
        base: Folder that a relative path starts from.
        settings: What the user says.
        otherwise: Name of the store whose settings hold where none is at that URL.

    Raises:
        InvalidInput: The URL is malformed or of a kind that is not allowed.
    """
    known = next((name for name, url in settings.store_urls.items() if url == text), otherwise)
    return _opening.open_medium(
        text, base=base, options=settings.options(known), allowed=settings.allow_schemes
    )


def checked_place(text: str, base: Path, settings: Settings) -> Medium:
    """As :func:`place`, for a place that is about to be used as a store.

    Raises:
        PolicyRefused: It is of a kind that promises nothing, and nobody checked it, or it was found unfit.
    """
    medium = place(text, base, settings)
    refuse_unchecked(text, settings)
    return medium


def unproven(text: str, settings: Settings) -> str | None:
    """The location, where it is of a kind that only a check can say something about; None for the others."""
    parsed = parse_store_url(text, allowed=settings.allow_schemes)
    return str(parsed) if parsed.kind is StoreKind.OTHER else None


def refuse_unchecked(text: str, settings: Settings) -> None:
    """Refuse a place whose kind promises nothing, unless a check on this machine found it fit.

    Raises:
        PolicyRefused: Nobody checked it, or it was found unfit.
    """
    location = unproven(text, settings)
    fit = True if location is None else CheckedStores().is_fit(location)
    if fit:
        return
    why = "was found unfit to be a store" if fit is False else "was never checked on this machine"
    raise PolicyRefused(
        f"{location} {why}, and its kind promises nothing by itself",
        code="store-unfit" if fit is False else "store-unchecked",
        hint=f"gitml store check {location}",
        context={"store": location, "reasons": [why]},
    )
