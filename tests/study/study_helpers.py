"""Small sweeps, and results that no training made."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest
from helpers import SIDE, TINY

from multimix.data.films import load_films
from multimix.evaluation.metrics import intervals
from multimix.study.jobs import Job, Measured, Sources, grid
from multimix.study.results import RunResult
from multimix.study.run import run

PHANTOMS = Sources(
    ("phantom://20",), ("phantom://20",), ("phantom://20+1000",), ("phantom://20+1000",)
)
SMALL = {"side": SIDE, "steps": 2, "batch": 2, "validate_every": 1, "widths": TINY}


def small(systems=("unet", "multimix"), seeds=2, **changes) -> list[Job]:
    return grid(list(systems), [4], [2], seeds, "paper", PHANTOMS, **{**SMALL, **changes})


load_once = lru_cache(maxsize=8)(load_films)


def run_here(jobs: Sequence[Job], out: Path) -> list[str]:
    """What `sweep` leaves in its folder, and its faults, but in this process, which is quicker.

    Phantoms are drawn once. The intervals are of few draws: a sweep makes no use of them.
    """
    faults = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("multimix.study.jobs.load_films", load_once)
        patch.setattr("multimix.evaluation.evaluator.intervals", partial(intervals, draws=2))
        for job in jobs:
            if not job.done(out):
                faults.append(run(job, out, "cpu"))
    return [fault for fault in faults if fault]


def fake(
    system: str,
    seed: int,
    values: Sequence[float],
    column: str = "dice",
    budget=(100, 10),
    films_each=1,
) -> RunResult:
    """A run with these values of films; `films_each` of a patient."""
    job = grid([system], [budget[0]], [budget[1]], seed + 1, "paper", PHANTOMS)[seed]
    rows = []
    for i, value in enumerate(values):
        rows.append({"film": f"f{i}", "patient": f"p{i // films_each}", column: value})
    metrics = {"dice": float(np.mean(values))} if column == "dice" else {}
    return RunResult.from_measured(job, {"test": Measured(job, metrics, rows)})
