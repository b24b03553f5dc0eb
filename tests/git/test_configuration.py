"""Git's configuration: what is kept of it is what git would say now."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.gitrepos import git, make

from gitml.errors import GitMLError
from gitml.git import Repository, configuration
from gitml.git.command import GitCommand


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make(tmp_path / "work")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, repository: Repository) -> Iterator[list[str]]:
    """The times that git was asked; all files that are there count as old."""
    started: list[str] = []
    original = GitCommand.start

    def start(self: GitCommand, *arguments: str, **named: object) -> object:
        started.append(arguments[0])
        return original(self, *arguments, **named)

    monkeypatch.setattr(GitCommand, "start", start)
    later_s = time.time() + 3600
    monkeypatch.setattr(configuration.time, "time_ns", lambda: int(later_s * 1e9))
    yield started


def test_is_asked_once(repository: Repository, asked: list[str]) -> None:
    git(repository.top, "remote", "add", "origin", "https://example.com/a.git")
    assert [repository.remotes() for _ in range(3)] == [{"origin": "https://example.com/a.git"}] * 3
    assert repository.upstream("main") is None
    assert asked == ["config"]


@pytest.mark.parametrize("where", ["--local", "--global", "--worktree", "home"])
def test_every_change_is_seen(
    repository: Repository, asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    if where == "--worktree":
        git(repository.top, "config", "extensions.worktreeConfig", "true")
    assert repository.remotes() == {}
    if where == "home":
        (tmp_path / "other").mkdir()
        monkeypatch.setenv("HOME", str(tmp_path / "other"))
        where = "--global"
    for address in ("https://example.com/a.git", "https://example.com/b.git"):
        git(repository.top, "config", where, "remote.o.url", address)
        assert repository.remotes() == {"o": address}
    git(repository.top, "config", where, "--unset", "remote.o.url")
    assert repository.remotes() == {}


def test_a_file_that_appears_is_seen(repository: Repository, asked: list[str]) -> None:
    assert repository.remotes() == {}
    place = Path(os.environ["XDG_CONFIG_HOME"], "git/config")
    place.parent.mkdir(parents=True)
    place.write_text('[remote "late"]\n\turl = https://example.com/late.git\n')
    assert repository.remotes() == {"late": "https://example.com/late.git"}


def test_what_was_written_just_now_is_asked_again(
    repository: Repository, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written_ns = (repository.common_dir / "config").stat().st_ctime_ns
    monkeypatch.setattr(configuration.time, "time_ns", lambda: written_ns + 1_000_000)
    assert [repository.remotes() for _ in range(2)] == [{}, {}]
    assert asked == ["config", "config"]


@pytest.mark.parametrize("how", ["include.path", "includeIf.onbranch:side.path"])
def test_what_is_included_is_asked_again(
    repository: Repository, asked: list[str], tmp_path: Path, how: str
) -> None:
    git(repository.top, "checkout", "-q", "-b", "side")
    git(repository.top, "config", how, str(tmp_path / "more"))
    for address in ("https://example.com/a.git", "https://example.com/b.git"):
        (tmp_path / "more").write_text(f'[remote "o"]\n\turl = {address}\n')
        assert repository.remotes() == {"o": address}
    assert len(asked) == 2


def test_forms_of_values(repository: Repository) -> None:
    with (repository.common_dir / "config").open("a") as stream:
        stream.write(
            '[commit]\n\tgpgSign\n[x "A.b"]\n\tFew = 1\n\tfew = "two\\nlines"\n[remote]\n\turl = none\n'
        )
    found = configuration.entries(repository._git)
    assert ("commit.gpgsign", None) in found
    assert configuration.value(repository._git, "commit.gpgsign") == "true"
    assert configuration.value(repository._git, "x.A.b.few") == "two\nlines"
    assert configuration.value(repository._git, "x.a.b.few") is None
    assert repository.remotes() == {}


def test_a_malformed_file_is_said(repository: Repository, asked: list[str]) -> None:
    assert repository.remotes() == {}
    with (repository.common_dir / "config").open("a") as stream:
        stream.write("[broken\n")
    with pytest.raises(GitMLError):
        repository.remotes()
