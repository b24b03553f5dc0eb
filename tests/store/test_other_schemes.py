"""Media on other file systems of fsspec: the contract of every medium, on SFTP for real; and what is refused."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from servers import sshd
from servers.running import NotInstalledError, Server, running
from store.test_medium_contract import *  # noqa: F403, the tests, which use the fixture below
from support.proxy import Proxy

from gitml.errors import (
    AccessDenied,
    GitMLError,
    InvalidInput,
    OutcomeUnknown,
    PolicyRefused,
    StoreUnavailable,
    UsageError,
)
from gitml.model.store_url import StoreKind, check_scheme, parse_store_url
from gitml.store.media.capabilities import Verdict
from gitml.store.media.fsspec_medium import FsspecMedium, PlainBodies
from gitml.store.media.medium import Medium, PutOutcome
from gitml.store.media.opening import open_medium
from gitml.store.media.probe import check
from gitml.store.media.remote_options import RemoteOptions


class OneByOne(MemoryFileSystem):  # type: ignore[misc]
    """fsspec's memory, where a create-only write looks and writes in one step."""

    cachable = False

    def __init__(self) -> None:
        super().__init__(global_store=False)
        self.turn = threading.Lock()

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **rest: Any) -> None:
        with self.turn:
            super().pipe_file(path, value, mode=mode, **rest)


def on(files: Any, *, timeout_s: float = 5) -> FsspecMedium:
    """A medium on one file system that all its calls share."""
    options = RemoteOptions(timeout_s=timeout_s)
    return FsspecMedium(lambda: files, "/a/store", "kept://in-memory", PlainBodies(), options)


def server() -> Server:
    """The SSH server of this process."""
    try:
        return running("sftp")
    except NotInstalledError as error:
        if os.environ.get("GITML_REQUIRE_SERVERS"):
            raise
        pytest.skip(str(error))


def over_ssh(folder: Path, *, through: int | None = None, stall_s: float = 30, **options: Any) -> Medium:
    """A folder of this machine, reached by SFTP; through another port, if one is given."""
    known, port = Path.home() / ".ssh" / "known_hosts", through or server().port
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(sshd.known_hosts(server()).replace(f":{server().port}", f":{port}"))
    arguments = dict(sshd.options(server()))
    return open_medium(
        f"sftp://127.0.0.1:{port}{folder}",
        options=RemoteOptions(arguments=arguments | options, timeout_s=3, stall_s=stall_s),
        allowed={"sftp"},
    )


