"""`gitml demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitml.cli.terminal.click_parts import command
from gitml.cli.terminal.output import Printer
from gitml.cli.terminal.session import Session

if TYPE_CHECKING:
    from gitml.cli.demo.walk import Demonstration

_DEFAULT = "gitml-demo"


@command(
    "demo",
    arguments=[("DIR", f"A folder that is not there yet, or empty; {_DEFAULT} if left out.")],
    examples=["gitml demo", "gitml demo digits"],
)
@click.argument("directory", metavar="[DIR]", default=_DEFAULT)
def demo(session: Session, directory: str) -> None:
    """Show the whole path on real data, in a new folder.

    Registers, trains, promotes, gets and rolls back, saying which command does each step, and leaves the
    repository to explore. Needs the extra `demo`; no network.
    """
    from gitml.cli.demo.walk import demonstrate

    def say(line: str) -> None:
        if not (session.json or session.quiet):
            session.out.line(line)
            session.out.flush()

    result = demonstrate(Path(directory), say)
    session.finish(result, _nothing_more, refs=[directory])


def _nothing_more(result: Demonstration, out: Printer) -> None:
    """Every line was said while it happened."""
