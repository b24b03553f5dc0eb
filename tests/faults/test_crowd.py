"""Many writers in several clones of one bare remote: nothing is lost, a collision has one winner, the rest are told.

The judge of the history is tried itself, by histories that a registry must not have.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.crowd import PICKS, STAGE, Done, faults, percentile, run
from support.team import Team, git, read, write

from gitml.api import Registry

MOST_RETRIES_P99 = 8
SEED = os.environ.get("GITML_TEST_SEED", "1")


def crowd(
    tmp_path: Path, environment: dict[str, str], *, clones: int, writers: int, rounds: int, kills: float = 0.0
) -> tuple[Team, list[Done]]:
    """Let them work, and judge what came of it."""
    team = Team(tmp_path / "team")
    for number in range(rounds):
        for version in range(PICKS):
            source = write(tmp_path / "picks" / f"{number}-{version}", {"a.txt": f"{number} {version}\n"})
            team.ada.registry.register(f"models/pick{number}", source)
    team.ada.registry.push()
    folders = [team.clone(f"clone{number}").folder for number in range(clones)]
    history = run(
        tmp_path / "crowd", folders, environment, writers=writers, rounds=rounds, seed=SEED, kills=kills
    )
    tell(history)
    chain = git(team.remote, "rev-list", "--first-parent", "--reverse", STAGE, "^main").splitlines()
    assert faults(history, chain) == []
    for folder in (team.remote, *folders):
        git(folder, "fsck", "--strict", "--no-dangling", "--no-progress")
    judge_contents(team, history)
    return team, history


def tell(history: Sequence[Done]) -> None:
    """Figures for who reads the output."""
    by_verb = {
        verb: [d.retries for d in history if d.verb == verb] for verb in ("register", "promote", "merge")
    }
    for verb, retries in by_verb.items():
        times = [(d.ended_ns - d.invoked_ns) / 1e9 for d in history if d.verb == verb]
        print(
            f"{verb}: {len(retries)} commands, retries p50 {percentile(retries, 0.5)}, "
            f"p99 {percentile(retries, 0.99)}, most {max(retries)}; "
            f"{percentile(times, 0.5):.1f} s, slowest {max(times):.1f} s"
        )
    print(dict(Counter((d.verb, d.status) for d in history)))
    for done in history:
        if done.status not in (0, 5) and done.status > 0:
            print(done, done.stderr)


def judge_contents(team: Team, history: Sequence[Done]) -> None:
    """Every acknowledged version is on its branch, and reads back as what its writer gave."""
    reader = team.clone("reader").folder
    registry = Registry(reader)
    for number, done in enumerate(history):
        if done.verb == "register" and done.status == 0:
            place = team.base / "read" / str(number)
            registry.get(done.document["ref"], place, rev=done.document["branch"])
            assert read(place) == read(Path(done.words[2])), done


def test_a_few_writers(tmp_path: Path, environment: dict[str, str]) -> None:
    _, history = crowd(tmp_path, environment, clones=3, writers=6, rounds=1)
    assert percentile([done.retries for done in history], 0.99) <= MOST_RETRIES_P99


@pytest.mark.nightly
@pytest.mark.parametrize("kills", [0.0, 0.05], ids=["all-live", "some-are-killed"])
def test_sixty_four_writers(kills: float, tmp_path: Path, environment: dict[str, str]) -> None:
    _, history = crowd(
        tmp_path,
        environment,
        clones=16,
        writers=64,
        rounds=int(os.environ.get("GITML_TEST_ROUNDS", "2")),
        kills=kills,
    )
    assert percentile([done.retries for done in history], 0.99) <= MOST_RETRIES_P99


def said(writer: int, when: tuple[int, int], *words: str, status: int = 0, **document: Any) -> Done:
    """A command of a history that was made up."""
    return Done(
        writer=writer, words=words, invoked_ns=when[0], ended_ns=when[1], status=status, document=document
    )


def honest() -> list[Done]:
    """Two writers: each has a version of its own, one gets the version that both want, both merge."""
    place = ("--branch", "b", "--push", "--json")
    refused = {"error": {"message": "models/hot@0.0.0 is taken in the store by other contents"}}
    lost = {"error": {"message": "does not merge; models/pick0@1 runs there"}}
    return [
        said(0, (0, 5), "register", "models/w0", "x", *place, ref="models/w0@1", digest="a"),
        said(1, (0, 5), "register", "models/hot", "y", "--version", "0.0.0", *place, ref="models/hot@0.0.0", digest="b"),
        said(0, (6, 9), "register", "models/hot", "z", "--version", "0.0.0", *place, status=5, **refused),
        said(0, (10, 20), "promote", "models/w0@1", created=True, request={"number": 1, "refs": ["models/w0@1"]}),
        said(1, (21, 30), "promote", "models/pick0@1", created=True, request={"number": 2, "refs": ["models/pick0@1"]}),
        said(0, (31, 40), "pr", "merge", "1", commit="c1", already=False),
        said(1, (41, 50), "pr", "merge", "2", commit="c2", already=False),
        said(1, (51, 55), "pr", "merge", "3", status=5, **lost),
    ]  # fmt: skip


def test_an_honest_history_is_believed() -> None:
    assert faults(honest(), ["c1", "c2"]) == []


def changed(at: int, **what: Any) -> list[Done]:
    history = honest()
    document = {**history[at].document, **what.pop("document", {})}
    history[at] = replace(history[at], document=document, **what)
    return history


@pytest.mark.parametrize(
    ("history", "chain", "word"),
    [
        (changed(0, status=9, document={"error": {"message": "busy"}}), ["c1", "c2"], "nobody was in its way"),
        (changed(2, document={"error": {"message": "taken"}}), ["c1", "c2"], "does not name"),
        (changed(7, document={"error": {"message": "conflict"}}), ["c1", "c2"], "does not name"),
        (
            changed(2, status=0, document={"ref": "models/hot@0.0.0", "digest": "c"}), ["c1", "c2"],
            "acknowledged to writers",
        ),
        (changed(1, status=5, document={"error": {"message": "models/hot@0.0.0 is taken"}}), ["c1", "c2"], "to nobody"),
        (changed(4, document={"request": {"number": 1, "refs": ["models/pick0@1"]}}), ["c1", "c2"], "request 1 is of"),
        (changed(3, document={"request": {"number": 3, "refs": ["models/w0@1"]}}), ["c1", "c2"], "number: "),
        (honest(), ["c1"], "is not on the stage"),
        (honest(), ["c1", "c3", "c2"], "nobody was told"),
        (honest(), ["c2", "c1"], "place on the stage: "),
        (changed(6, document={"commit": "c1"}), ["c1", "c2"], "the same merge"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_history_that_must_not_be(history: list[Done], chain: list[str], word: str) -> None:
    assert any(word in fault for fault in faults(history, chain)), faults(history, chain)
