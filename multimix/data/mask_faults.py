"""What is wrong with lung masks, as far as their pixels show it: for training and `doctor`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor

EMPTY, INVERTED = "are empty", "are lung at the film's border and black inside (inverted?)"
UNUSUAL = "fill less than 8% or more than 65% of the film"


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


def first_few(names: Sequence[str], count: int = 0) -> str:
    """'7 (a; b; c; d; e; ...)': how many there are (`count`, if not all are given), and five."""
    more = "; ..." if (count or len(names)) > 5 else ""
    return f"{count or len(names)} ({'; '.join(names[:5])}{more})"
