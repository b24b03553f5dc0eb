"""A team in the middle of its work, the commands it may run next, and what must hold whatever happens to them."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.prepared import prepare
from support.team import Member, Team, git, read, write

from gitml.api import Registry

FIRST = {"weights.bin": random.Random(1).randbytes(300_000), "README.md": b"a model\n", "a/b/c.txt": b"c\n"}
SECOND = {
    **FIRST,
    "weights.bin": FIRST["weights.bin"][:150_000] + b"new" + FIRST["weights.bin"][150_000:],
    "d.txt": b"",
}
ROWS = {"rows.csv": b"1,2\n" * 1000}
OWN = {"notes.txt": "mine, untracked\n", "train.py": "print('changed')\n", "staged.txt": "staged\n"}
"""Files of the user in ada's work tree: no command may touch them."""


@dataclass(frozen=True)
class World:
    """Two clones, a remote, a store.

    ada: on `main`, with models/digits 1 and 2 on the remote, 1 then 2 in `staging`, request 3 (of
    datasets/rows@1) open, datasets/local@1 with its bytes in the clone only; grace: behind.
    """

    base: Path

    @classmethod
    def build(cls, base: Path) -> World:
        prepare(base, "world", cls._build)
        return cls(base)

    @staticmethod
    def _build(base: Path) -> None:
        team = Team(base)
        ada, registry = team.ada, team.ada.registry
        write(ada.folder, {"train.py": "print('train')\n"})
        ada.git("add", "train.py")
        ada.git("commit", "--quiet", "--message", "Code")
        for contents in (FIRST, SECOND):
            registry.register("models/digits", write(base / f"in-{len(contents)}", contents))
        registry.push()
        team.clone("grace")
        for number, ref in enumerate(("models/digits@1", "models/digits@2"), 1):
            registry.promote(ref, target="staging")
            registry.requests.merge(number)
        registry.register("datasets/rows", write(base / "rows", ROWS))
        registry.push()
        registry.promote("datasets/rows@1", target="staging")
        registry.register(
            "datasets/local", write(base / "local", {**ROWS, "more.txt": b"more\n"}), offline=True
        )
        write(base / "third", {**SECOND, "e.txt": b"e\n"})
        write(ada.folder, OWN)
        ada.git("add", "staged.txt")
        write(base / "place", {"own.txt": "mine\n"})

    @property
    def ada(self) -> Member:
        return Member(self.base / "ada")

    @property
    def grace(self) -> Member:
        return Member(self.base / "grace")

    @property
    def store(self) -> Path:
        return self.base / "store"

    @property
    def clones(self) -> tuple[Path, ...]:
        return (self.ada.folder, self.grace.folder)

    def check(self, *, contents: bool = False) -> None:
        """What holds at every moment: nothing acknowledged is lost, no repository is broken, no file of the user touched.

        With `contents`, what is acknowledged is read instead of only looked for.
        """
        for folder in (self.base / "remote.git", *self.clones):
            git(folder, "fsck", "--strict", "--full", "--no-dangling", "--no-progress")
        if contents:
            self.check_contents()
        else:
            for folder in self.clones:
                Registry(folder).verify(all=True)
        self.check_own()

    def check_own(self) -> None:
        """The user's files are as they were, and so is what was staged."""
        assert {name: (self.ada.folder / name).read_text() for name in OWN} == OWN
        assert git(self.ada.folder, "show", ":staged.txt") == "staged"
        assert (self.base / "place/own.txt").read_text() == "mine\n"

    def check_contents(self) -> None:
        """Every acknowledged version still reads back byte for byte."""
        for folder in self.clones:
            Registry(folder).verify(all=True, deep=True)
        for ref, contents in (
            ("models/digits@1", FIRST),
            ("models/digits@2", SECOND),
            ("datasets/local@1", None),
        ):
            place = self.base / "read-back" / ref.replace("/", "-")
            Registry(self.ada.folder).get(ref, place)
            assert contents is None or read(place) == contents

    def leftovers(self) -> list[str]:
        """Locks, temporary files of GitML, and unfinished records in the clones and in the remote."""
        found = []
        for top in (self.base / "remote.git", *(clone / ".git" for clone in self.clones)):
            for path in top.rglob("*"):
                # A dead git leaves `tmp_obj_*`, and a dead writer to a store `.tmp-*`: both are for their gc.
                inside = path.relative_to(top).as_posix()
                ours = path.name.endswith(".lock") or path.name.startswith("gitml-")
                if not inside.startswith("gitml/store/") and (ours or path.parent.name == "operations"):
                    found.append(str(path.relative_to(self.base)))
        return sorted(found)


