"""How objects get into a folder behind SSH, and whom a connection is made to.

A file is written under another name and renamed: the protocol's own rename fails where the new name is taken, which
makes creating exclusive; OpenSSH's `posix-rename` replaces. Nothing asks the server to flush: what survives a power
cut there is its file system's business. This module is imported only where a store is behind SSH.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import paramiko

from gitml.store.media.fsspec_medium import temporary_name

_BLOCK_BYTES: Final = 32 << 10  # the most that every server answers at once


class UnknownHostError(paramiko.SSHException):  # type: ignore[misc]  # paramiko has no types
    """Nobody has said that this is the server's key."""


class KnownHosts(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Connects to hosts in `~/.ssh/known_hosts` only, as ssh does when nobody is asked."""

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        """See paramiko."""
        known = paramiko.HostKeys()
        with suppress(OSError):
            known.load(str(Path.home() / ".ssh" / "known_hosts"))
        if not known.check(hostname, key):
            raise UnknownHostError(
                f"the {key.get_name()} key of {hostname} is not in ~/.ssh/known_hosts (ssh-keyscan lists a host's keys)"
            )


def with_known_hosts(arguments: Mapping[str, Any], stall_s: float) -> dict[str, Any]:
    """Arguments of fsspec's file system: the host is one that the user knows, and no step may stand still."""
    return {
        "host_key_policy": KnownHosts(),
        "timeout": stall_s,
        "banner_timeout": stall_s,
        "auth_timeout": stall_s,
        "channel_timeout": stall_s,
        **arguments,
    }


class SftpBodies:
    """See :class:`gitml.store.media.fsspec_medium.Bodies`.

    Args:
        stall_s: How long the server may be silent.
    """

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s

    def begin(self, files: Any) -> None:
        """Let no answer be waited for without end, which is what paramiko does."""
        files.ftp.get_channel().settimeout(self._stall_s)

    def put(self, files: Any, path: str, body: bytes) -> None:
        """Replace a file by a whole one."""
        temporary = self._written(files, path, body)
        files.ftp.posix_rename(temporary, path)

    def create(self, files: Any, path: str, body: bytes) -> None:
        """Give a whole file its name, if that is free."""
        if files.exists(path):
            raise FileExistsError(path)
        temporary = self._written(files, path, body)
        try:
            files.ftp.rename(temporary, path)
        except OSError:
            taken = files.exists(path)
            with suppress(OSError):
                files.ftp.remove(temporary)
            if taken:
                raise FileExistsError(path) from None
            raise

    def read(self, files: Any, path: str, start: int, stop: int) -> bytes:
        """Ask for all of it at once: each block that waited for the one before would wait for the network."""
        with files.ftp.open(path, "rb") as file:
            blocks = [
                (offset, min(_BLOCK_BYTES, stop - offset)) for offset in range(start, stop, _BLOCK_BYTES)
            ]
            return b"".join(file.readv(blocks))

    def close(self, files: Any) -> None:
        """See :class:`gitml.store.media.fsspec_medium.Bodies`."""
        files.client.close()

    def _written(self, files: Any, path: str, body: bytes) -> str:
        temporary = temporary_name(path)
        try:
            file = files.ftp.open(temporary, "wb")
        except FileNotFoundError:
            _make_folders(files, path.rpartition("/")[0])
            file = files.ftp.open(temporary, "wb")
        with file:
            file.set_pipelined(True)
            file.write(body)
        if files.ftp.stat(temporary).st_size != len(body):
            raise EOFError("the server did not take all bytes")
        return temporary


def _make_folders(files: Any, path: str) -> None:
    made = ""
    for part in path.strip("/").split("/"):
        made = f"{made}/{part}"
        try:
            files.ftp.mkdir(made)
        except OSError:  # it is there, or somebody makes it at the same time
            if not stat.S_ISDIR(files.ftp.stat(made).st_mode or 0):
                raise
