"""The two lungs of a film: which pixels are whose, and their measures.

Right and left are the patient's, who faces the reader: the right lung is on the film's left. Of
mirrored films some six in ten are warned of, where the heart tells (`images/quality.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from PIL import Image

from multimix.images.size import SizeCm

RIGHT, LEFT = 1, 2  # labels; 0 is all else
LABELS = {"right": RIGHT, "left": LEFT}
SIDE = 256  # px of a film's longer side at which lungs are told apart
ALIKE = 1 / 4  # of the larger lung, at least: two parts that are plainly the lungs
MIN_LUNG = 1 / 20  # of the larger lung; what is smaller is a speck
MIN_DISTANCE = 1 / 5  # of the film's width, between the middles of the two lungs


@dataclass(frozen=True)
class Lung:
    """One lung.

    Attributes:
        share: the part of the film that it is, in [0, 1].
        area_cm2: in square centimetres; None where the film's file does not tell its size.
        centre: row and column in px; None where there is no such lung.
        box: first row, first column, last row and last column in px; None as for `centre`.
    """

    share: float
    area_cm2: float | None
    centre: tuple[float, float] | None
    box: tuple[int, int, int, int] | None


def measured(labels: np.ndarray, label: int, size_cm: SizeCm | None) -> Lung:
    """One lung of a film.

    Arguments:
        labels: (H, W), as `label_lungs` gives them.
        label: RIGHT or LEFT.
        size_cm: the film's height and width.
    """
    lung = labels == label
    share = float(lung.mean())
    area = None if size_cm is None else share * size_cm[0] * size_cm[1]
    if not share:
        return Lung(share, area, None, None)
    by_row, by_column = lung.sum(1), lung.sum(0)
    rows, columns = np.flatnonzero(by_row), np.flatnonzero(by_column)
    centre = (
        float(np.average(np.arange(len(by_row)), weights=by_row)),
        float(np.average(np.arange(len(by_column)), weights=by_column)),
    )
    box = (int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1]))
    return Lung(share, area, centre, box)


def label_lungs(mask: np.ndarray) -> np.ndarray:
    """Tell the right lung from the left.

    Lungs that touch are cut where they are joined most thinly; specks go with the nearer lung; a
    lung alone is the one of the half of the film in which its middle lies.

    Arguments:
        mask: (H, W) bool, both lungs.

    Returns: (H, W) uint8: RIGHT, LEFT, or 0 where there is no lung.
    """
    height, width = mask.shape
    scale = SIDE / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    nearest = Image.Resampling.NEAREST
    small = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(size, nearest)) > 0
    nearer = Image.fromarray(nearer_lung(small)).resize((width, height), nearest)
    return np.where(mask, np.asarray(nearer), 0).astype(np.uint8)


def nearer_lung(mask: np.ndarray) -> np.ndarray:
    """Which lung is nearer to each pixel of a film, (h, w) uint8."""
    lungs = two_lungs(mask)
    if lungs is None:
        columns = np.flatnonzero(mask) % mask.shape[1]
        on_the_left = len(columns) and columns.mean() < (mask.shape[1] - 1) / 2
        return np.full(mask.shape, RIGHT if on_the_left else LEFT, dtype=np.uint8)
    elsewhere = lungs == 0
    rows, columns = scipy.ndimage.distance_transform_edt(
        elsewhere, return_distances=False, return_indices=True
    )
    return lungs[rows, columns]


def two_lungs(mask: np.ndarray) -> np.ndarray | None:
    """The two largest parts that lie side by side, eroded until they are apart.

    Returns: (h, w) uint8: RIGHT, LEFT, or 0; None where there is no such pair.
    """
    depth = scipy.ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    found, largest_smaller = None, 0
    for level in range(int(depth.max()) + 1):
        parts, count = scipy.ndimage.label(depth > level)
        if count < 2:
            continue
        sizes = np.bincount(parts.flat)[1:]
        larger, smaller = np.argsort(-sizes, kind="stable")[:2] + 1
        size, ratio = sizes[smaller - 1], sizes[smaller - 1] / sizes[larger - 1]
        if ratio < MIN_LUNG or size <= largest_smaller:
            continue
        middles = scipy.ndimage.center_of_mass(depth > level, parts, (larger, smaller))
        (row, column), (other_row, other_column) = middles
        apart = abs(column - other_column)
        if apart < max(abs(row - other_row), MIN_DISTANCE * mask.shape[1]):
            continue
        right, left = (larger, smaller) if column < other_column else (smaller, larger)
        found = np.where(parts == right, RIGHT, np.where(parts == left, LEFT, 0)).astype(np.uint8)
        largest_smaller = size
        if ratio >= ALIKE:
            break
    return found
