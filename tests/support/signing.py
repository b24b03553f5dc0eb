"""Keys and signed commits, made with ssh-keygen and git themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path


def key(folder: Path, name: str) -> Path:
    """A key pair; gives the path of the secret half, which git signs with."""
    path = folder / name
    if not path.exists():
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True
        )
    return path


def public(path: Path) -> str:
    """The public half, as a list of allowed signers has it."""
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def settings(path: Path) -> list[str]:
    """Arguments that let git sign with a key."""
    return ["-c", "gpg.format=ssh", "-c", f"user.signingkey={path}", "-c", "commit.gpgsign=true"]
