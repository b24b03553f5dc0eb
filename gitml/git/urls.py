"""Addresses of git remotes: which ones GitML talks to, and when two spellings mean the same repository.

Allowed are `https://`, `ssh://`, `file://`, `[user@]host:path`, `[user@]host/owner/repository` as people copy it,
and plain paths; `http://` to this machine only. Everything else can run a program (`ext::`), read a file, or send
credentials in the clear.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from gitml.errors import InvalidInput

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u0080-\u009f\u2028\u2029]")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SCP: Final = re.compile(
    r"(?:(?P<user>[^@:/\s]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/\[\]\s]+):(?P<path>.*)\Z", re.DOTALL
)
_COPIED: Final = re.compile(r"(?P<user>[^@:/\s]+)@(?P<host>[^:/@\s]+)/(?P<path>.+)\Z", re.DOTALL)
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?\Z|\[?[0-9A-Fa-f:.]+\]?\Z")
# A remote may say anything, at any length: each is tried at the start of a word only, and looks ahead so far.
_USERINFO: Final = re.compile(r"((?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]{1,64}://)[^/@\s]{0,4096}@")
_SECRET_QUERY: Final = re.compile(
    r"([?&](?:[a-z_-]{0,32}(?:token|sig|signature|key|password|secret)[a-z_-]{0,32})=)[^&\s'\"]+", re.I
)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_DEFAULT_PORTS: Final = {"https": 443, "http": 80, "ssh": 22}


def check_url(text: str) -> str:
    """Return the address as git reads it (`user@host/owner/repository` becomes `user@host:owner/repository`).

    Raises:
        InvalidInput: The address is of a kind that GitML does not talk to.
    """
    if not text or len(text) > 4096 or text != text.strip() or _CONTROL.search(text):
        raise _refused(text, "it is empty, too long, or holds spaces around it or control characters")
    if text.startswith("-"):
        raise _refused(text, "it starts with '-'")
    if "::" in text and not _is_bracketed(text):
        raise _refused(text, "'::' names a helper program")
    scheme = _SCHEME.match(text)
    if scheme is not None:
        return _check_scheme(text, scheme.group(1).lower())
    if "://" in text:
        raise _refused(text, "'://' stands in the middle")
    copied = _COPIED.match(text)
    if copied is not None and not _exists(text):
        _check_place(text, copied["user"], copied["host"], copied["path"])
        return f"{copied['user']}@{copied['host']}:{copied['path']}"
    scp = _SCP.match(text)
    if scp is not None and not _is_path(text):
        _check_place(text, scp["user"], scp["host"], scp["path"])
    return text


def same_remote(first: str, second: str) -> bool:
    """Whether two addresses name the same repository, whatever their spelling, protocol or user name."""
    return _canonical(first) == _canonical(second)


def without_credentials(text: str) -> str:
    """Return a text with the user names, passwords and tokens of all addresses in it taken out."""
    return _SECRET_QUERY.sub(r"\1***", _USERINFO.sub(r"\1", text))


def _check_scheme(text: str, scheme: str) -> str:
    try:
        parts = urlsplit(text)
        host, user = parts.hostname or "", parts.username
        port = parts.port
    except ValueError as exc:
        raise _refused(text, "host or port cannot be read") from exc
    if scheme == "file":
        if host not in ("", "localhost") or not parts.path.startswith("/"):
            raise _refused(text, "a file address is file:///absolute/path")
        return text
    if scheme == "http" and host not in _LOOPBACK:
        raise _refused(text, "http sends credentials in the clear; use https")
    if scheme not in ("https", "ssh", "http"):
        raise _refused(text, f"the scheme {scheme!r} is not one of https, ssh, file")
    if not host or port == 0:
        raise _refused(text, "it names no host")
    for place in (host, unquote(host)):
        _check_place(text, unquote(user) if user else None, place, parts.path.lstrip("/"))
    return text


def _check_place(text: str, user: str | None, host: str, path: str) -> None:
    if not _HOST.match(host) or host.startswith("-"):
        raise _refused(text, "the host is not a host name")
    if user is not None and (user.startswith("-") or _CONTROL.search(user)):
        raise _refused(text, "the user name starts with '-'")
    if not path or path.startswith(("-", ":")) or _CONTROL.search(unquote(path)):
        raise _refused(text, "the path is empty, starts with '-' or ':', or hides control characters")


def _refused(text: str, why: str) -> InvalidInput:
    shown = without_credentials(text[:120])
    return InvalidInput(
        f"remote address {shown!r} is refused: {why}",
        code="remote-url",
        hint="use https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, file:///PATH or a path",
    )


def _is_bracketed(text: str) -> bool:
    """Whether the only colons in a row are those of an IPv6 address in brackets."""
    return "::" not in re.sub(r"(?<=[@/])\[[0-9A-Fa-f:.]+\]", "", re.sub(r"\A\[[0-9A-Fa-f:.]+\]", "", text))


def _is_path(text: str) -> bool:
    """Git's own rule: a slash before the first colon makes it a path."""
    return text.find("/") != -1 and text.find("/") < text.find(":")


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:
        return False


def _canonical(text: str) -> tuple[str, str]:
    """Return host (with a port that is not the usual one) and path; the host of a path is empty."""
    scheme = _SCHEME.match(text)
    if scheme is not None:
        try:
            parts = urlsplit(text)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return ("?", text)
        if scheme.group(1).lower() == "file":
            return ("", _local(unquote(parts.path)))
        if port is not None and port != _DEFAULT_PORTS.get(scheme.group(1).lower()):
            host = f"{host}:{port}"
        return (host.rstrip("."), _repository(unquote(parts.path)))
    place = _COPIED.match(text) if not _exists(text) else None
    if place is None and not _is_path(text):
        place = _SCP.match(text)
    if place is not None:
        return (place["host"].lower().strip("[]").rstrip("."), _repository(place["path"]))
    return ("", _local(text))


def _repository(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/".join(parts).removesuffix(".git")


def _local(path: str) -> str:
    try:
        real = os.path.realpath(path)
    except ValueError:
        return path  # which no file can have as its name
    return real.removesuffix("/.git").removesuffix(".git")
