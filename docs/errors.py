"""Write `errors.md` from the classes in `gitml/errors.py`: `python docs/errors.py`."""

from __future__ import annotations

import inspect
from pathlib import Path

from gitml import errors

PAGE = Path(__file__).with_name("errors.md")
HEAD = """# Exit codes and errors

Made from `gitml/errors.py` by `python docs/errors.py`.

Every failure names what happened to which thing, why, and what to do. On the command line it ends in the exit code
below; with `--json` it is `"error": {"code", "message", "hint", "context"}` in the one document on standard output;
in Python it is an exception, all of them subclasses of `gitml.GitMLError`.

| exit code | class | `code` unless a rule has its own | meaning | what to do |
|---|---|---|---|---|
| 0 | | | done | |
"""


def advice() -> dict[str, str]:
    """What the tree in the module's docstring says to do, by class."""
    found = {}
    for line in (errors.__doc__ or "").splitlines():
        if line.lstrip().startswith(("├──", "└──")):
            name, _, words = line.split("──", 1)[1].strip().partition(" ")
            found[name] = words.split(maxsplit=1)[1]
    return found


def page() -> str:
    """The page as it should be."""
    known = advice()
    found = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.GitMLError)
    ]
    classes = [kind for kind in found if kind is not errors.GitMLError]
    rows = []
    for kind in sorted(classes, key=lambda kind: kind.exit_code):
        meaning = (kind.__doc__ or "").strip().splitlines()[0].rstrip(".")
        todo = known[kind.__name__].partition(": ")[2]
        rows.append(
            f"| {kind.exit_code} | `{kind.__name__}` | `{kind.default_code}` | {meaning} | {todo} |\n"
        )
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
