"""Writers in processes of their own, the history of what each asked and was told, and a judge of that history.

:func:`run` starts one process with everything imported, which forks a process for each writer, which forks one for
each command: what runs at once is what would run at once on the machines of a team. Every command is recorded with
the moments when it was invoked and when it ended, on the one clock of this machine.

:func:`faults` holds the history against what a registry promises: a version is written once, a number is given once,
the merges of a stage are one line, in an order that no two commands that ran one after the other contradict.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from support import killing
from support.team import write

STAGE = "staging"
PICKS = 3
"""Versions of the asset of each round that all writers quarrel about."""
_TIME_LIMIT_S = 1500


@dataclass(frozen=True, kw_only=True)
class Done:
    """One command.

    Attributes:
        status: Exit code; negative where it was killed.
        document: What it printed with `--json`; empty where it was killed.
    """

    writer: int
    words: Sequence[str]
    invoked_ns: int
    ended_ns: int
    status: int
    document: Mapping[str, Any] = field(default_factory=dict)
    stderr: str = ""

    @property
    def verb(self) -> str:
        return self.words[1] if self.words[0] == "pr" else self.words[0]

    @property
    def retries(self) -> int:
        pushed = self.document.get("pushed") or {}
        return int(self.document.get("retries", 0)) + int(pushed.get("retries", 0))

    @property
    def error(self) -> Mapping[str, Any]:
        return self.document.get("error") or {}

    def __str__(self) -> str:
        return (
            f"writer {self.writer}: {' '.join(self.words)} -> {self.status} {self.error.get('message', '')}"
        )


Ask = Callable[..., Done]


def work(writer: int, rounds: int, base: Path, ask: Ask, chance: random.Random) -> None:
    """What a writer does: versions of its own, one of an asset that all share, one that only one can have, promotions."""
    branch = f"working/w{writer}"
    place = ("--branch", branch, "--push", "--json")
    own = f"models/w{writer}"
    for number in range(rounds):
        sources = [write(base / "in" / f"{writer}-{number}-{kind}", {"a.txt": f"{kind} {writer} {number}\n" * 50})
                   for kind in ("own", "shared", "hot")]  # fmt: skip

        def publish(source: Path = sources[0], number: int = number) -> None:
            made = ask("register", own, str(source), *place)
            if made.status == 0:
                merge(ask("promote", f"{own}@{number + 1}", "-s", branch, "-t", STAGE, "--json"))

        def merge(asked: Done) -> None:
            if asked.status == 0 and asked.document["request"]:
                ask("pr", "merge", str(asked.document["request"]["number"]), "--json")

        steps: list[Callable[[], Any]] = [
            publish,
            lambda source=sources[1]: ask("register", "models/shared", str(source), *place),
            lambda source=sources[2], number=number: ask(
                "register", "models/hot", str(source), "--version", f"{number}.0.0", *place
            ),
            lambda number=number: merge(
                ask(
                    "promote",
                    f"models/pick{number}@{writer % PICKS + 1}",
                    "-s",
                    "main",
                    "-t",
                    STAGE,
                    "--json",
                )
            ),
        ]
        chance.shuffle(steps)
        for step in steps:
            step()


def run(
    base: Path,
    clones: Sequence[Path],
    environment: Mapping[str, str],
    *,
    writers: int,
    rounds: int,
    seed: str = "1",
    kills: float = 0.0,
) -> list[Done]:
    """Let writers work at once, and give the history, by the time of the end.

    Args:
        base: Folder for sources and records.
        clones: Where they work; writers share them.
        environment: What the commands see.
        writers: How many processes.
        rounds: How often each does all that it does.
        seed: Decides the order of each writer's steps, and who is killed.
        kills: Part of the commands that is killed; each is then run again.
    """
    import gitml

    roots = [str(Path(gitml.__file__).parents[1]), str(Path(__file__).parents[1])]
    question = {
        "base": str(base), "clones": [str(clone) for clone in clones], "writers": writers, "rounds": rounds,
        "seed": seed, "kills": kills,
    }  # fmt: skip
    base.mkdir(parents=True, exist_ok=True)
    code = "import sys; from support.crowd import _serve; _serve(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, json.dumps(question)],
        env={**environment, "PYTHONPATH": os.pathsep.join(roots)},
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return history(base)


def history(base: Path) -> list[Done]:
    """What the writers recorded, by the time of the end."""
    lines = [line for path in (base / "history").iterdir() for line in path.read_text().splitlines()]
    return sorted((Done(**json.loads(line)) for line in lines), key=lambda done: done.ended_ns)


def _serve(text: str) -> None:
    """The process that has everything imported: a fork for each writer."""
    import gitml.api
    import gitml.cli.render.promotion
    import gitml.cli.render.registry
    import gitml.cli.render.work
    import gitml.git.repository
    import gitml.model.schemas
    import gitml.store.store  # noqa: F401 - imported before the fork
    from gitml.cli.app import root  # noqa: F401 - imported before the fork

    killing.TIME_LIMIT_S = _TIME_LIMIT_S
    question = json.loads(text)
    base = Path(question["base"])
    (base / "history").mkdir()
    gate, opened = os.pipe()
    pids = []
    for writer in range(question["writers"]):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(opened)
                os.read(gate, 1)  # all start when the gate is closed
                chance = random.Random(f"{question['seed']}-{writer}")
                clone = Path(question["clones"][writer % len(question["clones"])])
                ask = _Asker(writer, base, clone, chance, question["kills"])
                work(writer, question["rounds"], base, ask, chance)
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        pids.append(pid)
    os.close(opened)
    failed = sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0 for pid in pids)
    sys.exit(1 if failed else 0)


class _Asker:
    """Runs the commands of one writer, each in a process of its own, and records them."""

    def __init__(self, writer: int, base: Path, clone: Path, chance: random.Random, kills: float) -> None:
        self._writer, self._base, self._clone = writer, base, clone
        self._chance, self._kills = chance, kills
        self._count = 0

    def __call__(self, *words: str) -> Done:
        kill_after_s = self._chance.uniform(0.05, 3) if self._chance.random() < self._kills else None
        done = self._once(words, kill_after_s)
        return done if done.status >= 0 else self._once(words, None)

    def _once(self, words: tuple[str, ...], kill_after_s: float | None) -> Done:
        self._count += 1
        stem = self._base / "history" / f"{self._writer}"
        files = [str(self._base / f"{self._writer}-{self._count}.{kind}") for kind in ("out", "err", "steps")]
        question = {
            "cwd": str(self._clone), "line": list(words), "env": {}, "files": files, "kill_at": None,
            "error_at": None, "powerless": False, "largest_file_bytes": None,
        }  # fmt: skip
        invoked = time.monotonic_ns()
        pid = os.fork()
        if pid == 0:
            killing._child(question)
        if kill_after_s is not None:
            _kill_after(pid, kill_after_s)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        ended = time.monotonic_ns()
        printed = Path(files[0]).read_text(errors="replace") if status >= 0 else ""
        done = Done(
            writer=self._writer,
            words=words,
            invoked_ns=invoked,
            ended_ns=ended,
            status=status,
            document=json.loads(printed) if printed else {},
            stderr=Path(files[1]).read_text(errors="replace") if Path(files[1]).exists() else "",
        )
        with stem.open("a") as stream:
            stream.write(json.dumps(asdict(done)) + "\n")
        return done


def _kill_after(pid: int, seconds: float) -> None:
    """Kill a command and what it started, unless it ends before."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.01)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # it did not get as far as a group of its own
        os.kill(pid, signal.SIGKILL)


