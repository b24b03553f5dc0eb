"""`gitml store forget|gc|repack|purge|replicate`: what they print, and that nothing goes without a yes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.cli import Ran, run
from support.document_schemas import closed
from support.gitrepos import git

from gitml.cli.terminal import confirm
from gitml.model.schemas import schema


def document(ran: Ran) -> dict[str, Any]:
    body = ran.document
    name = body["schema"].split("/")[1]
    validator = Draft202012Validator(closed(schema(f"json/{name}")))
    assert [error.message for error in validator.iter_errors(body)] == []
    return body


def weeks_pass(store: Path) -> None:
    """As if the collections until now had been 15 days ago."""
    for file in (store / "gc" / "condemned").iterdir():
        stamp, _, rest = file.name.partition("-")
        then = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) - timedelta(days=15)
        file.rename(file.with_name(f"{then:%Y%m%dT%H%M%SZ}-{rest}"))


def files(store: Path) -> set[str]:
    return {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}


@pytest.fixture
def dropped(team: Any) -> Any:
    """`models/digits@1` is on no branch any more, and its bytes are still kept."""
    git(team.ada.folder, "rm", "-rq", "models/digits/1")
    git(team.ada.folder, "commit", "-qm", "Drop it")
    git(team.ada.folder, "push", "-q", "origin", "main")
    return team


def test_the_whole_way(dropped: Any) -> None:
    ada, store = dropped.ada, dropped.folder / "store"
    unnamed = document(ada.ok("store", "gc", "-n", "--json"))["plan"]["unnamed"]
    assert [one["ref"] for one in unnamed] == ["models/digits@1"]
    assert "gitml store forget models/digits@1" in ada.ok("store", "gc").stdout

    before = files(store)
    assert "would be forgotten" in ada.ok("store", "forget", "models/digits@1", "-n").stdout
    planned = document(ada.ok("store", "forget", "models/digits@1", "-n", "--json"))["plan"]
    assert files(store) == before
    done = document(ada.ok("store", "forget", "models/digits@1", "--yes", "--json"))
    assert done | {"dry_run": True} == planned | {"schema": done["schema"]}
    assert ada("store", "forget", "models/digits@1", "--yes").exit_code == 4

    found = document(ada.ok("store", "gc", "--json"))
    assert found["deleted"] == [] and len(found["condemned"]) == 2
    assert "2 newly found dead" not in ada.ok("store", "gc").stdout
    weeks_pass(store)
    assert "2 would be deleted" in ada.ok("store", "gc", "--dry-run").stdout
    refused = ada("store", "gc")
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert "no root reaches it" in refused.stderr, "what would go is said by name before"
    assert found["condemned"][0]["object"] in files(store)
    quiet = ada.ok("store", "gc", "-y", "-q")
    assert sorted(quiet.stdout.split()) == sorted(one["object"] for one in found["condemned"])
    assert not {one["object"] for one in found["condemned"]} & files(store)
    assert document(ada.ok("store", "verify", "--json"))["versions"] == 1


def test_forget_asks(dropped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("-C", str(dropped.ada.folder), "store", "forget", "models/digits@1")
    store = dropped.folder / "store"
    before = files(store)
    nobody = run(*words)
    assert nobody.exit_code == 2
    assert "--dry-run" in nobody.stderr
    monkeypatch.setattr(confirm, "somebody_is_there", lambda: True)
    no = run(*words, stdin="n\n")
    assert no.exit_code == 130
    assert "which alone uses" in no.stderr
    assert files(store) == before
    yes = run(*words, stdin="y\n")
    assert yes.exit_code == 0
    assert len(before - files(store)) == 1


def test_forget_refuses_what_is_named(team: Any) -> None:
    refused = team.ada("store", "forget", "models/digits@1", "--yes", "--json")
    assert refused.exit_code == 12
    error = document(refused)["error"]
    assert error["code"] == "still-named"
    assert error["context"]["branches"] == ["main", "origin/main"]


def test_repack(team: Any) -> None:
    ada, store = team.ada, team.folder / "store"
    for number in range(3):
        team.write("out/weights.npz", bytes(range(256)) * (101 + number))
        ada.ok("register", "models/digits", "out")
    before = files(store)
    planned = document(ada.ok("store", "repack", "-n", "--json"))["plan"]
    assert planned["packs"] > 2 and planned["packs_written"] is None
    assert "would be repacked" in ada.ok("store", "repack", "-n").stdout
    assert files(store) == before
    done = document(ada.ok("store", "repack", "--json"))
    assert (done["packs"], done["packs_written"], done["skipped"]) == (planned["packs"], 1, 0)
    assert done["versions"] == 5
    assert before <= files(store)
    assert "0 packs are worth repacking" in ada.ok("store", "repack").stdout
    assert document(ada.ok("verify", "--deep", "--json"))["versions"] == 5
    ada.ok("store", "gc")
    weeks_pass(store)
    ada.ok("store", "gc", "--yes")
    assert len([name for name in files(store) if name.startswith("packs/")]) == 1
    assert document(ada.ok("verify", "--deep", "--json"))["versions"] == 5


def test_purge(team: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, store = team.ada, team.folder / "store"
    before = files(store)
    planned = document(ada.ok("store", "purge", "models/digits@1", "-n", "--json"))["plan"]
    assert planned["objects"] is None and planned["branches"] == ["main", "origin/main"]
    assert "would be purged" in ada.ok("store", "purge", "models/digits@1", "-n").stdout
    assert ada("store", "purge", "models/digits@1").exit_code == 2
    monkeypatch.setattr(confirm, "somebody_is_there", lambda: True)
    assert run("-C", str(ada.folder), "store", "purge", "models/digits@1", stdin="n\n").exit_code == 130
    assert files(store) == before
    shown = run("-C", str(ada.folder), "store", "purge", "models/digits@1", stdin="y\n")
    assert shown.exit_code == 0, shown.stderr
    said = shown.stdout.partition("out of reach")[2]
    for place in ("caches", "git keeps for reviewers", "get or pull placed", "other clones", "replicas"):
        assert place in said
    assert len(files(store)) < len(before)
    again = document(ada.ok("store", "purge", "models/digits@1", "--yes", "--json"))
    assert (again["objects"], again["digest"]) == (0, planned["digest"])
    refused = ada("register", "models/other", "out", "--json")
    assert (refused.exit_code, refused.document["error"]["code"]) == (12, "purged")
    failed = ada("verify")
    assert failed.exit_code == 6
    assert "models/digits@1 were purged from the store default" in failed.stderr
    assert "gitml deprecate" in failed.stderr and "repair" not in failed.stderr
    read = ada("get", "models/digits@1", "-o", str(team.folder / "gone"))
    assert read.exit_code == 4
    assert "were purged from the store default" in read.stderr and "git rm -r models/digits/1" in read.stderr
    assert ada.ok("get", "datasets/digits@1", "-o", str(team.folder / "placed"))
    never = ada("store", "purge", "models/none@1", "--yes")
    assert never.exit_code == 4 and "the store default does not keep models/none@1" in never.stderr
    assert document(ada.ok("store", "verify", "--json"))["versions"] == 1


def test_purge_lists_who_shares_a_file(team: Any) -> None:
    team.write("out/extra", b"more")
    team.ada.ok("register", "models/digits", "out")
    refused = team.ada("store", "purge", "models/digits@1", "--yes", "--json")
    assert refused.exit_code == 12
    error = document(refused)["error"]
    assert error["context"]["files"] == [{"version": "models/digits@2", "path": "weights.npz"}]
    team.ada.ok("register", "models/other", "out/weights.npz")
    told = team.ada("store", "purge", "models/digits@1", "--yes").stderr.splitlines()
    assert "2 other version(s)" in told[0]
    assert told[1:3] == ["  models/digits@2: weights.npz", "  models/other@1: weights.npz"]
    assert len(told) == 4 and "gitml store forget" in told[3]


def test_pushing_what_was_purged_is_refused(team: Any) -> None:
    ada = team.ada
    team.write("faces/one.png", bytes(range(200)) * 50)
    ada.ok("register", "datasets/faces", "faces")
    ada.ok("store", "purge", "datasets/faces@1", "--yes")
    git(team.grace.folder, "pull", "-q")
    (team.grace.folder / "faces").mkdir()
    (team.grace.folder / "faces" / "one.png").write_bytes(bytes(range(200)) * 50)
    team.grace.ok("register", "datasets/copy", "faces", "--offline")
    refused = team.grace("push", "--json")
    assert (refused.exit_code, refused.document["error"]["code"]) == (12, "purged")
    assert refused.document["error"]["message"].startswith("datasets/copy@1 cannot be sent")
    assert "git rm -r datasets/copy/1" in refused.document["error"]["hint"]
    planned = document(
        team.grace.ok("store", "purge", "datasets/copy@1", "--store", "embedded", "-n", "--json")
    )
    assert planned["plan"]["store"] == "embedded"


def test_replicate_and_heal(team: Any) -> None:
    ada, store, copy = team.ada, team.folder / "store", team.folder / "copy"
    planned = document(ada.ok("store", "replicate", "default", str(copy), "-n", "--json"))["plan"]
    assert not copy.exists()
    done = document(ada.ok("store", "replicate", "default", str(copy), "--json"))
    assert [one["ref"] for one in done["versions"]] == ["datasets/digits@1", "models/digits@1"]
    assert (done["objects"], done["copied_bytes"]) == (planned["objects"], planned["copied_bytes"])
    assert files(copy) == files(store)
    assert "0 versions went" in ada.ok("store", "replicate", "default", "../copy").stdout

    packs = sorted(store.glob("packs/*/*"))
    whole = packs[0].read_bytes()
    packs[0].write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    packs[1].unlink()
    assert ada("store", "verify").exit_code == 6
    healed = document(ada.ok("store", "replicate", str(copy), "default", "--deep", "--json"))
    assert len(healed["healed"]) == 2
    assert packs[0].read_bytes() == whole
    assert document(ada.ok("store", "verify", "--json"))["versions"] == 2


def test_replicate_says_what_it_could_not_do(team: Any) -> None:
    ada, copy = team.ada, team.folder / "copy"
    assert ada("store", "replicate", "default", "default").exit_code == 2
    same = ada("store", "replicate", "default", "../store")
    assert same.exit_code == 2 and "are one store" in same.stderr
    mistyped = ada("store", "replicate", "default", "defalt")
    assert mistyped.exit_code == 2 and "./defalt" in mistyped.stderr
    assert not (ada.folder / "defalt").exists()
    assert ada("store", "replicate", str(team.folder / "nothing"), "default").exit_code == 4
    ada.ok("store", "replicate", "default", str(copy))
    ada.ok("store", "purge", "models/digits@1", "--yes")
    back = ada("store", "replicate", str(copy), "default", "--json")
    assert back.exit_code == 13
    body = document(back)
    assert body["done"] == []
    assert body["failed"]["models/digits@1"]["code"] == "purged"


def test_verify_piece_by_piece(team: Any) -> None:
    ada, store = team.ada, team.folder / "store"
    parts = [document(ada.ok("verify", "--deep", "--part", f"{number}/3", "--json")) for number in (1, 2, 3)]
    whole = document(ada.ok("verify", "--deep", "--json"))
    assert whole["complete"] and whole["read_bytes"] == whole["total_bytes"] > 0
    assert sum(one["read_bytes"] for one in parts) == whole["total_bytes"]
    within = document(ada.ok("verify", "--deep", "--within", "1h", "--json"))
    assert (within["complete"], within["read_bytes"]) == (True, whole["total_bytes"])
    assert "every byte of part 2/3" in ada.ok("verify", "--deep", "--part", "2/3").stdout

    stored = document(ada.ok("store", "verify", "--json"))
    parts = [document(ada.ok("store", "verify", "--part", f"{number}/4", "--json")) for number in range(1, 5)]
    assert sum(one["read_bytes"] for one in parts) == stored["read_bytes"] == stored["size_bytes"]
    assert document(ada.ok("store", "verify", "--within", "90s", "--json"))["complete"]

    pack = sorted(store.glob("packs/*/*"))[0]
    pack.write_bytes(pack.read_bytes()[:-1])
    for words in (("verify", "--deep"), ("store", "verify")):
        refused = ada(*words, "--within", "1h", "--json")
        assert refused.exit_code == 6
        context = document(refused)["error"]["context"]
        assert pack.name in context["faults"][0]["object"] and context["complete"]


BAD_LIMITS = [
    ("--part", text)
    for text in ("", "0/7", "8/7", "1/0", "1", "-1/7", "1/7/2", "a/b", "1/99999", "१/२", " 1/2")
] + [
    ("--within", text) for text in ("", "10", "0s", "m", "-5m", "1.5h", "5m1h", "1d", "999999h", "10m ", "१m")
]


def test_bad_limits_are_refused(team: Any) -> None:
    for option, text in BAD_LIMITS:
        for words in (("verify", "--deep"), ("store", "verify")):
            refused = team.ada(*words, f"{option}={text}", "--json")
            assert refused.exit_code == 2, text
            assert refused.document["error"]["code"] in ("bad-part", "bad-duration")


def test_only_deep_verification_is_limited(team: Any) -> None:
    refused = team.ada("verify", "--within", "10m")
    assert refused.exit_code == 2
    assert "gitml verify --deep" in refused.stderr


def test_repair_from_another_store(team: Any) -> None:
    ada, store, copy = team.ada, team.folder / "store", team.folder / "copy"
    assert "0 objects missing or damaged" in ada.ok("store", "repair").stdout
    ada.ok("store", "replicate", "default", str(copy))
    whole = {name: (store / name).read_bytes() for name in files(store)}
    for path in store.glob("packs/*/*"):
        path.unlink()
    manifest = sorted(store.glob("manifests/*/*"))[0]
    manifest.write_bytes(b"?" * manifest.stat().st_size)
    planned = document(ada.ok("store", "repair", "-n", "--from", str(copy), "--json"))["plan"]
    assert not list(store.glob("packs/*/*"))
    assert planned["wrong"] == len(planned["healed"]) >= 2
    lost = ada("store", "repair", "--json")
    assert lost.exit_code == 13
    body = document(lost)
    assert body["failed"] and body["error"]["context"]["missing"][0]["end"] > 0
    done = document(ada.ok("store", "repair", "--from", "../copy", "--json"))
    assert {one["origin"] for one in done["healed"]} == {"../copy"}
    assert {name: (store / name).read_bytes() for name in files(store)} == whole
    assert ada("store", "repair", "--from", "default").exit_code == 2
    assert ada("store", "repair", "--files", "nowhere").exit_code == 4


def test_repair_from_what_is_no_store(team: Any) -> None:
    said = team.ada("store", "repair", "--from", str(team.folder / "nothing"))
    assert said.exit_code == 4 and "is no GitML store" in said.stderr
    said = team.ada("store", "repair", "--from", "defalt")
    assert said.exit_code == 2 and "no store 'defalt'" in said.stderr
    assert "gitml store list" in team.ada("store", "du", "defalt").stderr


def test_what_is_damaged_is_named_once(team: Any) -> None:
    for pack in (team.folder / "store").glob("packs/*/*"):
        pack.unlink()
    first, *items, hint = team.ada("verify").stderr.splitlines()
    assert ": labels/test.csv: packs/" in first or ": train.csv: packs/" in first
    assert len(items) == 2 and all(item.endswith("the store lost it") for item in items)
    assert hint.startswith("Try: gitml store repair")


def test_repair_from_what_was_placed(team: Any) -> None:
    ada, store = team.ada, team.folder / "store"
    ada.ok("get", "datasets/digits@1", "-o", str(team.folder / "placed"))
    ada.ok("get", "models/digits@1")
    whole = {name: (store / name).read_bytes() for name in files(store)}
    for path in [*store.glob("packs/*/*"), *store.glob("manifests/*/*"), *store.glob("roots/*/*/*/*")]:
        path.unlink()
    done = document(ada.ok("store", "repair", "--json"))
    assert done["healed"] and done["store"] == "default"
    ada.ok("verify", "--deep")
    ada.ok("store", "verify")
    again = {name: (store / name).read_bytes() for name in files(store) if not name.startswith("roots/")}
    assert again.items() <= whole.items()


def test_repair_from_the_files_that_were_registered(team: Any) -> None:
    ada, store = team.ada, team.folder / "store"
    pack = max(store.glob("packs/*/*"), key=lambda path: path.stat().st_size)
    data = pack.read_bytes()
    pack.write_bytes(data[:100] + b"\0" * 200 + data[300:])
    assert ada("store", "repair").exit_code == 13
    assert "1 healed" in ada.ok("store", "repair", "--files", "out", "--files", "data").stdout
    assert pack.read_bytes() == data


def test_repair_leaves_alone_what_waits_to_be_pushed(team: Any) -> None:
    team.write("out/extra", b"more")
    team.ada.ok("register", "models/digits", "out", "--offline")
    before = files(team.folder / "store")
    assert "0 objects missing" in team.ada.ok("store", "repair").stdout
    assert files(team.folder / "store") == before
