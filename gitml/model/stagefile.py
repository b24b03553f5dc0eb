"""The stage file: `TYPE/NAME/STAGE.yaml`, which says what the stage runs of one asset.

It is one line, so that a promotion's diff is one line out and one line in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from gitml.model import strict_yaml
from gitml.model.canonical import KeyOrder, dump
from gitml.model.fields import Fields, read
from gitml.model.names import Version

SCHEMA: Final = "gitml/stage/v1"
_ORDER: Final = KeyOrder(keys=("current",))


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFile:
    """What a stage runs of one asset.

    Attributes:
        current: The version.
        extra: Fields that this version of GitML does not know.
    """

    current: Version
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, *, file: str) -> StageFile:
        """Read a stage file.

        Raises:
            InvalidInput: It breaks a rule of its format.
        """
        return read(strict_yaml.load(data, file=file), "stage", cls._build)

    @classmethod
    def _build(cls, value: Any) -> StageFile:
        fields = Fields(value)
        fields.schema(SCHEMA, required=False)
        return cls(current=fields.parsed("current", Version.parse), extra=fields.rest())

    def format(self) -> bytes:
        """The file in canonical form; `parse(format(x)) == x`."""
        return dump(self.extra | {"current": self.current.text}, order=_ORDER)
