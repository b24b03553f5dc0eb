"""Hosted forges for tests: a double with a bare repository behind it, and each vendor's adapter on it.

A vendor joins by being in the table of :mod:`gitml.forge.vendors` and having routes in `tests/servers/forge`.
"""

from __future__ import annotations

import atexit
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from servers.forge.core import Project, User
from servers.forge.server import ForgeServer, vendor
from support.prepared import prepare

from gitml.forge.access import Access, Place, Token
from gitml.forge.hosting import Host
from gitml.forge.patience import Patience, Words
from gitml.forge.vendors import VENDORS

PREFIX = {
    "azure_devops": "azure",
    "bitbucket": "bitbucket/2.0",
}  # what the double's path begins with, where it is not the kind
NAMES = {"azure_devops": "team/models/registry"}  # a project's name, where two parts are not enough

LOGINS = {
    "azure_devops": "{}@example.com",
    "bitbucket": "557058:{}",
}  # what people are called, where it is not by a name of theirs


def spoken() -> list[str]:
    """Kinds of forges that have an adapter and routes in the double."""
    return [
        kind
        for kind, one in VENDORS.items()
        if find_spec(one.module) is not None and vendor(kind) is not None
    ]


def one_by_day() -> list[Any]:
    """The kinds as parameters: the first in every run, the others at night, where what is tested is GitML's own."""
    first, *others = spoken()
    return [first, *(pytest.param(kind, marks=pytest.mark.nightly) for kind in others)]


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
    watch: Watch

    @property
    def api_url(self) -> str:
        return self.double.api_url(PREFIX.get(self.kind, self.kind))

    def user(self, login: str) -> User:
        found = self.double.forge.user(login)
        assert found is not None
        return found

    def login(self, name: str) -> str:
        """What this kind of forge calls one of these people."""
        return LOGINS.get(self.kind, "{}").format(name)

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

    def branch(self, name: str, start: str = "main", author: str = "ada", **files: str) -> str:
        """A branch with one commit more than its start, as if it were pushed; gives the commit."""
        who = f"{author.title()} <{author}@example.com> 1800000000 +0000"
        stream = [f"commit refs/heads/{name}", f"author {who}", f"committer {who}", _data(f"work on {name}")]
        stream.append(f"from {self.project.tip(start) or start}")
        for path, text in (files or {name.replace("/", "-"): name}).items():
            stream += [f"M 100644 inline {path}", _data(text)]
        subprocess.run(
            ["git", "--git-dir", str(self.project.bare), "fast-import", "--quiet", "--force"],
            input="\n".join([*stream, ""]),
            check=True,
            text=True,
        )
        tip = self.project.tip(name)
        assert tip is not None
        return tip


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}"


@cache
def _double() -> ForgeServer:
    """One double for all tests of a process; each test fills it anew."""
    found = ForgeServer().start()
    atexit.register(found.stop)
    return found


@contextmanager
def world(kind: str, folder: Path) -> Iterator[World]:
    """A project that has the branches main and production, and two more people who may write."""
    double = _double()
    double.reset()
    for login in ("ada", "bob", "eve"):
        double.forge.add_user(login, email=f"{login}@example.com")
    bare = folder / "forge.git"
    prepare(bare, "forge", _two_branches)
    project = double.forge.add_project(NAMES.get(kind, "team/registry"), bare)
    yield World(kind, double, project, Watch())


def _two_branches(bare: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(bare)], check=True)
    subprocess.run(
        ["git", "--git-dir", str(bare), "fast-import", "--quiet"],
        input="commit refs/heads/main\ncommitter Ada Example <ada@example.com> 1800000000 +0000\ndata 5\nfirst\n"
        "M 100644 inline README.md\ndata 5\nhello\n\nreset refs/heads/production\nfrom refs/heads/main\n\n",
        check=True,
        text=True,
    )
