"""Temporary git repositories for tests: plain, bare, linked, shallow, broken and hostile ones, made with git itself."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitml.git import Repository


def git(
    folder: Path, *arguments: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run git as a user would, and return what it prints, without the last newline."""
    result = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        env={**os.environ, **(env or {})},
        check=False,
    )
    if result.returncode != 0:
        raise AssertionError(f"git {' '.join(arguments)}: {result.stderr.decode(errors='replace')}")
    return result.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


def make(
    folder: Path, files: Mapping[str, bytes] | None = None, *, object_format: str = "sha1"
) -> Repository:
    """Make a repository whose branch main has one commit with some files."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main", f"--object-format={object_format}")
    commit(folder, files if files is not None else {"README.md": b"hello\n"})
    return Repository.discover(folder)


def commit(folder: Path, files: Mapping[str, bytes], message: str = "change") -> str:
    """Write files into a work tree and commit exactly them; return the commit."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    git(folder, "add", "-f", "--", *files)
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def bare(folder: Path, *, object_format: str = "sha1") -> Path:
    """Make an empty bare repository, as a remote."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "--bare", "-b", "main", f"--object-format={object_format}")
    return folder


def with_remote(repository: Repository, folder: Path, name: str = "origin") -> Path:
    """Give a repository a bare remote that holds its branches."""
    bare(folder, object_format=repository.object_format)
    assert repository.top is not None
    git(repository.top, "remote", "add", name, str(folder))
    git(repository.top, "push", "-q", "--no-recurse-submodules", name, "--all")
    git(repository.top, "fetch", "-q", "--no-recurse-submodules", name)
    return folder


def clone(source: Path, folder: Path, *options: str) -> Repository:
    """Clone as a user would."""
    git(folder.parent, "clone", "-q", *options, source.as_uri(), str(folder))
    return Repository.discover(folder)


def linked(repository: Repository, folder: Path, branch: str) -> Repository:
    """Add a linked work tree with a new branch."""
    assert repository.top is not None
    git(repository.top, "worktree", "add", "-q", "-b", branch, str(folder))
    return Repository.discover(folder)


def clean(folder: Path) -> bool:
    """Whether nothing is staged, changed or untracked, as git itself says."""
    return git(folder, "status", "--porcelain", "--untracked-files=all") == ""


def fsck(folder: Path) -> None:
    """Fail unless git finds every object and link in order."""
    git(folder, "fsck", "--strict", "--full", "--no-dangling", "--no-progress")


def leftovers(repository: Repository) -> list[str]:
    """Return lock files and temporary files in the git folder, relative to it."""
    found = []
    for path in repository.common_dir.rglob("*"):
        name = path.name
        if (
            name.endswith(".lock")
            or name.startswith(("gitml-", "exclude-gitml-"))
            or path.parent.name == "operations"
        ):
            found.append(str(path.relative_to(repository.common_dir)))
    return sorted(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A program that leaves a file behind when anything runs it."""

    program: Path
    mark: Path

    @property
    def alive(self) -> bool:
        """Whether nobody has run it."""
        return not self.mark.exists()

    def told(self) -> str:
        """Return how it was called."""
        return self.mark.read_text() if self.mark.exists() else ""


def canary(folder: Path, name: str = "canary") -> Canary:
    """Make a program that records its call; it passes its input through, as a filter has to."""
    folder.mkdir(parents=True, exist_ok=True)
    program, mark = folder / name, folder / f"{name}.mark"
    program.write_text(f'#!/bin/sh\necho "$0 $@" >> "{mark}"\ncat 2>/dev/null\nexit 0\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return Canary(program=program, mark=mark)


HOOKS = (
    "applypatch-msg", "commit-msg", "fsmonitor-watchman", "p4-changelist", "post-applypatch", "post-checkout",
    "post-commit", "post-index-change", "post-merge", "post-rewrite", "pre-applypatch", "pre-auto-gc", "pre-commit",
    "pre-merge-commit", "prepare-commit-msg", "pre-push", "pre-rebase", "push-to-checkout", "reference-transaction",
    "sendemail-validate",
)  # fmt: skip


def booby_trap(repository: Repository, trap: Canary) -> None:
    """Set every hook, filter, driver and helper of a repository to the canary.

    The attributes stand in `info/attributes`, so that they hold for every path.
    """
    hooks = repository.common_dir / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in HOOKS:
        (hooks / name).symlink_to(trap.program)
    program = str(trap.program)
    assert repository.top is not None
    for key in (
        "core.fsmonitor", "core.pager", "core.editor", "core.alternateRefsCommand", "diff.external", "pager.log",
        "filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv", "diff.evil.command",
        "merge.evil.driver", "uploadpack.packObjectsHook", "sequence.editor", "interactive.diffFilter",
        "gpg.program", "gpg.ssh.program", "remote.origin.uploadpack", "remote.origin.receivepack",
        "remote.origin.vcs", "trailer.evil.command", "alias.log", "alias.status", "alias.fetch",
    ):  # fmt: skip
        if key == "remote.origin.vcs":
            continue
        git(repository.top, "config", key, f"!{program}" if key.startswith("alias.") else program)
    git(repository.top, "config", "filter.evil.required", "true")
    (repository.common_dir / "info").mkdir(exist_ok=True)
    (repository.common_dir / "info" / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
