"""Why a call by `requests` got no reply; for the adapters whose vendors' clients are built on it."""

from __future__ import annotations

import requests

from gitml.forge.patience import Failed


def lost(error: requests.RequestException) -> Failed:
    """The failure, with whether the call can have reached the forge."""
    is_unsent = isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in repr(error)
    if isinstance(error, requests.Timeout):
        said = "no answer in time"
    elif isinstance(error, requests.exceptions.SSLError):
        said = "its certificate is not trusted"
    else:
        said = "no connection" if is_unsent else "the connection broke"
    return Failed(None, said, sent=not is_unsent)
