"""The cache of remote stores: what it saves, how large it becomes, and that nothing in it is believed."""

from __future__ import annotations

import os
import random
import resource
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from support.crafted import Crafted
from support.trees import LABEL, CountingMedium, DictSource, fetched, opened, stored, streamed

from gitml.errors import IntegrityError
from gitml.store.formats.codec import compress_chunk
from gitml.store.formats.root import Root
from gitml.store.media.cache import Cache, Kind, cache_for, cache_usage
from gitml.store.media.cache_options import CacheOptions
from gitml.store.media.folder import FolderMedium
from gitml.store.media.memory import MemoryMedium
from gitml.store.read.packs import PackReader
from gitml.store.read.reader import TreeReader
from gitml.store.store import Store

DRAW = random.Random(11)
WORDS = [b"%06x step of the layer\n" % DRAW.getrandbits(24) for _ in range(3000)]
TREE = {f"d/{n:03}": DRAW.randbytes(9_000) for n in range(150)} | {
    "README.md": b"about\n",
    "empty": b"",
    "large.bin": DRAW.randbytes(3 << 20),
    "words.txt": b"".join(WORDS) * 4,
}
LIMIT = 1 << 30


class RemoteMedium(CountingMedium):
    """A medium that can read into memory that it is given, as those of servers do."""

    def get_into(self, name: str, buffer: memoryview) -> int:
        data = self.get(name)
        buffer[: len(data)] = data
        return len(data)


@pytest.fixture(scope="module")
def tree() -> tuple[MemoryMedium, Root]:
    medium = MemoryMedium()
    return medium, stored(TREE, medium)[1]


@pytest.fixture(params=[CountingMedium, RemoteMedium])
def remote(request: pytest.FixtureRequest, tree: tuple[MemoryMedium, Root]) -> CountingMedium:
    medium: CountingMedium = request.param(tree[0])
    return medium


def reader(remote: CountingMedium, root: Root, folder: Path, limit: int = LIMIT) -> TreeReader:
    cache = Cache(CacheOptions(path=folder, limit_bytes=limit)) if limit else None
    return TreeReader(remote, root, label=LABEL, cache=cache)


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


READS: Mapping[str, Callable[[TreeReader], dict[str, bytes]]] = {
    "fetch": fetched, "stream": streamed, "open": opened,
}  # fmt: skip


@pytest.mark.parametrize("way", READS)
def test_what_was_fetched_is_not_asked_for_again(
    tree: tuple[MemoryMedium, Root], remote: CountingMedium, tmp_path: Path, way: str
) -> None:
    assert fetched(reader(remote, tree[1], tmp_path / "c")) == TREE
    remote.calls.clear()
    assert READS[way](reader(remote, tree[1], tmp_path / "c")) == TREE
    assert remote.calls == []


def test_one_file_leaves_the_footer_of_its_pack(
    tree: tuple[MemoryMedium, Root], remote: CountingMedium, tmp_path: Path
) -> None:
    def requests() -> int:
        remote.calls.clear()
        with reader(remote, tree[1], tmp_path / "c").open("d/007") as file:
            assert file.read() == TREE["d/007"]
        return len(remote.calls)

    assert (requests(), requests()) == (3, 1)  # the manifest holds the only segment
    assert {path.parent.name for path in files_in(tmp_path / "c")} == {"footers", "manifests"}


def test_files_and_folders_are_for_their_user_alone(
    tree: tuple[MemoryMedium, Root], remote: CountingMedium, tmp_path: Path
) -> None:
    umask = os.umask(0)
    try:
        fetched(reader(remote, tree[1], tmp_path / "c"))
    finally:
        os.umask(umask)
    modes = {oct(path.stat().st_mode & 0o777) for path in [tmp_path / "c", *(tmp_path / "c").rglob("*")]
             if path.is_dir()}  # fmt: skip
    assert modes == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in files_in(tmp_path / "c")} == {"0o600"}


def flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 0x41]) + body[at + 1 :]


def every_1000th(body: bytes) -> bytes:
    found = bytearray(body)
    found[::1000] = bytes(byte ^ 1 for byte in found[::1000])
    return bytes(found)


