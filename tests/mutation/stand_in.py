"""A plug-in of pytest: puts a mutant in the place of the module that the environment names."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType

NAME, SOURCE = os.environ.get("GITML_MUTANT_MODULE", ""), os.environ.get("GITML_MUTANT_SOURCE", "")


class StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds that one module, and runs the mutant's text."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname == NAME else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(SOURCE, f"<mutant of {NAME}>", "exec"), module.__dict__)


if NAME:
    sys.meta_path.insert(0, StandIn())
