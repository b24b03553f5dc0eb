"""The verbs of GitML: one short method per command, with the command's name and words.

`gitml.Registry("path").register("models/digits", "out")` does what `gitml -C path register models/digits out`
does. Methods return frozen dataclasses and raise :class:`gitml.errors.GitMLError`; they print nothing, and
report progress only to the `progress` they were given. Each method says which room below does the work; that room is
imported when it is first called.
"""

from gitml.api.pipelines import Pipelines
from gitml.api.registry import Registry
from gitml.api.requests import Requests
from gitml.api.setup import doctor, hook, init, install
from gitml.api.stores import Stores, stores

__all__ = ["Pipelines", "Registry", "Requests", "Stores", "doctor", "hook", "init", "install", "stores"]
