"""Many at once, in processes of their own, from several clones: nothing is lost, and a collision has one winner."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.canaries import assert_refused, printed
from support.killing import Ended, Runner
from support.team import Team, git, read, write

from gitml.api import Registry

WRITERS = int(os.environ.get("GITML_TEST_WRITERS", "8"))
ROUNDS = 6


def finish(runner: Runner, folder: Path, line: list[str], ended: Ended) -> Ended:
    """Do what the hint says of a command that met another: run it again."""
    for _ in range(ROUNDS * WRITERS):
        if ended.status == 0:
            return ended
        assert_refused(printed(ended.status, ended.stdout, ended.stderr), (5, 9))
        ended = runner.run(folder, *line)
    raise AssertionError(f"{line} never succeeded: {ended.stderr}")


def together(runner: Runner, commands: list[tuple[Path, list[str]]]) -> list[Ended]:
    running = [runner.start(folder, *line) for folder, line in commands]
    return [one.wait() for one in running]


def test_different_assets_from_several_clones(tmp_path: Path, runner: Runner) -> None:
    team = Team(tmp_path / "team")
    members = [team.clone(f"person{number}") for number in range(WRITERS)]
    sources = [write(tmp_path / f"in{number}", {"a.txt": f"{number}\n" * 100}) for number in range(WRITERS)]
    registering = [
        (
            member.folder,
            ["register", f"models/m{number}", str(sources[number]), "--branch", f"working/p{number}"],
        )
        for number, member in enumerate(members)
    ]
    assert [one.status for one in together(runner, registering)] == [0] * WRITERS
    pushing = [(member.folder, ["push"]) for member in members]
    for (folder, line), ended in zip(pushing, together(runner, pushing), strict=True):
        finish(runner, folder, line, ended)
    reader = team.clone("reader")
    for number in range(WRITERS):
        done = reader.registry.get(f"models/m{number}@1", tmp_path / f"out{number}", rev=f"working/p{number}")
        assert str(done.ref) == f"models/m{number}@1"
        assert read(tmp_path / f"out{number}") == read(sources[number])


def test_one_branch_of_one_clone(tmp_path: Path, runner: Runner) -> None:
    """Eight processes commit to the branch that is checked out: all of them get in, and the work tree is clean."""
    team = Team(tmp_path / "team")
    sources = [write(tmp_path / f"in{number}", {"a.txt": f"{number}\n" * 100}) for number in range(WRITERS)]
    commands = [
        (team.ada.folder, ["register", f"models/m{number}", str(sources[number])])
        for number in range(WRITERS)
    ]
    for (folder, line), ended in zip(commands, together(runner, commands), strict=True):
        finish(runner, folder, line, ended)
    found = team.ada.registry.list()
    assert sorted(str(one.ref) for one in found.versions) == [
        f"models/m{number}@1" for number in range(WRITERS)
    ]
    assert git(team.ada.folder, "status", "--porcelain") == ""
    team.ada.registry.verify(all=True, deep=True)
    git(team.ada.folder, "fsck", "--strict", "--no-dangling")


def test_one_version_many_writers(tmp_path: Path, runner: Runner) -> None:
    """A version that all of them name: one wins in the store, the others are told to take another."""
    team = Team(tmp_path / "team")
    members = [team.clone(f"person{number}") for number in range(WRITERS)]
    sources = [write(tmp_path / f"in{number}", {"a.txt": f"{number}\n" * 100}) for number in range(WRITERS)]
    commands = [
        (member.folder, ["register", "models/shared", str(sources[number]), "--version", "1.0.0",
                         "--branch", f"working/p{number}", "--push"])
        for number, member in enumerate(members)
    ]  # fmt: skip
    ended = together(runner, commands)
    winners = [number for number, one in enumerate(ended) if one.status == 0]
    assert len(winners) == 1, [one.stderr for one in ended]
    for number, one in enumerate(ended):
        if number != winners[0]:
            assert_refused(printed(one.status, one.stdout, one.stderr), 5, "models/shared@1.0.0")
    reader = team.clone("reader")
    reader.registry.get("models/shared@1.0.0", tmp_path / "out", rev=f"working/p{winners[0]}")
    assert read(tmp_path / "out") == read(sources[winners[0]])


def test_numbers_are_given_once(tmp_path: Path, runner: Runner) -> None:
    """Without a name each gets a number of its own, whatever clone asks."""
    team = Team(tmp_path / "team")
    members = [team.clone(f"person{number}") for number in range(WRITERS)]
    sources = [write(tmp_path / f"in{number}", {"a.txt": f"{number}\n" * 100}) for number in range(WRITERS)]
    commands = [
        (
            member.folder,
            ["register", "models/shared", str(sources[number]), "--branch", f"working/p{number}", "--json"],
        )
        for number, member in enumerate(members)
    ]
    refs = {json.loads(one.stdout)["ref"] for one in together(runner, commands)}
    assert len(refs) == WRITERS
    for member in members:
        member.registry.push()


@pytest.mark.parametrize("same", [False, True], ids=["different", "same"])
def test_promotions(same: bool, tmp_path: Path, runner: Runner) -> None:
    """Promotions of different assets all arrive; those of one asset leave one that runs, and no lost history."""
    team = Team(tmp_path / "team")
    count = 4 if same else WRITERS
    for number in range(count):
        name = "models/one" if same else f"models/m{number}"
        team.ada.registry.register(name, write(tmp_path / f"in{number}", {"a.txt": f"{number}\n" * 100}))
    team.ada.registry.push()
    members = [team.clone(f"person{number}") for number in range(count)]
    refs = [f"models/one@{number + 1}" if same else f"models/m{number}@1" for number in range(count)]
    asking = [
        (member.folder, ["promote", ref, "-t", "staging", "--json"])
        for member, ref in zip(members, refs, strict=True)
    ]
    asked = [
        finish(runner, folder, line, ended)
        for (folder, line), ended in zip(asking, together(runner, asking), strict=True)
    ]
    numbers = [json.loads(one.stdout)["request"]["number"] for one in asked]
    assert len(set(numbers)) == (len(set(numbers)) if same else count)
    merging = [
        (member.folder, ["pr", "merge", str(number)]) for member, number in zip(members, numbers, strict=True)
    ]
    merged = 0
    for (folder, line), ended in zip(merging, together(runner, merging), strict=True):
        if ended.status == 0:
            merged += 1
        else:
            outcome = printed(ended.status, ended.stdout, ended.stderr)
            assert_refused(outcome, (5, 9))
            if not same:
                # Another merge came first; the request is brought up to date and merged again.
                finish(runner, folder, line, ended)
                merged += 1
    assert merged == count or (same and merged >= 1)
    team.ada.git("fetch", "--quiet", "origin")
    git(team.remote, "fsck", "--strict", "--no-dangling")
    if same:
        assert str(team.ada.registry.show("models/one@staging").ref) in refs
        assert len(team.ada.registry.history("staging").entries) == merged
    else:
        for ref in refs:
            assert str(team.ada.registry.show(ref.replace("@1", "@staging")).ref) == ref
    Registry(team.ada.folder).verify(all=True, deep=True)
