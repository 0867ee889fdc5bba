"""Which training films keep their labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from multimix.data.film_set import FilmSet


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
