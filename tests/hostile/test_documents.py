"""Files that say what they should not: pointers, configuration, stage files, abouts, requests, files of metrics."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.canaries import SECRET, Door, assert_refused, typed, watched
from support.gitrepos import git as run
from support.team import git, write

POINTER = """schema: gitml/asset/v1
type: models
name: evil
version: "1"
created: "2026-11-21T04:30:00Z"
author: "Ada Example <ada@example.com>"
contents:
  digest: sha256:{zero}
  listing: sha256:{zero}
  size: 1
  files: 1
  store: default
  review: []
""".format(zero="0" * 64)
TAGS = [
    "!!python/object/apply:os.system ['touch /tmp/x']",
    "!!python/object/new:os.system ['id']",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object:os.system {}",
    "!!python/tuple [1]",
    "!!python/bytes x",
    "!!binary aGk=",
    "!!set {a}",
    "!!omap [a: 1]",
    "!!pairs [a: 1]",
    "!!timestamp 2026-01-01",
    "!!str x",
    "!!int '3'",
    "!!float 1",
    "!!bool true",
    "!!null ''",
    "!!map {}",
    "!!seq []",
    "!x y",
    "!<tag:yaml.org,2002:python/name:os.system> x",
    "!!python/object/apply:eval ['1']",
    "!!js/function 'x'",
    "!ruby/object:Gem {}",
    "!!merge x",
    "!!value x",
]
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
REPEATED = "a: &a {x: 1}\nb: {<<: *a}\n"


def with_line(line: str) -> bytes:
    return (POINTER + line + "\n").encode()


def instead(field: str, text: str) -> bytes:
    lines = POINTER.splitlines(keepends=True)
    return "".join(text + "\n" if line.strip().startswith(f"{field}:") else line for line in lines).encode()


BAD_POINTERS: dict[str, bytes] = {
    **{f"tag {number}": with_line(f"params: {{x: {tag}}}") for number, tag in enumerate(TAGS)},
    **{f"label tag {number}": with_line(f"description: {tag}") for number, tag in enumerate(TAGS[:6])},
    "alias bomb": with_line(LAUGHS),
    "merge key": with_line(REPEATED),
    "anchor": with_line("params: &a {x: 1}"),
    "alias alone": with_line("params: *a"),
    "recursive": with_line("params: &a [*a]"),
    "deep flow": with_line("params: {x: " + "[" * 33 + "]" * 33 + "}"),
    "very deep flow": with_line("params: " + "[" * 30000),
    "deep block": with_line("params:\n" + "".join(" " * n + "x:\n" for n in range(1, 200))),
    "deep braces": with_line("params: " + "{x: " * 10000),
    "many nodes": with_line("params: {x: [" + "1," * 20000 + "1]}"),
    "too large": with_line("description: " + "x" * 70000),
    "duplicate": with_line("type: models"),
    "duplicate nested": with_line("params: {x: 1, x: 2}"),
    "duplicate by escape": with_line('params: {x: 1, "\\x78": 2}'),
    "not a number": with_line("metrics: {x: .nan}"),
    "infinity": with_line("metrics: {x: .inf}"),
    "json nan": with_line("metrics: {x: NaN}"),
    "huge float": with_line("metrics: {x: 1e999}"),
    "huge integer": with_line("metrics: {x: " + "9" * 5000 + "}"),
    "integer over 2^53": instead("size", "  size: 9007199254740993"),
    "negative size": instead("size", "  size: -1"),
    "size as text": instead("size", '  size: "1"'),
    "size float": instead("size", "  size: 1.5"),
    "no files": instead("files", "  files: 0"),
    "version a number": instead("version", "version: 1"),
    "version a float": instead("version", "version: 1.10"),
    "other version": instead("version", 'version: "2"'),
    "other name": instead("name", "name: digits"),
    "other type": instead("type", "type: datasets"),
    "unknown type": instead("type", "type: gadgets"),
    "schema of later": instead("schema", "schema: gitml/asset/v2"),
    "no schema": instead("schema", ""),
    "schema of another": instead("schema", "schema: gitml/config/v1"),
    "LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n",
    "md5": instead("digest", "  digest: md5:" + "0" * 32),
    "sha1": instead("digest", "  digest: sha1:" + "0" * 40),
    "upper digest": instead("digest", "  digest: sha256:" + "A" * 64),
    "short digest": instead("digest", "  digest: sha256:" + "0" * 63),
    "long digest": instead("digest", "  digest: sha256:" + "0" * 65),
    "digest newline": instead("digest", '  digest: "sha256:' + "0" * 64 + '\\n"'),
    "no listing": instead("listing", ""),
    "store a URL": instead("store", '  store: "s3://evil/bucket"'),
    "store a path": instead("store", "  store: ../../etc"),
    "store a scheme": instead("store", '  store: "file:///etc"'),
    "review leaves": instead("review", "  review: [../../../etc/passwd]"),
    "review absolute": instead("review", "  review: [/etc/passwd]"),
    "review git": instead("review", "  review: [.git/config]"),
    "review control": instead("review", '  review: ["a\\u001bb"]'),
    "conflict": POINTER.replace(
        "files: 1", "<<<<<<< ours\n  files: 1\n=======\n  files: 2\n>>>>>>> theirs"
    ).encode(),
    "BOM": b"\xef\xbb\xbf" + POINTER.encode(),
    "UTF-16": POINTER.encode("utf-16"),
    "UTF-16 without BOM": POINTER.encode("utf-16-le"),
    "latin-1": with_line("description: café").decode().encode("latin-1"),
    "surrogate": with_line('description: "\\ud800"'),
    "NUL": with_line("description: a\0b"),
    "review itself": instead("review", "  review: [asset.yaml]"),
    "escaped NUL": with_line('description: "a\\u0000b"'),
    "description of two lines": with_line('description: "a\\nb"'),
    "command with NUL": with_line('source: {command: "a\\u0000b"}'),
    "param with NUL in its name": with_line('params: {"a\\u0000b": 1}'),
    "param with NUL": with_line('params: {a: "a\\u0000b"}'),
    "metric with NUL in its name": with_line('metrics: {"a\\u0000b": 1}'),
    "spec with NUL in a name far down": with_line('spec: {a: [{"b\\u0000c": 1}]}'),
    "label without name": with_line('labels: {"": x}'),
    "input that moves": with_line(f"inputs: [{{ref: datasets/digits@latest, digest: 'sha256:{'0' * 64}'}}]"),
    "CRLF": POINTER.replace("\n", "\r\n").encode(),
    "CR": POINTER.replace("\n", "\r").encode(),
    "tab": with_line("params:\n\tx: 1"),
    "empty": b"",
    "blank": b"\n\n",
    "null": b"null\n",
    "a list": b"- 1\n",
    "text": b"hello\n",
    "two documents": POINTER.encode() + b"---\n" + POINTER.encode(),
    "directive": b"%YAML 1.1\n---\n" + POINTER.encode(),
    "end marker": POINTER.encode() + b"...\nx: 1\n",
    "binary": bytes(range(256)),
    "gzip": b"\x1f\x8b\x08\x00" * 20,
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
    "key a list": with_line("? [a]\n: 1"),
    "key a map": with_line("? {a: 1}\n: 1"),
    "key a number": with_line("labels: {1: a}"),
    "label a number": with_line("labels: {a: 1}"),
    "label null": with_line("labels: {a: null}"),
    "description a list": with_line("description: [a]"),
    "inputs text": with_line("inputs: datasets/x@1"),
    "input leaves": with_line('inputs:\n  - {ref: "../x@1", digest: "sha256:' + "0" * 64 + '"}'),
    "input without digest": with_line("inputs:\n  - {ref: datasets/x@1}"),
    "remote ref": with_line('spec: {$ref: "http://127.0.0.1:1/x"}\nparams: []'),
    "created a date": instead("created", "created: 2026-13-45T99:99:99Z"),
    "created text": instead("created", "created: yesterday"),
    "kind": with_line("").replace(b"  store: default", b"  store: default\n  kind: pickles"),
}


def planted(arena, files: Mapping[str, bytes], branch: str) -> str:
    """Make a branch of ada's clone that holds some more files, with git alone and without its work tree."""
    stream = [f"commit refs/heads/{branch}\ncommitter Eve <eve@example.com> now\ndata 5\nplant\n".encode()]
    stream += [b"from refs/heads/main\n"]
    stream += [
        f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n" for path, data in files.items()
    ]
    run(arena.ada.folder, "fast-import", "--quiet", "--date-format=now", stdin=b"".join(stream))
    return branch


