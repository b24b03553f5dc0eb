"""Runs the program many times in processes of their own, and ends or hinders it at a chosen step.

A :class:`Runner` is one process that has everything imported and forks for each command, so that a run costs
what the command costs. The forked child can be told to count its durable steps, to die together with all that
it started at step N, or to get an error of the operating system there; to run without the rights of root; or
to be allowed only small files. It changes `os` in the child, and nothing of GitML.

:func:`traced` runs the program under strace instead, which also reaches the steps of git.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

STEPS = ("open", "write", "writev", "pwrite", "fsync", "fdatasync", "link", "symlink", "rename", "replace",
         "unlink", "remove", "mkdir", "rmdir", "ftruncate", "utime", "spawn")  # fmt: skip
"""Calls that change the disk or start git."""

_CREATING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
TIME_LIMIT_S = 120


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended.

    Attributes:
        status: Exit code, or minus the signal.
        steps: How many steps it took; 0 where nobody counted.
    """

    status: int
    stdout: str
    stderr: str
    steps: int = 0

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


class Running:
    """A command that was started."""

    def __init__(self, runner: Runner, pid: int, files: tuple[Path, Path, Path]) -> None:
        self._runner, self.pid, self._files = runner, pid, files

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Send a signal to the command and to what it started, as a terminal does."""
        os.killpg(self.pid, number)

    def wait(self) -> Ended:
        """Wait for its end."""
        status = self._runner.ask({"wait": self.pid})["status"]
        stdout, stderr, steps = (
            path.read_text(errors="replace") if path.exists() else "" for path in self._files
        )
        return Ended(status=status, stdout=stdout, stderr=stderr, steps=int(steps or 0))


class Runner:
    """Forks a process for each command line.

    Args:
        folder: Where what they print is kept.
        environment: What they see of the environment.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        import gitml

        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._count = 0
        roots = [str(Path(gitml.__file__).parents[1]), str(Path(__file__).parents[1])]
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from support.killing import _serve; _serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment, "PYTHONPATH": os.pathsep.join(roots)},
            text=True,
        )

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the runner has ended"
        return dict(json.loads(answer))

    def start(
        self,
        cwd: Path,
        *line: str,
        env: Mapping[str, str] | None = None,
        kill_at: int | None = None,
        error_at: int | None = None,
        error: int = errno.ENOSPC,
        sticky: bool = False,
        steps: Sequence[str] = STEPS,
        below: Path | None = None,
        powerless: bool = False,
        largest_file_bytes: int | None = None,
    ) -> Running:
        """Start a command.

        Args:
            cwd: The folder it runs in.
            line: The command line without `gitml`.
            env: Further variables.
            kill_at: Die right before this step, with everything that was started; 0 only counts.
            error_at: This step fails with `error`, before it had an effect.
            sticky: All later ones, too.
            steps: Which calls are steps.
            below: Only calls that name a path below this folder, or a file in it, are steps.
            powerless: Files' owners and modes hold for it, even if it is root.
            largest_file_bytes: No file can grow larger.
        """
        self._count += 1
        names = tuple(self._folder / f"{self._count}.{kind}" for kind in ("out", "err", "steps"))
        question = {
            "cwd": str(cwd), "line": list(line), "env": dict(env or {}), "files": [str(name) for name in names],
            "kill_at": kill_at, "error_at": error_at, "error": error, "sticky": sticky, "steps": list(steps),
            "below": str(below) if below else None, "powerless": powerless, "largest_file_bytes": largest_file_bytes,
        }  # fmt: skip
        return Running(self, self.ask(question)["pid"], (names[0], names[1], names[2]))

    def run(self, cwd: Path, *line: str, **how: Any) -> Ended:
        """Run a command to its end; see :meth:`start`."""
        return self.start(cwd, *line, **how).wait()

    def close(self) -> None:
        """End the runner; commands that still run are ended, too."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(TIME_LIMIT_S)


def _serve() -> None:
    """The runner's own process: fork on request."""
    import gitml.api
    import gitml.git.repository
    import gitml.model.schemas
    import gitml.store.store  # noqa: F401 - imported before the fork
    from gitml.cli.app import root  # noqa: F401 - imported before the fork
    from gitml.cli.render import promotion, registry, work  # noqa: F401 - imported before the fork

    alive: set[int] = set()
    for text in sys.stdin:
        question = json.loads(text)
        if "wait" in question:
            pid = question["wait"]
            _, status = os.waitpid(pid, 0)
            alive.discard(pid)
            answer = {"status": os.waitstatus_to_exitcode(status)}
        else:
            pid = os.fork()
            if pid == 0:
                _child(question)
            alive.add(pid)
            answer = {"pid": pid}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in alive:
        os.killpg(pid, signal.SIGKILL)


def _child(question: dict[str, Any]) -> None:
    """One command, in the process that was forked for it; never returns."""
    code = 99
    steps = None
    try:
        os.setsid()
        # A command that hangs must not hang the tests.
        signal.alarm(TIME_LIMIT_S)
        out, err, _count = question["files"]
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        for name, number in ((out, 1), (err, 2)):
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            os.dup2(handle, number)
            os.close(handle)
        os.environ.update(question["env"])
        os.chdir(question["cwd"])
        if question["powerless"] and os.geteuid() == 0:
            _give_up_capabilities()
        if question["largest_file_bytes"] is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (question["largest_file_bytes"],) * 2)
        from gitml.cli.app import root

        if question["kill_at"] is not None or question["error_at"] is not None:
            steps = _Steps(question)
            steps.install()
        try:
            root.main(question["line"], prog_name="gitml")
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else 0 if done.code is None else 99
    except BaseException:  # whatever it is, the child must not go on as a second runner
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            if steps is not None:
                steps.report(question["files"][2])
        finally:
            os._exit(code)


