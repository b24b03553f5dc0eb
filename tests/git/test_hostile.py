"""What a repository, an environment or a user's text may try: no program runs, no option is smuggled in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.gitrepos import Canary, booby_trap, canary, commit, git, make, with_remote

from gitml.errors import AccessDenied, GitMLError, NotFound, UsageError
from gitml.git import PushRef, Repository
from gitml.git import command as command_module
from gitml.git.command import GitCommand, git_program
from gitml.git.names import ref_problem

BAD_REFS = [
    "../../x", "refs/heads/../../../x", "-x", "--upload-pack=x", "refs/heads/-x", "refs/heads/x.lock", "refs//heads",
    "refs/heads/", "/refs/heads/x", "refs/heads/a b", "refs/heads/a\nb", "refs/heads/a\x00b", "refs/heads/a~1",
    "refs/heads/a^", "refs/heads/a:b", "refs/heads/a?", "refs/heads/a*", "refs/heads/a[b", "refs/heads/a\\b",
    "refs/heads/.a", "refs/heads/a.", "refs/heads/a..b", "refs/heads/@{", "@", "", "refs/heads/\ud800", "x" * 5000,
]  # fmt: skip

HOSTILE_VARIABLES = {
    "GIT_DIR": "{evil}/.git", "GIT_WORK_TREE": "{evil}", "GIT_INDEX_FILE": "{evil}/index", "GIT_COMMON_DIR": "{evil}",
    "GIT_OBJECT_DIRECTORY": "{evil}/objects", "GIT_ALTERNATE_OBJECT_DIRECTORIES": "{evil}/objects",
    "GIT_NAMESPACE": "evil", "GIT_EXEC_PATH": "{evil}", "GIT_TEMPLATE_DIR": "{evil}", "GIT_SSH": "{trap}",
    "GIT_SSH_COMMAND": "{trap}", "GIT_ASKPASS": "{trap}", "GIT_EDITOR": "{trap}", "GIT_SEQUENCE_EDITOR": "{trap}",
    "GIT_PAGER": "{trap}", "GIT_EXTERNAL_DIFF": "{trap}", "GIT_PROXY_COMMAND": "{trap}",
    "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "{evil}",
    "GIT_CONFIG_PARAMETERS": "'core.fsmonitor={trap}'", "GIT_CONFIG": "{evil}/config", "GIT_TRACE": "{evil}/trace",
    "GIT_TRACE2_EVENT": "{evil}/trace2", "GIT_REPLACE_REF_BASE": "refs/evil", "GIT_SHALLOW_FILE": "{evil}/shallow",
    "GIT_ALLOW_PROTOCOL": "ext", "GIT_PROTOCOL_FROM_USER": "1", "GIT_DEFAULT_HASH": "sha256", "GIT_ATTR_SOURCE": "x",
    "GIT_QUARANTINE_PATH": "{evil}", "GIT_GRAFT_FILE": "{evil}/grafts", "GIT_PREFIX": "evil/",
    "GIT_PYTHON_GIT_EXECUTABLE": "{trap}", "GIT_PYTHON_TRACE": "full", "PAGER": "{trap}", "EDITOR": "{trap}",
}  # fmt: skip


def everything(repository: Repository) -> None:
    """Call every method once."""
    assert repository.top is not None
    head = repository.head()
    tip = head.commit or ""
    repository.refs()
    repository.tree(tip)
    repository.blob(tip, "README.md")
    list(repository.first_parents(tip, path="README.md"))
    repository.identity()
    repository.is_dirty(untracked=True)
    repository.ignored(["README.md"])
    made = repository.commit_changes("main", {"models/d/1/asset.yaml": b"x\n"}, "register", expected_tip=tip)
    assert isinstance(made, str)
    repository.changed_paths(tip, made)
    aside = repository.write_commit(repository.write_tree(tip, {"README.md": b"a\n"}), [tip], "aside")
    other = repository.write_commit(repository.write_tree(made, {"README.md": b"b\n"}), [made], "other")
    repository.merge_trees(aside, other)
    repository.checked_out("main")
    repository.fetch("origin")
    repository.push("origin", [PushRef(ref="refs/heads/main", new=made, expected=tip)])
    repository.remote_refs("origin")
    ahead = repository.write_commit(repository.write_tree(made, {"code.py": b"1\n"}), [made], "ahead")
    try:
        repository.fast_forward(ahead)
    except GitMLError as error:
        assert error.code == "filter-needed"
    repository.update_ref("refs/gitml/x", made, None)
    repository.set_excluded(["models/d/1"])
    repository.recover_locks()


def test_no_program_of_the_repository_runs(tmp_path: Path) -> None:
    repository = make(tmp_path / "work")
    with_remote(repository, tmp_path / "team.git")
    trap = canary(tmp_path / "trap")
    booby_trap(repository, trap)
    (tmp_path / "work" / "README.md").touch()
    everything(repository)
    assert trap.alive, trap.told()


def test_no_variable_reaches_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = make(tmp_path / "work")
    with_remote(repository, tmp_path / "team.git")
    trap = canary(tmp_path / "trap")
    evil = tmp_path / "evil"
    make(evil)
    before = sorted(str(path) for path in evil.rglob("*"))
    for name, value in HOSTILE_VARIABLES.items():
        monkeypatch.setenv(name, value.format(evil=evil, trap=trap.program))
    found = Repository.discover(tmp_path / "work")
    assert found.top == tmp_path / "work"
    everything(found)
    assert trap.alive, trap.told()
    assert sorted(str(path) for path in evil.rglob("*")) == before


def test_git_of_the_work_tree_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tmp_path / "work"
    make(top)
    traps = [canary(top, "git"), canary(top / "bin", "git"), canary(top, "ssh")]
    monkeypatch.chdir(top)
    monkeypatch.setenv(
        "PATH", os.pathsep.join([".", "", str(top), "bin", str(top / "bin"), os.environ["PATH"]])
    )
    repository = Repository.discover(Path())
    assert repository.head().commit
    assert Path(git_program(top)).is_absolute()
    assert not Path(git_program(top)).is_relative_to(top)
    script = "from pathlib import Path; from gitml.git import Repository; print(Repository.discover(Path('.')).head().branch)"
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(command_module.__file__).parents[2])},
    )  # fmt: skip
    assert printed.stdout == "main\n"
    assert all(trap.alive for trap in traps)


def test_no_git_is_an_error_with_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound) as caught:
        Repository.discover(tmp_path)
    assert caught.value.code == "git-not-found"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_repository_of_another_user_is_refused(tmp_path: Path) -> None:
    repository = make(tmp_path / "work")
    trap = canary(tmp_path / "trap")
    booby_trap(repository, trap)
    for path in [tmp_path / "work", *(tmp_path / "work").rglob("*")]:
        os.chown(path, 12345, 12345, follow_symlinks=False)
    with pytest.raises(AccessDenied) as caught:
        Repository.discover(tmp_path / "work")
    assert caught.value.code == "repository-owner"
    assert trap.alive


def test_submodules_are_left_alone(tmp_path: Path) -> None:
    inner = make(tmp_path / "inner")
    make(tmp_path / "work")
    top = tmp_path / "work"
    trap = canary(tmp_path / "trap")
    (top / ".gitmodules").write_text(
        f'[submodule "x"]\n\tpath = x\n\turl = ext::{trap.program}\n\n\tfetchRecurseSubmodules = true\n'
    )
    git(top, "add", ".gitmodules")
    git(top, "update-index", "--add", "--cacheinfo", f"160000,{inner.head().commit},x")
    git(top, "commit", "-q", "-m", "submodule")
    repository = Repository.discover(top)
    with_remote(repository, tmp_path / "team.git")
    git(top, "config", "submodule.recurse", "true")
    everything(repository)
    copy = Repository.clone(str(tmp_path / "team.git"), tmp_path / "copy")
    assert copy.top is not None
    assert list((copy.top / "x").iterdir()) == []
    assert trap.alive, trap.told()


@pytest.mark.parametrize("name", BAD_REFS)
def test_bad_refs_are_refused(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    repository = make(tmp_path_factory.mktemp("bad") / "work")
    tip = repository.head().commit
    before = sorted(repository.common_dir.rglob("*"))
    with pytest.raises(UsageError):
        repository.update_ref(name, tip, None)
    with pytest.raises(UsageError):
        repository.commit_changes(name.removeprefix("refs/heads/") or "-", {}, "x", expected_tip=None)
    with pytest.raises(UsageError):
        repository.push("origin", [PushRef(ref=name, new=tip)]) if name else repository.refs("")
    assert sorted(repository.common_dir.rglob("*")) == before


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    environment = {"GIT_CONFIG_GLOBAL": "/dev/null"}
    top = tmp_path_factory.mktemp("shared") / "work"
    top.mkdir()
    git(top, "init", "-q", "-b", "main", env=environment)
    people = ["-c", "user.name=Ada", "-c", "user.email=a@example.com"]
    git(top, *people, "commit", "-q", "--allow-empty", "-m", "first", env=environment)
    return Repository.discover(top)


def _text() -> st.SearchStrategy[str]:
    flags = st.sampled_from(
        ["-", "--", "--upload-pack=x", "-uX", "--exec=", ":/", "@{", "^", "~", "..", "\n", "\0", "%00"]
    )
    return st.one_of(
        st.text(max_size=30), st.lists(st.one_of(flags, st.text(max_size=8)), max_size=4).map("".join)
    )


@settings(max_examples=150)
@given(text=_text())
def test_user_text_never_becomes_an_option(shared: Repository, text: str) -> None:
    calls: list[tuple[str, ...]] = []
    original = GitCommand.start

    def record(self: GitCommand, *arguments: str, **named: object) -> object:
        calls.append(arguments)
        return original(self, *arguments, **named)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GitCommand, "start", record)
        for ask in (
            lambda: shared.resolve(text),
            lambda: shared.refs(text),
            lambda: shared.remote_branches(text),
            lambda: shared.config(text),
            lambda: shared.upstream(text),
            lambda: shared.symbolic_ref(text),
            lambda: shared.tree(shared.resolve("main") or "", text),
            lambda: list(shared.first_parents(shared.resolve("main") or "", path=text)),
            lambda: shared.write_tree(None, {text: b""}),
            lambda: shared.is_dirty(text),
            lambda: shared.ignored([text]),
        ):
            try:
                ask()
            except GitMLError as error:
                assert error.exit_code in (2, 3, 4), (ask, error)
    for arguments in calls:
        for position, argument in enumerate(arguments):
            if argument == text and text.startswith("-") and text != "--":
                assert "--" in arguments[:position] or "--end-of-options" in arguments[:position]
    assert not any(
        option.startswith(("--upload-pack=x", "--exec", "-u")) for call in calls for option in call[:1]
    )


@settings(max_examples=100)
@given(text=_text())
def test_ref_rule_is_no_laxer_than_git(text: str) -> None:
    if ref_problem(text) is not None or "\0" in text:
        return
    result = subprocess.run(["git", "check-ref-format", f"refs/heads/{text}"], check=False)
    assert result.returncode == 0


def test_settings_are_never_built_from_text(tmp_path: Path) -> None:
    repository = make(tmp_path / "work")
    for name in ("a]\n[core", 'a"', "a\nb", "a b", "..", "-x", "a.lock", ""):
        with pytest.raises(GitMLError):
            repository.add_remote(name, "https://example.com/o/r")
    assert repository.remotes() == {}
    commit(tmp_path / "work", {"x": b"x"})


def test_canary_sings(tmp_path: Path) -> None:
    """The trap itself works: plain git does run it."""
    repository = make(tmp_path / "work")
    trap: Canary = canary(tmp_path / "trap")
    booby_trap(repository, trap)
    subprocess.run(["git", "status"], cwd=tmp_path / "work", capture_output=True, check=False)
    assert not trap.alive


def test_the_server_names_no_bundle(tmp_path: Path) -> None:
    """A server may tell a client where to fetch a file from first; git is told not to listen."""
    repository = make(tmp_path / "work")
    git(tmp_path / "work", "config", "transfer.bundleURI", "true")
    assert repository.config("transfer.bundleURI") == "false"


def test_a_copy_shares_no_file_with_its_source(tmp_path: Path) -> None:
    """A repository on this machine may be somebody else's: nothing is linked into the copy."""
    make(tmp_path / "work")
    Repository.clone(str(tmp_path / "work"), tmp_path / "copy")
    files = [path for path in (tmp_path / "copy" / ".git" / "objects").rglob("*") if path.is_file()]
    assert files and all(path.stat().st_nlink == 1 and not path.is_symlink() for path in files)
    assert not (tmp_path / "copy" / ".git" / "objects" / "info" / "alternates").exists()
