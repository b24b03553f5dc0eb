"""`gitml doctor`."""

from __future__ import annotations

from gitml.cli.render import work as render
from gitml.cli.terminal.click_parts import command
from gitml.cli.terminal.session import Session


@command("doctor", examples=["gitml doctor"])
def doctor(session: Session) -> None:
    """Judge the installation and this registry's set-up.

    Looks at git, your identity, the configuration, stores, remote, and what protects the stages. Says for each store
    which credentials were looked for, which won, and which calls were refused. Exits with 0 unless a check failed, else with
    the code of the first that did; a warning is no failure.
    """
    from gitml import api

    result = api.doctor(registry=session.registry_path)
    session.finish(result, render.diagnosis, refs=render.diagnosis_refs(result), error=result.error)
