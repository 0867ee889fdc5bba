"""`python -m multimix COMMAND`, and the command `multimix`: see `multimix.apps.cli`."""

import sys

from multimix.runtime.stop_signal import end_quietly_when_stopped


def main() -> int:
    """Run the command line; Ctrl-C and SIGTERM end it quietly, and leave nothing half-written."""
    end_quietly_when_stopped()
    from multimix.apps import cli  # after that, as importing torch takes seconds

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
