"""Events of requests written with plain git, as anybody with push rights could."""

from __future__ import annotations

import json
from typing import Any

from support.team import Member, git


def last(member: Member, number: int) -> tuple[str, dict[str, Any]]:
    """Newest event of a request on the remote: commit and fields."""
    member.git("fetch", "--quiet", "origin", f"+refs/gitml/requests/{number}:refs/test/{number}")
    tip = member.git("rev-parse", f"refs/test/{number}")
    return tip, json.loads(member.git("show", f"{tip}:event.json"))


def commit_event(
    member: Member, fields: dict[str, Any] | str, parents: list[str], name: str = "event.json"
) -> str:
    """Write an event, well formed or not."""
    text = fields if isinstance(fields, str) else json.dumps(fields)
    path = member.folder / ".git" / "event"
    path.write_text(text)
    blob = member.git("hash-object", "-w", str(path))
    path.write_text(f"100644 blob {blob}\t{name}\n")
    with path.open() as rows:
        import subprocess

        done = subprocess.run(
            ["git", "mktree"], cwd=member.folder, stdin=rows, capture_output=True, check=True, text=True
        )
    arguments = [word for parent in parents for word in ("-p", parent)]
    return member.git("commit-tree", "-m", "event", *arguments, done.stdout.strip())


def push_event(member: Member, number: int, commit: str) -> None:
    member.git("push", "--quiet", "--force", "origin", f"{commit}:refs/gitml/requests/{number}")


def forge_event(member: Member, number: int, *, parents: list[str] | None = None, **changes: Any) -> None:
    """Append an event to a request by hand."""
    tip, fields = last(member, number)
    fields |= changes
    push_event(member, number, commit_event(member, fields, parents or [tip, fields["head"]]))


__all__ = ["commit_event", "forge_event", "git", "last", "push_event"]
