"""One event of a request that is kept without a forge: opened, updated, approved, rejected, merged, closed.

Owns its fields and its JSON. What a chain of events adds up to is for the forge room.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, Protocol

from gitml.errors import InvalidInput
from gitml.model import strict_yaml
from gitml.model.fields import FieldError, Fields, read
from gitml.model.shown import shown

SCHEMA: Final = "gitml/request/v1"
_MAX_BYTES: Final = 1 << 20
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
_BRANCH = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]+")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z")


class EventKind(Enum):
    """What happened."""

    OPENED = "opened"
    UPDATED = "updated"
    APPROVED = "approved"
    REJECTED = "rejected"
    MERGED = "merged"
    CLOSED = "closed"


class Actor(Protocol):
    """Whoever did it."""

    @property
    def name(self) -> str:
        """The person's name."""

    @property
    def email(self) -> str:
        """The person's e-mail address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventActor:
    """The plain form of an :class:`Actor`."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEvent:
    """One event.

    Attributes:
        number: Of the request.
        kind: What happened.
        target: Stage that the request would change.
        base: Commit that it is, or was, to be merged into.
        head: Commit that it would merge.
        refs: References that were asked for; empty for a promotion by branch.
        actor: Who did it.
        time: When, in UTC.
        comment: What was said; for an opened or updated request its title and body.
        extra: Fields that this version of GitML does not know.
    """

    number: int
    kind: EventKind
    target: str
    base: str
    head: str
    refs: tuple[str, ...] = ()
    actor: Actor
    time: datetime
    comment: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ValueError("the time of an event needs a time zone")
        plain = EventActor(name=self.actor.name, email=self.actor.email)
        object.__setattr__(self, "actor", plain)
        object.__setattr__(self, "time", self.time.astimezone(UTC))

    @classmethod
    def parse(cls, data: bytes, *, file: str = "event.json") -> RequestEvent:
        """Read an event; `parse(format(x)) == x`.

        Raises:
            InvalidInput: It breaks a rule of its format.
        """
        return read(strict_yaml.load_json(data, file=file, max_bytes=_MAX_BYTES), "request", cls._build)

    @classmethod
    def _build(cls, value: Any) -> RequestEvent:
        fields = Fields(value)
        fields.schema(SCHEMA)
        kind = fields.text("kind")
        if kind not in EventKind._value2member_map_:
            raise FieldError(("kind",), f"is {shown(kind)}, which is not known", "install a newer GitML")
        actor = Fields(fields.take("actor", dict, "a mapping"), ("actor",))
        return cls(
            number=fields.whole("number", 1),
            kind=EventKind(kind),
            target=_matching(fields, "target", _BRANCH, "a branch"),
            base=_matching(fields, "base", _OID, "a commit id"),
            head=_matching(fields, "head", _OID, "a commit id"),
            refs=fields.texts("refs"),
            actor=EventActor(
                name=_matching(actor, "name", _LINE, "one line"),
                email=_matching(actor, "email", _LINE, "one line"),
            ),
            time=_time(fields.text("time")),
            comment=fields.optional_text("comment") or "",
            extra=fields.rest(),
        )

    def format(self) -> bytes:
        """The event as JSON, one field a line.

        Raises:
            InvalidInput: It would be too large, or a text in it is no Unicode.
        """
        value = self.extra | {
            "schema": SCHEMA,
            "number": self.number,
            "kind": self.kind.value,
            "target": self.target,
            "base": self.base,
            "head": self.head,
            "refs": list(self.refs),
            "actor": {"name": self.actor.name, "email": self.actor.email},
            "time": _time_text(self.time),
            "comment": self.comment,
        }
        try:
            text = (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidInput(
                "a text of the request is not Unicode", code="bad-text", hint="retype it"
            ) from error
        if len(text) > _MAX_BYTES:
            raise InvalidInput(
                f"the event would have {len(text)} bytes, and {_MAX_BYTES} are allowed",
                code="event-too-large",
                hint="shorten the text",
            )
        return text


def _matching(fields: Fields, key: str, pattern: re.Pattern[str], what: str) -> str:
    text = fields.text(key)
    if pattern.fullmatch(text) is None:
        raise FieldError(
            (*fields.path, key), f"is {shown(text)}, which is not {what}", "open the request anew"
        )
    return text


def _time(text: str) -> datetime:
    problem = FieldError(("time",), f"is {shown(text)}, which is no time in UTC", "open the request anew")
    if _TIME.fullmatch(text) is None:
        raise problem
    try:
        return datetime.fromisoformat(text.removesuffix("Z") + "+00:00")
    except ValueError as error:
        raise problem from error


def _time_text(time: datetime) -> str:
    whole = time.replace(microsecond=0, tzinfo=None).isoformat()
    fraction = f".{time.microsecond:06d}" if time.microsecond else ""
    return f"{whole}{fraction}Z"
