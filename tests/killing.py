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
PRELOADED = ["multimix.training", "multimix.apps.panel"]
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


def kills(films: Films, folder: Path, wanted: int, chance: random.Random) -> int:
    """Kill trainings at random moments, so many in all, resuming each to its end; how many
    trainings that took.
    """
    whole, killed, trainings = folder / "whole", 0, 0
    assert run_until_killed(films, whole, 300)
    expected = read_checkpoint(whole / "last.pth")
    while killed < wanted:
        out = folder / str(trainings)
        while not run_until_killed(films, out, chance.uniform(0.02, 2.0)):
            killed += 1
        trainings += 1
        last = read_checkpoint(out / "last.pth")
        for part in ("model", "average"):
            for name, value in expected["training"][part].items():
                assert torch.equal(value, last["training"][part][name]), name
        assert torch.equal(
            torch.load(out / "best.pth")["weights"]["encoder.fc.weight"],
            torch.load(whole / "best.pth")["weights"]["encoder.fc.weight"],
        )
        assert [{**row, "time": ""} for row in read_log(out)] == [
            {**row, "time": ""} for row in read_log(whole)
        ]
        assert not list(out.glob("*.part"))
    return trainings
