"""Films that are in a folder twice: with the same pixels, or looking the same."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import scipy

from multimix.images.reading import resize

SIDE = 16  # of the perceptual hash: the 16 x 16 lowest frequencies
NEAR = 24  # of its 255 bits that may differ
ROWS = 512  # of the distances between all pairs of films, at a time


@dataclass
class Pairs:
    """The number of pairs, and the names of the first few."""

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, names: np.ndarray, near: np.ndarray) -> None:
        """Add pairs of films (N,): `near` (rows, N) bool is for the first of them as rows."""
        self.count += int(near.sum())
        for row in np.flatnonzero(near.any(axis=1))[: 5 - len(self.names)]:
            columns = np.flatnonzero(near[row])[: 5 - len(self.names)]
            self.names += [f"{names[row]} ~ {names[column]}" for column in columns]


def perceptual_hash(grey: np.ndarray) -> np.ndarray:
    """(255,) bool: the lowest frequencies that are above their median, without the mean."""
    frequencies = scipy.fft.dctn(resize(grey, 2 * SIDE).astype(np.float32))
    low = frequencies[:SIDE, :SIDE].flatten()[1:]
    return low > np.median(low)


def identical(scans: pd.DataFrame, differ_in: str = "") -> list[str]:
    """The names of each group of films with the same pixels, joined by ' = '.

    Arguments:
        differ_in: take only the groups that have several values in this column.
    """
    groups = [group for _, group in scans.groupby("digest", sort=False) if len(group) > 1]
    if differ_in:
        groups = [group for group in groups if group[differ_in].nunique() > 1]
    return [" = ".join(group["name"].iloc[:5]) for group in groups]


def similar(scans: pd.DataFrame) -> tuple[Pairs, Pairs]:
    """Pairs that look the same but are not identical, and those of them in two splits.

    All are counted and a few named: films that all look alike have millions of pairs.
    """
    found, divided = Pairs(), Pairs()
    if scans.empty:
        return found, divided
    signs = np.where(np.stack(scans["bits"]), 1, -1).astype(np.float32)
    digests, splits = (pd.factorize(scans[column])[0] for column in ("digest", "split"))
    names = scans["name"].to_numpy()
    for first in range(0, len(scans), ROWS):
        rows = slice(first, first + ROWS)
        # The product is the number of equal bits minus that of different ones.
        distance = (signs.shape[1] - signs[rows] @ signs[first:].T) / 2
        near = np.triu(distance <= NEAR, 1) & (digests[rows, None] != digests[first:])
        found.add(names[first:], near)
        divided.add(names[first:], near & (splits[rows, None] != splits[first:]))
    return found, divided
