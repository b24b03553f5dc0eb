"""What lies around a command: files to register, places to fill, repositories and stores that others made."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from support.canaries import (
    SECRET,
    Door,
    Footprint,
    assert_refused,
    call,
    printed,
    program,
    program_environment,
    watched,
)
from support.gitrepos import booby_trap, canary
from support.gitrepos import git as run
from support.team import git, read, write

from gitml.git import Repository

# --- files to register -------------------------------------------------------------------------------------------

BAD_FILES = {
    "backslash": "a\\b",
    "control": "a\x01b",
    "newline": "a\nb",
    "escape": "a\x1b[31mb",
    "delete": "a\x7fb",
    "C1": "a\u0085b",
    "not NFC": "e\u0301.txt",
    "git": ".git",
    "Git": ".GIT/config",
    "gitattributes": ".gitattributes",
    "gitmodules": ".gitmodules",
    "pointer": "asset.yaml",
    "Pointer": "ASSET.YAML",
    "about": "about.yaml",
    "kelvin not NFC": "\u212a",
    "long": "a/" * 520 + "b",
}
COLLISIONS = [
    ("A", "a"),
    ("README.md", "readme.md"),
    ("ß", "ss"),
    ("ﬀ", "ff"),
    ("ǅ", "ǆ"),
    ("Σ", "ς"),
    ("d/x", "D/y"),
    ("İ", "i̇"),
]
RAW = [b"\xff", b"a\xc3", b"\xed\xa0\x80"]


@pytest.mark.parametrize("name", BAD_FILES)
def test_names_of_files(arena, door: Door, name: str, tmp_path: Path) -> None:
    try:
        write(tmp_path / "in", {"good.txt": "x", BAD_FILES[name]: "x"})
    except OSError:
        pytest.skip("this file system cannot hold it")
    assert_refused(arena.call(door, "register", "models/new", tmp_path / "in"), 3)


@pytest.mark.parametrize("name", RAW, ids=["byte", "half", "surrogate"])
def test_names_that_are_no_text(arena, door: Door, name: bytes, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + name)).write_bytes(b"x")
    assert_refused(arena.call(door, "register", "models/new", tmp_path / "in"), 3)


@pytest.mark.parametrize("names", COLLISIONS, ids=lambda names: ascii(names[0]))
def test_names_that_collide(arena, door: Door, names: tuple[str, str], tmp_path: Path) -> None:
    write(tmp_path / "in", dict.fromkeys(names, "x"))
    assert_refused(arena.call(door, "register", "models/new", tmp_path / "in"), 3)


@pytest.mark.parametrize("kind", ["fifo", "socket", "link", "dangling", "loop", "folder link", "device"])
def test_special_files(arena, door: Door, kind: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"good.txt": "x"})
    path = folder / "odd"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        before = os.getcwd()
        os.chdir(folder)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("odd")
        os.chdir(before)
    elif kind == "device":
        path = Path("/dev/zero")
        folder = path
    else:
        target = {
            "link": arena.outside / "sentinel.txt",
            "dangling": "nowhere",
            "loop": "odd",
            "folder link": arena.outside,
        }
        path.symlink_to(target[kind])
    started = time.monotonic()
    outcome = arena.call(door, "register", "models/new", folder)
    assert_refused(outcome, 3, path.name)
    assert time.monotonic() - started < 5


def test_a_link_is_followed_only_when_asked(own_arena, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"good.txt": "x"})
    write(tmp_path / "elsewhere", {"far.txt": "far"})
    (folder / "far.txt").symlink_to(tmp_path / "elsewhere/far.txt")
    (folder / "loop").symlink_to(folder)
    assert_refused(own_arena.call(Door.CLI, "register", "models/new", folder, follow_links=True), 3, "loop")
    (folder / "loop").unlink()
    assert own_arena.call(Door.CLI, "register", "models/new", folder, follow_links=True).exit_code == 0


def test_archives_are_bytes(own_arena, tmp_path: Path) -> None:
    """Nothing is unpacked, loaded or believed because of its name or its first bytes."""
    files = {
        "model.pkl": b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.",
        "model.pt": b"PK\x03\x04" + bytes(100),
        "slip.tar": bytes(1024),
        "model.h5": b"\x89HDF\r\n\x1a\n" + bytes(50),
        "x.npy": b"\x93NUMPY" + bytes(50),
        "model.safetensors": b"\xff" * 100,
        "pointer.txt": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n",
        "model.onnx": b"external_data ../../../etc/passwd",
        "index.json": b'{"weight_map": {"a": "../../../etc/passwd"}}',
    }
    folder = write(tmp_path / "in", files)
    assert own_arena.call(Door.CLI, "register", "models/new", folder).exit_code == 0
    assert own_arena.call(Door.CLI, "get", "models/new@1", output=own_arena.base / "place").exit_code == 0
    assert read(own_arena.base / "place") == files
    assert not Path("pwned").exists()


@pytest.mark.parametrize("paths", [["."], ["/"], [".."], ["missing"], ["", ""]], ids=str)
def test_paths_to_register(arena, door: Door, paths: list[str], tmp_path: Path) -> None:
    write(tmp_path, {"same/a.txt": "x"})
    if paths in (["/"], ["."], [".."]):
        pytest.skip("a whole disk is nobody's contents, but no rule forbids it")
    words = [str(tmp_path / path) if path in ("missing", "same") else path for path in paths]
    assert_refused(arena.call(door, "register", "models/new", *words), (2, 3, 4))


def test_an_empty_folder(arena, door: Door, tmp_path: Path) -> None:
    (tmp_path / "in/only/folders").mkdir(parents=True)
    assert_refused(arena.call(door, "register", "models/new", tmp_path / "in"), 3, "empty")


# --- places to fill ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["file", "parent", "destination file"])
def test_links_in_the_way(own_arena, door: Door, at: str) -> None:
    """Whatever stands at the destination, nothing outside of it is written."""
    arena = own_arena
    contents = write(arena.base / "deep", {"a/b/c.txt": "new", "d.txt": "new"})
    arena.ada.registry.register("models/deep", contents)
    place = arena.base / "place"
    before = Footprint.of(arena.outside)
    if at == "file":
        write(place, {})
        place.mkdir()
        (place / "d.txt").symlink_to(arena.outside / "sentinel.txt")
    elif at == "parent":
        place.mkdir()
        (place / "a").symlink_to(arena.outside)
    else:
        place.write_text("mine")
    assert_refused(arena.call(door, "get", "models/deep@1", output=place), (5, 10))
    arena.call(door, "get", "models/deep@1", output=place, force=True)
    assert before.changes(Footprint.of(arena.outside)) == []
    assert not (arena.outside / "b").exists()


def test_a_hard_link_in_the_way(own_arena, door: Door) -> None:
    arena = own_arena
    place = arena.base / "place"
    place.mkdir()
    os.link(arena.outside / "sentinel.txt", place / "weights.bin")
    assert_refused(arena.call(door, "get", "models/digits@1", output=place), 5)
    assert arena.call(door, "get", "models/digits@1", output=place, force=True).exit_code == 0
    assert (arena.outside / "sentinel.txt").read_text() == SECRET
    assert (place / "weights.bin").read_bytes() == b"\x00\x01\x02"


def test_a_fifo_in_the_way(own_arena, door: Door) -> None:
    place = own_arena.base / "place"
    place.mkdir()
    os.mkfifo(place / "weights.bin")
    started = time.monotonic()
    assert_refused(own_arena.call(door, "get", "models/digits@1", output=place), 5)
    assert time.monotonic() - started < 5


def test_a_version_folder_that_git_made_a_link(own_arena, door: Door) -> None:
    """A repository may hold a link where a version's folder is expected."""
    folder = own_arena.ada.folder
    blob = run(folder, "hash-object", "-w", "--stdin", stdin=str(own_arena.outside).encode())
    run(folder, "update-index", "--add", "--cacheinfo", f"120000,{blob},models/linked")
    git(folder, "commit", "--quiet", "--message", "link")
    git(folder, "checkout", "--quiet", "--", ".")
    before = Footprint.of(own_arena.outside)
    assert_refused(own_arena.call(door, "get", "models/linked@1"), (2, 4))
    outcome = own_arena.call(door, "register", "models/linked", own_arena.contents)
    assert outcome.exit_code in (0, 3, 5, 10), outcome.said
    assert before.changes(Footprint.of(own_arena.outside)) == []


