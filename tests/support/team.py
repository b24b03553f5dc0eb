"""A team of people with clones, a bare remote and a shared store: what most tests above the git room need."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.prepared import prepare

from gitml.api import Registry, init


def git(folder: Path, *arguments: str) -> str:
    """Run plain git, as a user would; gives what it printed."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, encoding="utf-8"
    )
    return done.stdout.strip()


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder, and give the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    """Every file below a folder: relative path -> bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


@dataclass(frozen=True)
class Member:
    """One person's clone."""

    folder: Path

    @property
    def registry(self) -> Registry:
        return Registry(self.folder)

    def git(self, *arguments: str) -> str:
        return git(self.folder, *arguments)


class Team:
    """A bare remote, a folder as the store, and clones that are made on demand."""

    def __init__(self, base: Path, *, store: bool = True, configuration: str | None = None) -> None:
        if str(base.parent) in (configuration or ""):
            self._found(base, store, configuration)  # it names what this test alone has
        else:
            prepare(
                base, ("team", store, configuration), lambda folder: self._found(folder, store, configuration)
            )
        self._at(base)

    @classmethod
    def prepared(cls, base: Path, kind: Hashable, work: Callable[[Team], object], **options: Any) -> Team:
        """A team that has done some work; which one, the kind says."""

        def make(folder: Path) -> None:
            made = cls.__new__(cls)
            made._found(folder, **{"store": True, "configuration": None, **options})
            work(made)

        found = cls.__new__(cls)
        found._at(base)
        prepare(base, (kind, *sorted(options.items())), make)
        return found

    def _at(self, base: Path) -> None:
        self.base = base
        self.remote = base / "remote.git"
        self.store = base / "store"
        self.ada = Member(base / "ada")

    def _found(self, base: Path, store: bool, configuration: str | None) -> None:
        self._at(base)
        base.mkdir(parents=True, exist_ok=True)
        git(base, "init", "--quiet", "--bare", str(self.remote))
        founder = self.clone("ada", "Ada Example", "ada@example.com")
        init(founder.folder, store=str(self.store) if store else None)
        if configuration is not None:
            path = founder.folder / "gitml.yaml"
            text = path.read_text()
            path.write_text(text[: text.index("stages:")] + configuration)
            founder.git("commit", "--quiet", "--all", "--message", "Policy")
        founder.git("push", "--quiet", "--set-upstream", "origin", "main")

    def clone(
        self, name: str, person: str | None = None, email: str | None = None, *arguments: str
    ) -> Member:
        """A new clone with its own identity."""
        folder = self.base / name
        git(self.base, "clone", "--quiet", *arguments, self.remote.as_uri(), str(folder))
        git(folder, "config", "user.name", person or name.title())
        git(folder, "config", "user.email", email or f"{name}@example.com")
        return Member(folder)


def alone(base: Path, then: Callable[[Member, Path], object] | None = None) -> Member:
    """A registry in the folder `alone` below, with no remote and no store but the embedded one.

    Args:
        base: A folder.
        then: What was done in the registry already, always the same; it gets a folder for its contents, too.
    """

    def make(folder: Path) -> None:
        member = Member(folder / "alone")
        member.folder.mkdir(parents=True)
        member.git("init", "--quiet", "--initial-branch", "main")
        init(member.folder)
        if then is not None:
            then(member, folder)

    prepare(base, ("alone", None if then is None else f"{then.__module__}.{then.__qualname__}"), make)
    return Member(base / "alone")
