"""Reading: refs, commits, trees and files in every state that a repository can be in."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.gitrepos import bare, clone, commit, git, linked, make, with_remote

from gitml.errors import AccessDenied, GitMLError, IntegrityError, NotFound, UsageError
from gitml.git import Operation, Repository
from gitml.git.command import GitCommand
from gitml.git.objects import parse_person
from gitml.git.types import Person


@pytest.fixture(params=["sha1", "sha256"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    return make(
        tmp_path / "work",
        {"a.txt": b"a\n", "models/digits/1/asset.yaml": b"one\n", "models/digits/2/asset.yaml": b"two\n"},
        object_format=request.param,
    )


def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The git commands that are started from now on."""
    started: list[str] = []
    original = GitCommand.start
    monkeypatch.setattr(
        GitCommand,
        "start",
        lambda self, *arguments, **named: started.append(arguments[0]) or original(self, *arguments, **named),
    )
    return started


def test_discover_from_a_folder_below(repository: Repository) -> None:
    assert repository.top is not None
    found = Repository.discover(repository.top / "models" / "digits")
    assert (found.top, found.git_dir, found.common_dir) == (
        repository.top,
        repository.git_dir,
        repository.common_dir,
    )
    assert not found.is_bare
    assert not found.is_shallow


def test_discover_says_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        Repository.discover(tmp_path)
    assert caught.value.code == "not-a-repository"
    assert caught.value.hint == "gitml init"
    with pytest.raises(NotFound):
        Repository.discover(tmp_path / "absent" / "deep")


def test_discover_bare(tmp_path: Path) -> None:
    path = bare(tmp_path / "team.git")
    found = Repository.discover(path)
    assert found.is_bare
    assert found.top is None
    assert found.head().branch == "main"
    assert found.head().commit is None


def test_bare_repository_inside_a_work_tree_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "work")
    path = bare(tmp_path / "work" / "vendor" / "evil")
    with pytest.raises(AccessDenied) as caught:
        Repository.discover(path)
    assert caught.value.code == "bare-inside-work-tree"


def test_reads(repository: Repository) -> None:
    head = repository.head()
    assert head.branch == "main"
    assert head.operation is None
    assert head.commit is not None
    assert repository.resolve("main") == repository.resolve("HEAD") == head.commit
    assert repository.resolve("absent") is None
    assert repository.refs("refs/heads") == {"refs/heads/main": head.commit}
    assert repository.local_branches() == {"main": head.commit}
    assert [entry.path for entry in repository.tree(head.commit)] == [
        "a.txt", "models/digits/1/asset.yaml", "models/digits/2/asset.yaml",
    ]  # fmt: skip
    assert [(entry.kind, entry.path) for entry in repository.tree(head.commit, "models/digits", recursive=False)] == [
        ("tree", "models/digits/1"), ("tree", "models/digits/2"),
    ]  # fmt: skip
    assert repository.tree(head.commit, "absent") == []
    assert repository.tree(head.commit, "a.txt") == []
    entry = repository.entry(head.commit, "models/digits/1/asset.yaml")
    assert entry is not None
    assert (entry.mode, entry.kind) == ("100644", "blob")
    assert repository.entry(head.commit, "models/none") is None
    assert repository.blob(head.commit, "models/digits/2/asset.yaml") == b"two\n"
    assert repository.blob(head.commit, "models") is None
    assert repository.blobs([entry.oid, entry.oid]) == {entry.oid: b"one\n"}
    [found] = repository.commits([head.commit])
    assert (found.subject, found.parents, found.author.email) == ("change", (), "ada@example.com")
    assert found.author.time.tzinfo is UTC


def test_missing_objects_are_named(repository: Repository) -> None:
    absent = "1" * len(repository.head().commit or "")
    with pytest.raises(IntegrityError):
        repository.blobs([absent])
    with pytest.raises(NotFound):
        repository.commits([absent])
    with pytest.raises(UsageError):
        repository.commits(["main"])


def test_damaged_object_is_an_integrity_error(repository: Repository) -> None:
    commit_id = repository.head().commit or ""
    oid = repository.tree(commit_id)[0].oid
    path = repository.common_dir / "objects" / oid[:2] / oid[2:]
    path.chmod(0o644)
    path.write_bytes(b"rubbish")
    repository.close()
    with pytest.raises(IntegrityError):
        repository.blobs([oid])
    assert repository.resolve("main") == commit_id, "the reader must work again"


