"""`python -m multimix COMMAND`, and the command `multimix`: see `multimix.apps.cli`."""

import signal
import sys

from multimix.runtime.stop_signal import end_at_once, stop_signals


def main() -> int:
    """Run the command line; Ctrl-C and SIGTERM end it quietly, and leave nothing half-written."""
    for number in stop_signals():
        signal.signal(number, end_at_once)
    from multimix.apps import cli  # after that, as importing torch takes seconds

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
