"""Comments that are written once, however often they are asked for, on a request of a hosted forge.

Owns the hidden marker that a kept comment ends in. What a comment is to a vendor, and how its calls fail, is the
adapter's: its callables raise what :class:`gitml.forge.patience.Patience` understands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from gitml.errors import AccessDenied
from gitml.forge.patience import Patience

H = TypeVar("H")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark(Generic[H]):
    """A comment as the forge has it; `handle` is what the adapter changes it by."""

    handle: H
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation(Generic[H]):
    """The comments of one request.

    Attributes:
        read: All of them, oldest first, retried as reads are.
        edit: One try to change the text of one.
        add: One try to write another one.
    """

    number: int
    patience: Patience
    read: Callable[[], Iterator[Remark[H]]]
    edit: Callable[[H, str], None]
    add: Callable[[str], None]

    def keep(self, marker: str, body: str) -> None:
        """See :meth:`gitml.forge.hosting.Host.comment`."""
        end = f"<!-- {marker} -->"
        text = f"{body.rstrip()}\n\n{end}"
        for said in self.read():
            if said.body.rstrip().endswith(end):
                if said.body == text:
                    return
                try:
                    self.patience.read(
                        f"the comment on request {self.number} could not be changed",
                        partial(self.edit, said.handle, text),
                    )
                except AccessDenied:
                    continue  # somebody else's, who copied the marker
                return
        self._write(text)

    def say_once(self, text: str) -> None:
        """Write a comment, where none says the same."""
        if not self._has(text):
            self._write(text)

    def _has(self, text: str) -> bool:
        return any(said.body.strip() == text.strip() for said in self.read())

    def _write(self, text: str) -> None:
        def attempt() -> bool:
            self.add(text)
            return True

        self.patience.write(
            f"request {self.number} could not be commented on",
            attempt,
            lambda: True if self._has(text) else None,
        )
