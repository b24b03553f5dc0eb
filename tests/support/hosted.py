"""A registry on a hosted forge: the double's API and real git over HTTP, with a clone and a token for each person."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import InFolder
from support.forges import World
from support.team import Member, git, write

from gitml.api import init

POLICY = """stages:
  staging:
    from: ["working/*", main]
  production:
    from: [staging, main]
    require: {{approvals: 1, inputs_promoted: true}}
forge: {{kind: {kind}, url: "{url}"}}
"""


class Hosted:
    """A registry on a hosted forge; each person has a clone and a token."""

    def __init__(self, there: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there, self.folder = there, folder
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("GITML_FORGE_HOSTS", "127.0.0.1")
        for branch in ("production",):  # the stage is born by the first promotion
            there.project.git("update-ref", "-d", f"refs/heads/{branch}")
        ada = self.clone("ada")
        init(ada.folder, store=str(folder / "store"))
        path = ada.folder / "gitml.yaml"
        text = path.read_text()
        path.write_text(text[: text.index("stages:")] + POLICY.format(kind=there.kind, url=there.api_url))
        ada.git("commit", "-qam", "Policy")
        ada.git("push", "-q", "origin", "main")
        self.ada = ada
        self.register("models/digits", "one")

    def clone(self, login: str) -> Member:
        folder = self.folder / login
        url = self.there.double.git_url(self.there.project)
        git(self.folder, "clone", "-q", url, str(folder))
        git(folder, "config", "user.name", login.title())
        git(folder, "config", "user.email", f"{login}@example.com")
        return Member(folder)

    def register(self, asset: str, text: str) -> None:
        self.ada.registry.register(asset, write(self.folder / "contents" / text, {"data.txt": text}))
        self.ada.git("push", "-q", "origin", "main")

    def as_(self, login: str) -> InFolder:
        """The command line of one person."""
        self._monkeypatch.setenv("GITML_FORGE_TOKEN", f"token-of-{login}")
        folder = self.folder / login
        return InFolder(folder if folder.exists() else self.clone(login).folder)