@dataclass(frozen=True)
class Scenario:
    """A command, and what it is for.

    Attributes:
        line: The command line; `{base}` is the world's folder.
        goal: Fails unless the command reached its goal.
        where: The folder it runs in.
    """

    name: str
    line: Sequence[str]
    goal: Callable[[World], None]
    where: str = "ada"

    def words(self, world: World) -> list[str]:
        return [word.format(base=world.base) for word in self.line]

    def folder(self, world: World) -> Path:
        return world.base / self.where


def _registered(world: World) -> None:
    refs = [str(one.ref) for one in world.ada.registry.list("models/digits").versions]
    assert refs.count("models/digits@3") == 1 and "models/digits@4" not in refs, refs
    place = world.base / "read-3"
    world.ada.registry.get("models/digits@3", place)
    assert read(place) == read(world.base / "third")
    assert git(world.ada.folder, "status", "--porcelain", "--", "models") == ""


def _pushed(world: World) -> None:
    fresh = world.base / "fresh-clone"
    git(world.base, "clone", "--quiet", str(world.base / "remote.git"), str(fresh))
    Registry(fresh).get("datasets/local@1", world.base / "read-local")
    assert read(world.base / "read-local") == read(world.base / "local")


def _promoted(world: World) -> None:
    found = [one for one in world.ada.registry.requests.list() if "models/digits@1" in one.refs]
    assert len(found) == 1, found


def _merged(world: World) -> None:
    assert world.ada.registry.requests.show(3).state.value == "merged"
    world.ada.git("fetch", "--quiet", "origin")
    assert str(world.ada.registry.show("datasets/rows@staging").ref) == "datasets/rows@1"
    heads = git(world.base / "remote.git", "log", "--first-parent", "--format=%s", "staging").splitlines()
    assert sum("rows" in line or "#3" in line or "request 3" in line.lower() for line in heads) <= 1, heads


def _placed(world: World) -> None:
    assert read(world.base / "place") == {**SECOND, "own.txt": b"mine\n"}


def _aliased(world: World) -> None:
    assert str(world.ada.registry.show("models/digits@champion").ref) == "models/digits@1"
    assert git(world.ada.folder, "status", "--porcelain", "--", "models") == ""


def _pulled(world: World) -> None:
    assert git(world.grace.folder, "rev-parse", "HEAD") == git(world.base / "remote.git", "rev-parse", "main")
    assert (world.grace.folder / "models/digits/2/weights.bin").read_bytes() == SECOND["weights.bin"]
    assert git(world.grace.folder, "status", "--porcelain") == ""


def _initialised(world: World) -> None:
    folder = world.base / "new"
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "log", "--format=%s").count("\n") == 0
    assert Registry(folder).stores.list()[0].name == "default"


def _rolled_back(world: World) -> None:
    found = [one for one in world.ada.registry.requests.list() if "models/digits@1" in one.refs]
    assert len(found) == 1, found


SCENARIOS = {
    one.name: one
    for one in (
        Scenario("init", ["init", "{base}/new", "--store", "{base}/store-2"], _initialised, where="."),
        Scenario("register", ["register", "models/digits", "{base}/third"], _registered),
        Scenario("push", ["push"], _pushed),
        Scenario("promote", ["promote", "models/digits@1", "-t", "staging"], _promoted),
        Scenario("merge", ["pr", "merge", "3"], _merged),
        Scenario("get", ["get", "models/digits@2", "-o", "{base}/place"], _placed),
        Scenario("alias", ["alias", "models/digits", "champion", "1"], _aliased),
        Scenario("pull", ["pull"], _pulled, where="grace"),
        Scenario("rollback", ["rollback", "models/digits", "-t", "staging"], _rolled_back),
    )
}


def cloned(source: Path, folder: Path) -> Member:
    """One more clone."""
    subprocess.run(["git", "clone", "--quiet", str(source), str(folder)], check=True)
    git(folder, "config", "user.name", folder.name.title())
    git(folder, "config", "user.email", f"{folder.name}@example.com")
    return Member(folder)
