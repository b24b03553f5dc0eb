"""Another user's folders: writing is refused with exit 10 and changes nothing, reading works."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.canaries import Footprint, Outcome, assert_refused, printed
from support.killing import Runner
from support.team import read
from support.world import FIRST, World

READS = [
    ["list"], ["list", "models/digits"], ["show", "models/digits@1", "--files"], ["diff", "models/digits@1", "models/digits@2"],
    ["lineage", "models/digits@1"], ["verify", "--all"], ["verify", "--deep"], ["status"], ["store", "list"],
    ["store", "verify"], ["store", "du"], ["show", "models/digits@staging"], ["doctor"],
]  # fmt: skip
WRITES = {
    "register": ["register", "models/digits", "{base}/third"],
    "offline": ["register", "models/digits", "{base}/third", "--offline"],
    "alias": ["alias", "models/digits", "champion", "1"],
    "deprecate": ["deprecate", "models/digits@1"],
    "push": ["push"],
    "pull": ["pull"],
    "promote": ["promote", "models/digits@1", "-t", "staging"],
    "merge": ["pr", "merge", "3"],
    "close": ["pr", "close", "3"],
    "init": ["init", "{base}/ada/sub/registry"],
    "get": ["get", "models/digits@1", "-o", "{base}/place"],
    "get here": ["get", "models/digits@1"],
}


@pytest.fixture
def stranger(runner: Runner) -> Callable[..., Outcome]:
    """Runs a command without the rights of root, so that modes hold whoever runs the tests."""

    def run(cwd: Path, *line: str) -> Outcome:
        ended = runner.run(cwd, *line, powerless=True)
        return printed(ended.status, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def locked(tmp_path: Path, worlds: Callable[[], World]) -> Iterator[World]:
    """A world in which nothing may be written."""
    source = worlds()
    _without_write(source.base)
    yield source
    _with_write(source.base)


def _without_write(top: Path) -> None:
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod((path.stat().st_mode | 0o444 | (0o111 if path.is_dir() else 0)) & ~0o222)
    top.chmod(0o555)


def _with_write(top: Path) -> None:
    top.chmod(0o755)
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o200)


@pytest.mark.parametrize("name", WRITES)
def test_nothing_is_written_where_nothing_may_be(
    name: str, locked: World, stranger: Callable[..., Outcome]
) -> None:
    before = Footprint.of(locked.base)
    words = [word.format(base=locked.base) for word in WRITES[name]]
    outcome = stranger(locked.ada.folder, *words)
    assert_refused(outcome, 10)
    assert before.changes(Footprint.of(locked.base)) == []


@pytest.mark.parametrize("line", READS, ids=" ".join)
def test_reading_needs_no_right_to_write(
    line: list[str], locked: World, stranger: Callable[..., Outcome]
) -> None:
    before = Footprint.of(locked.base)
    outcome = stranger(locked.ada.folder, *line)
    # The doctor reads like all others, and says that this store may not be written.
    assert outcome.exit_code == (10 if line == ["doctor"] else 0), outcome.said
    assert before.changes(Footprint.of(locked.base)) == []


def test_contents_can_be_placed_elsewhere(
    locked: World, stranger: Callable[..., Outcome], tmp_path: Path
) -> None:
    place = tmp_path / "place"
    assert stranger(locked.ada.folder, "get", "models/digits@1", "-o", str(place)).exit_code == 0
    assert read(place) == FIRST


@pytest.mark.parametrize("what", ["packs", "manifests", "roots", "gitml.yaml", "third"])
def test_what_may_not_be_read_is_named(
    what: str, worlds: Callable[[], World], stranger: Callable[..., Outcome], tmp_path: Path
) -> None:
    world = worlds()
    closed = {"gitml.yaml": world.ada.folder / "gitml.yaml", "third": world.base / "third" / "e.txt"}.get(
        what, world.store / what
    )
    closed.chmod(0)
    line = {"third": ["register", "models/new", str(closed), "-n"]}.get(
        what, ["get", "models/digits@1", "-o", str(tmp_path / "place")]
    )
    try:
        outcome = stranger(world.ada.folder, *line)
        if what == "gitml.yaml":
            assert outcome.exit_code == 0, outcome.said  # the committed one is what counts
        elif what != "third":
            assert_refused(outcome, 10, what)
            assert not (tmp_path / "place").exists() or read(tmp_path / "place") == {}
        if what == "third":
            assert_refused(stranger(world.ada.folder, "register", "models/new", str(closed)), 10, "e.txt")
    finally:
        closed.chmod(0o755)


def test_a_repository_of_another_user_is_not_trusted(
    worlds: Callable[[], World], stranger: Callable[..., Outcome], tmp_path: Path
) -> None:
    """`safe.directory` stays as the user set it; no hook of that repository runs."""
    if os.getuid() != 0:
        pytest.skip("only root can make another user's repository")
    world = worlds()
    for folder, folders, files in os.walk(world.ada.folder):
        for name in (".", *folders, *files):
            os.chown(Path(folder, name), 65534, 65534, follow_symlinks=False)
    mark = tmp_path / "mark"
    hook = world.ada.folder / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    for line in (
        ["list"],
        ["register", "models/new", str(world.base / "third")],
        ["push"],
        ["get", "models/digits@1"],
    ):
        outcome = stranger(world.ada.folder, *line)
        assert_refused(outcome, 10)
        assert "safe.directory" in outcome.hint
    assert not mark.exists()


def test_no_home(world: World, runner: Runner) -> None:
    """A build server's user may have no home that anybody, root included, could write to."""
    ended = runner.run(
        world.ada.folder,
        "get",
        "models/digits@1",
        "-o",
        str(world.base / "x"),
        env={"HOME": "/dev/null/home", "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", "XDG_CACHE_HOME": ""},
    )
    assert ended.status == 0, ended.stderr
    assert read(world.base / "x") == FIRST


def test_no_git(world: World, runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = runner.run(world.ada.folder, "list", env={"PATH": str(tmp_path / "empty")})
    assert_refused(printed(ended.status, ended.stdout, ended.stderr), 4, "git is not installed")


def test_no_store(world: World, runner: Runner) -> None:
    """The store's folder is gone, as when a mount is missing."""
    shutil.move(world.store, world.base / "elsewhere")
    for mounted in (False, True):
        for line in (
            ["get", "models/digits@1", "-o", str(world.base / "x")],
            ["verify"],
            ["store", "verify"],
        ):
            ended = runner.run(world.ada.folder, *line)
            assert_refused(printed(ended.status, ended.stdout, ended.stderr), 7, "holds nothing at all")
            assert "mount it" in ended.stderr
        if not mounted:
            world.store.mkdir()  # the folder that something is to be mounted at
    world.store.rmdir()
    shutil.move(world.base / "elsewhere", world.store)
    assert runner.run(world.ada.folder, "verify", "--all").status == 0
