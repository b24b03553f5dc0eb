"""How the answers of `store check` look to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitml.cli.terminal.output import Piece, Printer, Style, Styled
from gitml.cli.terminal.text import count, size

if TYPE_CHECKING:
    from gitml.registry.care.checking import StoreCheck

_STYLES = {"kept": Style.GOOD, "broken": Style.BAD, "noted": Style.DIM}


def checked(result: StoreCheck, out: Printer) -> None:
    """`store check`: the card of a place that keeps every promise."""
    rows: list[list[Piece]] = [
        [finding.promise, Styled(finding.verdict.value, _STYLES[finding.verdict.value]), finding.found]
        for finding in result.findings
    ]
    out.table(["PROMISE", "", "SEEN"], rows)
    out.blank()
    if result.credentials is not None:
        out.line(f"credentials: {result.credentials}")
    out.line(
        f"one writer {size(result.write_bytes_per_s)}/s, one reader {size(result.read_bytes_per_s)}/s, "
        f"a small call {result.request_ms:,.1f} ms"
    )
    kept = sum(finding.verdict.value == "kept" for finding in result.findings)
    name = f"{result.store}, " if result.store else ""
    out.line(
        Styled(f"{name}{result.url}", Style.NAME),
        f": {count(kept, 'promise')} kept, 0 broken: ",
        Styled("it can be a store", Style.GOOD),
    )
    if result.remembered:
        out.line(Styled("remembered on this machine, where its kind may be used now", Style.DIM))
