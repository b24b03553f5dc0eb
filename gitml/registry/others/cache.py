"""What was read of other registries, on this machine: bare repositories, one for each address and month.

Everything in it can be read again, so it may be deleted at any time. Processes share it without waiting for each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import platformdirs

from gitml.errors import Busy, NotFound, StoreUnavailable
from gitml.git.partial import PartialRepository, Tips, ask_tips
from gitml.model.progress import Progress
from gitml.registry.others.addresses import Address

_SLOTS: Final = 8
_EARLIER: Final = 63
_ATTEMPTS: Final = 12
_LOCK_S: Final = 60


class Cache:
    """The bare repositories of one address, and what was seen of its branches."""

    def __init__(self, address: Address, *, cached: bool) -> None:
        key = hashlib.sha256(address.shown.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self._address = address
        self._cached = cached
        self._base = platformdirs.user_cache_path("gitml") / "registries"
        self._key = key
        self._state = platformdirs.user_state_path("gitml") / "registries" / key
        self._slot = 0
        self.repository = self._open(self._folders()[0])
        if not cached:
            self._sweep()

    def _folders(self) -> list[Path]:
        """Folders to use, the preferred first; a new one each month, so that none grows without end."""
        month = datetime.now(UTC).strftime("%Y-%m")
        fresh = [self._base / f"{self._key}-{month}{f'.{slot}' if slot else ''}" for slot in range(_SLOTS)]
        if not self._cached:
            return [folder for folder in fresh if not _is_locked(folder)] or fresh[:1]
        there = sorted(self._base.glob(f"{self._key}-*"), reverse=True) if self._base.is_dir() else []
        if not there:
            raise NotFound(
                f"nothing of {self._address.shown} was read on this machine lately",
                code="not-cached",
                hint="leave out --cached",
            )
        return there

    def _open(self, folder: Path) -> PartialRepository:
        address = None if self._cached else self._address.url
        return PartialRepository.at(folder, address, state=self._state)

    def _sweep(self) -> None:
        """Remove what belongs to no month that anybody still reads."""
        kept = {(datetime.now(UTC).year * 12 + datetime.now(UTC).month - 1 - back) for back in (-1, 0, 1)}
        for folder in self._base.glob(f"{self._key}-*"):
            with suppress(ValueError):
                year, month = folder.name.removeprefix(f"{self._key}-").split(".")[0].split("-")
                if int(year) * 12 + int(month) - 1 not in kept:
                    shutil.rmtree(folder, ignore_errors=True)

    # --- branches

    def tips(self, branches: Sequence[str], progress: Progress) -> Tips:
        """Ask where branches are, and remember the answer; or read what was remembered."""
        if self._cached:
            return self._remembered(branches, progress)
        try:
            tips = ask_tips(self._address.url, branches, cwd=self.repository.git_dir)
        except StoreUnavailable as error:
            error.hint = "run it again when the network is back; --cached shows what was read last"
            raise
        for name, commit in {**tips.branches, "": tips.default or ""}.items():
            self._remember(name, commit)
        for name in branches:
            if name not in tips.branches:
                self._seen(name).unlink(missing_ok=True)
        return tips

    def _seen(self, branch: str) -> Path:
        name = hashlib.sha256(branch.encode()).hexdigest()[:32]
        return self._base / "seen" / self._key / f"{name}.json"

    def _remember(self, branch: str, value: str) -> None:
        """Note a branch; a cache that cannot be written forgets, and nothing else."""
        path = self._seen(branch)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{random.getrandbits(32):x}")
        earlier = [one for one in self._earlier(branch) if one != value][:_EARLIER]
        record = {"branch": branch, "value": value, "seen": int(time.time()), "earlier": [value, *earlier]}
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
            temporary.replace(path)

    def was_tip(self, branch: str, commit: str) -> bool:
        """Whether a branch was lately seen at a commit."""
        return commit in self._earlier(branch)

    def _earlier(self, branch: str) -> list[str]:
        """Where a branch was seen, the last first."""
        try:
            record = json.loads(self._seen(branch).read_text(encoding="utf-8"))
            return [one for one in record["earlier"] if isinstance(one, str)]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _remembered(self, branches: Sequence[str], progress: Progress) -> Tips:
        default, oldest = self._recall(""), time.time()
        if default is None:
            raise NotFound(
                f"no branch of {self._address.shown} was read on this machine lately",
                code="not-cached",
                hint="leave out --cached",
            )
        found: dict[str, str] = {}
        for name in (*branches, default[0]):
            recalled = self._recall(name)
            if recalled is not None:
                found[name] = recalled[0]
                oldest = min(oldest, recalled[1])
        when = datetime.fromtimestamp(oldest, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        progress.note(f"{self._address.shown} was not asked: as of {when}, {_age(time.time() - oldest)} ago")
        return Tips(default=default[0], branches=found)

    def _recall(self, branch: str) -> tuple[str, float] | None:
        try:
            record = json.loads(self._seen(branch).read_text(encoding="utf-8"))
            if record["branch"] == branch and isinstance(record["value"], str):
                return record["value"], float(record["seen"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    # --- objects

    def bring(self, commits: Sequence[str]) -> None:
        """Have the trees of commits in the folder that is used."""
        for attempt in range(_ATTEMPTS):
            try:
                self.repository.bring(commits)
            except Busy:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(random.uniform(0, 0.05 * (attempt + 1)))  # noqa: S311 - spreads load, hides nothing
            else:
                return


def _is_locked(folder: Path) -> bool:
    """Whether a process died, or sits, on the one lock that git takes when it cuts history off."""
    try:
        return time.time() - (folder / "shallow.lock").stat().st_mtime > _LOCK_S
    except OSError:
        return False


def _age(seconds: float) -> str:
    for unit, size_s in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size_s:
            return f"{int(seconds // size_s)} {unit}"
    return f"{int(seconds)} seconds"
