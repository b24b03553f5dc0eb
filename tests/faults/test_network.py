"""The program against real servers behind a network that is bad in ten ways, in three phases of a request.

What passes again must not be noticed (exit 0); what does not pass ends in time with exit 7 or 8, and the same command
again, with the network restored, reaches the goal.
"""

from __future__ import annotations

import functools
import itertools
import os
import random
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.cli import InFolder, Ran
from support.proxy import FOREVER, Harm, Proxy, Rule
from support.remote import SCHEMES, Place, place
from support.team import Team, git, read, write
from support.toxics import BadNetwork, Phase, Toxic

from gitml.api import Registry
from gitml.cli.app import root
from gitml.registry import settings
from gitml.store.media.remote_options import RemoteOptions

SEED = os.environ.get("GITML_TEST_SEED", "1")
STALL_S = 1.0
SAMPLE = 24
FOR_EVER = (Toxic.RESET, Toxic.BLACK_HOLE, Toxic.CUT_REPLY, Toxic.DOWN, Toxic.HALF_OPEN)
CONTENTS = {"a.txt": b"alpha\n" * 50, "b/weights.bin": random.Random(5).randbytes(300_000)}


@dataclass
class Site:
    """A registry with its bytes on a server, and what was done with it so far."""

    place: Place
    team: Team
    base: Path
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def gitml(self) -> InFolder:
        return InFolder(self.team.ada.folder)

    def fresh(self) -> tuple[str, dict[str, bytes], Path]:
        """Contents that nobody has registered: their name, the bytes, and the folder they lie in."""
        name = f"n{secrets.token_hex(6)}"
        contents = {**CONTENTS, "own.bin": secrets.token_bytes(120_000)}
        return name, contents, write(self.base / name, contents)

    def check(self, name: str, contents: dict[str, bytes]) -> None:
        """The version is on the server, and a clone that has only git and the server can read it."""
        place = self.base / f"read-{secrets.token_hex(4)}"
        Registry(self.team.ada.folder).get(f"datasets/{name}@1", place)
        assert read(place) == contents


Act = Callable[[Site, str], Ran]


def register(site: Site, name: str) -> Ran:
    return site.gitml("register", f"datasets/{name}", str(site.base / name))


def push(site: Site, name: str) -> Ran:
    return site.gitml("push")


def get(site: Site, name: str) -> Ran:
    return site.gitml("get", "datasets/standing@1", "-o", str(site.base / f"got-{name}"))


def verify(site: Site, name: str) -> Ran:
    return site.gitml("verify", "datasets/standing@1", "--deep")


def gc(site: Site, name: str) -> Ran:
    return site.gitml("store", "gc", "--yes")


def verify_all(site: Site, name: str) -> Ran:
    return site.gitml("verify", "--all")


ACTS: dict[str, Act] = {
    "register": register, "push": push, "get": get, "verify": verify, "gc": gc, "verify-all": verify_all,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    server: str
    verb: str
    toxic: Toxic
    phase: Phase
    for_ever: bool
    draw: int

    def __str__(self) -> str:
        kind = "for-ever" if self.for_ever else "once"
        return f"{self.server}-{self.verb}-{self.toxic.name}-{self.phase.name}-{kind}-{self.draw}"


def every_case() -> Iterator[Case]:
    for server, verb, toxic, phase in itertools.product(SCHEMES, ACTS, Toxic, Phase):
        for draw in range(2):
            yield Case(server, verb, toxic, phase, False, draw)
        if toxic in FOR_EVER:
            yield Case(server, verb, toxic, phase, True, 0)


def sampled() -> list[Case]:
    """Some of all, so that each toxic and each server comes up equally often."""
    chance = random.Random(f"network-{SEED}")
    found, every = [], list(every_case())
    for number, toxic in zip(range(SAMPLE), itertools.cycle(Toxic), strict=False):
        server = list(SCHEMES)[number % len(SCHEMES)]
        found.append(chance.choice([one for one in every if one.toxic is toxic and one.server == server]))
    return sorted(set(found), key=str)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Site]:
    return {}


