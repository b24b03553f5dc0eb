"""`REPO//…`: other registries are read without a clone, and never from old memory unasked."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from pathlib import Path

import platformdirs
import pytest
from support.promoting import POLICY, founded, land, register
from support.team import Team, git, read, write

import gitml
from gitml.api import Registry
from gitml.errors import AccessDenied, GitMLError, InvalidInput, NotFound, StoreUnavailable, UsageError


@pytest.fixture
def team(tmp_path: Path) -> Team:
    """A registry with models/digits@1 on staging and @2 on main."""
    return founded(tmp_path / "theirs", POLICY, go_ahead)


def go_ahead(team: Team) -> None:
    git(team.remote, "config", "uploadpack.allowFilter", "true")
    land(team.ada, team.ada.registry.promote("models/digits", target="staging"))
    register(team.ada, "models/digits", "two")
    team.ada.registry.push()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in no repository, which is the current one."""
    folder = tmp_path / "machine"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def objects(kind: str) -> int:
    """How many objects of a kind all caches of other registries hold."""
    found = 0
    for cache in caches():
        listed = git(cache, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)").splitlines()
        found += listed.count(kind)
    return found


def caches() -> list[Path]:
    base = platformdirs.user_cache_path("gitml") / "registries"
    return [folder for folder in base.iterdir() if (folder / "HEAD").exists()]


def test_a_stage_is_read_without_a_clone(team: Team, machine: Path) -> None:
    place = gitml.get(f"{team.remote.as_uri()}//models/digits@staging", "model")
    assert str(place.ref) == "models/digits@1"
    assert read(machine / "model") == {"data.txt": b"one"}
    assert objects("commit") == 1, "only the tip of the branch that was asked for"
    assert objects("blob") < 6, "files of git are fetched when they are read"
    newest = gitml.get(f"{team.remote.as_uri()}//models/digits")
    assert newest.destination == machine / "models/digits/2"
    assert read(newest.destination) == {"data.txt": b"two"}


def test_every_reading_verb(team: Team, machine: Path) -> None:
    repo = team.remote.as_uri()
    assert [str(row.ref) for row in gitml.list(f"{repo}//").versions] == [
        "datasets/digits@1",
        "models/digits@2",
    ]
    assert [str(row.ref) for row in gitml.list(f"{repo}//models/digits").versions] == [
        "models/digits@2",
        "models/digits@1",
    ]
    shown = gitml.show(f"{repo}//models/digits@1", files=True, lineage=True)
    assert shown.stages == ("staging",)
    assert shown.files is not None
    assert shown.lineage is not None
    assert [str(one.ref) for one in shown.lineage.related] == ["datasets/digits@1"]
    assert gitml.open(f"{repo}//models/digits@1:data.txt").read() == b"one"
    found = gitml.diff(f"{repo}//models/digits@1", f"{repo}//models/digits@2")
    assert [change.path for change in found.changed] == ["data.txt"]
    assert [str(one.ref) for one in gitml.lineage(f"{repo}//models/digits@1").related] == [
        "datasets/digits@1"
    ]


def test_a_path_and_a_name_of_the_configuration(team: Team, tmp_path: Path) -> None:
    ours = Team(tmp_path / "ours", configuration=POLICY + f'registries: {{shared: "{team.remote}"}}\n')
    assert str(ours.ada.registry.show("shared//models/digits@staging").ref) == "models/digits@1"
    assert str(ours.ada.registry.show(f"{team.ada.folder}//models/digits").ref) == "models/digits@2"
    register(ours.ada, "models/digits", "ours")
    difference = ours.ada.registry.diff("models/digits", "shared//models/digits@staging")
    assert [change.path for change in difference.changed] == ["data.txt"]
    with pytest.raises(NotFound) as caught:
        ours.ada.registry.show("elsewhere//models/digits")
    assert caught.value.code == "registry-not-named"
    assert "shared" in caught.value.message


def test_a_server_that_cannot_filter(team: Team, machine: Path) -> None:
    git(team.remote, "config", "uploadpack.allowFilter", "false")
    assert read(gitml.get(f"{team.remote.as_uri()}//models/digits@staging", "x").destination)


def test_what_moved_is_seen_at_once(team: Team, machine: Path) -> None:
    ref = f"{team.remote.as_uri()}//models/digits@staging"
    assert str(gitml.show(ref).ref) == "models/digits@1"
    land(team.ada, team.ada.registry.promote("models/digits@2", target="staging"))
    assert str(gitml.show(ref).ref) == "models/digits@2"


