"""Signatures of commits: real keys, and everything that must not count as one."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.gitrepos import git, make
from support.signing import key, public, settings

from gitml.git import Repository

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAY = "2026-11-20T12:00:00Z"


@pytest.fixture(params=["sha1", "sha256"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    return make(tmp_path / "repo", object_format=request.param)


def signed(repository: Repository, path: Path, *options: str) -> str:
    assert repository.top is not None
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    arguments = [
        *who,
        *settings(path),
        *options,
        "commit-tree",
        "-S",
        "-p",
        "HEAD",
        "-m",
        "signed",
        "HEAD^{tree}",
    ]
    return git(repository.top, *arguments, env={"GIT_AUTHOR_DATE": DAY, "GIT_COMMITTER_DATE": DAY})


def why(
    repository: Repository, commit: str, allowed: str, revoked: str | None = None, at: datetime = NOW
) -> str | None:
    secret = None if revoked is None else revoked.encode()
    found = repository.unsigned([commit], allowed_signers=allowed.encode(), revoked=secret, at=at)
    return found.get(commit)


@pytest.mark.parametrize(
    "line",
    [
        "ada@example.com {ada}",
        'ada@example.com namespaces="git" {ada}',
        'ADA@example.com namespaces="file,git",valid-after="20200101",valid-before="21000101Z" {ada}',
        "*@example.com {ada}",
        "bob@example.com,ada@example.com {ada}",
        "a?a@example.com {ada} a comment with valid-before=20000101",
        "# a comment\n\n  ada@example.com {other}\nada@example.com {ada}",
    ],
)
def test_signatures_that_count(repository: Repository, tmp_path: Path, line: str) -> None:
    mine = key(tmp_path, "ada-key")
    allowed = line.format(ada=public(mine), other=public(key(tmp_path, "other"))) + "\n"
    assert why(repository, signed(repository, mine), allowed) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('bob@example.com namespaces="git" {ada}', "no key of its committer ada@example.com"),
        ('!ada@example.com,*@example.com namespaces="git" {ada}', "no key of its committer"),
        ('*@example.com,!ada@example.com namespaces="git" {ada}', "no key of its committer"),
        ('ada@example.com namespaces="git" {other}', "not of an allowed key"),
        ('ada@example.com namespaces="file" {ada}', "not of an allowed key"),
        ('ada@example.com namespaces="git",valid-before="20200101" {ada}', "no key of its committer"),
        ('ada@example.com valid-before="202611201300Z" {ada}', "no key of its committer"),
        ('ada@example.com VALID-BEFORE="20261121" {ada}', "no key of its committer"),
        ('ada@example.com namespaces="git",valid-after="21000101" {ada}', "not of an allowed key"),
        ('ada@example.com namespaces="git",valid-before="soon" {ada}', "no key of its committer"),
        ("# ada@example.com {ada}", "no key of its committer"),
        ("ada@example.com", "no key of its committer"),
        ("ada@example.com cert-authority {ada}", "not of an allowed key"),
        ("{ada}", "no key of its committer"),
        ("", "no key of its committer"),
        ("\x00\ufffd {ada}", "no key of its committer"),
    ],
)
def test_keys_that_do_not_count(repository: Repository, tmp_path: Path, line: str, said: str) -> None:
    mine = key(tmp_path, "ada-key")
    allowed = line.format(ada=public(mine), other=public(key(tmp_path, "other"))) + "\n"
    assert said in str(why(repository, signed(repository, mine), allowed))


def test_a_key_that_ended_counted_before(repository: Repository, tmp_path: Path) -> None:
    mine = key(tmp_path, "ada-key")
    commit, allowed = signed(repository, mine), f'ada@example.com valid-before="20261121" {public(mine)}\n'
    assert why(repository, commit, allowed, at=datetime(2026, 11, 20, 23, 59, tzinfo=UTC)) is None
    assert why(repository, commit, allowed, at=datetime(2026, 11, 21, tzinfo=UTC)) is not None


def test_a_revoked_key(repository: Repository, tmp_path: Path) -> None:
    mine = key(tmp_path, "ada-key")
    commit, allowed = signed(repository, mine), f"ada@example.com {public(mine)}\n"
    assert why(repository, commit, allowed, public(key(tmp_path, "other")) + "\n") is None
    assert "not of an allowed key" in str(why(repository, commit, allowed, public(mine) + "\n"))
    assert "not of an allowed key" in str(why(repository, commit, allowed, "no list of keys\n"))


@pytest.mark.parametrize(
    "how", ["stripped", "other-kind", "of-another-commit", "damaged", "of-another-person"]
)
def test_signatures_that_do_not_fit(repository: Repository, tmp_path: Path, how: str) -> None:
    mine = key(tmp_path, "ada-key")
    assert repository.top is not None
    raw = git(repository.top, "cat-file", "commit", signed(repository, mine)) + "\n"
    end = raw.index(" -----END SSH SIGNATURE-----\n") + 29
    begin = raw.index("gpgsig")
    changed = {
        "stripped": raw[:begin] + raw[end:],
        "other-kind": raw.replace("SSH SIGNATURE", "PGP SIGNATURE"),
        "of-another-commit": raw.replace("\nsigned\n", "\nanother\n"),
        "damaged": raw.replace("\n U1NIU0lH", "\n U1NIU0lG"),
        "of-another-person": raw.replace("committer Ada <ada@", "committer Eve <eve@"),
    }[how]
    assert changed != raw
    commit = git(
        repository.top, "hash-object", "-w", "--literally", "-t", "commit", "--stdin", stdin=changed.encode()
    )
    allowed = f"ada@example.com {public(mine)}\neve@example.com {public(key(tmp_path, 'eve'))}\n"
    assert why(repository, commit, allowed) is not None


def test_settings_of_the_clone_add_no_key(repository: Repository, tmp_path: Path) -> None:
    """Neither a list of their own, nor another program that says yes to all."""
    mine, program, own = key(tmp_path, "ada-key"), tmp_path / "yes", tmp_path / "own"
    program.write_text(
        '#!/bin/sh\ntouch "$0.ran"\necho \'Good "git" signature for ada@example.com with x\'\n'
    )
    program.chmod(0o755)
    own.write_text(f"ada@example.com {public(mine)}\n")
    assert repository.top is not None
    commit = signed(repository, mine)
    for name, value in (("allowedSignersFile", own), ("program", program), ("defaultKeyCommand", program)):
        git(repository.top, "config", f"gpg.ssh.{name}", str(value))
    git(repository.top, "config", "gpg.minTrustLevel", "undefined")
    allowed = f"ada@example.com {public(key(tmp_path, 'other'))}\n"
    assert why(repository, commit, allowed) is not None
    assert not program.with_suffix(".ran").exists()


def test_many_at_once_and_none(repository: Repository, tmp_path: Path) -> None:
    mine = key(tmp_path, "ada-key")
    assert repository.top is not None
    head = git(repository.top, "rev-parse", "HEAD")
    allowed = f"ada@example.com {public(mine)}\n".encode()
    good = signed(repository, mine)
    assert repository.unsigned([], allowed_signers=b"", revoked=None, at=NOW) == {}
    found = repository.unsigned([good, head], allowed_signers=allowed, revoked=None, at=NOW)
    assert found == {head: "nobody signed it"}
