"""A TCP proxy on loopback that harms requests as a script says.

It knows just enough of HTTP to see where a request begins (a block from the client that starts with a verb) and
applies the first rule that matches it and still has strikes left; everything else passes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType

VERBS = (b"GET ", b"PUT ", b"HEAD ", b"POST ", b"DELETE ")
BLOCK = 1 << 16
FOREVER = 1 << 30


class Harm(Enum):
    """What happens to a request."""

    RESET = "reset before the server sees it"
    RESET_IN_BODY = "reset when a part of the body went through"
    LOSE_REPLY = "the server does it, and the reply never comes"
    SWALLOW_REPLY = "the server does it, and then there is silence"
    CUT_REPLY = "the reply ends in the middle"
    BLACK_HOLE = "silence"
    ANSWER = "a reply that the server never gave"
    SLOW = "a pause before every block"


@dataclass
class Rule:
    """One harm; `strikes` counts down."""

    harm: Harm
    verb: bytes = b""
    path: bytes = b""
    strikes: int = 1
    answer: bytes = b""
    pause_s: float = 0.0


def reply(status: int, code: str = "", **headers: str) -> bytes:
    """A reply as S3 and Azure give their refusals."""
    body = (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>said the proxy</Message></Error>".encode()
    )
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Content-Type: application/xml"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


class Proxy:
    """Listens on a port of its own and passes on to another; a context manager."""

    def __init__(self, target_port: int, *rules: Rule) -> None:
        self.rules = list(rules)
        self.log: list[tuple[bytes, bytes]] = []
        self.sent_bytes = 0
        self.received_bytes = 0
        self._severed = False
        self._target = target_port
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Proxy:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            left, self._open = self._open, set()
        for connection in left:
            close_now(connection)

    def count(self, verb: bytes = b"", path: bytes = b"") -> int:
        """Requests that were seen."""
        return sum(1 for seen, where in self.log if seen.startswith(verb) and path in where)

    def sever(self) -> None:
        """Cut the network: what is open breaks, and nothing comes through until `heal`."""
        self._severed = True
        with self._lock:
            left, self._open = self._open, set()
        for connection in left:
            close_now(connection)  # wakes whoever reads from it

    def heal(self) -> None:
        """Let new connections through again."""
        self._severed = False

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=run, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._severed:
                reset_now(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                reset_now(client)
                continue
            with self._lock:
                self._open |= {client, server}
            link = Link(client, server)
            self._start(self._upstream, link)
            self._start(self._downstream, link)

    def _rule(self, head: bytes) -> Rule | None:
        verb, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0]
        with self._lock:
            self.log.append((verb, path))
            for rule in self.rules:
                if rule.strikes > 0 and verb.startswith(rule.verb) and rule.path in path:
                    rule.strikes -= 1
                    return rule
        return None

    def _upstream(self, link: Link) -> None:
        in_body = 0
        try:
            while data := link.client.recv(BLOCK):
                if data.startswith(VERBS):
                    rule, in_body = self._rule(data), 0
                    link.harm = rule.harm if rule else None
                    if rule is not None and rule.harm is Harm.ANSWER:
                        bodiless = data.startswith(b"HEAD ")
                        link.client.sendall(
                            rule.answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if bodiless else rule.answer
                        )
                        link.drain()
                        return
                    link.pause_s = rule.pause_s if rule else 0.0
                if link.pause_s:
                    self._closed.wait(link.pause_s)
                in_body += len(data)
                if link.harm is Harm.RESET or (link.harm is Harm.RESET_IN_BODY and in_body > 4 * BLOCK):
                    link.end(reset=True)
                    return
                if link.harm is not Harm.BLACK_HOLE:
                    with self._lock:
                        self.sent_bytes += len(data)
                    link.server.sendall(data)
        except OSError:
            pass
        link.end()

    def _downstream(self, link: Link) -> None:
        try:
            while data := link.server.recv(BLOCK):
                with self._lock:
                    self.received_bytes += len(data)
                if data.startswith(b"HTTP/1.1 100"):  # leave to send the body, no reply yet
                    link.client.sendall(data)
                    continue
                if link.pause_s:
                    self._closed.wait(link.pause_s)
                if link.harm is Harm.SWALLOW_REPLY:
                    continue
                if link.harm is Harm.LOSE_REPLY:
                    link.end(reset=True)
                    return
                if link.harm is Harm.CUT_REPLY:
                    link.client.sendall(data[: len(data) * 3 // 4])
                    link.end()
                    return
                link.client.sendall(data)
        except OSError:
            pass
        link.end()


@dataclass
class Link:
    """Both ends of one connection, and what happens to its present request.

    `is_awaited`: it happens when the reply comes; `is_half_open`: the server's end is gone, and the client is not told.
    """

    client: socket.socket
    server: socket.socket
    harm: Harm | None = None
    pause_s: float = 0.0
    toxic: Enum | None = None
    is_awaited: bool = False
    is_half_open: bool = False

    def end(self, *, reset: bool = False) -> None:
        (reset_now if reset else close_now)(self.client)
        close_now(self.server)

    def drain(self) -> None:
        """Read what the client still sends, so that it gets to read the answer."""
        self.client.shutdown(socket.SHUT_WR)
        while self.client.recv(BLOCK):
            pass
        self.end()


def close_now(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def reset_now(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)  # wakes a thread that reads from it, and would keep it open
    connection.close()
