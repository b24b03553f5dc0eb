"""A proxy whose network turns bad at one request, in one of ten ways, in one of three phases of it, and recovers."""

from __future__ import annotations

import random
import socket
import threading
import time
from enum import Enum

from support.proxy import BLOCK, VERBS, Link, Proxy


class Toxic(Enum):
    """A way in which a network is bad."""

    LATENCY = "a pause of uneven length before every block"
    BANDWIDTH = "few bytes a second"
    SLICER = "a few bytes at a time"
    RESET = "the connection is reset"
    SLOW_CLOSE = "the connection ends, after a while of nothing"
    BLACK_HOLE = "nothing comes through any more"
    CUT_REPLY = "the server does it, and the reply is cut"
    DOWN = "all connections break, and for a while there are none"
    FLAPPING = "there, not there, there, not there"
    HALF_OPEN = "the server's side is closed, and the client's is not told"


class Phase(Enum):
    """How far the request has come when it happens."""

    BEFORE = "nothing of it has reached the server"
    MIDDLE = "a part of it has"
    APPLIED = "the server has done it, and begins to reply"


_PACE_S = 0.01
_SLOW_BYTES = 4096
_OUTAGE_S = 0.6


class BadNetwork(Proxy):
    """Strikes at request number `request` (counted from 1), and at none after it.

    Args:
        target_port: The server.
        toxic: What happens.
        phase: When.
        request: Which request it happens to.
        for_ever: It happens to every later request, too.
    """

    def __init__(
        self, target_port: int, toxic: Toxic, phase: Phase, *, request: int, for_ever: bool = False
    ) -> None:
        super().__init__(target_port)
        self.struck = 0
        self._toxic = toxic
        self._phase = phase
        self._request = request
        self._for_ever = for_ever
        self._random = random.Random(f"{toxic} {phase} {request}")

    def _is_struck(self, head: bytes) -> bool:
        verb, _, rest = head.partition(b" ")
        with self._lock:
            self.log.append((verb, rest.partition(b" ")[0]))
            number = len(self.log)
            struck = number == self._request or (self._for_ever and number > self._request)
            self.struck += struck
        return struck

    def _upstream(self, link: Link) -> None:
        try:
            while data := link.client.recv(BLOCK):
                if data.startswith(VERBS):
                    link.toxic = None
                    if self._is_struck(data):
                        if self._phase is Phase.APPLIED or self._toxic is Toxic.CUT_REPLY:
                            link.is_awaited = True
                        else:
                            if self._phase is Phase.MIDDLE:
                                half = len(data) // 2
                                self._pass(link, link.server, data[:half])
                                data = data[half:]
                            if not self._strike(link):
                                return
                self._pass(link, link.server, data)
        except OSError:
            pass
        link.end()

    def _downstream(self, link: Link) -> None:
        try:
            while data := link.server.recv(BLOCK):
                if link.is_awaited and not data.startswith(b"HTTP/1.1 100"):
                    link.is_awaited = False
                    if self._toxic is Toxic.CUT_REPLY:
                        part = {Phase.BEFORE: 0, Phase.MIDDLE: 20, Phase.APPLIED: len(data) * 3 // 4}
                        link.client.sendall(data[: part[self._phase]])
                        break
                    if not self._strike(link):
                        return
                self._pass(link, link.client, data)
        except OSError:
            pass
        if not link.is_half_open:
            link.end()

    def _strike(self, link: Link) -> bool:
        """Let it happen; whether the connection goes on."""
        toxic = self._toxic
        if toxic in (Toxic.LATENCY, Toxic.BANDWIDTH, Toxic.SLICER, Toxic.BLACK_HOLE):
            link.toxic = toxic
            return True
        if toxic is Toxic.RESET:
            link.end(reset=True)
        elif toxic is Toxic.SLOW_CLOSE:
            self._closed.wait(_OUTAGE_S)
            link.end()
        elif toxic is Toxic.HALF_OPEN:
            link.toxic, link.is_half_open = Toxic.BLACK_HOLE, True
            link.server.shutdown(socket.SHUT_WR)
            return True
        else:
            flaps = 3 if toxic is Toxic.FLAPPING else 1
            threading.Thread(target=self._flap, args=(flaps,), daemon=True).start()
            link.end(reset=True)
        return False

    def _flap(self, times: int) -> None:
        for _ in range(times):
            self.sever()
            self._closed.wait(_OUTAGE_S / times)
            self.heal()
            self._closed.wait(_OUTAGE_S / 3 if times > 1 else 0)

    def _pass(self, link: Link, to: socket.socket, data: bytes) -> None:
        if to is link.server:
            with self._lock:
                self.sent_bytes += len(data)
        match link.toxic:
            case Toxic.BLACK_HOLE:
                return
            case Toxic.LATENCY:
                self._closed.wait(self._random.uniform(0.02, 0.2))
            case Toxic.BANDWIDTH:
                for start in range(0, len(data), _SLOW_BYTES):
                    to.sendall(data[start : start + _SLOW_BYTES])
                    time.sleep(_PACE_S)
                return
            case Toxic.SLICER:
                to.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                start = 0
                while start < len(data):
                    step = self._random.randint(1, 700)
                    to.sendall(data[start : start + step])
                    start += step
                return
        to.sendall(data)
