"""GitML's kinds of click commands: lazy groups, global flags on both sides of the command, did-you-mean."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from gitml.cli.commands import Entry, full_names
from gitml.cli.terminal import log
from gitml.cli.terminal.session import Session
from gitml.cli.terminal.suggest import nearest_command, nearest_option
from gitml.errors import AccessDenied, NotFound

_GLOBAL = "gitml_global"
Function = TypeVar("Function", bound=Callable[..., Any])
F = Callable[[Function], Function]


class Misspelt(click.UsageError):
    """A usage error that knows what to type instead."""

    def __init__(self, message: str, *, code: str, hint: str | None, ctx: click.Context | None) -> None:
        super().__init__(message, ctx)
        self.code = code
        self.hint = hint


def session_of(ctx: click.Context) -> Session:
    """The session of this run; one of its own where a command is invoked without the program around it."""
    return ctx.find_root().ensure_object(Session)


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        # A flag that stands on one side of the command must not be undone by its absence on the other.
        if value:
            setattr(session_of(ctx), name, value)

    return callback


def _more_verbose(ctx: click.Context, parameter: click.Parameter, value: int) -> None:
    session_of(ctx).verbosity += value


def _change_directory(ctx: click.Context, parameter: click.Parameter, values: Sequence[str]) -> None:
    for value in values:
        try:
            os.chdir(value)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(
                f"there is no folder {value}", code="no-folder", hint="name an existing folder"
            ) from error


def _print_help(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    # Not by click's echo: a reader of stdout that leaves early is then told apart from other broken pipes.
    if value and not ctx.resilient_parsing:
        session_of(ctx).out.write(ctx.get_help() + "\n")
        ctx.exit()


def global_options() -> list[click.Option]:
    """The flags that every command takes, before and after its name."""
    options = [
        click.Option(
            ["--json", "global_json"],
            is_flag=True,
            callback=_set("json"),
            help="Print one JSON document on stdout.",
        ),
        click.Option(
            ["-q", "--quiet", "global_quiet"],
            is_flag=True,
            callback=_set("quiet"),
            help="Print references only, one a line.",
        ),
        click.Option(
            ["-v", "--verbose", "global_verbose"],
            count=True,
            callback=_more_verbose,
            help="Say more; -vv: show tracebacks.",
        ),
        click.Option(
            ["-C", "--directory", "global_directory"],
            multiple=True,
            metavar="PATH",
            callback=_change_directory,
            help="Run as if started in PATH.",
        ),
        click.Option(
            ["-R", "--registry", "global_registry"],
            metavar="PATH",
            callback=_set("registry_path"),
            help="The registry is in PATH; other paths stay yours.",
        ),
        click.Option(
            ["-j", "--jobs", "global_jobs"],
            type=click.IntRange(1, 256),
            metavar="N",
            callback=_set("jobs"),
            help="Threads that move bytes.",
        ),
        click.Option(
            ["-y", "--yes", "global_yes"],
            is_flag=True,
            callback=_set("yes"),
            help="Answer yes to every question.",
        ),
    ]
    for option in options:
        # Eager, so that a mistake elsewhere on the line is already reported in the form that was asked for.
        option.is_eager, option.expose_value = True, False
        setattr(option, _GLOBAL, True)
    return options


class _WithGlobals(click.Command):
    """Adds the global flags, shows them in a section of their own, and suggests misspelt options."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        return (
            [*own[:-1], *self._globals(), own[-1]]
            if own and self._is_help(own[-1])
            else [*own, *self._globals()]
        )

    def _globals(self) -> list[click.Option]:
        options: list[click.Option] | None = getattr(self, "_global_options", None)
        if options is None:
            options = global_options()
            self._global_options = options
        return options

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _print_help
        return option

    @staticmethod
    def _is_help(parameter: click.Parameter) -> bool:
        return parameter.name == "help"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            known = [text for parameter in self.get_params(ctx) for text in parameter.opts]
            near = nearest_option(name, known)
            raise Misspelt(
                f"{ctx.command_path} has no option {name}" + (f"; did you mean {near}?" if near else ""),
                code="unknown-option",
                hint=f"{ctx.command_path} {near}" if near else None,
                ctx=ctx,
            ) from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            # Positional arguments have a section of their own.
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                (shared if getattr(parameter, _GLOBAL, False) else own).append(record)
        if own:
            with formatter.section("Options"):
                formatter.write_dl(own)
        with formatter.section("Options of every command"):
            formatter.write_dl(shared)


