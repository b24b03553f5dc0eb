"""PostgreSQL on loopback: one user with a password, no socket in the file system, nothing durable.

Debian keeps the programs out of the PATH, and they refuse to run as root: then they run as the user `postgres`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

from .running import NotInstalledError, Server, free_port, spawn  # noqa: TID252 - by either name of the package

USER, PASSWORD, DATABASE = "ada", "Password-of-a-test-7f31", "shop"
_READY_S = 60
_UNPRIVILEGED = "postgres"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_connections": "20",
    "autovacuum": "off",
}


@cache
def _programs() -> Path:
    """The folder of the newest release that is installed.

    Raises:
        NotInstalledError: There is none.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        raise NotInstalledError("apt-get install postgresql")
    return found[-1].parent if found else Path(str(on_path)).resolve().parent


def _as_user() -> list[str]:
    """Words before a command that must not run as root."""
    if os.geteuid() != 0:
        return []
    words = ["setpriv", "--reuid", _UNPRIVILEGED, "--regid", _UNPRIVILEGED, "--clear-groups", "--"]
    # The kernel forgets the signal that comes with the parent's death when the user changes.
    return [*words, "setpriv", "--pdeathsig", "INT", "--"]


def start(port: int | None = None) -> Server:
    """A cluster of its own, with the database `shop` of the user `ada`."""
    programs, port = _programs(), port or free_port()
    folder = Path(tempfile.mkdtemp(prefix="gitml-postgresql-"))
    try:
        if os.geteuid() == 0:
            user = pwd.getpwnam(_UNPRIVILEGED)
            os.chown(folder, user.pw_uid, user.pw_gid)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)  # inside a folder that only its owner can enter
        _do(
            folder, str(programs / "initdb"), "--pgdata", str(folder / "data"), "--username", USER, "--encoding", "UTF8",
            "--locale", "C.UTF-8", "--auth", "scram-sha-256", "--pwfile", str(secret), "--no-sync", "--no-instructions",
        )  # fmt: skip
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(port), *settings]
        process = spawn([*_as_user(), *command], folder, "log")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    server = _Postgresql(
        endpoint_url=f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}",
        environment={"GITML_TEST_DATABASE": f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}"},
        processes=(process,),
        folder=folder,
    )
    try:
        _make_database(programs, port, process, folder)
    except BaseException:
        server.stop()
        raise
    return server


class _Postgresql(Server):
    """Ends at once: a plain SIGTERM waits for every client to leave."""

    @property
    def port(self) -> int:
        return int(self.endpoint_url.rpartition(":")[2].partition("/")[0])

    def stop(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGINT)
        super().stop()


def _make_database(programs: Path, port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    command = [str(programs / "psql"), "-h", "127.0.0.1", "-p", str(port), "-U", USER, "-d", "postgres", "-q",
               "-v", "ON_ERROR_STOP=1", "-c", f"create database {DATABASE}"]  # fmt: skip
    deadline = time.monotonic() + _READY_S
    said = ""
    while time.monotonic() < deadline and process.poll() is None:
        made = subprocess.run(
            command,
            env={**os.environ, "PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            timeout=_READY_S,
        )
        if made.returncode == 0:
            return
        said = made.stderr
        time.sleep(0.05)
    raise RuntimeError(
        f"no PostgreSQL on port {port}: {said}{(folder / 'log').read_text(errors='replace')[-2000:]}"
    )


def _do(folder: Path, *command: str) -> None:
    done = subprocess.run(
        [*_as_user(), *command], cwd=folder, capture_output=True, text=True, timeout=2 * _READY_S
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}"[-2000:])
