"""How good a network is on films whose answers are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy
import torch
from torch import Tensor
from tqdm.auto import tqdm

from multimix.data.film_set import Films, FilmSet, FilmStack
from multimix.data.manifest import TASKS, trained_on
from multimix.evaluation.calibration import calibrate, calibrated_log_odds
from multimix.evaluation.metrics import (
    MIN_PATIENTS,
    calibrated_metrics,
    check_metrics,
    classification_metrics,
    film_metrics,
    intervals,
    overlap,
    placements,
    segmentation_metrics,
)
from multimix.evaluation.outputs import (
    asking,
    class_log_odds,
    films_for,
    network_of,
    run_network,
)
from multimix.evaluation.results import Results
from multimix.model import CLASSES, MultiMix
from multimix.runtime.device import micro_batch_size
from multimix.runtime.distributed import SINGLE, World


def evaluate(
    model: MultiMix,
    films: Films,
    split: str = "test",
    progress: bool = False,
    *,
    flip: bool = False,
    clean: bool = True,
) -> Results:
    """Every metric on one split, with intervals and a row for each film.

    Baselines stand beside the network's values: the share of PNEUMONIA in the training split as the
    probability, and the mean training mask; of the films themselves in the splits 'train' and
    'all', or without training films.

    Arguments:
        model: a network; its mode is left as it was.
        films: what `load_films` gave, at the network's side.
        split: 'train', 'val', 'test' or 'all'.
        progress: show a bar.
        flip: average with the mirrored film, in twice the time.
        clean: post-process the lungs, as `predict` does: at most two, without holes.

    Returns: a dict of metrics by name, with `intervals`, `baseline`, `rows` and `notes`. In the
        rows, `probability` (of PNEUMONIA) and `correct` are calibrated, as `predict` is;
        `raw_probability` and `raw_correct` are what the metrics without 'calibrated_' are of.

    Errors: ValueError where the split holds no labelled film, the films are at another side, or an
        answer is not a number.
    """
    model = network_of(model)
    results, measured = Results(), films_of_split(films, split)
    training = films.labelled("train") if split in ("val", "test") else Films()
    for task in TASKS:
        part, reference = getattr(measured, task), getattr(training, task)
        if part is None and getattr(films, task):
            results.notes.append(
                f"No film of {task} in the split '{split}' has an answer, so none was measured."
            )
        if part is None:
            continue
        if task == "classification":
            log_odds = predict_log_odds(model, part, progress, flip).numpy()
            evaluate_classes(results, log_odds, part, reference or part, model.calibration)
        else:
            lungs = predict_masks(model, part, progress, flip, clean).numpy()
            evaluate_masks(results, lungs, part, reference or part)
        results.notes += cautions(task, part, model.manifest)
    return results


def films_of_split(films: Films, split: str) -> Films:
    """The films of a split that have an answer. ValueError where there are none."""
    if not isinstance(films, Films):
        raise ValueError(
            f"evaluate was given a {type(films).__name__} as films; give it what load_films gives."
        )
    found = films.labelled(split)
    if found.classification is None and found.segmentation is None:
        raise ValueError(
            f"There are no labelled films in the split '{split}'; choose another one, or give a "
            "folder that has labels or masks."
        )
    return found


def cautions(task: str, films: FilmSet, manifest: str) -> list[str]:
    """Why these films' figures say less than they seem to."""
    found, learnt = [], trained_on(manifest)
    if seen := sum((task, name) in learnt for name in films.names):
        found.append(
            f"The weights were trained on {seen} of these {len(films)} films of {task}: other "
            "films will not be answered so well."
        )
    if len(set(films.patients)) < MIN_PATIENTS:
        found.append(
            f"Fewer than {MIN_PATIENTS} patients: neither values nor intervals can be trusted."
        )
    return found


def validate(
    model: MultiMix, films: Films, world: World = SINGLE
) -> tuple[dict[str, float], dict[str, float]]:
    """What a training asks about its validation films, quickly; several ranks share them.

    Returns: metrics, and what `calibrate` makes of the classes.
    """
    results: dict[str, float] = {}
    calibration: dict[str, float] = {}
    if part := films.classification:
        log_odds, labels = shared(predict_log_odds, model, part, world), part.labels.numpy()
        results |= classification_metrics(scipy.special.expit(log_odds), labels)
        calibration = calibrate(log_odds, labels)
    if part := films.segmentation:
        lungs = shared(predict_masks, model, part, world)
        for name, values in overlap(lungs, part.masks.numpy()).items():
            results[name] = float(values.mean())
    return results, calibration


