"""Ctrl-C and SIGTERM, noted instead of obeyed at once."""

from __future__ import annotations

import signal
import threading


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
