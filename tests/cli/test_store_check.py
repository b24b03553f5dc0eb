"""`gitml store check`: its card, its exit codes, where it works, and that nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from servers import sshd
from store.test_other_schemes import server
from support.cli import Ran, run
from support.document_schemas import closed
from support.gitrepos import git
from support.proxy import FOREVER, Harm, Proxy, Rule, reply
from support.remote import Place, place

from gitml.model.schemas import schema
from gitml.store.media import probe


def document(ran: Ran) -> dict[str, Any]:
    body = ran.document
    validator = Draft202012Validator(closed(schema("json/store-check")))
    assert [error.message for error in validator.iter_errors(body)] == []
    return body


def settings(text: str) -> None:
    file = Path(os.environ["XDG_CONFIG_HOME"]) / "gitml/config.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_folder_outside_of_any_registry(tmp_path: Path) -> None:
    (tmp_path / "store" / "packs").mkdir(parents=True)
    before = everything(tmp_path)
    found = document(run("-C", str(tmp_path), "store", "check", "./store", "--json"))
    assert {finding["verdict"] for finding in found["findings"]} == {"kept", "noted"}
    assert (found["store"], found["credentials"], found["remembered"]) == (None, None, False)
    assert min(found["write_bytes_per_s"], found["read_bytes_per_s"]) > 0
    shown = run("-C", str(tmp_path), "store", "check", "store")
    assert shown.exit_code == 0
    assert "of racing writers exactly one creates" in shown.stdout
    assert "it can be a store" in shown.stdout
    assert everything(tmp_path) == before
    assert run("-C", str(tmp_path), "store", "check", str(tmp_path / "none" / "yet")).exit_code == 0
    assert everything(tmp_path) == before


def test_the_default_and_names(team: Any) -> None:
    store = team.folder / "store"
    before = everything(store)
    found = document(team.ada.ok("store", "check", "--json"))
    assert (found["store"], Path(found["url"]).name) == ("default", "store")
    assert document(team.ada.ok("store", "check", "embedded", "--json"))["store"] == "embedded"
    assert team.ada.ok("store", "check", "-q").stdout.split() == [found["url"]]
    assert document(team.ada.ok("store", "check", found["url"], "--json"))["store"] == "default"
    assert everything(store) == before


@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [
        ((), 4, "not-a-repository"), (("archive",), 2, "no-store"), (("http://host/x",), 3, "bad-store-url"),
        (("memory://x",), 3, "bad-store-url"), (("simplecache::s3://bucket/x",), 3, "bad-store-url"),
        (("sftp://127.0.0.1:1/x",), 3, "bad-store-url"),
    ],
)  # fmt: skip
def test_what_is_no_place(words: tuple[str, ...], exit_code: int, code: str, tmp_path: Path) -> None:
    ran = run("-C", str(tmp_path), "store", "check", *words, "--json")
    assert (ran.exit_code, document(ran)["error"]["code"]) == (exit_code, code)
    assert everything(tmp_path) == set()


def test_a_place_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITML_TIMEOUT_S", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    nobody = run("store", "check", "s3://team-ml/x", "--json")
    assert (nobody.exit_code, document(nobody)["error"]["code"]) == (7, "unavailable")
    (tmp_path / "file").write_text("")
    assert run("store", "check", str(tmp_path / "file"), "--json").exit_code == 10


def test_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    there = place("moto", monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", there.endpoint_url)
    found = document(run("store", "check", there.url, "--json"))
    assert found["credentials"] == "the environment (AWS_ACCESS_KEY_ID)"
    assert list(there.open().list("")) == []


def test_what_is_set_for_the_default_store_holds_for_a_place_that_may_become_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = place("moto", monkeypatch)
    monkeypatch.setattr(probe, "_ROUNDS", 1)
    monkeypatch.setattr(probe, "_SPEED_S", 0.01)
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
    words = ("-C", str(tmp_path), "store", "check", there.url, "--json")
    assert there.endpoint_url in document(run(*words))["url"]
    assert run("init", str(tmp_path)).exit_code == 0
    assert there.endpoint_url in document(run(*words))["url"]
    monkeypatch.setenv("GITML_STORE_DEFAULT_URL", "s3://another/place")
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", there.endpoint_url)  # that store's settings are its own
    assert there.endpoint_url in document(run(*words))["url"]
    assert there.endpoint_url in document(run("store", "check", there.url, "--json"))["url"]


def test_what_may_be_left_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may not delete leaves what the check wrote."""
    there = place("moto", monkeypatch)
    no = Rule(Harm.ANSWER, b"DELETE", strikes=FOREVER, answer=reply(403, "AccessDenied"))
    with Proxy(there.port, no) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", there.at(proxy.port).endpoint_url)
        refused = run("store", "check", there.url)
    assert (refused.exit_code, "DeleteObject" in refused.stderr) == (10, True)
    left = {name.rpartition("/")[0] for name, _ in there.open().list("check/")}
    assert left
    said = re.search(r"may be left below (check/[0-9a-f]+)/ in", refused.stderr)
    assert said is not None
    assert all(f"{name}/".startswith(f"{said[1]}/") for name in left)


