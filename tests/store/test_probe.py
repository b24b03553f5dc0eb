"""The check that users run: every real medium passes, and each broken promise is found by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.remote import SCHEMES, place

from gitml.errors import PolicyRefused, StoreUnavailable
from gitml.store.media.folder import FolderMedium
from gitml.store.media.medium import Buffers, Medium, PutOutcome
from gitml.store.media.memory import MemoryMedium
from gitml.store.media.probe import Verdict, check


@pytest.fixture(params=["folder", "memory", *SCHEMES])
def medium(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Medium:
    if request.param in SCHEMES:
        return place(request.param, monkeypatch).open()
    return MemoryMedium() if request.param == "memory" else FolderMedium(tmp_path / "store")


def test_real_media_keep_their_promises(medium: Medium) -> None:
    medium.put("packs/ab/old", [b"old"])
    found = check(medium, rounds=2, speed_bytes=1 << 20)
    assert [finding for finding in found.findings if finding.verdict is Verdict.BROKEN] == []
    assert found.usable
    assert min(found.write_bytes_per_s, found.read_bytes_per_s, found.requests_ms) > 0
    found.require()
    assert list(medium.list("")) == [("packs/ab/old", 3)]


class Everybody(MemoryMedium):
    """Tells every writer that it created."""

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        self.put(name, body)
        return PutOutcome.CREATED


class Stale(MemoryMedium):
    """Gives the first version of an object for ever."""

    def put(self, name: str, body: Buffers) -> None:
        self.put_if_absent(name, body)


class Careless(MemoryMedium):
    """Gives what is there of a range."""

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        return super().get(name)[start:end]


class Folded(MemoryMedium):
    """Knows no upper case."""

    def put(self, name: str, body: Buffers) -> None:
        super().put(name.lower(), body)

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        return super().get(name.lower(), start, end)


class Undead(MemoryMedium):
    """Deletes nothing."""

    def delete(self, name: str) -> bool:
        return self.head(name) is not None


class Torn(MemoryMedium):
    """A write is seen in halves."""

    def put(self, name: str, body: Buffers) -> None:
        whole = b"".join(body)
        if name.endswith("atomic"):
            for _ in range(100):
                super().put(name, [whole[: len(whole) // 2], b"?"])
        super().put(name, [whole])


class Inventive(MemoryMedium):
    """Lists what nobody wrote."""

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        yield from super().list(prefix)
        yield f"{prefix}nobody", 1


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (Everybody, "racing"), (Stale, "replaced"), (Careless, "ranges"), (Folded, "names"), (Undead, "deleted"),
        (Inventive, "names"),
    ],
)  # fmt: skip
def test_broken_promises_are_found(kind: type[MemoryMedium], word: str) -> None:
    found = check(kind(), rounds=3, speed_bytes=0)
    broken = [finding for finding in found.findings if finding.verdict is Verdict.BROKEN]
    assert not found.usable
    assert any(word in finding.promise for finding in broken)
    with pytest.raises(PolicyRefused) as caught:
        found.require()
    assert caught.value.code == "store-unfit"
    assert len(caught.value.context["reasons"]) == len(broken)


def test_torn_writes_are_found() -> None:
    found = check(Torn(), rounds=30, speed_bytes=0)
    assert any("whole" in finding.promise for finding in found.findings if finding.verdict is Verdict.BROKEN)


def test_a_place_that_is_not_there_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    there = place("moto", monkeypatch)
    medium = type(there)(
        there.url.replace("team-ml", "nowhere"), there.endpoint_url, there.environment, there.port
    ).open()
    with pytest.raises(StoreUnavailable):
        check(medium)
