"""Trainings that are killed at random moments, for a test and for a benchmark."""

import multiprocessing
import random
from pathlib import Path

import torch
from helpers import SIDE, TINY, quietly, read_log

from multimix.config import Config
from multimix.data.film_set import Films
from multimix.runtime.checkpoint import read_checkpoint

MARATHON = Config.preset(
    "multimix", "improved", side=SIDE, widths=TINY, batch=2, steps=60, validate_every=5
)
SERVER = multiprocessing.get_context("forkserver")  # imports once, then starts processes at once
PRELOADED = ["multimix.training", "multimix.apps.panel", "multimix.runtime.torchvision_shim"]
PRELOADED += ["scipy.optimize", "scipy.special", "scipy.stats"]  # else imported when first used
SERVER.set_forkserver_preload(PRELOADED)


def run_until_killed(films: Films, out: Path, seconds: float) -> bool:
    """Train in a process of its own and kill it after so long; whether it was done before."""
    process = SERVER.Process(target=in_child, args=(films, out))
    process.start()
    process.join(seconds)
    finished = process.exitcode is not None
    assert process.exitcode in (None, 0)
    process.kill()
    process.join()
    return finished


def in_child(films: Films, out: Path) -> None:
    torch.set_num_threads(1)
    quietly(MARATHON, films, out, resume=True)


def tensors(out: Path) -> dict[str, torch.Tensor]:
    """Weights and averages of the last step, and the best weights."""
    last, best = (read_checkpoint(out / f"{name}.pth") for name in ("last", "best"))
    parts = dict(last["training"], best=best["weights"])
    names = ("model", "average", "best")
    return {f"{part} {name}": parts[part][name] for part in names for name in parts[part]}


def rows_without_time(out: Path) -> list[dict]:
    return [{**row, "time": ""} for row in read_log(out)]


def kills(films: Films, folder: Path, wanted: int, chance: random.Random) -> int:
    """Kill trainings at random moments, so many in all, resuming each to its end; how many
    trainings that took.
    """
    whole, killed, trainings = folder / "whole", 0, 0
    assert run_until_killed(films, whole, 300)
    expected = tensors(whole)
    while killed < wanted:
        out, longest = folder / str(trainings), 2.0
        while not run_until_killed(
            films, out, 300 if killed == wanted else chance.uniform(0.02, longest)
        ):
            killed += 1
            longest *= 1.2  # on a busy machine the first checkpoint comes later
        trainings += 1
        torch.testing.assert_close(tensors(out), expected, rtol=0, atol=0)
        assert rows_without_time(out) == rows_without_time(whole)
        assert not list(out.glob("*.part"))
    return trainings