class Deaf(socketserver.ThreadingTCPServer):
    """Stands before a server, and hides from it that a write is to create only."""

    daemon_threads = True

    def __init__(self, target_port: int) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.target_port = target_port


_CONDITION = re.compile(rb"if-none-match: \*", re.IGNORECASE)


class Passing(socketserver.BaseRequestHandler):
    """One connection, both ways."""

    def handle(self) -> None:
        assert isinstance(self.server, Deaf)
        with socket.create_connection(("127.0.0.1", self.server.target_port)) as server:
            back = threading.Thread(target=self.back, args=(server,), daemon=True)
            back.start()
            while data := self.request.recv(1 << 16):
                server.sendall(_CONDITION.sub(b"X-None-Matters: ", data))
            server.shutdown(socket.SHUT_WR)
            back.join()

    def back(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                self.request.sendall(data)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Place, Deaf]]:
    """A place on S3 whose server ignores conditions."""
    there = place("moto", monkeypatch)
    with Deaf(there.port) as deaf:
        threading.Thread(target=deaf.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{deaf.server_address[1]}")
        yield there, deaf
        deaf.shutdown()


def test_an_s3_that_ignores_conditions_is_refused(s3: tuple[Place, Deaf]) -> None:
    there, _ = s3
    refused = run("store", "check", there.url, "--json")
    error = document(refused)["error"]
    assert (refused.exit_code, error["code"]) == (12, "store-unfit")
    broken = {fault["promise"] for fault in error["context"]["faults"]}
    assert broken == {"of racing writers exactly one creates", "a taken name is left alone"}
    said = run("store", "check", there.url).stderr
    assert all(promise in said for promise in broken)
    assert list(there.open().list("")) == []


def test_an_s3_that_cannot_do_a_call_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    there = place("moto", monkeypatch)
    no = Rule(Harm.ANSWER, b"PUT", b"/race/", strikes=FOREVER, answer=reply(501, "NotImplemented"))
    with Proxy(there.port, no) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", there.at(proxy.port).endpoint_url)
        refused = run("store", "check", there.url, "--json")
    assert (refused.exit_code, document(refused)["error"]["code"]) == (12, "store-unfit")
    assert "501" in str(refused.document["error"]["context"]["faults"])


def test_rights_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    there = place("moto", monkeypatch)
    no = Rule(Harm.ANSWER, b"PUT", strikes=FOREVER, answer=reply(403, "AccessDenied"))
    with Proxy(there.port, no) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", there.at(proxy.port).endpoint_url)
        refused = run("store", "check", there.url, "--json")
        asked = len(proxy.log)
    assert (refused.exit_code, "PutObject" in document(refused)["error"]["message"]) == (10, True)
    assert asked == 2  # once more by the SDK, which tells why


def test_an_sftp_server(tmp_path: Path) -> None:
    url = f"sftp://127.0.0.1:{server().port}{tmp_path}/far"
    known = Path.home() / ".ssh" / "known_hosts"
    known.parent.mkdir(parents=True)
    known.write_text(sshd.known_hosts(server()))
    options = "".join(f"      {key}: {json.dumps(value)}\n" for key, value in sshd.options(server()).items())
    text = f"stores:\n  far:\n    url: {json.dumps(url)}\n    options:\n{options}"
    settings(text)
    assert "allow_schemes: [sftp]" in run("store", "check", url).stderr
    settings(f"allow_schemes: [sftp]\n{text}")

    here = tmp_path / "here"
    assert run("init", str(here)).exit_code == 0
    file = here / "gitml.yaml"
    file.write_text(file.read_text() + f"stores:\n  far: {{url: {json.dumps(url)}, types: [datasets]}}\n")
    git(here, "commit", "-qam", "far")
    (tmp_path / "x.csv").write_text("1\n")
    words = ("-C", str(here), "register", "datasets/x", str(tmp_path / "x.csv"), "--json")
    refused = run(*words)
    assert (refused.exit_code, refused.document["error"]["code"]) == (12, "store-unchecked")
    assert refused.document["error"]["hint"] == f"gitml store check {url}"

    found = document(run("store", "check", url, "--json"))
    assert found["remembered"]
    assert not [path for path in everything(tmp_path / "far") if (tmp_path / "far" / path).is_file()]
    assert run(*words).document["store"] == "far"
    assert run("-C", str(here), "verify", "--all", "--deep").exit_code == 0
    assert run("-C", str(here), "get", "datasets/x", "-o", str(tmp_path / "out")).exit_code == 0
    assert (tmp_path / "out" / "x.csv").read_text() == "1\n"


PROGRAM = """
import sys
from gitml.cli.main import main
from gitml.store.media import probe

asked = probe._Prober.races
def races(self):
    print("racing", flush=True)
    sys.stdin.readline()
    return asked(self)
probe._Prober.races = races
sys.argv = ["gitml", "store", "check", sys.argv[1]]
main()
"""


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(store)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "racing\n"
    assert [path for path in everything(store) if (store / path).is_file()] != []
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, everything(store)) == (130, set()), said
