"""Which forge a repository has."""

from __future__ import annotations

import pytest

from gitml.errors import UsageError
from gitml.forge.detect import forge_kind, forge_of_url


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("git@github.com:contoso/mlproject.git", "github"),
        ("git@github.com/contoso/mlproject", "github"),
        ("https://github.com/contoso/mlproject", "github"),
        ("https://user@GitHub.com:443/contoso/mlproject", "github"),
        ("ssh://git@ssh.github.com:443/contoso/mlproject.git", "github"),
        ("git@gitlab.com:group/sub/project.git", "gitlab"),
        ("https://dev.azure.com/org/project/_git/repo", "azure_devops"),
        ("git@ssh.dev.azure.com:v3/org/project/repo", "azure_devops"),
        ("https://org.visualstudio.com/project/_git/repo", "azure_devops"),
        ("https://contoso.ghe.com/o/r", "github"),
        ("git@bitbucket.org:team/repo.git", "bitbucket"),
        ("https://codeberg.org/o/r", "gitea"),
        ("https://git.example.com/o/r", None),
        ("https://example.com/github.com/o/r", None),
        ("https://notgithub.com/o/r", None),
        ("https://github.com.evil.example/o/r", None),
        ("/srv/github.com/repo.git", None),
        ("../github.com/repo.git", None),
        ("file:///srv/github.com/repo.git", None),
        ("C:/repos/github.com", None),
    ],
)
def test_hosts(url: str, kind: str | None) -> None:
    assert forge_of_url(url) == kind


def test_auto_is_local_where_the_host_is_nobodys() -> None:
    assert forge_kind({"kind": "auto"}, "/srv/repo.git") == "local"
    assert forge_kind({}, None) == "local"
    assert forge_kind({"kind": "auto"}, None) == "local"


def test_a_known_host_and_a_chosen_kind() -> None:
    assert forge_kind({"kind": "auto"}, "git@github.com:contoso/mlproject.git") == "github"
    assert forge_kind({"kind": "gitlab"}, "/srv/repo.git") == "gitlab"
    assert forge_kind({"kind": "local"}, "git@github.com:contoso/mlproject.git") == "local"


@pytest.mark.parametrize("kind", ["svn", "", None, 3, ["local"], {"local": 1}])
def test_an_unknown_kind(kind: object) -> None:
    with pytest.raises(UsageError):
        forge_kind({"kind": kind}, None)
