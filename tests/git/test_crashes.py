"""`kill -9` anywhere in a commit: nothing is half there, no lock stays, and the same call succeeds afterwards."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.gitrepos import clean, fsck, git, leftovers, make

import gitml.git
from gitml.errors import Busy
from gitml.git import Repository, journal

SOURCE = str(Path(gitml.git.__file__).parents[2])


def register(repository: Repository, stamp: bytes) -> None:
    tip = repository.resolve("refs/heads/main")
    changes = {
        "models/d/2/asset.yaml": b"created: " + stamp,
        "models/d/2/README.md": b"r",
        "models/d/1/x": None,
        "about.yaml": b"new " + stamp,
    }
    made = repository.commit_changes("main", changes, "register", expected_tip=tip)
    assert isinstance(made, str), made


SCRIPT = f"""
import sys
from pathlib import Path
from gitml.git import Repository
{inspect.getsource(register)}
register(Repository.discover(Path(sys.argv[1])), sys.argv[2].encode())
"""
STRACE = shutil.which("strace")
SYSCALLS = (
    "openat",
    "rename,renameat,renameat2",
    "unlink,unlinkat",
    "link,linkat",
    "write",
    "fsync,fdatasync",
    "close",
)


def start(folder: Path) -> Repository:
    repository = make(folder, {"README.md": b"hello\n", "models/d/1/x": b"1\n", "about.yaml": b"old\n"})
    (folder / "mine.txt").write_bytes(b"mine")
    git(folder, "add", "mine.txt")
    return repository


def run(folder: Path, stamp: str, *before: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*before, sys.executable, "-c", SCRIPT, str(folder), stamp],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": SOURCE, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )


def check_after_rerun(folder: Path, case: str) -> None:
    repository = Repository.discover(folder)
    try:
        register(repository, b"second")
    except BaseException as error:
        error.add_note(case)
        raise
    tip = repository.resolve("refs/heads/main") or ""
    repository.recover_locks()
    fsck(folder)
    assert git(folder, "status", "--porcelain", "--untracked-files=all") == "A  mine.txt", case
    assert repository.blob(tip, "models/d/2/asset.yaml") == b"created: second", case
    assert leftovers(repository) == [], case
    repository.close()


def points(folder: Path, calls: str) -> int:
    """Count how often one undisturbed run makes the calls, in the process that makes them most often."""
    log = folder.parent / "strace.log"
    assert STRACE is not None
    assert run(folder, "count", STRACE, "-f", "-qq", "-o", str(log), "-e", f"trace={calls}").returncode == 0
    pids = re.findall(r"^(\d+) +[a-z0-9]+\(", log.read_text(), re.MULTILINE)
    return max(pids.count(pid) for pid in set(pids))


@pytest.mark.skipif(
    STRACE is None and not os.environ.get("GITML_REQUIRE_SERVERS"), reason="strace is not installed"
)
@pytest.mark.parametrize("calls", SYSCALLS)
def test_kill_at_sampled_system_calls(tmp_path: Path, calls: str) -> None:
    template = tmp_path / "template"
    start(template)
    count = points(shutil.copytree(template, tmp_path / "counted", symlinks=True), calls)
    samples = 6 if calls != "openat" else 8
    chosen = sorted({max(1, count - step * max(1, min(count, 60) // samples)) for step in range(samples)})
    killed = 0
    for when in chosen:
        folder = shutil.copytree(template, tmp_path / f"at-{when}", symlinks=True)
        inject = f"inject={calls}:signal=SIGKILL:when={when}"
        assert STRACE is not None
        result = run(
            folder, "first", STRACE, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject
        )
        killed += result.returncode != 0
        check_after_rerun(folder, f"{calls} {when}")
    assert killed, f"no run of {chosen} was interrupted"


STEPS = (
    "gitml.git.checkout._lock_index", "gitml.git.journal.Held.record", "gitml.git.checkout._prepare_index",
    "gitml.git.checkout._write_files", "gitml.git.refs.swap", "gitml.git.checkout._finish",
)  # fmt: skip


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_kill_between_the_steps(tmp_path: Path, step: str, moment: str) -> None:
    folder = tmp_path / "work"
    start(folder)
    owner, _, name = step.rpartition(".")
    module = owner.removesuffix(".Held")
    trap = f"""
import importlib, os, signal
module = importlib.import_module({module!r})
owner = module.Held if {owner.endswith("Held")} else module
original = getattr(owner, {name!r})
def deadly(*a, **k):
    if {moment!r} == "before": os.kill(os.getpid(), signal.SIGKILL)
    original(*a, **k)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, {name!r}, deadly)
"""
    result = subprocess.run(
        [sys.executable, "-c", trap + SCRIPT, str(folder), "first"],
        capture_output=True, env={**os.environ, "PYTHONPATH": SOURCE}, check=False,
    )  # fmt: skip
    assert result.returncode == -signal.SIGKILL, result.stderr.decode()
    check_after_rerun(folder, f"{moment} {step}")


def test_recovery_names_the_locks_it_removed(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    repository = start(folder)
    trap = """
