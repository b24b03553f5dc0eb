"""What a promotion says of itself for machines: an in-toto Statement, with the digest of each version.

It stands in the message of the request's head commit, as one trailer: there it changes no file, conflicts with nothing,
is covered by the commit's signature and id, and comes along wherever the commit does, squashed ones included.
Source: https://github.com/in-toto/attestation, `spec/v1/statement.md`. `parse(format(x)) == x`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from gitml.errors import InvalidInput
from gitml.model import strict_yaml
from gitml.model.digest import Digest
from gitml.model.fields import FieldError, Fields, read

TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "urn:gitml:promotion:v1"
TRAILER: Final = "GitML-Statement"
MAX_BYTES: Final = 1 << 20
_FILE: Final = "statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedMove:
    """A change of what the stage runs; None is nothing."""

    asset: str
    from_version: str | None
    to_version: str | None

    def to_dict(self) -> dict[str, Any]:
        """JSON keys and values."""
        return {"asset": self.asset, "from": self.from_version, "to": self.to_version}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One promotion.

    Attributes:
        subjects: `TYPE/NAME@VERSION` -> tree digest of every version that comes or is to run.
        target: The stage.
        base: Commit of the stage that it was proposed on.
        source: Branch that it was taken from.
        source_commit: Commit of the source; None where it is no branch.
        moves: Sorted by asset.
        asker: Name and e-mail address of who asks.
        time: When, in UTC, whole seconds: the time of the commit.
        tool: Version of GitML that made it.
        versions: Of each version, its inputs with their digests.
        rules: What became of each rule, approvals aside.
        inspections: What was found in the files, and with what; evidence that decides nothing.
    """

    subjects: dict[str, Digest]
    kind: str
    target: str
    base: str
    source: str
    source_commit: str | None
    moves: tuple[StatedMove, ...]
    asker: tuple[str, str]
    time: datetime
    tool: str
    versions: tuple[dict[str, Any], ...] = ()
    rules: tuple[dict[str, Any], ...] = ()
    inspections: tuple[dict[str, Any], ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON keys and values."""
        subjects = sorted(self.subjects.items())
        return {
            "_type": TYPE,
            "subject": [{"name": name, "digest": {"sha256": digest.hex}} for name, digest in subjects],
            "predicateType": PREDICATE,
            "predicate": self.extra
            | {
                "kind": self.kind,
                "target": self.target,
                "base": self.base,
                "source": {"branch": self.source, "commit": self.source_commit},
                "moves": [move.to_dict() for move in self.moves],
                "asker": {"name": self.asker[0], "email": self.asker[1]},
                "time": f"{self.time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
                "tool": {"name": "gitml", "version": self.tool},
                "versions": list(self.versions),
                "rules": list(self.rules),
                "inspections": list(self.inspections),
            },
        }

    def format(self) -> str:
        """The statement as one line of ASCII; equal statements give equal lines."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def parse(cls, data: bytes) -> Statement:
        """Read a statement.

        Raises:
            InvalidInput: It breaks a rule of its format.
        """
        document = strict_yaml.load_json(data, file=_FILE, max_bytes=MAX_BYTES)
        from gitml.model.schemas import validate

        validate(document, "statement")
        return read(document, "statement", cls._build)

    @classmethod
    def _build(cls, value: Any) -> Statement:
        subjects: dict[str, Digest] = {}
        for position, subject in enumerate(value["subject"]):
            name = subject["name"]
            if name in subjects:
                raise FieldError(
                    ("subject", position, "name"), "names a version twice", "make the request anew"
                )
            subjects[name] = Digest.parse(f"sha256:{subject['digest']['sha256']}")
        said = Fields(value["predicate"], ("predicate",))
        source, asker = said.mapping("source"), said.mapping("asker")
        return cls(
            subjects=subjects,
            kind=said.text("kind"),
            target=said.text("target"),
            base=said.text("base"),
            source=source["branch"],
            source_commit=source["commit"],
            moves=tuple(
                StatedMove(asset=move["asset"], from_version=move["from"], to_version=move["to"])
                for move in said.list_of("moves")
            ),
            asker=(asker["name"], asker["email"]),
            time=_time(said.text("time")),
            tool=said.mapping("tool")["version"],
            versions=tuple(said.list_of("versions")),
            rules=tuple(said.list_of("rules")),
            inspections=tuple(said.list_of("inspections")),
            extra=said.rest(),
        )


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.removesuffix("Z") + "+00:00")
    except ValueError as error:
        raise FieldError(("predicate", "time"), "is no time in UTC", "make the request anew") from error


def with_statement(message: str, statement: Statement) -> str:
    """A commit message with a statement as its last trailer; without, where it would be too large."""
    line = statement.format()
    return message if len(line) > MAX_BYTES else f"{message.rstrip()}\n\n{TRAILER}: {line}\n"


def find_statement(message: str) -> Statement | None:
    """The statement in a commit message; None where there is none.

    Raises:
        InvalidInput: There are two, or it is malformed.
    """
    lines = [line for line in message.split("\n") if line.startswith(f"{TRAILER}:")]
    if not lines:
        return None
    if len(lines) > 1:
        raise InvalidInput(
            f"the commit message has {len(lines)} statements",
            code="two-statements",
            hint="make the request anew",
        )
    return Statement.parse(lines[0].partition(":")[2].strip().encode("utf-8", "surrogatepass"))


def without_statement(message: str) -> str:
    """The message as a person reads it."""
    return "\n".join(line for line in message.split("\n") if not line.startswith(f"{TRAILER}:")).rstrip()
