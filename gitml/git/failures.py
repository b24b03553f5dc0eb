"""Translates git's words on standard error into the errors of GitML, with credentials taken out.

Git runs in the C locale, so its words are stable enough to read; what is not recognised stays an unexpected error
that quotes them.
"""

from __future__ import annotations

import errno
import re
import signal
from typing import Final

from gitml.errors import (
    AccessDenied,
    Busy,
    Conflict,
    GitMLError,
    IntegrityError,
    InvalidInput,
    NoSpace,
    NotFound,
    StoreUnavailable,
    UnexpectedError,
    UsageError,
)
from gitml.git.urls import without_credentials

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the operating system says where a file cannot grow or a name has no place."""

REFS_MOVED: Final = "git-refs-moved"
"""Code of the error where another process of this clone moved a ref while git was to move it."""

_LOCK: Final = re.compile(r"'([^'\n]+\.lock)': File exists")
_CONFIG_LOCK: Final = re.compile(r"could not lock config file ([^\n]+): File exists")

_CUT_ANSWER: Final = (
    r"expected (a )?(flush|response end|shallow|packfile|ACK/NAK|'[a-z-]+')|unexpected (acknowledgment|response end)|"
    r"error (reading section|processing (acks|shallow|wanted))|bytes of (body are still|length header were)"
)
"""Git's many words for an answer that ends too early."""


def _words(*words: str) -> str:
    """A pattern that one of the words fits; compiled when git has failed, which it seldom does."""
    return "(?i)" + "|".join(words)


_RULES: Final[tuple[tuple[str, type[GitMLError], str, str | None], ...]] = (
    (
        _words(r"No space left on device", r"Disk quota exceeded", r"File too large"),
        NoSpace,
        "git-no-space",
        "make room, then run it again",
    ),
    (
        _words(r"dubious ownership"),
        AccessDenied,
        "repository-owner",
        "if you trust it: git config --global --add safe.directory PATH",
    ),
    (
        _words(
            r"gpg failed to sign",
            r"failed to write commit object.*sign",
            r"No private key found",
            r"Couldn't load public key",
            r"Load key",
            r"user\.signingkey",
        ),
        AccessDenied,
        "signing-failed",
        "unlock the signing key, or: git config commit.gpgsign false",
    ),
    (
        _words(
            r"Authentication failed",
            r"could not read (Username|Password)",
            r"terminal prompts disabled",
            r"Permission denied \(",
            r"Host key verification failed",
            r"invalid credentials",
            r"error: 40[13]\b",
            r"returned error: 40[13]\b",
            r"access denied",
            r"No supported authentication methods",
            r"SSL certificate problem",
            r"server certificate verification failed",
        ),
        AccessDenied,
        "remote-access",
        "check your credentials and the trust in the host with: git ls-remote REMOTE",
    ),
    (
        _words(r"refusing to merge unrelated histories"),
        Conflict,
        "unrelated",
        "make the change anew on a branch of this repository",
    ),
    (_words(r"transport '[^']*' not allowed"), AccessDenied, "protocol-refused", "use https, ssh, or a path"),
    (_words(r"is outside repository"), NotFound, "outside-repository", "name a branch, a tag or a commit"),
    (_words(r"couldn't find remote ref"), NotFound, "remote-ref", "git ls-remote REMOTE"),
    (
        _words(
            r"does not appear to be a git repository",
            r"repository '?[^\n]*'? (not found|does not exist)",
            r"repository not found",
            r"returned error: 404",
            r"No such remote",
        ),
        NotFound,
        "remote-repository",
        "git remote -v",
    ),
    (
        _words(
            r"not valid: (is this a git repository|could not determine hash algorithm)",
            r"no DAV locking support",
            r"git-http-push failed",
            r"bad line length character",
            r"protocol error: (bad|unexpected)",
        ),
        NotFound,
        "remote-not-git",
        "what answers there is no git repository; check the address with: git remote -v",
    ),
    (
        _words(
            r"Could not resolve host",
            r"Failed to connect",
            r"Connection (refused|reset|timed out|closed)",
            r"Operation timed out",
            r"Operation too slow",
            r"No route to host",
            r"Network is unreachable",
            r"unable to access 'http",
            r"hung up unexpectedly",
            r"early EOF",
            r"RPC failed",
            r"unexpected disconnect",
            r"returned error: (429|5\d\d)",
            r"Temporary failure in name resolution",
            r"Broken pipe",
            r"Could not read from remote repository",
            r"kex_exchange_identification",
            r"pack-objects died",
            _CUT_ANSWER,
        ),
        StoreUnavailable,
        "remote-unreachable",
        "check the network, then run it again",
    ),
    (
        _words(r"cannot lock ref '[^']*': (is at|reference already exists)", r"unable to update local ref"),
        Busy,
        REFS_MOVED,
        "run it again",
    ),
    (_words(r"shallow update not allowed"), Conflict, "shallow-push", "git fetch --unshallow"),
    (_words(r"not a git repository"), NotFound, "not-a-repository", "gitml init"),
    (
        _words(
            r"empty ident",
            r"unable to auto-detect email",
            r"Please tell me who you are",
            r"no email was given",
            r"no name was given",
        ),
        UsageError,
        "no-identity",
        "git config --global user.name NAME, git config --global user.email EMAIL",
    ),
    (
        _words(r"Read-only file system", r"Permission denied", r"insufficient permission"),
        AccessDenied,
        "git-permission",
        "check owner and mode of the repository's files",
    ),
    (
        _words(
            r"fsck error",
            r"is corrupt",
            r"corrupted?\b",
            r"bad object",
            r"missing (blob|tree|commit) ",
            r"unable to read (tree|sha1|object)",
            r"does not match",
            r"inflate: data stream error",
            r"index file (smaller|corrupt)",
            r"bad signature",
            r"unable to stream [0-9a-f]{40,64}\b",
            r"could not read [0-9a-f]{40,64}\b",
            r"has null sha1",
            r"not a valid (commit|object) name [0-9a-f]{40,64}\b",
        ),
        IntegrityError,
        "git-object",
        "git fsck --full",
    ),
    (_words(r"no such ref: HEAD\b"), IntegrityError, "git-head", "git symbolic-ref HEAD refs/heads/BRANCH"),
    (_words(r"bad config (line|file)"), InvalidInput, "git-config", "correct that file of git's"),
    (_words(r"unknown (option|switch|revision)"), UsageError, "git-usage", None),
)

