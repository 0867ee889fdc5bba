"""Tell a film's right lung from its left, and measure both.

Right and left are the patient's. The patient faces the reader, so the right lung is on the film's
left side, unless the film was mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multimix.images.formats import SizeCm

RIGHT, LEFT = 1, 2  # labels; 0 is everything else


@dataclass(frozen=True)
class Lung:
    """One lung.

    Attributes:
        share: the part of the film that the lung covers, in [0, 1].
        area_cm2: in square centimetres; None where the film's size is not known or not plausible.
        centre: row and column in px; None where there is no such lung.
        box: first row, first column, last row and last column in px; None as for `centre`.
    """

    share: float
    area_cm2: float | None
    centre: tuple[float, float] | None = None
    box: tuple[int, int, int, int] | None = None


def measure_lungs(labels: np.ndarray, size_cm: SizeCm | None) -> dict[str, Lung]:
    """Measure the 'right' and the 'left' lung of labels (H, W) from `label_lungs`.

    `size_cm`, the film's height and width, is ignored where both lungs together would be smaller
    or larger than a patient's, from a child of one year to a large adult.
    """
    from skimage.measure import regionprops  # slow to import

    film_cm2 = size_cm[0] * size_cm[1] if size_cm else 0.0
    is_plausible = 60 <= (labels > 0).mean() * film_cm2 <= 1400
    found = {side: Lung(0.0, 0.0 if is_plausible else None) for side in ("right", "left")}
    for part in regionprops(labels):
        share, (top, left, bottom, right) = float(part.area / labels.size), part.bbox
        row, column = map(float, part.centroid)
        area = share * film_cm2 if is_plausible else None
        side = "right" if part.label == RIGHT else "left"
        found[side] = Lung(share, area, (row, column), (top, left, bottom - 1, right - 1))
    return found


def label_lungs(mask: np.ndarray) -> np.ndarray:
    """Label the lungs of a mask (H, W) bool: (H, W) uint8, RIGHT, LEFT, or 0 outside.

    Each connected part gets the label of the half that most of it lies in; the halves meet where
    Otsu's threshold of the columns is. A part that has much of both is two lungs that touch, and
    is cut there. A single lung gets the label of the half of the film in which its middle lies.
    """
    from skimage.filters import threshold_otsu  # slow to import
    from skimage.measure import label, regionprops

    found, columns = np.zeros(mask.shape, dtype=np.uint8), np.nonzero(mask)[1]
    if not len(columns):
        return found
    is_left = columns > threshold_otsu(columns)
    halves = [half for half in (columns[~is_left], columns[is_left]) if len(half)]
    distance = halves[-1].mean() - halves[0].mean()
    variance = sum(len(half) * half.var() for half in halves) / len(columns)
    spread = np.sqrt(variance + 1 / 12)  # with that inside a pixel
    # On films of JSRT and of children: at most 3.43 for one lung, at least 3.92 for two, which may
    # touch over half of their height.
    if distance < 3.6 * spread:
        found[mask] = RIGHT if columns.mean() < (mask.shape[1] - 1) / 2 else LEFT
        return found
    found[mask] = np.where(is_left, LEFT, RIGHT)
    for part in regionprops(label(mask, connectivity=1)):
        inside = tuple(part.coords.T)
        share = (found[inside] == LEFT).mean()
        if not 0.1 < share < 0.9:
            found[inside] = LEFT if share > 0.5 else RIGHT
    return found


def dice_with(mask: np.ndarray, truth: np.ndarray) -> float:
    """Dice of two masks (H, W) bool; 1 if both are empty."""
    total = int(mask.sum()) + int(truth.sum())
    return 2 * int((mask & truth).sum()) / total if total else 1.0
