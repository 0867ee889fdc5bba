"""Which training films keep their labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from multimix.data.film_set import FilmSet


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
