"""The forges that GitML speaks with: where they are, where their tokens are kept, and which module is their adapter.

One entry for each. An adapter is a module with the function `open_host(access: Access) -> Host`; it is imported when
it is used, and only it imports its vendor's client.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gitml.forge.access import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One kind of forge.

    Attributes:
        kind: As in `forge: {kind: …}`.
        title: What people call it.
        module: Its adapter.
        extra: Which of GitML's extras brings the client; None where it needs none.
        hosts: Its public hosts, as remotes name them.
        suffixes: What the names of further public hosts end in.
        api_url: Where the API of a host is, if the configuration does not say so.
        variables: Environment variables that hold a token for the public hosts, the first one that is set.
        own_variables: The same for a host of one's own, where that is meant by `named_by`.
        named_by: Variables that name, on a build server or by its user, the host that tokens are meant for.
        rights: What a token has to be allowed.
    """

    kind: str
    title: str
    module: str
    extra: str | None
    hosts: frozenset[str]
    suffixes: tuple[str, ...] = ()
    api_url: Callable[[Place], str]
    variables: tuple[str, ...]
    own_variables: tuple[str, ...] = ()
    named_by: tuple[str, ...] = ()
    rights: str

    def is_public(self, host: str) -> bool:
        """Whether a host is the vendor's own."""
        return host in self.hosts or any(host.endswith(suffix) for suffix in self.suffixes)


def _port(place: Place) -> str:
    return f":{place.port}" if place.is_web and place.port is not None else ""


def _github(place: Place) -> str:
    if place.host in _GITHUB_HOSTS:
        return "https://api.github.com"
    if place.host.endswith(".ghe.com"):
        return f"https://api.{place.host}"
    return f"https://{place.host}{_port(place)}/api/v3"


def _gitlab(place: Place) -> str:
    host = "gitlab.com" if place.host == "altssh.gitlab.com" else place.host
    return f"https://{host}{_port(place)}/api/v4"


def _gitea(place: Place) -> str:
    return f"https://{place.host}{_port(place)}/api/v1"


def _azure_devops(place: Place) -> str:
    if place.host in _AZURE_HOSTS:
        return "https://dev.azure.com"
    return f"https://{place.host}{_port(place)}"


_AZURE_HOSTS: Final = frozenset({"dev.azure.com", "ssh.dev.azure.com", "vs-ssh.visualstudio.com"})
_GITHUB_HOSTS: Final = frozenset({"github.com", "ssh.github.com"})

VENDORS: Final = {
    vendor.kind: vendor
    for vendor in (
        Vendor(
            kind="github",
            title="GitHub",
            module="gitml.forge.github",
            extra="github",
            hosts=_GITHUB_HOSTS,
            suffixes=(".ghe.com",),
            api_url=_github,
            variables=("GH_TOKEN", "GITHUB_TOKEN"),
            own_variables=("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"),
            named_by=("GITHUB_SERVER_URL", "GH_HOST"),
            rights="for a fine-grained token: Pull requests and Contents read and write, Commit statuses read and "
            "write; for a classic one: repo",
        ),
        Vendor(
            kind="gitlab",
            title="GitLab",
            module="gitml.forge.gitlab",
            extra="gitlab",
            hosts=frozenset({"gitlab.com", "altssh.gitlab.com"}),
            api_url=_gitlab,
            variables=("GITLAB_TOKEN", "GITLAB_ACCESS_TOKEN", "CI_JOB_TOKEN"),
            own_variables=("GITLAB_TOKEN", "GITLAB_ACCESS_TOKEN", "CI_JOB_TOKEN"),
            named_by=("CI_SERVER_URL", "CI_SERVER_HOST", "GITLAB_HOST"),
            rights="the scope api, and the role Developer or Maintainer",
        ),
        Vendor(
            kind="azure_devops",
            title="Azure DevOps",
            module="gitml.forge.azure_devops",
            extra=None,
            hosts=_AZURE_HOSTS,
            suffixes=(".visualstudio.com",),
            api_url=_azure_devops,
            variables=("AZURE_DEVOPS_EXT_PAT", "SYSTEM_ACCESSTOKEN"),
            own_variables=("AZURE_DEVOPS_EXT_PAT", "SYSTEM_ACCESSTOKEN"),
            named_by=("SYSTEM_COLLECTIONURI",),
            rights="Code (read, write & status) and Pull Request Threads (read & write); for reviewers also Identity (read)",
        ),
        Vendor(
            kind="bitbucket",
            title="Bitbucket",
            module="gitml.forge.bitbucket",
            extra=None,
            hosts=frozenset({"bitbucket.org", "altssh.bitbucket.org"}),
            api_url=lambda _: "https://api.bitbucket.org/2.0",
            variables=("BITBUCKET_TOKEN", "BITBUCKET_ACCESS_TOKEN"),
            rights="read and write for repositories and pull requests, read for the account",
        ),
        Vendor(
            kind="gitea",
            title="Gitea",
            module="gitml.forge.gitea",
            extra=None,
            hosts=frozenset({"gitea.com", "codeberg.org"}),
            api_url=_gitea,
            variables=("GITEA_TOKEN", "FORGEJO_TOKEN"),
            own_variables=("GITEA_TOKEN", "FORGEJO_TOKEN"),
            named_by=("GITEA_SERVER_URL", "FORGEJO_SERVER_URL", "GITHUB_SERVER_URL"),
            rights="read and write for repository and issue, read for user",
        ),
    )
}


def vendor_of_host(host: str) -> Vendor | None:
    """The vendor of a public host."""
    return next((vendor for vendor in VENDORS.values() if vendor.is_public(host)), None)
