"""How often a server is asked: the numbers that the store format promises, counted before a real server."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.proxy import Proxy
from support.remote import Place, place
from support.team import git, read, write

from gitml.api import Registry, init
from gitml.model.names import Version
from gitml.registry.write.numbering import _numbers

SMALL = {f"{n % 30:02}/{n:04}.bin": random.Random(n).randbytes(8192) for n in range(1000)}


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Place:
    return place("moto", monkeypatch)


@pytest.fixture
def counted(there: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the server that the user's settings name as the store's."""
    with Proxy(there.port) as proxy:
        monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.at(proxy.port).endpoint_url)
        yield proxy


@pytest.fixture
def ours(there: Place, tmp_path: Path) -> Path:
    """A clone with a remote and a store on the server."""
    git(tmp_path, "init", "--quiet", "--bare", str(tmp_path / "r.git"))
    (tmp_path / "ours").mkdir()
    git(tmp_path / "ours", "init", "--quiet")
    init(tmp_path / "ours", store=there.url, remote=str(tmp_path / "r.git"))
    return tmp_path / "ours"


def taken(proxy: Proxy) -> list[tuple[bytes, bytes]]:
    """Requests since the last time."""
    requests = list(proxy.log)
    proxy.log.clear()
    return requests


def puts(requests: list[tuple[bytes, bytes]], prefix: bytes) -> int:
    return sum(1 for verb, path in requests if verb == b"PUT" and prefix in path)


def listings(requests: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [path for verb, path in requests if b"list-type=2" in path and b"condemned" not in path]


def forget_cache(environment: dict[str, str]) -> None:
    shutil.rmtree(environment["XDG_CACHE_HOME"], ignore_errors=True)


def test_register_and_push(counted: Proxy, ours: Path, tmp_path: Path) -> None:
    """A new store, then one that is known; files for reviewers cost nothing more."""
    for number in range(2):
        files = {path: b"%d" % number + data for path, data in SMALL.items()}
        files |= {"README.md": b"about %d\n" % number, "more.json": b"{}\n", "no-text.json": b"\xff\0"}
        data = write(tmp_path / f"data{number}", files)
        taken(counted)
        registry = Registry(ours)
        registry.register(f"datasets/x{number}", str(data))
        registry.push()
        requests = taken(counted)
        segments = puts(requests, b"/segments/") or 1
        new_marker = 1 - number
        assert len(requests) <= puts(requests, b"/packs/") + segments + 6 + new_marker - 1
        assert listings(requests) == []
        folder = ours / f"datasets/x{number}/1"
        assert {path.name for path in folder.iterdir()} == {"asset.yaml", "README.md", "more.json"}
        assert (folder / "README.md").read_bytes() == files["README.md"]


def test_push_of_embedded_versions(counted: Proxy, ours: Path, tmp_path: Path) -> None:
    """The newest version that the store has is looked for, not each of them."""
    registry = Registry(ours)
    for number in range(6):
        data = write(tmp_path / "data", {"a.txt": b"%d" % number, "b.bin": SMALL["00/0000.bin"]})
        registry.register("datasets/x", str(data), offline=number > 0)
    registry.push()
    requests = taken(counted)
    assert listings(requests) == []
    assert len(requests) <= 7 + 5 * (8 + 1)  # whether the version is there is one more
    assert puts(requests, b"/packs/") == 6


def test_get_in_a_fresh_clone(
    counted: Proxy, ours: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    registry = Registry(ours)
    data = write(tmp_path / "data", SMALL)
    registry.register("datasets/x", str(data))
    requests = taken(counted)
    packs, segments = puts(requests, b"/packs/"), puts(requests, b"/segments/")
    registry.push()
    forget_cache(environment)
    git(tmp_path, "clone", "--quiet", str(tmp_path / "r.git"), str(tmp_path / "theirs"))
    taken(counted)
    Registry(tmp_path / "theirs").get("datasets/x", str(tmp_path / "out"))
    assert len(taken(counted)) <= packs + segments + 3
    Registry(tmp_path / "theirs").get("datasets/x", str(tmp_path / "again"))
    assert len(taken(counted)) == 1  # the root, which may change
    assert read(tmp_path / "again") == read(data)


@pytest.mark.parametrize("has_cache", [True, False])
def test_the_next_version_of_a_large_file(
    counted: Proxy, ours: Path, tmp_path: Path, has_cache: bool, environment: dict[str, str]
) -> None:
    body = random.Random(1).randbytes(40 << 20)
    write(tmp_path / "data", {"large.bin": body})
    Registry(ours).register("models/x", str(tmp_path / "data"))
    packs = puts(taken(counted), b"/packs/")
    more = random.Random(2).randbytes(1 << 20)
    write(tmp_path / "data", {"large.bin": body[: 9 << 20] + more[: 64 << 10] + body[9 << 20 :] + more})
    if not has_cache:
        forget_cache(environment)
    result = Registry(ours).register("models/x", str(tmp_path / "data"))
    requests = taken(counted)
    assert result.stored_bytes < 1_400_000
    assert packs == 2
    assert len(requests) <= (8 if has_cache else 8 + packs)
    assert listings(requests) == []


def test_one_small_file_costs_the_same_in_a_store_of_any_size(
    counted: Proxy, there: Place, ours: Path, tmp_path: Path
) -> None:
    costs = []
    for number in range(3):
        if number:
            medium = there.open()
            ids = [f"{n:032x}" + f"{number:032x}" for n in range(50 * number)]
            names = [f"{kind}/{one[:2]}/{one}" for one in ids for kind in ("packs", "segments", "manifests")]
            names += [f"roots/{'0' * 8}/datasets/x/{one}" for one in ids]
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda name: medium.put(name, [b"x"]), names))  # noqa: B023
        data = write(tmp_path / "data", {f"{number}.txt": b"%d" % number})
        taken(counted)
        Registry(ours).register("datasets/x", str(data))
        Registry(ours).push()
        requests = taken(counted)
        assert listings(requests) == []
        costs.append(len(requests))
    assert costs[1] == costs[2] <= 8
    assert costs[0] <= 8


