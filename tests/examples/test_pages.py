"""Pages that are made from code are what the code makes."""

from __future__ import annotations

import importlib.util

from support.programs import ROOT


def test_errors_page_is_current() -> None:
    spec = importlib.util.spec_from_file_location("errors_page", ROOT / "docs/errors.py")
    assert spec is not None and spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.PAGE.read_text(encoding="utf-8") == maker.page(), "run: python docs/errors.py"
