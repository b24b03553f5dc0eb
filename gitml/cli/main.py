"""The program `gitml`. Answers `--version` at once; everything else is :mod:`gitml.cli.app`."""

from __future__ import annotations

import os
import sys

from gitml._version import __version__


def main() -> None:
    """Run the command line of this process and end it with the exit code."""
    if sys.argv[1:] == ["--version"]:
        try:
            # Past the buffer, so that a failure leaves nothing behind, and the program reports it as any other.
            os.write(sys.stdout.fileno(), f"gitml {__version__}\n".encode())
            return
        except OSError:
            pass
    # The terminal library costs three times as long as the interpreter's own start.
    from gitml import _lazy
    from gitml.cli.app import root

    _lazy.own_process = True

    root.main(sys.argv[1:], prog_name="gitml")


if __name__ == "__main__":
    main()