def test_first_parents_and_history(repository: Repository) -> None:
    top = repository.top
    assert top is not None
    first = repository.head().commit or ""
    git(top, "checkout", "-q", "-b", "side")
    side = commit(top, {"side.txt": b"s"}, "side")
    git(top, "checkout", "-q", "main")
    second = commit(top, {"a.txt": b"changed\n"}, "second")
    git(top, "merge", "-q", "--no-ff", "-m", "merge", "side")
    tip = repository.head().commit or ""
    assert [one.subject for one in repository.first_parents(tip)] == ["merge", "second", "change"]
    assert [one.oid for one in repository.first_parents(tip, path="a.txt")] == [second, first]
    assert [one.subject for one in repository.first_parents(tip, path="side.txt")] == ["merge"]
    assert [one.subject for one in repository.first_parents(tip, stop=first)] == ["merge", "second"]
    assert {one.oid for one in repository.between(first, tip)} == {tip, second, side}
    assert repository.merge_base(side, second) == first
    assert repository.is_ancestor(first, tip)
    assert not repository.is_ancestor(tip, first)
    assert [change.path for change in repository.changed_paths(first, tip)] == ["a.txt", "side.txt"]
    assert repository.changed_paths(first, tip, "models") == []
    assert len(repository.changed_paths(None, first, "models")) == 2


def test_unborn_and_detached_heads(tmp_path: Path) -> None:
    unborn = Repository.init(tmp_path / "new", "trunk")
    assert (unborn.head().branch, unborn.head().commit) == ("trunk", None)
    assert unborn.refs() == {}
    repository = make(tmp_path / "old")
    tip = repository.head().commit
    git(tmp_path / "old", "checkout", "-q", "--detach")
    assert (repository.head().branch, repository.head().commit) == (None, tip)


def test_head_is_what_git_says_however_it_is_written(tmp_path: Path) -> None:
    top = tmp_path / "work"
    repository = make(top)
    head = top / ".git/HEAD"
    git(top, "branch", "other")
    git(top, "symbolic-ref", "refs/heads/alias", "refs/heads/other")
    git(top, "pack-refs", "--all")
    written = ["refs/heads/main", "refs/heads/other", "refs/heads/alias", "refs/heads/absent", "refs/tags/x"]
    for name in (*written, "refs/heads/a..b", "refs/heads/.invalid"):
        head.write_text(f"ref: {name}\n")
        try:
            said = git(top, "symbolic-ref", "HEAD")
        except AssertionError:
            with pytest.raises(GitMLError):
                repository.head()
        else:
            assert repository.head().branch == said.removeprefix("refs/heads/"), name
    head.unlink()
    head.symlink_to("refs/heads/other")
    assert repository.head().branch == "other"


def test_head_of_a_branch_takes_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = make(tmp_path / "work")
    other = linked(repository, tmp_path / "linked", "topic")
    started = watched(monkeypatch)
    assert [repository.head().branch, other.head().branch, repository.head().branch] == [
        "main",
        "topic",
        "main",
    ]
    assert started == ["cat-file", "cat-file"]


@pytest.mark.parametrize(
    ("command", "operation"),
    [
        ("merge", Operation.MERGE),
        ("rebase", Operation.REBASE),
        ("cherry-pick", Operation.CHERRY_PICK),
        ("revert", Operation.REVERT),
    ],
)
def test_unfinished_operations_are_seen(tmp_path: Path, command: str, operation: Operation) -> None:
    top = tmp_path / "work"
    repository = make(top)
    git(top, "checkout", "-q", "-b", "other")
    other = commit(top, {"README.md": b"other\n"})
    git(top, "checkout", "-q", "main")
    commit(top, {"README.md": b"mine\n"})
    commit(top, {"README.md": b"mine again\n"})
    target = "HEAD~1" if command == "revert" else other
    with pytest.raises(AssertionError):
        git(top, command, *(["--no-edit"] if command == "revert" else []), target)
    assert repository.head().operation is operation


