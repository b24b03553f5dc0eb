"""Folders that are made once in a process and copied for every test that starts from them.

What is made has to be the same every time. A copy is a folder of its own: addresses in git's configuration, and the
stores that the machine remembers, name its place. Only pointers still say where the first one was made from.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_STATE = ".local/state/gitml/trusted-stores.json"
_copies: dict[Hashable, list[Path]] = {}
_numbers = itertools.count()
_made: dict[Hashable, Path] = {}


def prepare(base: Path, kind: Hashable, make: Callable[[Path], object]) -> None:
    """Fill a folder as `make` fills one.

    Args:
        base: It may be there already.
        kind: What tells this folder from others; the user's settings do, too.
        make: It gets an absent folder.
    """
    home = Path.home()
    user = (home / ".gitconfig").read_bytes()
    given = sorted((name, text) for name, text in os.environ.items() if name.startswith("GIT"))
    mine = _copies.setdefault((kind, home), [])
    mine[:] = [copy for copy in mine if copy.exists()]
    # Two registries that are there at once are two: they have names of their own.
    key = (kind, user, tuple(given), len(mine))
    if key not in _made:
        folder = _room() / str(next(_numbers))  # what is made may start from what is prepared itself
        with _at_home(folder / "home", user):
            make(folder / "made")
        for sample in folder.rglob("hooks/*.sample"):
            sample.unlink()
        _made[key] = folder
    mine.append(base)
    _copy(_made[key], base, home)


def _copy(folder: Path, base: Path, home: Path) -> None:
    made = folder / "made"
    shutil.copytree(made, base, symlinks=True, dirs_exist_ok=True)
    for top in (base, *base.iterdir()):
        for config in (top / "config", top / ".git/config"):
            if config.is_file():
                config.write_bytes(config.read_bytes().replace(os.fsencode(made), os.fsencode(base)))
    _remember(folder / "home" / _STATE, home / _STATE, str(made), str(base))


def _remember(source: Path, target: Path, made: str, base: str) -> None:
    """Add what a machine remembers of stores."""
    if not source.exists():
        return
    found = json.loads(target.read_text()) if target.exists() else {}
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(found | json.loads(source.read_text().replace(made, base)), indent=1))


@contextmanager
def _at_home(home: Path, settings: bytes) -> Iterator[None]:
    """A home of its own, so that what is remembered there can be told apart."""
    home.mkdir(parents=True)
    (home / ".gitconfig").write_bytes(settings)
    places = {
        "HOME": "",
        "XDG_CONFIG_HOME": ".config",
        "XDG_STATE_HOME": ".local/state",
        "XDG_CACHE_HOME": ".cache",
    }
    before = {name: os.environ.get(name) for name in places}
    os.environ.update({name: str(home / place) for name, place in places.items()})
    try:
        yield
    finally:
        for name, text in before.items():
            os.environ.pop(name)
            if text is not None:
                os.environ[name] = text


@cache
def _room() -> Path:
    room = Path(tempfile.mkdtemp(prefix="gitml-prepared-"))
    atexit.register(shutil.rmtree, room, ignore_errors=True)
    return room