def faults(history: Sequence[Done], chain: Sequence[str]) -> list[str]:
    """What the history says against the registry; nothing where all is well.

    Args:
        history: All commands.
        chain: Merges of the stage, oldest first, read with plain git.
    """
    return [
        *_outcomes(history),
        *_versions(history),
        *_numbers(history),
        *_merges(history, chain),
    ]


def _outcomes(history: Sequence[Done]) -> Iterator[str]:
    """Only who collided with somebody is refused, and is told with whom."""
    for done in history:
        if done.status <= 0:
            continue
        said = str(done.error.get("message", ""))
        asset = next((word for word in done.words if word.startswith("models/")), "")
        collided = asset.startswith(("models/hot", "models/pick")) or done.verb == "merge"
        named = f"models/hot@{done.words[4]}" if done.verb == "register" else "models/pick"
        if done.status != 5 or not collided:
            yield f"failed though nobody was in its way: {done}"
        elif named not in said:
            yield f"does not name what is there: {done}"


def _versions(history: Sequence[Done]) -> Iterator[str]:
    """A version has one content, and one winner where several wrote it; a number is given to one of them."""
    digests: dict[str, set[str]] = defaultdict(set)
    writers: dict[str, set[int]] = defaultdict(set)
    for done in history:
        if done.verb == "register" and done.status == 0:
            digests[done.document["ref"]].add(done.document["digest"])
            writers[done.document["ref"]].add(done.writer)
    for ref, found in digests.items():
        if len(found) > 1 or len(writers[ref]) > 1:
            yield f"{ref} was acknowledged to writers {sorted(writers[ref])} with {len(found)} contents"
    wanted = {
        f"models/hot@{d.words[4]}" for d in history if d.verb == "register" and d.words[1] == "models/hot"
    }
    yield from (f"{ref} went to nobody" for ref in sorted(wanted - digests.keys()))


