"""The commands on real registries: what they print, where, and how they end."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.cli import InFolder, Ran, run
from support.document_schemas import closed
from support.gitrepos import git

from gitml.model.schemas import schema


def document(ran: Ran) -> dict[str, Any]:
    """The document of a command, after holding it against its shipped schema with no room for more."""
    body = ran.document
    name = body["schema"].split("/")[1]
    faults = [
        error.message for error in Draft202012Validator(closed(schema(f"json/{name}"))).iter_errors(body)
    ]
    assert faults == [], f"{ran.stdout}\n{faults}"
    assert ran.stdout.count("\n") == 1
    return body


def test_every_document_of_the_whole_path_is_valid(team: Any) -> None:
    ada, grace = team.ada, team.grace

    def ok(at: InFolder, *words: str) -> dict[str, Any]:
        return document(at.ok(*words, "--json"))

    again = ok(ada, "init")
    assert again["changed"] is False
    team.write("out/weights.npz", bytes(range(256)) * 100 + b"more")
    planned = ok(ada, "register", "models/digits", "out", "-n")
    assert planned["plan"]["ref"] == "models/digits@2"
    registered = ok(
        ada, "register", "models/digits", "out", "--metric", "accuracy=0.99", "--input", "datasets/digits"
    )
    assert registered["ref"] == "models/digits@2"
    assert registered["created"] is True
    assert ok(ada, "push", "-n")["plan"]["branches"][0]["versions"] == ["models/digits@2"]
    assert ok(ada, "push")["branches"][0]["name"] == "main"

    promotion = ok(ada, "promote", "models/digits@1", "-t", "staging")
    assert promotion["request"]["number"] == 1
    assert promotion["plan"]["moves"] == [{"asset": "models/digits", "from_version": None, "to_version": "1"}]
    listed = ok(grace, "pr", "list")["requests"]
    assert [{key: one[key] for key in ("number", "state", "source", "target")} for one in listed] == [
        {"number": 1, "state": "open", "source": "main", "target": "staging"}
    ]
    assert {"head", "author"} <= set(listed[0])
    assert ok(grace, "pr", "show", "1")["number"] == 1
    assert ok(grace, "pr", "approve", "1", "-m", "fine")["reviews"][0]["comment"] == "fine"
    assert "plan" in ok(ada, "pr", "merge", "1", "-n")
    assert ok(ada, "pr", "merge", "1")["target"] == "staging"
    ok(ada, "promote", "models/digits@2", "-t", "staging")
    ok(grace, "pr", "reject", "2", "-m", "not yet")
    assert ok(ada, "pr", "close", "2")["state"] == "closed"
    ok(ada, "promote", "models/digits@2", "-t", "staging")
    ok(ada, "pr", "merge", "3")
    rollback = ok(ada, "rollback", "models/digits", "-t", "staging")
    assert rollback["plan"]["moves"] == [{"asset": "models/digits", "from_version": "2", "to_version": "1"}]
    ok(ada, "pr", "merge", str(rollback["request"]["number"]))
    kinds = [entry["kind"] for entry in ok(ada, "history", "staging")["entries"]]
    assert kinds == ["rolled-back", "promoted", "promoted"]
    assert {one["state"] for one in ok(ada, "pr", "list", "--state", "all")["requests"]} == {
        "merged",
        "closed",
    }

    assert ok(ada, "alias", "models/digits", "champion", "1", "-n")["plan"]["aliases"] == {"champion": "1"}
    assert ok(ada, "alias", "models/digits", "champion", "1")["changed"] is True
    ok(ada, "deprecate", "models/digits@2", "-m", "worse", "--replaced-by", "models/digits@1")
    rows = {row["ref"]: row for row in ok(ada, "list", "models/digits")["versions"]}
    assert rows["models/digits@1"]["stages"] == ["staging"]
    assert rows["models/digits@1"]["aliases"] == ["champion"]
    assert rows["models/digits@2"]["deprecated"]["reason"] == "worse"
    shown = ok(ada, "show", "models/digits@champion", "--files", "--lineage")
    assert shown["asset"]["metrics"] == {"accuracy": 0.98}
    assert [file["path"] for file in shown["files"]] == ["weights.npz"]
    assert shown["lineage"]["related"][0]["ref"] == "datasets/digits@1"
    assert ok(ada, "lineage", "datasets/digits", "--down")["related"]
    assert ok(ada, "diff", "models/digits@1", "models/digits@2")["equal"] is False

    assert "plan" in ok(grace, "pull", "-n")
    pulled = ok(grace, "pull")
    assert {placed["ref"] for placed in pulled["placements"]} == {"datasets/digits@1", "models/digits@2"}
    got = ok(grace, "get", "models/digits@staging", "-o", os.fspath(team.folder / "got"))
    assert (Path(got["destination"]) / "weights.npz").read_bytes() == bytes(range(256)) * 100
    assert ok(grace, "get", "models/digits@1", "-n")["plan"]["write"] == 1
    assert ok(grace, "status", "--remote")["missing"] == []
    assert ok(grace, "verify", "--all", "--deep")["deep"] is True
    assert {one["name"] for one in ok(grace, "store", "list")["stores"]} >= {"default"}
    assert ok(grace, "store", "trust", "default")["name"] == "default"
    assert ok(grace, "store", "verify")["versions"] == 3
    assert len(ok(grace, "store", "du")["versions"]) == 3
    assert ok(grace, "doctor")["checks"]
    assert "_GITML_COMPLETE" in ok(grace, "completion", "zsh")["script"]


def test_every_command_tells_a_person_the_same(team: Any) -> None:
    ada, grace = team.ada, team.grace
    lines = ada.ok("list").stdout.splitlines()
    assert lines[0].split() == ["REFERENCE", "SIZE", "FILES", "METRICS", "CREATED"]
    assert lines[-1].startswith("2 shown of 2 versions of 2 assets in commit ")
    same = ada.ok("register", "datasets/digits", "data", "--label", "team=vision", "-m", "8x8 digits").stdout
    assert "datasets/digits@1 has these contents and fields already" in same
    assert "0 B new, 6.1 KiB already there (saved by deduplication), 0 B sent" in same
    assert (
        "would register models/digits@2 on main" in ada.ok("register", "models/digits", "data", "-n").stdout
    )
    shown = ada.ok("show", "models/digits", "--files", "--lineage").stdout
    for part in (
        "models/digits@1",
        "accuracy  0.98",
        "datasets/digits@1 as training",
        "└── datasets/digits@1",
    ):
        assert part in shown
    assert "0 to push, 0 to pull" in ada.ok("status").stdout
    assert "1 branch compared: 0 pushed, 1 already there" in ada.ok("push").stdout
    assert "0 faults" in ada.ok("verify").stdout
    opened = ada.ok("promote", "models/digits", "-t", "staging").stdout
    assert "request 1 opened: " in opened
    assert "next: gitml pr merge 1" in opened
    assert "request 1 open" in grace.ok("pr", "show", "1").stdout
    assert "1 approval and 0 rejections of this head count" in grace.ok("pr", "approve", "1").stdout
    assert "1 approved" in ada.ok("pr", "list").stdout
    assert "request 1 could be merged into staging now" in ada.ok("pr", "merge", "1", "-n").stdout
    assert "request 1 merged into staging" in ada.ok("pr", "merge", "1").stdout
    history = ada.ok("history", "staging").stdout
    assert re.search(r"staging +models/digits +- +1 +promoted +1 +Ada Example", history)
    got = ada.ok("get", "models/digits@staging", "-o", "../got").stdout
    assert "1 file written (25.0 KiB), 0 already there, 0 removed, 0 failed" in got
    assert (
        "0 files written (0 B), 1 already there"
        in ada.ok("get", "models/digits@staging", "-o", "../got").stdout
    )
    pulled = grace.ok("pull").stdout
    assert "2 versions: 3 files written" in pulled
    assert "saved by deduplication" in ada.ok("store", "du").stdout
    assert "0 faults" in ada.ok("store", "verify").stdout
    assert "repository" in ada.ok("store", "list").stdout
    assert "8 checks" in ada.ok("doctor").stdout or "checks:" in ada.ok("doctor").stdout
    assert "models/digits@champion means 1" in ada.ok("alias", "models/digits", "champion", "1").stdout
    assert "deprecated: old" in ada.ok("deprecate", "datasets/digits@1", "-m", "old").stdout


def test_quiet_prints_references_alone(team: Any) -> None:
    ada = team.ada
    assert ada.ok("list", "-q").stdout == "datasets/digits@1\nmodels/digits@1\n"
    assert ada.ok("-q", "show", "models/digits").stdout == "models/digits@1\n"
    assert ada.ok("-q", "status").stdout == ""
    assert ada.ok("-q", "verify").stdout == ""
    assert ada.ok("register", "models/new", "out", "-q").stdout == "models/new@1\n"
    assert ada.ok("lineage", "models/digits", "-q").stdout == "models/digits@1\ndatasets/digits@1\n"


def test_the_pointer_comes_as_it_stands(team: Any) -> None:
    file = team.ada.folder / "models/digits/1/asset.yaml"
    assert team.ada.ok("show", "models/digits", "--raw").stdout == file.read_text()


@pytest.mark.parametrize(
    "words",
    [["show"], ["verify"], ["status"], ["lineage"], ["deprecate"], ["store", "adopt"], ["diff", "models/digits"],
     ["deprecate", "models/digits", "--replaced-by"]],
    ids=" ".join,
)  # fmt: skip
def test_a_file_is_no_version(team: Any, words: list[str]) -> None:
    """What is about a version does not quietly take a file of it for the whole."""
    for path in ("weights.npz", "no-such-file"):
        error = document(ran := team.ada(*words, f"models/digits@1:{path}", "--json"))["error"]
        assert (ran.exit_code, error["code"], error["hint"]) == (2, "not-a-version", "models/digits@1")


def test_rehearsing_a_review_changes_nothing(team: Any) -> None:
    ada, grace = team.ada, team.grace
    ada.ok("promote", "models/digits", "-t", "staging")
    before = git(grace.folder, "ls-remote", "origin")
    for verb, words in (("approve", ["-m", "fine"]), ("reject", ["-m", "no"]), ("close", [])):
        planned = document(grace.ok("pr", verb, "1", *words, "-n", "--json"))["plan"]
        assert (planned["number"], planned["state"], planned["reviews"]) == (1, "open", [])
        past = {"approve": "approved", "reject": "rejected", "close": "closed"}[verb]
        assert f"request 1 could be {past}" in grace.ok("pr", verb, "1", *words, "-n").stdout
    assert document(ada("pr", "approve", "1", "-n", "--json"))["error"]["code"] == "self-approval"
    assert git(grace.folder, "ls-remote", "origin") == before
    grace.ok("pr", "close", "1")
    assert "request 1 closed" in grace.ok("pr", "close", "1", "-n").stdout
    assert document(grace("pr", "approve", "1", "-n", "--json"))["error"]["code"] == "request-closed"


def test_rehearsing_trust_trusts_nothing(team: Any) -> None:
    ada = team.ada
    where = (team.folder / "data").as_uri()
    for _ in range(2):
        planned = document(ada.ok("store", "trust", where, "-n", "--json"))["plan"]
        assert planned["before"] is None
        assert f"{where} would be trusted" in ada.ok("store", "trust", where, "-n").stdout
    assert f"{where} is trusted" in ada.ok("store", "trust", where).stdout
    assert document(ada.ok("store", "trust", where, "-n", "--json"))["plan"]["before"] is not None


def test_exit_codes_of_comparing(team: Any) -> None:
    ada = team.ada
    assert ada("status", "--exit-code").exit_code == 0
    assert ada("diff", "models/digits", "models/digits@1", "--exit-code").exit_code == 0
    team.write("out/more.txt", b"more")
    ada.ok("register", "models/digits", "out")
    assert ada("status").exit_code == 0
    said = ada("status", "--exit-code")
    assert (said.exit_code, said.stderr) == (1, "")
    body = document(machine := ada("status", "--exit-code", "--json"))
    assert (machine.exit_code, body["clean"], body["error"]["code"]) == (1, False, "differences")
    said = ada("diff", "models/digits@1", "models/digits@2", "--exit-code")
    assert (said.exit_code, said.stderr) == (1, "")
    body = ada("diff", "models/digits@1", "models/digits@2", "--exit-code", "--json")
    assert body.exit_code == 1
    found = document(body)
    assert [change["path"] for change in found["added"]] == ["more.txt"]
    assert found["error"]["message"] == "models/digits@1 and models/digits@2 differ"
    assert "error" not in document(ada.ok("diff", "models/digits@1", "models/digits@2", "--json"))


@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [
        (["show", "models/none"], 4, "asset-not-found"),
        (["show", "models/digits@production"], 4, "stage-not-here"),
        (["register", "models/Digits", "out"], 3, None),
        (["register", "models/digits", "no-such-folder"], 4, None),
        (["register", "models/digits", "data", "--version", "1"], 5, None),
        (["register", "models/digits", "out", "--metric", "accuracy"], 2, "bad-argument"),
        (["promote", "-s", "working/new", "-t", "staging", "-r", "../other.git"], 2, "other-repository"),
        (["promote", "models/digits", "-t", "nowhere"], 4, None),
        (["pr", "show", "99"], 4, None),
        (["rollback", "models/digits", "-t", "staging"], 4, None),
        (["list", "--where", "nonsense"], 2, None),
    ],
)
def test_failures(team: Any, words: list[str], exit_code: int, code: str | None) -> None:
    text = team.ada(*words)
    assert text.exit_code == exit_code, text.stderr
    assert text.stdout == ""
    assert text.stderr.startswith("gitml: ")
    assert len(text.stderr.splitlines()) <= 3
    machine = team.ada(*words, "--json")
    assert machine.exit_code == exit_code
    body = document(machine)
    assert code is None or body["error"]["code"] == code


def test_a_list_in_which_one_cannot_be_read(team: Any) -> None:
    team.write("models/bad/1/asset.yaml", b"schema: 1\n")
    git(team.ada.folder, "add", "models/bad")
    git(team.ada.folder, "commit", "-q", "-m", "Bad")
    text = team.ada("list", "models", "-q")
    assert (text.exit_code, text.stdout) == (13, "models/digits@1\n")
    first, item, hint = text.stderr.splitlines()
    assert first == "gitml: 1 of what was asked for cannot be read"
    assert item.startswith("  models/bad@1: models/bad/1/asset.yaml:1") and hint.startswith(
        "Try: gitml verify"
    )
    machine = team.ada("list", "models", "--json")
    assert machine.exit_code == 13
    body = document(machine)
    assert [row["ref"] for row in body["versions"]] == ["models/digits@1"]
    assert body["failed"]["models/bad@1"]["message"].startswith("models/bad/1/asset.yaml:1")
    assert body["done"] == ["models/digits@1"]
    assert body["error"]["code"] == "partly-done" and body["error"]["hint"].startswith("gitml verify")


def test_policy_names_every_reason(team: Any) -> None:
    ran = team.ada("promote", "models/digits", "-t", "production", "--json")
    assert ran.exit_code == 12
    assert document(ran)["error"]["context"]["reasons"]


def test_a_folder_that_is_no_registry(tmp_path: Path) -> None:
    ran = InFolder(tmp_path)("list")
    assert ran.exit_code == 4
    assert ran.stderr.splitlines()[-1] == "Try: gitml init"


def test_metrics_and_parameters_from_files(team: Any) -> None:
    team.write("metrics.json", b'{"eval": {"f1": 0.9}, "accuracy": 0.1}')
    team.write("params.yaml", b"optimizer:\n  name: adam\n  lr: 0.001\n")
    team.write("spec.yaml", b"description: none\n")
    ada = team.ada
    ada.ok(
        "register", "models/other", "out", "--metrics", "metrics.json", "--params", "params.yaml",
        "--metric", "accuracy=0.98", "--param", "optimizer.lr=0.01", "--param", "note=no",
    )  # fmt: skip
    asset = document(ada.ok("show", "models/other", "--json"))["asset"]
    assert asset["metrics"] == {"accuracy": 0.98, "eval.f1": 0.9}
    assert asset["params"] == {"note": "no", "optimizer.lr": 0.01, "optimizer.name": "adam"}


def test_where_and_sort(team: Any) -> None:
    ada = team.ada
    for position, accuracy in enumerate((0.9, 0.99, 0.95), start=2):
        team.write("out/weights.npz", b"%d" % position)
        ada.ok("register", "models/digits", "out", "--metric", f"accuracy={accuracy}")
    good = ada.ok(
        "list", "models/digits", "--where", "metrics.accuracy>=0.95", "--sort", "-metrics.accuracy", "-q"
    )
    assert good.stdout.split() == ["models/digits@3", "models/digits@1", "models/digits@4"]


def test_include_and_exclude(team: Any) -> None:
    team.ada.ok("get", "datasets/digits", "-o", "../some", "-I", "**/*.csv", "-X", "train.csv")
    found = sorted(
        path.relative_to(team.folder / "some").as_posix() for path in (team.folder / "some").rglob("*.csv")
    )
    assert found == ["labels/test.csv"]


def test_the_registry_elsewhere_and_paths_here(team: Any) -> None:
    (team.folder / "elsewhere").mkdir()
    (team.folder / "elsewhere" / "w.bin").write_bytes(b"w")
    there = InFolder(team.folder / "elsewhere")
    ran = there.ok("-R", "../ada", "register", "models/far", "w.bin", "--json")
    assert document(ran)["ref"] == "models/far@1"
    assert there.ok("list", "models", "-R", "../ada", "-q").stdout.split() == [
        "models/digits@1",
        "models/far@1",
    ]


def test_lineage_for_other_tools(team: Any) -> None:
    up = team.ada.ok("lineage", "models/digits", "--format", "mermaid").stdout
    down = team.ada.ok("lineage", "datasets/digits", "--down", "--format", "mermaid").stdout
    assert up.splitlines()[-1] == "  v1 -->|training| v0"
    assert down.splitlines()[-1] == "  v0 -->|training| v1"
    assert document(team.ada.ok("lineage", "models/digits", "--format", "json"))["ref"] == "models/digits@1"


def test_names_and_messages_cannot_act_on_the_terminal(team: Any) -> None:
    evil = "x\x1b]0;owned\x07\u202e"
    refused = team.ada("show", f"models/{evil}")
    assert refused.exit_code != 0
    assert not set(refused.stderr) & set("\x1b\x07\u202e")
    said = team.ada("promote", "models/digits", "-t", "staging", "--title", "fine", "--body", evil)
    shown = team.grace("pr", "show", "1") if said.exit_code == 0 else said
    assert not set(shown.stdout + shown.stderr) & set("\x1b\x07\u202e")


def test_credentials_never_come_out(team: Any) -> None:
    git(team.ada.folder, "remote", "add", "other", "https://ada:hunter2secret@127.0.0.1:1/x.git")
    for words in (["push", "other"], ["push", "other", "--json"], ["-vv", "push", "other"], ["doctor"]):
        ran = team.ada(*words)
        assert "hunter2secret" not in ran.stdout + ran.stderr


def test_the_doctor_ends_with_the_first_failure(team: Any) -> None:
    assert team.ada.ok("doctor", "--json").exit_code == 0
    before = git(team.ada.folder, "for-each-ref")
    git(team.ada.folder, "remote", "set-url", "origin", str(team.folder / "nowhere.git"))
    text = team.ada("doctor")
    assert text.exit_code == 4 and text.stderr.startswith("gitml: refs could not be asked from origin")
    assert "failed   remote" in text.stdout
    git(team.ada.folder, "config", "user.name", "")
    body = document(machine := team.ada("doctor", "--json"))
    failed = {one["name"]: one["error"]["code"] for one in body["checks"] if one["health"] == "failed"}
    assert failed == {"identity": "no-identity", "remote": "remote-repository"}
    assert (machine.exit_code, body["healthy"]) == (2, False)
    assert body["error"]["code"] == "no-identity"  # of the first that failed, as the exit code is
    assert machine.stderr == ""
    assert git(team.ada.folder, "for-each-ref") == before
    assert InFolder(team.folder)("doctor").exit_code == 4


def test_completion_scripts() -> None:
    for shell in ("bash", "zsh", "fish"):
        ran = run("completion", shell)
        assert ran.exit_code == 0
        assert "gitml" in ran.stdout
        assert "_GITML_COMPLETE" in ran.stdout
    assert run("completion", "tcsh").exit_code == 2


def test_damage_is_listed(team: Any) -> None:
    packs = sorted(
        path for path in (team.folder / "store").rglob("*") if path.is_file() and "pack" in path.as_posix()
    )
    assert packs
    for pack in packs:
        pack.chmod(0o644)
        pack.write_bytes(b"\0" * pack.stat().st_size)
    ran = team.ada("verify", "--deep")
    assert ran.exit_code == 6
    lines = ran.stderr.splitlines()
    assert lines[0].startswith("gitml: ")
    listed = [line for line in lines if line.startswith("  ")]
    assert any("datasets/digits@1" in line for line in listed)
    assert any("models/digits@1" in line for line in listed)
    body = team.ada("verify", "--deep", "--json")
    assert body.exit_code == 6
    assert len(document(body)["error"]["context"]["faults"]) >= 2
