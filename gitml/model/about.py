"""What is said of an asset as a whole: `about.yaml`, read from the default branch alone.

One entry a line and sorted, so that branches that add different entries merge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from gitml.errors import InvalidInput
from gitml.model import strict_yaml
from gitml.model.canonical import KeyOrder, dump
from gitml.model.fields import FieldError, Fields, at, read
from gitml.model.names import Version, check_word
from gitml.model.reference import AssetRef

SCHEMA: Final = "gitml/about/v1"
_ORDER: Final = KeyOrder(
    keys=("description", "owners", "aliases", "deprecated"),
    below={"deprecated": KeyOrder(below={"*": KeyOrder(keys=("reason", "replaced_by"))})},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecation:
    """Why a version should no longer be used.

    Attributes:
        reason: A line for people.
        replaced_by: A version of the same asset, or `TYPE/NAME@VERSION` of another.
        extra: Fields that this version of GitML does not know.
    """

    reason: str | None = None
    replaced_by: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def _build(cls, fields: Fields) -> Deprecation:
        reason, replaced_by = fields.line("reason"), fields.optional_text("replaced_by")
        if replaced_by is not None:
            with at((*fields.path, "replaced_by")):
                _check_successor(replaced_by)
        return cls(reason=reason, replaced_by=replaced_by, extra=fields.rest())

    def to_dict(self) -> dict[str, Any]:
        """YAML keys and values."""
        known = {"reason": self.reason, "replaced_by": self.replaced_by}
        return self.extra | {key: value for key, value in known.items() if value is not None}


def _check_successor(text: str) -> None:
    if "@" not in text:
        Version.parse(text)
        return
    # Which types there are is for the configuration to say.
    ref = AssetRef.parse(text, (text.partition("/")[0],))
    if ref.type is None or ref.selector is None or ref.repo is not None or ref.path is not None:
        raise InvalidInput(f"{text} is not written TYPE/NAME@VERSION", hint="write it as models/digits@3")
    Version.parse(ref.selector)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is said of an asset as a whole.

    Attributes:
        description: A line for people.
        owners: People or teams, sorted when written.
        aliases: Movable name -> version.
        deprecated: Version -> why it should no longer be used.
        extra: Fields that this version of GitML does not know.
    """

    description: str | None = None
    owners: tuple[str, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    deprecated: dict[str, Deprecation] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, *, file: str) -> About:
        """Read an `about.yaml`.

        Raises:
            InvalidInput: It breaks a rule of its format.
        """
        return read(strict_yaml.load(data, file=file), "about", cls._build)

    @classmethod
    def _build(cls, value: Any) -> About:
        fields = Fields(value)
        fields.schema(SCHEMA, required=False)
        aliases = fields.text_mapping("aliases")
        for name, version in aliases.items():
            with at(("aliases", name)):
                check_word(name, "alias")
                Version.parse(version)
        deprecated = fields.mapping("deprecated")
        return cls(
            description=fields.line("description"),
            owners=fields.texts("owners"),
            aliases=aliases,
            deprecated={version: _deprecation(version, entry) for version, entry in deprecated.items()},
            extra=fields.rest(),
        )

    def format(self) -> bytes:
        """The file in canonical form; `parse(format(x)) == x`, owners sorted."""
        value: dict[str, Any] = dict(self.extra)
        if self.description is not None:
            value["description"] = self.description
        value["owners"] = sorted(self.owners)
        value["aliases"] = dict(self.aliases)
        value["deprecated"] = {version: entry.to_dict() for version, entry in self.deprecated.items()}
        kept = {key: entry for key, entry in value.items() if entry not in ([], {}) or key in self.extra}
        return dump(kept, order=_ORDER)


def _deprecation(version: str, entry: Any) -> Deprecation:
    path = ("deprecated", version)
    with at(path):
        Version.parse(version)
    if not isinstance(entry, dict):
        raise FieldError(path, "must be a mapping", "write {} where there is no reason to give")
    return Deprecation._build(Fields(entry, path))