@pytest.fixture
def plant(arena):
    """Plant files on a branch of the module's clone; the branch goes afterwards."""
    made: list[str] = []

    def planting(files: Mapping[str, bytes]) -> str:
        branch = f"evil-{len(made)}"
        made.append(branch)
        return planted(arena, files, branch)

    yield planting
    for branch in made:
        git(arena.ada.folder, "update-ref", "-d", f"refs/heads/{branch}")
    folders = []
    for change in arena.before.changes(arena.footprint()):
        path = Path(change[2:])
        assert change.startswith("+"), change
        assert "/.git/objects/" in change or "/.git/logs/" in change, change
        if path.is_dir():
            folders.append(path)
        else:
            path.unlink()
    for path in reversed(folders):
        path.rmdir()


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """No hostile document may cost much time or memory."""
    started = time.monotonic()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is this call's, whatever ran before it
    before = memory_kib("VmRSS")
    yield
    assert memory_kib("VmHWM") - before < 400 << 10
    assert time.monotonic() - started < 10


def memory_kib(kind: str) -> int:
    return int(Path("/proc/self/status").read_text().split(f"{kind}:")[1].split()[0])


@pytest.mark.parametrize("name", BAD_POINTERS)
def test_pointers(arena, plant, door: Door, name: str) -> None:
    branch = plant({"models/evil/1/asset.yaml": BAD_POINTERS[name]})
    verbs = [("get", {"output": arena.base / "place"})]
    if door is Door.PYTHON:
        verbs += [("show", {}), ("lineage", {})]
    for verb, options in verbs:
        with bounded():
            outcome = arena.call(door, verb, "models/evil@1", rev=branch, **options)
        assert_refused(outcome, 3, "models/evil/1/asset.yaml")
        assert SECRET not in outcome.said
    assert not (arena.base / "place").exists()


