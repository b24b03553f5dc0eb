"""The double as a program of its own, as `python -m tests.servers forge` starts it."""

from __future__ import annotations

import json
import subprocess
from urllib.request import ProxyHandler, Request, build_opener

from servers.running import start_forge


def test_it_serves_an_api_and_a_repository() -> None:
    server = start_forge()
    try:
        token = {"Authorization": f"token {server.environment['GITML_FORGE_TOKEN']}"}
        asked = Request(f"{server.endpoint_url}/github/repos/team/registry/pulls", headers=token)
        with build_opener(ProxyHandler({})).open(asked, timeout=30) as reply:
            assert json.load(reply) == []
        url = f"{server.endpoint_url}/team/registry.git"
        assert subprocess.run(["git", "ls-remote", url], check=True, capture_output=True).stdout == b""
    finally:
        server.stop()
