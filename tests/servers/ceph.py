"""Ceph's RADOS Gateway over one monitor and one OSD that keeps everything in memory: S3 that is real, in some 15 s."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from .running import (  # noqa: TID252 - by either name of the package
    NotInstalledError,
    Server,
    free_port,
    spawn,
    wait_until_ready,
)

READER = ("READERACCESSKEY", "reader-secret-of-ceph")
"""Keys of a user who has no rights but those that a bucket gives her."""

_TOOL_S = 60
_PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "ceph", "ceph-authtool", "monmaptool", "radosgw-admin")
_USERS = {"team": ("TEAMACCESSKEY", "team-secret-of-ceph"), "reader": READER}
# Without tcp_nodelay each answer of some blocks waits 40 ms for an acknowledgement.
_CONFIGURATION = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_port}/0]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
crash dir = {folder}
keyring = {folder}/keyring
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
mon data = {folder}/mon
osd data = {folder}/osd
auth allow insecure global id reclaim = false
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 1
osd objectstore = memstore
memstore device bytes = 17179869184
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw data = {folder}/rgw
rgw gc obj min wait = 1
rgw gc processor period = 1
"""


def start(port: int | None = None) -> Server:
    """A cluster, its gateway, and two users."""
    if missing := [program for program in _PROGRAMS if shutil.which(program) is None]:
        raise NotInstalledError(
            f"apt-get install radosgw ceph-mon ceph-osd ceph-common ({missing[0]} is missing)"
        )
    port, mon_port, fsid = port or free_port(), free_port(), str(uuid.uuid4())
    folder = Path(tempfile.mkdtemp(prefix="gitml-ceph-"))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        (folder / "ceph.conf").write_text(
            _CONFIGURATION.format(fsid=fsid, mon_port=mon_port, port=port, folder=folder)
        )
        _make_cluster(folder, fsid, mon_port, processes)
        processes.append(spawn(_with(folder, "radosgw", "-f", "-n", "client.rgw.a"), folder, "rgw.out"))
        for name, (access, secret) in _USERS.items():
            _do(
                folder, "radosgw-admin", "user", "create", "--uid", name, "--display-name", name,
                "--access-key", access, "--secret-key", secret,
            )  # fmt: skip
        wait_until_ready(port, processes[-1], folder / "rgw.out")
    except BaseException:
        Server(endpoint_url="", environment={}, processes=processes, folder=folder).stop()
        raise
    access, secret = _USERS["team"]
    return Server(
        endpoint_url=f"http://127.0.0.1:{port}",
        environment={"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret},
        processes=processes,
        folder=folder,
    )


def _make_cluster(folder: Path, fsid: str, mon_port: int, processes: list[subprocess.Popen[bytes]]) -> None:
    """A cluster of one monitor and one OSD, running."""
    keyring, monmap = str(folder / "keyring"), str(folder / "monmap")
    for name, rights in (
        ("mon.", ("mon", "allow *")),
        ("client.admin", ("mon", "allow *", "osd", "allow *", "mgr", "allow *")),
        ("osd.0", ("mon", "allow profile osd", "osd", "allow *")),
        ("client.rgw.a", ("mon", "allow rwx", "osd", "allow rwx")),
    ):
        pairs = zip(rights[::2], rights[1::2], strict=True)
        caps = [word for service, right in pairs for word in ("--cap", service, right)]
        _do(folder, "ceph-authtool", keyring, "-C" if name == "mon." else "-g", *(["-g"] if name == "mon." else []),
            "-n", name, *caps)  # fmt: skip
    _do(
        folder,
        "monmaptool",
        "--create",
        "--fsid",
        fsid,
        "--addv",
        "a",
        f"[v2:127.0.0.1:{mon_port}/0]",
        monmap,
    )
    _do(folder, "ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
    processes.append(spawn(_with(folder, "ceph-mon", "-f", "-i", "a"), folder, "mon.out"))
    osd = str(uuid.uuid4())
    _do(folder, "ceph", "osd", "new", osd)
    (folder / "osd").mkdir()
    _do(folder, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
    _do(folder, "ceph", "osd", "crush", "add", "osd.0", "1.0", "host=localhost", "root=default")
    processes.append(spawn(_with(folder, "ceph-osd", "-f", "-i", "0"), folder, "osd.out"))


def _with(folder: Path, program: str, *arguments: str) -> list[str]:
    return [program, "-c", str(folder / "ceph.conf"), *arguments]


def _do(folder: Path, program: str, *arguments: str) -> None:
    """Run one of Ceph's programs to its end."""
    tools = ("ceph-authtool", "monmaptool")
    command = [program, *arguments] if program in tools else _with(folder, program, *arguments)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TOOL_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}"[-2000:])
