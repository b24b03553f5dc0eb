"""`gitml install` in a clone, and the pre-push hook that it sets, run by git itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import InFolder
from support.promoting import register
from support.team import Member, Team

from gitml import api
from gitml.errors import AccessDenied, Conflict, InvalidInput, NotFound, UsageError
from gitml.registry.setup.hooks import HookChange, is_ours
from gitml.registry.share.outgoing import pushed_refs, received_refs

OLD_HOOK = '#!/bin/sh\ncat > seen\necho "$@" >> seen\nexit ${HOOK_STATUS:-0}\n'


def hook_of(member: Member, name: str = "pre-push") -> Path:
    return member.folder / ".git/hooks" / name


def write_hook(path: Path, text: str = OLD_HOOK) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def push(member: Member, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`git push`, as a person types it."""
    return subprocess.run(
        ["git", "push", "-q", *(words or ("origin", "HEAD"))],
        cwd=member.folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )


def in_clone_only(member: Member) -> None:
    """A version whose bytes only the clone has."""
    register(member, "models/digits", "one", offline=True)


def test_again_is_no_change_and_uninstall_takes_it_away(tmp_path: Path) -> None:
    ada = Team(tmp_path).ada
    run = InFolder(ada.folder)
    assert run.ok("install", "-n", "--json").document["plan"]["change"] == "installed"
    assert not hook_of(ada).exists()
    said = run.ok("install", "--json").document
    assert (said["change"], said["path"], said["kept"]) == ("installed", str(hook_of(ada)), None)
    first = hook_of(ada).stat()
    assert run.ok("install", "--json").document["change"] == "unchanged"
    assert hook_of(ada).stat().st_mtime_ns == first.st_mtime_ns
    hook_of(ada).write_text(hook_of(ada).read_text().replace("-P", "-P -P"))
    assert api.install(ada.folder).change is HookChange.UPDATED
    hook_of(ada).chmod(0o644)
    assert api.install(ada.folder).change is HookChange.UPDATED
    assert api.install(ada.folder, uninstall=True, dry_run=True).change is HookChange.REMOVED
    assert is_ours(hook_of(ada))
    assert api.install(ada.folder, uninstall=True).change is HookChange.REMOVED
    assert api.install(ada.folder, uninstall=True).change is HookChange.ABSENT
    assert not hook_of(ada).exists()
    assert ada.git("status", "--porcelain") == ""


def test_a_push_of_pointers_without_bytes_is_refused(tmp_path: Path) -> None:
    team = Team(tmp_path)
    ada = team.ada
    in_clone_only(ada)
    api.install(ada.folder)
    done = push(ada)
    assert done.returncode == 1
    assert "models/digits@1" in done.stderr and "Try: gitml push" in done.stderr
    assert done.stderr.count("\n") <= 5
    before = team.ada.git("ls-remote", "origin", "main")
    assert ada.git("rev-parse", "HEAD") not in before
    assert push(ada, "origin", "HEAD:refs/tags/v1").returncode == 1
    assert push(ada, "origin", "HEAD:new").returncode == 1
    assert push(ada, team.remote.as_uri(), "HEAD:new").returncode == 1
    ada.registry.push()
    assert ada.git("rev-parse", "HEAD") in ada.git("ls-remote", "origin", "main")
    assert push(ada, "origin", "HEAD:new").returncode == 0
    assert push(ada, "origin", ":new").returncode == 0


def test_no_verify_is_the_way_around(tmp_path: Path) -> None:
    ada = Team(tmp_path).ada
    in_clone_only(ada)
    api.install(ada.folder)
    assert push(ada, "--no-verify", "origin", "HEAD").returncode == 0


def test_only_what_the_push_brings_is_looked_at(tmp_path: Path) -> None:
    ada = Team(tmp_path).ada
    register(ada, "models/digits", "one")
    ada.registry.push()
    register(ada, "models/digits", "two")
    new, old = ada.git("rev-parse", "HEAD"), ada.git("rev-parse", "HEAD~1")
    zeros = "0" * 40
    for line, brought in (
        (f"refs/heads/main {new} refs/heads/main {old}", ["models/digits@2"]),
        (f"refs/heads/main {new} refs/heads/other {zeros}", ["models/digits@2"]),
        (f"refs/heads/main {new} refs/heads/other {'1' * 40}", ["models/digits@2"]),
        (f"(delete) {zeros} refs/heads/main {old}", []),
    ):
        found = api.hook("pre-push", "origin", "url", updates=[line], path=ada.folder)
        assert [str(version) for version in found.versions] == brought, line


