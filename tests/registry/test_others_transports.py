"""`REPO//…` over real HTTP and SSH, with git's own credentials."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest
from servers import git_http, sshd
from servers.running import NotInstalledError, Server, running
from support.promoting import founded, land
from support.team import read

import gitml


def server_of(name: str) -> Server:
    try:
        return running(name)
    except NotInstalledError as error:
        if os.environ.get("GITML_REQUIRE_SERVERS"):
            raise
        pytest.skip(f"{name} is not installed: {error}")


def set_git(key: str, value: str) -> None:
    subprocess.run(["git", "config", "--global", key, value], check=True)


def http(repository: Path) -> str:
    """A private repository; the password comes from git's credential helper."""
    server = server_of("git-http")
    kept = Path(os.environ["HOME"], "credentials")
    kept.write_text(f"http://{git_http.USER}:{git_http.PASSWORD}@127.0.0.1:{server.port}\n")
    set_git("credential.helper", f"store --file={kept}")
    return f"{server.endpoint_url}/auth/{git_http.add(server, repository)}"


def ssh(repository: Path) -> str:
    """A server that does not hear of git's newer protocol, and gives only what a branch names."""
    server = server_of("sftp")
    hosts = Path(os.environ["HOME"], "known_hosts")
    hosts.write_text(sshd.known_hosts(server))
    words = ["ssh", "-F", "none", "-i", str(server.folder / "user"), "-o", "IdentitiesOnly=yes"]
    words += ["-o", f"UserKnownHostsFile={hosts}", "-o", "GlobalKnownHostsFile=none", "-o", "BatchMode=yes"]
    set_git("core.sshCommand", " ".join(words))
    return f"ssh://{sshd.options(server)['username']}@127.0.0.1:{server.port}{repository}"


@pytest.mark.parametrize("filtering", ["true", "false"])
@pytest.mark.parametrize("address", [http, ssh])
def test_a_deploy_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: Callable[[Path], str], filtering: str
) -> None:
    team = founded(tmp_path / "theirs")
    team.ada.git("--git-dir", str(team.remote), "config", "uploadpack.allowFilter", filtering)
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    machine = tmp_path / "machine"
    machine.mkdir()
    monkeypatch.chdir(machine)
    monkeypatch.setenv("GITML_STORE_DEFAULT_URL", str(team.store))
    url = address(team.remote)
    assert read(gitml.get(f"{url}//models/digits@staging", "model").destination) == {"data.txt": b"one"}
    assert str(gitml.show(f"{url}//models/digits@1").ref) == "models/digits@1"
    for path in platformdirs.user_cache_path("gitml").rglob("*"):
        assert not path.is_file() or git_http.PASSWORD.encode() not in path.read_bytes()
