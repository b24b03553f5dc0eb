"""An SSH server on loopback that offers a folder by SFTP: OpenSSH, with keys of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .running import NotInstalledError, Server, free_port, spawn, wait_until_ready  # noqa: TID252 - by either name

_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
"""


def start(port: int | None = None) -> Server:
    """A server that lets its starter in with the key in its folder."""
    program = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None or shutil.which("ssh-keygen") is None:
        raise NotInstalledError("apt-get install openssh-server")
    port = port or free_port()
    folder = Path(tempfile.mkdtemp(prefix="gitml-sshd-"))
    for name in ("host", "user"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(folder / name)]
        subprocess.run(words, check=True, timeout=60)
    (folder / "config").write_text(_CONFIG.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    process = spawn([program, "-D", "-e", "-f", str(folder / "config")], folder, "log")
    wait_until_ready(port, process, folder / "log")
    return _Sshd(endpoint_url=f"sftp://127.0.0.1:{port}", environment={}, processes=(process,), folder=folder)


class _Sshd(Server):
    @property
    def port(self) -> int:
        return int(self.endpoint_url.rpartition(":")[2])


def options(server: Server) -> Mapping[str, str]:
    """What a person who may come in writes into the settings."""
    return {"username": getpass.getuser(), "key_filename": str(server.folder / "user")}


def known_hosts(server: Server) -> str:
    """The line of a person who knows the server."""
    kind, key, *_ = (server.folder / "host.pub").read_text().split()
    return f"[127.0.0.1]:{server.port} {kind} {key}\n"
