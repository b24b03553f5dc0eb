"""The pre-receive hook of a bare repository: real pushes by real git, the hook run by git itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import git_http
from servers.running import NotInstalledError, running
from support.promoting import land, number, register, runs
from support.team import Member, Team, git

from gitml import api
from gitml.errors import AccessDenied, PolicyRefused, UsageError
from gitml.forge.local import LocalForge
from gitml.forge.shared import REQUESTS, Shared
from gitml.git import quarantine
from gitml.git.repository import Repository
from gitml.git.types import Identity
from gitml.model.request import EventKind, RequestEvent
from gitml.registry.setup.doctor import diagnose


@pytest.fixture
def guarded(team: Team) -> Team:
    """The founded team, whose remote has the hook; production runs models/digits 1 by request 2."""
    api.install(team.base, server=team.remote)
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    bob = team.clone("bob")
    land(bob, team.ada.registry.promote("models/digits", target="production"), bob)
    team.ada.git("fetch", "-q")
    return team


def push(member: Member, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        ["git", "push", "-q", "origin", *words], cwd=member.folder, capture_output=True, text=True
    )
    return done.returncode, done.stderr


def refs(team: Team) -> str:
    return git(team.base, "--git-dir", str(team.remote), "for-each-ref")


def event(member: Member, request: int, kind: EventKind, *, tip: str | None = None, **changes: str) -> str:
    """A commit with one more event of a request, as whoever may push can write it."""
    repo = Repository.discover(member.folder)
    shared = Shared(repo, "origin")
    shared.refresh()
    forge = LocalForge(shared, "main")
    found = forge.get(request)
    fields = {"base": found.base, "head": found.head, "target": found.target} | changes
    actor = Identity(name="Forged", email=fields.pop("email", "boss@example.com"))
    made = RequestEvent(
        number=request, kind=kind, refs=found.refs, actor=actor, time=found.updated, comment="", **fields
    )
    return forge._commit(made, tip or found.tip)


def merge_of(member: Member, base: str, head: str, *, extra: dict[str, bytes] | None = None) -> str:
    repo = Repository.discover(member.folder)
    merged = repo.merge_trees(base, head)
    tree = repo.write_tree(merged.oid, extra or {})  # type: ignore[union-attr]
    return repo.write_commit(tree, [base, head], "merge\n")


@pytest.mark.nightly
def test_the_whole_path_works(guarded: Team) -> None:
    ada, bob = guarded.ada, Member(guarded.base / "bob")
    assert runs(guarded, "production") == {"models/digits": "1"}
    register(ada, "models/digits", "two", inputs=["training=datasets/digits@1"])
    ada.registry.push()
    land(ada, ada.registry.promote("models/digits@2", target="staging"))
    land(bob, ada.registry.promote("models/digits@2", target="production"), bob)
    assert runs(guarded, "production") == {"models/digits": "2"}
    land(bob, ada.registry.rollback("models/digits", target="production"), bob)
    assert runs(guarded, "production") == {"models/digits": "1"}
    again = ada.registry.promote("models/digits@2", target="production")
    bob.registry.requests.reject(number(again), "no")
    bob.registry.requests.close(number(again))
    ada.registry.verify(history="production")
    ada.git("commit", "--allow-empty", "-qm", "x")
    assert push(ada, "HEAD:main", "HEAD:working/x", "HEAD:refs/tags/v1") == (0, "")


def direct_commit(ada: Member) -> list[str]:
    ada.git("switch", "-q", "-C", "mine", "origin/production")
    (ada.folder / "models/digits/production.yaml").write_text('current: "9"\n')
    ada.git("commit", "-qam", "by hand")
    return ["mine:production"]


def direct_merge(ada: Member) -> list[str]:
    new = merge_of(ada, ada.git("rev-parse", "origin/production"), ada.git("rev-parse", "main"))
    return [f"{new}:production"]


def deletion(ada: Member) -> list[str]:
    return [":production"]


def force(ada: Member) -> list[str]:
    return ["+origin/production~1:production"]


def replacement(ada: Member) -> list[str]:
    return ["+main:production"]


def birth_by_hand(ada: Member) -> list[str]:
    ada.git("push", "-q", "origin", "main:refs/heads/working/x")
    config = (ada.folder / "gitml.yaml").read_text()
    (ada.folder / "gitml.yaml").write_text(config.replace("stages:\n", "stages:\n  canary: {from: [main]}\n"))
    ada.git("commit", "-qam", "a third stage")
    ada.git("push", "-q", "origin", "main")
    return ["main:canary"]


def unapproved(ada: Member) -> list[str]:
    """The merge and its event are made by hand, and nobody approved."""
    ask = _ask(ada)
    base, head = ada.git("rev-parse", "origin/production"), _head(ada, ask)
    merged = event(ada, ask, EventKind.MERGED, base=base)
    return ["--atomic", f"{merge_of(ada, base, head)}:production", f"{merged}:{REQUESTS}{ask}"]


def own_approval(ada: Member) -> list[str]:
    ask = _ask(ada)
    base, head = ada.git("rev-parse", "origin/production"), _head(ada, ask)
    approved = event(ada, ask, EventKind.APPROVED, email="ada@example.com")
    merged = event(ada, ask, EventKind.MERGED, tip=approved, base=base)
    return ["--atomic", f"{merge_of(ada, base, head)}:production", f"{merged}:{REQUESTS}{ask}"]


def evil_merge(ada: Member) -> list[str]:
    """An approved request, and a merge commit that holds more than it."""
    ask = _approved(ada)
    base, head = ada.git("rev-parse", "origin/production"), _head(ada, ask)
    merged = event(ada, ask, EventKind.MERGED, base=base)
    new = merge_of(ada, base, head, extra={"models/digits/2/asset.yaml": b"mine\n"})
    return ["--atomic", f"{new}:production", f"{merged}:{REQUESTS}{ask}"]


def no_event(ada: Member) -> list[str]:
    ask = _approved(ada)
    return [f"{merge_of(ada, ada.git('rev-parse', 'origin/production'), _head(ada, ask))}:production"]


def event_of_another_stage(ada: Member) -> list[str]:
    ask = _approved(ada)
    base, head = ada.git("rev-parse", "origin/production"), _head(ada, ask)
    merged = event(ada, ask, EventKind.MERGED, base=base, target="staging")
    return ["--atomic", f"{merge_of(ada, base, head)}:production", f"{merged}:{REQUESTS}{ask}"]


def merged_without_a_merge(ada: Member) -> list[str]:
    ask = _approved(ada)
    return [f"{event(ada, ask, EventKind.MERGED)}:{REQUESTS}{ask}"]


def events_rewritten(ada: Member) -> list[str]:
    ask = _approved(ada)
    ada.git("fetch", "-q", "origin", f"{REQUESTS}{ask}")
    return [f"+FETCH_HEAD~1:{REQUESTS}{ask}"]


def request_deleted(ada: Member) -> list[str]:
    return [f":{REQUESTS}1"]


def event_after_the_end(ada: Member) -> list[str]:
    return [f"{event(ada, 1, EventKind.APPROVED)}:{REQUESTS}1"]


def no_event_at_all(ada: Member) -> list[str]:
    return [f"main:{REQUESTS}9"]


def odd_name(ada: Member) -> list[str]:
    return [f"main:{REQUESTS}one"]


def other_ref(ada: Member) -> list[str]:
    return ["main:refs/gitml/secrets"]


def default_branch_deleted(ada: Member) -> list[str]:
    git(
        ada.folder.parent,
        "--git-dir",
        str(ada.folder.parent / "remote.git"),
        "config",
        "receive.denyDeleteCurrent",
        "ignore",
    )
    return [":main"]


def default_branch_without_configuration(ada: Member) -> list[str]:
    ada.git("rm", "-q", "gitml.yaml")
    ada.git("commit", "-qm", "no registry")
    return ["HEAD:main"]


def version_rewritten(ada: Member) -> list[str]:
    path = ada.folder / "models/digits/1/asset.yaml"
    path.write_text(path.read_text().replace("name: digits", "name: digits\ndescription: better"))
    ada.git("commit", "-qam", "a small change")
    return ["HEAD:main"]


def stage_no_more(ada: Member) -> list[str]:
    """The default branch forgets the stage, and the stage is moved: its own tip still says what it is."""
    config = (ada.folder / "gitml.yaml").read_text()
    head, _, tail = config.partition("  production:")
    (ada.folder / "gitml.yaml").write_text(head + tail[tail.index("forge:") :])
    ada.git("commit", "-qam", "one stage is enough")
    ada.git("push", "-q", "origin", "main")
    return ["+main:production"]


ATTEMPTS: list[tuple[Callable[[Member], list[str]], str]] = [
    (direct_commit, "moves by one merged request"),
    (direct_merge, "moves by one merged request"),
    (deletion, "never deleted"),
    (force, "forced back"),
    (replacement, "forced back"),
    (birth_by_hand, "moves by one merged request"),
    (unapproved, "approvals"),
    (own_approval, "approvals"),
    (evil_merge, "holds more"),
    (no_event, "moves by one merged request"),
    (event_of_another_stage, "names the target staging"),
    (merged_without_a_merge, "would have no such merge"),
    (events_rewritten, "rewritten"),
    (request_deleted, "cannot be deleted"),
    (event_after_the_end, "comes after its end"),
    (no_event_at_all, "cannot be believed"),
    (odd_name, "is a number"),
    (other_ref, "nobody keeps anything there"),
    (default_branch_deleted, "never deleted"),
    (default_branch_without_configuration, "could not be read"),
    (version_rewritten, "write-once"),
    (stage_no_more, "forced back"),
]


def _ask(ada: Member) -> int:
    """Ada asks to take the model off production's neighbour: version 2, which staging runs."""
    register(ada, "models/digits", "two", inputs=["training=datasets/digits@1"])
    ada.registry.push()
    land(ada, ada.registry.promote("models/digits@2", target="staging"))
    return number(ada.registry.promote("models/digits@2", target="production"))


