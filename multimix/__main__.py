"""`python -m multimix COMMAND`: see `multimix.apps.cli`."""

import signal
import sys

from multimix.apps.cli import main

if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # as Ctrl-C: nothing is left half-written
    sys.exit(main())
