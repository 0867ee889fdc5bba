"""How many seconds of training reach the paper's figures, beside the days of the published one.

    python tests/benchmarks/race.py FOLDER [--recipe quick] [--seeds 5]

FOLDER (or MULTIMIX_DATA) holds chest_xray, jsrt and montgomery. For each seed a network is trained
on 100 classes and 10 masks, and measured on the test films at every validation while the clock
stands still. Dice is that of the lungs as they come (no post-processing), enlarged to 256 px. The
published training is 52,200 steps at 256 px: one of them is timed first. All films come from the
cache in --out, which is filled before the clock starts.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import expit

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "benchmarks")]

from data import seconds
from engine import Work

from multimix import Config, load_films, load_model, train
from multimix.data.film_set import Films, FilmSet
from multimix.evaluation.evaluator import in_batches
from multimix.evaluation.metrics import classification_metrics, overlap
from multimix.images.reading import network_input, rescale
from multimix.model import MultiMix
from multimix.predictions.outputs import class_log_odds, run_network

# The paper's table 2, at 100 classes and 10 masks.
PAPER = {"accuracy": 0.800, "Dice JSRT": 0.954, "Dice Montgomery": 0.857}
PUBLISHED_STEPS = 52_200
REFERENCE_SIDE = 256  # px that masks are compared at


class Race:
    """One training, and what the test films say at each of its validations."""

    def __init__(self, config: Config, out: Path, tests: dict[str, FilmSet]):
        self.config, self.out, self.tests = config, out, tests
        self.figures: dict[str, float] = {}  # the last ones
        self.reached: dict[str, float] = {}  # seconds to each of the paper's
        self.seconds, self.started = 0.0, 0.0  # of training so far; since when it goes on

    def run(self, films: Films) -> None:
        self.started = time.perf_counter()
        train(self.config, films, self.out, progress=False, on_validation=self.measure)

    def measure(self, row: dict) -> None:
        self.seconds += time.perf_counter() - self.started
        self.figures = test_figures(load_model(self.out / "last.pth"), self.tests)
        for name, aim in PAPER.items():
            if self.figures[name] >= aim:
                self.reached.setdefault(name, self.seconds)
        self.started = time.perf_counter()

    def describe(self, published: float) -> str:
        """The last figures, and when the paper's were reached, beside the published seconds."""
        found = ", ".join(f"{name} {value:.3f}" for name, value in self.figures.items())
        times = []
        for name in PAPER:
            taken = self.reached.get(name)
            ratio = f"{taken:.0f} s ({published / taken:,.0f}x)" if taken else "not reached"
            times.append(f"{name} {ratio}")
        return f"{self.seconds:.0f} s: {found}; the paper's {', '.join(times)}"


def test_figures(model: MultiMix, tests: dict[str, FilmSet]) -> dict[str, float]:
    """AUC and accuracy at 0.5 of the classes, Dice of both hospitals' lungs."""
    log_odds = in_batches(class_log_odds, model, tests["classes"]).numpy()
    found = classification_metrics(expit(log_odds), tests["classes"].labels.numpy())
    return {
        "AUC": found["auc"],
        "accuracy": found["accuracy"],
        "Dice JSRT": mean_dice(model, tests["JSRT"]),
        "Dice Montgomery": mean_dice(model, tests["Montgomery"]),
    }


@torch.inference_mode()
def mean_dice(model: MultiMix, films: FilmSet) -> float:
    """Of lungs read at the network's side and enlarged to that of the films."""
    dice = []
    for pixels, masks in zip(films.pixels.split(8), films.masks.split(8)):
        x = rescale(network_input(pixels[:, None]), model.info.side)
        lung = run_network(model, x).lung
        lung = F.interpolate(lung, pixels.shape[1:], mode="bilinear", align_corners=False)
        dice.append(overlap(lung[:, 0].numpy() > 0.5, masks.numpy())["dice"])
    return float(np.concatenate(dice).mean())


def test_films(folder: Path, side: int, cache: Path) -> dict[str, FilmSet]:
    """Classes at the network's side, masks at `REFERENCE_SIDE`."""
    classes = load_films(folder / "chest_xray", (), side, progress=False, cache=cache)
    jsrt = load_films((), folder / "jsrt", REFERENCE_SIDE, progress=False, cache=cache)
    montgomery = load_films((), folder / "montgomery", REFERENCE_SIDE, progress=False, cache=cache)
    return {
        "classes": classes.labelled("test").classification,
        "JSRT": jsrt.labelled("test").segmentation,
        "Montgomery": montgomery.labelled("all").segmentation,
    }


def published_seconds() -> float:
    """What the published training would take here: one of its steps, times their number."""
    (step,) = seconds(Work(256, torch.device("cpu")).literal(), repetitions=1)
    return step * PUBLISHED_STEPS


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("MULTIMIX_DATA"))
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/race"))
    options = parser.parse_args()
    if not options.folder:
        parser.error("give the folder that holds chest_xray, jsrt and montgomery")
    return options


def main() -> None:
    options = parse_options()
    folder, cache = Path(options.folder), options.out / "cache"
    load, threads = os.getloadavg()[0], torch.get_num_threads()
    published = published_seconds()
    print(f"{threads} threads of {os.cpu_count()} cores, load {load:.1f} before")
    print(f"the published training: {published / 86400:.1f} days here", flush=True)
    budget = dict(class_labels=100, masks=10, precision="bfloat16")
    finals = []
    for seed in range(options.seeds):
        config = Config.preset("multimix", options.recipe, seed=seed, **budget)
        tests = test_films(folder, config.side, cache)
        films = load_films(
            folder / "chest_xray",
            folder / "jsrt",
            config.side,
            seed,
            progress=False,
            cache=cache,
        )
        race = Race(config, options.out / f"{options.recipe}-seed{seed}", tests)
        race.run(films)
        print(f"seed {seed}, {race.describe(published)}", flush=True)
        finals.append([race.seconds, *race.figures.values()])
    for name, values in zip(("seconds", *race.figures), np.transpose(finals)):
        print(f"{name}: mean {values.mean():.4g}, {values.min():.4g} to {values.max():.4g}")


if __name__ == "__main__":
    main()
