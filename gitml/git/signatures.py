"""Judges the signatures of commits by `git verify-commit`, with keys that are given and no others.

A commit counts as signed where an SSH key signed it that the given list allows to the commit's own committer, so
that nobody signs in another's name. OpenPGP and X.509 signatures do not count: whom they are trusted from is a
matter of each machine. Settings of the repository and of the user cannot add a key, nor name another program.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gitml.errors import NotFound
from gitml.git.command import GitCommand, find_program
from gitml.git.failures import first_words
from gitml.git.objects import ObjectReader
from gitml.git.types import Commit
from gitml.model.glob import compile_glob

_SSH: Final = b"-----BEGIN SSH SIGNATURE-----"
_HEADERS: Final = (b"gpgsig ", b"gpgsig-sha256 ")
_LINE: Final = re.compile(r'(?P<who>"[^"]*"|[^\s"]+)\s+(?P<rest>\S.*)')
_ENDS: Final = re.compile(r'valid-before="?(?P<when>[^",\s]*)"?', re.IGNORECASE)
_MAX_PATTERN: Final = 300
_MOMENT: Final = re.compile(r"(\d{8})(\d{4})?(\d{2})?Z?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """Whose signatures count, and at which moment."""

    allowed: bytes
    revoked: bytes | None
    at: datetime

    def lines_of(self, email: str) -> list[str]:
        """The keys of one person that have not ended, as lines of an allowed-signers file."""
        text = self.allowed.decode("utf-8", "replace")
        return [
            line.strip()
            for line in text.splitlines()
            if (found := _LINE.fullmatch(line.strip())) is not None
            and not line.lstrip().startswith("#")
            and _names(found["who"].strip('"'), email)
            and not _has_ended(found["rest"], self.at)
        ]


def unsigned(
    git: GitCommand, objects: ObjectReader, commits: Sequence[Commit], signers: Signers
) -> dict[str, str]:
    """Return those of the commits that are not signed as they must be, each with the reason.

    Raises:
        NotFound: There is no `ssh-keygen`.
    """
    if not commits:
        return {}
    program = find_program("ssh-keygen", git.work_tree)
    if program is None:
        raise NotFound(
            "signatures cannot be judged: ssh-keygen is not installed",
            code="ssh-keygen-not-found",
            hint="install the client of OpenSSH, and put it on PATH",
        )
    with tempfile.TemporaryDirectory(prefix="gitml-signers-") as folder:
        judge = _Judge(git, objects, signers, program, Path(folder))
        found = {commit.oid: judge.fault(commit) for commit in commits}
    return {oid: why for oid, why in found.items() if why is not None}


class _Judge:
    """Asks git about one commit after the other; each person's keys are written to a file of their own, once."""

    def __init__(
        self, git: GitCommand, objects: ObjectReader, signers: Signers, program: str, folder: Path
    ) -> None:
        self._git = git
        self._objects = objects
        self._signers = signers
        self._folder = folder
        self._files: dict[str, Path | None] = {}
        self._settings = [
            ("gpg.ssh.program", program),
            ("gpg.ssh.defaultKeyCommand", ""),
            ("gpg.minTrustLevel", "fully"),
        ]
        if signers.revoked is not None:
            path = folder / "revoked"
            path.write_bytes(signers.revoked)
            self._settings.append(("gpg.ssh.revocationFile", str(path)))

    def fault(self, commit: Commit) -> str | None:
        """Why a commit does not count as signed; None where it does."""
        kinds = list(self._signatures(commit.oid))
        if not kinds:
            return "nobody signed it"
        if not all(kind.startswith(_SSH) for kind in kinds):
            return "its signature is not made with an SSH key"
        email = commit.committer.email
        allowed = self._file(email)
        if allowed is None:
            return f"no key of its committer {email} is allowed"
        result = self._git.run(
            "verify-commit", "--raw", commit.oid,
            ok=(0, 1, 128),
            settings=[*self._settings, ("gpg.ssh.allowedSignersFile", str(allowed))],
            what="a signature could not be verified",
        )  # fmt: skip
        if result.status == 0 and 'Good "git" signature for ' in result.stderr:
            return None
        return (
            f"its signature is not of an allowed key of {email} ({first_words(result.stderr) or 'refused'})"
        )

    def _signatures(self, oid: str) -> Iterator[bytes]:
        raw = self._objects.read(f"{oid}^{{commit}}")
        head = b"" if raw is None else raw.data.partition(b"\n\n")[0]
        for line in head.split(b"\n"):
            for header in _HEADERS:
                if line.startswith(header):
                    yield line.removeprefix(header)

    def _file(self, email: str) -> Path | None:
        if email not in self._files:
            lines = self._signers.lines_of(email)
            path = self._folder / f"allowed-{len(self._files)}"
            if lines:
                path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            self._files[email] = path if lines else None
        return self._files[email]


def _names(patterns: str, email: str) -> bool:
    """Whether a list of patterns matches an address, as OpenSSH reads one: `!` excludes. Source: ssh-keygen(1)."""
    wanted = False
    for pattern in patterns.split(","):
        if _matches(pattern.removeprefix("!"), email):
            if pattern.startswith("!"):
                return False
            wanted = True
    return wanted


def _matches(pattern: str, email: str) -> bool:
    if not 0 < len(pattern) <= _MAX_PATTERN:
        return False
    return compile_glob(re.sub(r"\*+", "**", pattern).casefold())(email.casefold())


def _has_ended(rest: str, at: datetime) -> bool:
    """Whether a key's time is over; a time that cannot be read counts as over, and the zone is UTC."""
    options = re.split(r"(?:\A|\s)(?:ssh-|ecdsa-|sk-)", rest, maxsplit=1)[0]
    for found in _ENDS.finditer(options):
        when = _MOMENT.fullmatch(found["when"])
        try:
            text = f"{when[1]}{when[2] or '0000'}{when[3] or '00'}" if when else ""
            if at >= datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC):
                return True
        except ValueError:
            return True
    return False
