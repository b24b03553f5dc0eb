"""From any exception to an exit code, three lines on stderr, or the `error` of a JSON document.

The one place where messages meet the outside, so the one place that redacts them.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

import click

from gitml.cli.terminal.text import one_line, visible
from gitml.errors import (
    AccessDenied,
    DifferencesExist,
    GitMLError,
    Interrupted,
    NoSpace,
    PartlyDone,
    UnexpectedError,
    UsageError,
)
from gitml.model.redact import redact
from gitml.model.shown import told

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_MAX_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is said of an exception; everything in it is redacted.

    Attributes:
        exit_code, code, message, hint, context: As in :class:`GitMLError`.
        done, failed: Of a batch; None where the command was no batch.
        details: The traceback.
    """

    exit_code: int
    code: str
    message: str
    hint: str | None
    context: dict[str, Any] = field(default_factory=dict)
    done: tuple[str, ...] | None = None
    failed: dict[str, dict[str, Any]] | None = None
    details: str = ""

    def body(self) -> dict[str, Any]:
        """The parts of the JSON document."""
        body: dict[str, Any] = {"error": self._error()}
        if self.done is not None and self.failed is not None:
            body |= {"done": list(self.done), "failed": self.failed}
        return body

    def _error(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "hint": self.hint, "context": self.context}

    def print(self, stream: TextIO, *, verbosity: int = 0) -> None:
        """Tell a person, in three lines at most, but for lists of what failed and the traceback of `-vv`."""
        if self.exit_code == DifferencesExist.exit_code:
            return  # which were just shown, and asked for
        if self.exit_code == Interrupted.exit_code:
            stream.write("gitml: stopped\n")
            return
        if verbosity >= 2:
            stream.writelines(visible(line) + "\n" for line in self.details.splitlines())
        stream.write(f"gitml: {one_line(self.message)}\n")
        items = self._items()
        for item in items[:_MAX_SHOWN]:
            stream.write(f"  {one_line(item)}\n")
        if len(items) > _MAX_SHOWN:
            stream.write(f"  and {len(items) - _MAX_SHOWN:,} more; --json lists them all\n")
        if self.hint:
            stream.write(f"Try: {one_line(self.hint)}\n")

    def _items(self) -> list[str]:
        """What stands under the message: the failures of a batch, and the faults or files where the message has one of many."""
        failed = [f"{name}: {error['message']}" for name, error in (self.failed or {}).items()]
        faults = self.context.get("faults") or self.context.get("files")
        if not isinstance(faults, list) or len(faults) < 2:
            return failed
        return failed + [told(*fault.values()) if isinstance(fault, dict) else str(fault) for fault in faults]


def failure_of(error: BaseException) -> Failure:
    """What to say of an exception."""
    return _failure(translated(error), error)


def translated(error: BaseException) -> GitMLError:
    """The exception as one of GitML's own."""
    if isinstance(error, GitMLError):
        return error
    if isinstance(error, click.UsageError):
        return usage_error(error)
    if isinstance(error, KeyboardInterrupt | click.Abort | EOFError):
        return Interrupted("stopped")
    if isinstance(error, click.ClickException):
        return UsageError(error.format_message())
    if isinstance(error, OSError) and error.errno in _NO_SPACE | _DENIED:
        return _system(error)
    if isinstance(error, MemoryError):
        return UnexpectedError("out of memory", code="out-of-memory", hint="run it again with -j 1")
    described = str(error)
    return UnexpectedError(
        f"unexpected {type(error).__name__}{': ' + described if described else ''}; this is a bug in GitML",
        hint="run it again with -vv to see where it happened, and report that",
        context={"exception": type(error).__name__},
    )


def usage_error(error: click.UsageError) -> UsageError:
    """A mistake on the command line, with the help page to look at unless the message says what to type."""
    path = error.ctx.command_path if error.ctx is not None else "gitml"
    codes: dict[type[click.UsageError], str] = {
        click.NoSuchOption: "unknown-option",
        click.MissingParameter: "missing-argument",
        click.BadParameter: "bad-argument",
        click.BadOptionUsage: "bad-option",
    }
    hint: str | None = getattr(error, "hint", None)
    message = " ".join(error.format_message().split()).removesuffix(".")
    return UsageError(
        message[:1].lower() + message[1:],
        code=getattr(error, "code", None) or codes.get(type(error), "usage"),
        hint=hint or f"{path} --help",
    )


def _system(error: OSError) -> GitMLError:
    where = f": {error.filename}" if error.filename else ""
    what = f"{error.strerror or 'system error'}{where}"
    if error.errno in _NO_SPACE:
        return NoSpace(what, hint="make room, then run it again")
    return AccessDenied(what, hint="get the right to write there, or name another place")


def _failure(error: GitMLError, raised: BaseException) -> Failure:
    done = failed = None
    if isinstance(error, PartlyDone):
        done = tuple(redact(name) for name in error.done)
        failed = {redact(name): error_body(one) for name, one in error.failed.items()}
    return Failure(
        exit_code=error.exit_code,
        code=error.code,
        message=redact(error.message),
        hint=redact(error.hint) if error.hint else None,
        context=_clean(error.context),
        done=done,
        failed=failed,
        details=redact("".join(traceback.format_exception(raised))),
    )


def error_body(error: GitMLError) -> dict[str, Any]:
    """An error inside a JSON document, redacted."""
    return {
        "code": error.code,
        "message": redact(error.message),
        "hint": redact(error.hint) if error.hint else None,
        "context": _clean(error.context),
    }


def _clean(value: Any) -> Any:
    """Context holds JSON values by contract; anything else becomes text rather than a second failure."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, Mapping):
        return {redact(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    return redact(str(value))
