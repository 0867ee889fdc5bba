"""What chosen labels are worth beside drawn ones.

    python tests/benchmarks/labels.py FOLDER --out RUNS [--seeds 3]

The plan is as written before the first run. FOLDER (or MULTIMIX_DATA) holds chest_xray,
jsrt and siim. Every training is the recipe `quick`; the films of Kermany and JSRT without a label
are unlabelled ones. Each run differs in the films that keep a label, and in the seed of everything:

    random       drawn as published, each class in its own share of the set (which needs the labels)
    thumbnails   diverse by 16 x 16 pixels, k-means, and of each cluster the film in its middle
    diverse      diverse by the maps of an encoder that was trained on `siim` alone (`quick`, the
                 class, seed 0), so that the features have seen no label of Kermany
    rounds       half of the labels diverse, and then half by the doubts of the network that was
                 trained on these, as `suggest` does

Class labels: 50, 100 and 200 for random and diverse, 100 for thumbnails and rounds. Masks: 3 with
50 labels, 10 with 100, 5 with 200; drawn with random, else chosen by the same features as the
class labels (of JSRT's films). Measured at the last step on the validation films first, then on the
test films of Kermany (AUC; accuracy at the operating point) and JSRT (Dice without post-processing,
at the network's side). What counts is accuracy on the test films at 100 labels, and its standard
deviation over seeds; a choice helps if its mean is above that of 100 random labels by more than
two standard errors of the difference.
"""

from __future__ import annotations

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
from multimix.data.label_budget import sample_budget
from multimix.evaluation.calibration import calibrated_log_odds
from multimix.evaluation.evaluator import evaluate, in_batches, predict_log_odds
from multimix.evaluation.metrics import classification_metrics
from multimix.images.reading import resize
from multimix.images.scaling import rescale
from multimix.model import TASKS, MultiMix
from multimix.predictions.outputs import run_network

GRID = {
    **{("random", labels): masks for labels, masks in ((100, 10), (50, 3), (200, 5))},
    **{("diverse", labels): masks for labels, masks in ((100, 10), (50, 3), (200, 5))},
    **{("rounds", 100): 10, ("thumbnails", 100): 10},
}

POOL = 10  # in later rounds films are chosen of so many times more, the most doubtful ones


def thumbnails(films: FilmSet) -> np.ndarray:
    """Films as (N, 256) floats: 16 x 16 px, each film with mean 0 and variance 1."""
    small = np.stack([resize(film.numpy(), 16) for film in films.pixels]).reshape(len(films), -1)
    centred = small - small.mean(1, keepdims=True)
    return centred / centred.std(1, keepdims=True).clip(1)


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
        log_odds = predict_log_odds(model, films).numpy()
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


def choose(films: FilmSet, strategy: str, count: int, seed: int, elsewhere: MultiMix):
    """Indices of the training films that keep their targets."""
    usable = torch.tensor([split == "train" for split in films.splits]) & films.labelled
    places = usable.nonzero().flatten()
    part = films[places]
    if strategy == "random":
        return places[sample_budget(part, count, seed)]
    features = thumbnails(part) if strategy == "thumbnails" else pooled_maps(elsewhere, part)
    return places[choose_diverse(features, count, seed)]


def trained(films: Films, out: Path, seed: int) -> MultiMix:
    config = Config.preset("multimix", "quick", seed=seed)
    return train(config, films, out, resume=True, progress=False)


def measure(model: MultiMix, films: Films, split: str) -> dict[str, float]:
    """AUC and accuracy as `predict` decides, and Dice as the lungs come."""
    part = films.classification.split(split)
    odds = predict_log_odds(model, part).numpy()
    found = classification_metrics(
        expit(calibrated_log_odds(odds, model.info.calibration)), part.labels.numpy()
    )
    lungs = evaluate(model, replace(films, classification=None), split, clean=False)
    names = {"auc": found["auc"], "accuracy": found["accuracy"], "dice": lungs["dice"]}
    return {f"{split}_{name}": round(value, 4) for name, value in names.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=os.environ.get("MULTIMIX_DATA"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    side, cache = Config.preset("multimix", "quick").side, options.out / "cache"
    films = load_films(options.data / "chest_xray", options.data / "jsrt", side, cache=cache)
    siim = load_films(options.data / "siim", None, side, cache=cache)
    train(Config.preset("enc", "quick"), siim, options.out / "siim", resume=True, progress=False)
    elsewhere = load_model(options.out / "siim" / "best.pth")
    table = options.out / "labels.csv"
    rows = pd.read_csv(table).to_dict("records") if table.exists() else []
    done = {(row["strategy"], row["labels"], row["seed"]) for row in rows}
    for seed in range(options.seeds):
        for (strategy, labels), masks in GRID.items():
            if (strategy, labels, seed) in done:
                continue
            first = labels // 2 if strategy == "rounds" else labels
            by = "diverse" if strategy == "rounds" else strategy
            kept = choose(films.classification, by, first, seed, elsewhere)
            outlined = choose(films.segmentation, by, masks, seed, elsewhere)
            lungs = with_labels_of(films.segmentation, outlined)
            known = Films(with_labels_of(films.classification, kept), lungs)
            name = f"{strategy}-{labels}-{seed}"
            if strategy == "rounds":
                model = trained(known, options.out / f"{name}-half", seed)
                train_films = torch.tensor([s == "train" for s in films.classification.splits])
                places = train_films.nonzero().flatten()
                asked = suggest(model, known.classification[places], labels - first, seed=seed)
                kept = torch.cat([kept, places[asked]])
                known = Films(with_labels_of(films.classification, kept), lungs)
            model = trained(known, options.out / name, seed)
            row = {"strategy": strategy, "labels": labels, "masks": masks, "seed": seed}
            row["share_pneumonia"] = round(
                films.classification.labels[kept].float().mean().item(), 3
            )
            rows.append(row | measure(model, films, "val") | measure(model, films, "test"))
            pd.DataFrame(rows).to_csv(table, index=False)
            print(rows[-1], flush=True)
    results = pd.DataFrame(rows).drop(columns="seed").groupby(["strategy", "labels", "masks"])
    print(results.agg(["mean", "std"]).round(3).to_string())


if __name__ == "__main__":
    np.set_printoptions(precision=3)
    main()
