"""S3 and Azure over a bad network: nothing is lost, nobody is overwritten, and every call ends."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from servers.running import free_port
from support.proxy import FOREVER, Harm, Proxy, Rule, reply
from support.remote import BY_SDK, CLIENTS, Place, place
from support.store import MadeSource, key, noise

from gitml.errors import AccessDenied, GitMLError, NoSpace, NotFound, OutcomeUnknown, StoreUnavailable
from gitml.model.store_url import parse_store_url
from gitml.store.media.medium import Medium, PutOutcome
from gitml.store.media.objects import put_named
from gitml.store.media.s3_quick import QuickS3Client
from gitml.store.store import Claimed, Store, Taken

NAME = "packs/ab/one"
MARKS = {"moto": b"/packs/", "azurite": b"/packs/"}
BUSY = {"moto": reply(503, "SlowDown"), "azurite": reply(503, "ServerBusy", x_ms_error_code="ServerBusy")}


@pytest.fixture(params=CLIENTS)
def there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    return place(request.param, monkeypatch)


def through(there: Place, proxy: Proxy, *, timeout_s: float = 20, stall_s: float = 2) -> Medium:
    """A medium behind the proxy that has made its connection before the first harm."""
    medium = there.at(proxy.port).open(timeout_s=timeout_s, stall_s=stall_s)
    rules, proxy.rules = proxy.rules, []
    patience = medium._patience  # type: ignore[attr-defined]
    patience._stall_s = 30
    medium.head("warm/up")
    patience._stall_s = stall_s
    proxy.log.clear()
    proxy.rules = rules
    return medium


SPARING = [*(name for name in CLIENTS if name != "ceph"), pytest.param("ceph", marks=pytest.mark.nightly)]
"""Servers, where the real S3 has little to add to the light one."""

READS: dict[str, Callable[[Medium], object]] = {
    "head": lambda medium: medium.head(NAME),
    "get": lambda medium: medium.get(NAME),
    "range": lambda medium: medium.get(NAME, 100, 90_000),
    "list": lambda medium: list(medium.list("packs/")),
}


@pytest.mark.parametrize(
    ("harm", "call"),
    [
        pytest.param(
            harm, call, marks=[pytest.mark.nightly] if harm is Harm.BLACK_HOLE and call != "get" else []
        )
        for harm in (Harm.RESET, Harm.LOSE_REPLY, Harm.CUT_REPLY, Harm.BLACK_HOLE)
        for call in READS
    ],
)
@pytest.mark.parametrize("there", SPARING, indirect=True)
def test_reads_are_made_again(there: Place, harm: Harm, call: str) -> None:
    direct = there.open()
    direct.put(NAME, [noise(200_000)])
    with Proxy(there.port, Rule(harm, strikes=1 if harm is Harm.BLACK_HOLE else 2)) as proxy:
        assert READS[call](through(there, proxy)) == READS[call](direct)
        assert proxy.rules[0].strikes == 0


@pytest.mark.parametrize(
    "harm",
    [
        Harm.RESET,
        Harm.LOSE_REPLY,
        *(
            pytest.param(harm, marks=pytest.mark.nightly)
            for harm in (Harm.RESET_IN_BODY, Harm.SWALLOW_REPLY, Harm.BLACK_HOLE)
        ),
    ],
)
@pytest.mark.parametrize("verb", ["put", "put_if_absent", "delete"])
def test_writes_are_made_again(there: Place, harm: Harm, verb: str) -> None:
    body = [noise(1 << 20)]
    direct = there.open()
    if verb == "delete":
        direct.put(NAME, body)
    with Proxy(there.port, Rule(harm, verb=b"DELETE" if verb == "delete" else b"PUT")) as proxy:
        medium = through(there, proxy)
        if verb == "put":
            medium.put(NAME, body)
        elif verb == "delete":
            assert medium.delete(NAME) is True
            assert direct.head(NAME) is None
            return
        else:
            assert medium.put_if_absent(NAME, body) is PutOutcome.CREATED
    assert direct.get(NAME) == body[0]


def test_a_lost_reply_tells_ones_own_object_from_anothers(there: Place) -> None:
    """The first attempt never arrives, another writer comes between, and the second attempt is refused."""
    direct = there.open()
    with Proxy(there.port, Rule(Harm.RESET, verb=b"PUT", strikes=2)) as proxy:
        medium = through(there, proxy)
        waits = medium._patience  # type: ignore[attr-defined]
        sleep = waits._sleep

        def another_comes(seconds: float) -> None:
            direct.put_if_absent(NAME, [b"theirs"])
            sleep(seconds)

        waits._sleep = another_comes
        assert medium.put_if_absent(NAME, [b"ours!!"]) is PutOutcome.EXISTS
    assert direct.get(NAME) == b"theirs"


@pytest.mark.parametrize("harm", [Harm.LOSE_REPLY, Harm.SWALLOW_REPLY])
def test_a_reply_that_is_always_lost(there: Place, harm: Harm) -> None:
    """Every reply to a write is lost, and looks are answered: the outcome is known all the same."""
    with Proxy(
        there.port, Rule(harm, verb=b"PUT", strikes=1), Rule(harm, verb=b"PUT", strikes=FOREVER)
    ) as proxy:
        medium = through(there, proxy, timeout_s=2, stall_s=0.7)
        with pytest.raises(OutcomeUnknown):
            medium.put_if_absent(NAME, [b"body"])
        put_named(medium, NAME, [b"body"])
    assert there.open().get(NAME) == b"body"


@pytest.mark.parametrize("there", SPARING, indirect=True)
def test_nothing_answers_any_more(there: Place) -> None:
    """After a lost reply the network is gone: exit 8 after a write that may have happened, 7 otherwise, in time."""
    with Proxy(
        there.port, Rule(Harm.LOSE_REPLY, verb=b"PUT"), Rule(Harm.BLACK_HOLE, strikes=FOREVER)
    ) as proxy:
        medium = through(there, proxy, timeout_s=2, stall_s=1)
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown) as unknown:
            put_named(medium, NAME, [b"body"])
        with pytest.raises(StoreUnavailable) as unavailable:
            medium.head(NAME)
        assert time.monotonic() - began < 2 + 3 * 1 + 3
    assert (unknown.value.exit_code, unavailable.value.exit_code) == (8, 7)
    assert there.open().get(NAME) == b"body"


@pytest.mark.parametrize("there", SPARING, indirect=True)
def test_nobody_listens(there: Place) -> None:
    medium = there.at(free_port()).open(timeout_s=3)
    with pytest.raises(StoreUnavailable) as caught:
        medium.put_if_absent(NAME, [b"x"])
    assert caught.value.context["attempts"] >= 2
    with pytest.raises(StoreUnavailable) as caught:
        medium.head(NAME)
    assert caught.value.context["attempts"] == 1  # the outage is known by now


def test_a_connection_that_broke_is_not_one_that_was_never_made() -> None:
    """The SDK has one name for both; only after the second is it certain that a write had no effect."""
    import aiohttp
    from botocore.exceptions import EndpointConnectionError

    from gitml.store.media.remote_options import RemoteOptions
    from gitml.store.media.retry import FailureKind
    from gitml.store.media.s3 import S3Client

    client = S3Client(parse_store_url("s3://team-ml"), RemoteOptions())
    for cause, kind in (
        (aiohttp.ClientOSError(104, "reset"), FailureKind.LOST),
        (socket.gaierror(-2, "no such host"), FailureKind.UNREACHED),
    ):
        failure = client.failure(EndpointConnectionError(endpoint_url="https://host", error=cause))
        assert failure is not None
        assert failure.kind is kind


@pytest.mark.parametrize("status", [503, 429])
@pytest.mark.parametrize("there", SPARING, indirect=True)
def test_throttling_is_obeyed(there: Place, status: int) -> None:
    kind = "moto" if there.url.startswith("s3") else "azurite"
    answer = BUSY[kind] if status == 503 else reply(status, "TooManyRequests")
    answer = answer.replace(b"Connection", b"Retry-After: 1\r\nConnection", 1)
    with Proxy(there.port, Rule(Harm.ANSWER, answer=answer), Rule(Harm.ANSWER, answer=BUSY[kind])) as proxy:
        medium = through(there, proxy)
        began = time.monotonic()
        asked_twice = isinstance(medium._client, QuickS3Client)  # type: ignore[attr-defined]
        proxy.rules[0].strikes += asked_twice  # only the SDK hears when to come back
        assert medium.put_if_absent(NAME, [b"x"]) is PutOutcome.CREATED
        assert time.monotonic() - began >= 1
        assert proxy.count(b"PUT") == 3 + asked_twice
        assert proxy.count(b"HEAD") == 0  # a plea for time had no effect: nothing to look up


@pytest.mark.parametrize("there", SPARING, indirect=True)
def test_throttling_without_end(there: Place) -> None:
    kind = "moto" if there.url.startswith("s3") else "azurite"
    with Proxy(there.port, Rule(Harm.ANSWER, answer=BUSY[kind], strikes=FOREVER)) as proxy:
        medium = through(there, proxy, timeout_s=2)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            medium.put_if_absent(NAME, [b"x"])
        assert time.monotonic() - began < 6  # an import of the SDK included


@pytest.mark.parametrize(
    ("status", "code", "error", "rule"),
    [
        (403, "AccessDenied", AccessDenied, "access-denied"),
        (403, "InvalidAccessKeyId", AccessDenied, "access-denied"),
        (403, "RequestTimeTooSkewed", AccessDenied, "access-denied"),
        (400, "ExpiredToken", AccessDenied, "credentials-expired"),
        (301, "PermanentRedirect", AccessDenied, "wrong-region"),
        (400, "AuthorizationHeaderMalformed", AccessDenied, "wrong-region"),
        (404, "NoSuchBucket", StoreUnavailable, "bucket-missing"),
        (403, "QuotaExceeded", NoSpace, "no-space"),
        (507, "InsufficientStorage", NoSpace, "no-space"),
        (501, "NotImplemented", StoreUnavailable, "call-refused"),
    ],
)
@pytest.mark.parametrize("client", ["moto", BY_SDK])
def test_what_s3_refuses(
    status: int, code: str, error: type[GitMLError], rule: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = place(client, monkeypatch)
    answer = reply(status, code, x_amz_bucket_region="eu-1")
    with Proxy(there.port, Rule(Harm.ANSWER, answer=answer, strikes=FOREVER)) as proxy:
        with pytest.raises(error) as caught:
            through(there, proxy).put_if_absent(NAME, [b"x"])
        assert proxy.count(b"PUT") <= 2 + (client != BY_SDK)  # the SDK tells why the quick way was refused
    assert caught.value.code == rule
    assert caught.value.message.startswith(f"PutObject {NAME} in {there.url}")
    assert caught.value.hint
    assert "test" not in caught.value.context.get("credentials", "")


@pytest.mark.parametrize(
    ("status", "code", "error", "rule"),
    [
        (403, "AuthenticationFailed", AccessDenied, "access-denied"),
        (403, "AuthorizationPermissionMismatch", AccessDenied, "access-denied"),
        (401, "InvalidAuthenticationInfo", AccessDenied, "credentials-expired"),
        (404, "ContainerNotFound", StoreUnavailable, "bucket-missing"),
        (409, "AccountLimitExceeded", NoSpace, "no-space"),
    ],
)
def test_what_azure_refuses(
    status: int, code: str, error: type[GitMLError], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = place("azurite", monkeypatch)
    answer = reply(status, code, x_ms_error_code=code)
    with Proxy(there.port, Rule(Harm.ANSWER, answer=answer, strikes=FOREVER)) as proxy:
        with pytest.raises(error) as caught:
            through(there, proxy).put_if_absent(NAME, [b"x"])
        assert proxy.count() == 1 + (
            status == 401
        )  # the SDK forgets a token that is refused, and gets another
    assert (caught.value.code, caught.value.message.startswith(f"Put Blob {NAME} in ")) == (rule, True)


@pytest.mark.parametrize("there", SPARING, indirect=True)
def test_what_comes_packed_is_not_taken_for_what_is_in_it(there: Place) -> None:
    """Somebody between packs an answer: the bytes are taken as they came, or not at all where the SDK unpacks them."""
    body = b"0123456789" * 1000
    there.open().put(NAME, [body])
    packed = gzip.compress(body)
    status = (
        "200 OK" if there.url.startswith("s3") else "206 Partial Content"
    )  # Azure's SDK asks for ranges only
    span = "" if there.url.startswith("s3") else f"Content-Range: bytes 0-{len(packed) - 1}/{len(packed)}\r\n"
    head = (
        f'HTTP/1.1 {status}\r\nContent-Encoding: gzip\r\nConnection: close\r\nETag: "0x1"\r\n{span}'
        "Last-Modified: Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Length: {len(packed)}\r\n\r\n"
    )
    rule = Rule(Harm.ANSWER, verb=b"GET", path=b"/packs/", answer=head.encode() + packed, strikes=FOREVER)
    with Proxy(there.port, rule) as proxy:
        medium = through(there, proxy, timeout_s=2)
        if there.url.startswith("s3"):
            assert medium.get(NAME) == packed
            return
        with pytest.raises(StoreUnavailable) as caught:
            medium.get(NAME)
    assert f"{len(body)} bytes came instead of {len(packed)}" in caught.value.message


def test_an_answer_that_makes_no_sense_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    there = place("azurite", monkeypatch)
    there.open().put(NAME, [b"body"])
    nonsense = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    with Proxy(there.port, Rule(Harm.ANSWER, verb=b"GET", path=b"/packs/", answer=nonsense)) as proxy:
        assert through(there, proxy).get(NAME) == b"body"


def test_a_missing_bucket(there: Place) -> None:
    elsewhere = Place(
        there.url.replace("team-ml", "nowhere"), there.endpoint_url, there.environment, there.port
    )
    medium = elsewhere.open()
    for call in (lambda: medium.get(NAME), lambda: medium.put(NAME, [b"x"]), lambda: list(medium.list(""))):
        with pytest.raises(StoreUnavailable) as caught:
            call()
        assert caught.value.code == "bucket-missing"


def test_credentials_that_another_process_renewed_are_read_in_mid_transfer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token runs out while packs are sent: the write goes on with what the shared file says by then."""
    there = place(BY_SDK, monkeypatch)
    shared = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    def log_in(name: str) -> None:
        shared.write_text(f"[default]\naws_access_key_id = {name}\naws_secret_access_key = x\n")

    log_in("MORNING")
    expired = Rule(Harm.ANSWER, verb=b"PUT", path=b"/packs/", answer=reply(400, "ExpiredToken"), strikes=0)
    with Proxy(there.port, expired) as proxy:
        medium = through(there, proxy)
        medium.put("packs/aa/aa", [b"first"])
        assert medium.identity().who == "key M…"  # type: ignore[attr-defined]
        log_in("EVENING")
        expired.strikes = 1
        contents = {f"{number}": noise(20 << 20, number) for number in range(4)}
        store = Store(medium)
        assert isinstance(store.claim(key(), store.write(MadeSource(contents))), Claimed)
        assert expired.strikes == 0
        assert medium.identity().who == "key E…"  # type: ignore[attr-defined]


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    there = place("moto", monkeypatch)
    for variable in there.environment:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AccessDenied) as caught:
        there.open().head(NAME)
    assert (caught.value.code, caught.value.exit_code) == ("no-credentials", 10)


