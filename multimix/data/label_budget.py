"""The training films of a task, and which of them keep their labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from multimix.data.film_set import FilmSet
from multimix.model import CLASSES


def sample_budget(films: FilmSet, budget: int | None, seed: int) -> Tensor:
    """Which training films keep their labels: indices (budget,); None keeps all.

    Drawn patient by patient, each class in its own share of the set, at least one of each.
    """
    usable = films.labelled.nonzero().flatten()
    if budget is None or budget == len(usable):
        return usable
    if budget > len(usable):
        raise ValueError(
            f"{budget} labelled films are asked for, but there are {len(usable)} for training; ask "
            "for fewer, or for all."
        )
    has_classes = films.targets.ndim == 1
    strata = films.labels[usable] if has_classes else torch.zeros_like(usable)
    sizes = [(strata == stratum).sum().item() for stratum in strata.unique()]
    # Cumulative rounding: the parts add up to the budget exactly.
    ends = np.rint(np.cumsum(sizes) * budget / len(usable)).astype(int)
    counts = np.diff(ends, prepend=0)
    for absent in np.flatnonzero(counts == 0)[: max(0, budget - 1)]:
        counts[counts.argmax()] -= 1
        counts[absent] += 1
    generator = np.random.default_rng(seed)
    chosen: list[int] = []
    for stratum, count in zip(strata.unique(), counts):
        indices = usable[strata == stratum].tolist()
        patients = generator.permutation(sorted({films.patients[i] for i in indices})).tolist()
        turn = {patient: i for i, patient in enumerate(patients)}
        indices.sort(key=lambda i: turn[films.patients[i]])
        chosen += indices[:count]
    return torch.tensor(sorted(chosen))


def training_films(films: FilmSet | None, task: str, side: int) -> FilmSet:
    """The split 'train'. ValueError where nothing in it is labelled, or it has another side."""
    train = films.split("train") if films else None
    if not train or not train.labelled.any():
        raise ValueError(
            f"There are no labelled training films for {task}; give a folder that has them, or "
            "train a system without this task."
        )
    if train.pixels.shape[-1] != side:
        raise ValueError(
            f"The films were loaded at {train.pixels.shape[-1]} px and the training wants {side} "
            f"px: load them with side={side}."
        )
    return train


def check_classes(films: FilmSet) -> None:
    """ValueError where a class has no labelled film."""
    for label, name in enumerate(CLASSES):
        if not (films.labels[films.labelled] == label).any():
            raise ValueError(
                f"Among the training films there is no {name} one; films of both classes are "
                f"needed, as in train/{CLASSES[0]} and train/{CLASSES[1]}."
            )
