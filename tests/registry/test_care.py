"""Letting versions go and collecting garbage, in a team's registry."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.team import Member, Team, read, write

from gitml.errors import NotFound, PolicyRefused, UsageError
from gitml.store.care.garbage import DAY_S
from gitml.store.media import layout
from gitml.store.media.folder import FolderMedium


def objects(store: Path) -> set[str]:
    kept = (layout.PACKS, layout.SEGMENTS, layout.MANIFESTS)
    return {name for name, _ in FolderMedium(store).list("") if name.startswith(kept)}


def weeks_pass(store: Path, days: int = 15) -> None:
    """As if the runs until now had been so many days ago."""
    for run in (store / "gc" / "condemned").iterdir():
        stamp, _, rest = run.name.partition("-")
        then = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp() - days * DAY_S
        run.rename(run.with_name(f"{datetime.fromtimestamp(then, UTC):%Y%m%dT%H%M%SZ}-{rest}"))


def two_versions(member: Member) -> None:
    out = write(member.folder.parent / "out", {"shared": b"s" * 70_000, "weights": bytes(range(256)) * 500})
    member.registry.register("models/digits", out)
    (out / "weights").write_bytes(bytes(reversed(range(256))) * 600)
    member.registry.register("models/digits", out)


def drop_from_branches(member: Member, version: str) -> None:
    member.git("rm", "-rq", f"models/digits/{version}")
    member.git("commit", "--quiet", "-m", "Drop it")


@pytest.fixture
def ada(team: Team) -> Member:
    two_versions(team.ada)
    return team.ada


def test_forget_refuses_while_a_branch_names_it(team: Team, ada: Member) -> None:
    ada.git("push", "--quiet", "origin", "main")
    ada.git("branch", "other")
    drop_from_branches(ada, "1")
    with pytest.raises(PolicyRefused) as refused:
        ada.registry.stores.forget("models/digits@1")
    assert refused.value.context["branches"] == ["other", "origin/main"]
    assert refused.value.exit_code == 12
    ada.git("branch", "-D", "other")
    ada.git("push", "--quiet", "origin", "main")
    before = objects(team.store)
    usage = {str(row.ref): row.unique_bytes for row in ada.registry.stores.du().versions}

    planned = ada.registry.stores.forget("models/digits@1", dry_run=True)
    assert (team.store / "roots").exists()
    done = ada.registry.stores.forget("models/digits@1")
    assert planned.unique_bytes == done.unique_bytes == usage["models/digits@1"] > 0
    assert (str(done.ref), done.store, done.size_bytes) == ("models/digits@1", "default", 70_000 + 128_000)
    assert objects(team.store) == before, "it never touches objects"
    with pytest.raises(NotFound):
        ada.registry.stores.forget("models/digits@1")
    assert ada.registry.verify().versions == 1


def test_forget_refuses_what_a_detached_head_names(ada: Member) -> None:
    ada.git("checkout", "--quiet", "--detach")
    drop_from_branches(ada, "1")
    ada.git("branch", "--force", "main", "HEAD")
    ada.git("checkout", "--quiet", "--detach", "HEAD~1")
    with pytest.raises(PolicyRefused) as refused:
        ada.registry.stores.forget("models/digits@1")
    assert refused.value.context["branches"] == ["HEAD"]


@pytest.mark.parametrize(
    "ref",
    [
        "digits@1",
        "models/digits",
        "models/digits@latest",
        "models/digits@1:weights",
        "models/digits@sha256:" + "0" * 64,
    ],
)
def test_forget_wants_one_version_in_full(ada: Member, ref: str) -> None:
    with pytest.raises(UsageError):
        ada.registry.stores.forget(ref)


def test_a_version_whose_root_is_damaged_can_be_forgotten(team: Team, ada: Member) -> None:
    drop_from_branches(ada, "1")
    (root,) = team.store.glob("roots/*/models/digits/1")
    root.write_bytes(b"{}")
    done = ada.registry.stores.forget("models/digits@1")
    assert (done.digest, done.unique_bytes) == (None, None)
    assert not root.exists()


def test_forget_then_gc_frees_what_was_promised(team: Team, ada: Member) -> None:
    stores = ada.registry.stores
    drop_from_branches(ada, "1")
    promised = stores.forget("models/digits@1").unique_bytes
    found = stores.gc()
    assert found.deleted == () and found.condemned != ()
    assert {one.reason for one in found.condemned} == {"no root reaches it"}
    assert stores.gc().waiting != ()
    weeks_pass(team.store)
    before = objects(team.store)
    planned = stores.gc(dry_run=True)
    assert objects(team.store) == before
    done = stores.gc()
    assert done.deleted == planned.deleted
    assert {one.object for one in done.deleted} == before - objects(team.store)
    assert done.deleted_bytes > 0 and promised is not None
    assert all(
        abs(one.condemned.timestamp() - (time.time() - 15 * DAY_S)) < 600
        for one in done.deleted
        if one.condemned
    )
    assert ada.registry.verify(deep=True).versions == 1
    assert stores.gc().deleted == ()


def test_gc_lists_versions_that_no_branch_names_and_keeps_them(team: Team, ada: Member) -> None:
    drop_from_branches(ada, "1")
    ada.git("push", "--quiet", "origin", "main")
    for _ in range(2):
        found = ada.registry.stores.gc()
        assert [str(one.ref) for one in found.unnamed] == ["models/digits@1"]
        assert found.condemned == found.deleted == ()
    ada.git("branch", "keeps-it", "HEAD~1")
    assert ada.registry.stores.gc().unnamed == ()


def test_the_embedded_store_is_cared_for_too(alone: Member) -> None:
    two_versions(alone)
    drop_from_branches(alone, "2")
    stores = alone.registry.stores
    assert stores.forget("models/digits@2").store == "embedded"
    assert len(stores.gc("embedded").condemned) == 2
    assert alone.registry.verify(deep=True).versions == 1


def test_what_was_pushed_need_not_stay_in_the_embedded_store(team: Team) -> None:
    ada = team.ada
    out = write(ada.folder.parent / "out", {"weights": bytes(range(256)) * 500})
    ada.registry.register("models/digits", out, offline=True)
    with pytest.raises(PolicyRefused) as refused:
        ada.registry.stores.forget("models/digits@1", store="embedded")
    assert "gitml push" in (refused.value.hint or "")
    ada.registry.push()
    here = ada.folder / ".git/gitml"
    assert len(list((here / "sent").iterdir())) == 1
    ada.registry.stores.forget("models/digits@1", store="embedded", dry_run=True)
    ada.registry.stores.forget("models/digits@1", store="embedded")
    assert list((here / "sent").iterdir()) == [], "what is here no longer is never sent again"
    ada.registry.stores.gc("embedded")
    weeks_pass(here / "store")
    assert ada.registry.stores.gc("embedded").deleted
    assert objects(here / "store") == set()
    assert ada.registry.verify(deep=True).versions == 1
    assert ada.registry.status().embedded == ()
    with pytest.raises(PolicyRefused):
        ada.registry.stores.forget("models/digits@1")


def collected_for_good(team: Team, member: Member) -> int:
    """Two collections, with the grace between them; how much went."""
    if member.registry.stores.gc().condemned:
        weeks_pass(team.store)
    return len(member.registry.stores.gc().deleted)


def test_branches_may_go_and_what_a_stage_runs_stays(team: Team) -> None:
    """The branch of a promotion is deleted, here and on the remote, and everything is collected that can be."""
    member, registry = team.ada, team.ada.registry
    contents = {"weights": bytes(range(256)) * 500}
    registry.register("models/digits", write(team.base / "out", contents), branch="working/x")
    registry.register("models/digits", write(team.base / "out", {"weights": b"2"}), branch="working/x")
    member.git("push", "--quiet", "origin", "working/x")
    registry.promote("models/digits@1", target="staging", source="working/x")
    assert collected_for_good(team, member) == 0
    registry.requests.merge(1)
    member.git("push", "--quiet", "origin", "--delete", "working/x")
    member.git("branch", "--quiet", "-D", "working/x")
    assert collected_for_good(team, member) == 0
    fresh = team.clone("fresh").registry
    fresh.get("models/digits@staging", team.base / "got")
    assert read(team.base / "got") == contents
    assert len(list(team.store.glob("roots/*/models/digits/*"))) == 2, "only `forget` lets a version go"


def test_a_clone_that_was_offline_for_longer_than_the_grace(team: Team, ada: Member) -> None:
    """It had registered what the store had then, and pushes when that is collected: the bytes go up again."""
    ada.git("push", "--quiet", "origin", "main")
    grace = team.clone("grace")
    contents = {"shared": b"s" * 70_000, "weights": bytes(range(256)) * 500}
    grace.registry.register("models/copy", write(team.base / "copy", contents), offline=True)
    drop_from_branches(ada, "1")
    drop_from_branches(ada, "2")
    ada.git("push", "--quiet", "origin", "main")
    for version in (1, 2):
        ada.registry.stores.forget(f"models/digits@{version}")
    assert collected_for_good(team, ada) > 0
    assert not [name for name in objects(team.store) if name.startswith(layout.PACKS)]
    grace.git("pull", "--quiet", "--rebase")
    grace.registry.push()
    fresh = team.clone("fresh").registry
    fresh.get("models/copy@1", team.base / "got")
    assert read(team.base / "got") == contents
    assert fresh.verify(all=True, deep=True).versions == 1
