"""Real servers on loopback, each a process of its own that ends with the process that started it.

A server that is not installed makes its tests skip, unless `GITML_REQUIRE_SERVERS` is set.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_READY_S = 60
_TOP = Path(__file__).resolve().parents[2]
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = (  # the same for everybody, and public
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


class NotInstalledError(Exception):
    """The server's program is not there."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server.

    Attributes:
        endpoint_url: Where it listens.
        environment: Credentials, as a person would set them.
    """

    endpoint_url: str
    environment: Mapping[str, str]
    processes: Sequence[subprocess.Popen[bytes]] = field(repr=False)
    folder: Path

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1."""
        return int(self.endpoint_url.removeprefix("http://127.0.0.1:").partition("/")[0])

    def stop(self) -> None:
        """End it; what it held is gone."""
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spawn(command: Sequence[str], folder: Path, log: str) -> subprocess.Popen[bytes]:
    """Start a process that ends with this one."""
    leash = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    with (folder / log).open("wb") as output:
        return subprocess.Popen(
            [*leash, *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=kept | {"HOME": str(folder)},
        )


def wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when somebody listens."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"no server on port {port}: {log.read_text(errors='replace')[-2000:]}")


def start_moto(port: int | None = None) -> Server:
    """S3, light: conditional writes are honoured; everything is in memory."""
    try:
        import moto.server  # noqa: F401, to know that it is there
    except ImportError as error:
        # with the extra, because the newest of one does not go with the newest of the other
        raise NotInstalledError("pip install '.[s3]' 'moto[server]'") from error
    port = port or free_port()
    folder = Path(tempfile.mkdtemp(prefix="gitml-moto-"))
    program = str(Path(__file__).with_name("moto_atomic.py"))
    command = [sys.executable, "-W", "ignore", program, "-H", "127.0.0.1", "-p", str(port)]
    process = spawn(command, folder, "log")
    wait_until_ready(port, process, folder / "log")
    return Server(
        endpoint_url=f"http://127.0.0.1:{port}",
        environment={"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        processes=(process,),
        folder=folder,
    )


def azurite_program() -> str:
    """Azurite's program: in the folder `.servers` of the project, or on the PATH."""
    local = _TOP / ".servers/node_modules/.bin/azurite-blob"
    found = str(local) if local.exists() else shutil.which("azurite-blob")
    if found is None:
        raise NotInstalledError("npm install --prefix .servers azurite")
    return found


def start_azurite(port: int | None = None) -> Server:
    """Azure Blob Storage, by Microsoft's emulator; it has no hierarchical namespace."""
    program = azurite_program()
    port = port or free_port()
    folder = Path(tempfile.mkdtemp(prefix="gitml-azurite-"))
    command = [
        program, "--silent", "--disableTelemetry", "--inMemoryPersistence", "--skipApiVersionCheck",
        "--blobHost", "127.0.0.1", "--blobPort", str(port),
    ]  # fmt: skip
    process = spawn(command, folder, "log")
    wait_until_ready(port, process, folder / "log")
    endpoint = f"http://127.0.0.1:{port}/{AZURITE_ACCOUNT}"
    return Server(
        endpoint_url=endpoint,
        environment={
            "AZURE_STORAGE_ACCOUNT_NAME": AZURITE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURITE_KEY,
        },
        processes=(process,),
        folder=folder,
    )


def start_ceph(port: int | None = None) -> Server:
    """Ceph's RADOS Gateway, the real S3; see :mod:`ceph`, which needs what is above."""
    from .ceph import start  # noqa: TID252 - by either name of the package

    return start(port)


def start_postgresql(port: int | None = None) -> Server:
    """PostgreSQL; see :mod:`postgresql`, which needs what is above."""
    from .postgresql import start  # noqa: TID252 - by either name of the package

    return start(port)


def start_sftp(port: int | None = None) -> Server:
    """OpenSSH; see :mod:`sshd`."""
    from .sshd import start  # noqa: TID252 - by either name of the package

    return start(port)


def start_git_http(port: int | None = None) -> Server:
    """Git over HTTP; see :mod:`git_http`."""
    from .git_http import start  # noqa: TID252 - by either name of the package

    return start(port)


def start_forge(port: int | None = None) -> Server:
    """The double of the hosted forges, with one empty project `team/registry`; see :mod:`forge.server`."""
    port = port or free_port()
    folder = Path(tempfile.mkdtemp(prefix="gitml-forge-"))
    package = f"{__package__}.forge.server"
    top = _TOP if package.startswith("tests.") else _TOP / "tests"
    command = ["env", f"PYTHONPATH={top}", sys.executable, "-m", package, str(port), str(folder)]
    process = spawn(command, folder, "log")
    wait_until_ready(port, process, folder / "log")
    return Server(
        endpoint_url=f"http://127.0.0.1:{port}",
        environment={"GITML_FORGE_TOKEN": "token-of-ada"},
        processes=(process,),
        folder=folder,
    )


STARTERS: Mapping[str, Callable[[], Server]] = {
    "moto": start_moto,
    "azurite": start_azurite,
    "postgresql": start_postgresql,
    "ceph": start_ceph,
    "sftp": start_sftp,
    "git-http": start_git_http,
    "forge": start_forge,
}
_SHARED = frozenset({"ceph"})  # those that take long to start: one for all workers of a test session
_keepers: list[subprocess.Popen[bytes]] = []  # they outlive this process, and end with the session


@cache
def running(name: str) -> Server:
    """The server of that name, started at its first use in this process, or in this session where that takes long.

    Raises:
        NotInstalledError: It is not installed here.
    """
    if name in _SHARED:
        return _joined(name)
    server = STARTERS[name]()
    atexit.register(server.stop)
    return server


def _joined(name: str) -> Server:
    """The session's server of that name; whoever comes first starts it, in a process that ends with the session."""
    session = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    began = Path(f"/proc/{session}/stat").read_text().rpartition(")")[2].split()[19]
    folder = Path(tempfile.gettempdir(), f"gitml-{name}-of-{session}-{began}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        with (folder / "log").open("wb") as output:
            _keepers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.servers", name, "--of", str(session), str(folder)],
                    cwd=_TOP,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            )
    told, deadline = folder / "told", time.monotonic() + 3 * _READY_S
    while not told.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"no {name}: {(folder / 'log').read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
    answer = json.loads(told.read_text())
    if "missing" in answer:
        raise NotInstalledError(answer["missing"])
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return Server(**answer, processes=(), folder=folder / "none")


def serve_session(name: str, session: int, folder: Path) -> None:
    """Start a server, tell so in a file, and stop it when the session's process has ended."""
    ended = os.pidfd_open(session)
    server: Server | None = None
    try:
        try:
            server = STARTERS[name]()
            answer = {"endpoint_url": server.endpoint_url, "environment": dict(server.environment)}
        except NotInstalledError as error:
            answer = {"missing": str(error)}
        except Exception as error:
            answer = {"error": str(error)}
        (folder / "telling").write_text(json.dumps(answer))
        (folder / "telling").rename(folder / "told")
        select.select([ended], [], [])
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
