"""One run of a sweep, in a process of its own: python -m multimix.study.run ORDER.

ORDER is JSON, as `multimix.study.sweep` writes it. On standard output comes one line of JSON: what
went wrong, or ''. The end of standard input is the message to stop: the sweep closed it, or died.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import redirect_stdout
from pathlib import Path

import torch

from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.results import write_results
from multimix.runtime.stop_signal import STOPPED
from multimix.study.jobs import Job
from multimix.training import train

MEASURED_SPLIT = {"test": "test", "cross": "all"}
SECONDS_TO_SAVE = 60  # after which a training that was told to stop is told again


def main() -> int:
    """0 when there is something to report, 130 when stopped."""
    order = json.loads(sys.argv[1])
    threading.Thread(target=stop_with_sweep, daemon=True).start()
    torch.set_num_threads(order["threads"])
    job = Job.from_spec(order["spec"], order["cache"])
    try:
        with redirect_stdout(sys.stderr):  # what training has to say is for the terminal
            fault = run(job, Path(order["out"]), order["device"])
    except KeyboardInterrupt:
        return STOPPED
    print(json.dumps(fault))
    return 0


def stop_with_sweep() -> None:
    """Wait for the end of standard input; then have this process save its training and end."""
    while os.read(0, 1):  # not through sys.stdin, whose lock would be held as Python ends
        pass
    while True:  # the first signal lets a training finish its step and save, the second ends it
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(SECONDS_TO_SAVE)


def run(job: Job, out: Path, device: str) -> str:
    """Train, measure, write down what came; what went wrong, or ''."""
    folder = out / job.name
    try:
        films = job.films("test")
        model = train(job.config, films, folder, resume=True, device=device, progress=False)
        for domain in job.domains:
            if domain == "cross":
                films = job.films("cross")
            results = evaluate(model, films, MEASURED_SPLIT[domain], clean=False)  # as published
            path = folder / f"{domain}.json"
            write_results(results, path, spec=job.spec(), command=job.command(out))
    except (ValueError, OSError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  (the sweep tells of any fault, and goes on)
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