@pytest.fixture
def site(
    request: pytest.FixtureRequest,
    sites: dict[str, Site],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    """The site on the server of the case; with a short patience, as tests need it."""
    server = request.node.callspec.params["case"].server
    there = place(server, monkeypatch)
    monkeypatch.setattr(settings, "RemoteOptions", functools.partial(RemoteOptions, stall_s=STALL_S))
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
    if server not in sites:
        base = tmp_path_factory.mktemp(server)
        team = Team(base / "team", store=False)
        monkeypatch.setenv("GITML_STORE_DEFAULT_URL", there.url)
        team.ada.registry.register("datasets/standing", write(base / "standing", CONTENTS))
        team.ada.registry.push()
        sites[server] = Site(there, team, base)
    monkeypatch.setenv("GITML_STORE_DEFAULT_URL", sites[server].place.url)
    return sites[server]


def requests_of(site: Site, verb: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many requests the command makes when all is well: the fewer of two runs, since one may have had to ask again."""
    if verb not in site.counts:
        site.counts[verb] = min(requests_now(site, verb, monkeypatch) for _ in range(2))
    return site.counts[verb]


def requests_now(site: Site, verb: str, monkeypatch: pytest.MonkeyPatch) -> int:
    name = prepared(site, verb)[0]
    with Proxy(site.place.port) as proxy:
        ran = through(site, proxy, monkeypatch, verb, name)
        assert ran.exit_code == 0, ran
        return len(proxy.log)


def prepared(site: Site, verb: str) -> tuple[str, dict[str, bytes]]:
    """What the command is about to need."""
    name, contents, folder = site.fresh()
    if verb == "push":
        site.team.ada.registry.register(f"datasets/{name}", folder, offline=True)
    return name, contents


def through(site: Site, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, verb: str, name: str) -> Ran:
    with monkeypatch.context() as patch:
        patch.setenv(
            "XDG_CACHE_HOME", str(site.base / f"cache-{secrets.token_hex(4)}")
        )  # nothing is here already
        patch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", site.place.at(proxy.port).endpoint_url)
        return ACTS[verb](site, name)


def judge(site: Site, verb: str, name: str, contents: dict[str, bytes]) -> None:
    """The goal of the command."""
    if verb in ("register", "push"):
        site.check(name, contents)
        assert git(site.team.ada.folder, "status", "--porcelain", "--", "datasets") == ""
    if verb == "get":
        assert read(site.base / f"got-{name}") == CONTENTS
    site.check("standing", CONTENTS)


def tried(site: Site, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    count = requests_of(site, case.verb, monkeypatch)
    name, contents = prepared(site, case.verb)
    monkeypatch.setenv("GITML_TIMEOUT_S", "3" if case.for_ever else "30")
    request = random.Random(f"{case}-{SEED}").randint(1, count)
    with BadNetwork(
        site.place.port, case.toxic, case.phase, request=request, for_ever=case.for_ever
    ) as network:
        ran = through(site, network, monkeypatch, case.verb, name)
        assert network.struck or case.verb == "push", (
            f"request {request} of {count} never came: {network.log}"
        )
    if not case.for_ever:
        assert ran.exit_code == 0, ran
    elif ran.exit_code:
        assert ran.exit_code in (7, 8), ran
        assert ran.stderr.strip() and "Traceback" not in ran.stderr
        again = ACTS[case.verb](site, name)
        assert again.exit_code == 0, (ran, again)
    judge(site, case.verb, name, contents)


@pytest.mark.parametrize("case", sampled(), ids=str)
def test_sampled_networks(case: Case, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    tried(site, case, monkeypatch)


@pytest.mark.nightly
@pytest.mark.parametrize("case", list(every_case()), ids=str)
def test_every_network(case: Case, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    tried(site, case, monkeypatch)


PACK_BYTES = 33 << 20
JOBS = 2


def cut(site: Site, size_mib: int, outage_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register a large file while the network is gone for a while: at most a pack for each worker goes twice."""
    name = f"big{secrets.token_hex(4)}"
    folder = site.base / name
    folder.mkdir()
    with (folder / "big.bin").open("wb") as stream:
        for _ in range(size_mib):
            stream.write(os.urandom(1 << 20))
    monkeypatch.setenv("GITML_JOBS", str(JOBS))
    stored = size_mib << 20
    with Proxy(site.place.port) as network:
        ended = threading.Event()
        cut_at: list[int] = []

        def sever() -> None:
            while network.sent_bytes < stored // 3 and not ended.wait(0.005):
                pass
            cut_at.append(network.sent_bytes)
            network.sever()
            ended.wait(outage_s)
            network.heal()

        outage = threading.Thread(target=sever)
        outage.start()
        try:
            ran = through(site, network, monkeypatch, "register", name)
        finally:
            ended.set()
            outage.join()
        assert ran.exit_code == 0, ran
        assert cut_at[0] < stored // 2 < network.sent_bytes
        assert network.sent_bytes < stored + JOBS * PACK_BYTES
    (folder / "big.bin").unlink()


@pytest.fixture
def large(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An empty site on the server that the test names."""
    there = place(request.param, monkeypatch)
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
    monkeypatch.setenv("GITML_STORE_DEFAULT_URL", there.url)
    return Site(there, Team(tmp_path / "team", store=False), tmp_path)


@pytest.mark.parametrize("large", ["moto"], indirect=True)
def test_a_command_that_waits_says_so_and_ends(large: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a patience that is shorter than what counts as a stall."""
    large.gitml.ok("register", "datasets/a", str(write(large.base / "a", CONTENTS)))
    monkeypatch.setenv("GITML_TIMEOUT_S", "2")
    with Proxy(large.place.port, Rule(Harm.BLACK_HOLE, strikes=FOREVER)) as network:
        monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", large.place.at(network.port).endpoint_url)
        words = ["-C", str(large.team.ada.folder), "get", "datasets/a@1", "-o", str(large.base / "out")]
        ran = CliRunner().invoke(root, words)
    assert ran.exit_code == 7, ran.stderr
    lines = ran.stderr.splitlines()
    assert re.fullmatch(r"gitml: get: \d+ s so far", lines[0]), lines
    assert lines[-2].startswith("gitml: GetObject roots/") and lines[-1] == "Try: run the command again"


@pytest.mark.parametrize("large", ["moto"], indirect=True)
def test_a_cut_network_costs_a_pack_for_each_worker(large: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    cut(large, 160, 1, monkeypatch)


@pytest.mark.nightly
@pytest.mark.parametrize("large", SCHEMES, indirect=True)
def test_a_network_cut_for_30_s_costs_a_pack_for_each_worker(
    large: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(large, 1024, 30, monkeypatch)
