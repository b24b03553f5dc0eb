"""`python -m tests.servers NAME` starts a server, prints how to reach it, and stops it on Ctrl-C."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path

from tests.servers.running import STARTERS, NotInstalledError, serve_session


def main() -> int:
    """Run one server until it is interrupted."""
    if len(sys.argv) == 5 and sys.argv[2] == "--of":  # for the processes of one test session
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        serve_session(sys.argv[1], int(sys.argv[3]), Path(sys.argv[4]))
        return 0
    if len(sys.argv) != 2 or sys.argv[1] not in STARTERS:
        print(f"usage: python -m tests.servers {{{','.join(STARTERS)}}}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server = STARTERS[sys.argv[1]]()
    except NotInstalledError as error:
        print(f"not installed; install it with: {error}", file=sys.stderr)
        return 4
    try:
        for name, value in server.environment.items():
            print(f"export {name}={shlex.quote(value)}")
        if sys.argv[1] == "forge":
            print(f"# git clone {server.endpoint_url}/team/registry.git")
            print(f"# gitml.yaml: forge: {{kind: github, url: {server.endpoint_url}/github}}")
        elif server.endpoint_url.startswith("http"):
            print(f"export GITML_STORE_DEFAULT_ENDPOINT_URL={server.endpoint_url}")
        sys.stdout.flush()
        signal.pause()
    except KeyboardInterrupt:
        return 0
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
