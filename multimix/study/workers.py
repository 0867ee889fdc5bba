"""Several pieces of work at once, each in a process of its own, which gives all its memory back."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait

import torch


def in_processes(
    work: Callable, items: Sequence, at_once: int
) -> Iterator[tuple[object, float, str]]:
    """Do `work(item)` for each; yield the item as it ends, its seconds, and the fault that `work`
    returned, or ''.

    Ctrl-C here lets the trainings that run save what they have; those that wait do not begin.
    """
    context = multiprocessing.get_context("spawn")
    waiting, running = deque(items), {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                item = waiting.popleft()
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=process_main, args=(sender, work, item, at_once))
                process.start()
                sender.close()
                running[process.sentinel] = process, receiver, item, time.perf_counter()
            for sentinel in wait(list(running)):
                process, receiver, item, start = running.pop(sentinel)
                process.join()
                yield item, time.perf_counter() - start, fault_of(process, receiver)
    finally:
        for process, *_ in running.values():
            process.terminate()
        for process, *_ in running.values():
            process.join()


def fault_of(process, receiver: Connection) -> str:
    """What the process sent before it ended, or how it ended."""
    with receiver, suppress(EOFError):
        return receiver.recv()
    return (
        f"its process was ended from outside (exit code {process.exitcode}), perhaps for want of "
        "memory; the same command goes on, with fewer at once (--jobs)"
    )


def process_main(sender: Connection, work: Callable, item, at_once: int) -> None:
    if hasattr(os, "setpgrp"):
        # a Ctrl-C of the terminal goes to the parent alone, which then asks the trainings to save
        os.setpgrp()
    threading.Thread(target=follow, args=(multiprocessing.parent_process(),), daemon=True).start()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // at_once))
    try:
        sender.send(work(item))
    except KeyboardInterrupt:
        sys.exit(130)


def follow(parent) -> None:
    """End when the parent has ended, however it did."""
    parent.join()
    while True:  # the first lets a training save, the next one ends what is left
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