def _give_up_capabilities() -> None:
    """Stay root by name, and lose what root may do; what is started later does not get it back.

    The user does not change, because the interpreter may lie in a home that only its owner can read.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    set_secure_bits, no_root_locked = 28, 0b11
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.prctl(set_secure_bits, no_root_locked, 0, 0, 0) or libc.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "the capabilities cannot be given up")


class _Steps:
    """Counts the durable steps of this process, and ends it or fails at one."""

    def __init__(self, question: dict[str, Any]) -> None:
        self._kill_at, self._error_at = question["kill_at"], question["error_at"]
        self._error, self._sticky = question["error"], question["sticky"]
        self._wanted, self._below = set(question["steps"]), question["below"]
        self._count = 0
        self._lock = threading.Lock()
        self._open, self._write = os.open, os.write

    def install(self) -> None:
        for name in self._wanted - {"spawn"}:
            setattr(os, name, self._stepping(name, getattr(os, name)))
        if "spawn" in self._wanted:
            subprocess.Popen._execute_child = self._stepping(  # type: ignore[attr-defined]
                "spawn",
                subprocess.Popen._execute_child,  # type: ignore[attr-defined]
            )
        if "open" in self._wanted:
            sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        # os.open passes here, too, but with no mode; it is counted by its wrapper.
        if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            self._step("open", arguments[:1], {})

    def _stepping(self, name: str, function: Any) -> Any:
        def stepping(*arguments: Any, **options: Any) -> Any:
            flags = arguments[1] if len(arguments) > 1 else options.get("flags", 0)
            if name != "open" or flags & _CREATING:
                self._step(name, arguments, options)
            return function(*arguments, **options)

        return stepping

    def _step(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        if name in ("write", "writev") and arguments and arguments[0] in (1, 2):
            return
        places = arguments[: 2 if name in ("link", "symlink", "rename", "replace") else 1]
        if self._below is not None and not any(self._is_below(one, options) for one in places):
            return
        with self._lock:
            self._count += 1
            count = self._count
        if self._kill_at == count:
            os.killpg(0, signal.SIGKILL)
            signal.pause()
        if self._error_at is not None and (
            count == self._error_at or (self._sticky and count > self._error_at)
        ):
            raise OSError(
                self._error, os.strerror(self._error), str(arguments[0])[:200] if arguments else None
            )

    def _is_below(self, place: Any, options: Mapping[str, Any]) -> bool:
        if isinstance(place, int):
            path = self._path_of(place)
        elif isinstance(place, str | bytes | os.PathLike):
            handle = options.get("dir_fd", options.get("src_dir_fd"))
            path = os.path.join(
                self._path_of(handle) if handle is not None else os.getcwd(), os.fsdecode(place)
            )
        else:
            return False
        return os.path.normpath(path).startswith(self._below)

    @staticmethod
    def _path_of(handle: int) -> str:
        try:
            return os.readlink(f"/proc/self/fd/{handle}")
        except OSError:
            return ""

    def report(self, name: str) -> None:
        handle = self._open(name, os.O_WRONLY | os.O_CREAT, 0o666)
        self._write(handle, str(self._count).encode())
        os.close(handle)


# What a call returned from which nobody came back.
_DEATH = re.compile(r"\+\+\+ killed by SIGKILL|\) += \?$", re.MULTILINE)


def strace() -> str:
    """The path of strace; the test is skipped where there is none that works, unless everything is required."""
    program = shutil.which("strace")
    works = program is not None and (
        subprocess.run([program, "-qq", "-o", os.devnull, "true"], capture_output=True).returncode == 0
    )
    if program is None or not works:
        if os.environ.get("GITML_REQUIRE_SERVERS"):
            pytest.fail("strace is not installed or may not trace here")
        pytest.skip("strace is not installed or may not trace here")
    return program


def traced(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str], calls: str, when: int, log: Path
) -> Ended:
    """Run a command whose process that first makes the N-th of these system calls is killed there.

    Where that was a git, everything else is killed as soon as that is seen, as if the machine had gone.

    Args:
        command: The command line.
        cwd: The folder it runs in.
        environment: What it sees of the environment.
        calls: System calls as strace names them, comma-separated.
        when: N, counted in each process on its own.
        log: Where strace writes what it saw.
    """
    process = subprocess.Popen(
        [strace(), "-f", "-q", "-o", str(log), "-e", f"trace={calls}", "-e", "signal=none",
         "-e", f"inject={calls}:signal=SIGKILL:when={when}", *command],
        cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    ended = threading.Event()
    killed = threading.Event()

    def watch() -> None:
        while not ended.wait(0.002):
            if log.exists() and _DEATH.search(log.read_text(errors="replace")):
                killed.set()
                with contextlib.suppress(ProcessLookupError):  # it was the last one
                    os.killpg(process.pid, signal.SIGKILL)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        stdout, stderr = process.communicate(timeout=TIME_LIMIT_S)
    finally:
        ended.set()
        watcher.join()
    died = killed.is_set() or _DEATH.search(log.read_text(errors="replace")) is not None
    return Ended(status=-signal.SIGKILL if died else process.returncode, stdout=stdout, stderr=stderr)