def _approved(ada: Member) -> int:
    ask = _ask(ada)
    Member(ada.folder.parent / "bob").registry.requests.approve(ask)
    return ask


def _head(ada: Member, ask: int) -> str:
    return ada.registry.requests.show(ask).head


def _attempt(guarded: Team, attempt: Callable[[Member], list[str]], word: str) -> None:
    words = attempt(guarded.ada)
    before = refs(guarded)
    code, said = push(guarded.ada, *words)
    assert code == 1, said
    assert word in said and "Traceback" not in said, said
    assert refs(guarded) == before


SAMPLED = {unapproved}


@pytest.mark.parametrize(
    ("attempt", "word"),
    [
        pytest.param(one, word, id=one.__name__, marks=() if one in SAMPLED else pytest.mark.nightly)
        for one, word in ATTEMPTS
    ],
)
def test_what_goes_around_the_requests_is_refused(
    guarded: Team, attempt: Callable[[Member], list[str]], word: str
) -> None:
    _attempt(guarded, attempt, word)


@pytest.mark.nightly
def test_without_the_hook_git_takes_it_all(guarded: Team) -> None:
    """So that the refusals above are the hook's doing."""
    api.install(guarded.base, server=guarded.remote, uninstall=True)
    assert push(guarded.ada, *evil_merge(guarded.ada))[0] == 0


