"""What a user says about the cache, and what a repository cannot say."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from support.remote import place
from support.team import read, write

from gitml.api import Registry, init
from gitml.errors import InvalidInput, UsageError
from gitml.registry.settings import load_settings
from gitml.store.media.cache import cache_usage
from gitml.store.media.cache_options import CacheOptions


def configure(environment: dict[str, str], text: str) -> None:
    write(Path(environment["XDG_CONFIG_HOME"]), {"gitml/config.yaml": text})


def options() -> CacheOptions:
    found = load_settings().cache
    assert found is not None
    return found


def test_without_a_word(environment: dict[str, str]) -> None:
    found = options()
    assert found.limit_bytes == 10 << 30
    assert found.path == Path(environment["XDG_CACHE_HOME"]) / "gitml/objects"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1", 1),
        ("123B", 123),
        ("10GiB", 10 << 30),
        ("10 GiB", 10 << 30),
        ("1.5MiB", 3 << 19),
        ("500MB", 500_000_000),
        ("2K", 2000),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, text: str, expected: int
) -> None:
    configure(environment, f"cache:\n  size: {text}\n  path: /scratch/ada\n")
    assert options() == CacheOptions(path=Path("/scratch/ada"), limit_bytes=expected)
    configure(environment, "cache:\n  size: 7GiB\n")
    monkeypatch.setenv("GITML_CACHE_SIZE", text)
    monkeypatch.setenv("GITML_CACHE_DIR", "/elsewhere")
    assert options() == CacheOptions(path=Path("/elsewhere"), limit_bytes=expected)


@pytest.mark.parametrize(
    "text",
    ["cache: 10GiB", "cache: {limit: 1}", "cache: {size: -1}", "cache: {size: lots}", "cache: {size: true}",
     "cache: {size: [1]}", "cache: {size: 1 PB}", "cache: {path: relative/folder}", "cache: {path: 7}",
     f"cache: {{size: '{'9' * 400}'}}"],
)  # fmt: skip
def test_what_is_refused(environment: dict[str, str], text: str) -> None:
    configure(environment, text + "\n")
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert caught.value.code == "bad-setting"
    assert "cache" in caught.value.message


@pytest.mark.parametrize(
    ("variable", "text"),
    [("GITML_CACHE_SIZE", "big"), ("GITML_CACHE_DIR", "here"), ("GITML_CACHE_DIR", "~/c")],
)
def test_variables_that_are_refused(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(InvalidInput, match=variable):
        load_settings()


def test_a_cache_that_others_may_write_to_is_said_and_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = place("moto", monkeypatch)
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
    monkeypatch.setenv("GITML_CACHE_DIR", str(tmp_path / "shared"))
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    init(tmp_path / "ours", store=there.url)
    data = write(tmp_path / "data", {"a": "a"})
    Registry(tmp_path / "ours").register("datasets/x", str(data))
    Registry(tmp_path / "ours").get("datasets/x", str(tmp_path / "out"))
    assert read(tmp_path / "out") == read(data)
    assert list((tmp_path / "shared").iterdir()) == []
    assert "others may write" in (cache_usage(options()).problem or "")


def test_registries_and_clones_share_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = place("moto", monkeypatch)
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
    data = write(tmp_path / "data", {"a": random.Random(1).randbytes(1_000_000)})
    for name in ("ours", "theirs"):
        init(tmp_path / name, store=there.url)
        Registry(tmp_path / name).register("datasets/x", str(data))
        Registry(tmp_path / name).get("datasets/x", str(tmp_path / f"out-{name}"))
    assert cache_usage(options()).files == 3  # the pack, its footer, and the manifest


def test_a_purge_empties_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = place("moto", monkeypatch)
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
    secret = random.Random(1).randbytes(1_000_000)
    data = write(tmp_path / "data", {"a": secret})
    init(tmp_path / "ours", store=there.url)
    registry = Registry(tmp_path / "ours")
    registry.register("datasets/x", str(data))
    registry.stores.repack()  # the cache may hold the same bytes in packs that are no longer used
    registry.get("datasets/x", str(tmp_path / "out"))
    assert cache_usage(options()).files > 0
    registry.stores.purge("datasets/x@1", dry_run=True)
    assert cache_usage(options()).files > 0
    done = registry.stores.purge("datasets/x@1")
    assert cache_usage(options()).files == 0
    assert any("caches of other users" in place for place in done.out_of_reach)


def test_a_url_of_a_configured_store_is_that_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = place("moto", monkeypatch)
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
    init(tmp_path / "ours", store=there.url)
    with pytest.raises(UsageError, match="are one store"):
        Registry(tmp_path / "ours").stores.replicate("default", there.url + "/")