SPOILT: Mapping[str, Callable[[bytes], bytes]] = {
    "first byte": lambda body: flipped(body, 0),
    "last byte": lambda body: flipped(body, len(body) - 1),
    "middle": lambda body: flipped(body, len(body) // 2),
    "footer": lambda body: flipped(body, len(body) - 40),
    "every 1000th byte": every_1000th,
    "one byte short": lambda body: body[:-1],
    "half": lambda body: body[: len(body) // 2],
    "empty": lambda _: b"",
    "longer": lambda body: body + b"x",
    "zeros": lambda body: bytes(len(body)),
    "another": lambda body: b"planted" * (len(body) // 7) + b"p" * (len(body) % 7),
}


@pytest.mark.parametrize("way", READS)
@pytest.mark.parametrize("kind", SPOILT)
def test_what_is_wrong_in_it_is_read_from_the_store(
    tree: tuple[MemoryMedium, Root], remote: CountingMedium, tmp_path: Path, way: str, kind: str
) -> None:
    """Whatever lies there: the right bytes, the wrong file thrown away, and the next reader finds all in order."""
    fetched(reader(remote, tree[1], tmp_path / "c"))
    right = {path: path.read_bytes() for path in files_in(tmp_path / "c")}
    for path, body in right.items():
        path.write_bytes(SPOILT[kind](body))
    spoilt = reader(remote, tree[1], tmp_path / "c")
    assert READS[way](spoilt) == TREE
    cache = spoilt.packs.cache
    assert cache is not None
    assert cache.healed >= 2
    assert fetched(reader(remote, tree[1], tmp_path / "c")) == TREE
    remote.calls.clear()
    assert fetched(reader(remote, tree[1], tmp_path / "c")) == TREE
    assert remote.calls == []


def test_bytes_that_were_found_wrong_are_not_given_at_the_second_attempt() -> None:
    """A chunk that decodes, to other bytes than its id says: refused as often as it is asked for."""
    crafted = Crafted()
    wrong = compress_chunk(b"b" * 1000)
    body = PackReader(crafted.medium).load_span(
        crafted.pack([b"a" * 1000], compress=[0], stored={0: wrong}), 0, 1
    )
    for _ in range(3):
        with pytest.raises(IntegrityError):
            body.chunk(0)


def test_wrong_bytes_of_the_store_are_an_error_still(tree: tuple[MemoryMedium, Root], tmp_path: Path) -> None:
    medium, root = MemoryMedium(), tree[1]
    for name, _ in tree[0].list(""):
        body = tree[0].get(name)
        medium.put(name, [flipped(body, len(body) // 2) if name.startswith("packs/") else body])
    for _ in range(2):
        with pytest.raises(IntegrityError):
            fetched(reader(RemoteMedium(medium), root, tmp_path / "c"))
    assert fetched(reader(RemoteMedium(tree[0]), root, tmp_path / "c")) == TREE


def test_something_that_is_no_file_is_passed_over(
    tree: tuple[MemoryMedium, Root], remote: CountingMedium, tmp_path: Path
) -> None:
    fetched(reader(remote, tree[1], tmp_path / "c"))
    (tmp_path / "outside").write_bytes(b"x")
    for number, path in enumerate(files_in(tmp_path / "c")):
        path.unlink()
        if number % 3 == 0:
            os.mkfifo(path)
        elif number % 3 == 1:
            path.symlink_to(tmp_path / "outside")
        else:
            path.mkdir()
    assert fetched(reader(remote, tree[1], tmp_path / "c")) == TREE
    assert (tmp_path / "outside").read_bytes() == b"x"


# -- its size


def kept(cache: Cache) -> set[str]:
    return {path.name[:2] for path in files_in(cache.options.path)}


def name(number: int) -> str:
    return f"{number:02x}" * 32


def test_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    cache = Cache(CacheOptions(path=tmp_path / "c", limit_bytes=1 << 20))
    for number in range(7):
        cache.keep(Kind.PACK, name(number), [bytes(128 << 10)])
        os.utime(tmp_path / "c" / "packs" / name(number), (number, number))
    assert kept(cache) == {f"{n:02x}" for n in range(7)}  # seven eighths
    assert cache.read_ranges(Kind.PACK, name(0), [(0, 1)])  # used, so that 1 and 2 are the oldest
    cache.keep(Kind.PACK, name(7), [bytes(128 << 10)])
    assert kept(cache) == {"00", "03", "04", "05", "06", "07"}


@pytest.mark.parametrize("seed", range(5))
def test_it_stays_below_its_limit(tmp_path: Path, seed: int) -> None:
    draw, limit = random.Random(seed), 4 << 20
    cache = Cache(CacheOptions(path=tmp_path / "c", limit_bytes=limit))
    for number in range(300):
        kind = draw.choice(list(Kind))
        cache.keep(kind, name(draw.randrange(256)), [bytes(draw.randrange(1, 300_000))])
        if number % 10 == 0:
            assert cache.usage().used_bytes <= limit


def test_a_limit_of_nothing_keeps_nothing(
    tree: tuple[MemoryMedium, Root], remote: CountingMedium, tmp_path: Path
) -> None:
    options = CacheOptions(path=tmp_path / "c", limit_bytes=0)
    assert cache_for(remote, options) is None
    assert fetched(TreeReader(remote, tree[1], cache=Cache(options))) == TREE
    assert not (tmp_path / "c").exists()
    assert cache_usage(options).files == 0


def test_a_folder_needs_none(tmp_path: Path) -> None:
    options = CacheOptions(path=tmp_path / "c")
    assert cache_for(FolderMedium(tmp_path / "s"), options) is None
    assert cache_for(MemoryMedium(), options) is not None


def test_one_read_fills_half_of_it_at_most(tmp_path: Path) -> None:
    contents = {f"{n}.bin": random.Random(n).randbytes(30 << 20) for n in range(4)}
    store, root = stored(contents)
    remote, limit = CountingMedium(store.medium), 140 << 20
    for expected in (4, 2, 0):  # of four packs two fit into half of the cache
        remote.calls.clear()
        assert fetched(reader(remote, root, tmp_path / "c", limit)).keys() == contents.keys()
        assert len([name for _, name in remote.calls if name.startswith("packs/")]) == expected


def test_what_killed_processes_left_goes(tmp_path: Path) -> None:
    cache = Cache(CacheOptions(path=tmp_path / "c", limit_bytes=1 << 20))
    cache.keep(Kind.PACK, name(1), [bytes(128 << 10)])
    old, young, foreign = (
        tmp_path / "c/packs" / one for one in (".tmp-" + "0" * 16, ".tmp-" + "1" * 16, "mine")
    )
    for path in (old, young, foreign):
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    os.utime(foreign, (1, 1))
    cache.keep(Kind.PACK, name(2), [bytes(128 << 10)])
    assert [path.exists() for path in (old, young, foreign)] == [False, True, True]


def test_usage_says_what_is_there(tmp_path: Path) -> None:
    options = CacheOptions(path=tmp_path / "c", limit_bytes=1 << 20)
    assert cache_usage(options).used_bytes == 0
    Cache(options).keep(Kind.SEGMENT, name(1), [b"x" * 5000])
    usage = cache_usage(options)
    assert (usage.files, usage.used_bytes, usage.limit_bytes, usage.problem) == (1, 8192, 1 << 20, None)


def test_everything_can_be_let_go(tmp_path: Path) -> None:
    options = CacheOptions(path=tmp_path / "c", limit_bytes=1 << 20)
    cache = Cache(options)
    for number, kind in enumerate(Kind):
        cache.keep(kind, name(number), [b"x" * 50])
    (tmp_path / "c/packs/mine").write_bytes(b"x")
    cache.clear()
    assert cache_usage(options).files == 0
    assert [path.name for path in (tmp_path / "c").rglob("*") if path.is_file()] == ["mine"]


# -- trouble with the disk


def test_a_folder_that_others_may_write_to_is_refused(
    tree: tuple[MemoryMedium, Root], remote: CountingMedium, tmp_path: Path
) -> None:
    (tmp_path / "c").mkdir()
    for mode in (0o720, 0o702, 0o777, 0o1777):
        (tmp_path / "c").chmod(mode)
        shared = reader(remote, tree[1], tmp_path / "c")
        assert fetched(shared) == TREE
        assert shared.packs.cache is not None
        assert "others may write" in (shared.packs.cache.problem or "")
        assert list((tmp_path / "c").iterdir()) == []
    (tmp_path / "c").chmod(0o700)
    fetched(reader(remote, tree[1], tmp_path / "c"))
    (tmp_path / "c/packs").chmod(0o777)
    assert "packs" in (cache_usage(CacheOptions(path=tmp_path / "c")).problem or "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir(mode=0o700)
    os.chown(tmp_path / "c", 12345, 12345)
    cache = Cache(CacheOptions(path=tmp_path / "c"))
    assert "another user" in (cache.problem or "")
    assert not cache.keep(Kind.SEGMENT, name(1), [b"x"])


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file can grow over 4 KiB, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_is_no_trouble(
    tree: tuple[MemoryMedium, Root], remote: CountingMedium, tmp_path: Path
) -> None:
    full = reader(remote, tree[1], tmp_path / "c")
    assert fetched(full) == TREE
    assert [path for path in files_in(tmp_path / "c") if path.name.startswith(".")] == []


@pytest.mark.parametrize("place", ["file", "/proc/nothing/here", "/dev/null"])
def test_a_place_that_cannot_be_a_folder_is_no_trouble(
    tree: tuple[MemoryMedium, Root], remote: CountingMedium, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    broken = reader(remote, tree[1], tmp_path / place)
    assert fetched(broken) == TREE
    assert broken.packs.cache is not None
    assert broken.packs.cache.problem is not None


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no file system in memory")
def test_a_file_system_that_cannot_be_written_directly(tree: tuple[MemoryMedium, Root]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        Path(folder).chmod(0o700)
        assert fetched(reader(RemoteMedium(tree[0]), tree[1], Path(folder))) == TREE
        remote = RemoteMedium(tree[0])
        assert fetched(reader(remote, tree[1], Path(folder))) == TREE
        assert remote.calls == []


def test_the_disk_keeps_room_for_what_is_placed(tmp_path: Path) -> None:
    cache = Cache(CacheOptions(path=tmp_path / "c"))
    assert not cache.keep(Kind.PACK, name(1), [b"x"], spare_bytes=1 << 60)
    assert cache.keep(Kind.FOOTER, name(1), [b"x"], spare_bytes=1 << 60)


def test_files_may_go_at_any_moment(tree: tuple[MemoryMedium, Root], tmp_path: Path) -> None:
    """Readers beside one who removes whatever there is: right bytes, no error."""
    ended, found = threading.Event(), []

    def remove() -> None:
        while not ended.is_set():
            for path in files_in(tmp_path / "c"):
                path.unlink(missing_ok=True)

    def read() -> None:
        for way in READS.values():
            found.append(way(reader(RemoteMedium(tree[0]), tree[1], tmp_path / "c")) == TREE)

    remover = threading.Thread(target=remove)
    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in (remover, *readers):
        thread.start()
    for thread in readers:
        thread.join()
    ended.set()
    remover.join()
    assert found == [True] * 9


def test_the_next_version_finds_what_register_knew(tmp_path: Path) -> None:
    """Footers, segments and manifest of the version before come from the cache; the packs' bytes do not enter it."""
    medium = CountingMedium(MemoryMedium())
    options = CacheOptions(path=tmp_path / "c")
    first = Store(medium, cache=Cache(options)).write(DictSource(TREE)).root
    assert {path.parent.name for path in files_in(tmp_path / "c")} == {"footers", "manifests"}
    medium.calls.clear()
    changed = TREE | {"large.bin": TREE["large.bin"] + b"more"}
    written = Store(medium, cache=Cache(options)).write(DictSource(changed), earlier=[first])
    assert written.stats.new_bytes < 1 << 20
    assert [call for call in medium.calls if call[1].startswith(("packs/", "segments/"))
            and call[0] != "put"] == []  # fmt: skip
    assert ("get", f"manifests/{first.manifest[:2]}/{first.manifest}") not in medium.calls
