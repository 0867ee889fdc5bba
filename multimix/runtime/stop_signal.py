"""Ctrl-C, SIGTERM and SIGHUP: end at once and quietly, or note the signal and save first."""

import os
import signal
import sys
import threading
from contextlib import suppress

STOPPED = 130  # the exit code of a shell after SIGINT


def stop_signals() -> list[int]:
    """The signals that end a program; not a SIGHUP that `nohup` has switched off."""
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    heard = [hangup] if hangup and signal.getsignal(hangup) != signal.SIG_IGN else []
    return [signal.SIGINT, signal.SIGTERM, *heard]


def end_at_once(*_: object) -> None:
    """Print one sentence and end, without an exception: libraries change or drop these."""
    with suppress(Exception):  # closed, or interrupted while it was written to
        sys.stdout.flush()
    with suppress(OSError):
        os.write(2, b"multimix: stopped.\n")
    os._exit(STOPPED)


class StopSignal:
    """A context that notes such a signal in `came`, so that work is saved first.

    A second signal ends the program at once. Only Python's main thread receives signals.
    """

    def __enter__(self) -> "StopSignal":
        self.came, self.before = False, {}
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._note) for number in stop_signals()}
        return self

    def _note(self, *_: object) -> None:
        self.came = True
        self.__exit__()

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}
