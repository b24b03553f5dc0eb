"""The body of a request, and the statement in its head: complete, harmless, bounded, and held to the truth."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.cli import run
from support.promoting import land, number, register
from support.team import Member, Team, write

from gitml.errors import GitMLError, InvalidInput, PolicyRefused
from gitml.model.statement import TRAILER, Statement, find_statement, with_statement, without_statement
from gitml.promotion import body as bodies
from gitml.promotion.markdown import code, sealed, table, visible

HOSTILE = [
    "@alice", "#12", "!3", "<script>alert(1)</script>", "<!-- x", "--> x", "[a](https://evil.example)", "a|b|c",
    "`x` @bob", "``` @bob", "``", "`", "**x**", "https://evil.example", "www.evil.example", "a\nb\n### c", "\u202egpj.exe",
    "a\u200bb", "\ufeff", "a\x1b]0;x\x07", "\x00", "a\u3164b", "\\", "a\\|b", "&lt;", " x ", "\U000e0041", "\r",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_foreign_text_stays_in_its_code_span(text: str) -> None:
    (_, _, row) = table(["a", "b"], [[code(text), "end"]])
    assert row.isprintable()
    assert row.count("|") == 3
    shown = code(text)
    fence = re.match(r"`*", shown)[0]  # type: ignore[index]
    inner = shown[len(fence) : len(shown) - len(fence)]
    assert shown == "–" or (fence and shown.endswith(fence))
    assert fence not in re.findall(r"`+", inner)


def test_what_cannot_be_seen_is_shown_as_an_escape() -> None:
    assert visible("a\u202eb\u200b\x1b\n") == "a\\u202eb\\u200b\\x1b\\x0a"
    assert visible("x" * 300, 10) == "x" * 10 + "…"


@pytest.mark.parametrize(
    "said", ["```\nopen", "~~~~ py\nx\n~~~", "<!-- never closed", "<details><b>x", "<script>"]
)
def test_what_the_asker_says_ends_where_it_ends(said: str) -> None:
    text = sealed(said)
    assert not re.search(r"(?m)^\s*<", re.sub(r"(?ms)^(`{3,}|~{3,}).*?^\1", "", text))
    fences = re.findall(r"(?m)^(`{3,}|~{3,})", text)
    assert not fences or (fences[0] == fences[-1] and len(fences) > 1)


def hostile_version(member: Member) -> None:
    files = {"README.md": "# card", "a.csv": "x,y\n1,2\n", "model.pkl": b"\x80\x02cposix\nsystem\n."}
    folder = write(member.folder / ".git" / "contents" / "hostile", files)
    member.registry.register(
        "models/digits",
        folder,
        message="see @alice <b>now</b> | `x`",
        labels={"licence": "MIT|@bob"},
        metrics={"accuracy": 0.9},
        params={"@carl": "<i>\u202e"},
        inputs=["training=datasets/digits@1"],
    )
    member.registry.push()


def statement_of(member: Member, head: str) -> Statement:
    found = find_statement(member.git("log", "-1", "--format=%B", head))
    assert found is not None
    return found


def test_a_request_says_all_of_itself(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    land(team.ada, team.ada.registry.promote("models/digits@1", target="staging"))
    hostile_version(team.ada)
    rehearsed = team.ada.registry.promote("models/digits@2", target="staging", dry_run=True)
    done = team.ada.registry.promote("models/digits@2", target="staging", body="Because.")
    again = team.ada.registry.promote("models/digits@2", target="staging", body="Because.")
    assert (again.created, again.updated) == (False, False)
    assert done.body == f"Because.\n\n{rehearsed.body}"
    assert done.request is not None and done.request.body == done.body
    for line in (
        "| `models/digits` | `1` | `2` |",
        "| `accuracy` | – | `0.9` | new |",
        "| `@carl` | – | `<i>\\u202e` |",
        "| `datasets/digits@1` | `training` | `on staging` |",
        "- licence: `MIT\\x7c@bob`",
        "Files: 3 added, 1 removed, 0 changed",
        "| `models/digits@2:model.pkl` | ⚠️ pickle import `GLOBAL` | `posix.system` |",
        "asked for by `Ada Example <ada@example.com>`",
        "- passes: schema",
    ):
        assert line in done.body, (line, done.body)
    bare = re.sub(r"(`+).*?\1", "", done.body.replace(bodies.MARKER, ""))
    assert not re.search(r"[@<>]", bare), bare
    monkeypatch.chdir(team.ada.folder)
    shown = run("pr", "show", str(number(done))).stdout
    assert "What staging would run" in shown and "MODELS" not in shown and "<!--" not in shown
    assert re.search(r"accuracy +– +0.9 +new", shown)
    assert json.loads(run("pr", "show", str(number(done)), "--json").stdout)["body"] == done.body


def test_the_statement_in_the_head(team: Team) -> None:
    done = team.ada.registry.promote("models/digits@1", target="staging")
    assert done.request is not None and done.statement is not None
    found = statement_of(team.ada, done.request.head)
    assert found.to_dict() == done.statement
    assert Statement.parse(found.format().encode()) == found
    pointer = team.ada.registry.show("models/digits@1").asset
    assert str(found.subjects["models/digits@1"]) == pointer["contents"]["digest"]
    assert done.statement["_type"] == "https://in-toto.io/Statement/v1"
    assert done.statement["predicate"]["versions"][0]["inputs"][0]["digest"] == pointer["inputs"][0]["digest"]
    assert found.time.timestamp() == int(team.ada.git("log", "-1", "--format=%ct", done.request.head))
    assert team.ada.registry.check(f"..{done.request.head}", target="staging").passed
    land(team.ada, done)
    team.ada.git("fetch", "--quiet", "origin")
    team.ada.registry.verify(history="staging")


def forged(member: Member, head: str, change: Any) -> str:
    """The same tree and parents with another statement."""
    said = change(statement_of(member, head).to_dict())
    said = said if isinstance(said, str) else json.dumps(said)
    message = f"Promote\n\n{TRAILER}: {said}\n"
    return member.git("commit-tree", f"{head}^{{tree}}", "-p", f"{head}^", "-m", message)


def other(path: tuple[Any, ...], value: Any) -> Any:
    def change(document: dict[str, Any]) -> dict[str, Any]:
        at: Any = document
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        return document

    return change


FORGED = {
    "another digest": other(("subject", 0, "digest", "sha256"), "0" * 64),
    "a version that is not there": other(("subject", 0, "name"), "models/digits@9"),
    "another stage": other(("predicate", "target"), "production"),
    "another move": other(("predicate", "moves", 0, "to"), "9"),
    "no move": other(("predicate", "moves"), []),
    "another asker": other(("predicate", "asker", "email"), "eve@example.com"),
    "another type": other(("_type",), "https://in-toto.io/Statement/v0.1"),
    "nothing": lambda _: "",
    "no JSON": lambda _: "{",
    "twice": lambda document: f"{json.dumps(document)}\n{TRAILER}: {json.dumps(document)}",
    "a key twice": lambda document: json.dumps(document)[:-1] + ', "_type": "x"}',
    "deep": lambda _: "[" * 5000,
}


@pytest.mark.parametrize("change", FORGED.values(), ids=list(FORGED))
def test_a_statement_that_is_not_true_is_refused(team: Team, change: Any) -> None:
    ada = team.ada
    done = ada.registry.promote("models/digits@1", target="staging")
    assert done.request is not None
    head = forged(ada, done.request.head, change)
    checked = ada.registry.check(f"..{head}", target="staging")
    failed = [result.rule.value for result in checked.rules if result.problems]
    assert failed == ["statement"]


def test_merge_refuses_it_too(team: Team) -> None:
    ada = team.ada
    done = ada.registry.promote("models/digits@1", target="staging")
    assert done.request is not None
    ref = f"refs/gitml/requests/{number(done)}"
    ada.git("fetch", "--quiet", "origin", ref)
    head = forged(ada, done.request.head, FORGED["another digest"])
    event = ada.git("show", "FETCH_HEAD:event.json").replace(done.request.head, head)
    path = write(ada.folder / ".git" / "event", {"event.json": event}) / "event.json"
    blob = ada.git("hash-object", "-w", str(path))
    ada.git("update-index", "--add", "--cacheinfo", f"100644,{blob},event.json")
    tree = ada.git("write-tree")
    entry = next(line for line in ada.git("ls-tree", tree).splitlines() if line.endswith("event.json"))
    write(path.parent, {"row": entry + "\n"})
    ada.git("rm", "--quiet", "--cached", "event.json")
    import subprocess

    made = subprocess.run(
        ["git", "mktree"], input=entry + "\n", cwd=ada.folder, capture_output=True, text=True, check=True
    )
    commit = ada.git("commit-tree", made.stdout.strip(), "-p", head, "-m", "opened")
    ada.git("push", "--quiet", "--force", "origin", f"{commit}:{ref}")
    with pytest.raises(PolicyRefused, match="the statement says"):
        ada.registry.requests.merge(number(done))
    again = ada.registry.promote("models/digits@1", target="staging")  # makes the head anew
    assert again.updated
    ada.registry.requests.merge(number(again))


def test_heads_without_a_statement_pass(team: Team) -> None:
    done = team.ada.registry.promote("models/digits@1", target="staging")
    assert done.request is not None
    head = team.ada.git(
        "commit-tree", f"{done.request.head}^{{tree}}", "-p", f"{done.request.head}^", "-m", "By hand"
    )
    checked = team.ada.registry.check(f"..{head}", target="staging")
    assert checked.passed


def test_the_body_is_bounded_and_says_what_it_left_out(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    register(
        team.ada, "models/digits", "two", params={f"p{n:04}": "v" * 150 for n in range(300)}, version="7"
    )
    team.ada.registry.push()
    monkeypatch.setattr(bodies.render, "__kwdefaults__", {"max_bytes": 2000})
    done = team.ada.registry.promote("models/digits@7", target="staging", dry_run=True)
    assert len(done.body.encode()) <= 2000
    assert "parts of this text are left out" in done.body


def test_statements_travel_in_messages(team: Team) -> None:
    done = team.ada.registry.promote("models/digits@1", target="staging")
    assert done.request is not None
    found = statement_of(team.ada, done.request.head)
    message = with_statement("Title\n\nText\n", found)
    assert find_statement(message) == found
    assert without_statement(message) == "Title\n\nText"
    assert find_statement("Title\n") is None
    assert found.format().isascii() and "\n" not in found.format()
    with pytest.raises(InvalidInput):
        find_statement(message + message)
    assert issubclass(InvalidInput, GitMLError)
    assert Path(team.ada.folder).is_dir()