def test_a_dead_remote_is_never_answered_from_memory(
    team: Team, machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from support.cli import run

    ref = f"{team.remote.as_uri()}//models/digits@staging"
    never = run("show", ref, "--cached")
    assert (never.exit_code, "not-cached" in run("--json", "show", ref, "--cached").stdout) == (4, True)
    gitml.get(ref, "model")
    gitml.show(ref)
    team.remote.rename(team.remote.with_suffix(".gone"))
    with pytest.raises(NotFound):
        gitml.show(ref)
    answered = run("show", ref, "--cached")
    assert answered.exit_code == 0
    assert "was not asked: as of 20" in answered.stderr
    assert gitml.get(ref, "again", cached=True).written == 1
    with pytest.raises(NotFound) as caught:
        gitml.show(f"{team.remote.as_uri()}//models/digits@2", cached=True)
    assert caught.value.code == "not-cached"


def test_an_unreachable_server_ends_with_seven(machine: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        gitml.show("http://127.0.0.1:9/team/registry.git//models/digits")
    assert caught.value.exit_code == 7
    assert "--cached" in str(caught.value.hint)


def test_cached_is_for_other_registries(team: Team) -> None:
    with pytest.raises(UsageError) as caught:
        team.ada.registry.show("models/digits", cached=True)
    assert caught.value.code == "cached-here"


def test_the_cache_is_this_users_and_can_go(team: Team, machine: Path) -> None:
    ref = f"{team.remote.as_uri()}//models/digits@staging"
    gitml.get(ref, "model")
    (cache,) = caches()
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    shutil.rmtree(platformdirs.user_cache_path("gitml"))
    assert gitml.get(ref, "model").kept == 1, "what was placed is remembered elsewhere"


def test_a_lock_that_a_dead_process_left_is_passed_by(team: Team, machine: Path) -> None:
    ref = f"{team.remote.as_uri()}//models/digits"
    gitml.show(f"{ref}@staging")
    (cache,) = caches()
    (cache / "shallow.lock").touch()
    os.utime(cache / "shallow.lock", (1, 1))
    assert str(gitml.show(f"{ref}@2").ref) == "models/digits@2"
    assert len(caches()) == 2


def test_a_registry_in_a_folder_of_a_code_repository(team: Team, machine: Path, tmp_path: Path) -> None:
    code = tmp_path / "code"
    git(tmp_path, "init", "--quiet", str(code))
    write(code, {"train.py": "", "ml/README.md": "x"})
    git(code, "add", ".")
    git(code, "commit", "--quiet", "-m", "Code")
    gitml.init(code / "ml", store=str(tmp_path / "bytes"))
    contents = write(tmp_path / "contents", {"a": "1"})
    Registry(code / "ml").register("models/inner", contents)
    assert str(gitml.show(f"{code}//models/inner").ref) == "models/inner@1"
    write(code, {"other/gitml.yaml": "x"})
    git(code, "add", ".")
    git(code, "commit", "--quiet", "-m", "Two")
    with pytest.raises(InvalidInput) as caught:
        gitml.show(f"{code}//models/inner")
    assert caught.value.code == "several-registries"


def test_a_store_that_moved_is_not_trusted(team: Team, machine: Path) -> None:
    ref = f"{team.remote.as_uri()}//models/digits"
    gitml.get(ref, "model")
    config = team.ada.folder / "gitml.yaml"
    text = re.sub(r"(stores:.*?url: )\S+", rf"\g<1>{team.base}/evil", config.read_text(), flags=re.DOTALL)
    config.write_text(text)
    team.ada.git("commit", "--quiet", "-am", "Move")
    team.ada.git("push", "--quiet")
    with pytest.raises(AccessDenied) as caught:
        gitml.get(ref, "model")
    assert caught.value.code == "store-not-trusted"
    store = f"{team.remote.as_uri()}//default"
    assert store in str(caught.value.hint)
    assert Registry(needed=False).stores.trust(store).location == str(team.base / "evil")
    with pytest.raises(StoreUnavailable) as empty:
        gitml.get(ref, "model")
    assert empty.value.code == "store-empty"


def test_a_relative_store_means_nothing_at_a_url(
    team: Team, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gitml.model.config import Config
    from gitml.registry.others.addresses import Address
    from gitml.registry.others.opening import OtherRegistry

    there = OtherRegistry(Address(url=team.remote.as_uri(), folder=None), machine)
    config: Config = there.config
    assert not Path(config.stores["default"].url).is_absolute()
    with pytest.raises(UsageError) as caught:
        there.stores(config).location("default")
    assert caught.value.code == "relative-store"
    monkeypatch.setenv("GITML_STORE_DEFAULT_URL", str(team.store))
    again = OtherRegistry(Address(url=team.remote.as_uri(), folder=None), machine)
    assert again.stores(config).location("default") == str(team.store)


@pytest.mark.parametrize(
    ("ref", "code"),
    [
        ("ext::sh -c touch% /tmp/x//models/x", None),
        ("ext::sh//models/x", "remote-url"),
        ("--upload-pack=touch//models/x", None),
        ("-oProxyCommand=x//models/x", None),
        ("http://git.example.com/x//models/x", "remote-url"),
        ("ftp://git.example.com/x//models/x", "remote-url"),
        ("ssh://-oProxyCommand=x/y//models/x", "remote-url"),
        ("git@-x:y//models/x", "remote-url"),
        ("file://elsewhere/x//models/x", "remote-url"),
        ("./nowhere//models/x", "remote-repository"),
        ("../../etc//models/x", "remote-repository"),
        ("nobody//models/x", "registry-not-named"),
        ("https://a%0ab/x//models/x", "remote-url"),
    ],
)
def test_hostile_addresses(machine: Path, ref: str, code: str | None) -> None:
    with pytest.raises(GitMLError) as caught:
        gitml.show(ref)
    assert caught.value.exit_code in (2, 3, 4)
    if code is not None:
        assert caught.value.code == code
    assert not Path("/tmp/x").exists()
    assert not list(machine.iterdir())


def test_credentials_are_stored_nowhere(team: Team, machine: Path) -> None:
    with pytest.raises(GitMLError) as caught:
        gitml.show("http://ada:hunter2@127.0.0.1:9/team/registry.git//models/digits")
    assert "hunter2" not in caught.value.message + json.dumps(caught.value.context)
    for base in (platformdirs.user_cache_path("gitml"), platformdirs.user_state_path("gitml")):
        for path in base.rglob("*"):
            assert not path.is_file() or b"hunter2" not in path.read_bytes()
