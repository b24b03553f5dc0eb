"""The marker of a store: it tells the format of all objects in it, and is written before any other."""

from __future__ import annotations

import json
from typing import Final

from gitml.errors import IntegrityError, NotFound, OutcomeUnknown, StoreUnavailable
from gitml.store.formats.wire import needs_newer
from gitml.store.media import layout
from gitml.store.media.medium import Medium, PutOutcome

FORMAT: Final = 1


def check_marker(medium: Medium) -> bool:
    """Write the marker of a new store; refuse to write into one of another format.

    Returns:
        Whether this run began the store, so that nothing in it was ever collected before.
    """
    marker = json.dumps({"schema": "gitml/store/v1", "format": FORMAT}).encode() + b"\n"
    is_new = False
    try:
        data = medium.get(layout.MARKER)
    except NotFound:
        data, is_new = _created_marker(medium, marker)
    try:
        version = json.loads(data)["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{layout.MARKER} in {medium.url} is damaged",
            code="object-malformed",
            hint=f"look at it, and remove it if {medium.url} is a GitML store",
        ) from error
    if version != FORMAT:
        raise needs_newer(f"the store {medium.url} has format {version}", f"{version}.0")
    return is_new


def _created_marker(medium: Medium, marker: bytes) -> tuple[bytes, bool]:
    """The marker that stands after an attempt to create it, and whether it was this attempt's."""
    try:
        if medium.put_if_absent(layout.MARKER, [marker]) is PutOutcome.CREATED:
            return marker, True
    except OutcomeUnknown as unknown:
        try:
            return medium.get(layout.MARKER), False
        except (NotFound, StoreUnavailable):
            raise unknown from None
    return medium.get(layout.MARKER), False