@pytest.mark.nightly
@pytest.mark.parametrize("there", [BY_SDK, "azurite"], indirect=True)
def test_a_slow_network_is_no_stall(there: Place) -> None:
    body = noise(32 << 20)  # much more than what the buffers of the way take at once
    with Proxy(there.port, Rule(Harm.SLOW, pause_s=0.008, strikes=FOREVER)) as proxy:
        medium = through(there, proxy, stall_s=3)
        medium.put(NAME, [body])
        assert medium.get(NAME) == body
        assert proxy.count() == 2


def test_a_cut_in_the_middle_of_a_write_costs_one_pack(there: Place, tmp_path: Path) -> None:
    contents = {"big": noise(80 << 20)}
    with Proxy(there.port, Rule(Harm.RESET_IN_BODY, verb=b"PUT", path=b"/packs/")) as proxy:
        store = Store(through(there, proxy), journal=tmp_path / "journal")
        written = store.write(MadeSource(contents))
        assert isinstance(store.claim(key(), written), Claimed)
        assert proxy.sent_bytes < written.stats.stored_bytes + (33 << 20)


def test_racing_registers_with_lost_replies(there: Place) -> None:
    """Eight writers claim one version with other trees while replies get lost: one wins, and all are told."""
    outcomes: list[Claimed | Taken] = []
    rules = [Rule(Harm.LOSE_REPLY, verb=b"PUT", path=b"/roots/", strikes=4)]
    with Proxy(there.port, *rules) as proxy:
        media = [through(there, proxy) for _ in range(8)]
        barrier = threading.Barrier(len(media))

        def register(number: int) -> None:
            store = Store(media[number], jobs=2)
            written = store.write(MadeSource({"x": b"%d" % number}))
            barrier.wait()
            outcomes.append(store.claim(key(), written))

        threads = [threading.Thread(target=register, args=(number,)) for number in range(len(media))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(outcomes) == 8
    assert sum(isinstance(outcome, Claimed) for outcome in outcomes) == 1
    assert len({outcome.root.tree for outcome in outcomes}) == 1
    root = Store(there.open()).root(key())
    assert root is not None
    assert root.tree == outcomes[0].root.tree


@pytest.mark.parametrize("there", SPARING, indirect=True)
def test_absent_is_absent_behind_a_proxy(there: Place) -> None:
    with Proxy(there.port) as proxy, pytest.raises(NotFound):
        through(there, proxy).get(NAME)


_MEASURED = """
import sys
from pathlib import Path
from gitml.store.media.opening import open_medium
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.write.source import FolderSource
from gitml.store.store import Store
from support.store import key

url, endpoint, folder = sys.argv[1:]
store = Store(open_medium(url, options=RemoteOptions(endpoint_url=endpoint)))
store.claim(key(), store.write(FolderSource([Path(folder)])))
tree = store.tree(store.root(key()))
for entry, parts in tree.stream(tree.entries()):
    for part in parts:
        pass
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)  # its own: what getrusage says may be of the process that started it
"""


def measured(there: Place, folder: Path, size_mib: int) -> int:
    """Peak memory in MB of a process that sends a file of that size and reads it back."""
    folder.mkdir()
    with (folder / "big").open("wb") as stream:
        for seed in range(size_mib // 16):
            stream.write(noise(16 << 20, seed))
    top = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, f"{there.url}/{size_mib}", there.endpoint_url, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=top,
        env={**os.environ, "PYTHONPATH": f"{top}:{top / 'tests'}"},
    )
    return int(done.stdout)


@pytest.mark.nightly
def test_memory_is_flat(there: Place, tmp_path: Path) -> None:
    small, large = measured(there, tmp_path / "s", 192), measured(there, tmp_path / "l", 768)
    assert large < 250
    assert large - small <= 30
