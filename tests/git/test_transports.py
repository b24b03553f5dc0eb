"""Remotes over real HTTP and real SSH: the whole path works, and every failure is one clear line with its exit code."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from servers import git_http, sshd
from servers.running import NotInstalledError, Server, free_port, running
from support.cli import InFolder, Ran
from support.gitrepos import bare, canary, fsck, git, make
from support.team import write

from gitml.errors import StoreUnavailable
from gitml.git import PushRef


@dataclass(frozen=True)
class Remote:
    """A bare repository, and the address that people type for it."""

    url: str
    path: Path


def server_of(name: str) -> Server:
    try:
        return running(name)
    except NotInstalledError as error:
        if os.environ.get("GITML_REQUIRE_SERVERS"):
            raise
        pytest.skip(f"{name} is not installed: {error}")


def set_git(key: str, value: str) -> None:
    """A setting of the person, not of the repository."""
    subprocess.run(["git", "config", "--global", key, value], check=True)


def http(repository: Path) -> str:
    server = server_of("git-http")
    return f"{server.endpoint_url}/open/{git_http.add(server, repository)}"


def http_with_password(repository: Path) -> str:
    """The password comes from git's credential helper, as people have it."""
    server = server_of("git-http")
    kept = Path(os.environ["HOME"], "credentials")
    kept.write_text(f"http://{git_http.USER}:{git_http.PASSWORD}@127.0.0.1:{server.port}\n")
    set_git("credential.helper", f"store --file={kept}")
    return f"{server.endpoint_url}/auth/{git_http.add(server, repository)}"


def ssh_settings(server: Server, known: str) -> None:
    """What would stand in ~/.ssh/config; ssh looks for that in the home of the account, whatever HOME says."""
    hosts = Path(os.environ["HOME"], "known_hosts")
    hosts.write_text(known)
    words = ["ssh", "-F", "none", "-i", str(server.folder / "user"), "-o", "IdentitiesOnly=yes"]
    words += ["-o", f"UserKnownHostsFile={hosts}", "-o", "GlobalKnownHostsFile=none", "-o", "BatchMode=yes"]
    set_git("core.sshCommand", " ".join(words))


def ssh(repository: Path) -> str:
    server = server_of("sftp")
    ssh_settings(server, sshd.known_hosts(server))
    user = sshd.options(server)["username"]
    return f"ssh://{user}@127.0.0.1:{server.port}{repository}"


TRANSPORTS: dict[str, Callable[[Path], str]] = {"http": http, "http-password": http_with_password, "ssh": ssh}


def remote(folder: Path, transport: str) -> Remote:
    path = bare(folder / "team.git")
    return Remote(TRANSPORTS[transport](path), path)


def founded(folder: Path, url: str) -> InFolder:
    """A clone with a registry and one model, not pushed yet."""
    (folder / "ada").mkdir()
    ada = InFolder(folder / "ada")
    ada.ok("init", "--store", str(folder / "store"), "--remote", url)
    ada.ok("register", "models/digits", str(write(folder / "data", {"weights": "one"})))
    return ada


@pytest.mark.parametrize(
    "transport", ["http-password", *(pytest.param(one, marks=pytest.mark.nightly) for one in ("http", "ssh"))]
)
def test_the_whole_path(tmp_path: Path, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = canary(tmp_path / "trap")
    there = remote(tmp_path, transport)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(trap.program))
    monkeypatch.setenv("GIT_ASKPASS", str(trap.program))
    ada = founded(tmp_path, there.url)
    ada.ok("push")
    ada.ok("promote", "models/digits", "-t", "staging")
    monkeypatch.delenv("GIT_SSH_COMMAND")
    git(tmp_path, "clone", "-q", there.url, "bob")
    git(tmp_path / "bob", "config", "user.email", "bob@example.com")
    monkeypatch.setenv("GIT_SSH_COMMAND", str(trap.program))
    bob = InFolder(tmp_path / "bob")
    bob.ok("pr", "approve", "1")
    said = bob.ok("check", "staging..main", "--json").document
    assert said["target"] == "staging"
    merged = bob.ok("pr", "merge", "1", "--json").document
    assert git(there.path, "rev-parse", "staging") == merged["commit"]
    bob.ok("get", "models/digits@staging", "-o", str(tmp_path / "out"))
    assert (tmp_path / "out" / "weights").read_text() == "one"
    history = ada.ok("history", "staging", "--json").document
    assert [entry["request"] for entry in history["entries"]] == [1]
    ada.ok("verify", "--history", "staging")
    ada.ok("pull")
    assert ada.ok("status", "--remote").exit_code == 0
    assert trap.alive, trap.told()
    fsck(there.path)