@pytest.mark.parametrize("name", list(BAD_POINTERS)[::9])
def test_pointers_do_not_spoil_the_rest(arena, plant, door: Door, name: str) -> None:
    """One bad version keeps nobody from the others; a list that has to read it, and verifying, say where it is."""
    branch = plant({"models/evil/1/asset.yaml": BAD_POINTERS[name]})
    assert arena.call(door, "show", "models/digits@1", rev=branch).exit_code == 0
    assert_refused(arena.call(door, "verify", all=True), (3, 6, 13), "models/evil")
    assert_refused(arena.call(door, "promote", source=branch, target="staging"), (3, 4, 12))


CONFIG = "schema: gitml/config/v1\nregistry: 6c1d0b9e-0000-4000-8000-000000000001\ndefault_branch: main\n"
BAD_CONFIGS: dict[str, str] = {
    "tag": "stores: !!python/object/apply:os.system ['id']",
    "bomb": LAUGHS,
    "duplicate": "registry: 6c1d0b9e-0000-4000-8000-000000000002",
    "store over http": "stores:\n  default: {url: 'http://evil/x'}",
    "chained store": "stores:\n  default: {url: 'simplecache::file:///etc'}",
    "data store": "stores:\n  default: {url: 'data:,x'}",
    "store at home": "stores:\n  default: {url: '~/x'}",
    "store by variable": "stores:\n  default: {url: '$HOME/x'}",
    "store without URL": "stores:\n  default: {}",
    "store a text": "stores:\n  default: /tmp",
    "store a list": "stores: []",
    "credentials": "stores:\n  default: {url: 's3://key:secretsecret@bucket/x'}",
    "store name": "stores:\n  ../x: {url: /tmp/x}",
    "stage name": "stages:\n  ../x: {from: []}",
    "stage option": "stages:\n  -x: {from: []}",
    "stage text": "stages: staging",
    "stage is latest": "stages:\n  latest: {from: []}",
    "from a number": "stages:\n  staging: {from: 3}",
    "type leaves": "types:\n  ../x: {}",
    "schema of later": "schema: gitml/config/v2",
    "forge a list": "forge: []",
    "metrics sideways": "metrics: {accuracy: sideways}",
    "deep": "x: " + "[" * 5000,
}
FATAL_CONFIGS: dict[str, str] = {
    "empty": "",
    "list": "- 1\n",
    "no id": "schema: gitml/config/v1\n",
    "id leaves": CONFIG.replace("6c1d0b9e-0000-4000-8000-000000000001", "../../x"),
    "id option": CONFIG.replace("6c1d0b9e-0000-4000-8000-000000000001", "-x"),
    "branch option": CONFIG.replace("main", "--upload-pack=x"),
    "branch leaves": CONFIG.replace("main", "../../x"),
    "branch blank": CONFIG.replace("main", "'a b'"),
    "binary": "\x00\x01",
    "conflict": "<<<<<<< ours\n" + CONFIG + ">>>>>>> theirs\n",
}