@pytest.fixture(params=["fsspec", "sftp"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Medium:
    return on(OneByOne()) if request.param == "fsspec" else over_ssh(tmp_path / "a b" / "store")


def test_sftp_keeps_every_promise(tmp_path: Path) -> None:
    found = check(over_ssh(tmp_path / "store"), rounds=3, speed_bytes=1 << 20)
    assert [finding for finding in found.findings if finding.verdict is Verdict.BROKEN] == []
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_connections_end_with_their_medium(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    medium = over_ssh(tmp_path / "store")
    medium.put("o", [b"x"])
    ours = set(threading.enumerate()) - before
    assert ours, "paramiko has a thread for each connection"
    del medium
    gc.collect()
    for thread in ours:
        thread.join(20)
    assert not ours & set(threading.enumerate())


def test_a_broken_connection_is_made_again(tmp_path: Path) -> None:
    with Proxy(server().port) as proxy:
        medium = over_ssh(tmp_path / "store", through=proxy.port)
        medium.put("o", [b"first"])
        for body in (b"second", b"third"):
            proxy.sever()
            proxy.heal()
            medium.put("o", [body])
            proxy.sever()
            proxy.heal()
            assert medium.get("o") == body
            proxy.sever()
            proxy.heal()
            assert medium.put_if_absent(f"new/{body.decode()}", [body]) is PutOutcome.CREATED
        proxy.sever()
        with pytest.raises(GitMLError) as caught:
            medium.put("o", [b"fourth"])
        assert caught.value.exit_code in (7, 8)
        proxy.heal()
        assert medium.get("o") == b"third"


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """The server and all who serve connections say nothing."""
    (listening,) = server.processes
    pids = [listening.pid]
    for pid in pids:
        found = subprocess.run(["pgrep", "--parent", str(pid)], capture_output=True, text=True, check=False)
        pids += map(int, found.stdout.split())
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("verb", ["get", "put"])
def test_a_server_that_falls_silent_is_given_up(verb: str, tmp_path: Path) -> None:
    medium = over_ssh(tmp_path / "store", stall_s=0.5)
    medium.put("o", [b"body"])
    began = time.monotonic()
    with frozen(server()), pytest.raises(StoreUnavailable if verb == "get" else OutcomeUnknown):
        medium.get("o") if verb == "get" else medium.put("o", [b"other"])
    assert time.monotonic() - began < 20
    assert medium.get("o") in (b"body", b"other")


class Blind(OneByOne):
    """Looks before it writes, as fsspec's general way does: all who look at the same time win."""

    def __init__(self, looking: threading.Barrier) -> None:
        super().__init__()
        self.looking = looking

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **rest: Any) -> None:
        if mode == "create" and "race" in path:
            is_there = self.exists(path)
            self.looking.wait(20)
            if is_there:
                raise FileExistsError(path)
        super().pipe_file(path, value, **rest)


def test_a_file_system_that_looks_before_it_writes_is_unfit() -> None:
    found = check(on(Blind(threading.Barrier(8))), rounds=1, speed_bytes=0)
    broken = {
        finding.promise: finding.found for finding in found.findings if finding.verdict is Verdict.BROKEN
    }
    assert "8 of 8 racing writers" in broken["of racing writers exactly one creates"]
    with pytest.raises(PolicyRefused) as caught:
        found.require()
    assert caught.value.code == "store-unfit"
    assert len(caught.value.context["faults"]) == len(broken)


class Mute(OneByOne):
    """Does what it is told, and then the line breaks: once for each name."""

    def __init__(self) -> None:
        super().__init__()
        self.cut: set[str] = set()

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **rest: Any) -> None:
        super().pipe_file(path, value, mode=mode, **rest)
        if path not in self.cut:
            self.cut.add(path)
            raise ConnectionResetError(104, "reset")


def test_a_lost_reply_to_a_create_is_looked_up() -> None:
    files = Mute()
    assert on(files).put_if_absent("o", [b"mine"]) is PutOutcome.CREATED
    assert on(files).put_if_absent("o", [b"yours"]) is PutOutcome.EXISTS
    assert on(files).get("o") == b"mine"


class Cutting(OneByOne):
    """Gives the first half of what is asked for, the first time."""

    halved = False

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **rest: Any) -> bytes:
        body: bytes = super().cat_file(path, start, end, **rest)
        if self.halved:
            return body
        self.halved = True
        return body[: len(body) // 2]


def test_a_cut_read_is_made_again() -> None:
    medium = on(Cutting())
    medium.put("o", [b"0123456789"])
    assert medium.get("o") == b"0123456789"


def test_an_unknown_host_is_refused(tmp_path: Path) -> None:
    medium = over_ssh(tmp_path / "store")
    (Path.home() / ".ssh" / "known_hosts").write_text("")
    with pytest.raises(AccessDenied) as caught:
        medium.put("o", [b"x"])
    assert "known_hosts" in caught.value.message
    assert not (tmp_path / "store").exists()


def test_a_wrong_key_is_refused_in_one_line(tmp_path: Path) -> None:
    stranger = tmp_path / "key"
    shutil.copy(server().folder / "host", stranger)
    with pytest.raises(AccessDenied) as caught:
        over_ssh(tmp_path / "store", key_filename=str(stranger), allow_agent=False).head("o")
    assert "looking up o in sftp://" in caught.value.message


def test_nobody_there(tmp_path: Path) -> None:
    medium = open_medium(
        f"sftp://127.0.0.1:1{tmp_path}", options=RemoteOptions(timeout_s=1), allowed={"sftp"}
    )
    with pytest.raises(StoreUnavailable):
        medium.head("o")


NEVER = [
    "simplecache", "filecache", "blockcache", "cached", "data", "http", "https", "github", "gist", "git", "reference",
    "memory", "local", "zip", "tar", "libarchive", "dir", "dask", "generic", "root", "jupyter", "hf", "wandb", "s3a",
]  # fmt: skip


@pytest.mark.parametrize("scheme", [*NEVER, "", "S3", "a::b", "x/y", "sftp:", "-x", "a b", "../x", "1x"])
def test_what_nobody_can_allow(scheme: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_scheme(scheme)
    assert caught.value.code == "bad-scheme"
    if "/" not in scheme:  # which makes it a folder
        with pytest.raises(InvalidInput):
            parse_store_url(f"{scheme}://host/x", allowed={scheme})


@pytest.mark.parametrize(
    "text",
    [
        "sftp::file:///etc", "simplecache::sftp://h/x", "sftp://u:SuperSecret1@h/x", "sftp://SuperSecret1@h/x", "sftp:x",
        "sftp://", "sftp:///x", "sftp://h/../x", "sftp://h/a//b", "sftp://h/a?b=c", "sftp://h/a#b", "sftp://h/%2e%2e",
        "sftp://-oProxyCommand=x/y", "sftp://h:port/x", "sftp://h:123456/x", "sftp://h/$HOME", "SFTP://h/x", "gs://b/x",
    ],
)  # fmt: skip
def test_refused_locations_of_an_allowed_scheme(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_store_url(text, allowed={"sftp"})
    assert "SuperSecret1" not in caught.value.message + (caught.value.hint or "")


def test_an_allowed_location() -> None:
    url = parse_store_url("sftp://host.example.com:2222/srv/a b/", allowed={"sftp"})
    assert (url.kind, url.extra, url.bucket, url.prefix) == (
        StoreKind.OTHER,
        "sftp",
        "host.example.com:2222",
        "srv/a b",
    )
    assert str(url) == "sftp://host.example.com:2222/srv/a b"
    with pytest.raises(InvalidInput) as caught:
        parse_store_url("sftp://host/x")
    assert "allow_schemes: [sftp]" in (caught.value.hint or "")


def test_a_scheme_that_fsspec_does_not_know_or_have() -> None:
    with pytest.raises(UsageError) as caught:
        open_medium("nosuchthing://h/x", allowed={"nosuchthing"})
    assert caught.value.code == "unknown-scheme"
    with pytest.raises(UsageError) as caught:
        open_medium("oss://bucket/x", allowed={"oss"})
    assert caught.value.code == "extra-missing"


def test_secrets_are_not_shown() -> None:
    options = RemoteOptions(arguments={"password": "SuperSecret1"})
    assert "SuperSecret1" not in repr(options)
