"""Locations of external data: typed by people, and planted by others in pointers and in lists of references."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from support.canaries import SECRET, Door, assert_refused
from support.team import git, write

from gitml.registry.workspace import Workspace
from gitml.store.external.listed import LinesSource
from gitml.store.store import Claimed

LOCATIONS = [
    "simplecache::file:///etc/passwd", "filecache::s3://bucket/x", "blockcache://x", "local:///etc/passwd", "data://x",
    "memory://x", "github://o:r@main/x", "reference://x", "zip://x::s3://b", "ftp://h/x", "sftp://h/x", "gs://bucket/x",
    "hf://datasets/x", "ext::sh -c id://x", "HTTPS://example.com/x", "http://169.254.169.254/latest/meta-data/iam",
    "http://example.com/x", "https://example.com", "https://example.com/", "https://user:pw@example.com/x",
    f"https://example.com/x?sig={SECRET}", f"https://example.com/x?X-Amz-Signature={SECRET}", f"https://:{SECRET}@h.example/x",
    f"https://example.com/x?token={SECRET}", "https://example.com/../x", "https://example.com/%2e%2e/x",
    "https://example.com/a b", "https://example.com/x#y", "https://example.com\\@evil/x", "file://host/x", "file:////srv/x",
    "file:///a/../etc/passwd", "file:///a%2fb", "file:///{{x}}/..", "s3://", "s3://Bucket/x", "s3://bucket/../x",
    "s3://bucket//x", f"s3://key:{SECRET}@bucket/x", "s3://bucket/a\nb", "s3://bucket/\x1b[31m", "s3://bucket/\u202ex",
    "az://Models/x", "abfs://c01@evil.example.com/x", "s3://bucket/" + "x" * 4000,
]  # fmt: skip


@pytest.mark.parametrize("text", LOCATIONS, ids=range(len(LOCATIONS)))
def test_locations_that_people_type(arena, door: Door, text: str) -> None:
    for verb, words, options in (
        ("register", ["datasets/raw", text], {"reference": True}),
        ("stores.trust", [text], {}),
    ):
        outcome = arena.call(door, verb, *words, **options)
        assert_refused(outcome, (2, 3))
        assert "pw@" not in outcome.message


@pytest.mark.parametrize("text", ["s3://bucket/x", "https://example.com/x", "file:///etc/passwd"])
def test_locations_without_the_word(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "register", "datasets/raw", text), 2)


def planted(arena, rows: list[bytes], sources: list[str], *, size: int) -> None:
    """Store a list of references and commit a pointer to it, as somebody with another program might."""
    folder = arena.ada.folder
    ws = Workspace.open(folder)
    pointer = ws.head().pointer(ws.head().ids()[0])
    stores = ws.stores(ws.config)
    lines = LinesSource(rows)
    written = stores.configured().write(lines)
    lines.close()
    text = (folder / pointer.id.folder / "asset.yaml").read_text().replace('version: "1"', 'version: "9"')
    root = written.root
    head, _, rest = text.partition("contents:\n")
    rest = re.sub(r"\A(?:  .*\n)+", "", rest)
    listed = "".join(f"      - {json.dumps(url)}\n" for url in sources)
    contents = (
        f'contents:\n  kind: references\n  digest: "{root.tree}"\n  listing: "{root.listing}"\n'
        f"  size: {root.size_bytes}\n  files: 1\n  store: default\n  review: []\n"
        f"  external:\n    files: {len(rows)}\n    size: {size}\n    from:\n{listed}"
    )
    write(folder, {"models/digits/9/asset.yaml": head + contents + rest})
    git(folder, "add", "--all", "models")
    git(folder, "commit", "--quiet", "--message", "x")
    planted_id = next(id_ for id_ in Workspace.open(folder).head().ids() if id_.version.text == "9")
    assert isinstance(stores.configured().claim(stores.key(planted_id), written), Claimed)


def row(path: str, url: str, size: int, sha256: str | None = "0" * 64, etag: str | None = None) -> bytes:
    value = {"path": path, "url": url, "size": size, "etag": etag, "version_id": None, "sha256": sha256}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


READS = (
    ("get", ["models/digits@9"], {}),
    ("get", ["models/digits@9:passwd"], {}),
    ("verify", ["models/digits@9"], {}),
    ("stores.adopt", ["models/digits@9"], {}),
)


def test_a_private_file_is_not_read(own_arena, door: Door) -> None:
    """A pointer that names a file of this machine gets nobody to read it."""
    secret = own_arena.outside / "sentinel.txt"
    digest = hashlib.sha256(secret.read_bytes()).hexdigest()
    size = secret.stat().st_size
    planted(own_arena, [row("passwd", f"file://{secret}", size, digest)], [f"file://{secret}"], size=size)
    for verb, words, options in READS:
        place = {"output": own_arena.base / "place"} if verb == "get" else {}
        outcome = own_arena.call(door, verb, *words, **options, **place)
        assert_refused(outcome, 10)
        assert "gitml store trust" in outcome.hint
        assert not (own_arena.base / "place").exists()


def test_rows_outside_of_what_the_pointer_names(own_arena, door: Door) -> None:
    """What was trusted is the folder that the pointer names, and no row leads out of it."""
    fine = write(own_arena.base / "fine", {"a": "a"})
    secret = own_arena.outside / "sentinel.txt"
    size = secret.stat().st_size
    planted(own_arena, [row("passwd", f"file://{secret}", size)], [f"file://{fine}"], size=size)
    assert own_arena.call(door, "stores.trust", f"file://{fine}").exit_code == 0
    for verb, words, options in READS:
        place = {"output": own_arena.base / "place"} if verb == "get" else {}
        assert_refused(own_arena.call(door, verb, *words, **options, **place), 6)


HOSTILE_ROWS = {
    "leaves": row("../../evil", "file:///FINE/a", 1),
    "absolute": row("/etc/evil", "file:///FINE/a", 1),
    "git": row(".git/hooks/post-checkout", "file:///FINE/../../etc/passwd", 1),
    "url leaves": row("a", "file:///FINE/../outside/sentinel.txt", 1),
    "metadata": row("a", "http://169.254.169.254/latest", 1),
    "no digest": row("a", "file:///FINE/a", 1, None),
    "unknown key": row("a", "file:///FINE/a", 1)[:-2] + b',"offset":1}\n',
    "not sorted": row("b", "file:///FINE/b", 1) + row("a", "file:///FINE/a", 1),
    "bomb": b"[" * 100_000 + b"\n",
    "endless line": b" " * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE_ROWS)
def test_hostile_rows(own_arena, door: Door, name: str) -> None:
    fine = write(own_arena.base / "fine", {"a": "a", "b": "b"})
    data = HOSTILE_ROWS[name].replace(b"/FINE", str(fine).encode())
    planted(own_arena, [data], [f"file://{fine}"], size=1)
    assert own_arena.call(door, "stores.trust", f"file://{fine}").exit_code == 0
    outcome = own_arena.call(door, "get", "models/digits@9", output=own_arena.base / "place")
    assert_refused(outcome, 6, "references.jsonl")
    assert not (own_arena.base / "place").exists()


def test_a_link_swapped_in_while_files_are_placed(own_arena, door: Door, tmp_path: Path) -> None:
    """A folder that was trusted, in which somebody then plants a link to elsewhere."""
    data = write(own_arena.base / "shared", {"deep/a.txt": SECRET})
    assert own_arena.call(door, "register", "datasets/raw", data, reference=True).exit_code == 0
    shutil.move(data / "deep", own_arena.outside / "deep")
    (data / "deep").symlink_to(own_arena.outside / "deep")
    outcome = own_arena.call(door, "get", "datasets/raw@1", output=own_arena.base / "place")
    assert_refused(outcome, 6)
    assert not list((own_arena.base / "place").rglob("*.txt"))