@pytest.mark.parametrize("name", [*BAD_CONFIGS, *FATAL_CONFIGS])
def test_configurations(arena, door: Door, name: str, tmp_path: Path) -> None:
    """A repository whose configuration is hostile: every verb refuses, and nothing is opened that it names."""
    text = CONFIG + BAD_CONFIGS[name] + "\n" if name in BAD_CONFIGS else FATAL_CONFIGS[name]
    folder = arena.base / f"config-{door.value}"
    git(arena.base, "init", "--quiet", str(folder))
    try:
        write(folder, {"gitml.yaml": text, "models/evil/1/asset.yaml": POINTER})
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", "evil")
        before = git(folder, "for-each-ref")
        for verb, words, options in (
            ("register", ["models/new", arena.contents], {}),
            ("list", [], {}),
            ("get", ["models/evil@1"], {"output": arena.base / "place"}),
            ("stores.list", [], {}),
        ):
            outcome = arena.call_in(folder, door, verb, *words, **options)
            assert "secretsecret" not in outcome.said
            if verb == "list" and outcome.exit_code == 0:
                continue  # no store has anything to do with it
            if verb == "stores.list" and outcome.exit_code == 0:
                # a list opens nothing: it says what is wrong
                assert "gitml.yaml: stores.default.url: " in outcome.said
                assert "cannot be a store" in outcome.said
                continue
            assert_refused(outcome, (3, 10, 12))
            assert "gitml.yaml" in outcome.said or outcome.exit_code != 3, outcome.said
        assert git(folder, "for-each-ref") == before
    finally:
        shutil.rmtree(folder)


BAD_SMALL = {
    "empty": b"",
    "list": b"[]\n",
    "number": b"current: 2\n",
    "leaves": b'current: "../2"\n',
    "tag": b"current: !!python/name:os.system\n",
    "bomb": LAUGHS.encode(),
    "duplicate": b'current: "1"\ncurrent: "2"\n',
    "conflict": b'<<<<<<< a\ncurrent: "1"\n=======\ncurrent: "2"\n>>>>>>> b\n',
    "binary": bytes(range(256)),
    "BOM": b'\xef\xbb\xbfcurrent: "1"\n',
    "deep": b"[" * 9999,
}


@pytest.mark.parametrize("name", BAD_SMALL)
def test_abouts(arena, door: Door, name: str, own_arena) -> None:
    """What is said of an asset as a whole is read from the default branch."""
    data = BAD_SMALL[name].replace(b"current", b"description")
    if name in ("number",):
        data = b"aliases: {champion: 2}\n"
    if name in ("leaves",):
        data = b'aliases: {champion: "../2"}\n'
    if name == "empty":
        data = b"aliases: []\n"
    folder = own_arena.ada.folder
    write(folder, {"models/digits/about.yaml": data})
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "evil")
    assert_refused(own_arena.call(door, "show", "models/digits@champion"), 3, "models/digits/about.yaml")
    assert_refused(own_arena.call(door, "alias", "models/digits", "champion", "1"), 3, "about.yaml")


@pytest.mark.parametrize("name", BAD_SMALL)
def test_stage_files(name: str, door: Door, own_arena) -> None:
    folder = own_arena.ada.folder
    git(folder, "switch", "--quiet", "--create", "staging", "origin/staging")
    write(folder, {"models/digits/staging.yaml": BAD_SMALL[name]})
    git(folder, "commit", "--quiet", "--all", "--message", "evil")
    git(folder, "push", "--quiet", "origin", "staging")
    git(folder, "switch", "--quiet", "main")
    assert_refused(own_arena.call(door, "show", "models/digits@staging"), 3, "models/digits/staging.yaml")
    assert_refused(own_arena.call(door, "rollback", "models/digits", target="staging"), (3, 4, 12))
    # One bad commit must not hide all that came before it.
    history = own_arena.call(door, "history", "staging")
    assert history.exit_code == 0 and "promoted" in history.said, history.said


EVENTS = {
    "empty": b"",
    "list": b"[]",
    "tag": b"!!python/name:os.system",
    "nan": b'{"number": NaN}',
    "deep": b"[" * 100000,
    "duplicate": b'{"number": 1, "number": 2}',
    "binary": bytes(range(256)),
    "huge": b'{"number": ' + b"9" * 5000 + b"}",
    "other": b'{"schema": "gitml/asset/v1"}',
    "large": b'"' + b"x" * 3_000_000 + b'"',
}


