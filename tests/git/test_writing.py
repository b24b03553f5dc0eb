"""Writing: trees without an index, commits on branches that are checked out or not, and compare-and-swap of refs."""

from __future__ import annotations

import multiprocessing
import subprocess
from pathlib import Path

import pytest
from support.gitrepos import bare, clean, commit, fsck, git, leftovers, linked, make

from gitml.errors import Busy, Conflict, InvalidInput, NotFound, UsageError
from gitml.git import Diverged, Entry, MergeConflict, MergedTree, RefUpdate, Repository, Stale

POINTER = {"models/digits/1/asset.yaml": b"version: 1\n", "models/digits/1/README.md": b"# one\n"}


@pytest.fixture(params=["sha1", "sha256"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    return make(tmp_path / "work", object_format=request.param)


def tip_of(repository: Repository, branch: str = "main") -> str:
    tip = repository.resolve(f"refs/heads/{branch}")
    assert tip is not None
    return tip


# --- trees ----------------------------------------------------------------------------------------------------------


def test_write_tree_equals_what_git_makes(repository: Repository) -> None:
    assert repository.top is not None
    tree = repository.write_tree(tip_of(repository), POINTER)
    commit(repository.top, POINTER)
    assert git(repository.top, "rev-parse", "HEAD^{tree}") == tree


def test_write_tree_deletes_and_copies(repository: Repository) -> None:
    one = repository.write_tree(tip_of(repository), POINTER)
    folder = repository.entry(one, "models/digits/1")
    assert folder is not None
    copied = repository.write_tree(
        tip_of(repository), {"models/copy/1": Entry(mode=folder.mode, oid=folder.oid)}
    )
    assert [entry.path for entry in repository.tree(copied, "models")] == [
        "models/copy/1/README.md", "models/copy/1/asset.yaml",
    ]  # fmt: skip
    assert repository.write_tree(one, {"models": None}) == repository.write_tree(tip_of(repository), {})
    assert repository.write_tree(one, {"models/digits/1": None, "absent/x": None}) == repository.write_tree(
        tip_of(repository), {}
    )
    empty = repository.write_tree(None, {"a": None})
    assert repository.tree(empty) == []


def test_write_tree_on_a_bare_repository(tmp_path: Path) -> None:
    repository = Repository.discover(bare(tmp_path / "team.git"))
    first = repository.commit_changes("main", POINTER, "first", expected_tip=None)
    assert isinstance(first, str)
    second = repository.commit_changes("main", {"x": b"x"}, "second", expected_tip=first)
    assert isinstance(second, str)
    assert [one.subject for one in repository.first_parents(second)] == ["second", "first"]
    fsck(tmp_path / "team.git")


@pytest.mark.parametrize(
    "path",
    ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a/.git/config", ".GIT/x", "a/.g\u200cit/x", "git~1/x", ".git /x",
     ".git::$INDEX_ALLOCATION/x", ".git.", "a\nb", "a\rb", "a\x00b", "a\\b", "x" * 5000, "a\ud800"],
)  # fmt: skip
def test_paths_that_cannot_be_written(repository: Repository, path: str) -> None:
    with pytest.raises(InvalidInput):
        repository.write_tree(None, {path: b"x"})


def test_files_and_folders_do_not_replace_each_other(repository: Repository) -> None:
    assert repository.top is not None
    base = tip_of(repository)
    with pytest.raises(Conflict):
        repository.write_tree(base, {"README.md/x": b"x"})
    tree = repository.write_tree(base, POINTER)
    with pytest.raises(Conflict):
        repository.write_tree(tree, {"models/digits": b"x"})
    with pytest.raises(UsageError):
        repository.write_tree(base, {"a": b"x", "a/b": b"y"})
    with pytest.raises(NotFound):
        repository.write_tree(base, {"a": Entry(mode="100644", oid="1" * len(base))})
    with pytest.raises(UsageError):
        repository.write_tree(base, {"a": Entry(mode="040000", oid=base)})


@pytest.mark.parametrize("kind", ["link", "submodule"])
def test_nothing_is_written_below_links_and_submodules(repository: Repository, kind: str) -> None:
    assert repository.top is not None
    if kind == "link":
        (repository.top / "models").symlink_to("/tmp")
        git(repository.top, "add", "models")
    else:
        git(repository.top, "update-index", "--add", "--cacheinfo", f"160000,{tip_of(repository)},models")
    git(repository.top, "commit", "-q", "-m", kind)
    with pytest.raises(Conflict):
        repository.write_tree(tip_of(repository), POINTER)


def test_touched_folders_only_are_read(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    base = repository.write_tree(None, {f"models/m{n}/1/asset.yaml": b"%d" % n for n in range(300)})
    read: list[str] = []
    reader = repository._objects
    original = type(reader).read
    monkeypatch.setattr(type(reader), "read", lambda self, name: read.append(name) or original(self, name))
    repository.write_tree(base, {"models/m7/2/asset.yaml": b"new"})
    assert len(read) == 3, "top, models, models/m7"


def test_merge_trees(repository: Repository) -> None:
    base = tip_of(repository)
    left = repository.write_commit(repository.write_tree(base, {"left": b"l", "both": b"l"}), [base], "left")
    right = repository.write_commit(repository.write_tree(base, {"right": b"r"}), [base], "right")
    clash = repository.write_commit(
        repository.write_tree(base, {"both": b"r", "ü\n x".replace("\n", ""): b""}), [base], "c"
    )
    merged = repository.merge_trees(left, right)
    assert isinstance(merged, MergedTree)
    assert {entry.path for entry in repository.tree(merged.oid)} == {"README.md", "left", "both", "right"}
    assert repository.merge_trees(left, clash) == MergeConflict(paths=("both",))
    trees = [repository.commits([one])[0].tree for one in (left, right, base)]
    assert repository.merge_trees(trees[0], trees[1], trees[2]) == merged
    assert repository.merge_trees(left, clash, base=left) == MergedTree(
        oid=repository.commits([clash])[0].tree
    )


# --- refs -----------------------------------------------------------------------------------------------------------


def test_update_ref_is_compare_and_swap(repository: Repository) -> None:
    first = tip_of(repository)
    second = repository.write_commit(repository.write_tree(first, POINTER), [first], "two")
    name = "refs/gitml/requests/1"
    assert repository.update_ref(name, first, None) is RefUpdate.UPDATED
    assert repository.update_ref(name, second, None) is RefUpdate.STALE
    assert repository.update_ref(name, second, second) is RefUpdate.STALE
    assert repository.update_ref(name, second, first) is RefUpdate.UPDATED
    assert repository.refs("refs/gitml") == {name: second}
    assert repository.update_ref(name, None, first) is RefUpdate.STALE
    assert repository.update_ref(name, None, second) is RefUpdate.UPDATED
    assert repository.update_ref(name, second, first) is RefUpdate.STALE
    with pytest.raises(Conflict):
        repository.update_ref("refs/heads/main/below", first, None)
    assert leftovers(repository) == []


def test_foreign_ref_lock_is_busy_and_stays(repository: Repository) -> None:
    lock = repository.common_dir / "refs" / "heads" / "main.lock"
    lock.write_bytes(b"")
    first = tip_of(repository)
    with pytest.raises(Busy) as caught:
        repository.update_ref("refs/heads/main", None, first)
    assert str(lock) in caught.value.message
    assert lock.exists()


# --- commits on branches --------------------------------------------------------------------------------------------


def test_commit_on_another_branch_moves_only_the_ref(repository: Repository) -> None:
    assert repository.top is not None
    base = tip_of(repository)
    made = repository.commit_changes("topic", POINTER, "register", expected_tip=None, parents=[base])
    assert repository.refs("refs/heads") == {"refs/heads/main": base, "refs/heads/topic": made}
    assert clean(repository.top)


def test_commit_on_the_current_branch_touches_exactly_its_files(repository: Repository) -> None:
    top = repository.top
    assert top is not None
    commit(top, {"code.py": b"print(1)\n", "other.py": b"1\n"})
    (top / "code.py").write_bytes(b"print(2)\n")
    git(top, "add", "code.py")
    (top / "code.py").write_bytes(b"print(3)\n")
    (top / "other.py").write_bytes(b"2\n")
    (top / "new.txt").write_bytes(b"new\n")
    git(top, "add", "-N", "new.txt")
    before = git(top, "status", "--porcelain")
    made = repository.commit_changes("main", POINTER, "register", expected_tip=tip_of(repository))
    assert made == tip_of(repository)
    assert git(top, "status", "--porcelain") == before
    assert (top / "models/digits/1/asset.yaml").read_bytes() == POINTER["models/digits/1/asset.yaml"]
    assert git(top, "show", ":code.py") == "print(2)"
    git(top, "commit", "-q", "-m", "the user's next commit")
    assert repository.blob(tip_of(repository), "models/digits/1/asset.yaml") is not None
    assert leftovers(repository) == []
    fsck(top)


def test_commit_on_a_branch_of_a_linked_work_tree(repository: Repository, tmp_path: Path) -> None:
    other = linked(repository, tmp_path / "linked", "topic")
    assert repository.top is not None
    made = repository.commit_changes("topic", POINTER, "register", expected_tip=tip_of(repository, "topic"))
    assert other.head().commit == made
    assert clean(tmp_path / "linked")
    assert clean(repository.top)
    assert (tmp_path / "linked/models/digits/1/asset.yaml").exists()
    assert not (repository.top / "models").exists()


def test_first_commit_on_an_unborn_branch_keeps_what_is_staged(tmp_path: Path) -> None:
    repository = Repository.init(tmp_path / "new")
    (tmp_path / "new" / "mine.txt").write_bytes(b"mine")
    git(tmp_path / "new", "add", "mine.txt")
    made = repository.commit_changes("main", {"gitml.yaml": b"x: 1\n"}, "init", expected_tip=None)
    assert repository.head().commit == made
    assert git(tmp_path / "new", "status", "--porcelain") == "A  mine.txt"


def test_edit_and_delete(repository: Repository) -> None:
    top = repository.top
    assert top is not None
    first = repository.commit_changes("main", POINTER, "register", expected_tip=tip_of(repository))
    assert isinstance(first, str)
    second = repository.commit_changes(
        "main", {"models/digits/1": None, "README.md": b"changed\n"}, "edit", expected_tip=first
    )
    assert isinstance(second, str)
    assert clean(top)
    assert not (top / "models").exists()
    assert (top / "README.md").read_bytes() == b"changed\n"


def test_nothing_to_change_is_no_commit(repository: Repository) -> None:
    tip = tip_of(repository)
    assert repository.commit_changes("main", {"README.md": b"hello\n"}, "again", expected_tip=tip) == tip


def test_stale_tip_changes_nothing(repository: Repository) -> None:
    top = repository.top
    assert top is not None
    old = tip_of(repository)
    new = commit(top, {"a": b"a"})
    outcome = repository.commit_changes("main", POINTER, "register", expected_tip=old)
    assert outcome == Stale(ref="refs/heads/main", actual=new)
    assert clean(top)
    assert not (top / "models").exists()


def test_held_index_is_busy_before_anything(repository: Repository) -> None:
    top = repository.top
    assert top is not None
    lock = repository.git_dir / "index.lock"
    lock.write_bytes(b"")
    tip = tip_of(repository)
    with pytest.raises(Busy) as caught:
        repository.commit_changes("main", POINTER, "register", expected_tip=tip)
    assert str(lock) in caught.value.message
    assert str(lock) in (caught.value.hint or "")
    assert tip_of(repository) == tip
    assert lock.exists()
    assert not (top / "models").exists()


@pytest.mark.parametrize("case", ["untracked", "modified", "staged", "link", "parent-link", "folder", "fifo"])
def test_files_in_the_way_are_listed_and_kept(repository: Repository, tmp_path: Path, case: str) -> None:
    top = repository.top
    assert top is not None
    path = top / "models/digits/1/asset.yaml"
    path.parent.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    if case == "untracked":
        path.write_bytes(b"mine\n")
    elif case == "modified":
        commit(top, {"models/digits/1/asset.yaml": b"old\n"})
        path.write_bytes(b"mine\n")
    elif case == "staged":
        path.write_bytes(b"mine\n")
        git(top, "add", str(path))
        path.unlink()
    elif case == "link":
        path.symlink_to(outside / "target")
    elif case == "parent-link":
        path.parent.rmdir()
        path.parent.symlink_to(outside)
    elif case == "folder":
        path.mkdir()
    else:
        import os

        os.mkfifo(path)
    tip = tip_of(repository)
    before = git(top, "status", "--porcelain")
    with pytest.raises(Conflict) as caught:
        repository.commit_changes("main", POINTER, "register", expected_tip=tip)
    assert caught.value.code == "files-in-the-way"
    assert "models/digits/1/asset.yaml" in caught.value.context["paths"]
    assert tip_of(repository) == tip
    assert git(top, "status", "--porcelain") == before
    assert list(outside.iterdir()) == []
    assert leftovers(repository) == []


def test_equal_files_are_not_in_the_way(repository: Repository) -> None:
    top = repository.top
    assert top is not None
    path = top / "models/digits/1/asset.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(POINTER["models/digits/1/asset.yaml"])
    stamp = path.stat().st_mtime_ns
    assert isinstance(
        repository.commit_changes("main", POINTER, "register", expected_tip=tip_of(repository)), str
    )
    assert path.stat().st_mtime_ns == stamp
    assert clean(top)


@pytest.mark.parametrize("command", ["merge", "cherry-pick", "rebase"])
def test_unfinished_operations_refuse(repository: Repository, command: str) -> None:
    top = repository.top
    assert top is not None
    git(top, "checkout", "-q", "-b", "other")
    commit(top, {"README.md": b"other\n"})
    git(top, "checkout", "-q", "main")
    commit(top, {"README.md": b"mine\n"})
    with pytest.raises(AssertionError):
        git(top, command, "other")
    with pytest.raises(Conflict) as caught:
        repository.commit_changes("main", POINTER, "register", expected_tip=tip_of(repository))
    assert caught.value.code == "operation-in-progress"
    assert "--abort" in (caught.value.hint or "")


def test_end_of_line_settings_do_not_change_what_is_committed(repository: Repository) -> None:
    top = repository.top
    assert top is not None
    git(top, "config", "core.autocrlf", "true")
    git(top, "config", "core.eol", "crlf")
    commit(top, {".gitattributes": b"* text=auto eol=crlf\n"})
    data = b"one\ntwo\r\nthree\n"
    made = repository.commit_changes(
        "main", {"notes.md": data, "a.yaml": b"a\nb\n"}, "x", expected_tip=tip_of(repository)
    )
    assert isinstance(made, str)
    assert repository.blob(made, "notes.md") == data
    assert (top / "a.yaml").read_bytes() == b"a\nb\n"
    (top / "a.yaml").write_bytes(b"a\r\nb\r\n")
    assert isinstance(repository.commit_changes("main", {"a.yaml": b"c\n"}, "y", expected_tip=made), str)


def test_sparse_checkout_is_tolerated(repository: Repository) -> None:
    top = repository.top
    assert top is not None
    tip = commit(
        top, {"code/a.py": b"1", "models/digits/1/asset.yaml": b"1", "models/digits/production.yaml": b"1"}
    )
    git(top, "sparse-checkout", "set", "code")
    assert not (top / "models").exists()
    made = repository.commit_changes(
        "main",
        {"models/digits/2/asset.yaml": b"2", "models/digits/production.yaml": b"2"},
        "x",
        expected_tip=tip,
    )
    assert isinstance(made, str)
    assert clean(top)
    assert not (top / "models/digits/production.yaml").exists()
    assert repository.blob(made, "models/digits/1/asset.yaml") == b"1"


def test_signed_commits(repository: Repository, tmp_path: Path) -> None:
    top = repository.top
    assert top is not None
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"ada@example.com {key.with_suffix('.pub').read_text()}")
    for name, value in {
        "gpg.format": "ssh", "user.signingkey": str(key), "commit.gpgsign": "true",
        "gpg.ssh.allowedSignersFile": str(signers),
    }.items():  # fmt: skip
        git(top, "config", name, value)
    made = repository.commit_changes("main", POINTER, "register", expected_tip=tip_of(repository))
    assert isinstance(made, str)
    git(top, "verify-commit", made)
    assert repository.commits([made])[0].message == "register\n"
    git(top, "config", "user.signingkey", str(tmp_path / "absent"))
    before = tip_of(repository)
    with pytest.raises(Exception) as caught:
        repository.commit_changes("main", {"x": b"x"}, "unsigned", expected_tip=before)
    assert getattr(caught.value, "exit_code", None) == 10
    assert tip_of(repository) == before
    assert clean(top)


def test_fast_forward(repository: Repository) -> None:
    top = repository.top
    assert top is not None
    first = tip_of(repository)
    ahead = repository.write_commit(
        repository.write_tree(first, {**POINTER, "README.md": b"changed\n"}), [first], "ahead"
    )
    aside = repository.write_commit(repository.write_tree(first, {"x": b"x"}), [first], "aside")
    (top / "mine.txt").write_bytes(b"mine")
    assert repository.fast_forward(ahead) is None
    assert git(top, "status", "--porcelain") == "?? mine.txt"
    assert (top / "README.md").read_bytes() == b"changed\n"
    assert repository.fast_forward(first) is None, "behind: nothing to do"
    assert repository.fast_forward(aside) == Diverged(branch="main", ours=ahead, theirs=aside)
    assert tip_of(repository) == ahead
    last = repository.write_commit(repository.write_tree(ahead, {"mine.txt": b"theirs"}), [ahead], "last")
    with pytest.raises(Conflict):
        repository.fast_forward(last)
    assert (top / "mine.txt").read_bytes() == b"mine"
    git(top, "checkout", "-q", "--detach")
    with pytest.raises(UsageError):
        repository.fast_forward(last)


# --- races ----------------------------------------------------------------------------------------------------------


def _write_three(folder: str, number: int, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    repository = Repository.discover(Path(folder))
    for turn in range(3):
        while True:
            tip = repository.resolve("refs/heads/main")
            changes = {f"models/w{number}/{turn}/asset.yaml": b"%d %d\n" % (number, turn)}
            if isinstance(
                repository.commit_changes("main", changes, f"{number} {turn}", expected_tip=tip), str
            ):
                break
    repository.close()


@pytest.mark.parametrize("is_bare", [False, True])
def test_racing_writers_lose_nothing(tmp_path: Path, is_bare: bool) -> None:
    repository = make(tmp_path / "work")
    folder = tmp_path / "work"
    if is_bare:
        git(tmp_path, "clone", "-q", "--bare", str(folder), "team.git")
        folder = tmp_path / "team.git"
        repository = Repository.discover(folder)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.gitrepos"])  # which has all of it imported
    start = context.Barrier(8)
    workers = [context.Process(target=_write_three, args=(str(folder), n, start)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 8
    tip = tip_of(repository)
    assert len(repository.tree(tip, "models")) == 24
    assert len(repository.between(None, tip)) == 25
    fsck(folder)
    assert leftovers(repository) == []
    if not is_bare:
        assert clean(folder)


def test_excluded_lines(repository: Repository) -> None:
    top = repository.top
    assert top is not None
    file = repository.common_dir / "info" / "exclude"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"*.tmp\r\n# mine, no newline at the end")
    folders = ["models/digits/1", "models/a b#!*[x]?/2"]
    assert repository.set_excluded(folders)
    assert not repository.set_excluded(list(reversed(folders)))
    assert sorted(repository.exclude_lines()) == sorted(folders)
    for folder in folders:
        (top / folder).mkdir(parents=True)
        (top / folder / "x").write_bytes(b"x")
    (top / "models/a bXX/2").mkdir(parents=True)
    (top / "models/a bXX/2/x").write_bytes(b"x")
    assert (
        git(top, "status", "--porcelain", "--untracked-files=all", "-z").strip("\0") == "?? models/a bXX/2/x"
    )
    assert repository.ignored(["models/digits/1/x", "README.md"]) == {"models/digits/1/x"}
    assert repository.set_excluded([])
    assert file.read_bytes() == b"*.tmp\r\n# mine, no newline at the end\n"
    with pytest.raises(InvalidInput):
        repository.set_excluded(["a\n!b"])


def test_dirty(repository: Repository) -> None:
    top = repository.top
    assert top is not None
    assert not repository.is_dirty()
    (top / "new").write_bytes(b"")
    assert not repository.is_dirty()
    assert repository.is_dirty(untracked=True)
    (top / "README.md").write_bytes(b"other\n")
    assert repository.is_dirty()
    assert not repository.is_dirty("models")
