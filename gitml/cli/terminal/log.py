"""Logging to stderr, for `-v`, `-vv` and `GITML_LOG`."""

from __future__ import annotations

import os
import sys

_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}


def start(verbosity: int) -> None:
    """Log as far as it was asked for; not at all otherwise.

    Args:
        verbosity: How often `-v` was given; it wins over `GITML_LOG`.
    """
    asked = {0: os.environ.get("GITML_LOG", "").upper(), 1: "INFO"}.get(verbosity, "DEBUG")
    if asked not in _LEVELS:
        return
    import logging

    from gitml.cli.terminal.text import visible
    from gitml.model.redact import redact

    class Redacting(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return "\n".join(visible(line) for line in redact(super().format(record)).splitlines())

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Redacting("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("gitml")
    logger.handlers[:] = [handler]
    logger.setLevel(_LEVELS[asked])
    logger.propagate = False