def test_a_hook_that_is_there_is_kept_and_run(tmp_path: Path) -> None:
    ada = Team(tmp_path).ada
    mine = write_hook(hook_of(ada))
    with pytest.raises(Conflict) as caught:
        api.install(ada.folder)
    assert "--chain" in (caught.value.hint or "")
    with pytest.raises(Conflict):
        api.install(ada.folder, uninstall=True)
    assert mine.read_text() == OLD_HOOK
    found = api.install(ada.folder, chain=True)
    assert found.kept is not None and Path(found.kept).read_text() == OLD_HOOK
    assert api.install(ada.folder, chain=True).change is HookChange.UNCHANGED
    ada.git("commit", "--allow-empty", "-qm", "x")
    done = push(ada, HOOK_STATUS="3")
    assert done.returncode == 1
    assert "refs/heads/main" in (ada.folder / "seen").read_text()
    assert (ada.folder / "seen").read_text().splitlines()[-1].startswith("origin ")
    assert push(ada).returncode == 0
    in_clone_only(ada)
    assert push(ada).returncode == 1
    api.install(ada.folder, uninstall=True)
    assert hook_of(ada).read_text() == OLD_HOOK and not Path(found.kept).exists()


def test_two_foreign_hooks_are_left_alone(tmp_path: Path) -> None:
    ada = Team(tmp_path).ada
    write_hook(hook_of(ada))
    write_hook(hook_of(ada, "pre-push.before-gitml"))
    with pytest.raises(Conflict):
        api.install(ada.folder, chain=True)
    assert not is_ours(hook_of(ada))


def test_hooks_path_and_linked_work_trees(tmp_path: Path) -> None:
    ada = Team(tmp_path).ada
    ada.git("config", "core.hooksPath", str(tmp_path / "my hooks"))
    assert api.install(ada.folder).path == str(tmp_path / "my hooks" / "pre-push")
    in_clone_only(ada)
    assert push(ada).returncode == 1
    api.install(ada.folder, uninstall=True)
    assert push(ada).returncode == 0
    ada.git("config", "--unset", "core.hooksPath")
    ada.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    assert api.install(tmp_path / "linked").path == str(hook_of(ada))


def test_a_program_in_the_work_tree_is_not_run(tmp_path: Path) -> None:
    """Python looks for modules where it is started, unless it is told not to."""
    ada = Team(tmp_path).ada
    api.install(ada.folder)
    for name in ("gitml", "click"):
        (ada.folder / name).mkdir()
        (ada.folder / name / "__init__.py").write_text("open('ran', 'w')\n")
    (ada.folder / "click.py").write_text("open('ran', 'w')\n")
    ada.git("commit", "--allow-empty", "-qm", "x")
    assert push(ada).returncode == 0
    assert not (ada.folder / "ran").exists()


def test_without_gitml_the_push_is_refused_and_says_why(tmp_path: Path) -> None:
    ada = Team(tmp_path).ada
    api.install(ada.folder)
    text = hook_of(ada).read_text()
    lines = [line for line in text.splitlines() if "-P -m" in line]
    python = lines[0].split(" | ")[1].split(" -P")[0]
    hook_of(ada).write_text(text.replace(python, "/nowhere/python"))
    ada.git("commit", "--allow-empty", "-qm", "x")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "sh", "cat", "dirname"):
        (folder / name).symlink_to(
            next(Path(one, name) for one in os.environ["PATH"].split(":") if Path(one, name).exists())
        )
    done = push(ada, PATH=str(folder))
    assert done.returncode == 1
    assert "gitml is not installed here any more" in done.stderr


def test_a_repository_without_a_registry(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "plain")], check=True)
    plain = Member(tmp_path / "plain")
    plain.git("commit", "--allow-empty", "-qm", "x")
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "remote.git")], check=True)
    plain.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    api.install(plain.folder)
    assert push(plain).returncode == 0
    with pytest.raises(NotFound):
        api.install(tmp_path)
    with pytest.raises(UsageError):
        api.install(plain.folder, server=plain.folder)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    ada = Team(tmp_path).ada
    (tmp_path / "file").write_text("")
    ada.git("config", "core.hooksPath", str(tmp_path / "file"))
    with pytest.raises(AccessDenied):
        api.install(ada.folder)


@pytest.mark.parametrize("reader", [pushed_refs, received_refs])
@pytest.mark.parametrize(
    "line", ["x", "a b c d e", f"refs/x {'g' * 40} refs/y {'0' * 40}", f"{'0' * 40} {'1' * 39} r"]
)
def test_lines_that_git_never_writes(reader: Callable[[list[str]], object], line: str) -> None:
    with pytest.raises(InvalidInput):
        reader([line])


def test_the_command_of_the_hook(tmp_path: Path) -> None:
    ada = Team(tmp_path).ada
    run = InFolder(ada.folder)
    assert run("hook", "post-merge").exit_code == 2
    in_clone_only(ada)
    line = f"refs/heads/main {ada.git('rev-parse', 'HEAD')} refs/heads/x {'0' * 40}\n"
    (tmp_path / "updates").write_text(line)
    ran = run("hook", "pre-push", "origin", "--updates", str(tmp_path / "updates"), "--json")
    assert ran.exit_code == 12
    assert list(json.loads(ran.stdout)["error"]["context"]["missing"]) == ["models/digits@1"]
