"""Texts that reach git: revisions, refs, object ids, remote names and paths are checked here before they do.

Git reads a leading `-` as an option, a newline as the end of a record, and `../` in a ref as a way out of its
folder. What passes these checks is none of that, whatever the command does with it.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from gitml.errors import InvalidInput, UsageError

_OID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_REF_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_REMOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(?:/[A-Za-z0-9][A-Za-z0-9._+-]*)*\Z")
_CONFIG_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:\.[^\x00-\x1f\x7f]+)?\.[A-Za-z][A-Za-z0-9-]*\Z")
# HFS+ ignores these code points when it compares names, so that ".g\u200cit" is ".git" there.
_HFS_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_NTFS_DOT_GIT = re.compile(r"(?:\.git|git~[0-9]+)[ .]*(?::.*)?\Z", re.IGNORECASE)
_MAX_TEXT = 4096


def is_oid(text: str) -> bool:
    """Whether the text is a complete object id."""
    return _OID.match(text) is not None


def check_oid(text: str) -> str:
    """Return the object id.

    Raises:
        UsageError: It is not a complete one.
    """
    if not is_oid(text):
        raise UsageError(
            f"{text[:80]!r} is not a complete object id", code="object-id", hint="git rev-parse REVISION"
        )
    return text


def check_revision(text: str) -> str:
    """Return a revision text that is safe to hand to git.

    Raises:
        UsageError: It is empty, too long, starts with `-`, or has control characters.
    """
    if (
        not text
        or len(text) > _MAX_TEXT
        or text.startswith("-")
        or _CONTROL.search(text)
        or not _encodable(text)
    ):
        raise UsageError(
            f"{text[:80]!r} is not a revision: it may not be empty, start with '-' or hold control characters",
            code="unsafe-revision",
            hint="name a branch, a tag or a commit",
        )
    return text


def ref_problem(name: str) -> str | None:
    """Say why git would not take the text as a ref or branch name; None when it would.

    Source: git-check-ref-format(1), and no part may start with `-`.
    """
    if not name or len(name) > _MAX_TEXT or not _encodable(name):
        return "it is empty, too long or not Unicode"
    if _REF_FORBIDDEN.search(name):
        return "it has a space, a control character, '..', '@{', '//' or one of ~ ^ : ? * [ \\"
    if name.startswith("/") or name.endswith(("/", ".")) or name == "@":
        return "it starts with '/', ends with '/' or '.', or is '@'"
    for part in name.split("/"):
        if part.startswith((".", "-")) or part.endswith(".lock"):
            return "a part starts with '.' or '-' or ends with '.lock'"
    return None


def check_ref(name: str) -> str:
    """Return a full ref name.

    Raises:
        UsageError: It is not one.
    """
    problem = ref_problem(name)
    if problem is None and not name.startswith("refs/"):
        problem = "a full name starts with 'refs/'"
    if problem is not None:
        raise UsageError(
            f"{name[:80]!r} is not a ref name: {problem}",
            code="ref-name",
            hint="name a branch such as working/model",
        )
    return name


def check_branch(name: str) -> str:
    """Return a short branch name.

    Raises:
        UsageError: It is not one.
    """
    problem = ref_problem(name)
    if problem is None and name == "HEAD":
        problem = "'HEAD' is reserved"
    if problem is not None:
        raise UsageError(
            f"{name[:80]!r} is not a branch name: {problem}",
            code="branch-name",
            hint="name a branch such as working/model",
        )
    return name


def check_refspec(spec: str) -> str:
    """Return a refspec `[+]refs/…[:refs/…]`, where both sides may end in `/*`.

    Raises:
        UsageError: It is not one.
    """
    sides = spec.removeprefix("+").split(":")
    for side in sides:
        if len(sides) > 2 or side.count("*") > 1:
            raise UsageError(
                f"{spec[:80]!r} is not a refspec", code="refspec", hint="refs/heads/BRANCH:refs/heads/BRANCH"
            )
        if not (is_oid(side) and side is sides[0]):
            check_ref(side.replace("*", "x"))
    return spec


def check_remote_name(name: str) -> str:
    """Return the name of a remote.

    Raises:
        UsageError: It is not one.
    """
    if not _REMOTE.match(name) or ref_problem(name) is not None:
        raise UsageError(
            f"{name[:80]!r} is not the name of a remote", code="remote-name", hint="git remote -v"
        )
    return name


def check_config_key(key: str) -> str:
    """Return the key of a git setting, `section.key` or `section.sub section.key`.

    Raises:
        UsageError: It is not one.
    """
    if not _CONFIG_KEY.match(key) or not _encodable(key):
        raise UsageError(
            f"{key[:80]!r} is not the key of a git setting", code="config-key", hint="git config --list"
        )
    return key


def check_tree_path(path: str) -> str:
    """Return a path that may stand in a tree that GitML writes, on every platform.

    Raises:
        InvalidInput: It is absolute, leaves the repository, names `.git` as some file system reads it, or has
            control characters.
    """
    parts = path.split("/")
    if not path or len(path) > _MAX_TEXT or _CONTROL.search(path) or "\\" in path or not _encodable(path):
        raise InvalidInput(f"{path[:80]!r} cannot be a path in git", code="git-path", hint="rename it")
    for part in parts:
        plain = _HFS_IGNORED.sub("", part)
        if part in ("", ".", "..") or _NTFS_DOT_GIT.match(plain):
            raise InvalidInput(
                f"{path[:80]!r} cannot be a path in git: part {part!r}", code="git-path", hint="rename it"
            )
    return path


def check_folder(folder: str) -> str:
    """Return a folder relative to the top of the repository; empty means the top.

    Raises:
        InvalidInput: As :func:`check_tree_path`.
    """
    return "" if folder == "" else check_tree_path(folder)


def parents_of(path: str) -> list[str]:
    """Return the folders above a path, outermost first, without the top."""
    return [str(parent) for parent in reversed(PurePosixPath(path).parents) if str(parent) != "."]


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
