"""A small program made of real commands, to try what surrounds every command."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable

import click

from gitml.cli.app import Root
from gitml.cli.commands import Entry
from gitml.cli.terminal.click_parts import LazyGroup, command, dry_run_option
from gitml.cli.terminal.output import Printer
from gitml.cli.terminal.session import Session
from gitml.errors import Conflict, NotFound, PartlyDone

SECRET = "hunter2secret"
_HERE = __name__


@command("echo", examples=["tiny echo hello"])
@click.argument("words", nargs=-1)
@click.option("--upper", is_flag=True)
@dry_run_option
def echo(session: Session, words: tuple[str, ...], *, upper: bool, dry_run: bool) -> None:
    """Say words."""
    result = {"words": [word.upper() if upper else word for word in words]}

    def text(found: dict[str, list[str]], out: Printer) -> None:
        out.line(" ".join(found["words"]))

    session.finish(result, text, refs=words, dry_run=dry_run)


@command("note", examples=["tiny note"])
def note(session: Session) -> None:
    """Tell something on the way."""
    logging.getLogger("gitml.somewhere").info("asked https://ada:%s@example.com", SECRET)
    session.warn(f"token https://ada:{SECRET}@example.com/x\x1b[31m")
    session.finish({"done": True}, lambda _, out: out.line("done"))


def _unexpected() -> Exception:
    return KeyError(f"https://ada:{SECRET}@example.com")


FAILURES: dict[str, Callable[[], BaseException]] = {
    "conflict": lambda: Conflict(
        f"the thing is there\nalready at https://ada:{SECRET}@example.com",
        code="there-already",
        hint="choose another name",
        context={"url": f"https://ada:{SECRET}@example.com", "count": 3, "odd": {1, 2}},
    ),
    "partly": lambda: PartlyDone(
        "2 of 3 failed",
        done=["models/a@1"],
        failed={
            "models/b@1": NotFound("no bytes", code="bytes-not-here", hint="gitml push"),
            "models/c@1": Conflict("x"),
        },
    ),
    "full": lambda: OSError(errno.ENOSPC, "No space left on device", "/data/x"),
    "quota": lambda: OSError(errno.EDQUOT, "Disk quota exceeded"),
    "denied": lambda: PermissionError(errno.EACCES, "Permission denied", "/data/x"),
    "readonly": lambda: OSError(errno.EROFS, "Read-only file system"),
    "pipe": lambda: BrokenPipeError(errno.EPIPE, "Broken pipe"),
    "interrupt": KeyboardInterrupt,
    "abort": click.Abort,
    "memory": MemoryError,
    "bug": _unexpected,
}


@command("fail", examples=["tiny fail conflict"])
@click.argument("how", type=click.Choice(sorted(FAILURES)))
def fail(session: Session, how: str) -> None:
    """Fail in one of many ways."""
    raise FAILURES[how]()


@command("wait", examples=["tiny wait"])
def wait(session: Session) -> None:
    """Wait until stopped."""
    session.progress.begin("waiting", total_bytes=10)
    session.out.line("waiting")
    session.out.flush()
    threading.Event().wait()


PARTS = (Entry("echo", _HERE, "echo", "Say words."),)


@click.group("parts", cls=LazyGroup, sections=[("Commands", PARTS)])
def parts() -> None:
    """A group."""


SECTIONS = (
    (
        "All",
        (
            Entry("echo", _HERE, "echo", "Say words."),
            Entry("note", _HERE, "note", "Tell something on the way."),
            Entry("fail", _HERE, "fail", "Fail in one of many ways."),
            Entry("wait", _HERE, "wait", "Wait until stopped."),
            Entry("parts", _HERE, "parts", "A group."),
        ),
    ),
)


@click.group(cls=Root, name="tiny", sections=SECTIONS)
def tiny() -> None:
    """A small program."""
