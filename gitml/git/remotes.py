"""Talks to other repositories: fetch and push with leases, and the names of remotes.

Addresses are checked before git sees them; submodules are never followed; objects are checked on arrival. The
programs at the other end are always the usual ones, whatever the configuration says. A push that lost a race is a
result; a push whose reply was lost is looked up before anything is said about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from gitml.errors import (
    Conflict,
    GitMLError,
    NotFound,
    OutcomeUnknown,
    StoreUnavailable,
    UnexpectedError,
    UsageError,
)
from gitml.git import configuration
from gitml.git.command import GitCommand, Result
from gitml.git.failures import failure, first_words, is_ambiguous
from gitml.git.names import check_branch, check_oid, check_ref, check_refspec, check_remote_name
from gitml.git.types import ANY, PushRef, PushResult, PushStatus, Upstream
from gitml.git.urls import check_url, same_remote, without_credentials

UPLOAD: Final = "--upload-pack=git-upload-pack"
_RECEIVE: Final = "--receive-pack=git-receive-pack"
_MOST_WORDS: Final = 1000
_WITH_HTTP: Final = "file:http:https:ssh"
_STALE: Final = re.compile(
    r"stale info|fetch first|non-fast-forward|already exists|failed to (update|lock)|cannot lock ref|"
    r"reference already exists|incorrect old value|needs force|remote ref updated since checkout",
    re.IGNORECASE,
)
_NOT_UNPACKED: Final = re.compile(r"unpacker error", re.IGNORECASE)
_NOT_TRIED: Final = re.compile(r"atomic (push failed|transaction failed)|transaction aborted", re.IGNORECASE)


def listing(git: GitCommand) -> dict[str, str]:
    """Return name -> address of the remotes (the first address, without substitutions)."""
    found: dict[str, str] = {}
    for key, url in configuration.entries(git):
        section, _, rest = key.partition(".")
        name, _, variable = rest.rpartition(".")
        if url and name and (section, variable) == ("remote", "url"):
            found.setdefault(name, url)
    return found


def add(git: GitCommand, name: str, url: str, *, held: int) -> None:
    """Name a remote; naming it again is no change. Git keeps the descriptor `held` open as long as it lives."""
    known = listing(git).get(check_remote_name(name))
    address = check_url(url)
    if known is not None:
        if same_remote(known, address):
            return
        raise Conflict(
            f"remote {name} is {without_credentials(known)} already",
            code="remote-exists",
            hint=f"git remote set-url {name} URL",
        )
    for key, value in (
        (f"remote.{name}.url", address),
        (f"remote.{name}.fetch", f"+refs/heads/*:refs/remotes/{name}/*"),
    ):
        git.run("config", "--local", key, value, what=f"remote {name} could not be added", held=held)


def upstream(git: GitCommand, branch: str) -> Upstream | None:
    """Return what a branch follows."""
    prefix = f"branch.{check_branch(branch)}"
    remote = configuration.value(git, f"{prefix}.remote")
    merge = configuration.value(git, f"{prefix}.merge")
    if remote is None or merge is None:
        return None
    return Upstream(remote=remote, branch=merge.removeprefix("refs/heads/"))


def set_upstream(git: GitCommand, branch: str, remote: str, *, held: int) -> None:
    """Let a branch follow the one of the same name on a remote; `held` as for :func:`add`."""
    if check_remote_name(remote) not in listing(git):
        raise _unknown(remote)
    values = (("remote", remote), ("merge", f"refs/heads/{check_branch(branch)}"))
    for key, value in values:
        git.run(
            "config",
            "--local",
            f"branch.{branch}.{key}",
            value,
            what=f"branch {branch} could not follow {remote}",
            held=held,
        )


def clone(url: str, path: Path, *, bare: bool, depth: int | None) -> None:
    """Copy a repository to a new folder."""
    address = check_url(url)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise Conflict(f"{path} exists and is not empty", code="clone-target")
    path.parent.mkdir(parents=True, exist_ok=True)
    options = ["--no-recurse-submodules", "--no-local", "--template=", UPLOAD]
    options += ["--bare"] if bare else []
    options += [f"--depth={int(depth)}"] if depth is not None else []
    git = GitCommand(cwd=path.parent.absolute())
    target = str(path.absolute())
    source = str(Path.cwd() / address) if _is_relative(address) else address
    git.run(
        "clone", "--quiet", *options, "--end-of-options", source, target,
        env=protocols(address),
        what=f"{without_credentials(address)} could not be cloned",
    )  # fmt: skip


def remote_refs(git: GitCommand, remote: str, patterns: Sequence[str]) -> dict[str, str]:
    """Ask a remote for its refs, as full name -> object id."""
    address = _address(git, remote)
    wanted = [check_ref(pattern.replace("*", "x")) and pattern for pattern in patterns]
    result = git.run(
        "ls-remote", "--quiet", "--refs", UPLOAD, "--end-of-options", remote_argument(remote, address), *wanted,
        env=protocols(address),
        what=_about("refs could not be asked from", remote, address),
    )  # fmt: skip
    rows = (row.split("\t", 1) for row in result.text.split("\n") if row)
    found = {name: oid for oid, name in rows}
    exact = {pattern for pattern in patterns if "*" not in pattern}
    if exact and len(exact) == len(patterns):
        # git matches the ends of names: refs/heads/x also finds refs/remotes/y/refs/heads/x
        return {
            name: oid
            for name, oid in found.items()
            if any(name == p or name.startswith(p.rstrip("/") + "/") for p in exact)
        }
    return found


def fetch(
    git: GitCommand, remote: str, refspecs: Sequence[str], *, prune: bool, depth: int | None, held: int
) -> None:
    """Bring commits and refs here; git keeps the descriptor `held` open as long as it lives."""
    address = _address(git, remote)
    options = [
        "--quiet",
        "--no-recurse-submodules",
        "--no-write-fetch-head",
        "--no-auto-maintenance",
        UPLOAD,
    ]
    options += ["--prune"] if prune else []
    options += ["--no-tags"] if refspecs else []
    options += [f"--depth={int(depth)}"] if depth is not None else []
    if refspecs:
        options.append("--stdin")
    request = "".join(f"{check_refspec(spec)}\n" for spec in refspecs).encode()
    git.run(
        "fetch", *options, "--end-of-options", remote_argument(remote, address),
        stdin=request if refspecs else None,
        env=protocols(address),
        settings=[("core.filesRefLockTimeout", "2000"), ("core.packedRefsTimeout", "2000")],
        what=_about("nothing could be fetched from", remote, address),
        held=held,
    )  # fmt: skip


def push(
    git: GitCommand, remote: str, updates: Sequence[PushRef], *, atomic: bool, hooks: bool, held: int
) -> dict[str, PushResult]:
    """Move refs of a remote, each under its own lease; git keeps the descriptor `held` open as long as it lives."""
    if not updates:
        return {}
    if len({update.ref for update in updates}) != len(updates):
        raise UsageError("a ref is pushed twice", code="push-twice")
    refspecs = [_refspec(update) for update in updates]
    address = _address(git, remote)
    what = _about("nothing could be pushed to", remote, address)
    options = ["--porcelain", "--no-recurse-submodules", "--no-signed", "--no-follow-tags", _RECEIVE]
    options += ["--atomic"] if atomic else []
    options += [] if hooks else ["--no-verify"]
    options += [_lease(update) for update in updates if update.expected is not ANY]
    result = git.run(
        "push", *options, "--end-of-options", remote_argument(remote, address), *refspecs,
        env=protocols(address), hooks=hooks, ok=(0, 1, 128, 141, -13), what=what, held=held,
    )  # fmt: skip
    found = _results(result, updates)
    if any(_NOT_UNPACKED.search(one.reason or "") for one in found.values()):
        # A hook or rule said nothing: what takes the objects in died, or had no room.
        raise _not_taken(result, what)
    if result.status == 0 or len(found) == len(updates):
        return found
    if found and not is_ambiguous(result.stderr):
        return {**{one.ref: PushResult(status=PushStatus.NOT_TRIED) for one in updates}, **found}
    if hooks and "failed to push some refs" in result.stderr and not is_ambiguous(result.stderr):
        reason = f"the pre-push hook refused: {first_words(result.stderr)}"
        return {one.ref: PushResult(status=PushStatus.REFUSED, reason=reason) for one in updates}
    error = failure(result.stderr, result.status, what=what)
    if not is_ambiguous(result.stderr):
        raise error
    return _look_up(git, remote, updates, error)


def _not_taken(result: Result, what: str) -> GitMLError:
    """The error of a remote that could not store the objects; no ref moved."""
    error = failure(result.stderr, result.status, what=what)
    if not isinstance(error, UnexpectedError):
        return error
    return StoreUnavailable(
        f"{what}: the other side could not take the objects: {_words_of_hooks(result.stderr) or error.message}",
        code="remote-unpack",
        hint="run it again; if that is no help, look at the disk and the log of the remote",
    )


def _look_up(
    git: GitCommand, remote: str, updates: Sequence[PushRef], error: GitMLError
) -> dict[str, PushResult]:
    """Ask the remote what it has after a broken connection.

    Raises:
        GitMLError: The failure, when nothing was moved.
        OutcomeUnknown: The remote cannot be asked.
    """
    try:
        there = remote_refs(git, remote, [one.ref for one in updates])
    except StoreUnavailable as exc:
        if "Could not resolve" in error.message or "refused" in error.message:
            raise error from exc
        raise OutcomeUnknown(
            f"{error.message}; whether the push took effect could not be asked",
            code="push-outcome-unknown",
            hint="when the remote answers again, look with: git ls-remote REMOTE; then run it again",
            context={"refs": [one.ref for one in updates]},
        ) from exc
    if not any(there.get(one.ref) == one.new for one in updates):
        raise error
    return {
        one.ref: PushResult(status=PushStatus.OK if there.get(one.ref) == one.new else PushStatus.NOT_TRIED)
        for one in updates
    }


def remote_argument(remote: str, address: str) -> str:
    """Return what git gets: the name where there is one, so that its tracking refs follow; else the address."""
    return remote if remote != address and is_name(remote) else address


def is_name(remote: str) -> bool:
    """Whether a text can be the name of a remote rather than an address."""
    return not any(mark in remote for mark in ("://", ":", "@", "\\")) and not remote.startswith(
        (".", "/", "-", "~")
    )


def _address(git: GitCommand, remote: str) -> str:
    """Return the checked address that a name or an address stands for."""
    known = listing(git)
    if remote in known:
        check_remote_name(remote)
        check_url(known[remote])
        return known[remote]
    if is_name(remote):
        raise _unknown(remote)
    return check_url(remote)


def _unknown(remote: str) -> NotFound:
    return NotFound(f"there is no remote {remote[:80]!r}", code="remote-name", hint="git remote -v")


def _about(what: str, remote: str, address: str) -> str:
    name = f"{remote} ({without_credentials(address)})" if remote != address else without_credentials(address)
    return f"{what} {name}"


def _is_relative(address: str) -> bool:
    return (
        "://" not in address
        and not Path(address).is_absolute()
        and (":" not in address or Path(address).exists())
    )


def protocols(address: str) -> dict[str, str]:
    """Return the variables that an address needs beside the usual ones."""
    return {"GIT_ALLOW_PROTOCOL": _WITH_HTTP} if address.startswith("http://") else {}


def _lease(update: PushRef) -> str:
    expected = "" if update.expected is None else check_oid(str(update.expected))
    return f"--force-with-lease={check_ref(update.ref)}:{expected}"


def _refspec(update: PushRef) -> str:
    ref = check_ref(update.ref)
    return f":{ref}" if update.new is None else f"{check_oid(update.new)}:{ref}"


def _results(result: Result, updates: Iterable[PushRef]) -> dict[str, PushResult]:
    wanted = {update.ref for update in updates}
    found = {}
    spoken = _words_of_hooks(result.stderr)
    for line in result.text.split("\n"):
        flag, _, rest = line.partition("\t")
        names, _, summary = rest.partition("\t")
        ref = names.rpartition(":")[2]
        if len(flag) == 1 and ref in wanted:
            found[ref] = _result(flag, summary, spoken)
    return found


def _words_of_hooks(stderr: str) -> str:
    """What programs on the other side said, on one line of bounded length."""
    lines = [
        line.removeprefix("remote:").strip() for line in stderr.splitlines() if line.startswith("remote:")
    ]
    text = "".join(char if char.isprintable() else " " for char in "; ".join(line for line in lines if line))
    return without_credentials(text)[:_MOST_WORDS]


def _result(flag: str, summary: str, spoken: str) -> PushResult:
    if flag == "=":
        return PushResult(status=PushStatus.UP_TO_DATE)
    if flag != "!":
        return PushResult(status=PushStatus.OK)
    reason = without_credentials(summary.partition("(")[2].rstrip(")") or summary)
    if _NOT_TRIED.search(reason):
        return PushResult(status=PushStatus.NOT_TRIED, reason=reason)
    status = PushStatus.STALE if _STALE.search(reason) else PushStatus.REFUSED
    if spoken and reason.endswith("hook declined"):
        reason = f"{reason}: {spoken}"
    return PushResult(status=status, reason=reason)