@pytest.mark.parametrize("name", EVENTS)
def test_events_of_requests(name: str, door: Door, own_arena) -> None:
    """Requests live in refs that anybody may push: a broken one is named, and does not become a merge."""
    folder = own_arena.ada.folder
    blob = run(folder, "hash-object", "-w", "--stdin", stdin=EVENTS[name])
    tree = run(folder, "mktree", stdin=f"100644 blob {blob}\tevent.json\n".encode())
    commit = run(folder, "commit-tree", "-p", "main", "-m", "opened", tree)
    git(folder, "push", "--quiet", "origin", f"{commit}:refs/gitml/requests/7")
    staging = git(own_arena.team.remote, "rev-parse", "staging")
    for verb in ("requests.show", "requests.approve", "requests.merge", "requests.close"):
        outcome = own_arena.call(door, verb, 7)
        assert_refused(outcome, 3, "7")
    assert git(own_arena.team.remote, "rev-parse", "staging") == staging
    listed = own_arena.call(door, "requests.list", state="all")
    assert listed.exit_code in (0, 3) and "Traceback" not in listed.said


BAD_FILES = {
    "tag": b"a: !!python/object/apply:os.system ['id']",
    "bomb": LAUGHS.encode(),
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": Infinity}',
    "overflow": b'{"a": 1e999}',
    "huge": b'{"a": ' + b"9" * 5000 + b"}",
    "duplicate": b'{"a": 1, "a": 2}',
    "deep": b'{"a": ' + b"[" * 10000,
    "list": b"[1]",
    "text": b"hello",
    "binary": bytes(range(256)),
    "BOM": b'\xef\xbb\xbf{"a": 1}',
    "pickle": b"\x80\x04K\x01.",
    "number": b"3",
    "empty": b"",
    "surrogate": b'{"a": "\\ud800"}',
    "large": b'{"a": "' + b"x" * 2_000_000 + b'"}',
    "remote ref": b'{"$ref": "http://127.0.0.1:1/x", "a": [1,',
}


@pytest.mark.parametrize("option", ["--metrics", "--params", "--spec"])
@pytest.mark.parametrize("name", BAD_FILES)
def test_files_on_the_command_line(arena, option: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / ("file.json" if BAD_FILES[name].lstrip()[:1] == b"{" else "file.yaml")
    path.write_bytes(BAD_FILES[name])
    with watched(arena.base, arena.home, outside=[arena.outside]):
        outcome = typed(arena.ada.folder, "register", "models/new", str(arena.contents), f"{option}={path}")
    assert_refused(outcome, 3, path.name)


BAD_FIELDS = [
    {"metrics": {"a": float("nan")}},
    {"metrics": {"a": float("inf")}},
    {"metrics": {"a": 2**60}},
    {"metrics": {"a": 10**400}},
    {"params": {"a": object()}},
    {"params": {"a": b"x"}},
    {"params": {"a": {1, 2}}},
    {"labels": {"a": 1}},
    {"labels": {1: "a"}},
    {"labels": {"a": "\ud800"}},
    {"params": {"a": "\ud800"}},
    {"spec": {"a": object()}},
    {"message": "\ud800"},
    {"labels": {"a": "x" * 70000}},
    {"inputs": ["datasets/none@1"]},
    {"bump": "minor"},
    {"source": "/etc/passwd/x"},
]


@pytest.mark.parametrize(
    "fields", BAD_FIELDS, ids=[f"{number}-{next(iter(fields))}" for number, fields in enumerate(BAD_FIELDS)]
)
def test_fields_from_python(arena, fields: dict[str, object]) -> None:
    outcome = arena.call(Door.PYTHON, "register", "models/new", arena.contents, **fields)
    assert_refused(outcome, (2, 3, 4))


SECRETS = {
    "aws": "AKIA" + "ABCDEFGHIJKLMNOP",
    "github": "ghp_" + "a1B2" * 9,
    "gitlab": "glpat-" + "a1B2c3D4e5F6g7H8i9J0",
    "hf": "hf_" + "aB3" * 12,
    "url": "https://user:hunter2hunter2@example.com/x",
    "azure": "AccountKey=" + "Ab1+" * 16,
    "key": "-----BEGIN RSA PRIVATE KEY-----",
    "slack": "xoxb-123456789012-abcdefghijkl",
    "sas": "https://x.blob.core.windows.net/c?sig=" + "Ab1%2F" * 8,
    "jwt": "eyJhbGciOiJI" + "UzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlMTIz",
}


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("field", ["message", "labels", "params", "command"])
def test_credentials_do_not_reach_git(arena, door: Door, name: str, field: str) -> None:
    value: object = SECRETS[name]
    if field in ("labels", "params"):
        value = {"token": value}
    outcome = arena.call(door, "register", "models/new", arena.contents, **{field: value})
    assert_refused(outcome, 3)
    for secret in (SECRETS[name], "hunter2hunter2"):
        if name != "key":
            assert secret not in outcome.said
    assert json.dumps(SECRETS[name])[1:-1] not in outcome.said or name == "key"