def test_what_the_user_changed_stays(own_arena, door: Door) -> None:
    place = own_arena.base / "place"
    assert own_arena.call(door, "get", "models/digits@1", output=place).exit_code == 0
    (place / "weights.bin").write_bytes(b"mine")
    write(place, {"own.txt": "own"})
    assert_refused(own_arena.call(door, "get", "models/digits@1", output=place), 5, "weights.bin")
    assert read(place)["weights.bin"] == b"mine" and read(place)["own.txt"] == b"own"


# --- repositories that others made -------------------------------------------------------------------------------

VERBS: list[tuple[str, list[str], dict[str, object]]] = [
    ("list", [], {}),
    ("show", ["models/digits@1"], {"files": True}),
    ("get", ["models/digits@1"], {}),
    ("status", [], {}),
    ("verify", [], {"all": True, "deep": True}),
    ("diff", ["models/digits@1", "models/digits@1"], {}),
    ("alias", ["models/digits", "champion", "1"], {}),
    ("deprecate", ["models/digits@1"], {"message": "old"}),
    ("pull", [], {}),
    ("promote", ["models/digits@1"], {"target": "production"}),
    ("history", ["staging"], {}),
    ("doctor", [], {}),
]


def test_no_program_of_a_repository_runs(own_arena, door: Door, tmp_path: Path) -> None:
    """Every hook, filter, driver, pager and helper that a repository can name is a canary."""
    trap = canary(tmp_path / "trap")
    booby_trap(Repository.discover(own_arena.ada.folder), trap)
    write(own_arena.ada.folder, {".gitattributes": "* filter=evil diff=evil merge=evil\n"})
    for verb, words, options in VERBS:
        if verb == "doctor" and door is Door.PYTHON:
            continue
        outcome = own_arena.call(door, verb, *words, **options)
        assert outcome.exit_code in (0, 1, 12), (verb, outcome.said)
        assert trap.alive, (verb, trap.told())
    outcome = own_arena.call(door, "register", "models/new", own_arena.contents)
    assert outcome.exit_code == 0, outcome.said
    assert trap.alive, trap.told()


