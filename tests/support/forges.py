"""Hosted forges for tests: a double with a bare repository behind it, and each vendor's adapter on it.

A vendor joins by being in the table of :mod:`gitml.forge.vendors` and having routes in `tests/servers/forge`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from servers.forge.core import Project, User
from servers.forge.server import ForgeServer, serving, vendor

from gitml.forge.access import Access, Place, Token
from gitml.forge.hosting import Host
from gitml.forge.patience import Patience, Words
from gitml.forge.vendors import VENDORS

PREFIX = {"azure_devops": "azure"}  # what the double's path begins with, where it is not the kind
NAMES = {"azure_devops": "team/models/registry"}  # a project's name, where two parts are not enough


def spoken() -> list[str]:
    """Kinds of forges that have an adapter and routes in the double."""
    return [
        kind
        for kind, one in VENDORS.items()
        if find_spec(one.module) is not None and vendor(kind) is not None
    ]


class Watch:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now_s = 1_800_000_000.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def clock(self) -> float:
        return self.now_s


@dataclass(frozen=True)
class World:
    """One project on one kind of forge; ada and bob may write, cyd may read, dot may do nothing."""

    kind: str
    double: ForgeServer
    project: Project
    clone: Path
    watch: Watch

    @property
    def api_url(self) -> str:
        return self.double.api_url(PREFIX.get(self.kind, self.kind))

    def user(self, login: str) -> User:
        found = self.double.forge.user(login)
        assert found is not None
        return found

    def host(self, login: str = "ada", **options: Any) -> Host:
        """The adapter with somebody's token."""
        words = Words(forge=f"{self.kind} (double)", rights="all rights", token="GITML_FORGE_TOKEN")
        patience = Patience(
            words,
            secret=f"token-of-{login}",
            total_s=options.pop("total_s", 60.0),
            sleep=self.watch.sleep,
            clock=self.watch.clock,
            wall=self.watch.clock,
        )
        access = Access(
            api_url=self.api_url,
            place=Place(host="127.0.0.1", path=self.project.name, is_web=True),
            token=Token(value=f"token-of-{login}", source="a test", user=login),
            patience=patience,
            **{"timeout_s": 5.0, "page_size": 100, **options},
        )
        host: Host = import_module(VENDORS[self.kind].module).open_host(access)
        return host

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.clone, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def branch(self, name: str, start: str = "main", **files: str) -> str:
        """A branch with one commit by ada more than its start; gives the commit."""
        self.git("checkout", "-q", "-B", name, start)
        for path, text in (files or {name.replace("/", "-"): name}).items():
            (self.clone / path).write_text(text)
        self.git("add", "--all")
        self.git("commit", "-q", "-m", f"work on {name}")
        self.git("push", "-q", "--force", "origin", name)
        return self.git("rev-parse", "HEAD")


@contextmanager
def world(kind: str, folder: Path) -> Iterator[World]:
    """A double with a project that has the branches main and production."""
    bare, clone = folder / "forge.git", folder / "clone"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(bare)], check=True)
    with serving() as double:
        for login in ("ada", "bob", "eve"):
            double.forge.add_user(login, email=f"{login}@example.com")
        project = double.forge.add_project(NAMES.get(kind, "team/registry"), bare)
        subprocess.run(["git", "clone", "-q", str(bare), str(clone)], check=True, capture_output=True)
        found = World(kind, double, project, clone, Watch())
        (clone / "README.md").write_text("hello\n")
        found.git("checkout", "-q", "-B", "main")
        found.git("add", "--all")
        found.git("commit", "-q", "-m", "first")
        found.git("push", "-q", "origin", "main", "main:production")
        yield found
