"""Modules that are imported when they are first used, so that a command loads only the rooms it works in."""

from __future__ import annotations

from importlib import import_module
from typing import Any

own_process = False
"""Whether this process is the program `gitml`, so that no other code shares its modules."""


class LazyModule:
    """Stands for a module until one of its names is asked for; safe to use from several threads."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
