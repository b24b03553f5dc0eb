"""Where a token comes from, and which host may see it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gitml.errors import AccessDenied, InvalidInput
from gitml.forge.access import check_api_url, place_of
from gitml.forge.tokens import token_for
from gitml.forge.vendors import VENDORS

CANARY = "canary-of-a-token-7f3a"
GITHUB = VENDORS["github"]


def of(remote: str, api_url: str | None = None, kind: str = "github", confirmed: tuple[str, ...] = ()) -> str:
    place = place_of(remote)
    assert place is not None
    vendor = VENDORS[kind]
    token = token_for(vendor, place, api_url or vendor.api_url(place), confirmed=confirmed)
    assert token.value not in repr(token) and token.value not in str(token)
    return f"{token.value} of {token.source}"


@pytest.mark.parametrize("name", ["GITML_FORGE_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"])
def test_from_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f" {CANARY}\n")
    assert of("git@github.com:o/r") == f"{CANARY} of {name}"
    assert of("https://github.com/o/r.git") == f"{CANARY} of {name}"


def test_gitmls_own_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "other")
    monkeypatch.setenv("GITML_FORGE_TOKEN", CANARY)
    assert of("git@github.com:o/r").startswith(CANARY)


@pytest.mark.parametrize(
    ("remote", "api_url"),
    [
        ("git@github.com:o/r", "https://evil.example.com/api/v3"),
        ("git@github.example.com:o/r", "https://evil.example.com/api/v3"),
        ("git@github.com:o/r", "https://api.github.com.evil.example.com"),
        ("https://evil.example.com/o/r", None),
        ("https://evil.example.com/o/r", "https://evil.example.com/api/v3"),
        ("git@github.com.evil.example.com:o/r", None),
        ("https://github.com@evil.example.com/o/r", None),
    ],
)
def test_to_no_host_that_nobody_confirmed(
    monkeypatch: pytest.MonkeyPatch, remote: str, api_url: str | None
) -> None:
    for name in ("GITML_FORGE_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN"):
        monkeypatch.setenv(name, CANARY)
    with pytest.raises(AccessDenied) as caught:
        of(remote, api_url)
    assert caught.value.exit_code == 10 and caught.value.code == "forge-host-not-trusted"
    assert CANARY not in str(caught.value) + str(caught.value.hint) + str(caught.value.context)
    assert "example.com" in str(caught.value.hint)


def test_to_a_host_that_is_confirmed_or_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITML_FORGE_TOKEN", CANARY)
    own = "https://git.example.com/api/v3"
    assert of("git@git.example.com:o/r", own, confirmed=("git.example.com",)).startswith(CANARY)
    assert of("git@elsewhere.example.com:o/r", own, confirmed=("git.example.com",)).startswith(CANARY)
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example.com")
    assert of("git@git.example.com:o/r", own).startswith(CANARY)
    with pytest.raises(AccessDenied):
        of("git@elsewhere.example.com:o/r", own)


def test_from_gits_credential_helper_for_its_own_host_only(tmp_path: Path) -> None:
    store = tmp_path / "kept"
    store.write_text(f"https://ada:{CANARY}@git.example.com\n")
    subprocess.run(["git", "config", "--global", "credential.helper", f"store --file={store}"], check=True)
    assert of("git@git.example.com:o/r") == f"{CANARY} of git's credential helper"
    with pytest.raises(AccessDenied):
        of("git@other.example.com:o/r")
    with pytest.raises(AccessDenied):
        of("git@git.example.com:o/r", "https://api.evil.example.com")


def test_a_repository_names_no_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    mark = tmp_path / "mark"
    subprocess.run(
        ["git", "-C", str(tmp_path), "config", "credential.helper", f"!touch {mark}; echo"], check=True
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AccessDenied):
        of("git@github.com:o/r")
    assert not mark.exists()


def test_from_gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gh = tmp_path / "gh"
    gh.write_text(f'#!/bin/sh\n[ "$*" = "auth token --hostname github.com" ] && echo {CANARY}\n')
    gh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert of("ssh://git@ssh.github.com:443/o/r") == f"{CANARY} of gh auth token"


def test_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AccessDenied) as caught:
        of("git@github.com:o/r")
    assert caught.value.code == "no-forge-token" and "GITML_FORGE_TOKEN" in str(caught.value.hint)


@pytest.mark.parametrize("value", ["a b", "a\nX-Evil: 1", "tök", "a\x7f"])
def test_what_cannot_be_a_token(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("GITML_FORGE_TOKEN", value)
    with pytest.raises(InvalidInput) as caught:
        of("git@github.com:o/r")
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://github.example.com/api/v3", "ftp://x/y", "github.example.com", "", "https://", "file:///etc",
        "https://user:pw@github.example.com", "https://h/api?x=1", "https://h/api#x", "https://[::1", "https://h/\n",
    ],
)  # fmt: skip
def test_no_address_for_a_token(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_api_url(url)
    assert "pw" not in str(caught.value)


def test_addresses_for_a_token() -> None:
    assert check_api_url("https://h.example.com:8443/api/v3/") == "https://h.example.com:8443/api/v3"
    assert check_api_url("http://127.0.0.1:3000/api/v1") == "http://127.0.0.1:3000/api/v1"


@pytest.mark.parametrize(
    ("remote", "host", "path", "api"),
    [
        ("git@github.com:o/r.git", "github.com", "o/r", "https://api.github.com"),
        ("git@github.com/o/r", "github.com", "o/r", "https://api.github.com"),
        ("ssh://git@GitHub.example.com:2222/o/r.git/", "github.example.com", "o/r",
         "https://github.example.com/api/v3"),
        ("https://github.example.com:8443/o/r", "github.example.com", "o/r",
         "https://github.example.com:8443/api/v3"),
        ("https://contoso.ghe.com/o/r", "contoso.ghe.com", "o/r", "https://api.contoso.ghe.com"),
        ("git@[::1]:o/r", "::1", "o/r", None),
        ("https://github.com/o/r%20s", "github.com", "o/r s", None),
    ],
)  # fmt: skip
def test_places(remote: str, host: str, path: str, api: str | None) -> None:
    place = place_of(remote)
    assert place is not None and (place.host, place.path) == (host, path)
    if api is not None:
        assert GITHUB.api_url(place) == api


@pytest.mark.parametrize(
    "remote", ["/srv/x.git", "../x", "file:///srv/x", "C:/x", "x", "https://", "", "./a:b"]
)
def test_no_places(remote: str) -> None:
    assert place_of(remote) is None
