"""How each program is set up and called; every one in a world of its own, with nothing configured but a name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tests.bench.bucket import Place
from tests.bench.measure import Argv, Run, remove, run, size_of

_DVC = "dvc>=3.67,<4"
_DVC_S3 = "dvc[s3]>=3.67,<4"
_PYARROW = "pyarrow>=17"
_BORG = "borgbackup>=1.2,<2"
_INSTALLED = Path(sys.executable).with_name("gitml")


class World:
    """A folder to work in, with a home of its own."""

    def __init__(self, folder: Path) -> None:
        remove(folder)
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        (self.home / ".gitconfig").write_text(
            "[user]\n\tname = Ada Example\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n"
            "[gc]\n\tauto = 0\n"
        )
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }
        if not _INSTALLED.exists():
            self.env["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])

    def run(self, *commands: Argv, cwd: Path | None = None) -> Run:
        return run(*commands, cwd=cwd or self.folder, env=self.env)

    def forget_caches(self) -> None:
        """As on a machine that has never seen this data."""
        remove(self.home / ".cache")


class Gitml(World):
    """A registry with a folder or a place in a bucket as its store, and a bare repository as its remote."""

    def __init__(self, folder: Path, place: Place | None = None) -> None:
        super().__init__(folder)
        self.repo, self.store, self.remote = folder / "registry", folder / "store", folder / "remote.git"
        self.run(["git", "init", "-q", "--bare", self.remote], ["git", "init", "-q", self.repo])
        self.run(["git", "remote", "add", "origin", self.remote], cwd=self.repo)
        if place is not None:
            self.reach(place)
        self.gitml("init", "--store", place.url if place else "../store")

    def reach(self, place: Place) -> None:
        """Use the server that this place names from here on."""
        self.env |= {**place.environment, "GITML_STORE_DEFAULT_ENDPOINT_URL": place.endpoint_url}

    def gitml(self, *words: str | Path, cwd: Path | None = None) -> Run:
        return self.run([*program(), *words], cwd=cwd or self.repo)

    def clone(self, name: str) -> Path:
        path = self.folder / name
        remove(path)
        self.run(["git", "clone", "-q", self.remote, path])
        return path

    def stored_bytes(self) -> int:
        return size_of(self.store)


def program() -> list[str]:
    """The installed `gitml` of this interpreter, or the one of this source tree where there is none."""
    return [str(_INSTALLED)] if _INSTALLED.exists() else [sys.executable, "-m", "gitml.cli"]


class Dvc(World):
    """A DVC repository with a folder or a place in a bucket as its remote."""

    def __init__(self, folder: Path, executable: Path, place: Place | None = None) -> None:
        super().__init__(folder)
        self.executable = executable
        self.env |= {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(self.home / "site")}
        self.repo, self.remote, self.store = folder / "repo", folder / "remote.git", folder / "store"
        self.run(["git", "init", "-q", "--bare", self.remote], ["git", "init", "-q", self.repo])
        self.run(["git", "remote", "add", "origin", self.remote], cwd=self.repo)
        self.dvc("init", "-q")
        self.dvc("remote", "add", "-q", "-d", "folder", place.url if place else self.store)
        if place is not None:
            self.env |= place.environment
            self.dvc("remote", "modify", "-q", "folder", "endpointurl", place.endpoint_url)
        self.commit("start")

    def dvc(self, *words: str | Path, cwd: Path | None = None) -> Run:
        return self.run([self.executable, *words], cwd=cwd or self.repo)

    def add_and_commit(self, path: str) -> Run:
        return self.run(
            [self.executable, "add", "-q", path],
            ["git", "add", "-A"],
            ["git", "commit", "-q", "-m", "data"],
            cwd=self.repo,
        )

    def commit(self, message: str) -> None:
        self.run(["git", "add", "-A"], ["git", "commit", "-q", "-m", message], cwd=self.repo)

    def clone(self, name: str) -> Path:
        path = self.folder / name
        remove(path, self.home / "site")
        self.run(["git", "clone", "-q", self.remote, path])
        return path

    def cached_bytes(self) -> int:
        return size_of(self.repo / ".dvc" / "cache")


class Restic(World):
    """A restic repository in a folder or in a place in a bucket."""

    def __init__(self, folder: Path, executable: Path, place: Place | None = None) -> None:
        super().__init__(folder)
        self.executable, self.store = executable, folder / "store"
        self.env |= {"RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(self.store)}
        if place is not None:
            self.reach(place)
        self.run([executable, "init", "-q"])

    def reach(self, place: Place) -> None:
        """Use the server that this place names from here on."""
        repository = f"s3:{place.endpoint_url}/{place.bucket}/{place.prefix}"
        self.env |= {**place.environment, "RESTIC_REPOSITORY": repository}

    def backup(self, path: Path) -> Run:
        return self.run([self.executable, "backup", "-q", path.name], cwd=path.parent)

    def restore(self, target: Path) -> Run:
        return self.run([self.executable, "restore", "-q", "latest", "--target", target])

    def stored_bytes(self) -> int:
        return size_of(self.store)


class Borg(World):
    """A borg repository in a folder, without encryption."""

    def __init__(self, folder: Path, executable: Path) -> None:
        super().__init__(folder)
        self.executable, self.store = executable, folder / "store"
        self.env |= {"BORG_BASE_DIR": str(self.home)}
        self.run([executable, "init", "-e", "none", self.store])

    def create(self, name: str, path: Path) -> Run:
        return self.run([self.executable, "create", f"{self.store}::{name}", path.name], cwd=path.parent)

    def stored_bytes(self) -> int:
        return size_of(self.store)


class Peers:
    """The programs that GitML is compared with; None where one cannot be had on this machine."""

    def __init__(self, folder: Path, *, install: bool = True) -> None:
        self._folder = folder
        self._install = install
        self.dvc = self._from_package("dvc", _DVC)
        self.restic = self._from_system("restic")
        self.borg = self._from_system("borg", complain=False) or self._from_package("borg", _BORG)

    @cached_property
    def dvc_s3(self) -> Path | None:
        """DVC with what it needs for S3, apart from the one that the local rows use."""
        return self._from_package("dvc", _DVC_S3, "dvc-s3")

    @cached_property
    def pyarrow(self) -> Path | None:
        """A folder for `PYTHONPATH` with pyarrow in it."""
        folder = self._folder / "pyarrow"
        if folder.is_dir():
            return folder
        if not self._install:
            self._miss("pyarrow", "not installed, and not to be")
            return None
        print(f"installing {_PYARROW} …", file=sys.stderr, flush=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, _PYARROW]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            remove(folder)
            self._miss("pyarrow", f"does not install here ({(done.stderr.strip().splitlines() or [''])[-1]})")
            return None
        return folder

    def _miss(self, name: str, reason: str) -> None:
        print(f"{name}: not measured, {reason}", file=sys.stderr)

    def versions(self) -> dict[str, str]:
        calls: dict[str, Sequence[str | Path] | None] = {
            "gitml": [*program(), "--version"],
            "git": ["git", "--version"],
            "dvc": self.dvc and [self.dvc, "--version"],
            "restic": self.restic and [self.restic, "version"],
            "borg": self.borg and [self.borg, "--version"],
        }
        found = {}
        for name, call in calls.items():
            if call:
                printed = subprocess.run(call, capture_output=True, text=True, check=True).stdout
                found[name] = next(word for word in printed.split() if word[0].isdigit())
        return found

    def _from_system(self, name: str, *, complain: bool = True) -> Path | None:
        found = shutil.which(name)
        if found is None and complain:
            self._miss(name, "not installed on this system")
        return Path(found) if found else None

    def _from_package(self, name: str, requirement: str, folder: str = "") -> Path | None:
        venv = self._folder / (folder or name)
        executable = venv / "bin" / name
        if executable.exists():
            return executable
        if not self._install:
            self._miss(folder or name, "not installed, and not to be")
            return None
        remove(venv)
        print(f"installing {requirement} …", file=sys.stderr, flush=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", venv], check=True, capture_output=True)
            pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", requirement]
            subprocess.run(pip, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            lines = str(error.stderr or error).strip().splitlines()
            self._miss(folder or name, f"does not install here ({lines[-1]})")
            remove(venv)
            return None
        return executable
