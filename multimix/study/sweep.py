"""Train and measure what a grid names: done runs are skipped, interrupted ones go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from multimix.batches import Loader
from multimix.config import Config
from multimix.data.film_set import Films
from multimix.data.training_films import check_training_films
from multimix.runtime.device import choose_device
from multimix.runtime.stop_signal import StopSignal
from multimix.study.jobs import Job

GIB = 2**30
NEEDED = 1.5 * GIB  # memory of one run at 256 px and batches of 10 on a CPU, with room to spare
# A CPU's cache holds two films at once, a GPU works on all fifty: their maps count.
NEEDED_CUDA = 8 * GIB
LOOK_UP = 0.2  # seconds after which a sweep that waits for its runs sees a signal
CHECKED_SPLITS = {"test": ("val", "test"), "cross": ("all",)}  # must have labelled films


def sweep(jobs: Sequence[Job], out: Path, at_once: int = 0, device: str = "auto") -> list[str]:
    """Run what is not done, several at once, each in a process of its own.

    Every run has a folder, `out`/NAME, that `train` writes into; `test.json` and `cross.json`
    there, each with a .csv of single films, say that it is done. Ctrl-C lets the trainings that run
    save what they have; those that wait do not begin.

    Arguments:
        jobs: what `grid` gave.
        out: the folder for all runs.
        at_once: how many; 0: as many as processors and memory allow.
        device: 'auto', 'cpu', 'cuda' or 'mps'.

    Returns: a sentence for each run that failed.

    Errors: ValueError where a job could not be trained or measured, before the first begins;
        KeyboardInterrupt where a signal ended it.
    """
    missing = [job for job in jobs if not job.done(out)]
    held = check_films(missing)
    fitting = at_once or runs_at_once(choose_device(device), jobs[0].config, held)
    at_once = max(1, min(fitting, len(missing)))
    done = len(jobs) - len(missing)
    print(f"{len(jobs)} runs, {done} of them done; {at_once} at once.", flush=True)
    return run_all(missing, out, at_once, device)


def run_all(jobs: Sequence[Job], out: Path, at_once: int, device: str) -> list[str]:
    """Run these jobs, and say when each has ended; a sentence for each that failed."""
    # Nothing is ever written into this pipe: its end, however this process comes to close it, is
    # what tells every run to save and end.
    standard_input, held_open = os.pipe()
    runner = Runner(out, device, max(1, torch.get_num_threads() // at_once), standard_input)
    pool = ThreadPoolExecutor(at_once)
    faults = []
    try:
        with StopSignal() as stop:
            running = {pool.submit(runner.run, job) for job in jobs}
            while running and not stop.came:
                ended, running = wait(running, LOOK_UP, FIRST_COMPLETED)
                for number, future in enumerate(ended, start=len(jobs) - len(running | ended) + 1):
                    run = future.result()
                    if run.fault:
                        faults.append(f"{run.job.name}: {run.fault}")
                    outcome = run.fault or f"{run.seconds / 60:.1f} min"
                    print(f"[{number}/{len(jobs)}] {run.job.name}: {outcome}", flush=True)
        if running:
            raise KeyboardInterrupt("stopped; the same command goes on")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        os.close(held_open)
        pool.shutdown()
        os.close(standard_input)
    return faults


@dataclass(frozen=True)
class EndedRun:
    """A run that has ended, and its fault, '' if it has none."""

    job: Job
    seconds: float
    fault: str


@dataclass(frozen=True)
class Runner:
    """Starts runs as processes, and waits for them."""

    out: Path
    device: str
    threads: int  # of each
    standard_input: int  # a pipe's end, that no run reads anything from but its end

    def run(self, job: Job) -> EndedRun:
        """Train and measure one job."""
        order = {
            "spec": job.spec(),
            "cache": job.sources.cache,
            "out": str(self.out),
            "device": self.device,
            "threads": self.threads,
        }
        start = time.perf_counter()
        process = subprocess.run(
            [sys.executable, "-m", "multimix.study.run", json.dumps(order)],
            stdin=self.standard_input,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # a Ctrl-C of the terminal comes to this process alone
        )
        if process.returncode == 0:
            fault = json.loads(process.stdout)
        else:
            fault = (
                f"its process was ended from outside (exit code {process.returncode}), perhaps for "
                "want of memory; the same command goes on, with fewer at once (--jobs)"
            )
        return EndedRun(job, time.perf_counter() - start, fault)


def check_films(jobs: Sequence[Job]) -> int:
    """Read the films of every job, which the cache then has.

    Returns: the bytes of the largest set's pixels.

    Errors: ValueError where a job could not be trained or measured.
    """
    largest = 0
    for domain in CHECKED_SPLITS:
        same_films: dict[tuple, list[Job]] = {}
        for job in jobs:
            if domain in job.domains:
                key = (job.folders(domain), job.config.side, job.config.seed)
                same_films.setdefault(key, []).append(job)
        for group in same_films.values():
            films = group[0].films(domain, progress=sys.stderr.isatty())
            for job in group:
                check_job(job, films, domain)
            parts = (films.classification, films.segmentation)
            largest = max(largest, sum(part.pixels.nbytes for part in parts if part is not None))
    return largest


def check_job(job: Job, films: Films, domain: str) -> None:
    """ValueError where the job could not be trained on these films, or not be measured."""
    if domain == "test":
        check_training_films(films, job.config)
        Loader(films, job.config)
    for split in CHECKED_SPLITS[domain]:
        known = films.labelled(split)
        if known.classification is None and known.segmentation is None:
            classes, masks = job.folders(domain)
            raise ValueError(
                f"{job.name} could not be measured: of the folders {', '.join(classes + masks)} "
                f"no film of the split '{split}' has a class or a mask that the system needs."
            )


def runs_at_once(device: torch.device, config: Config, held: int) -> int:
    """As many as there are processors (on a CPU) and memory for: a small network fills neither.

    Arguments:
        device: where they run.
        config: of one of them.
        held: bytes of the films of one run.
    """
    size = (config.side / 256) ** 2
    if device.type == "cuda":
        each = NEEDED_CUDA * size * config.batch / 10 + GIB
        return max(1, int(torch.cuda.mem_get_info(device)[0] / each))
    if device.type == "mps":
        return 1
    # Films count three times: whole, their training split, and a while as they are read.
    each = max(NEEDED * size, GIB) + 3 * held
    return max(1, min(os.cpu_count() or 1, int(psutil.virtual_memory().available / each)))
