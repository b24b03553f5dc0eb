"""One run of a command: its global flags, its streams, and the way from a result to what is printed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from gitml.cli.terminal.output import Printer
from gitml.errors import GitMLError

if TYPE_CHECKING:
    from gitml.api import Registry, Stores
    from gitml.cli.terminal.progress import Reporter

Result = TypeVar("Result")


@dataclass(slots=True)
class Session:
    """Global flags, wherever on the command line they stood.

    Attributes:
        json: One JSON document on stdout instead of text.
        quiet: References only.
        verbosity: How often `-v` was given.
        registry_path: Where the registry is, if not there (`-R`).
        yes: Answer yes to every question.
        jobs: Worker threads for transfers.
        command: Words of the command that runs, such as `pr list`; empty until that is known.
        beside: The result that the document of a failure holds, too.
    """

    json: bool = False
    quiet: bool = False
    verbosity: int = 0
    registry_path: str | None = None
    yes: bool = False
    jobs: int | None = None
    command: str = ""
    beside: Mapping[str, Any] = field(default_factory=dict)
    _out: Printer | None = None
    _reporter: Reporter | None = None

    @property
    def out(self) -> Printer:
        """stdout, for people."""
        if self._out is None:
            self._out = Printer(sys.stdout)
        return self._out

    @property
    def progress(self) -> Reporter:
        """stderr: progress of long work, and notes."""
        if self._reporter is None:
            from gitml.cli.terminal.progress import reporter

            self._reporter = reporter(sys.stderr, quiet=self.quiet)
        return self._reporter

    def registry(self, *refs: str | None) -> Registry:
        """The registry that this command works on; there may be none where all references are to others."""
        from gitml.api import Registry

        needed = not refs or any(ref is None or "//" not in ref for ref in refs)
        self.progress.watch(self.command)
        return Registry(
            ".", registry=self.registry_path, jobs=self.jobs, progress=self.progress, needed=needed
        )

    def stores(self) -> Stores:
        """The stores of that registry; there may be none, for commands that can do without."""
        from gitml.api import stores

        self.progress.watch(self.command)
        return stores(".", registry=self.registry_path, jobs=self.jobs, progress=self.progress)

    def warn(self, message: str) -> None:
        """One line on stderr that a person should read."""
        self.progress.note(f"warning: {message}")

    def finish(
        self,
        result: Result,
        text: Callable[[Result, Printer], None],
        *,
        refs: Iterable[object] = (),
        dry_run: bool = False,
        error: GitMLError | None = None,
    ) -> None:
        """Print the result of the command: as a document, as references, or as text.

        Args:
            result: What the API gave.
            text: Prints it for a person.
            refs: What `-q` prints, one a line.
            dry_run: Nothing was done: a document says so by holding a `plan`.
            error: What the result is a failure of, such as a verdict; raised once it is printed.

        Raises:
            GitMLError: `error`. There is one document only, so with `--json` the result is printed beside it.
        """
        self.close_progress()
        if self.json and error is not None:
            from gitml.cli.terminal.document import document

            self.beside = document(self.command, result)
        elif self.json:
            self.print_document(result, dry_run=dry_run)
        elif self.quiet:
            for ref in refs:
                self.out.line(str(ref))
        else:
            text(result, self.out)
        self.out.flush()
        if error is not None:
            raise error

    def print_document(self, result: object, *, dry_run: bool = False) -> None:
        """The result as the one JSON document on stdout."""
        from gitml.cli.terminal.document import document, dumps, schema_name

        body = document(self.command, result)
        if dry_run and body.get("plan") is None:
            name = schema_name(self.command)
            body = {"schema": name, "plan": {key: item for key, item in body.items() if key != "schema"}}
        self.out.write(dumps(body, indent=self.out.is_terminal))

    def close_progress(self) -> None:
        """End any progress display, so that what follows stands on a line of its own."""
        if self._reporter is not None:
            self._reporter.close()


def wrapped(name: str, items: Iterable[object]) -> Mapping[str, object]:
    """A result that is a plain list, under a name, as a document needs it."""
    return {name: list(items)}
