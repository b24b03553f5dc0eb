"""The folder medium: durability, faults of the operating system, links, races of processes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gitml.errors import AccessDenied, GitMLError, NoSpace, OutcomeUnknown, StoreUnavailable
from gitml.store.media.folder import FolderMedium
from gitml.store.media.medium import PutOutcome

NAME = "packs/ab/abcd"


@pytest.fixture
def medium(tmp_path: Path) -> FolderMedium:
    return FolderMedium(tmp_path / "store")


def leftovers(medium: FolderMedium) -> list[str]:
    return [str(path) for path in medium.path.rglob("*") if path.name.startswith(".")]


def trace(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Log the calls that durability is made of, with the kind of file that each fsync flushes."""
    log: list[str] = []

    def spy(name: str) -> None:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            label = name
            if name == "fsync":
                label += " folder" if os.path.isdir(f"/proc/self/fd/{args[0]}") else " file"
            log.append(label)
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    for name in ("writev", "fsync", "link", "rename", "unlink"):
        spy(name)
    return log


def test_create_order(medium: FolderMedium, monkeypatch: pytest.MonkeyPatch) -> None:
    medium.put_if_absent("packs/ab/first", [b"x"])
    log = trace(monkeypatch)
    medium.put_if_absent(NAME, [b"x"])
    assert log == ["writev", "fsync file", "link", "unlink", "fsync folder"]


def test_replace_order(medium: FolderMedium, monkeypatch: pytest.MonkeyPatch) -> None:
    medium.put_if_absent("packs/ab/first", [b"x"])
    log = trace(monkeypatch)
    medium.put(NAME, [b"x"])
    assert [call for call in log if call != "unlink"] == ["writev", "fsync file", "rename", "fsync folder"]


def test_new_folders_are_flushed(medium: FolderMedium, monkeypatch: pytest.MonkeyPatch) -> None:
    log = trace(monkeypatch)
    medium.put_if_absent(NAME, [b"x"])
    # the store's parent for the store, the store for packs, packs for ab, ab for the object
    assert log.count("fsync folder") == 4


def test_exists_is_made_durable(medium: FolderMedium, monkeypatch: pytest.MonkeyPatch) -> None:
    medium.put_if_absent(NAME, [b"x"])
    log = trace(monkeypatch)
    assert medium.put_if_absent(NAME, [b"x"]) is PutOutcome.EXISTS
    assert log == ["fsync folder"]


def test_temporary_files_are_invisible(medium: FolderMedium) -> None:
    medium.put(NAME, [b"x"])
    (medium.path / "packs/ab/.tmp-0011").write_bytes(b"left by a crash")
    assert list(medium.list("")) == [(NAME, 1)]


