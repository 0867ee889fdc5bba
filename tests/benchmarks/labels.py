"""What chosen labels are worth beside drawn ones.

    python tests/benchmarks/labels.py FOLDER --out RUNS [--task segmentation] [--seeds 5]

The plan is as written before the first of these runs. FOLDER (or MULTIMIX_DATA) holds chest_xray,
jsrt, montgomery and siim. Every training is the recipe `quick` for one task: the class on Kermany's
films (`enc_ssl`), or the lungs on JSRT's (`unet`). The runs differ in the films that keep a label:

    random     drawn as published, each class in its own share of the set (which needs the labels)
    diverse    k-means on the maps of an encoder that was trained on `siim` alone (`quick`, the
               class, seed 0), so that the features have seen no label of these sets
    rounds     half of the labels diverse, and then half by the doubts of the network that was
               trained on these, as `suggest` does; classes alone

20, 50, 100 and 200 classes (rounds: 100), and 3, 5 and 10 masks. Measured with the network that
`train` returns: AUC, and accuracy at the operating point, on Kermany's validation and test films;
Dice without post-processing, at the network's side, on those of JSRT and on Montgomery. What counts
is accuracy on the test films at 100 labels, and its standard deviation over five seeds. A choice
helps if its mean is above that of as many random labels by more than two standard errors of the
difference.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.special import expit
from torch import Tensor

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from multimix import Config, load_films, load_model, train
from multimix.data.film_set import Films, FilmSet
from multimix.data.training_films import sample_budget
from multimix.evaluation.calibration import calibrated_log_odds
from multimix.evaluation.evaluator import evaluate, in_batches
from multimix.evaluation.metrics import classification_metrics
from multimix.images.reading import rescale
from multimix.model import TASKS, MultiMix
from multimix.predictions.outputs import class_log_odds, run_network

GRID = {
    "classification": [(by, n) for n in (100, 50, 20, 200) for by in ("random", "diverse")]
    + [("rounds", 100)],
    "segmentation": [(by, n) for n in (3, 5, 10) for by in ("random", "diverse")],
}
SYSTEM = {"classification": "enc_ssl", "segmentation": "unet"}

POOL = 10  # in later rounds films are chosen of so many times more, the most doubtful ones


def choose_diverse(
    features: np.ndarray, count: int, seed: int, worth: np.ndarray | None = None
) -> Tensor:
    """Films that differ from each other: of each of `count` clusters the one in the middle.

    Arguments:
        features: (N, F), N at least `count`.
        worth: (N,), above 0: k-means' weight of each film, such as the doubt of its prediction.

    Returns: indices (count,) int64, the largest cluster first.
    """
    from sklearn.cluster import KMeans  # slow to import

    found = KMeans(count, n_init=1, random_state=seed).fit(features, sample_weight=worth)
    distance = found.transform(features)
    sizes = np.bincount(found.labels_, worth, count)
    chosen: list[int] = []
    for cluster in np.argsort(-sizes, kind="stable"):
        order = np.argsort(distance[:, cluster], kind="stable")
        chosen.append(next(i for i in order.tolist() if i not in chosen))
    return torch.tensor(chosen)


def suggest(
    model: MultiMix, films: FilmSet, count: int, task: str = "classification", seed: int = 0
) -> Tensor:
    """The unlabelled films to label next.

    Where no film has a label yet, films that differ from each other: k-means on the pooled maps of
    the network, and of each cluster the film in its middle. Later the same among the films that the
    network doubts most, after Zhdanov, 'Diverse mini-batch active learning', 2019.

    Arguments:
        model: a network; for later rounds, one that was trained on the labels so far.
        films: a set of `load_films`, at the network's side.
        count: how many films.
        task: what is to be labelled: 'classification' or, for masks, 'segmentation'.
        seed: of k-means.

    Returns: indices into `films`, (count,) int64, in the order in which to label them.

    Errors: ValueError where fewer films are unlabelled.
    """
    usable = (~films.labelled).nonzero().flatten()
    if not 1 <= count <= len(usable):
        raise ValueError(
            f"{count} films to label were asked for, and {len(usable)} of {len(films)} films are "
            "unlabelled; give a number from 1 to that."
        )
    worth = None
    if films.labelled.any():
        doubt = doubts(model, films[usable], task)
        pool = np.argsort(-doubt, kind="stable")[: POOL * count]
        usable, worth = usable[torch.from_numpy(pool)], doubt[pool].clip(1e-6)
    return usable[choose_diverse(pooled_maps(model, films[usable]), count, seed, worth)]


def pooled_maps(model: MultiMix, films: FilmSet) -> np.ndarray:
    """The means of the encoder's last maps at each side that the class is read at, (N, F).

    Each column has mean 0 and variance 1.
    """

    def means(network: MultiMix, x: Tensor) -> Tensor:
        sides = network.info.class_sides or (network.info.side,)
        maps = [network.encoder(rescale(x, side))[1][-1] for side in sides]
        return torch.cat([F.max_pool2d(each, 2).mean((2, 3)) for each in maps], 1).float()

    found = in_batches(means, model, films).numpy()
    return (found - found.mean(0)) / found.std(0).clip(1e-6)


def doubts(model: MultiMix, films: FilmSet, task: str) -> np.ndarray:
    """How unsure the network is of each film, (N,) in [0, 1]."""
    if task == TASKS[0]:
        log_odds = in_batches(class_log_odds, model, films).numpy()
        return 1 - np.abs(np.tanh(calibrated_log_odds(log_odds, model.info.calibration) / 2))

    def doubt(network: MultiMix, x: Tensor) -> Tensor:  # 1 - the Dice that it expects
        lung = run_network(network, x).lung.flatten(1)
        mask = lung > 0.5
        return 1 - 2 * (lung * mask).sum(1) / (lung.sum(1) + mask.sum(1)).clip(1e-6)

    return in_batches(doubt, model, films).numpy()


def with_labels_of(films: FilmSet, kept: torch.Tensor) -> FilmSet:
    """The films with the targets of the training films `kept` alone; other splits keep theirs."""
    train_films = torch.tensor([split == "train" for split in films.splits])
    labelled = films.labelled & ~train_films
    labelled[kept] = True
    return replace(films, labelled=labelled)


def choose(films: FilmSet, by: str, count: int, seed: int, elsewhere: MultiMix) -> Tensor:
    """Indices of the training films that keep their targets."""
    usable = torch.tensor([split == "train" for split in films.splits]) & films.labelled
    places = usable.nonzero().flatten()
    part = films[places]
    if by == "random":
        return places[sample_budget(part, count, seed)]
    return places[choose_diverse(pooled_maps(elsewhere, part), count, seed)]


def trained(films: FilmSet, kept: Tensor, task: str, out: Path, seed: int) -> MultiMix:
    """A network that learnt one task from the targets of the training films `kept`."""
    config = Config.preset(SYSTEM[task], "quick", seed=seed)
    known = Films(**{task: with_labels_of(films, kept)})
    return train(config, known, out, resume=True, progress=False)


def measure(model: MultiMix, sets: dict[str, FilmSet], task: str) -> dict[str, float]:
    """AUC and accuracy as `predict` decides, or Dice as the lungs come, of each set."""
    found = {}
    for name, films in sets.items():
        if task == "segmentation":
            results = evaluate(model, Films(segmentation=films), "all", clean=False)
            found[f"{name}_dice"] = results["dice"]
            continue
        odds = in_batches(class_log_odds, model, films).numpy()
        probabilities = expit(calibrated_log_odds(odds, model.info.calibration))
        results = classification_metrics(probabilities, films.labels.numpy())
        found |= {f"{name}_{key}": results[key] for key in ("auc", "accuracy")}
    return {name: round(value, 4) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=os.environ.get("MULTIMIX_DATA"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", choices=TASKS, default=TASKS[0])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    out, task = options.out, options.task
    out.mkdir(parents=True, exist_ok=True)
    more = dict(side=Config.preset("multimix", "quick").side, cache=out / "cache", progress=False)
    folders = {"classification": "chest_xray", "segmentation": "jsrt"}
    films = getattr(load_films(**{task: options.data / folders[task]}, **more), task)
    sets = {split: films.split(split) for split in ("val", "test")}
    if task == "segmentation":
        sets["montgomery"] = load_films(None, options.data / "montgomery", **more).segmentation
    siim = load_films(options.data / "siim", None, **more)
    train(Config.preset("enc", "quick"), siim, out / "siim", resume=True, progress=False)
    elsewhere = load_model(out / "siim" / "best.pth")
    table = out / f"{task}.csv"
    rows = pd.read_csv(table).to_dict("records") if table.exists() else []
    done = {(row["by"], row["labels"], row["seed"]) for row in rows}
    for seed in range(options.seeds):
        for by, labels in GRID[task]:
            if (by, labels, seed) in done:
                continue
            if by == "rounds":
                kept = choose(films, "diverse", labels // 2, seed, elsewhere)
                model = trained(films, kept, task, out / f"diverse-{labels // 2}-{seed}", seed)
                usable = torch.tensor([split == "train" for split in films.splits])
                places = usable.nonzero().flatten()
                known = with_labels_of(films, kept)[places]
                asked = suggest(model, known, labels - len(kept), task, seed)
                kept = torch.cat([kept, places[asked]])
            else:
                kept = choose(films, by, labels, seed, elsewhere)
            model = trained(films, kept, task, out / f"{by}-{labels}-{seed}", seed)
            row = {"by": by, "labels": labels, "seed": seed, **measure(model, sets, task)}
            if task == "classification":
                row["pneumonia"] = round(films.labels[kept].float().mean().item(), 3)
            rows.append(row)
            pd.DataFrame(rows).to_csv(table, index=False)
            print(row, flush=True)
    results = pd.DataFrame(rows).drop(columns="seed").groupby(["by", "labels"])
    print(results.agg(["mean", "std"]).round(3).to_string())


if __name__ == "__main__":
    main()