def assert_plain(ran: Ran, exit_code: int, *secrets: str) -> None:
    """One line says what happened, one what to do; no secret in either."""
    lines = ran.stderr.strip().splitlines()
    assert ran.exit_code == exit_code, ran.stderr
    assert 1 <= len(lines) <= 3, ran.stderr
    assert "Traceback" not in ran.stderr and "unexpected" not in ran.stderr
    for secret in secrets:
        assert secret not in ran.stdout + ran.stderr


def nothing_lost(ada: InFolder, there: Path) -> None:
    """What was registered is whole, and the remote got nothing."""
    ada.ok("verify", "--all")
    assert git(there, "for-each-ref") == ""


@pytest.mark.parametrize(
    "verb",
    [
        ("push",),
        pytest.param(("pull",), marks=pytest.mark.nightly),
        pytest.param(("pr", "list"), marks=pytest.mark.nightly),
        pytest.param(("promote", "models/digits", "-t", "staging"), marks=pytest.mark.nightly),
    ],
)
@pytest.mark.parametrize(
    ("where", "exit_code", "word"),
    [("broken", 7, "500"), ("busy", 7, "503"), ("page", 4, "page/team.git"), ("nowhere", 4, "not found")],
)
def test_what_web_servers_answer_instead(
    tmp_path: Path, verb: tuple[str, ...], where: str, exit_code: int, word: str
) -> None:
    server = server_of("git-http")
    ada = founded(tmp_path, f"{server.endpoint_url}/{where}/team.git")
    ran = ada(*verb)
    assert_plain(ran, exit_code)
    assert word in ran.stderr
    ada.ok("verify", "--all")


def test_a_password_that_is_wrong_or_missing(tmp_path: Path) -> None:
    server = server_of("git-http")
    there = bare(tmp_path / "team.git")
    name = git_http.add(server, there)
    secret = "canary-wrong-77aa"
    ada = founded(tmp_path, f"http://{git_http.USER}:{secret}@127.0.0.1:{server.port}/auth/{name}")
    for verb in (
        ["push"],
        ["pull"],
        ["promote", "models/digits", "-t", "staging"],
        ["doctor"],
        ["push", "--json"],
    ):
        ran = ada(*verb)
        assert secret not in ran.stdout + ran.stderr, verb
        if verb[0] != "doctor" and "--json" not in verb:
            assert_plain(ran, 10, secret)
        elif "--json" in verb:
            assert (ran.exit_code, ran.document["error"]["code"]) == (10, "remote-access")
    git(ada.folder, "remote", "set-url", "origin", f"http://127.0.0.1:{server.port}/auth/{name}")
    assert_plain(ada("push"), 10)
    nothing_lost(ada, there)
    right = f"http://{git_http.USER}:{git_http.PASSWORD}@127.0.0.1:{server.port}/auth/{name}"
    git(ada.folder, "remote", "set-url", "origin", right)
    for verb in (
        ["push"],
        ["status", "--remote"],
        ["pull", "-v"],
        ["push", "--json"],
        ["show", "models/digits", "--json"],
    ):
        ran = ada.ok(*verb)
        assert git_http.PASSWORD not in ran.stdout + ran.stderr, verb
    assert git(there, "rev-parse", "main") == git(ada.folder, "rev-parse", "main")