def evaluate_classes(
    results: Results,
    log_odds: np.ndarray,
    films: FilmSet,
    training: FilmSet,
    calibration: dict[str, float],
) -> None:
    """Add metrics, notes and rows of the classes; `training` gives the baseline."""
    labels = films.labels.numpy()
    raw, prior = scipy.special.expit(log_odds), training.labels.double().mean().item()
    probability = scipy.special.expit(calibrated_log_odds(log_odds, calibration))

    def measure(index: slice | np.ndarray) -> dict[str, float]:
        found = classification_metrics(raw[index], labels[index])
        if calibration:
            found |= calibrated_metrics(log_odds[index], labels[index], calibration)
        return found

    results |= check_metrics(measure(slice(None)))
    results.intervals |= intervals(measure, films.patients)
    results.baseline |= classification_metrics(np.full(len(labels), prior), labels)
    counts = [f"{(labels == i).sum()} {name}" for i, name in enumerate(CLASSES) if i in labels]
    results.notes.append(
        f"Classes: {len(films)} films of {len(set(films.patients))} patients, {', '.join(counts)}."
    )
    if len(counts) == 1:
        results.notes.append(
            "They are of one class, so AUC, F1 and balanced accuracy cannot be measured: give "
            "films of both."
        )
    if calibration:
        point, temperature = calibration["operating_point"], calibration["temperature"]
        results.notes.append(
            f"Operating point {point:.3f} at temperature {temperature:.2f}: by them the films' "
            "probabilities are calibrated, as predictions are; raw ones stand beside."
        )
    else:
        results.notes.append("The weights hold no operating point: 0.5 is the only one.")
    columns = {
        "label": np.array(CLASSES)[labels],
        "probability": probability,
        "correct": (probability >= 0.5) == labels,
        "raw_probability": raw,
        "raw_correct": (raw >= 0.5) == labels,
    }
    if len(counts) == 2:
        columns["placement"] = placements(raw, labels)
    results.rows += rows_of("classification", films, columns)


def evaluate_masks(
    results: Results, predicted: np.ndarray, films: FilmSet, training: FilmSet
) -> None:
    """Add metrics, notes and rows of the lungs; `training` gives the baseline."""
    truth = films.masks.numpy()
    columns = film_metrics(predicted, truth)

    def measure(index: slice | np.ndarray) -> dict[str, float]:
        return segmentation_metrics({name: values[index] for name, values in columns.items()})

    mean_mask = np.broadcast_to(mean_of(training.masks) > 0.5, truth.shape)
    results |= check_metrics(measure(slice(None)))
    results.intervals |= intervals(measure, films.patients)
    results.baseline |= segmentation_metrics(film_metrics(mean_mask, truth))
    patients = len(set(films.patients))
    results.notes.append(
        f"Lungs: {len(films)} films of {patients} patients, at {truth.shape[-1]} px."
    )
    results.rows += rows_of("segmentation", films, columns)
    results.segmentation, results.predicted = films, predicted


def mean_of(masks: FilmStack) -> np.ndarray:
    """The share of films that have lung at each pixel, (side, side)."""
    counts = torch.zeros(masks.shape[1:], dtype=torch.int64)
    for part in masks.split(256):
        counts += part.sum(0)
    return (counts / len(masks)).numpy()


def rows_of(task: str, films: FilmSet, columns: dict[str, np.ndarray]) -> list[dict]:
    """A dict for each film: task, film, patient, and its value in each column."""
    rows = []
    for name, patient, *values in zip(
        films.names, films.patients, *(column.tolist() for column in columns.values())
    ):
        rows.append({"task": task, "film": name, "patient": patient, **dict(zip(columns, values))})
    return rows


def shared(predict: Callable, model: MultiMix, films: FilmSet, world: World) -> np.ndarray:
    """What `predict` gives for the films, each rank doing its part where there are enough."""
    if len(films) < world.size:
        return predict(model, films).numpy()
    mine = predict(model, films[torch.tensor(world.share(len(films)))])
    return torch.cat(world.gather(mine)).numpy()


def in_batches(
    ask: Callable[[MultiMix, Tensor], Tensor], films: FilmSet, model: MultiMix, progress: bool
) -> Tensor:
    """What `ask` makes of the network and the films, a batch at a time; no mode changes."""
    network = network_of(model)
    size = micro_batch_size(next(network.parameters()).device, network.side)
    bar = dict(desc="evaluating", unit="batch", disable=not progress, leave=False)
    answers = []
    with asking(network):
        for pixels in tqdm(films.pixels.split(size), total=-(-len(films) // size), **bar):
            answers.append(ask(network, films_for(network, pixels)).cpu().numpy())
    found = torch.from_numpy(np.concatenate(answers))  # autocast refuses such types in torch.cat
    if found.is_floating_point() and found.isnan().any():
        first = int(found.flatten(1).isnan().any(1).nonzero()[0])
        raise ValueError(
            f"The network's answer to {films.names[first]} is not a number (NaN): its weights are "
            "damaged or the training went wrong; take another checkpoint."
        )
    return found


def predict_log_odds(
    model: MultiMix, films: FilmSet, progress: bool = False, flip: bool = False
) -> Tensor:
    """Logit of PNEUMONIA minus that of NORMAL, (N,) float64: the logit of its probability."""

    def ask(network: MultiMix, x: Tensor) -> Tensor:
        return class_log_odds(network, x, flip)[:, None]

    return in_batches(ask, films, model, progress)[:, 0]


def predict_masks(
    model: MultiMix,
    films: FilmSet,
    progress: bool = False,
    flip: bool = False,
    clean: bool = False,
) -> Tensor:
    """Predicted lungs, (N, side, side) bool."""

    def ask(network: MultiMix, x: Tensor) -> Tensor:
        lung = run_network(network, x, flip, clean).lung[:, 0]
        return torch.where(lung.isnan(), torch.nan, (lung > 0.5).half())

    return in_batches(ask, films, model, progress).bool()


def score(results: dict[str, float]) -> float:
    """What a checkpoint is chosen by: the mean of AUC and Dice, of whichever were measured."""
    parts = [results[name] for name in ("auc", "dice") if name in results]
    return sum(parts) / len(parts) if parts else results["accuracy"]
