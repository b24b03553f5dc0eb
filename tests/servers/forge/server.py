"""The double on loopback: `/VENDOR/…` is a vendor's REST API, `/OWNER/NAME.git` the repository by git's own protocol.

Every call is carried out under its project's lock, as a database would; what goes wrong on purpose goes wrong outside it.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from .core import Forge, Project, Refusal  # noqa: TID252 - by either name of the package
from .faults import Fault, Faults, How  # noqa: TID252
from .routing import Call, Reply, Vendor  # noqa: TID252

VENDORS = ("github", "gitlab", "gitea", "azure_devops", "bitbucket")
_PREFIXES = {"azure": "azure_devops"}  # how the path begins, where it is not the module's name


def vendor(name: str) -> Vendor | None:
    """The routes of a vendor; None where nobody wrote them."""
    if name not in VENDORS:
        return None
    package = __package__  # __name__ is no help where this runs as a program
    try:
        module = importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{package}.{name}":
            raise
        return None
    found: Vendor = module.VENDOR
    return found


@dataclass(frozen=True, kw_only=True)
class Logged:
    """A call that was answered."""

    vendor: str
    method: str
    path: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class ForgeServer:
    """A double that runs in this process.

    Attributes:
        forge: Users and projects.
        faults: What is to go wrong.
        log: Calls of the APIs, as they were answered.
        complaints: What was wrong with calls by the vendors' published documents.
        git_needs_token: Whether git over HTTP asks for a password, which is the token.
    """

    def __init__(self, port: int = 0) -> None:
        self.forge = Forge()
        self.faults = Faults()
        self.log: list[Logged] = []
        self.complaints: list[str] = []
        self.git_needs_token = False
        self.stopping = threading.Event()
        self._lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"double": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def api_url(self, name: str) -> str:
        """Where a vendor's API begins."""
        return f"{self.origin}/{name}"

    def git_url(self, project: Project) -> str:
        """Where git finds a project."""
        return f"{self.origin}/{project.name}.git"

    def start(self) -> ForgeServer:
        """Listen."""
        self._thread.start()
        return self

    def reset(self) -> None:
        """Forget users, projects, calls, and what was to go wrong."""
        with self._lock:
            self.forge = Forge()
            self.faults.clear()
            self.log.clear()
            self.complaints.clear()
            self.git_needs_token = False

    def stop(self) -> None:
        """Listen no more."""
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, name: str, speaks: Vendor, call: Call) -> Reply:
        """Carry a call out."""
        with self._lock:
            complaint = speaks.complaint(call)
            if complaint is not None:
                self.complaints.append(f"{call.method} {call.path}: {complaint}")
            try:
                user = self.forge.user_of_token(speaks.token(call))
                for route in speaks.routes:
                    found = route.match(call.method, call.path)
                    if found is not None:
                        call.found = found
                        return route.handler(call, user)
            except Refusal as refusal:
                return speaks.error(refusal)
        self.complaints.append(f"{call.method} {call.path}: the double of {name} has no such route")
        return Reply(status=404, body=speaks.fault(404))