def test_shallow_and_linked(tmp_path: Path) -> None:
    repository = make(tmp_path / "work")
    for number in range(3):
        commit(tmp_path / "work", {"n.txt": b"%d" % number})
    remote = with_remote(repository, tmp_path / "remote.git")
    shallow = clone(remote, tmp_path / "shallow", "--depth=1")
    assert shallow.is_shallow
    tip = shallow.head().commit or ""
    assert len(list(shallow.first_parents(tip))) == 1
    assert shallow.blob(tip, "n.txt") == b"2"
    assert shallow.remote_branches("origin") == {"main": tip}
    other = linked(repository, tmp_path / "linked", "topic")
    assert other.common_dir == repository.common_dir
    assert other.head().branch == "topic"
    assert repository.checked_out("topic") == [tmp_path / "linked"]


def test_ten_thousand_pointers_in_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = make(tmp_path / "work")
    pointers = {f"models/m{n % 100}/{n}/asset.yaml": b"name: %d\n" % n for n in range(10_000)}
    rows = [
        f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n"
        for path, data in pointers.items()
    ]
    stream = b"commit refs/heads/many\ncommitter A <a@b> 0 +0000\ndata 0\n" + b"".join(rows)
    git(tmp_path / "work", "fast-import", "--quiet", stdin=stream)
    started = watched(monkeypatch)
    entries = repository.tree(repository.resolve("many") or "", "models")
    found = repository.blobs([entry.oid for entry in entries])
    assert {entry.path: found[entry.oid] for entry in entries} == pointers
    assert started == ["cat-file", "ls-tree"]


def test_foreign_bytes_in_names_do_not_hide_other_folders(tmp_path: Path) -> None:
    top = tmp_path / "work"
    repository = make(top)
    odd = os.fsencode(str(top)) + b"/caf\xe9\nx"
    with open(odd, "wb") as stream:
        stream.write(b"x")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "odd name")
    tip = repository.head().commit or ""
    assert os.fsdecode(b"caf\xe9\nx") in [entry.path for entry in repository.tree(tip)]
    tree = repository.write_tree(tip, {"models/d/1/asset.yaml": b"x"})
    assert repository.tree(tree, "models")[0].path == "models/d/1/asset.yaml"
    assert "caf" in git(top, "ls-tree", "-z", tree)


def test_settings_and_identity(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert str(repository.identity()) == "Ada Example <ada@example.com>"
    assert repository.config("user.name") == "Ada Example"
    assert repository.config("user.absent") is None
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    with pytest.raises(UsageError) as caught:
        repository.identity()
    assert caught.value.code == "no-identity"
    assert "git config" in (caught.value.hint or "")


@pytest.mark.parametrize("seconds", [b"9" * 20, b"9" * 5000, b"-" + b"9" * 5000])
def test_a_moment_that_no_calendar_has_is_the_first_one(seconds: bytes) -> None:
    found = parse_person(b"A <a@example.com> " + seconds + b" +0000")
    assert (found.email, found.time) == ("a@example.com", datetime.fromtimestamp(0, UTC))


@pytest.mark.parametrize(
    ("raw", "name", "email", "seconds"),
    [
        (b"A B <a@b> 12 +0000", "A B", "a@b", 12),
        (b"A<a> -5 -0130", "A", "a", -5),
        (b"<> 1 +0000", "", "", 1),
        (b"A  <a <b> 7 +0000", "A ", "a <b", 7),
        (b"A <a> 7", "A", "a", 0),
        (b"A <a 7 +0000", "A <a 7 +0000", "", 0),
        (b"A", "A", "", 0),
    ],
)
def test_persons(raw: bytes, name: str, email: str, seconds: int) -> None:
    expected = Person(name=name, email=email, time=datetime.fromtimestamp(seconds, UTC))
    assert parse_person(raw) == expected


def test_commit_dates_and_authors_round_trip(repository: Repository) -> None:
    from gitml.git import Identity

    tip = repository.head().commit or ""
    tree = repository.commits([tip])[0].tree
    when = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    author = Identity(name="Zoë Ünal", email="zoe@example.com")
    made = repository.write_commit(tree, [tip], "subject\n\nbody ☃", author=author, when=when)
    [found] = repository.commits([made])
    assert (found.author.identity, found.author.time, found.message) == (author, when, "subject\n\nbody ☃\n")
    assert found.committer.email == "ada@example.com"
    old = repository.write_commit(tree, [], "old", when=datetime(1970, 1, 1, tzinfo=UTC))
    assert repository.commits([old])[0].author.time.year == 1970