import os, signal
from gitml.git import refs
refs.swap = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run(
        [sys.executable, "-c", trap + SCRIPT, str(folder), "first"],
        capture_output=True, env={**os.environ, "PYTHONPATH": SOURCE}, check=False,
    )  # fmt: skip
    assert (folder / "models/d/2/asset.yaml").exists()
    assert not (folder / "models/d/1/x").exists()
    assert repository.recover_locks() == [str(repository.git_dir / "index.lock")]
    assert git(folder, "status", "--porcelain", "--untracked-files=all") == "A  mine.txt"
    assert repository.recover_locks() == []


def _dead_record(repository: Repository, **facts: object) -> None:
    """Leave a record as a killed process leaves it."""
    with journal.operation(
        repository.common_dir, {"kind": "ref", "ref": "refs/heads/main", "new": None, **facts}
    ) as held:
        data = json.loads(held.file.read_bytes())
    data["owner"]["pid"], data["owner"]["start"] = 4194303, "1"
    (repository.common_dir / "gitml/operations" / f"{held.id}.json").write_text(json.dumps(data))


def test_ref_lock_of_a_dead_operation_goes_and_others_stay(tmp_path: Path) -> None:
    repository = make(tmp_path / "work")
    tip = repository.head().commit or ""
    made = repository.write_commit(repository.write_tree(tip, {"x": b"x"}), [tip], "x")
    lock = repository.common_dir / "refs/heads/main.lock"
    _dead_record(repository, new=made)
    lock.write_text(made + "\n")
    (repository.common_dir / "HEAD.lock").write_bytes(b"")
    os.utime(repository.common_dir / "HEAD.lock")
    removed = repository.recover_locks()
    assert str(lock) in removed
    assert not lock.exists()
    assert not (repository.common_dir / "HEAD.lock").exists()
    _dead_record(repository, new=made)
    lock.write_text("1" * 40 + "\n")
    (repository.common_dir / "HEAD.lock").write_bytes(b"")
    assert repository.recover_locks() == []
    assert lock.exists(), "it names a commit that is not the operation's"
    with pytest.raises(Busy):
        repository.update_ref("refs/heads/main", made, tip)


def test_living_owner_is_left_alone(tmp_path: Path) -> None:
    repository = make(tmp_path / "work")
    lock = repository.common_dir / "refs/heads/main.lock"
    made = repository.head().commit or ""
    with journal.operation(repository.common_dir, {"kind": "ref", "ref": "refs/heads/main", "new": made}):
        lock.write_text(made + "\n")
        assert repository.recover_locks() == []
        assert lock.exists()


def test_records_of_another_machine_or_unreadable_ones(tmp_path: Path) -> None:
    repository = make(tmp_path / "work")
    _dead_record(repository)
    folder = repository.common_dir / "gitml/operations"
    [file] = folder.iterdir()
    data = json.loads(file.read_bytes())
    data["owner"] |= {"boot": "other", "host": "other"}
    file.write_text(json.dumps(data))
    assert repository.recover_locks() == []
    assert file.exists(), "whether that process lives cannot be known here"
    file.write_text(json.dumps(data | {"version": 2}))
    assert repository.recover_locks() == []
    assert file.exists(), "a newer GitML wrote it"
    file.write_text("{ rubbish")
    assert repository.recover_locks() == []
    assert not file.exists()


