"""Fetch and push: leases, lost races, failures in words, and addresses that are refused."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gitrepos import bare, clone, commit, fsck, git, make, with_remote

from gitml.errors import (
    AccessDenied,
    Conflict,
    GitMLError,
    IntegrityError,
    InvalidInput,
    NotFound,
    StoreUnavailable,
    UsageError,
)
from gitml.git import ANY, PushRef, PushStatus, Repository, Upstream, check_url, same_remote
from gitml.git.failures import failure


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Repository, Path]:
    repository = make(tmp_path / "work")
    return repository, with_remote(repository, tmp_path / "team.git")


def commit_on(repository: Repository, base: str, name: str) -> str:
    return repository.write_commit(repository.write_tree(base, {name: b"x"}), [base], name)


def test_push_with_leases(pair: tuple[Repository, Path]) -> None:
    repository, remote = pair
    first = repository.head().commit or ""
    second, rival = commit_on(repository, first, "a"), commit_on(repository, first, "b")
    ref = "refs/heads/production"

    def push(new: str | None, expected: str | None) -> PushStatus:
        return repository.push("origin", [PushRef(ref=ref, new=new, expected=expected)])[ref].status

    assert push(first, None) is PushStatus.OK
    assert push(second, None) is PushStatus.STALE
    assert push(second, first) is PushStatus.OK
    assert push(rival, first) is PushStatus.STALE
    assert push(second, first) is PushStatus.UP_TO_DATE
    assert push(None, first) is PushStatus.STALE
    assert repository.remote_refs("origin", ref) == {ref: second}
    assert push(None, second) is PushStatus.OK
    assert repository.remote_refs("origin", ref) == {}
    assert push(first, second) is PushStatus.STALE
    assert repository.push("origin", []) == {}
    fsck(remote)


def test_push_without_a_lease_is_fast_forward_only(pair: tuple[Repository, Path]) -> None:
    repository, _ = pair
    first = repository.head().commit or ""
    second, rival = commit_on(repository, first, "a"), commit_on(repository, first, "b")
    ref = "refs/heads/main"
    assert repository.push("origin", [PushRef(ref=ref, new=second, expected=ANY)])[ref].ok
    result = repository.push("origin", [PushRef(ref=ref, new=rival)])[ref]
    assert result.status is PushStatus.STALE
    assert result.reason


def test_atomic_push_moves_all_or_nothing(pair: tuple[Repository, Path]) -> None:
    repository, _ = pair
    first = repository.head().commit or ""
    second = commit_on(repository, first, "a")
    wanted = [
        PushRef(ref="refs/heads/production", new=second, expected=None),
        PushRef(ref="refs/gitml/requests/1", new=second, expected=first),
    ]
    results = repository.push("origin", wanted, atomic=True)
    assert results["refs/gitml/requests/1"].status is PushStatus.STALE
    assert results["refs/heads/production"].status is PushStatus.NOT_TRIED
    assert repository.remote_refs("origin") == {"refs/heads/main": first}
    results = repository.push("origin", wanted)
    assert results["refs/heads/production"].status is PushStatus.OK


def test_hook_of_the_remote_refuses(pair: tuple[Repository, Path]) -> None:
    repository, remote = pair
    hook = remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\necho "stages move by request" >&2\nexit 1\n')
    hook.chmod(0o755)
    new = commit_on(repository, repository.head().commit or "", "a")
    result = repository.push("origin", [PushRef(ref="refs/heads/main", new=new)])["refs/heads/main"]
    assert result.status is PushStatus.REFUSED
    assert "hook" in (result.reason or "")


def dies(remote: Path, hook: str, state: str = "") -> None:
    """Let what receives a push at a remote die within a hook, together with the hook."""
    path = remote / "hooks" / hook
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\n[ "$1" = "{state}" ] || [ -z "{state}" ] || exit 0\nkill -9 $PPID $$\n')
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("hook", "state", "moved"),
    [
        ("pre-receive", "", False),
        ("update", "", False),
        ("reference-transaction", "prepared", False),
        ("reference-transaction", "committed", True),
    ],
)
def test_the_other_side_dies_within_a_push(
    hook: str, state: str, moved: bool, pair: tuple[Repository, Path]
) -> None:
    """What became of the refs is looked up; a death is no refusal."""
    repository, remote = pair
    first = repository.head().commit or ""
    second = commit_on(repository, first, "a")
    updates = [
        PushRef(ref="refs/heads/main", new=second, expected=first),
        PushRef(ref="refs/gitml/requests/1", new=first, expected=None),
    ]
    dies(remote, hook, state)
    if moved:
        results = repository.push("origin", updates, atomic=True)
        assert {one.status for one in results.values()} == {PushStatus.OK}
        assert git(remote, "rev-parse", "main") == second
        return
    with pytest.raises(StoreUnavailable) as caught:
        repository.push("origin", updates, atomic=True)
    assert caught.value.exit_code == 7
    assert git(remote, "rev-parse", "main") == first
    (remote / "hooks" / hook).unlink()
    for lock in remote.rglob("*.lock"):
        lock.unlink()
    assert all(one.ok for one in repository.push("origin", updates, atomic=True).values())
    fsck(remote)


def test_a_remote_that_cannot_take_the_objects(pair: tuple[Repository, Path]) -> None:
    repository, remote = pair
    first = repository.head().commit or ""
    git(remote, "config", "receive.maxInputSize", "10")
    update = PushRef(ref="refs/heads/main", new=commit_on(repository, first, "a"), expected=first)
    with pytest.raises(StoreUnavailable) as caught:
        repository.push("origin", [update])
    assert caught.value.code == "remote-unpack"
    assert "maximum allowed size" in caught.value.message


def test_pre_push_hook_runs_only_when_asked_for(pair: tuple[Repository, Path]) -> None:
    repository, _ = pair
    hook = repository.common_dir / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncat > "$(dirname "$0")/seen"\nexit 1\n')
    hook.chmod(0o755)
    first = repository.head().commit or ""
    ref = "refs/heads/topic"
    result = repository.push("origin", [PushRef(ref=ref, new=first, expected=None)], hooks=True)[ref]
    assert result.status is PushStatus.REFUSED
    assert "pre-push" in (result.reason or "")
    assert ref in (hook.parent / "seen").read_text()
    (hook.parent / "seen").unlink()
    assert repository.push("origin", [PushRef(ref=ref, new=first, expected=None)])[ref].ok
    assert not (hook.parent / "seen").exists()


def test_fetch_and_tracking(pair: tuple[Repository, Path], tmp_path: Path) -> None:
    repository, remote = pair
    other = clone(remote, tmp_path / "other")
    new = commit(tmp_path / "other", {"b": b"b"})
    git(tmp_path / "other", "push", "-q", "origin", "main", "main:topic", "main:refs/gitml/requests/1")
    repository.fetch("origin")
    assert repository.remote_branches("origin") == {"main": new, "topic": new}
    repository.fetch("origin", ["+refs/gitml/requests/*:refs/gitml/requests/*"])
    assert repository.refs("refs/gitml/") == {"refs/gitml/requests/1": new}
    git(tmp_path / "other", "push", "-q", "origin", ":topic")
    repository.fetch("origin", prune=True)
    assert repository.remote_branches("origin") == {"main": new}
    assert repository.is_ancestor(repository.head().commit or "", new)
    assert other.upstream("main") == Upstream(remote="origin", branch="main")
    assert repository.upstream("main") is None
    repository.set_upstream("main", "origin")
    assert repository.upstream("main") == Upstream(remote="origin", branch="main")
    with pytest.raises(NotFound):
        repository.set_upstream("main", "nowhere")
    with pytest.raises(NotFound) as caught:
        repository.fetch("origin", ["refs/heads/absent:refs/remotes/origin/absent"])
    assert caught.value.code == "remote-ref"


def test_add_remote(pair: tuple[Repository, Path]) -> None:
    repository, remote = pair
    repository.add_remote("origin", remote.as_uri())
    assert repository.remotes() == {"origin": str(remote)}
    with pytest.raises(Conflict):
        repository.add_remote("origin", "https://example.com/o/r")
    repository.add_remote("second", "git@example.com/o/r")
    assert repository.remotes()["second"] == "git@example.com:o/r"
    with pytest.raises(InvalidInput):
        repository.add_remote("third", "ext::sh -c true")


def test_clone(pair: tuple[Repository, Path], tmp_path: Path) -> None:
    repository, remote = pair
    copy = Repository.clone(str(remote), tmp_path / "copy")
    assert copy.head().commit == repository.head().commit
    assert copy.remotes() == {"origin": str(remote)}
    shallow = Repository.clone(remote.as_uri(), tmp_path / "deep" / "shallow", depth=1)
    assert shallow.head().commit == repository.head().commit
    with pytest.raises(Conflict):
        Repository.clone(str(remote), tmp_path / "copy")


def test_failures_have_their_exit_codes(pair: tuple[Repository, Path], tmp_path: Path) -> None:
    repository, _ = pair
    with pytest.raises(NotFound):
        repository.fetch("nowhere")
    with pytest.raises(NotFound):
        repository.fetch(str(tmp_path / "absent.git"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(StoreUnavailable) as caught:
        repository.fetch(f"http://user:secret-token@127.0.0.1:{port}/r.git")
    assert "secret" not in caught.value.message + str(caught.value.context)
    new = repository.head().commit or ""
    with pytest.raises(StoreUnavailable):
        repository.push(f"http://127.0.0.1:{port}/r.git", [PushRef(ref="refs/heads/main", new=new)])
    with pytest.raises(UsageError):
        repository.push("origin", [PushRef(ref="refs/heads/x", new=new)] * 2)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("fatal: Authentication failed for 'https://u:p@example.com/r/'", AccessDenied),
        (
            "git@example.com: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            AccessDenied,
        ),
        ("Host key verification failed.\nfatal: Could not read from remote repository.", AccessDenied),
        ("fatal: could not read Username for 'https://example.com': terminal prompts disabled", AccessDenied),
        (
            "fatal: unable to access 'https://example.com/': The requested URL returned error: 403",
            AccessDenied,
        ),
        ("fatal: repository 'https://example.com/r/' not found", NotFound),
        ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", NotFound),
        (
            "ssh: Could not resolve hostname x\nfatal: Could not read from remote repository.",
            StoreUnavailable,
        ),
        (
            "fatal: unable to access 'https://example.com/': Could not resolve host: example.com",
            StoreUnavailable,
        ),
        ("error: RPC failed; HTTP 502\nfatal: the remote end hung up unexpectedly", StoreUnavailable),
        ("fatal: fsck error in packed object", IntegrityError),
        ("fatal: expected 'acknowledgments'", StoreUnavailable),
        ("fatal: expected flush after ref listing", StoreUnavailable),
        ("fatal: git fetch-pack: expected ACK/NAK, got a flush packet", StoreUnavailable),
        ("fatal: error reading section header 'packfile'", StoreUnavailable),
        ("error: 17 bytes of body are still expected", StoreUnavailable),
        (f"fatal: unable to stream {'a' * 40} to stdout", IntegrityError),
        (f"fatal: Could not read {'a' * 40}", IntegrityError),
        (f"fatal: Not a valid commit name {'a' * 40}", IntegrityError),
        ("error: cache entry has null sha1: x", IntegrityError),
        ("fatal: No such ref: HEAD", IntegrityError),
        ("fatal: bad config line 1 in file .git/config", InvalidInput),
    ],
)
def test_words_of_git(words: str, error: type[GitMLError]) -> None:
    found = failure(words, 128, what="x")
    assert type(found) is error
    assert "u:p" not in found.message


def test_broken_objects_are_refused_on_fetch(tmp_path: Path) -> None:
    source = make(tmp_path / "source")
    top = tmp_path / "source"
    blob = git(top, "hash-object", "-w", "--stdin", stdin=b"evil")
    bad = git(top, "mktree", stdin=f"100644 blob {blob}\t.git\n".encode())
    made = git(top, "commit-tree", "-m", "bad", bad)
    git(top, "update-ref", "refs/heads/bad", made)
    target = make(tmp_path / "target")
    git(tmp_path / "target", "remote", "add", "origin", str(top))
    with pytest.raises(IntegrityError):
        target.fetch("origin")
    assert target.remote_branches("origin") == {}
    assert source.refs("refs/heads/bad")


GOOD = [
    "https://example.com/o/r", "https://user@example.com:8443/o/r.git", "ssh://git@example.com/o/r",
    "ssh://git@example.com:2222/~/r", "git@example.com:o/r.git", "example.com:o/r", "git@[::1]:o/r", "ssh://[::1]/r",
    "file:///srv/r.git", "/srv/r.git", "../r", "./r", "r.git", "http://127.0.0.1:80/r", "http://localhost/r",
]  # fmt: skip
BAD = [
    "", " ", "ext::sh -c touch% /tmp/x", "EXT::sh", "fd::17", "file::/x", "transport::address", "testgit::/x",
    "git::https://example.com", "-oProxyCommand=x", "--upload-pack=touch x", "-", "ssh://-oProxyCommand=x/r",
    "ssh://git@-oProxyCommand=x/r", "git@-oProxyCommand=x:r", "-x:r", "git@host:-x", "ssh://host/-x",
    "ssh://-l@host/r", "ssh://%2doProxyCommand=x/r", "https://example.com\n/r", "https://example.com/%0a/r",
    "https://example.com/\r", "https://example.com/\x1b[2J", "https://example.com/\x00", "https://ex ample.com/r",
    "https:///r", "https://", "ssh://", "http://example.com/r", "http://169.254.169.254/latest", "git://example.com/r",
    "ftp://example.com/r", "ftps://example.com/r", "rsync://example.com/r", "data:,x://x", "javascript://x",
    "gopher://x/", "dict://x/", "file://evil.example/share", "ssh+git://x/y", "https://example.com:99999/r",
    "https://[::1/r", "x" * 5000, "git@host:", "host::path",
]  # fmt: skip


@pytest.mark.parametrize("url", GOOD)
def test_good_addresses(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize("url", BAD)
def test_refused_addresses(url: str, pair: tuple[Repository, Path], tmp_path: Path) -> None:
    repository, _ = pair
    with pytest.raises(GitMLError) as caught:
        check_url(url)
    assert caught.value.exit_code == 3
    with pytest.raises(GitMLError):
        repository.fetch(url)
    with pytest.raises(GitMLError):
        Repository.clone(url, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_configured_address_is_checked_too(pair: tuple[Repository, Path], tmp_path: Path) -> None:
    repository, _ = pair
    assert repository.top is not None
    mark = tmp_path / "mark"
    git(repository.top, "config", "remote.origin.url", f"ext::sh -c touch% {mark}")
    with pytest.raises(InvalidInput):
        repository.fetch("origin")
    with pytest.raises(InvalidInput):
        repository.push("origin", [PushRef(ref="refs/heads/main", new=repository.head().commit)])
    git(repository.top, "config", "remote.origin.url", "https://127.0.0.1:1/r")
    git(repository.top, "config", f"url.ext::sh -c touch% {mark} .insteadOf", "https://127.0.0.1:1/")
    with pytest.raises(AccessDenied) as caught:
        repository.fetch("origin")
    assert caught.value.code == "protocol-refused"
    assert not mark.exists()


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("git@host:o/r", "git@host/o/r", True),
        ("git@host:o/r", "ssh://git@host/o/r.git", True),
        ("git@host:o/r", "https://host/o/r", True),
        ("git@HOST:/o/r/", "https://token@host:443/o/r.git/", True),
        ("ssh://git@host:22/o/r", "host:o/r", True),
        ("ssh://git@host:2222/o/r", "git@host:o/r", False),
        ("git@host:o/r", "git@host:o/s", False),
        ("git@host:o/r", "git@other:o/r", False),
        ("git@host:o/R", "git@host:o/r", False),
        ("/srv/r.git", "file:///srv/r.git", True),
        ("/srv/r.git", "/srv/./x/../r", True),
        ("/srv/r", "host:srv/r", False),
        ("file:///a%00b", "git@host:a/b.git", False),
    ],
)
def test_same_remote(first: str, second: str, same: bool) -> None:
    assert same_remote(first, second) is same
    assert same_remote(second, first) is same


@given(st.text(max_size=60))
def test_whatever_passes_is_no_option_and_no_helper(text: str) -> None:
    try:
        url = check_url(text)
    except InvalidInput:
        return
    assert not url.startswith("-")
    assert "\n" not in url
    assert "::" not in url or "[" in url


def test_bare_remote_of_another_format_is_refused(pair: tuple[Repository, Path], tmp_path: Path) -> None:
    repository, _ = pair
    other = bare(tmp_path / "sha256.git", object_format="sha256")
    with pytest.raises(GitMLError):
        repository.push(str(other), [PushRef(ref="refs/heads/main", new=repository.head().commit)])