HOSTILE_VARIABLES = {
    "GIT_DIR": "/nonexistent",
    "GIT_WORK_TREE": "/",
    "GIT_INDEX_FILE": "/nonexistent/index",
    "GIT_OBJECT_DIRECTORY": "/nonexistent",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/nonexistent",
    "GIT_SSH_COMMAND": "{trap}",
    "GIT_SSH": "{trap}",
    "GIT_EXTERNAL_DIFF": "{trap}",
    "GIT_PAGER": "{trap}",
    "GIT_EDITOR": "{trap}",
    "GIT_SEQUENCE_EDITOR": "{trap}",
    "GIT_ASKPASS": "{trap}",
    "GIT_PROXY_COMMAND": "{trap}",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "{trap}",
    "GIT_CONFIG_PARAMETERS": "'core.fsmonitor={trap}'",
    "GIT_EXEC_PATH": "/nonexistent",
    "GIT_TEMPLATE_DIR": "/nonexistent",
    "GIT_NAMESPACE": "evil",
    "GIT_REPLACE_REF_BASE": "refs/evil",
    "GIT_TRACE": "/tmp/gitml-evil-trace",
    "GIT_COMMON_DIR": "/nonexistent",
    "GIT_SHALLOW_FILE": "/nonexistent",
    "GIT_QUARANTINE_PATH": "x",
    "GIT_LITERAL_PATHSPECS": "0",
    "GIT_DEFAULT_HASH": "sha256",
    "GIT_ALLOW_PROTOCOL": "ext",
    "PAGER": "{trap}",
    "EDITOR": "{trap}",
    "LESSOPEN": "|{trap}",
    "GIT_PYTHON_GIT_EXECUTABLE": "{trap}",
    "GIT_PYTHON_TRACE": "full",
    "PYTHONWARNINGS": "ignore",
}


