"""Asks the programs that keep a person's credentials: git's credential helpers, and GitHub's own `gh`.

Nobody is prompted, and no repository is asked: helpers are those of the user's and the machine's configuration, so
that a repository cannot name one. What they answer is a secret.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from gitml.errors import GitMLError
from gitml.git.command import GitCommand, find_program

_PATIENCE_S = 15
_NO_QUESTIONS = (("core.askPass", ""), ("credential.interactive", "false"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A name and its password, which `repr` does not show."""

    username: str
    password: str = field(repr=False)


def stored_credential(host: str, path: str) -> Credential | None:
    """What git's credential helpers have for a repository over HTTPS; None where they have nothing.

    Args:
        host: Host name, with its port where that is not the usual one.
        path: Path of the repository; asked with where the user's configuration says so.
    """
    if any(mark in host + path for mark in "\n\0"):
        return None
    request = f"protocol=https\nhost={host}\npath={path}\n\n".encode()
    try:
        result = GitCommand(cwd=Path("/")).run(
            "credential", "fill",
            stdin=request,
            env={"SSH_ASKPASS": "", "GIT_ASKPASS": "", "GCM_INTERACTIVE": "never"},
            settings=_NO_QUESTIONS,
            ok=(0, 128),
            what="git's credential helpers could not be asked",
        )  # fmt: skip
    except GitMLError:
        return None
    rows = dict(row.partition("=")[::2] for row in result.text.split("\n") if "=" in row)
    if result.status or not rows.get("password"):
        return None
    return Credential(username=rows.get("username", ""), password=rows["password"])


def gh_token(host: str) -> str | None:
    """The token that GitHub's program `gh` keeps for a host; None where there is no `gh`, or it has none."""
    program = find_program("gh")
    if program is None:
        return None
    kept = ("PATH", "HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "GH_CONFIG_DIR",
            "DBUS_SESSION_BUS_ADDRESS")  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603 - an absolute program with fixed arguments
            [program, "auth", "token", "--hostname", host],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env={name: os.environ[name] for name in kept if name in os.environ} | {"GH_PROMPT_DISABLED": "1"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
