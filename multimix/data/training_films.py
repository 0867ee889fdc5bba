"""What a training needs of its films: enough labels, sound masks, and a budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from multimix.config import Config
from multimix.data.film_set import Films, FilmSet
from multimix.model import CLASSES

EMPTY, INVERTED = "are empty", "are lung at the film's border and black inside (inverted?)"
UNUSUAL = "fill less than 8% or more than 65% of the film"


def check_training_films(films: Films, config: Config) -> Films:
    """The films of the tasks that a system has.

    Errors: ValueError where a task has too few labels to train it, or to choose the best network:
        the splits 'train' and 'val' need films of both classes, and a mask with lung. Also where
        the films are at another side.
    """
    classes = films.classification if config.classify else None
    masks = films.segmentation if config.segment else None
    for split in ("train", "val"):
        for task, part in (("classification", classes), ("segmentation", masks)):
            known, labels = part.split(split).with_labels() if part else None, set[int]()
            if known and task == "classification":
                labels = set(known.labels.tolist())
            elif known:
                labels = {int(any(bool(mask.any()) for mask in known.masks))}
            is_learnt = config.classify if task == "classification" else config.segment
            if is_learnt and (fault := missing_labels(task, split, labels)):
                raise ValueError(f"{fault}.")
            if part and (own := part.pixels.shape[-1]) != config.side:
                raise ValueError(
                    f"The films were loaded at {own} px, and the training needs {config.side} px: "
                    f"load them with side={config.side}."
                )
    return replace(films, classification=classes, segmentation=masks)


def missing_labels(task: str, split: str, labels: Collection[int]) -> str:
    """What a split, 'train' or 'val', lacks for a task, as a sentence; '' for nothing.

    `labels` are the classes of its labelled films; of masks, 1 if any has lung, else 0.
    """
    kind = "training" if split == "train" else "validation"
    lacking = [f"{name} film" for label, name in enumerate(CLASSES) if label not in labels]
    forms = f"folders {CLASSES[0]} and {CLASSES[1]}, or a table with the columns path and label"
    if task == "segmentation":
        lacking = [] if 1 in labels else ["mask with lung in it"]
        forms = "images/ and masks/ with the same names, or a table with the column mask"
    sentence = (
        f"Among the {kind} films there is no {' and no '.join(lacking)}; give {forms}, with films "
        f"of three patients or more{' of each class' * (task == 'classification')}, or train a "
        "system without this task"
    )
    return sentence if lacking else ""


def mask_fault(lungs: np.ndarray) -> str:
    """What is wrong with a mask (side, side) bool: EMPTY, INVERTED, UNUSUAL; '' if nothing is."""
    share = lungs.mean()
    if share == 0:
        return EMPTY
    if np.concatenate([lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1]]).mean() > 0.5:
        return INVERTED
    return "" if 0.08 <= share <= 0.65 else UNUSUAL


def mask_faults(masks: Iterable[np.ndarray | Tensor], names: Iterable[str]) -> list[str]:
    """One sentence for each kind of fault in masks (N, side, side) bool of films of these names."""
    found = defaultdict(list)
    for lungs, name in zip(masks, names):
        found[mask_fault(np.asarray(lungs))].append(name)
    return [f"masks that {fault}: {first_few(films)}" for fault, films in found.items() if fault]


def first_few(names: Sequence[str]) -> str:
    """'7 (a; b; c; d; e; ...)': how many there are, and five of them."""
    return f"{len(names)} ({'; '.join(names[:5])}{'; ...' * (len(names) > 5)})"


def sample_budget(films: FilmSet, budget: int | None, seed: int) -> Tensor:
    """The training films that keep their labels, (budget,) int64; all where the budget is None.

    Drawn patient by patient, each class in its own share of the set, at least one of each.
    """
    usable = films.labelled.nonzero().flatten()
    if budget is None or budget == len(usable):
        return usable
    if budget > len(usable):
        raise ValueError(
            f"{budget} labelled films are needed, but there are {len(usable)} for training; set "
            "the budget lower, or to all."
        )
    strata = films.labels[usable] if films.targets.ndim == 1 else torch.zeros_like(usable)
    kinds, sizes = strata.unique(return_counts=True)
    # Cumulative rounding: the parts add up to the budget exactly.
    ends = np.rint(np.cumsum(sizes.numpy()) * budget / len(usable)).astype(int)
    counts = np.diff(ends, prepend=0)
    for absent in np.flatnonzero(counts == 0)[: max(0, budget - 1)]:
        counts[counts.argmax()] -= 1
        counts[absent] += 1
    generator = np.random.default_rng(seed)
    chosen: list[int] = []
    for kind, count in zip(kinds, counts):
        indices = usable[strata == kind].tolist()
        patients = generator.permutation(sorted({films.patients[i] for i in indices})).tolist()
        turn = {patient: i for i, patient in enumerate(patients)}
        chosen += sorted(indices, key=lambda i: turn[films.patients[i]])[:count]
    return torch.tensor(sorted(chosen))
