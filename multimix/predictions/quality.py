"""How far to trust a lung outline, from the network's own doubt and the outline's shape."""

from __future__ import annotations

import numpy as np
import scipy

from multimix.images.quality import LUNG_SHARE, largest_parts, tissue_around

# Fitted by tests/benchmarks/quality.py.
INTERCEPT = 0.849
WEIGHTS = {"doubt": -0.093, "brightest": -0.055, "area": -0.02, "bottom": -0.163, "ragged": -0.121}
GOOD, CHECK = 0.912, 0.85  # least expected Dice of an outline that is good, or to be checked
SENTENCES = {
    "check": "The lung outline is doubtful in places: look at it before you use its measures.",
    "poor": "The lung outline is probably wrong: do not use its measures.",
}


def outline_quality(dice: float) -> str:
    """Rate a lung outline by its `expected_dice`: "good", "check" or "poor"."""
    return "good" if dice >= GOOD else "check" if dice >= CHECK else "poor"


def expected_dice(film: np.ndarray, lung: np.ndarray) -> float:
    """The Dice that an outline would reach against a hand outline of its own convention, in [0, 1].

    A linear model of `outline_features`; 0 for lungs of an impossible size, at most 0.5 for lungs
    along a side of the film or on the air outside the body.

    Arguments:
        film: (side, side) uint8, not inverted.
        lung: (side, side) in [0, 1], the probability of lung, post-processed.
    """
    if not LUNG_SHARE[0] < (lung > 0.5).mean() < LUNG_SHARE[1]:
        return 0.0
    features = outline_features(film, lung)
    dice = INTERCEPT + sum(weight * features[name] for name, weight in WEIGHTS.items())
    impossible = features["border"] > 0.6 or features["outside"] > 0.1
    return float(np.clip(dice, 0, 0.5 if impossible else 0.99))


def outline_features(film: np.ndarray, lung: np.ndarray) -> dict[str, float]:
    """What speaks against an outline; each feature is near 0 (doubt: -2) for a good one.

    Returns: doubt, log10(1 - 2 sum(p m) / (sum(p) + sum(m))) of probabilities p and mask m;
        border, the largest share of a side of the film that lungs touch; outside, the share of the
        lungs on black air around the body; brightest, the largest share of a third of a lung that
        is as bright as tissue; area, |log2| of the ratio of the two lungs' areas; bottom, the
        difference of their lower ends as a share of their height; ragged, the part of a lung's
        convex hull that is not lung.
    """
    step = max(1, len(lung) // 96)
    film, lung = film[::step, ::step], lung[::step, ::step]  # shapes need no more pixels
    mask = lung > 0.5
    dice = 2 * lung[mask].sum() / (lung.sum() + mask.sum())
    edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    lungs = largest_parts(mask)
    if len(lungs) < 2 or lungs[1].sum() <= 0.05 * lungs[0].sum():  # one part: its two halves
        middle = np.arange(mask.shape[1]) < mask.shape[1] / 2
        lungs = [mask & middle, mask & ~middle]
    tissue = np.percentile([*tissue_around(film, lungs[0] | lungs[1]), 255], 25)
    thirds = [third for lung in lungs for third in np.array_split(film[lung], 3)]  # row by row
    return {
        "doubt": float(np.log10(max(1 - dice, 1e-3))),
        "border": float(max(edge.mean() for edge in edges)),
        "outside": float((air_around(film) & mask).sum() / mask.sum()),
        "brightest": float(max((third > tissue).mean() for third in thirds if len(third))),
        **asymmetry(lungs),
    }


def air_around(film: np.ndarray) -> np.ndarray:
    """The black air outside the body: dark pixels (side, side) that join the film's edge."""
    darkest, brightest = np.percentile(film, (1, 99))
    dark = film <= darkest + 0.08 * (brightest - darkest)
    inside = np.pad(np.zeros(np.array(film.shape) - 2, bool), 1, constant_values=True)
    return scipy.ndimage.binary_propagation(inside & dark, mask=dark)


def asymmetry(lungs: list[np.ndarray]) -> dict[str, float]:
    """How two lungs differ in size, lower ends and shape."""
    from skimage.measure import regionprops  # slow to import

    if not all(lung.any() for lung in lungs):
        return {"area": 3.0, "bottom": 1.0, "ragged": 1.0}
    one, other = (regionprops(lung.astype(np.uint8))[0] for lung in lungs)
    height = max(one.bbox[2], other.bbox[2]) - min(one.bbox[0], other.bbox[0])
    return {
        "area": float(min(abs(np.log2(one.area / other.area)), 3)),
        "bottom": abs(one.bbox[2] - other.bbox[2]) / height,
        "ragged": float(1 - min(one.solidity, other.solidity)),
    }
