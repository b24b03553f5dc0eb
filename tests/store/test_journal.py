"""The journal: only whole records count, and a rooted pack leaves no record."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gitml.store.formats.pack import PackRef, encode_footer
from gitml.store.write.journal import Journal


def made(number: int) -> tuple[PackRef, bytes]:
    stored = encode_footer(hashlib.sha256(b"%d" % number).digest(), [5], [5], b"\0")
    return PackRef(
        id=stored.id, size_bytes=5 + len(stored.data) + 12, footer_bytes=len(stored.data)
    ), stored.data


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gitml" / "journal"


def test_round_trip(path: Path) -> None:
    journal = Journal(path, "here")
    packs = [made(number) for number in range(5)]
    for pack, footer in packs:
        journal.append(pack, footer)
    again = Journal(path, "here")
    assert again.packs() == [pack for pack, _ in packs]
    for pack, _ in packs:
        footer = again.footer(pack)
        assert footer is not None
        assert footer.chunks == 1


def test_stores_do_not_mix(path: Path) -> None:
    Journal(path, "here").append(*made(1))
    assert Journal(path, "there").packs() == []
    Journal(path, "there").forget({made(1)[0].id})
    assert Journal(path, "here").packs() == [made(1)[0]]


def test_torn_tails_count_for_nothing(path: Path) -> None:
    journal = Journal(path, "here")
    journal.append(*made(1))
    first = path.stat().st_size
    journal.append(*made(2))
    whole = path.read_bytes()
    for length in range(first, len(whole)):
        path.write_bytes(whole[:length])
        assert Journal(path, "here").packs() == [made(1)[0]]
    for length in range(first):
        path.write_bytes(whole[:length])
        assert Journal(path, "here").packs() == []


def test_damage_is_found(path: Path) -> None:
    journal = Journal(path, "here")
    journal.append(*made(1))
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert Journal(path, "here").packs() == []


def test_forgetting(path: Path) -> None:
    journal = Journal(path, "here")
    for number in range(4):
        journal.append(*made(number))
    journal.forget({made(1)[0].id, made(2)[0].id})
    assert journal.packs() == [made(0)[0], made(3)[0]]
    journal.append(*made(5))
    assert journal.packs() == [made(0)[0], made(3)[0], made(5)[0]]
    journal.forget({made(number)[0].id for number in range(6)})
    assert not path.exists()


def test_none_and_unwritable(tmp_path: Path) -> None:
    for path in (None, tmp_path):  # a folder is no journal
        journal = Journal(path, "here")
        journal.append(*made(1))
        assert journal.packs() == []
        assert journal.footer(made(1)[0]) is None
        journal.forget(set())


def test_many_writers(path: Path) -> None:
    def work(number: int) -> None:
        journal = Journal(path, "here")
        journal.append(*made(number))
        if number % 3 == 0:
            journal.forget({made(number)[0].id})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(90)))
    found = {pack.id for pack in Journal(path, "here").packs()}
    expected = {made(number)[0].id for number in range(90) if number % 3}
    if "GITML_TEST_NO_FLOCK" in os.environ:  # some are missed, which costs space; none is damaged
        assert found <= {made(number)[0].id for number in range(90)}
        return
    assert found == expected
