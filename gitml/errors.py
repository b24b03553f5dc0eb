"""What can go wrong, sorted by what the caller can do about it.

Every failure that GitML reports is a :class:`GitMLError`. It says what happened to which thing and why
(`message`), what to do (`hint`), which rule spoke (`code`, stable, kebab-case), and ends the command line
with `exit_code`. ::

    GitMLError
    ├── DifferencesExist    1   only where a command was asked to tell by its exit code
    ├── UsageError          2   the call is wrong: change the call
    ├── InvalidInput        3   a file or value breaks a rule: change the file
    ├── NotFound            4   no such thing here: fetch it, or name another
    ├── Conflict            5   something else is there already: decide which one stays
    ├── IntegrityError      6   bytes are not what they claim to be: repair from another copy
    ├── StoreUnavailable    7   store or network failed: run it again
    ├── OutcomeUnknown      8   the reply was lost and could not be looked up: look, then run it again
    ├── Busy                9   another process holds it: wait, then run it again
    ├── AccessDenied       10   permission, credentials or trust: get the right
    ├── NoSpace            11   no room left: make room, then run it again
    ├── PolicyRefused      12   a rule of the registry forbids it: satisfy the rule
    ├── PartlyDone         13   some things worked: `done` and `failed` list which
    ├── UnexpectedError    70   a bug in GitML
    └── Interrupted       130   stopped by the user
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

_MAX_MESSAGE = 2000
_LINE_BREAKS = {
    code: repr(chr(code))[1:-1] for code in (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029)
}


def _one_line(message: str) -> str:
    """What was typed or found may stand in a message; it must not break its line or drown it."""
    message = message.translate(_LINE_BREAKS)
    return message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 1] + "…"


class GitMLError(Exception):
    """Root of all errors that GitML raises on purpose.

    Args:
        message: What happened to which thing, and why; one line, no secrets.
        code: Stable kebab-case name of the rule; the class has a default.
        hint: What to do next, usually a command.
        context: Facts for machines (names, digests, sizes); JSON values only, no secrets.
    """

    exit_code: ClassVar[int] = 70
    default_code: ClassVar[str] = "unexpected"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        message = _one_line(message)
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.context: dict[str, Any] = dict(context or {})


class DifferencesExist(GitMLError):
    """`status` or `diff` was asked to tell by its exit code, and there are differences."""

    exit_code = 1
    default_code = "differences"


class UsageError(GitMLError):
    """The call is wrong."""

    exit_code = 2
    default_code = "usage"


class InvalidInput(GitMLError):
    """A file or value breaks a rule of its format."""

    exit_code = 3
    default_code = "invalid-input"


class NotFound(GitMLError):
    """No such thing here."""

    exit_code = 4
    default_code = "not-found"


class Conflict(GitMLError):
    """Something else is there already."""

    exit_code = 5
    default_code = "conflict"


class IntegrityError(GitMLError):
    """Bytes are not what they claim to be."""

    exit_code = 6
    default_code = "integrity"


class StoreUnavailable(GitMLError):
    """Store or network failed; nothing is known to be lost, and the same call may be made again."""

    exit_code = 7
    default_code = "unavailable"


class OutcomeUnknown(GitMLError):
    """The reply to a write was lost and its effect could not be looked up; nothing was deleted."""

    exit_code = 8
    default_code = "outcome-unknown"


class Busy(GitMLError):
    """Another process holds what is needed."""

    exit_code = 9
    default_code = "busy"


class AccessDenied(GitMLError):
    """Permission, credentials or trust are missing."""

    exit_code = 10
    default_code = "access-denied"


class NoSpace(GitMLError):
    """No room left on a device or within a quota."""

    exit_code = 11
    default_code = "no-space"


class PolicyRefused(GitMLError):
    """A rule of the registry forbids it; `context["reasons"]` lists every rule that failed."""

    exit_code = 12
    default_code = "policy"


class PartlyDone(GitMLError):
    """A batch worked for some of its items.

    Args:
        done: Names of what worked.
        failed: Name and error of what did not.
    """

    exit_code = 13
    default_code = "partly-done"

    def __init__(
        self,
        message: str,
        *,
        done: Sequence[str],
        failed: Mapping[str, GitMLError],
        code: str | None = None,
        hint: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint, context=context)
        self.done = tuple(done)
        self.failed = dict(failed)


class UnexpectedError(GitMLError):
    """A bug in GitML."""


class Interrupted(GitMLError):
    """Stopped by the user."""

    exit_code = 130
    default_code = "interrupted"