@pytest.mark.parametrize(("verb", "call", "right"), [("get", "open", "read"), ("delete", "unlink", "write")])
def test_the_right_that_is_missing_is_named(
    medium: FolderMedium, monkeypatch: pytest.MonkeyPatch, verb: str, call: str, right: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    medium.put(NAME, [b"x"])
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(AccessDenied) as caught:
        getattr(medium, verb)(NAME)
    assert caught.value.hint == f"get the right to {right} {medium.path}"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EFBIG, NoSpace),
        (errno.EACCES, AccessDenied),
        (errno.EPERM, AccessDenied),
        (errno.EROFS, AccessDenied),
        (errno.EIO, StoreUnavailable),
        (errno.ESTALE, StoreUnavailable),
        (errno.ETIMEDOUT, StoreUnavailable),
        (errno.EMFILE, StoreUnavailable),
    ],
)
@pytest.mark.parametrize("call", ["writev", "fsync", "open", "mkdir"])
@pytest.mark.parametrize("verb", ["put", "put_if_absent"])
def test_faults_of_writing(
    medium: FolderMedium,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    error: type[GitMLError],
    call: str,
    verb: str,
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(error) as caught:
            getattr(medium, verb)("packs/zz/new" if call == "mkdir" else NAME, [b"x" * 123])
    assert type(caught.value) is error
    assert str(medium.path) in caught.value.message
    if error is NoSpace and call != "mkdir":
        assert "123 bytes" in caught.value.message
    assert medium.head(NAME) is None
    assert leftovers(medium) == []
    assert getattr(medium, verb)(NAME, [b"x"]) in (None, PutOutcome.CREATED)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_failed_rename_leaves_the_old(
    medium: FolderMedium, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    medium.put(NAME, [b"old"])

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        with pytest.raises(GitMLError):
            medium.put(NAME, [b"new"])
    assert medium.get(NAME) == b"old"
    assert leftovers(medium) == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_links(medium: FolderMedium, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", fail)
    assert medium.put_if_absent(NAME, [b"first"]) is PutOutcome.CREATED
    assert medium.put_if_absent(NAME, [b"second"]) is PutOutcome.EXISTS
    assert medium.get(NAME) == b"first"
    assert list(medium.list("")) == [(NAME, 5)]


def test_without_links_a_dead_writer_is_in_nobodys_way(
    medium: FolderMedium, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed when its turn had come: the next writer finds its object, and gives it its name."""
    medium.put("packs/ab/other", [b""])
    claim = medium.path / "packs/ab/.claim-abcd"
    claim.mkdir()
    (claim / ".tmp-dead").write_bytes(b"of the dead")
    assert list(medium.leftovers()) == [("packs/ab/.claim-abcd/.tmp-dead", 11)]
    monkeypatch.setattr(os, "link", _no_links)
    assert medium.put_if_absent(NAME, [b"of the living"]) is PutOutcome.EXISTS
    assert medium.get(NAME) == b"of the dead"
    assert medium.delete(NAME)
    assert medium.put_if_absent(NAME, [b"of the living"]) is PutOutcome.CREATED
    assert leftovers(medium) == []


def test_claims_of_the_dead_are_left_overs(medium: FolderMedium) -> None:
    medium.put("packs/ab/other", [b""])
    for number, folder in enumerate(("packs/ab/.claim-abcd", "packs/ab/.tmp-0123-claim")):
        (medium.path / folder).mkdir()
        (medium.path / folder / f".tmp-{number}").write_bytes(b"x")
    found = [name for name, _ in medium.leftovers()]
    assert len(found) == 2
    assert all(medium.delete_leftover(name) for name in found)
    assert leftovers(medium) == []


def _no_links(*_: Any, **__: Any) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_link_whose_reply_was_lost(medium: FolderMedium, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def link_then_fail(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        raise OSError(errno.ETIMEDOUT, "timed out")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", link_then_fail)
        assert medium.put_if_absent(NAME, [b"x"]) is PutOutcome.CREATED

    def link_twice(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        real(*args, **kwargs)

    monkeypatch.setattr(os, "link", link_twice)
    assert medium.put_if_absent("packs/ab/other", [b"x"]) is PutOutcome.CREATED


def test_link_without_effect(medium: FolderMedium, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OutcomeUnknown):
        medium.put_if_absent(NAME, [b"x"])
    assert medium.head(NAME) is None


@pytest.mark.parametrize("verb", ["put", "put_if_absent", "delete", "get"])
def test_a_root_that_is_swapped_in_mid_call_is_still_the_same(
    medium: FolderMedium, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another folder, or a link to one, takes the store's path once a call has begun: the call stays where it was."""
    medium.put("packs/ab/there", [b"ours"])
    outside, real, was = tmp_path / "outside", FolderMedium._open_top, tmp_path / "was"
    (outside / "packs/ab").mkdir(parents=True)
    (outside / "packs/ab/there").write_bytes(b"theirs")

    def swapped(self: FolderMedium, **how: bool) -> int:
        handle = real(self, **how)
        if not was.exists():
            self.path.rename(was)
            self.path.symlink_to(outside)
        return handle

    monkeypatch.setattr(FolderMedium, "_open_top", swapped)
    if verb == "put":
        medium.put(NAME, [b"body"])
    elif verb == "put_if_absent":
        assert medium.put_if_absent(NAME, [b"body"]) is PutOutcome.CREATED
    elif verb == "delete":
        assert medium.delete("packs/ab/there")
    else:
        assert medium.get("packs/ab/there") == b"ours"
    assert (outside / "packs/ab/there").read_bytes() == b"theirs"
    assert [path for path in outside.rglob("*") if path.is_file()] == [outside / "packs/ab/there"]
    left = {path.name for path in was.rglob("*") if path.is_file()}
    expected = {"delete": set(), "get": {"there"}}.get(verb, {"there", NAME.rpartition("/")[2]})
    assert left == expected


@pytest.mark.parametrize("where", ["packs", "packs/ab", NAME])
def test_links_are_refused(medium: FolderMedium, tmp_path: Path, where: str) -> None:
    outside = tmp_path / "outside"
    (outside / "ab").mkdir(parents=True)
    (outside / "ab/abcd").write_bytes(b"secret")
    medium.put("other", [b""])
    place = medium.path / where
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to({"packs": outside, "packs/ab": outside / "ab", NAME: outside / "ab/abcd"}[where])
    for call in (medium.head, medium.get):
        with pytest.raises(AccessDenied):
            call(NAME)
    assert list(medium.list("packs/")) == []
    if where == NAME:
        medium.put(NAME, [b"mine"])  # replaces the link, not what it points to
    else:
        with pytest.raises(AccessDenied):
            medium.put(NAME, [b"mine"])
    assert (outside / "ab/abcd").read_bytes() == b"secret"


def test_no_regular_file(medium: FolderMedium) -> None:
    medium.put("packs/other", [b""])
    os.mkfifo(medium.path / "packs/fifo")
    (medium.path / "packs/folder").mkdir()
    for name in ("packs/fifo", "packs/folder"):
        with pytest.raises(AccessDenied):
            medium.get(name)
        with pytest.raises(AccessDenied):
            medium.head(name)


def test_partial_writes(medium: FolderMedium, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda handle, parts: real(handle, [memoryview(parts[0])[:7]]))
    body = [bytes([number]) * number for number in range(1, 60)]
    medium.put_if_absent(NAME, body)
    assert medium.get(NAME) == b"".join(body)


_RACER = """
import os, sys
from pathlib import Path
from gitml.store.media.folder import FolderMedium
def no_links(*_, **__):
    raise OSError(95, "not supported")
if sys.argv[3] == "no links":
    os.link = no_links
medium = FolderMedium(sys.argv[1])
sys.stdin.readline()
for turn in range(50):
    print(medium.put_if_absent(f"race/{turn}", [sys.argv[2].encode() * 5000]).value)
"""


@pytest.mark.parametrize("links", ["links", "no links"])
def test_one_winner_among_processes(medium: FolderMedium, links: str) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, str(medium.path), str(number), links],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for number in range(4)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = [racer.communicate()[0].split() for racer in racers]
    for turn in range(50):
        winners = [number for number, lines in enumerate(outputs) if lines[turn] == "created"]
        assert len(winners) == 1
        assert medium.get(f"race/{turn}") == str(winners[0]).encode() * 5000
    assert leftovers(medium) == []
