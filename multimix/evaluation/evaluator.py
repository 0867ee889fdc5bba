"""Measure a network on films with known classes or lungs, and calibrate it to them."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from torch import Tensor
from tqdm.auto import tqdm

from multimix.data.film_set import SPLITS, Films, FilmSet
from multimix.data.training_films import trained_on
from multimix.evaluation import metrics
from multimix.evaluation.calibration import calibrate, calibrated_log_odds
from multimix.evaluation.results import Results
from multimix.model import CLASSES, TASKS, ModelInfo, MultiMix
from multimix.predictions.outputs import class_log_odds, eval_mode, films_for, run_network
from multimix.runtime.device import SINGLE, World, micro_batch_size

Stop = Callable[[], bool]  # is called between two batches; True ends the work


def evaluate(
    model: MultiMix,
    films: Films,
    split: str = "test",
    progress: bool = False,
    *,
    flip: bool = False,
    clean: bool = True,
) -> Results:
    """Every metric on one split, with 95% intervals and a row for each film.

    Arguments:
        model: a network; its mode does not change.
        films: from `load_films`, at the network's side.
        split: 'train', 'val', 'test' or 'all'.
        progress: show a bar.
        flip: average with the mirrored film, in twice the time.
        clean: post-process the lungs, as `predict` does: at most two, without holes.

    Returns: a dict of metrics by name; `Results` explains its attributes.

    Errors: ValueError if the split has no labelled film of a task that the network has learnt, the
        films are at another side, or an output is not a number.
    """
    with eval_mode(model) as network:
        info = network.info
    results, measured = Results(), films_of_split(films, split)
    training = films.labelled("train") if split in ("val", "test") else measured
    for task in TASKS:
        if getattr(films, task) is None:
            continue
        part = getattr(measured, task)
        reference = getattr(training, task) or part  # gives the baseline
        if task not in info.tasks:
            results.notes.append(f"The network has not learnt {task}; it is not measured.")
        elif part is None:
            results.notes.append(f"No '{split}' film has a label for {task}; it is not measured.")
        elif task == "classification":
            log_odds = in_batches(partial(class_log_odds, flip=flip), model, part, progress)
            add_classes(results, log_odds.numpy(), part, reference, info)
        else:
            lungs = in_batches(partial(lung_mask, flip=flip, clean=clean), model, part, progress)
            add_masks(results, lungs.bool().numpy(), part, reference, info)
    if not results:
        raise ValueError(f"{' '.join(results.notes)} Give labelled films of a task that it has.")
    return results


def films_of_split(films: Films, split: str) -> Films:
    """The labelled films of a split. ValueError if there are none."""
    if not isinstance(films, Films):
        raise ValueError(f"evaluate was given a {type(films).__name__} as films; use load_films.")
    if split not in (*SPLITS, "all"):
        raise ValueError(f"There is no split '{split}'; choose {', '.join(SPLITS)} or all.")
    found = films.labelled(split)
    if found.classification is None and found.segmentation is None:
        raise ValueError(f"The split '{split}' has no labelled film; take another split or folder.")
    return found


def add_classes(
    results: Results, log_odds: np.ndarray, films: FilmSet, training: FilmSet, info: ModelInfo
) -> None:
    """Add metrics, notes and rows of the classes; `training` gives the baseline."""
    labels, calibration = films.labels.numpy(), info.calibration
    raw, probability = expit(log_odds), expit(calibrated_log_odds(log_odds, calibration))

    def measure(index: slice | np.ndarray) -> dict[str, float]:
        found = metrics.classification_metrics(raw[index], labels[index])
        if calibration:
            values = metrics.classification_metrics(probability[index], labels[index])
            found |= {f"calibrated_{n}": values[n] for n in metrics.CALIBRATED if n in values}
        return found

    columns = {
        "label": np.array(CLASSES)[labels],
        "probability": probability,
        "correct": (probability >= 0.5) == labels,
        "raw_probability": raw,
        "raw_correct": (raw >= 0.5) == labels,
    }
    how = "The weights have no calibration; the threshold is probability 0.5."
    if calibration:
        how = "Calibrated: operating point {operating_point:.3f}, temperature {temperature:.2f}."
    notes = [how.format(**calibration)]
    counts = [f"{(labels == i).sum()} {name}" for i, name in enumerate(CLASSES) if i in labels]
    if len(counts) == 2:
        columns["placement"] = metrics.placements(raw, labels)
    else:
        notes.append("All films are of one class; AUC, F1 and the like need both classes.")
    add_task(results, films, measure, columns, f"Classes: {', '.join(counts)}", info.manifest)
    results.notes += notes
    prior = np.full(len(labels), training.labels.double().mean().item())
    results.baseline |= metrics.classification_metrics(prior, labels)


def add_masks(
    results: Results, predicted: np.ndarray, films: FilmSet, training: FilmSet, info: ModelInfo
) -> None:
    """Add metrics, notes and rows of the lungs; `training` gives the baseline."""
    truth = films.masks.numpy()
    columns = metrics.film_metrics(predicted, truth)
    measure = partial(metrics.segmentation_metrics, columns)
    add_task(results, films, measure, columns, f"Lungs at {truth.shape[-1]} px", info.manifest)
    mean_mask = np.broadcast_to(training.masks.numpy().mean(0) > 0.5, truth.shape)
    results.baseline |= metrics.segmentation_metrics(metrics.film_metrics(mean_mask, truth))
    results.segmentation, results.predicted = films, predicted


def add_task(
    results: Results, films: FilmSet, measure: Callable, columns: dict, title: str, manifest: str
) -> None:
    """Add one task's metrics, intervals and rows, and why they may not be reliable."""
    found = measure(slice(None))
    results |= {name: found[name] for name in metrics.DEFINITIONS if name in found}
    results.intervals |= metrics.intervals(measure, films.patients)
    task = TASKS[0] if films.targets.ndim == 1 else TASKS[1]
    named = {"task": task, "film": films.names, "patient": films.patients}
    results.rows += pd.DataFrame({**named, **columns}).to_dict("records")
    patients, learnt = len(set(films.patients)), trained_on(manifest)
    results.notes.append(f"{title}: {len(films)} films of {patients} patients.")
    if seen := sum((task, name) in learnt for name in films.names):
        results.notes.append(f"The network was trained on {seen} of them: others are harder.")
    if patients < 10:
        results.notes.append("Fewer than 10 patients: neither values nor intervals are reliable.")


