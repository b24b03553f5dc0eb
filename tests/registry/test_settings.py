"""What a user allows and remembers on a machine: schemes, arguments of their clients, and what checks found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.gitrepos import git
from support.team import write

from gitml.api import Registry, init
from gitml.errors import InvalidInput, PolicyRefused
from gitml.registry.settings import CheckedStores, TrustedStores, load_settings

URL = "sftp://127.0.0.1:1/srv/store"


def said(text: str) -> None:
    file = Path(os.environ["XDG_CONFIG_HOME"]) / "gitml/config.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_schemes_of_the_file_and_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().allow_schemes == frozenset()
    said("allow_schemes: [sftp, gs]\n")
    assert load_settings().allow_schemes == {"sftp", "gs"}
    monkeypatch.setenv("GITML_ALLOW_SCHEMES", "oss, sftp")
    assert load_settings().allow_schemes == {"oss", "sftp"}
    monkeypatch.setenv("GITML_ALLOW_SCHEMES", "")
    assert load_settings().allow_schemes == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "allow_schemes: sftp", "allow_schemes: [1]", "allow_schemes: {sftp: true}", "allow_schemes: [http]",
        "allow_schemes: [memory]", "allow_schemes: ['a::b']", "allow_schemes: ['*']", "- sftp", "stores: []",
        "stores: {far: {options: x}}", "stores: {far: {password: x}}", "store: {far: {url: /x}}",
    ],
)  # fmt: skip
def test_malformed_files(text: str) -> None:
    said(text + "\n")
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert caught.value.code == "bad-setting"
    assert "config.yaml" in caught.value.message


@pytest.mark.parametrize("text", ["", "\n", "# allow_schemes: [sftp]\n", "  # nothing yet\n\n#\n"])
def test_a_file_that_says_nothing(text: str) -> None:
    said(text)
    assert load_settings().allow_schemes == frozenset()


@pytest.mark.parametrize("value", ["http", "sftp::x", "../x", "s3://b", "simplecache"])
def test_malformed_variables(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITML_ALLOW_SCHEMES", value)
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert "GITML_ALLOW_SCHEMES" in caught.value.message


def test_arguments_of_a_client_are_not_shown() -> None:
    said("stores: {far: {options: {password: SuperSecret1, port: 22}}}\n")
    settings = load_settings()
    assert settings.options("far").arguments == {"password": "SuperSecret1", "port": 22}
    assert "SuperSecret1" not in repr(settings)


def test_a_repository_cannot_allow_a_scheme(tmp_path: Path) -> None:
    init(tmp_path / "ours")
    file = tmp_path / "ours/gitml.yaml"
    file.write_text(file.read_text() + f"allow_schemes: [sftp]\nstores: {{default: {{url: '{URL}'}}}}\n")
    git(tmp_path / "ours", "commit", "-qam", "stores")
    with pytest.raises(InvalidInput) as caught:
        Registry(tmp_path / "ours").register("datasets/x", str(write(tmp_path / "data", {"a": "1\n"})))
    assert caught.value.code == "bad-store-url"


def test_only_a_place_that_was_found_fit_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITML_ALLOW_SCHEMES", "sftp")
    monkeypatch.setenv("GITML_TIMEOUT_S", "1")
    init(tmp_path / "ours", store=URL)
    registry, data = Registry(tmp_path / "ours"), str(write(tmp_path / "data", {"a": "1\n"}))

    def refused() -> str:
        with pytest.raises(PolicyRefused) as caught:
            registry.register("datasets/x", data)
        assert caught.value.hint == f"gitml store check {URL}"
        with pytest.raises(PolicyRefused):
            registry.stores.replicate("embedded", f"{URL}/")
        return caught.value.code

    assert refused() == "store-unchecked"
    CheckedStores().remember(URL, fit=False)
    assert refused() == "store-unfit"
    CheckedStores().remember(f"{URL}/other", fit=True)
    assert refused() == "store-unfit"


def test_memories_lie_apart() -> None:
    assert TrustedStores().remember("repo", "default", "s3://b/x")
    assert CheckedStores().remember(URL, fit=True)
    assert (CheckedStores().is_fit(URL), CheckedStores().is_fit("sftp://other/x")) == (True, None)
    assert TrustedStores().location("repo", "default") == "s3://b/x"
    state = Path(os.environ["XDG_STATE_HOME"]) / "gitml"
    assert sorted(path.name for path in state.iterdir()) == ["checked-stores.json", "trusted-stores.json"]
    (state / "checked-stores.json").write_text("{")
    with pytest.raises(InvalidInput):
        CheckedStores().is_fit(URL)
