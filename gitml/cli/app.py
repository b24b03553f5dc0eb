"""The root command, and the boundary at which every exception becomes an exit code.

Owns the form of failure: three lines on stderr, or the one JSON document on stdout. Commands only raise.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from gitml._version import __version__
from gitml.cli.commands import SECTIONS
from gitml.cli.terminal.click_parts import LazyGroup, session_of
from gitml.cli.terminal.output import ReaderGoneError, silence
from gitml.cli.terminal.session import Session
from gitml.errors import NotFound

_COMPLETION_VARIABLE = "_GITML_COMPLETE"


class Root(LazyGroup):
    """The program."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - click's signature
        **extra: Any,
    ) -> NoReturn:
        """Run one command line and leave the process with its exit code."""
        del complete_var, standalone_mode
        words = list(sys.argv[1:] if args is None else args)
        if os.environ.get(_COMPLETION_VARIABLE):
            self._main_shell_completion({}, "gitml", _COMPLETION_VARIABLE)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # A terminal that cannot show a character must not turn a success into a failure.
                stream.reconfigure(errors="backslashreplace")
        session = extra.pop("obj", None) or Session()
        before = _working_directory()
        try:
            code = self._run(words, prog_name or "gitml", session, extra)
        finally:
            # `-C` holds for one command line, also where several are run in one process.
            if before is not None:
                os.chdir(before)
        sys.exit(code)

    def _run(self, words: list[str], program: str, session: Session, extra: dict[str, Any]) -> int:
        try:
            code = self._invoke(words, program, session, extra)
            session.close_progress()
            session.out.flush()
        except ReaderGoneError:
            session.close_progress()
            silence(sys.stdout)
            return 0
        except BaseException as error:  # noqa: BLE001 - the boundary
            return _report(error, words, session)
        return code

    def _invoke(self, words: list[str], program: str, session: Session, extra: dict[str, Any]) -> int:
        try:
            with self.make_context(program, words, obj=session, **extra) as ctx:
                self.invoke(ctx)
        except click.exceptions.Exit as done:
            return done.exit_code
        return 0


def _working_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a plain string for chdir
    except FileNotFoundError:
        return None


def _report(error: BaseException, words: Sequence[str], session: Session) -> int:
    """Tell of a failure, and give its exit code."""
    from gitml.cli.terminal.document import GENERAL, dumps, schema_name
    from gitml.cli.terminal.failure import failure_of

    if isinstance(error, FileNotFoundError) and _working_directory() is None:
        error = NotFound(
            "the folder that this command was started in is gone",
            code="folder-gone",
            hint="cd to a folder that exists",
        )
    failure = failure_of(error)
    if isinstance(error, click.UsageError):
        # The mistake may stand before `--json`, or keep the parser from reading it.
        session.json = session.json or "--json" in words
    try:
        session.close_progress()
        if session.json:
            body = {"schema": schema_name(session.command or GENERAL), **session.beside, **failure.body()}
            sys.stdout.write(dumps(body, indent=sys.stdout.isatty()))
            sys.stdout.flush()
            if session.verbosity >= 2:
                sys.stderr.write(failure.details)
        else:
            failure.print(sys.stderr, verbosity=session.verbosity)
    except OSError:
        # The exit code is all that is left to say.
        pass
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            silence(stream)
    return failure.exit_code


def _print_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value and not ctx.resilient_parsing:
        session_of(ctx).out.write(f"gitml {__version__}\n")
        ctx.exit()


@click.group(
    cls=Root, name="gitml", sections=SECTIONS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def root() -> None:
    """A git repository as the registry of everything a machine-learning team ships.

    References are [TYPE/]NAME[@VERSION|latest|ALIAS|STAGE][:PATH], such as models/digits@production.
    """
