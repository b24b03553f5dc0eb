"""Git's own server behind a network that is bad in ten ways, in three phases of a request.

Git makes no call again, so a command may end with exit 7 or 8, in time and in its usual words; the same command again,
with the network restored, reaches the goal, and nothing was done twice.
"""

from __future__ import annotations

import itertools
import os
import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from servers import git_http
from servers.running import NotInstalledError, running
from support.cli import InFolder, Ran
from support.proxy import Proxy
from support.team import Member, Team, git, write
from support.toxics import BadNetwork, Phase, Toxic

from gitml.git import command

SEED = os.environ.get("GITML_TEST_SEED", "1")
SAMPLE = 4
STALL_S = "2"
"""In the bad network; git waits for a minute, which is too long for tests."""
FOR_EVER = (Toxic.RESET, Toxic.BLACK_HOLE, Toxic.CUT_REPLY, Toxic.DOWN, Toxic.HALF_OPEN)

ENDS = {7, 8}
OF_AN_ANSWER = {4, 9}
"""To git, an answer that is cut in its head is that of a place without refs, or of none that knows git."""


@dataclass(frozen=True)
class Site:
    """A team whose remote is behind HTTP."""

    team: Team
    port: int
    path: str

    def through(self, member: Member, port: int) -> InFolder:
        git(member.folder, "remote", "set-url", "origin", f"http://127.0.0.1:{port}/open/{self.path}")
        return InFolder(member.folder)

    @property
    def grace(self) -> Member:
        return Member(self.team.base / "grace")

    def made(self, *, offline: bool = False) -> str:
        """A new version of a new model in ada's clone, not pushed."""
        name = f"n{secrets.token_hex(5)}"
        contents = write(self.team.base / name, {"a": name})
        InFolder(self.team.ada.folder).ok("register", f"models/{name}", str(contents))
        return name

    def pushed(self) -> str:
        name = self.made()
        self.through(self.team.ada, self.port).ok("push")
        return name


@dataclass(frozen=True)
class Verb:
    """A command: what it needs, what is typed, and what holds when it has reached its goal."""

    prepare: Callable[[Site], str]
    line: Callable[[str], tuple[str, ...]]
    goal: Callable[[Site, str], None]
    who: str = "ada"


def on_remote(site: Site, name: str) -> None:
    assert git(site.team.remote, "ls-tree", "--name-only", "main", f"models/{name}/") == f"models/{name}/1"


def registered_once(site: Site, name: str) -> None:
    on_remote(site, name)
    assert git(site.team.ada.folder, "rev-parse", "main") == git(site.team.remote, "rev-parse", "main")


def fresh(site: Site) -> str:
    name = f"n{secrets.token_hex(5)}"
    write(site.team.base / name, {"a": name})
    return name


def pulled(site: Site, name: str) -> None:
    assert git(site.grace.folder, "rev-parse", "main") == git(site.team.remote, "rev-parse", "main")
    assert (site.grace.folder / f"models/{name}/1/a").read_text() == name


def requested_once(site: Site, name: str) -> None:
    found = site.through(site.team.ada, site.port).ok("pr", "list", "--json").document["requests"]
    assert sum(f"models/{name}@1" in one["refs"] for one in found) == 1, found


def nothing(site: Site, name: str) -> None:
    """Nothing but what always holds."""


VERBS = {
    "push": Verb(Site.made, lambda name: ("push",), on_remote),
    "pull": Verb(Site.pushed, lambda name: ("pull", f"models/{name}"), pulled, who="grace"),
    "promote": Verb(
        Site.pushed, lambda name: ("promote", f"models/{name}@1", "-t", "staging"), requested_once
    ),
    "pr-list": Verb(Site.pushed, lambda name: ("pr", "list"), nothing),
    "status": Verb(Site.made, lambda name: ("status", "--remote"), nothing),
    "register-push": Verb(
        fresh, lambda name: ("register", f"models/{name}", f"../{name}", "--push"), registered_once
    ),
}


@dataclass(frozen=True)
class Case:
    verb: str
    toxic: Toxic
    phase: Phase
    for_ever: bool

    def __str__(self) -> str:
        return f"{self.verb}-{self.toxic.name}-{self.phase.name}-{'for-ever' if self.for_ever else 'once'}"


def every_case() -> Iterator[Case]:
    for verb, toxic, phase in itertools.product(VERBS, Toxic, Phase):
        yield Case(verb, toxic, phase, False)
        if toxic in FOR_EVER:
            yield Case(verb, toxic, phase, True)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("git-network")


_sites: dict[Path, Site] = {}


@pytest.fixture
def site(base: Path, environment: dict[str, str]) -> Site:
    """The module's site."""
    try:
        server = running("git-http")
    except NotInstalledError as error:
        if os.environ.get("GITML_REQUIRE_SERVERS"):
            raise
        pytest.skip(f"git-http is not installed: {error}")
    if base not in _sites:
        team = Team(base / "team")
        _sites[base] = Site(team, server.port, git_http.add(server, team.remote))
        team.clone("grace")
    return _sites[base]


def tried(site: Site, case: Case) -> None:
    verb = VERBS[case.verb]
    name = verb.prepare(site)
    member = site.team.ada if verb.who == "ada" else site.grace

    def run(port: int, named: str) -> Ran:
        return site.through(member, port)(*verb.line(named))

    with Proxy(site.port) as proxy:
        probe = verb.prepare(site)
        assert run(proxy.port, probe).exit_code == 0
        count = len(proxy.log)
    if case.verb in ("push", "pull"):
        name = verb.prepare(site)  # what is to be moved was moved by the probe
    request = random.Random(f"{case}-{SEED}").randint(1, count)
    with BadNetwork(site.port, case.toxic, case.phase, request=request, for_ever=case.for_ever) as network:
        with pytest.MonkeyPatch.context() as patch:
            settings = {**dict(command._SETTINGS), "http.lowSpeedTime": STALL_S}
            patch.setattr(command, "_SETTINGS", tuple(settings.items()))
            ran = run(network.port, name)
        assert network.struck, f"request {request} of {count} never came: {network.log}"
    if ran.exit_code:
        assert ran.exit_code in ENDS | (OF_AN_ANSWER if case.toxic is Toxic.CUT_REPLY else set()), ran
        lines = ran.stderr.strip().splitlines()
        assert "Traceback" not in ran.stderr and lines[-1].startswith("Try: "), ran
        again = run(site.port, name)
        assert again.exit_code == 0, (ran, again)
    verb.goal(site, name)
    for folder in (site.team.remote, site.team.ada.folder, site.grace.folder):
        git(folder, "fsck", "--strict", "--full", "--no-dangling", "--no-progress")


def sampled() -> list[Case]:
    return random.Random(f"git-network-{SEED}").sample(list(every_case()), SAMPLE)


@pytest.mark.parametrize("case", sampled(), ids=str)
def test_sampled_networks(case: Case, site: Site) -> None:
    tried(site, case)


@pytest.mark.nightly
@pytest.mark.parametrize("case", list(every_case()), ids=str)
def test_every_network(case: Case, site: Site) -> None:
    tried(site, case)