_OF_SSH: Final = re.compile(
    r"\AHost key verification failed|: Permission denied \(|\Assh: |\Akex_exchange_identification"
)
"""The line with which ssh says why it gave up; git only adds that it could not read."""

_AMBIGUOUS: Final = _words(
    r"hung up unexpectedly",
    r"early EOF",
    r"RPC failed",
    r"unexpected disconnect",
    r"Connection (reset|timed out|closed)",
    r"Operation timed out",
    r"Operation too slow",
    r"Broken pipe",
    r"pack-objects died",
    r"returned error: 5\d\d",
    _CUT_ANSWER,
)


def failure(stderr: str, status: int, *, what: str) -> GitMLError:
    """Return the error that a failed git command means.

    Args:
        stderr: What git wrote.
        status: Its exit status; negative for a signal.
        what: What was tried, as the beginning of the message.
    """
    said = first_words(stderr)
    lock = _LOCK.search(stderr)
    if lock is not None:
        return busy(lock.group(1), what=what)
    settings = _CONFIG_LOCK.search(stderr)
    if settings is not None:
        return busy(f"{settings.group(1)}.lock", what=what)
    for pattern, error, code, hint in _RULES:
        if re.search(pattern, stderr):
            return error(f"{what}: {said}", code=code, hint=hint, context={"git": said})
    if status == -signal.SIGXFSZ:
        return NoSpace(
            f"{what}: git may not write files of that size", code="git-no-space", hint="ulimit -f unlimited"
        )
    if status < 0:
        return UnexpectedError(
            f"{what}: git was stopped by signal {-status}", code="git-killed", hint="run it again"
        )
    return UnexpectedError(
        f"{what}: {said or f'git ended with status {status}'}", code="git-failed", hint="gitml doctor"
    )


def busy(path: str, *, what: str) -> Busy:
    """Return the error of a lock that somebody else holds."""
    return Busy(
        f"{what}: another process holds {path}",
        code="git-locked",
        hint=f"wait for it; if no git command runs any more, remove {path} and run it again",
        context={"lock": path},
    )


def is_ambiguous(stderr: str) -> bool:
    """Whether a push may have taken effect although git reported a failure."""
    return re.search(_AMBIGUOUS, stderr) is not None


def first_words(stderr: str) -> str:
    """Return git's message as one line of bounded length without credentials."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote: error", "ERROR"))]
    of_ssh = [line for line in lines if _OF_SSH.search(line) and line not in telling]
    chosen = [*of_ssh[-1:], *telling] or lines
    words = "; ".join(re.sub(r"\A(?:fatal|error): ", "", line) for line in chosen[:3])
    printable = "".join(char if char.isprintable() else " " for char in words)
    return without_credentials(printable)[:400]
