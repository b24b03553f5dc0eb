"""What `import gitml` gives is a promise; a change of it shows here."""

from __future__ import annotations

import subprocess
import sys

import gitml


def test_the_public_names_are_these() -> None:
    assert sorted(gitml.__all__) == [
        "AssetRef", "GitMLError", "Registry", "__version__", "alias", "deprecate", "diff", "doctor", "get", "history", "init",
        "lineage", "list", "open", "promote", "pull", "push", "register", "rollback", "show", "status", "verify",
    ]  # fmt: skip
    for name in gitml.__all__:
        if name not in ("Registry", "doctor", "init", *gitml._VERBS):
            assert getattr(gitml, name)
    assert dir(gitml) == sorted(gitml.__all__)


def test_importing_gitml_loads_nothing_heavy() -> None:
    heavy = (
        "git",
        "jsonschema",
        "fsspec",
        "rich",
        "numpy",
        "yaml",
        "msgspec",
        "zstandard",
        "click",
        "tensorflow",
    )
    code = f"import sys, gitml; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
