"""Every test runs in a world of its own: home, git configuration, locale, time zone and environment."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.register_profile(
    "nightly", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile(os.environ.get("GITML_TEST_PROFILE", "suite"))

# What is started in the background may have been told to ignore Ctrl-C, and would tell its children so.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_KEPT = {"PATH", "TMPDIR", "TERM", "LD_LIBRARY_PATH"}
_NO_FLOCK = Path(__file__).parent / "support/no_flock"
if os.environ.get(
    "GITML_TEST_NO_FLOCK"
):  # nothing may depend on locks of files: the suite runs without them, too
    _spec = importlib.util.spec_from_file_location("no_flock", _NO_FLOCK / "sitecustomize.py")
    assert _spec is not None and _spec.loader is not None
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))


def isolated_environment(home: Path) -> dict[str, str]:
    """Environment of a person who has nothing configured but a name."""
    home.mkdir(parents=True, exist_ok=True)
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ada Example\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n"
    )
    environment = {name: value for name, value in os.environ.items() if name in _KEPT}
    if os.environ.get("GITML_TEST_NO_FLOCK"):
        environment["PYTHONPATH"] = str(_NO_FLOCK)
    return environment | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


@pytest.fixture(autouse=True)
def environment(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """Replace the process environment by an isolated one, and give it for child processes."""
    isolated = isolated_environment(tmp_path_factory.mktemp("home"))
    for name in list(os.environ):
        if name not in isolated and not name.startswith(("PYTEST", "COV", "GITML_TEST", "GITML_REQUIRE")):
            monkeypatch.delenv(name)
    for name, value in isolated.items():
        monkeypatch.setenv(name, value)
    yield isolated
