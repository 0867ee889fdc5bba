"""The lungs of a film: right and left, their sizes, and how far to trust their outline.

Right and left are the patient's. The patient faces the reader, so the right lung is on the film's
left side, unless the film was mirrored.
"""

from dataclasses import dataclass

import numpy as np
import scipy
from skimage import filters, measure

from multimix.images.formats import SizeCm
from multimix.images.quality import LUNG_SHARE, largest_parts, tissue_around

RIGHT, LEFT = 1, 2  # labels; 0 is everything else
# Fitted by tests/benchmarks/quality.py.
INTERCEPT = 0.849
WEIGHTS = {"doubt": -0.093, "brightest": -0.055, "area": -0.02, "bottom": -0.163, "ragged": -0.121}
GOOD, CHECK = 0.912, 0.85  # least expected Dice of an outline that is good, or to be checked
SENTENCES = {
    "check": "The lung outline is doubtful in places: look at it before you use its measures.",
    "poor": "The lung outline is probably wrong: do not use its measures.",
}


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
    film_cm2 = size_cm[0] * size_cm[1] if size_cm else 0.0
    is_plausible = 60 <= (labels > 0).mean() * film_cm2 <= 1400
    found = {side: Lung(0.0, 0.0 if is_plausible else None) for side in ("right", "left")}
    for part in measure.regionprops(labels):
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
    found, columns = np.zeros(mask.shape, dtype=np.uint8), np.nonzero(mask)[1]
    if not len(columns):
        return found
    is_left = columns > filters.threshold_otsu(columns)
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
    for part in measure.regionprops(measure.label(mask, connectivity=1)):
        inside = tuple(part.coords.T)
        share = (found[inside] == LEFT).mean()
        if not 0.1 < share < 0.9:
            found[inside] = LEFT if share > 0.5 else RIGHT
    return found


def dice_with(mask: np.ndarray, truth: np.ndarray) -> float:
    """Dice of two masks (H, W) bool; 1 if both are empty."""
    total = int(mask.sum()) + int(truth.sum())
    return 2 * int((mask & truth).sum()) / total if total else 1.0


def outline_quality(dice: float) -> str:
    """Rate a lung outline by its `expected_dice`: "good", "check" or "poor"."""
    return "good" if dice >= GOOD else "check" if dice >= CHECK else "poor"


def expected_dice(film: np.ndarray, lung: np.ndarray) -> float:
    """The Dice that an outline would reach against a hand outline of its own convention, in [0, 1].

    A linear model of `outline_features`; 0 for lungs of an impossible size, at most 0.5 for lungs
    along a side of the film or on the air outside the body. `film` is (side, side) uint8, not
    inverted; `lung` is the post-processed probability, (side, side) in [0, 1].
    """
    if not LUNG_SHARE[0] < (lung > 0.5).mean() < LUNG_SHARE[1]:
        return 0.0
    features = outline_features(film, lung)
    dice = INTERCEPT + sum(weight * features[name] for name, weight in WEIGHTS.items())
    impossible = features["border"] > 0.6 or features["outside"] > 0.1
    return float(np.clip(dice, 0, 0.5 if impossible else 0.99))


def outline_features(film: np.ndarray, lung: np.ndarray) -> dict[str, float]:
    """What speaks against an outline; each feature is near 0 (doubt: -2) for a good one.

    doubt: log10(1 - 2 sum(p m) / (sum(p) + sum(m))) of probabilities p and mask m. border: the
    largest share of a side of the film that lungs touch. outside: the share of the lungs on black
    air around the body. brightest: the largest share of a third of a lung that is as bright as
    tissue. area: |log2| of the ratio of the areas. bottom: the difference of the lower ends as a
    share of the height. ragged: the part of a lung's convex hull that is not lung.
    """
    step = max(1, len(lung) // 96)
    film, lung = film[::step, ::step], lung[::step, ::step]  # shapes need no more pixels
    mask = lung > 0.5
    dice = 2 * lung[mask].sum() / (lung.sum() + mask.sum())
    darkest, brightest = np.percentile(film, (1, 99))
    dark = film <= darkest + 0.08 * (brightest - darkest)
    # The air outside the body is dark, and joins the film's edge.
    air = scipy.ndimage.binary_propagation(np.zeros_like(dark), mask=dark, border_value=1)
    lungs = largest_parts(mask)
    if len(lungs) < 2 or lungs[1].sum() <= 0.05 * lungs[0].sum():  # one part: its two halves
        middle = np.arange(mask.shape[1]) < mask.shape[1] / 2
        lungs = [mask & middle, mask & ~middle]
    tissue = np.percentile([*tissue_around(film, lungs[0] | lungs[1]), 255], 25)
    thirds = [third for lung in lungs for third in np.array_split(film[lung], 3)]  # row by row
    found = {
        "doubt": float(np.log10(max(1 - dice, 1e-3))),
        "border": float(max(edge.mean() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))),
        "outside": float((air & mask).sum() / mask.sum()),
        "brightest": float(max((third > tissue).mean() for third in thirds if len(third))),
        **{"area": 3.0, "bottom": 1.0, "ragged": 1.0},  # of a single lung
    }
    if all(lung.any() for lung in lungs):
        one, other = (measure.regionprops(lung.astype(np.uint8))[0] for lung in lungs)
        height = max(one.bbox[2], other.bbox[2]) - min(one.bbox[0], other.bbox[0])
        found["area"] = float(min(abs(np.log2(one.area / other.area)), 3))
        found["bottom"] = abs(one.bbox[2] - other.bbox[2]) / height
        found["ragged"] = float(1 - min(one.solidity, other.solidity))
    return found