def test_hostile_variables(own_arena, environment: dict[str, str], tmp_path: Path) -> None:
    """The whole program with the worst of environments does what it does in a clean one."""
    trap = canary(tmp_path / "trap")
    bad = {name: value.format(trap=trap.program) for name, value in HOSTILE_VARIABLES.items()}
    for line in (
        ["list"],
        ["register", "models/new", str(own_arena.contents)],
        ["push"],
        ["get", "models/new@1", "-o", str(tmp_path / "out")],
    ):
        done = subprocess.run(
            program(*line),
            cwd=own_arena.ada.folder,
            env={**program_environment(environment), **bad},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert trap.alive, trap.told()
    assert not Path("/tmp/gitml-evil-trace").exists()
    assert read(tmp_path / "out") == read(own_arena.contents)


def test_a_git_in_the_current_folder(own_arena, environment: dict[str, str], tmp_path: Path) -> None:
    trap = canary(tmp_path / "trap")
    for name in ("git", "ssh", "env", "sh", "python", "git-upload-pack"):
        shutil.copy(trap.program, own_arena.ada.folder / name)
    path = f".:{own_arena.ada.folder}::{environment['PATH']}"
    done = subprocess.run(
        program("list"),
        cwd=own_arena.ada.folder,
        env={**program_environment(environment), "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert trap.alive, trap.told()


def test_submodules_and_links_in_the_registry(own_arena, door: Door) -> None:
    """A gitlink, a link, or a folder where a pointer is expected is no version, and nothing is fetched for it."""
    folder = own_arena.ada.folder
    blob = run(folder, "hash-object", "-w", "--stdin", stdin=b"/etc/passwd")
    head = git(folder, "rev-parse", "HEAD")
    for mode, oid, path in (
        ("160000", head, "models/sub/1"),
        ("120000", blob, "models/link/1/asset.yaml"),
        ("100644", blob, "models/deep/1/asset.yaml/x"),
        ("120000", blob, "models/file/1"),
        ("160000", head, "datasets"),
    ):
        run(folder, "update-index", "--add", "--cacheinfo", f"{mode},{oid},{path}")
    run(folder, "update-index", "--add", "--cacheinfo", f"100644,{blob},.gitmodules")
    git(folder, "commit", "--quiet", "--message", "odd")
    for name in ("sub", "link", "deep", "file"):
        assert_refused(own_arena.call(door, "show", f"models/{name}@1"), (3, 4))
        assert_refused(
            own_arena.call(door, "get", f"models/{name}@1", output=own_arena.base / "place"), (3, 4)
        )
    listed = own_arena.call(door, "list")
    assert listed.exit_code == (0 if door is Door.PYTHON else 13) and "root:" not in listed.said, listed.said


ODD_NAMES = [
    b"models/digits/a\nb/asset.yaml",
    b"models/digits/\xff/asset.yaml",
    b'models/digits/"q"/asset.yaml',
    b"models/-x/1/asset.yaml",
    b"models/\x1b[31m/1/asset.yaml",
    b"models/..x/1/asset.yaml",
    b"models/digits/ /asset.yaml",
    b"models/Upper/1/asset.yaml",
    b"models/digits/con/asset.yaml",
    b"models/di\xe2\x80\xaegits/1/asset.yaml",
]


@pytest.mark.parametrize("path", ODD_NAMES, ids=lambda path: ascii(path)[9:30])
def test_odd_names_in_git(own_arena, path: bytes) -> None:
    """Names that no command would make, but a plain commit can: they are no versions, and they disturb nobody."""
    folder = own_arena.ada.folder
    oid = git(folder, "rev-parse", "HEAD:models/digits/1/asset.yaml")
    run(folder, "update-index", "-z", "--index-info", stdin=f"100644 {oid}\t".encode() + path + b"\0")
    git(folder, "commit", "--quiet", "--message", "odd")
    for door in (Door.CLI, Door.JSON, Door.PYTHON):
        listed = own_arena.call(door, "list")
        assert listed.exit_code == 0, listed.said
        assert own_arena.call(door, "show", "models/digits@1").exit_code == 0
    assert (
        own_arena.call(Door.CLI, "register", "models/digits", own_arena.contents, message="again").exit_code
        == 0
    )


def test_a_file_of_another_encoding_elsewhere(own_arena, door: Door) -> None:
    """Code in the same repository may have names that are no UTF-8: they stay as they are, and disturb nothing."""
    folder = own_arena.ada.folder
    oid = git(folder, "rev-parse", "HEAD:gitml.yaml")
    run(folder, "update-index", "-z", "--index-info", stdin=f"100644 {oid}\t".encode() + b"src/caf\xe9.txt\0")
    git(folder, "commit", "--quiet", "--message", "Code")
    for verb, words, options in (
        ("list", [], {}),
        ("register", ["models/new", own_arena.contents], {}),
        ("push", [], {}),
        ("promote", ["models/new@1"], {"target": "staging"}),
        ("verify", [], {"all": True}),
    ):
        outcome = own_arena.call(door, verb, *words, **options)
        assert outcome.exit_code == 0, (verb, outcome.said)
    assert own_arena.call(door, "requests.merge", 2).exit_code == 0
    tree = run(own_arena.team.remote, "-c", "core.quotePath=true", "ls-tree", "-r", "--name-only", "staging")
    assert "src/caf\\351.txt" not in tree
    tree = run(own_arena.team.remote, "-c", "core.quotePath=true", "ls-tree", "-r", "--name-only", "main")
    assert "src/caf\\351.txt" in tree


def test_a_remote_with_broken_objects(own_arena, door: Door) -> None:
    """Objects that break git's rules do not come in."""
    remote = own_arena.team.remote
    blob = run(remote, "hash-object", "-w", "--stdin", stdin=b"x")
    tree = run(
        remote,
        "hash-object",
        "-t",
        "tree",
        "-w",
        "--literally",
        "--stdin",
        stdin=b"100644 .git\0" + bytes.fromhex(blob),
    )
    author = "Eve <eve@example.com> 0 +0000"
    commit = run(
        remote,
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--literally",
        "--stdin",
        stdin=f"tree {tree}\nparent {git(remote, 'rev-parse', 'main')}\nauthor {author}\ncommitter {author}\n\nevil\n".encode(),
    )
    run(remote, "update-ref", "refs/heads/main", commit)
    before = git(own_arena.ada.folder, "for-each-ref")
    for verb in ("pull", "push"):
        assert_refused(own_arena.call(door, verb), (5, 6))
    assert git(own_arena.ada.folder, "for-each-ref") == before


def test_output_cannot_act_on_a_terminal(own_arena) -> None:
    """Text of a pointer is shown, never obeyed."""
    evil = "\x1b]0;owned\x07\x1b[2J\u202eabc\r\n"
    own_arena.ada.registry.register(
        "models/shown",
        own_arena.contents,
        labels={"a": "\x1b[31m\u202e"},
        params={"p": evil},
        command="\x1b[2J",
        inputs=["models/digits@1"],
    )
    for line in (
        ["list"],
        ["list", "models/shown"],
        ["show", "models/shown@1"],
        ["diff", "models/digits@1", "models/shown@1"],
        ["lineage", "models/shown@1"],
    ):
        # `printed`, which every call goes through, refuses control characters in what people see.
        outcome = call(Door.CLI, own_arena.ada.folder, line[0], *line[1:])
        assert outcome.exit_code == 0, outcome.said


# --- stores that others made -------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["packs", "manifests", "roots", "gitml-store.json"])
def test_links_inside_a_store(own_arena, door: Door, what: str) -> None:
    """A link in a store leads nowhere: what lies outside is neither read nor written."""
    store = own_arena.team.store
    target = store / what
    moved = own_arena.outside / "moved"
    shutil.move(target, moved)
    target.symlink_to(moved)
    before = Footprint.of(own_arena.outside)
    place = own_arena.base / "place"
    with watched(own_arena.base, own_arena.home):
        outcome = call(door, own_arena.ada.folder, "get", "models/digits@1", output=place)
        if what != "gitml-store.json":
            assert_refused(outcome, 10, what)
            assert not place.exists() or read(place) == {}
        again = call(
            door, own_arena.ada.folder, "register", "models/new", write(own_arena.base / "n", {"n": what})
        )
        if what != "gitml-store.json":
            assert_refused(again, 10)
    assert before.changes(Footprint.of(own_arena.outside)) == []


def test_a_changed_location_of_a_store_is_not_followed(own_arena, door: Door) -> None:
    folder = own_arena.ada.folder
    assert own_arena.call(door, "get", "models/digits@1", output=own_arena.base / "one").exit_code == 0
    text = (folder / "gitml.yaml").read_text()
    assert "../store" in text
    (folder / "gitml.yaml").write_text(text.replace("../store", "../other-store"))
    git(folder, "commit", "--quiet", "--all", "--message", "move")
    for verb, words, options in (
        ("get", ["models/digits@1"], {"output": own_arena.base / "two"}),
        ("register", ["models/new", own_arena.contents], {}),
    ):
        outcome = own_arena.call(door, verb, *words, **options)
        assert_refused(outcome, 10)
        assert "gitml store trust default" in outcome.hint
    assert not (own_arena.base / "other-store").exists()
    assert own_arena.call(door, "stores.trust", "default").exit_code == 0
    assert own_arena.call(door, "register", "models/new", own_arena.contents).exit_code == 0


def test_planted_temporary_files(own_arena, door: Door) -> None:
    """A guessed temporary name that leads elsewhere is not written through."""
    for top in (own_arena.team.store, own_arena.ada.folder / ".git", own_arena.ada.folder / ".git/gitml"):
        for name in (
            ".tmp-0000000000000000",
            "gitml-store.json.tmp",
            ".record.1",
            "index.lock.tmp",
            f".record.{os.getpid()}",
        ):
            if top.is_dir() and not (top / name).exists():
                (top / name).symlink_to(own_arena.outside / "sentinel.txt")
    assert own_arena.call(door, "register", "models/new", own_arena.contents, message="x").exit_code == 0
    assert own_arena.call(door, "get", "models/new@1", output=own_arena.base / "place").exit_code == 0
    assert (own_arena.outside / "sentinel.txt").read_text() == SECRET


def test_an_edit_within_one_tick_is_seen(own_arena) -> None:
    """Same size, same moment, other bytes: the memory of what was placed does not hide it."""
    place = own_arena.ada.folder / "models/digits/1"
    for number in range(20):
        assert own_arena.call(Door.PYTHON, "get", "models/digits@1", force=True).exit_code == 0
        status = (place / "weights.bin").stat()
        (place / "weights.bin").write_bytes(bytes([number + 3, 1, 2]))
        os.utime(place / "weights.bin", ns=(status.st_atime_ns, status.st_mtime_ns))
        outcome = own_arena.call(Door.PYTHON, "status")
        assert "weights.bin" in outcome.said, outcome.said


def test_the_installed_program_leaks_nothing(own_arena, environment: dict[str, str]) -> None:
    """Secrets in the environment, in an address and in the user's settings stay there, whatever fails."""
    secret = "hunter2-" + "s3cr3t" * 4
    folder = own_arena.ada.folder
    git(folder, "remote", "set-url", "origin", f"https://user:{secret}@127.0.0.1:1/x.git")
    env = {**program_environment(environment), "AWS_SECRET_ACCESS_KEY": secret, "GITML_TOKEN": secret}
    for line in (
        ["push"],
        ["pull"],
        ["pr", "list"],
        ["status", "--remote"],
        ["promote", "models/digits@1", "-t", "staging"],
        ["doctor"],
        ["store", "list"],
        ["show", "models/digits@1", "--raw"],
    ):
        for flags in ([], ["--json"], ["-vv"]):
            done = subprocess.run(program(*line, *flags), cwd=folder, env=env, capture_output=True, text=True)
            assert secret not in done.stdout + done.stderr, (line, flags)
            if not flags and line[0] in ("push", "pull"):
                assert_refused(printed(done.returncode, done.stdout, done.stderr), (7, 10))