def test_gitml_tells_what_the_hook_said(team: Team) -> None:
    hook = team.remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'gitml: the librarian sleeps' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PolicyRefused) as caught:
        team.ada.registry.promote("datasets/digits", target="staging")
    assert "the librarian sleeps" in str(caught.value)


def test_installing_on_a_server(team: Team, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        api.install(team.base, server=team.ada.folder)
    assert "nothing that can be seen" in _stages(team.ada)
    found = api.install(team.remote, server=team.remote)
    assert found.path == str(team.remote / "hooks/pre-receive")
    assert "by request only" in _stages(team.ada) and "nothing that can be seen" not in _stages(team.ada)
    api.install(team.remote, server=team.remote, uninstall=True)
    assert "nothing that can be seen" in _stages(team.ada)


def _stages(member: Member) -> str:
    return next(check.found for check in diagnose(member.folder).checks if check.name == "stages")


def test_an_empty_repository_takes_its_first_push(tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(remote))
    api.install(tmp_path, server=remote)
    team = Team(tmp_path / "team")
    team.ada.git("remote", "set-url", "origin", str(remote))
    assert push(team.ada, "main")[0] == 0
    assert push(team.ada, "main:staging")[0] == 1


def test_a_registry_in_a_folder_of_the_repository(tmp_path: Path) -> None:
    team = Team(tmp_path)
    ada = team.ada
    ada.git("switch", "-q", "--orphan", "fresh")
    api.init(ada.folder / "ml/registry", store=str(team.store))
    ada.git("push", "-q", "--force", "origin", "HEAD:main")
    api.install(team.base, server=team.remote)
    code, said = push(ada, "HEAD:production")
    assert code == 1 and "gitml: production: it cannot be judged" in said


def test_objects_elsewhere_are_not_believed(team: Team, tmp_path: Path) -> None:
    common = team.remote
    inside = common / "objects/incoming-1"
    inside.mkdir()
    found = dict(quarantine.variables(common, {"GIT_QUARANTINE_PATH": str(inside)}))
    assert found["GIT_OBJECT_DIRECTORY"] == str(inside)
    assert quarantine.variables(common, {"GIT_OBJECT_DIRECTORY": str(inside)}) == ()
    for wrong in (
        tmp_path,
        common / "objects",
        common / "objects/../hooks",
        common / "objects/absent",
        Path("/"),
    ):
        with pytest.raises(AccessDenied):
            quarantine.variables(common, {"GIT_QUARANTINE_PATH": str(wrong)})


@pytest.mark.nightly
def test_who_pushes_over_http_is_who_the_events_name(team: Team) -> None:
    """Where the web server's names are e-mail addresses, an approval proves more than the right to push."""
    try:
        server = running("git-http")
    except NotInstalledError as error:
        if os.environ.get("GITML_REQUIRE_SERVERS"):
            raise
        pytest.skip(str(error))
    passwords = server.folder / "passwords"
    kept = passwords.read_text()
    passwords.write_text(kept + "ada@example.com:{PLAIN}a\nbob@example.com:{PLAIN}b\n")
    try:
        name = git_http.add(server, team.remote)
        api.install(team.base, server=team.remote)
        bob = team.clone("bob")
        for member, user in ((team.ada, "ada%40example.com:a"), (bob, "bob%40example.com:b")):
            member.git("remote", "set-url", "origin", f"http://{user}@127.0.0.1:{server.port}/auth/{name}")
        ask = number(team.ada.registry.promote("models/digits", target="staging"))
        bob.registry.requests.approve(ask)
        forged = event(team.ada, ask, EventKind.APPROVED, email="carol@example.com")
        code, said = push(team.ada, f"{forged}:{REQUESTS}{ask}")
        assert code == 1 and "carol@example.com is said to have approved it" in said
        bob.registry.requests.merge(ask)
    finally:
        passwords.write_text(kept)
