"""How good a network is on films whose answers are known."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor
from tqdm.auto import tqdm

from multimix.data.films import Films, FilmSet
from multimix.evaluation.metrics import (
    DEFINITIONS,
    FEW,
    calibrate,
    classification_metrics,
    film_metrics,
    intervals,
    overlap,
    placements,
    possible,
    segmentation_metrics,
    tuned,
)
from multimix.evaluation.outputs import answer, class_margin
from multimix.images.reading import network_input
from multimix.model import CLASSES, MultiMix, films_at_once
from multimix.runtime.checkpoint import write_text
from multimix.runtime.distributed import ALONE, Ranks


class Results(dict[str, float]):
    """Metrics by name, as `multimix.evaluation.metrics.DEFINITIONS` explains them, and what they were made
    from.
    """

    def __init__(self) -> None:
        super().__init__()
        self.intervals: dict[str, tuple[float, float]] = {}  # 95%, by bootstrap over patients
        self.trivial: dict[
            str, float
        ] = {}  # what the larger class, and the mean training mask, score
        self.rows: list[dict] = []  # what was found for each film
        self.notes: list[str] = []  # plain sentences: what was measured, what could not be
        self.segmentation: FilmSet | None = (
            None  # the films with masks, and the masks predicted, (N, side, side) bool
        )
        self.predicted: np.ndarray | None = None


def evaluate(
    model: MultiMix,
    films: Films,
    split: str = "test",
    progress: bool = False,
    *,
    flip: bool = False,
    clean: bool = True,
) -> Results:
    """Every metric on one split ('train', 'val', 'test' or 'all'), by name, with intervals and a
    row for each film.

    `flip` and `clean` as `predict` has them. Films and masks are taken at the side they were loaded
    at. Trivial answers stand beside the network's: the share of PNEUMONIA in the training split as
    the probability, and the mean training mask; of the films themselves where those are the
    training films or there are none. ValueError if the split holds no labelled film, or the network
    answers with what is no number.
    """
    results, learnt = Results(), trained_on(model.manifest)
    for task in ("classification", "segmentation"):
        whole = getattr(films, task)
        if part := labelled(whole, split):
            training = labelled(whole, "train") if split in ("val", "test") else None
            if task == "classification":
                margin = margins(model, part, progress, flip).numpy()
                evaluate_classes(results, margin, part, training or part, model.calibration)
            else:
                evaluate_masks(
                    results,
                    masks(model, part, progress, flip, clean).numpy(),
                    part,
                    training or part,
                )
            if seen := sum((task, name) in learnt for name in part.names):
                results.notes.append(
                    f"The weights were trained on {seen} of these {len(part)} films of {task}: "
                    "other "
                    "films will not be answered so well."
                )
            if len(set(part.patients)) < FEW:
                results.notes.append(
                    f"Fewer than {FEW} patients: neither values nor intervals can be trusted."
                )
        elif whole:
            results.notes.append(
                f"No film of {task} in the split '{split}' has an answer, so none was measured."
            )
    if not results:
        raise ValueError(
            f"There are no labelled films in the split '{split}'; choose another one, or give a "
            "folder "
            "that has labels or masks."
        )
    return results


def trained_on(manifest: object) -> set[tuple[str, str]]:
    """Task and name of every training film in a manifest; none where there is none, or it cannot be
    read.
    """
    with suppress(csv.Error, TypeError):
        rows = csv.DictReader(io.StringIO(manifest, newline=""))
        return {(row.get("task"), row.get("film")) for row in rows if row.get("split") == "train"}
    return set()


def validate(
    model: MultiMix, films: Films, ranks: Ranks = ALONE
) -> tuple[dict[str, float], dict[str, float]]:
    """What a training wants to know of the split 'val', quickly: metrics, and what `calibrate`
    makes of the classes.

    Several `ranks` share the films.
    """
    results, calibration = {}, {}
    if part := labelled(films.classification, "val"):
        margin, labels = shared(margins, model, part, ranks), part.targets.numpy()
        results |= classification_metrics(expit(margin), labels)
        calibration = calibrate(margin, labels)
    if part := labelled(films.segmentation, "val"):
        found = overlap(shared(masks, model, part, ranks), part.targets.numpy())
        results |= {name: float(values.mean()) for name, values in found.items()}
    if not results:
        raise ValueError(
            "There are no labelled films in the split 'val'; give a folder that has labels or "
            "masks."
        )
    return results, calibration


def labelled(films: FilmSet | None, split: str) -> FilmSet | None:
    """The films of a split whose answers are known; None where there is none."""
    part = films.split(split) if films else None
    return part[part.labelled.nonzero().flatten()] if part and part.labelled.any() else None


def evaluate_classes(
    results: Results,
    margin: np.ndarray,
    films: FilmSet,
    training: FilmSet,
    calibration: dict[str, float],
) -> None:
    labels = films.targets.numpy()
    probability, prior = expit(margin), training.targets.double().mean().item()

    def measure(at) -> dict[str, float]:
        found = classification_metrics(probability[at], labels[at])
        return found | (tuned(margin[at], labels[at], calibration) if calibration else {})

    results |= possible(measure(slice(None)))
    results.intervals |= intervals(measure, films.patients)
    results.trivial |= classification_metrics(np.full(len(labels), prior), labels)
    counts = [
        f"{(labels == i).sum()} {name}" for i, name in enumerate(CLASSES) if (labels == i).any()
    ]
    results.notes.append(
        f"Classes: {len(films)} films of {len(set(films.patients))} patients, {', '.join(counts)}."
    )
    if len(counts) == 1:
        results.notes.append(
            "They are of one class, so AUC, F1 and balanced accuracy cannot be measured: give "
            "films "
            "of both."
        )
    results.notes.append(
        "Operating point {operating_point:.3f} at temperature {temperature:.2f}.".format(
            **calibration
        )
        if calibration
        else "The weights hold no operating point: 0.5 is the only one."
    )
    columns = {
        "label": np.array(CLASSES)[labels],
        "probability": probability,
        "correct": (probability >= 0.5) == labels,
    }
    if len(counts) == 2:
        columns["placement"] = placements(probability, labels)
    results.rows += rows_of("classification", films, columns)


def evaluate_masks(
    results: Results, predicted: np.ndarray, films: FilmSet, training: FilmSet
) -> None:
    truth = films.targets.numpy()
    columns = film_metrics(predicted, truth)

    def measure(at) -> dict[str, float]:
        return segmentation_metrics({name: values[at] for name, values in columns.items()})

    mean_mask = (training.targets.float().mean(0) > 0.5).numpy()
    results |= possible(measure(slice(None)))
    results.intervals |= intervals(measure, films.patients)
    results.trivial |= segmentation_metrics(
        film_metrics(np.broadcast_to(mean_mask, truth.shape), truth)
    )
    results.notes.append(
        f"Lungs: {len(films)} films of {len(set(films.patients))} patients, at {truth.shape[-1]} "
        "px."
    )
    results.rows += rows_of("segmentation", films, columns)
    results.segmentation, results.predicted = films, predicted


def rows_of(task: str, films: FilmSet, columns: dict[str, np.ndarray]) -> list[dict]:
    return [
        {"task": task, "film": name, "patient": patient, **dict(zip(columns, values))}
        for name, patient, *values in zip(
            films.names, films.patients, *(c.tolist() for c in columns.values())
        )
    ]


def shared(answers: Callable, model: MultiMix, films: FilmSet, ranks: Ranks) -> np.ndarray:
    """What `answers` gives for the films, each rank working on its part where there are enough."""
    if len(films) < ranks.count:
        return answers(model, films).numpy()
    return ranks.join(answers(model, films[torch.tensor(ranks.share(len(films)))])).numpy()


def in_batches(
    ask: Callable[[Tensor], Tensor], films: FilmSet, model: MultiMix, progress: bool
) -> Tensor:
    """What `ask` makes of the films, a batch at a time; leaves the network in its mode."""
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    try:
        with torch.no_grad():
            size = films_at_once(device, films.pixels.shape[-1])
            found = torch.cat(
                [
                    ask(network_input(pixels[:, None].to(device))).cpu()
                    for pixels in tqdm(
                        films.pixels.split(size),
                        desc="evaluating",
                        unit="batch",
                        disable=not progress,
                        leave=False,
                    )
                ]
            )
    finally:
        model.train(was_training)
    broken = (
        found.flatten(1).isnan().any(1).nonzero().flatten() if found.is_floating_point() else ()
    )
    if len(broken):
        raise ValueError(
            f"The network's answer to {films.names[broken[0]]} is no number (NaN): its weights are "
            "damaged or the training went wrong; take another checkpoint."
        )
    return found


def margins(model: MultiMix, films: FilmSet, progress: bool = False, flip: bool = False) -> Tensor:
    """Logit of PNEUMONIA minus that of NORMAL, (N,) float64: the logit of its probability."""
    return in_batches(lambda x: class_margin(model, x, flip)[:, None], films, model, progress)[:, 0]


def masks(
    model: MultiMix, films: FilmSet, progress: bool = False, flip: bool = False, clean: bool = False
) -> Tensor:
    """Predicted lungs, (N, side, side) bool."""

    def ask(x: Tensor) -> Tensor:
        lung = answer(model, x, flip, clean).lung[:, 0]
        return torch.where(lung.isnan(), torch.nan, (lung > 0.5).half())

    return in_batches(ask, films, model, progress).bool()


def score(results: dict[str, float]) -> float:
    """One number to choose a checkpoint by: the mean of AUC and Dice, of whichever were measured."""
    parts = [results[name] for name in ("auc", "dice") if name in results]
    return sum(parts) / len(parts) if parts else results["accuracy"]


def as_table(results: Results) -> str:
    """The metrics with their intervals, trivial answers and definitions, for the terminal."""
    lines = [*results.notes, "", f"{'metric':<24}{'value':>9}   {'95% interval':<18}{'trivial':>9}"]
    for name, value in possible(results).items():
        interval = (
            "{:.4f} to {:.4f}".format(*results.intervals[name]) if name in results.intervals else ""
        )
        trivial = f"{results.trivial[name]:9.4f}" if name in results.trivial else ""
        lines += [
            f"{name:<24}{value:9.4f}   {interval:<18}{trivial}".rstrip(),
            f"    {DEFINITIONS[name]}",
        ]
    return "\n".join(
        [
            *lines,
            "",
            "Intervals: bootstrap over patients. Trivial: larger class and mean mask of the "
            "training films, or of these where there are no others.",
        ]
    )


def as_dict(results: Results) -> dict:
    """Metrics with intervals, trivial answers and definitions, notes, and a row for each film:
    plain values.
    """
    metrics = {
        name: {
            "value": value,
            "interval": results.intervals.get(name),
            "trivial": results.trivial.get(name),
            "definition": DEFINITIONS[name],
        }
        for name, value in possible(results).items()
    }
    return {"metrics": metrics, "notes": results.notes, "films": results.rows}


def write_results(results: Results, path: Path, **more) -> None:
    """`as_dict`, with whatever `more` there is to say, as JSON, and the films' rows as CSV beside
    it.
    """
    table = table_beside(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(table, as_csv(results.rows))
    write_text(path, json.dumps({**more, **as_dict(results)}, indent=1))


def table_beside(path: Path) -> Path:
    """Where `write_results` puts the films' rows. ValueError where the results themselves are to go
    elsewhere.
    """
    if path.suffix != ".json":
        raise ValueError(
            f"{path} is asked for as JSON, and the films' table is to lie beside it as .csv; give "
            "a name "
            "that ends in .json."
        )
    return path.with_suffix(".csv")


def as_csv(rows: list[dict]) -> str:
    """Rows that need not have the same columns, with a header."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
