"""A web server on loopback that serves what a test says, and remembers what it was asked."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class WebServer:
    """Serves files until it is left.

    Attributes:
        files: Path -> bytes.
        redirects: Path -> where to go instead.
        etag: What the server says of bytes.
        ignores_conditions: Take no notice of `If-Match`.
        keeps_etag: Say the etag of the first bytes for ever.
        headers: Sent besides.
        cut_after: Bytes after which an answer ends.
        refused_methods: Method -> status.
        seen: Method with path, and headers, of each request.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.first = dict(files)
        self.redirects: dict[str, str] = {}
        self.etag: Callable[[bytes], str | None] = lambda data: f'"{hashlib.md5(data).hexdigest()}"'
        self.ignores_conditions = False
        self.keeps_etag = False
        self.headers: dict[str, str] = {}
        self.cut_after: int | None = None
        self.refused_methods: dict[str, int] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._answer(self)

            def do_HEAD(self) -> None:
                server._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        self.seen.append((f"{request.command} {path}", dict(request.headers.items())))
        status, data = 200, self.files.get(path, b"")
        headers = dict(self.headers)
        if request.command in self.refused_methods:
            status = self.refused_methods[request.command]
        elif path in self.redirects:
            status, headers["Location"] = 302, self.redirects[path]
        elif path not in self.files:
            status = 404
        else:
            etag = self.etag(self.first.get(path, data) if self.keeps_etag else data)
            if etag is not None:
                headers["ETag"] = etag
            if not self.ignores_conditions and request.headers.get("If-Match") not in (None, etag):
                status = 412
        body = data if status == 200 else b""
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body if self.cut_after is None else body[: self.cut_after])