def test_nobody_answers(tmp_path: Path) -> None:
    port = free_port()
    server = server_of("sftp")
    ssh_settings(server, "")
    there = bare(tmp_path / "team.git")
    ada = founded(tmp_path, f"http://127.0.0.1:{port}/team.git")
    for url in (f"http://127.0.0.1:{port}/team.git", f"ssh://git@127.0.0.1:{port}{there}"):
        git(ada.folder, "remote", "set-url", "origin", url)
        assert_plain(ada("push"), 7)
        assert_plain(ada("promote", "models/digits", "-t", "staging"), 7)
    nothing_lost(ada, there)


def test_ssh_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = canary(tmp_path / "trap")
    monkeypatch.setenv("GIT_SSH_COMMAND", str(trap.program))
    monkeypatch.setenv("GIT_SSH", str(trap.program))
    there = remote(tmp_path, "ssh")
    server = server_of("sftp")
    ada = founded(tmp_path, there.url)

    ssh_settings(server, "")
    ran = ada("push")
    assert_plain(ran, 10)
    assert "Host key verification failed" in ran.stderr

    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    other = (tmp_path / "other.pub").read_text().split()[1]
    ssh_settings(server, f"[127.0.0.1]:{server.port} ssh-ed25519 {other}\n")
    ran = ada("push")
    assert_plain(ran, 10)
    assert "Host key verification failed" in ran.stderr

    ssh_settings(server, sshd.known_hosts(server))
    mine = subprocess.run(
        ["git", "config", "--global", "core.sshCommand"], check=True, capture_output=True, text=True
    ).stdout.strip()
    set_git("core.sshCommand", mine.replace(str(server.folder / "user"), str(tmp_path / "other")))
    ran = ada("push")
    assert_plain(ran, 10)
    assert "Permission denied" in ran.stderr

    set_git("core.sshCommand", mine)
    git(ada.folder, "remote", "set-url", "origin", there.url.replace("team.git", "absent.git"))
    assert_plain(ada("push"), 4)
    nothing_lost(ada, there.path)
    git(ada.folder, "remote", "set-url", "origin", there.url)
    ada.ok("push")
    assert trap.alive, trap.told()


@pytest.mark.nightly
@pytest.mark.parametrize("transport", list(TRANSPORTS))
def test_a_hook_of_the_server_refuses_in_its_own_words(tmp_path: Path, transport: str) -> None:
    there = remote(tmp_path, transport)
    ada = founded(tmp_path, there.url)
    hook = there.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'ask the librarian first' >&2\nexit 1\n")
    hook.chmod(0o755)
    ran = ada("push")
    assert_plain(ran, 5)
    assert "ask the librarian first" in ran.stderr
    nothing_lost(ada, there.path)
    hook.unlink()
    ada.ok("push")


@pytest.mark.parametrize("transport", ["http", "ssh"])
@pytest.mark.parametrize(("hook", "state"), [("update", ""), ("reference-transaction", "committed")])
def test_the_other_side_dies_within_a_push(hook: str, state: str, transport: str, tmp_path: Path) -> None:
    """Not a refusal: nothing moved, and it is safe to try again; or it is found out that all moved."""
    there = remote(tmp_path, transport)
    repository = make(tmp_path / "work")
    head = repository.head().commit or ""
    path = there.path / "hooks" / hook
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\n[ "$1" = "{state}" ] || [ -z "{state}" ] || exit 0\nkill -9 $PPID $$\n')
    path.chmod(0o755)
    update = PushRef(ref="refs/heads/main", new=head, expected=None)
    if state:
        assert repository.push(there.url, [update])["refs/heads/main"].ok
        return
    with pytest.raises(StoreUnavailable):
        repository.push(there.url, [update])
    path.unlink()
    assert repository.push(there.url, [update])["refs/heads/main"].ok
