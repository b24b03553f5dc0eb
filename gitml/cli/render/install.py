"""How hooks and pipelines look to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitml.cli.terminal.output import Printer, Style, Styled
from gitml.cli.terminal.text import count

if TYPE_CHECKING:
    from gitml.registry.setup.hooks import Installed
    from gitml.registry.setup.pipelines import Pipeline
    from gitml.registry.share.outgoing import Hooked

_SAID = {
    "installed": "is set",
    "updated": "is brought up to date",
    "unchanged": "is there already",
    "removed": "is taken away",
    "absent": "is not there: nothing to take away",
}


def installed(result: Installed, out: Printer) -> None:
    """`install`."""
    said = _SAID[result.change.value]
    would = "would do: " if result.dry_run else ""
    out.line(would, Styled(result.hook, Style.NAME), f" of {result.repository} {said}: {result.path}")
    if result.kept and result.change.value in ("removed", "absent"):
        out.line("the hook that was there before is back")
    elif result.kept:
        out.line(f"it runs {result.kept} first")
    if result.hook == "pre-receive" and result.change.value in ("installed", "updated", "unchanged"):
        out.line("stages of this repository move by request only, as long as gitml is installed here")


def hooked(result: Hooked, out: Printer) -> None:
    """`hook`."""
    what = f"{count(len(result.versions), 'version')} in {count(result.refs, 'ref')}"
    stages = f", {', '.join(result.stages)} by request" if result.stages else ""
    out.line(Styled(f"gitml {result.hook}: ", Style.DIM), f"{what} looked at{stages}")
    if result.note:
        out.line(result.note)


def pipeline(result: Pipeline, out: Printer) -> None:
    """`ci init`."""
    said = {"written": "written", "replaced": "replaced", "unchanged": "is as it should be"}
    would = "would be " if result.dry_run and result.change.value != "unchanged" else ""
    out.line(
        Styled(result.path, Style.NAME),
        f": {would}{said[result.change.value]}, for {', '.join(result.stages)}",
    )
    if result.dry_run:
        out.write(result.text)
        return
    if result.secrets:
        out.line(f"{result.kind} has to hold these secrets: {', '.join(result.secrets)}")
    for note in result.notes:
        out.line(note)