class Command(_WithGlobals):
    """A command of GitML.

    Args:
        examples: Command lines that show its use; printed at the end of its help.
        arguments: Positional arguments by name, each with what it is.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        arguments: Sequence[tuple[str, str]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.arguments = tuple(arguments)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        session_of(ctx).command = " ".join(ctx.command_path.split()[1:])
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(list(self.arguments))
        super().format_options(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            formatter.write("\nExample:\n" if len(self.examples) == 1 else "\nExamples:\n")
            formatter.write("".join(f"  {example}\n" for example in self.examples))


class LazyGroup(_WithGlobals, click.Group):
    """A group whose commands are imported when they run.

    Args:
        sections: Its commands under headings, in the order of the help page.
    """

    def __init__(self, *args: Any, sections: Sequence[tuple[str, Sequence[Entry]]], **kwargs: Any) -> None:
        kwargs |= {"no_args_is_help": False, "subcommand_metavar": "COMMAND …"}
        super().__init__(*args, **kwargs)
        self._sections = tuple(sections)
        self._entries = {entry.name: entry for _, section in sections for entry in section}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        command = getattr(importlib.import_module(entry.module), entry.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.module}.{entry.attribute} is no command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        if not (getattr(ctx, "_protected_args", None) or getattr(ctx, "args", None)):
            raise Misspelt(
                f"{ctx.command_path} needs a command: {', '.join(self._entries)}",
                code="no-command",
                hint=f"{ctx.command_path} --help",
                ctx=ctx,
            )
        return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        command = self.get_command(ctx, word)
        if command is not None or ctx.resilient_parsing:
            return word if command else None, command, args[1:]
        at_top = ctx.parent is None
        near = nearest_command(word, self._entries, everywhere=full_names() if at_top else ())
        raise Misspelt(
            f"{ctx.command_path} has no command {word!r}" + (f"; did you mean {near!r}?" if near else ""),
            code="unknown-command",
            hint=" ".join([ctx.command_path, near]) if near else f"{ctx.command_path} --help",
            ctx=ctx,
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in self._entries)
        for title, section in self._sections:
            with formatter.section(title):
                formatter.write_dl([(entry.name.ljust(width), entry.summary) for entry in section])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)


def command(
    name: str, *, examples: Sequence[str], arguments: Sequence[tuple[str, str]] = ()
) -> Callable[[Callable[..., None]], Command]:
    """Declare a command of GitML; the function gets the :class:`Session` first."""

    def declare(function: Callable[..., None]) -> Command:
        def run(*args: Any, **kwargs: Any) -> None:
            session = session_of(click.get_current_context())
            log.start(session.verbosity)
            try:
                function(session, *args, **kwargs)
            except AccessDenied as error:
                from gitml.cli.terminal.confirm import trusts_moved_store

                if not trusts_moved_store(session, error):
                    raise
                function(session, *args, **kwargs)

        run.__doc__ = function.__doc__
        run.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        return click.command(name, cls=Command, examples=examples, arguments=arguments)(run)

    return declare


def dry_run_option(function: Function) -> Function:
    """`-n/--dry-run`."""
    return click.option(
        "-n",
        "--dry-run",
        is_flag=True,
        help="Print what would be done, and do none of it; where the plan hangs on the remote, that is fetched.",
    )(function)


def cached_option(function: Function) -> Function:
    """`--cached`."""
    return click.option(
        "--cached", is_flag=True, help="Of another registry (REPO//…): what was read last, without asking it."
    )(function)


def rev_option(function: Function) -> Function:
    """`--rev`."""
    return click.option("--rev", metavar="REV", help="Read this branch, tag or commit instead of HEAD.")(
        function
    )
