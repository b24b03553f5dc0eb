"""`python -m tests.servers NAME` starts a server, prints how to reach it, and stops it on Ctrl-C."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.servers.running import STARTERS, NotInstalledError, serve_session
from tests.servers.trying import instructions


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
        return _not_installed(error)
    except KeyboardInterrupt:
        return 130
    try:
        print("\n".join(instructions(sys.argv[1], server)), flush=True)
        signal.pause()
    except NotInstalledError as error:
        return _not_installed(error)
    except KeyboardInterrupt:
        return 0
    finally:
        for again in (signal.SIGINT, signal.SIGTERM):  # whoever is impatient leaves nothing behind either
            signal.signal(again, signal.SIG_IGN)
        server.stop()


def _not_installed(error: NotInstalledError) -> int:
    print(f"not installed; install it with: {error}", file=sys.stderr)
    return 4


if __name__ == "__main__":
    sys.exit(main())
