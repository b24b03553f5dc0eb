"""Whatever state a user's repository is in, `register` either does its work beside it or refuses before it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.team import Member, Team, git, write

from gitml.api import Registry, init
from gitml.errors import Busy, Conflict, NotFound, UsageError

FILES = {"a.txt": "1\n", "card.md": "# card\n"}


def conflicting(member: Member, command: str) -> None:
    """Leave a merge, rebase or cherry-pick unfinished."""
    write(member.folder, {"code.py": "a\n"})
    member.git("add", "code.py")
    member.git("commit", "--quiet", "--message", "base")
    member.git("switch", "--quiet", "--create", "other")
    write(member.folder, {"code.py": "b\n"})
    member.git("commit", "--quiet", "--all", "--message", "b")
    member.git("switch", "--quiet", "main")
    write(member.folder, {"code.py": "c\n"})
    member.git("commit", "--quiet", "--all", "--message", "c")
    done = subprocess.run(["git", command, "other"], cwd=member.folder, capture_output=True)
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("command", "error"), [("merge", Conflict), ("cherry-pick", Conflict), ("rebase", UsageError)]
)
def test_an_unfinished_operation_refuses_and_another_branch_works(
    alone: Member, tmp_path: Path, command: str, error: type[Exception]
) -> None:
    conflicting(alone, command)
    before = alone.git("status", "--porcelain")
    with pytest.raises(error):
        alone.registry.register("models/digits", write(tmp_path / "out", FILES))
    done = alone.registry.register("models/digits", tmp_path / "out", branch="working/x")
    assert done.created and alone.git("status", "--porcelain") == before


def test_without_a_committed_configuration_there_is_no_registry(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", {"code.py": "a\n"})
    git(folder, "init", "--quiet", "--initial-branch", "main")
    with pytest.raises(NotFound):
        Registry(folder)
    write(folder, {"gitml.yaml": "schema: gitml/config/v1\n"})
    with pytest.raises(NotFound):
        Registry(folder).register("models/digits", folder / "code.py")
    git(folder, "add", "code.py")
    git(folder, "commit", "--quiet", "--message", "code")
    with pytest.raises(NotFound) as caught:
        Registry(folder).register("models/digits", folder / "code.py")
    assert caught.value.hint == "gitml init"


def test_a_held_index_lock_commits_nothing(alone: Member, tmp_path: Path) -> None:
    before = alone.git("rev-parse", "HEAD")
    (alone.folder / ".git/index.lock").touch()
    with pytest.raises(Busy) as caught:
        alone.registry.register("models/digits", write(tmp_path / "out", FILES))
    assert "index.lock" in caught.value.message + (caught.value.hint or "")
    (alone.folder / ".git/index.lock").unlink()
    assert alone.git("rev-parse", "HEAD") == before
    assert alone.registry.register("models/digits", tmp_path / "out").created


def test_an_untracked_file_where_the_pointer_goes_is_in_the_way(alone: Member, tmp_path: Path) -> None:
    write(alone.folder, {"models/digits/1/asset.yaml": "mine\n"})
    before = alone.git("rev-parse", "HEAD")
    with pytest.raises(Conflict):
        alone.registry.register("models/digits", write(tmp_path / "out", FILES))
    assert alone.git("rev-parse", "HEAD") == before
    assert (alone.folder / "models/digits/1/asset.yaml").read_text() == "mine\n"


def test_the_registry_of_a_sub_folder_takes_paths_of_the_caller(tmp_path: Path) -> None:
    code = write(tmp_path / "code", {"train.py": "x\n", "out/w.bin": "w"})
    git(code, "init", "--quiet", "--initial-branch", "main")
    git(code, "add", "train.py")
    git(code, "commit", "--quiet", "--message", "code")
    init(tmp_path / "elsewhere/registry")
    registry = Registry(code, registry=tmp_path / "elsewhere/registry")
    registry.register("models/digits", "out", source="train.py")
    source = registry.show("models/digits").asset["source"]
    assert source == {"commit": git(code, "rev-parse", "HEAD"), "dirty": False, "path": "train.py"}
    assert registry.get("models/digits", "back").destination == code / "back"


def test_the_users_settings_override_where_a_store_lies(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.setenv("GITML_STORE_DEFAULT_URL", str(tmp_path / "mine"))
    team.ada.registry.register("models/digits", write(tmp_path / "out", FILES))
    assert (tmp_path / "mine/packs").is_dir() and not team.store.exists()
    monkeypatch.delenv("GITML_STORE_DEFAULT_URL")
    config = Path(environment["XDG_CONFIG_HOME"]) / "gitml/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(f'stores:\n  default:\n    url: "{tmp_path}/third"\n')
    team.ada.registry.register("models/digits", write(tmp_path / "out", {"b": "2"}))
    assert (tmp_path / "third/packs").is_dir()
    (info, _) = team.ada.registry.stores.list()
    assert (info.location, info.origin, info.trusted) == (f"{tmp_path}/third", "settings", True)


def test_registering_on_a_new_branch_starts_from_the_default_branch(team: Team, tmp_path: Path) -> None:
    team.ada.git("switch", "--quiet", "--create", "experiment")
    write(team.ada.folder, {"wild.py": "x\n"})
    team.ada.git("add", "wild.py")
    team.ada.git("commit", "--quiet", "--message", "wild")
    team.ada.registry.register("models/digits", write(tmp_path / "out", FILES), branch="working/new")
    assert team.ada.git("rev-parse", "working/new~1") == team.ada.git("rev-parse", "main")
