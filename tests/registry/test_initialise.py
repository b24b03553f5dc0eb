from __future__ import annotations

from pathlib import Path

import pytest
from support.team import git, write

from gitml.api import Registry, init
from gitml.errors import Conflict, InvalidInput, NotFound, UsageError
from gitml.model.config import Config


def test_an_empty_folder_becomes_a_registry_with_one_commit(tmp_path: Path) -> None:
    done = init(tmp_path / "new")
    assert (
        done.created_repository and done.changed and done.commit == git(tmp_path / "new", "rev-parse", "HEAD")
    )
    assert git(tmp_path / "new", "show", "--name-only", "--format=", "HEAD") == "gitml.yaml"
    config = Config.parse((tmp_path / "new/gitml.yaml").read_bytes(), file="gitml.yaml")
    assert config.default_branch == "main"
    assert config.stages["staging"].from_ == ("working/*", "main")
    assert config.stages["production"].from_ == ("staging",)
    assert git(tmp_path / "new", "status", "--porcelain") == ""


def test_again_changes_nothing(tmp_path: Path) -> None:
    first = init(tmp_path / "new", store=str(tmp_path / "store"))
    again = init(tmp_path / "new", store=str(tmp_path / "store"))
    assert not again.changed and again.commit is None and again.registry == first.registry


def test_other_staged_and_unstaged_work_stays_as_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "code", {"a.py": "a\n", "b.py": "b\n"})
    git(folder, "init", "--quiet", "--initial-branch", "trunk")
    git(folder, "add", "a.py")
    done = init(folder)
    assert done.default_branch == "trunk"
    assert git(folder, "status", "--porcelain").splitlines() == ["A  a.py", "?? b.py"]


def test_a_store_is_added_and_the_rest_of_the_text_stays(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    init(folder)
    text = (folder / "gitml.yaml").read_text()
    (folder / "gitml.yaml").write_text(text.replace("forge:", "# who reviews\nforge:"))
    git(folder, "commit", "--quiet", "--all", "--message", "comment")
    done = init(folder, store=str(tmp_path / "store"))
    assert done.changed and done.store == "../store"
    assert "# who reviews\nforge:" in (folder / "gitml.yaml").read_text()
    assert git(folder, "status", "--porcelain") == ""


def test_another_store_is_a_conflict(tmp_path: Path) -> None:
    init(tmp_path / "new", store=str(tmp_path / "store"))
    with pytest.raises(Conflict, match="names the store"):
        init(tmp_path / "new", store=str(tmp_path / "other"))


def test_a_store_far_away_is_recorded_as_absolute(tmp_path: Path) -> None:
    done = init(tmp_path / "a/b/new", store=str(tmp_path / "store"))
    assert done.store == str(tmp_path / "store")


def test_a_remote_is_added_once(tmp_path: Path) -> None:
    init(tmp_path / "new", remote="https://example.com/team/repo.git")
    assert git(tmp_path / "new", "remote", "get-url", "origin") == "https://example.com/team/repo.git"
    assert not init(tmp_path / "new", remote="https://example.com/team/repo").changed
    with pytest.raises(Conflict):
        init(tmp_path / "new", remote="https://example.com/team/other.git")


@pytest.mark.parametrize("url", ["ext::sh -c touch% canary", "-oProxyCommand=x", "https://a\nb/c"])
def test_a_hostile_remote_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput):
        init(tmp_path / "new", remote=url)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("url", ["simplecache::file:///x", "data:,x", "~/store", "github://a/b"])
def test_a_hostile_store_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises((InvalidInput, UsageError)):
        init(tmp_path / "new", store=url)
    assert not (tmp_path / "new").exists()


def test_a_registry_may_be_a_sub_folder_and_there_is_one(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "code")
    init(tmp_path / "code/registry")
    with pytest.raises(Conflict, match="registry already"):
        init(tmp_path / "code")
    assert Registry(tmp_path / "code/registry").list().versions == ()
    with pytest.raises(NotFound):
        Registry(tmp_path / "code")
    assert Registry(tmp_path / "code", registry="registry").list().versions == ()


def test_a_dry_run_touches_nothing(tmp_path: Path) -> None:
    done = init(tmp_path / "new", store=str(tmp_path / "store"), dry_run=True)
    assert done.dry_run and done.changed and not (tmp_path / "new").exists()


def test_a_bare_repository_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    with pytest.raises(UsageError, match="bare"):
        init(tmp_path / "bare.git")