def _numbers(history: Sequence[Done]) -> Iterator[str]:
    """A request has one number, numbers grow, and what was asked for later has a higher one."""
    asked = [
        done for done in history if done.verb == "promote" and done.status == 0 and done.document["request"]
    ]
    refs: dict[int, set[str]] = defaultdict(set)
    for done in asked:
        refs[done.document["request"]["number"]].add(" ".join(done.document["request"]["refs"]))
    yield from (f"request {number} is of {sorted(found)}" for number, found in refs.items() if len(found) > 1)
    made = [done for done in asked if done.document["created"]]
    yield from _against_time(made, [done.document["request"]["number"] for done in made], "number")


def _merges(history: Sequence[Done], chain: Sequence[str]) -> Iterator[str]:
    """Every acknowledged merge is on the stage once, none is there that nobody made, and the order is that of time."""
    merges = [done for done in history if done.verb == "merge" and done.status == 0]
    places = {commit: place for place, commit in enumerate(chain)}
    if len(places) != len(chain):
        yield "a merge is on the stage twice"
    lost = [done for done in merges if done.document["commit"] and done.document["commit"] not in places]
    yield from (f"an acknowledged merge is not on the stage: {done}" for done in lost)
    own = [done for done in merges if not done.document["already"] and done not in lost]
    made: dict[str, Done] = {}
    for done in sorted(own, key=lambda one: one.ended_ns):
        # One person's merge of one request within a second is one commit, whoever of two commands made it.
        first = made.setdefault(done.document["commit"], done)
        if first.ended_ns < done.invoked_ns:
            yield f"two commands made the same merge, one after the other: {first}, {done}"
    known = {done.document["commit"] for done in merges}
    yield from (f"nobody was told of merge {commit}" for commit in chain if commit not in known)
    yield from _against_time(own, [places[done.document["commit"]] for done in own], "place on the stage")


def _against_time(done: Sequence[Done], order: Sequence[int], what: str) -> Iterator[str]:
    """Commands that ended before others began, and come after them all the same."""
    pairs = sorted(zip(order, done, strict=True), key=lambda pair: pair[0])
    earliest_end: tuple[int, Done] | None = None
    for _, one in reversed(pairs):
        if earliest_end is not None and earliest_end[0] < one.invoked_ns:
            yield f"{what}: {one} began after the end of {earliest_end[1]}, and comes before it"
        if earliest_end is None or one.ended_ns < earliest_end[0]:
            earliest_end = (one.ended_ns, one)


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that is not below so large a part of them."""
    return sorted(values)[max(0, math.ceil(len(values) * part) - 1)]
