"""Reads git objects through one `cat-file` process that stays open, and takes their bytes apart.

The process is started when it is first needed, once for each operating-system process; requests are separated by
NUL, so that no text can become a second request, and none of it is ever an argument.
"""

from __future__ import annotations

import codecs
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gitml.errors import IntegrityError, UsageError
from gitml.git.command import GitCommand, Process
from gitml.git.failures import failure
from gitml.git.types import Commit, Person, TreeEntry

_BATCH: Final = 400  # requests in flight; they must fit into a pipe, which holds 64 KiB
_ANSWER: Final = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64}) ([a-z]+) (\d+)\n\Z")
_MOMENT: Final = re.compile(rb" (-?\d{1,20}) [+-]\d{4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawObject:
    """An object as git stores it."""

    oid: str
    kind: str
    data: bytes


class ObjectReader:
    """One open `git cat-file --batch-command`; safe to use from several threads."""

    def __init__(self, command: GitCommand) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._owner = 0

    def info(self, name: str) -> tuple[str, str, int] | None:
        """Return id, kind and size in bytes of the object that a revision text names; None when there is none."""
        with self._lock:
            header = next(self._ask([(b"info", name)]))[0]
        return None if header is None else (header[0], header[1], header[2])

    def read(self, name: str) -> RawObject | None:
        """Return the object that a revision text names; None when there is none."""
        return self.read_many([name])[0]

    def read_many(self, names: Sequence[str]) -> list[RawObject | None]:
        """Return the objects that revision texts name, in their order; None for those that do not exist."""
        found: list[RawObject | None] = []
        with self._lock:
            for header, data in self._ask([(b"contents", name) for name in names]):
                found.append(None if header is None else RawObject(oid=header[0], kind=header[1], data=data))
        return found

    def infos(self, names: Sequence[str]) -> list[tuple[str, str, int] | None]:
        """As :meth:`info`, for many."""
        with self._lock:
            return [header for header, _ in self._ask([(b"info", name) for name in names])]

    def close(self) -> None:
        """End the process; the next request starts another."""
        with self._lock:
            self._stop()

    def _ask(self, requests: list[tuple[bytes, str]]) -> Iterator[tuple[tuple[str, str, int] | None, bytes]]:
        for start in range(0, len(requests), _BATCH):
            batch = requests[start : start + _BATCH]
            process = self._running()
            try:
                process.stdin.write(b"".join(_request(verb, name) for verb, name in batch) + b"flush\0")
                process.stdin.flush()
                answers = [self._answer(process, verb) for verb, _ in batch]
            except BaseException:
                self._stop()
                raise
            self._drain(process)
            yield from answers

    def _answer(self, process: Process, verb: bytes) -> tuple[tuple[str, str, int] | None, bytes]:
        line = process.stdout.readline()
        match = _ANSWER.match(line)
        if match is None:
            if line.endswith((b" missing\n", b" ambiguous\n")):
                return None, b""
            raw = process.stderr.read() if line == b"" else line
            raise failure(raw.decode("utf-8", "replace"), 128, what="an object could not be read")
        oid, kind, size = match[1].decode(), match[2].decode(), int(match[3])
        if verb == b"info":
            return (oid, kind, size), b""
        data = process.stdout.read(size + 1)
        if len(data) != size + 1:
            said = process.stderr.read().decode("utf-8", "replace")
            raise failure(said or "object file is corrupt", 128, what=f"object {oid} could not be read")
        return (oid, kind, size), data[:-1]

    def _running(self) -> Process:
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        self._stop()
        process = self._command.start("cat-file", "--batch-command", "--buffer", "-z")
        os.set_blocking(process.stderr.fileno(), True)
        self._process, self._owner = process, os.getpid()
        return process

    def _drain(self, process: Process) -> None:
        """Take warnings away, so that git never blocks on a full pipe."""
        descriptor = process.stderr.fileno()
        os.set_blocking(descriptor, False)
        with suppress(BlockingIOError):
            while os.read(descriptor, 65536):
                pass
        os.set_blocking(descriptor, True)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if self._owner != os.getpid():
            return  # the child of another process: a fork must not end its parent's reader
        with suppress(OSError):
            process.stdin.close()
        with suppress(OSError, ValueError):
            process.communicate()
        process.stdout.close()
        process.stderr.close()

    def __del__(self) -> None:
        with suppress(Exception):
            self._stop()


def _request(verb: bytes, name: str) -> bytes:
    if "\0" in name or "\n" in name:
        raise UsageError(f"{name[:80]!r} is not a revision", code="unsafe-revision")
    return verb + b" " + name.encode("utf-8", "surrogateescape") + b"\0"


def decode_path(raw: bytes) -> str:
    """Return a path out of git's tables as text.

    Bytes that are no UTF-8 become surrogates: such a file is nothing of GitML's, no name of GitML's equals it, and
    it is written back as it was.
    """
    return raw.decode("utf-8", "surrogateescape")


def parse_tree(raw: RawObject, folder: str = "") -> list[TreeEntry]:
    """Take a tree object apart; paths begin with `folder`.

    Raises:
        IntegrityError: It is no tree, or not whole.
    """
    try:
        return _entries(raw, folder)
    except ValueError as exc:  # a byte that is none of the format's, or the end too soon
        raise IntegrityError(f"object {raw.oid} ({raw.kind}) is not a tree", code="git-object") from exc


def _entries(raw: RawObject, folder: str) -> list[TreeEntry]:
    width = len(raw.oid) // 2
    data, position, entries = raw.data, 0, []
    prefix = f"{folder}/" if folder else ""
    while position < len(data):
        space = data.index(b" ", position)
        end = data.index(b"\0", space)
        mode = data[position:space].decode("ascii").rjust(6, "0")
        raw_name = data[space + 1 : end]
        if not raw_name or b"/" in raw_name:
            raise ValueError("no name of one thing in a folder")
        name = decode_path(raw_name)
        position = end + 1 + width
        if position > len(data):
            raise ValueError("cut off")
        oid = data[end + 1 : position].hex()
        entries.append(TreeEntry(mode=mode, kind=kind_of(mode), oid=oid, path=prefix + name))
    return entries


def kind_of(mode: str) -> str:
    """Return the kind of object that a mode stands for."""
    if mode == "040000":
        return "tree"
    return "commit" if mode == "160000" else "blob"


def parse_listing(raw: bytes, folder: str = "") -> list[TreeEntry]:
    """Take the output of `ls-tree -z` apart; paths begin with `folder`.

    Raises:
        IntegrityError: It is not that.
    """
    prefix = f"{folder}/" if folder else ""
    entries = []
    for row in raw.split(b"\0"):
        if not row:
            continue
        meta, _, name = row.partition(b"\t")
        try:
            mode, kind, oid = meta.decode("ascii").split(" ")
        except ValueError as exc:
            raise IntegrityError(
                f"git listed a tree as nobody can read: {row[:80]!r}", code="git-object"
            ) from exc
        entries.append(TreeEntry(mode=mode, kind=kind, oid=oid, path=prefix + decode_path(name)))
    return entries


def parse_commit(raw: RawObject) -> Commit:
    """Take a commit object apart.

    Raises:
        IntegrityError: It is no commit, or not whole.
    """
    head, _, body = raw.data.partition(b"\n\n")
    fields: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\n"):
        if not line.startswith(b" "):  # a continuation, as of a signature
            key, _, value = line.partition(b" ")
            fields.setdefault(key, []).append(value)
    try:
        encoding = fields.get(b"encoding", [b"utf-8"])[0].decode("ascii")
        return Commit(
            oid=raw.oid,
            tree=fields[b"tree"][0].decode("ascii"),
            parents=tuple(parent.decode("ascii") for parent in fields.get(b"parent", [])),
            author=_person(fields[b"author"][0]),
            committer=_person(fields[b"committer"][0]),
            message=_decode(body, encoding),
        )
    except (KeyError, UnicodeDecodeError) as exc:
        raise IntegrityError(f"object {raw.oid} ({raw.kind}) is not a commit", code="git-object") from exc


def parse_person(raw: bytes) -> Person:
    """Take `Name <e-mail> seconds zone` apart."""
    return _person(raw)


def _person(raw: bytes) -> Person:
    name, opened, rest = raw.partition(b"<")
    email, closed, tail = rest.partition(b">")
    if not opened or not closed:
        return Person(name=raw.decode("utf-8", "replace"), email="", time=datetime.fromtimestamp(0, UTC))
    moment = _MOMENT.match(tail)
    try:
        time = datetime.fromtimestamp(int(moment[1]) if moment else 0, UTC)
    except (ValueError, OverflowError, OSError):
        time = datetime.fromtimestamp(0, UTC)
    name = name.removesuffix(b" ")
    return Person(name=name.decode("utf-8", "replace"), email=email.decode("utf-8", "replace"), time=time)


def _decode(raw: bytes, encoding: str) -> str:
    try:
        # These two take time that grows with the square of the text, and no commit is written in them.
        if codecs.lookup(encoding).name in ("idna", "punycode"):
            raise LookupError(encoding)
        return raw.decode(encoding)
    except (LookupError, ValueError):
        return raw.decode("utf-8", "replace")