@pytest.mark.parametrize("torn", [b"", b"{ rubbish", b"[1]", b'{"kind": "commit", "version": 1}'])
@pytest.mark.parametrize("step", ["gitml.git.checkout._prepare_index", "gitml.git.checkout._finish"])
def test_a_torn_record_gives_up_what_carries_its_name(tmp_path: Path, step: str, torn: bytes) -> None:
    """A power cut leaves the record half written before the work tree is touched, or after all is done."""
    folder = tmp_path / "work"
    repository = start(folder)
    module, _, name = step.rpartition(".")
    first = "os.kill(os.getpid(), signal.SIGKILL)" if name == "_prepare_index" else "original(*a, **k)"
    trap = f"""
import os, signal
import {module} as module
original = module.{name}
def deadly(*a, **k):
    {first}
    os.kill(os.getpid(), signal.SIGKILL)
module.{name} = deadly
"""
    died = subprocess.run(
        [sys.executable, "-c", trap + SCRIPT, str(folder), "first"],
        capture_output=True, env={**os.environ, "PYTHONPATH": SOURCE}, check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    [record] = (repository.common_dir / "gitml/operations").iterdir()
    record.write_bytes(torn)
    assert repository.recover_locks() == [str(repository.git_dir / "index.lock")]
    assert leftovers(repository) == []
    assert git(folder, "status", "--porcelain", "--untracked-files=all") == "A  mine.txt"
    check_after_rerun(folder, step)


def test_an_index_lock_of_somebody_else_stays_beside_a_torn_record(tmp_path: Path) -> None:
    repository = make(tmp_path / "work")
    _dead_record(repository)
    [record] = (repository.common_dir / "gitml/operations").iterdir()
    record.write_bytes(b"")
    (repository.git_dir / "index.lock").write_bytes(b"")
    assert repository.recover_locks() == []
    assert (repository.git_dir / "index.lock").exists()


def _killed(script: str, folder: Path) -> None:
    """Run a script in which GitML and its git die at the moment at which git has its lock."""
    died = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        capture_output=True, env={**os.environ, "PYTHONPATH": SOURCE}, check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()


DYING_GIT = """
import os, signal, sys
from pathlib import Path
from gitml.git import Repository
from gitml.git.command import GitCommand
repository = Repository.discover(Path(sys.argv[1]))
plain = GitCommand.run
def run(self, *a, **k):
    if not {words!r} <= set(a):
        return plain(self, *a, **k)
    (repository.common_dir / {lock!r}).write_bytes(b"")
    os.kill(os.getpid(), signal.SIGKILL)
GitCommand.run = run
{call}
"""


@pytest.mark.parametrize(
    ("words", "lock", "call"),
    [
        ({"config", "--local"}, "config.lock", 'repository.add_remote("origin", "/nowhere")'),
        ({"config", "--local"}, "config.lock", 'repository.set_upstream("main", "there")'),
        ({"update-ref"}, "packed-refs.lock", 'repository.update_ref("refs/gitml/x", None, repository.head().commit)'),
        ({"fetch"}, "shallow.lock", 'repository.fetch("there")'),
    ],
)  # fmt: skip
def test_locks_of_a_git_that_died_with_gitml(tmp_path: Path, words: set[str], lock: str, call: str) -> None:
    folder = tmp_path / "work"
    repository = make(folder)
    repository.add_remote("there", str(tmp_path / "there"))
    tip = repository.head().commit or ""
    repository.update_ref("refs/gitml/x", tip, None)
    _killed(DYING_GIT.format(words=words, lock=lock, call=call), folder)
    assert (repository.common_dir / lock).exists()
    repository.add_remote("second", "/elsewhere")
    assert not (repository.common_dir / lock).exists()
    assert repository.remotes()["second"] == "/elsewhere"
    assert leftovers(repository) == []


def test_a_lock_on_the_settings_that_was_there_before_stays(tmp_path: Path) -> None:
    repository = make(tmp_path / "work")
    lock = repository.common_dir / "config.lock"
    lock.write_bytes(b"")
    os.utime(lock, (1, 1))
    _dead_record(repository, kind="config")
    assert repository.recover_locks() == []
    for _ in range(2):
        with pytest.raises(Busy) as caught:
            repository.add_remote("origin", "/nowhere")
        assert str(lock) in caught.value.message
    assert lock.exists()
    assert not list((repository.common_dir / "gitml/operations").iterdir())


def test_a_new_exclude_file_of_a_killed_process_goes(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    repository = make(folder)
    _killed(
        "import os, signal, sys\nfrom pathlib import Path\nfrom gitml.git import Repository\n"
        "Path.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Repository.discover(Path(sys.argv[1])).set_excluded(['models/digits/1'])\n",
        folder,
    )
    info = repository.common_dir / "info"
    assert [path.name for path in info.glob("exclude-gitml-*")] != []
    assert repository.set_excluded(["models/digits/1"])
    assert list(info.glob("exclude-gitml-*")) == []
    assert repository.exclude_lines() == ["models/digits/1"]


def test_failed_write_takes_everything_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    repository = start(folder)
    before = git(folder, "status", "--porcelain", "--untracked-files=all")
    tip = repository.head().commit or ""
    from gitml.git import placing

    original, count = placing._write, [0]

    def full(*arguments: object, **named: object) -> None:
        count[0] += 1
        if count[0] == 2:
            raise OSError(28, "No space left on device")
        original(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(placing, "_write", full)
    with pytest.raises(Exception) as caught:
        repository.commit_changes(
            "main", {"a/b": b"1", "about.yaml": b"2", "models": None}, "x", expected_tip=tip
        )
    assert getattr(caught.value, "exit_code", None) == 11
    monkeypatch.undo()
    assert git(folder, "status", "--porcelain", "--untracked-files=all") == before
    assert repository.head().commit == tip
    assert leftovers(repository) == []
    assert not clean(folder)


def test_ctrl_c_when_the_lock_has_just_been_made_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, link = start(tmp_path / "repository"), os.link

    def stopped(source: Path, target: Path) -> None:
        link(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", stopped)
        tip = repository.resolve("refs/heads/main")
        with pytest.raises(KeyboardInterrupt):
            repository.commit_changes("main", {"a": b"1"}, "add", expected_tip=tip)
    assert leftovers(repository) == []
    assert isinstance(repository.commit_changes("main", {"a": b"1"}, "add", expected_tip=tip), str)
