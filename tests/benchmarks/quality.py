"""Fit and measure the calibrated Dice and the quality of lung outlines.

    python tests/benchmarks/quality.py films --free free_films --bedside cases/bedside

The outlines are those of all bundled networks, good and bad ones. `films` holds chest_xray,
chest_xray_lungs, jsrt, montgomery. JSRT's odd numbers, half of Kermany's training films, the adults
below --free and the films below --bedside (outlines known to be wrong) choose the constants of
`multimix/predictions/lungs.py`; the rest is only measured. The script prints the constants.

Hand outlines of Kermany's films and of the adults hold the lung behind the heart, those of JSRT do
not. So a Dice counts relative to what the healthy films of its convention reach (their median).
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from multimix.images.preparation import film_box
from multimix.images.reading import read_film, read_mask, resize
from multimix.inference import load_model
from multimix.model import MultiMix
from multimix.predictions.lungs import WEIGHTS, outline_features
from multimix.predictions.outputs import films_for, post_process

NETWORKS = ("multimix", "multimix_open", "multimix_100_10")
HEALTHY_DICE = 0.975  # of a healthy film's outline against one of its own convention
WRONG = 0.85  # relative Dice below which an outline is wrong
WRONG_DICE = 0.7  # given to the outlines known to be wrong, which have no hand outline
LEAST_FOUND = 0.85  # of the wrong outlines used to fit, the share that is not "good"


class Outlines(NamedTuple):
    """Predicted outlines of one set of films."""

    features: np.ndarray  # (N, features)
    dice: np.ndarray  # (N,)
    odd: np.ndarray  # (N,) bool: used to fit
    network: np.ndarray  # (N,): its place in NETWORKS


def predict(model: MultiMix, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """A film (side, side) uint8 and its lung probability (side, side)."""
    grey = read_film(file)
    film = resize(np.ascontiguousarray(film_box(grey).of(grey)), model.info.side)
    with torch.no_grad():
        logits = model(films_for(model, torch.tensor(film)[None]))[1]
    return film, post_process(torch.sigmoid(logits.float()).cpu())[0, 0].numpy()


def dice_of(lung: np.ndarray, film: Path, mask: Path) -> float:
    box = film_box(read_film(film))
    truth = np.where(read_mask([mask], 512), 255, 0).astype(np.uint8)
    truth = resize(np.ascontiguousarray(box.of(truth)), len(lung)) > 127
    outline = lung > 0.5
    return float(2 * (outline & truth).sum() / max(outline.sum() + truth.sum(), 1))


def outlines(models: list[MultiMix], films: Path, masks: Path | None, every: int = 1) -> Outlines:
    """Predict every so-manieth film of a folder that has a mask of its name, by each network."""
    files = sorted(file for file in films.iterdir() if file.is_file())
    known = {} if masks is None else {file.stem: file for file in masks.iterdir()}
    if masks is not None:
        files = [file for file in files if file.stem in known]
    rows = []
    for network, model in enumerate(models):
        for number, file in enumerate(files[::every]):
            film, lung = predict(model, file)
            found = outline_features(film, lung)
            dice = dice_of(lung, file, known[file.stem]) if masks else WRONG_DICE
            odd = int(file.stem[-3:]) % 2 == 1 if "JPC" in file.stem else number % 2 == 1
            rows.append(([found[name] for name in WEIGHTS], dice, odd, network))
    return Outlines(*(np.array(column) for column in zip(*rows)))


def fit(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Ridge regression of y (N,) on x (N, F): F weights and the intercept."""
    ones = np.c_[x, np.ones(len(x))] * np.sqrt(weight)[:, None]
    ridge = np.diag([1.0] * x.shape[1] + [0.0])
    return np.linalg.solve(ones.T @ ones + ridge, ones.T @ (y * np.sqrt(weight)))


def fit_constants(sets: dict[str, Outlines]) -> tuple[np.ndarray, float]:
    """The model's weights with its intercept, and the least Dice of a good outline."""
    used = {n: o for n, o in sets.items() if n != "montgomery"}
    rows = {
        n: o.odd if n in ("jsrt", "normal", "pneumonia") else o.odd >= 0 for n, o in used.items()
    }
    x = np.concatenate([used[n].features[rows[n]] for n in used])
    y = np.concatenate([used[n].dice[rows[n]] for n in used])
    heavy = {"jsrt": 2.0, "bedside": 4.0}
    weight = np.concatenate([np.full(rows[n].sum(), heavy.get(n, 1.0)) for n in used])
    constants = fit(x, y, weight)
    wrong = estimate(x[y < WRONG], constants)
    return constants, float(np.quantile(wrong, LEAST_FOUND))


def estimate(features: np.ndarray, constants: np.ndarray) -> np.ndarray:
    return np.clip(features @ constants[:-1] + constants[-1], 0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", type=Path)
    parser.add_argument("--free", type=Path, required=True)
    parser.add_argument("--bedside", type=Path, required=True)
    parser.add_argument("--every", type=int, default=8, help="of Kermany's films, one of so many")
    options = parser.parse_args()
    models, root, free = [load_model(n) for n in NETWORKS], options.films, options.free
    sets = {name: outlines(models, root / name / "images", root / name / "masks")
            for name in ("jsrt", "montgomery")}  # fmt: skip
    for name in ("NORMAL", "PNEUMONIA"):
        folders = root / "chest_xray/train" / name, root / "chest_xray_lungs/masks" / name
        sets[name.lower()] = outlines(models, *folders, options.every)
    sets["adults"] = outlines(models, free / "adults/images", free / "adults/masks")
    sets["bedside"] = outlines(models, options.bedside, None)
    healthy = sets["normal"]
    for network in range(len(NETWORKS)):  # the other convention
        median = np.median(healthy.dice[healthy.network == network])
        print(f"{NETWORKS[network]}: Dice of healthy children {median:.3f}")
        for name in ("normal", "pneumonia", "adults"):
            rows = sets[name].network == network
            sets[name].dice[rows] = np.minimum(sets[name].dice[rows] * HEALTHY_DICE / median, 1)
    constants, good = fit_constants(sets)
    names = [*WEIGHTS, "INTERCEPT"]
    print(
        {name: round(float(value), 4) for name, value in zip(names, constants)}, f"GOOD {good:.3f}"
    )
    for name, (features, dice, odd, networks) in sets.items():
        expected = estimate(features, constants)
        for half in range(2 * len(NETWORKS)):
            rows = (odd if half % 2 else ~odd) & (networks == half // 2)
            wrong, poor = dice[rows] < WRONG, expected[rows] < good
            found = f"{poor[wrong].mean():.2f}" if wrong.any() else "-"
            alarms = f"{poor[~wrong].mean():.3f}" if (~wrong).any() else "-"
            print(
                f"{name:10s} {NETWORKS[half // 2]:16s} {('rest', 'fit')[half % 2]:4s} "
                f"{rows.sum():4d} wrong {wrong.sum():4d}, of these not good "
                f"{found}, of the others {alarms}; Dice {dice[rows].mean():.3f}, expected "
                f"{expected[rows].mean():.3f}"
            )


if __name__ == "__main__":
    main()
