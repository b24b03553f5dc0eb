"""Faults at every call: nothing acknowledged is lost, no root dangles, and the same call again completes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.store import Died, Fault, FaultyMedium, MadeSource, When, key, noise, reachable, text

from gitml.errors import GitMLError, NoSpace, OutcomeUnknown
from gitml.store.formats.root import decode_root
from gitml.store.media import layout
from gitml.store.media.folder import FolderMedium
from gitml.store.media.medium import Medium
from gitml.store.media.memory import MemoryMedium
from gitml.store.store import Claimed, Store
from gitml.store.write.packing import PACK_BYTES

OLD = {"kept": noise(200_000, 1), "w": noise(500_000, 2)}
NEW = {"kept": OLD["kept"], "w": OLD["w"][:250_000] + text(99_000, 3) + OLD["w"][250_000:], "x": noise(1, 4)}


def register(medium: Medium, contents: dict[str, bytes], version: str, journal: Path | None = None) -> None:
    store = Store(medium, journal=journal, jobs=2)
    earlier = store.root(key("1"))
    written = store.write(MadeSource(contents), earlier=[earlier] if earlier else [])
    assert isinstance(store.claim(key(version), written), Claimed)


def check_world(medium: Medium, known: dict[str, dict[str, bytes]]) -> None:
    """Each version that stands is whole and right; those that were acknowledged stand."""
    store = Store(medium)
    for found, root in store.all_roots():
        assert store.missing(root) == []
        assert reachable(medium, found.name) == known[found.id.version.text]


def calls_of(contents: dict[str, bytes]) -> int:
    medium = FaultyMedium(prepared())
    register(medium, contents, "2")
    return medium.calls


def prepared() -> MemoryMedium:
    medium = MemoryMedium()
    register(medium, OLD, "1")
    return medium


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("error", [None, Died], ids=["fails", "dies"])
def test_fault_at_every_call(
    tmp_path: Path, when: When, sticky: bool, error: type[BaseException] | None
) -> None:
    count = calls_of(NEW)
    assert count > 5
    for call in range(1, count + 1):
        medium = prepared()
        faulty = FaultyMedium(medium, Fault(call, when, sticky, error))
        journal = tmp_path / f"journal-{call}"
        acknowledged = False
        try:
            register(faulty, NEW, "2", journal)
            acknowledged = True
        except (GitMLError, Died) as failure:
            assert isinstance(failure, Died) == (error is not None)
        check_world(medium, {"1": OLD, "2": NEW})
        if acknowledged:
            assert reachable(medium, key("2").name) == NEW
        register(medium, NEW, "2", journal)
        check_world(medium, {"1": OLD, "2": NEW})
        assert reachable(medium, key("1").name) == OLD
        assert reachable(medium, key("2").name) == NEW
        assert not journal.exists()


def test_a_lost_reply_is_resolved_by_looking() -> None:
    writes = frozenset({"put_if_absent"})
    for call in range(1, 5):
        medium = MemoryMedium()
        register(FaultyMedium(medium, Fault(call, When.AFTER, only=writes)), NEW, "2")
        assert reachable(medium, key("2").name) == NEW


def test_a_lost_reply_that_cannot_be_looked_up_is_unknown() -> None:
    medium = MemoryMedium()
    faulty = FaultyMedium(
        medium, Fault(1, When.AFTER, sticky=True, only=frozenset({"put_if_absent", "head"}))
    )
    with pytest.raises((OutcomeUnknown, GitMLError)) as caught:
        register(faulty, NEW, "2")
    assert caught.value.exit_code in (7, 8)
    assert all(verb != "delete" for verb, _ in faulty.log)


def test_a_rerun_sends_no_pack_twice(tmp_path: Path) -> None:
    contents = {"a": noise(2 * PACK_BYTES + 5_000_000, 1), "b": b"1"}
    medium = MemoryMedium()
    first = FaultyMedium(medium, Fault(1, error=Died, only=frozenset({"manifest"})))
    puts = frozenset({"put_if_absent"})
    first.fault = Fault(4, error=Died, sticky=True, only=puts)  # marker, two packs, then the end
    journal = tmp_path / "journal"
    with pytest.raises(Died):
        register(first, contents, "1", journal)
    assert len(list(medium.list(layout.PACKS))) == 2
    again = FaultyMedium(medium)
    store = Store(again, journal=journal)
    written = store.write(MadeSource(contents))
    assert written.stats.new_bytes < PACK_BYTES
    assert written.stats.packs == 1
    store.claim(key(), written)
    assert reachable(medium, key().name) == contents
    assert not journal.exists()


def test_journaled_packs_that_are_gone_are_written_again(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    medium = MemoryMedium()
    Store(medium, journal=journal).write(MadeSource(OLD))
    for name, _ in list(medium.list(layout.PACKS)):
        medium.delete(name)
    register(medium, OLD, "1", journal)
    assert reachable(medium, key("1").name) == OLD


def test_fault_of_every_system_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space, in turn at each write, flush, link and new folder."""
    names = ("writev", "fsync", "link", "mkdir", "rename")
    for call in range(1, 200):
        folder = tmp_path / f"store-{call}"
        register(FolderMedium(folder), OLD, "1")
        seen = 0

        def strike(name: str, real: Any, limit: int = call) -> Any:
            def run(*args: Any, **kwargs: Any) -> Any:
                nonlocal seen
                seen += 1
                if seen == limit:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return real(*args, **kwargs)

            return run

        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(os, name, strike(name, getattr(os, name)))
            try:
                register(FolderMedium(folder), NEW, "2")
                reached_end = seen < call
            except NoSpace as error:
                reached_end = False
                assert str(folder) in error.message
                assert error.exit_code == 11
        check_world(FolderMedium(folder), {"1": OLD, "2": NEW})
        register(FolderMedium(folder), NEW, "2")
        assert reachable(FolderMedium(folder), key("2").name) == NEW
        assert list(folder.rglob(".*")) == []
        if reached_end:
            return
    pytest.fail("the write never ended")


def test_a_read_only_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "store"
    register(FolderMedium(folder), OLD, "1")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OSError(errno.EROFS, "Read-only file system")

    real = os.open

    def open_to_read(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            refuse()
        return real(path, flags, *args, **kwargs)

    with monkeypatch.context() as patch:
        for name in ("mkdir", "link", "rename", "unlink"):
            patch.setattr(os, name, refuse)
        patch.setattr(os, "open", open_to_read)
        with pytest.raises(GitMLError) as caught:
            register(FolderMedium(folder), NEW, "2")
        assert caught.value.exit_code == 10
        assert reachable(FolderMedium(folder), key("1").name) == OLD
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_roots_are_read_as_they_stand() -> Iterator[None] | None:
    medium = prepared()
    root = decode_root(medium.get(key("1").name), "it")
    assert Store(medium).root(key("1")) == root
    return None
