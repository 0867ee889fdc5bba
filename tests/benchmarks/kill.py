"""Kill trainings at random moments; each has to end in the bits of an unbroken one.

python tests/benchmarks/kill.py [KILLS]
"""

import multiprocessing
import random
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch
from helpers import SIDE, TINY, quietly, read_log

from multimix.config import Config
from multimix.data.film_set import Films
from multimix.data.films import load_films
from multimix.runtime.checkpoint import read_checkpoint

MARATHON = Config.preset(
    "multimix", "improved", side=SIDE, widths=TINY, batch=2, steps=40, validate_every=5
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
    """Kill trainings so many times in all, resuming each to its end; how many trainings it took."""
    whole, killed, trainings = folder / "whole", 0, 0
    assert run_until_killed(films, whole, 300)
    expected = tensors(whole)
    while killed < wanted:
        out, longest = folder / str(trainings), 1.5
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


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as folder:
        films = load_films(side=32, progress=False)
        trainings = kills(films, Path(folder), wanted, random.Random())
    print(
        f"{wanted} or more kills in {trainings} trainings: weights, logs and best checkpoints "
        "equal, nothing lost"
    )
