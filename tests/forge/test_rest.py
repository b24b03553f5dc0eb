"""One call of a REST API: what it sends, what it takes for an answer, and how it says that there was none."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from support.forges import Watch

from gitml.errors import InvalidInput, StoreUnavailable
from gitml.forge import rest
from gitml.forge.access import Access, Place, Token
from gitml.forge.patience import Failed, Patience, Words
from gitml.forge.rest import Rest, number_in, path_of, said_in, text_in, time_in

WORDS = Words(forge="Forge (example.com)", rights="to write", token="set IT")


class Server:
    """Answers every call by a function, and keeps what was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[str], tuple[int, dict[str, str], bytes]] = lambda _: (200, {}, b"{}")
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        handler = type("Handler", (_Handler,), {"server_of_test": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def says(self, status: int, body: bytes = b"", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = lambda _: (status, named, body)


class _Handler(BaseHTTPRequestHandler):
    server_of_test: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server_of_test.seen.append((self.command, self.path, dict(self.headers), body))
        status, headers, data = self.server_of_test.answer(self.path)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        with suppress(BrokenPipeError, ConnectionResetError):  # who asked did not wait
            self.end_headers()
            self.wfile.write(data)
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()


def rest_of(port: int, timeout_s: float = 30.0) -> Rest:
    watch = Watch()
    patience = Patience(WORDS, secret="canary", sleep=watch.sleep, clock=watch.clock, wall=watch.clock)
    access = Access(
        api_url=f"http://127.0.0.1:{port}/api",
        place=Place(host="127.0.0.1", path="team/registry"),
        token=Token(value="canary", source="a test"),
        patience=patience,
        timeout_s=timeout_s,
    )
    return Rest(access, {"Authorization": "token canary"})


@pytest.fixture
def api(server: Server) -> Rest:
    return rest_of(server.http.server_port)


def test_a_call_says_what_it_is_told(server: Server, api: Rest) -> None:
    server.says(201, b'{"id": 7}', X_Total_Count="3")
    path = path_of("repos", "a/b", "ä c", 3)
    answer = api.call("POST", path, query={"page": 2, "all": True, "q": "a&b"}, body={"t": "ü"})
    assert (answer.status, answer.body, answer.headers["x-total-count"]) == (201, {"id": 7}, "3")
    method, target, headers, body = server.seen[0]
    assert method == "POST" and target == "/api/repos/a%2Fb/%C3%A4%20c/3?page=2&all=true&q=a%26b"
    assert json.loads(body) == {"t": "ü"} and headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "token canary" and headers["User-Agent"] == "gitml"


def test_a_word_of_the_query_may_be_said_twice(server: Server, api: Rest) -> None:
    server.says(200, b"[]")
    api.call("GET", "/x", query={"state": ("OPEN", "MERGED"), "q": 'a = "b"'})
    assert server.seen[0][1] == "/api/x?state=OPEN&state=MERGED&q=a+%3D+%22b%22"


def test_no_body_is_none(server: Server, api: Rest) -> None:
    server.says(204)
    assert api.call("DELETE", "/x").body is None
    assert server.seen[0][3] == b"" and "Content-Type" not in server.seen[0][2]


@pytest.mark.parametrize("status", [300, 304, 400, 404, 422, 429, 500, 503])
def test_a_status_is_told_with_the_forges_words(server: Server, api: Rest, status: int) -> None:
    server.says(status, b'{"message": "it is so"}' if status != 304 else b"", Retry_After="4")
    with pytest.raises(Failed) as caught:
        api.call("GET", "/x")
    assert caught.value.status == status and caught.value.headers["retry-after"] == "4"
    assert caught.value.said == ("it is so" if status != 304 else "Not Modified")


@pytest.mark.parametrize(
    "body",
    [b"<html>", b'{"a": ', b"\xff\xfe", b"[" * 100_000, b"nan?", b"1" * 10_000],
    ids=["html", "cut", "bytes", "deep", "word", "long"],
)
def test_what_is_no_json_is_no_answer(server: Server, api: Rest, body: bytes) -> None:
    server.says(200, body)
    with pytest.raises(Failed) as caught:
        api.call("GET", "/x")
    assert caught.value.status is None
    server.says(404, body)
    with pytest.raises(Failed) as caught:
        api.call("GET", "/x")
    assert caught.value.status == 404 and caught.value.said == "Not Found"


def test_half_an_answer_is_none(server: Server, api: Rest) -> None:
    server.says(200, b"[1, 2]", Content_Length="600")
    with pytest.raises(Failed, match="half"):
        api.call("GET", "/x")
    server.says(200, b"", Content_Length="600")
    with pytest.raises(Failed, match="half"):
        api.call("DELETE", "/x")


def test_an_endless_answer_is_cut_off(server: Server, api: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MAX_REPLY_BYTES", 1024**2)
    server.says(200, b"[" + b" " * 1024**2 + b"]")
    with pytest.raises(Failed, match="more than 1 MiB"):
        api.call("GET", "/x")


def test_an_answer_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "_LONGEST_REPLY", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def drip() -> None:
            connection = listening.accept()[0]
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not stop.wait(0.02):
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(Failed, match="no whole answer in time"):
            rest_of(listening.getsockname()[1]).call("GET", "/x")
        stop.set()
        thread.join()


def test_what_was_never_sent_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(Failed) as caught:
        rest_of(port).call("POST", "/x", body={})
    assert not caught.value.sent and caught.value.said == "no connection"


def test_a_connection_that_is_not_secure_is_none(server: Server) -> None:
    api = rest_of(server.http.server_port)
    api._api_url = api._api_url.replace("http:", "https:")
    with pytest.raises(Failed) as caught:
        api.call("POST", "/x", body={})
    assert not caught.value.sent and caught.value.said == "no secure connection"


@pytest.mark.parametrize(
    ("text", "hour"), [("2026-01-02T03:04:05Z", 3), ("2026-01-02T03:04:05.123+02:00", 1), ("2026-01-02T03:04:05", None),
                       ("0001-01-01T00:00:00+14:00", None), ("yesterday", None), ("", None), (3, None)],
)  # fmt: skip
def test_a_time_has_a_zone(server: Server, api: Rest, text: Any, hour: int | None) -> None:
    server.says(200, json.dumps({"at": text}).encode())
    if hour is not None:
        assert api.read("x", lambda: time_in(api.call("GET", "/x").body, "at")).hour == hour
    else:
        with pytest.raises(StoreUnavailable):
            api.read("x", lambda: time_in(api.call("GET", "/x").body, "at"))


def test_no_answer_in_time(server: Server) -> None:
    stop = threading.Event()
    server.answer = lambda _: (200 if stop.wait(10) else 500, {}, b"{}")
    with pytest.raises(Failed) as caught:
        rest_of(server.http.server_port, timeout_s=0.1).call("POST", "/x", body={})
    stop.set()
    assert caught.value.sent and caught.value.said == "no answer in time"


def test_a_reply_leads_on_within_the_host(server: Server, api: Rest) -> None:
    server.answer = lambda path: (
        (301, {"Location": "/api/new"}, b"") if path == "/api/old" else (200, {}, b'"here"')
    )
    assert api.call("GET", "/old").body == "here"
    server.answer = lambda path: (
        (307, {"Location": "/api/new"}, b"") if path == "/api/old" else (200, {}, b'"here"')
    )
    assert api.call("POST", "/old", body={"a": 1}).body == "here"
    assert [(one[0], one[1], one[3]) for one in server.seen[-2:]] == [
        ("POST", "/api/old", b'{"a": 1}'), ("POST", "/api/new", b'{"a": 1}'),
    ]  # fmt: skip


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("scheme", ["http://localhost:{port}/x", "https://127.0.0.1:{port}/x", "file:///etc/passwd",
                                    "//localhost:{port}/x"])  # fmt: skip
def test_no_token_goes_elsewhere(server: Server, api: Rest, status: int, scheme: str) -> None:
    server.says(status, Location=scheme.format(port=server.http.server_port))
    with pytest.raises(Failed, match="another host"):
        api.call("GET", "/x")
    assert len(server.seen) == 1


def test_a_write_that_is_led_elsewhere_is_no_read(server: Server, api: Rest) -> None:
    server.says(302, Location="/api/sign-in")
    with pytest.raises(Failed, match="302"):
        api.call("POST", "/x", body={})
    assert len(server.seen) == 1


def test_a_circle_ends(server: Server, api: Rest) -> None:
    server.says(302, Location="/api/x")
    with pytest.raises(Failed, match="circle"):
        api.call("GET", "/x")


def test_an_answer_of_another_form_is_no_answer(server: Server, api: Rest) -> None:
    server.says(200, b'{"number": "3", "name": ""}')
    with pytest.raises(StoreUnavailable, match="none of its API"):
        api.read("x", lambda: number_in(api.call("GET", "/x").body, "number"))
    with pytest.raises(StoreUnavailable, match="none of its API"):
        api.write("x", lambda: text_in(api.call("GET", "/x").body, "name"), lambda: None)
    assert len(server.seen) == 10


def test_a_refusal_is_told(server: Server, api: Rest) -> None:
    server.says(422, b'{"message": "no canary here", "errors": ["a", {"message": "b"}]}')
    with pytest.raises(InvalidInput) as caught:
        api.read("x", lambda: api.call("GET", "/x"))
    assert "said 422 no *** here: a; b" in caught.value.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "m", "url": "u"}, "m"),
        ({"message": {"base": ["one", "two"]}}, "base: one; two"),
        ({"error": {"message": "m", "detail": "d"}, "type": "error"}, "m: d"),
        ({"error": "e", "error_description": "d"}, "e: d"),
        (["a", {"message": "b"}], "a; b"),
        (3, ""),
        (None, ""),
    ],
)
def test_what_a_forge_says_is_found(body: Any, said: str) -> None:
    assert said_in(body) == said