def validate(
    model: MultiMix, films: Films, world: World = SINGLE, stop: Stop = lambda: False
) -> tuple[dict[str, float], dict[str, float]] | None:
    """Metrics and calibration of labelled validation films, which ranks share; None if stopped."""
    found, calibration = dict[str, float](), dict[str, float]()
    if part := films.classification:
        log_odds = in_batches(class_log_odds, model, part, stop=stop, world=world).numpy()
        if len(log_odds) < len(part):
            return None
        labels = part.labels.numpy()
        found |= metrics.classification_metrics(expit(log_odds), labels)
        calibration = calibrate(log_odds, labels)
    if part := films.segmentation:
        lungs = in_batches(lung_mask, model, part, stop=stop, world=world).bool().numpy()
        if len(lungs) < len(part):
            return None
        overlap = metrics.overlap(lungs, part.masks.numpy())
        found |= {name: float(values.mean()) for name, values in overlap.items()}
    return found, calibration


def score(results: dict[str, float]) -> float:
    """The number that chooses a checkpoint: the mean of AUC and Dice, or the one that exists."""
    parts = [results[name] for name in ("auc", "dice") if name in results]
    return sum(parts) / len(parts) if parts else results["accuracy"]


def calibrate_to_site(
    model: MultiMix, films: Films, progress: bool = False
) -> tuple[dict[str, float], str]:
    """Fit temperature and operating point to a site's labelled films; `model` does not change.

    Returns: the calibration, as of `calibrate`, and a sentence on the films.

    Errors: ValueError if the network has not learnt the classes, or there are too few films.
    """
    if "classification" not in model.info.tasks:
        raise ValueError("The network has not learnt classification; take one that has.")
    labelled = films.classification.with_labels() if films.classification else None
    counts = labelled.labels.bincount(minlength=len(CLASSES)).tolist() if labelled else [0, 0]
    named = ", ".join(f"{count} {name}" for count, name in zip(counts, CLASSES))
    if not labelled or min(counts) < 5:
        raise ValueError(f"There are {named} films with a label; give at least 5 of each class.")
    log_odds = in_batches(class_log_odds, model, labelled, progress)
    values = calibrate(log_odds.numpy(), labelled.labels.numpy())
    return values, f"Fitted to {len(labelled)} labelled films ({named})."


def lung_mask(network: MultiMix, x: Tensor, flip: bool = False, clean: bool = False) -> Tensor:
    """The lungs of a batch, (N, H, W) float: 0, 1, or NaN."""
    lung = run_network(network, x, flip, clean).lung[:, 0]
    return torch.where(lung.isnan(), torch.nan, (lung > 0.5).half())


def in_batches(
    output_of: Callable[[MultiMix, Tensor], Tensor],
    model: MultiMix,
    films: FilmSet,
    progress: bool = False,
    stop: Stop = lambda: False,
    world: World = SINGLE,
) -> Tensor:
    """`output_of(network, batch)` of all films, or fewer if `stop` gave True; ranks share them."""
    enough, outputs = len(films) >= world.size, []
    part = films[torch.tensor(world.share(len(films)))] if enough else films
    with eval_mode(model) as network:
        size = micro_batch_size(next(network.parameters()).device, network.info.side)
        batches, count = part.pixels.split(size), -(-len(part) // size)
        for pixels in tqdm(batches, "evaluating", count, False, unit="batch", disable=not progress):
            outputs.append(output_of(network, films_for(network, pixels)).cpu().numpy())
            if stop():
                break
    found = np.concatenate(outputs)  # torch.cat fails under autocast
    if np.isnan(found).any():
        name = part.names[int(np.isnan(found).nonzero()[0][0])]
        raise ValueError(
            f"The output for {name} is not a number (NaN): the weights are damaged, or the "
            "training diverged; use other weights."
        )
    parts = world.gather(found)
    return torch.from_numpy(np.concatenate(parts) if enough and world.size > 1 else parts[0])
