"""Ctrl-C and SIGTERM: ended at once and quietly, or noted so that work is put in order first."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress

STOPPED = 130  # the exit code, as a shell makes it of SIGINT
unfinished: set[str] = set()  # files that are being written, which go when the program ends


def end_quietly_when_stopped() -> None:
    """Have either signal end this program at once, whatever it is doing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end_at_once)


def end_at_once(*_: object) -> None:
    """Say so in one sentence and end: libraries turn exceptions into others, or drop them."""
    for path in list(unfinished):
        with suppress(OSError):
            os.unlink(path)
    with suppress(Exception):  # closed, or this came as it was being written to
        sys.stdout.flush()
    with suppress(OSError):
        os.write(2, b"multimix: stopped.\n")
    os._exit(STOPPED)


class StopSignal:
    """Whether SIGINT or SIGTERM came: the step is finished and saved first. A second ends at once.

    Used as a context; outside the main thread, where Python allows no handlers, nothing comes.
    """

    def __enter__(self) -> StopSignal:
        self.came = False
        self.before: dict = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._note)
        return self

    def _note(self, *_: object) -> None:
        self.came = True
        self.__exit__()

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}
