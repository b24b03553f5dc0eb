"""The page on stores says what there is: its commands, settings and variables exist, and its examples are read."""

from __future__ import annotations

import os
import re
from pathlib import Path

from support.programs import ROOT

from gitml.cli.commands import full_names
from gitml.model.config import Config
from gitml.registry.settings import STORE_KEYS, load_settings

PAGE = (ROOT / "docs/stores.md").read_text(encoding="utf-8")
_HEAD = "schema: gitml/config/v1\nregistry: 6c1d0b9e-0000-4000-8000-000000000001\ndefault_branch: main\n"
_YAML = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_commands() -> None:
    named = re.findall(r"(?<!/)gitml\s(store [a-z]+|[a-z]+)", PAGE)
    assert len(named) > 15
    assert set(named) <= set(full_names())


def test_examples_of_a_repository() -> None:
    configs = [
        Config.parse((_HEAD + text).encode(), file="page") for text in _YAML if "allow_schemes" not in text
    ]
    assert [sorted(config.stores) for config in configs] == [["default"], ["archive", "default"]]
    assert configs[1].store_for("datasets") == "archive"


def test_example_of_a_user() -> None:
    (text,) = (text for text in _YAML if "allow_schemes" in text)
    file = Path(os.environ["XDG_CONFIG_HOME"]) / "gitml/config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    settings = load_settings()
    assert settings.allow_schemes == {"sftp"}
    assert settings.cache is not None and settings.cache.limit_bytes == 20 << 30
    assert settings.options("default").profile == "work"
    assert settings.options("archive").arguments == {"username": "ada", "port": 22}


def test_variables() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "gitml").rglob("*.py"))
    for variable in set(re.findall(r"GITML_[A-Z_]*[A-Z]", PAGE)):
        assert variable in code or variable.startswith("GITML_STORE_DEFAULT_"), variable
    settings = re.findall(r"^\| `([a-z_]+)` \| `GITML_STORE_DEFAULT_([A-Z_]+)`", PAGE, re.MULTILINE)
    assert {name for name, _ in settings} == set(STORE_KEYS)
    assert all(name.upper() == variable for name, variable in settings)
