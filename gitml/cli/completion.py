"""`gitml completion`."""

from __future__ import annotations

import click

from gitml.cli.terminal.click_parts import command
from gitml.cli.terminal.output import Printer
from gitml.cli.terminal.session import Session

_VARIABLE = "_GITML_COMPLETE"


@command(
    "completion",
    arguments=[("SHELL", "bash, zsh or fish.")],
    examples=[
        'eval "$(gitml completion bash)"',
        "gitml completion fish > ~/.config/fish/completions/gitml.fish",
    ],
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="SHELL")
def completion(session: Session, shell: str) -> None:
    """Print a script that completes in the shell."""
    result = {"shell": shell, "script": script(shell)}
    session.finish(result, _print)


def script(shell: str) -> str:
    """The script for one shell."""
    from click.shell_completion import ShellComplete, get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise LookupError(f"click has no completion for {shell}")
    made = kind(click.get_current_context().find_root().command, {}, "gitml", _VARIABLE)
    # The base method: bash's own one starts bash only to warn of versions before 4.4.
    return ShellComplete.source(made)


def _print(result: dict[str, str], out: Printer) -> None:
    out.write(result["script"])