def test_numbers_that_others_took_are_passed(
    counted: Proxy, there: Place, ours: Path, tmp_path: Path
) -> None:
    """Forty roots that no fetched branch names: no listing, and not a look at each."""
    Registry(ours).register("datasets/x", str(write(tmp_path / "data", {"a": b"theirs"})))
    git(ours, "reset", "--quiet", "--hard", "HEAD~1")
    medium = there.open()
    ((root, _),) = medium.list("roots/")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: medium.put(f"{root[:-1]}{n}", [medium.get(root)]), range(2, 41)))
    taken(counted)
    data = write(tmp_path / "mine", {"a": b"mine"})
    assert str(Registry(ours).register("datasets/x", str(data)).ref) == "datasets/x@41"
    requests = taken(counted)
    assert listings(requests) == []
    assert len(requests) < 40


@pytest.mark.parametrize("first", [1, 7])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9, 100, 1000])
def test_the_first_free_number_of_a_row(first: int, count: int) -> None:
    occupied = {str(number) for number in range(first, first + count)}
    looks = []

    def is_taken(version: Version) -> bool:
        looks.append(version)
        return version.text in occupied

    claims = 0
    for version in _numbers(Version(text=str(first)), is_taken):
        claims += 1
        if version.text not in occupied:
            break
    assert version.text == str(first + count)
    assert claims <= 5
    assert len(looks) <= 2 * 10 + 2


def test_numbers_go_on_when_others_are_faster() -> None:
    numbers = _numbers(Version(text="1"), lambda version: int(version.text) < 50)
    assert [next(numbers).text for _ in range(7)] == ["1", "2", "3", "4", "50", "51", "52"]
