"""`python -m multimix COMMAND`, and the command `multimix`: see `multimix.apps.cli`."""

import signal
import sys

from multimix.apps import cli


def main() -> int:
    """Run the command line; SIGTERM stops it as Ctrl-C does, so nothing is left half-written."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