@contextmanager
def serving(port: int = 0) -> Iterator[ForgeServer]:
    """A double that is stopped at the end."""
    double = ForgeServer(port).start()
    try:
        yield double
    finally:
        double.stop()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    double: ForgeServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for head and body
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _any(self) -> None:
        try:
            url = urlsplit(self.path)
            body = self._body()
            first, _, rest = url.path.removeprefix("/").partition("/")
            if ".git/" in url.path:
                self._git(url.path.removeprefix("/git"), url.query, body)
                return
            name = _PREFIXES.get(first, first)
            speaks = vendor(name)
            if speaks is None:
                self._send(Reply(status=404, body={"message": f"no vendor {first!r}"}))
                return
            call = Call(
                forge=self.double.forge,
                method=self.command,
                path="/" + rest,
                query=parse_qs(url.query, keep_blank_values=True),
                headers=self.headers,  # type: ignore[arg-type]
                body=body,
                base_url=f"{self.double.origin}/{first}",
            )
            self._api(name, speaks, call)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _any  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").casefold() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _api(self, name: str, speaks: Vendor, call: Call) -> None:
        fault = self.double.faults.take(call.method, call.path)
        reply = None
        if fault is None or fault.after_effect or fault.how in (How.SLOW, How.TRUNCATED):
            if fault is not None and fault.how is How.SLOW and not fault.after_effect:
                self.double.stopping.wait(fault.seconds)
            reply = self.double.answer(name, speaks, call)
        if fault is not None:
            reply = self._faulty(fault, speaks, reply)
        self.double.log.append(
            Logged(
                vendor=name,
                method=call.method,
                path=call.path,
                status=reply.status if reply else 0,
                headers=dict(call.headers),
                body=call.body,
            )
        )
        if reply is None:
            self.close_connection = True
            return
        self._send(reply, cut=fault is not None and fault.how is How.TRUNCATED)

    def _faulty(self, fault: Fault, speaks: Vendor, right: Reply | None) -> Reply | None:
        match fault.how:
            case How.STATUS:
                return Reply(status=fault.status, body=speaks.fault(fault.status), headers=fault.headers)
            case How.RATE_LIMIT:
                return speaks.rate_limited(fault.seconds)
            case How.HTML:
                status = 200 if fault.status == 500 else fault.status
                page = b"<!DOCTYPE html><html><body>Please sign in</body></html>"
                return Reply(status=status, body=page, headers={"Content-Type": "text/html", **fault.headers})
            case How.EMPTY:
                return Reply(status=200, body=b"", headers={"Content-Type": "application/json"})
            case How.CUT:
                return None
            case How.SLOW if fault.after_effect:
                self.double.stopping.wait(fault.seconds)
        return right

    def _send(self, reply: Reply, *, cut: bool = False) -> None:
        data = b"" if reply.body is None else reply.body
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        headers = {"Content-Type": "application/json; charset=utf-8", **reply.headers}
        self.send_response(reply.status)
        for key, value in headers.items():
            self.send_header(key, value)
        if reply.status != 204 and reply.status >= 200:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD" and reply.status != 204:
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True

    # git -----------------------------------------------------------------------------------------------------------

    def _git(self, path: str, query: str, body: bytes) -> None:
        """Let `git http-backend` answer."""
        name, _, rest = path.removeprefix("/").partition(".git/")
        project = self.double.forge.projects.get(name)
        if project is None:
            self._send(Reply(status=404, body=b"", headers={"Content-Type": "text/plain"}))
            return
        call = Call(
            forge=self.double.forge,
            method="",
            path="",
            query={},
            headers=self.headers,  # type: ignore[arg-type]
            body=b"",
            base_url="",
        )
        login = next((one.login for one in self.double.forge.users if one.token == call.token), None)
        if self.double.git_needs_token and login is None:
            realm = {"WWW-Authenticate": 'Basic realm="git"', "Content-Type": "text/plain"}
            self._send(Reply(status=401, body=b"", headers=realm))
            return
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_PROJECT_ROOT": str(project.bare),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{rest}",
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": login or "anybody",
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", "http-backend"],
            input=body,
            capture_output=True,
            env=variables,
            check=False,
        )
        head, _, data = done.stdout.partition(b"\r\n\r\n")
        headers: dict[str, str] = {}
        status = 200
        for line in head.decode().split("\r\n"):
            key, _, value = line.partition(": ")
            if key == "Status":
                status = int(value.split()[0])
            elif key:
                headers[key] = value
        self._send(Reply(status=status, body=data, headers=headers))


def main() -> None:
    """Serve one project until interrupted; for :func:`tests.servers.running.start_forge`."""
    import sys

    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    bare = folder / "registry.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(bare)], check=True)
    with serving(port) as double:
        for login in ("ada", "bob", "cyd"):
            double.forge.add_user(login, email=f"{login}@example.com")
        double.forge.add_project("team/registry", bare)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
