"""What every medium promises. A new medium joins by one line in `MEDIA`, or by a server in `CLIENTS`."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.elsewhere import elsewhere
from support.remote import CLIENTS, place

from gitml.errors import IntegrityError, InvalidInput, NotFound
from gitml.store.media.folder import FolderMedium
from gitml.store.media.medium import Medium, PutOutcome
from gitml.store.media.memory import MemoryMedium

MEDIA: dict[str, Callable[[Path], Medium]] = {
    "folder": lambda path: FolderMedium(path / "a" / "store"),
    "memory": lambda path: MemoryMedium(),
}
FOLDERS = ("another file system", "no links")


@pytest.fixture(params=[*sorted(MEDIA), *FOLDERS, *CLIENTS])
def medium(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Medium]:
    if request.param in CLIENTS:
        yield place(request.param, monkeypatch).open()
    elif request.param == "another file system":
        with elsewhere(tmp_path) as folder:
            yield FolderMedium(folder / "store")
    else:
        if request.param == "no links":
            monkeypatch.setattr(os, "link", _no_link)
        yield MEDIA.get(request.param, MEDIA["folder"])(tmp_path)


def _no_link(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_is_a_medium(medium: Medium) -> None:
    assert isinstance(medium, Medium)
    assert medium.url


def test_absent(medium: Medium) -> None:
    assert medium.head("packs/ab/x") is None
    assert medium.delete("packs/ab/x") is False
    assert list(medium.list("")) == []
    assert list(medium.list("packs/")) == []
    with pytest.raises(NotFound) as caught:
        medium.get("packs/ab/x")
    assert "packs/ab/x" in caught.value.message


def test_create_once(medium: Medium) -> None:
    assert medium.put_if_absent("a/b", [b"first"]) is PutOutcome.CREATED
    assert medium.put_if_absent("a/b", [b"second!"]) is PutOutcome.EXISTS
    assert medium.get("a/b") == b"first"
    assert medium.head("a/b") == 5


def test_put_replaces(medium: Medium) -> None:
    medium.put("a/b", [b"first"])
    medium.put("a/b", [b"two"])
    assert medium.get("a/b") == b"two"


def test_parts_are_one_body(medium: Medium) -> None:
    parts = [b"a" * 3, bytearray(b"bb"), memoryview(b"xccx")[1:3], b""] * 700
    expected = b"".join(parts)
    medium.put_if_absent("many", parts)
    medium.put("again", parts)
    assert medium.get("many") == medium.get("again") == expected


def test_empty_object(medium: Medium) -> None:
    assert medium.put_if_absent("empty", []) is PutOutcome.CREATED
    assert medium.get("empty") == b""
    assert medium.head("empty") == 0


def test_ranges(medium: Medium) -> None:
    medium.put("o", [b"0123456789"])
    assert medium.get("o", 2, 5) == b"234"
    assert medium.get("o", 7) == b"789"
    assert medium.get("o", 10) == b""
    for start, end in ((0, 11), (8, 12), (11, None), (5, 4)):
        with pytest.raises(IntegrityError):
            medium.get("o", start, end)


def test_delete(medium: Medium) -> None:
    medium.put("a/b", [b"x"])
    assert medium.delete("a/b") is True
    assert medium.head("a/b") is None
    assert medium.delete("a/b") is False


def test_list(medium: Medium) -> None:
    for name, size in (("packs/aa/1", 1), ("packs/ab/2", 2), ("roots/r/models/x/1", 3)):
        medium.put(name, [b"." * size])
    assert sorted(medium.list("packs/")) == [("packs/aa/1", 1), ("packs/ab/2", 2)]
    assert sorted(medium.list("packs/ab/")) == [("packs/ab/2", 2)]
    assert sorted(medium.list("")) == [("packs/aa/1", 1), ("packs/ab/2", 2), ("roots/r/models/x/1", 3)]


@pytest.mark.parametrize(
    "name", ["", "/a", "a//b", "../a", "a/./b", ".hidden", "a/.tmp-1", "a\\b", "a/", "a\0"]
)
def test_bad_names(medium: Medium, name: str) -> None:
    for call in (medium.head, medium.get, medium.delete):
        with pytest.raises(InvalidInput):
            call(name)
    with pytest.raises(InvalidInput):
        medium.put(name, [b""])
    with pytest.raises(InvalidInput):
        medium.put_if_absent(name, [b""])


def _race(medium: Medium, name: str) -> list[tuple[PutOutcome, bytes]]:
    barrier = threading.Barrier(8)
    outcomes: list[tuple[PutOutcome, bytes]] = []

    def put(number: int) -> None:
        body = b"%d" % number * 1000
        barrier.wait()
        outcomes.append((medium.put_if_absent(name, [body]), body))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_one_winner_of_a_race(medium: Medium) -> None:
    for turn in range(20):
        outcomes = _race(medium, f"race/{turn}")
        winners = [body for outcome, body in outcomes if outcome is PutOutcome.CREATED]
        assert len(winners) == 1
        assert medium.get(f"race/{turn}") == winners[0]
