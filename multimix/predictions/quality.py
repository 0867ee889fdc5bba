"""How far to trust a lung outline, from the network's own doubt and the outline's shape."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
import scipy.spatial

# Fitted by tests/benchmarks/quality.py.
INTERCEPT = 0.849
WEIGHTS = {"doubt": -0.093, "brightest": -0.055, "area": -0.02, "bottom": -0.163, "ragged": -0.121}
GOOD, CHECK = 0.915, 0.85  # least calibrated Dice of an outline that is good, or to be checked
SENTENCES = {
    "check": "The lung outline is doubtful in places: look at it before you use its measures.",
    "poor": "The lung outline is probably wrong: do not use its measures.",
}


def outline_quality(film: np.ndarray, lung: np.ndarray) -> str:
    """Rate a lung outline: "good", "check" or "poor".

    Arguments:
        film: (side, side) uint8, not inverted.
        lung: (side, side) in [0, 1], the probability of lung, post-processed.
    """
    dice = expected_dice(film, lung)
    return "good" if dice >= GOOD else "check" if dice >= CHECK else "poor"


def expected_dice(film: np.ndarray, lung: np.ndarray) -> float:
    """The Dice that an outline would reach against a hand outline of its own convention, in [0, 1].

    A linear model of `outline_features`; at most 0.5 for lungs of an impossible size, along a side
    of the film, or on the air outside the body. Arguments: as for `outline_quality`.
    """
    if not (lung > 0.5).any():
        return 0.0
    features = outline_features(film, lung)
    dice = INTERCEPT + sum(weight * features[name] for name, weight in WEIGHTS.items())
    share = (lung > 0.5).mean()
    impossible = not 0.08 < share < 0.6 or features["border"] > 0.6 or features["outside"] > 0.1
    return float(np.clip(dice, 0, 0.5 if impossible else 0.99))


def outline_features(film: np.ndarray, lung: np.ndarray) -> dict[str, float]:
    """What speaks against an outline; each feature is near 0 (doubt: -2) for a good one.

    Arguments: as for `outline_quality`; some pixel of `lung` must be above 0.5.

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
    lungs = left_and_right(mask)
    dice = 2 * lung[mask].sum() / (lung.sum() + max(mask.sum(), 1))
    edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    return {
        "doubt": float(np.log10(max(1 - dice, 1e-3))),
        "border": float(max(edge.mean() for edge in edges)),
        "outside": float((air_around(film) & mask).sum() / max(mask.sum(), 1)),
        "brightest": brightest_third(film, lungs),
        **asymmetry(lungs),
    }


def air_around(film: np.ndarray) -> np.ndarray:
    """The black air outside the body: dark pixels (side, side) that join the film's edge."""
    darkest, brightest = np.percentile(film, (1, 99))
    dark = film <= darkest + 0.08 * (brightest - darkest)
    inside = np.pad(np.zeros(np.array(film.shape) - 2, bool), 1, constant_values=True)
    return scipy.ndimage.binary_propagation(inside & dark, mask=dark)


def left_and_right(mask: np.ndarray) -> list[np.ndarray]:
    """The two lungs of a mask, each (side, side): its two largest parts, or the halves of one."""
    parts, _ = scipy.ndimage.label(mask)
    sizes = np.bincount(parts.flat, minlength=3)[1:]
    first, second = np.argsort(-sizes, kind="stable")[:2] + 1
    if sizes[second - 1] > 0.05 * sizes[first - 1]:
        return [parts == first, parts == second]
    middle = np.arange(mask.shape[1]) < mask.shape[1] / 2
    return [mask & middle, mask & ~middle]


def brightest_third(film: np.ndarray, lungs: list[np.ndarray]) -> float:
    """The largest share of a third of a lung that is as bright as the tissue around the lungs."""
    both = lungs[0] | lungs[1]
    boxes = scipy.ndimage.find_objects(both.astype(int))
    tissue = film[boxes[0]][~both[boxes[0]]] if boxes else film[:0]
    limit = np.percentile(tissue, 25) if tissue.size else 255
    thirds = [third for lung in lungs for third in np.array_split(film[lung], 3)]  # row by row
    return float(max((third > limit).mean() if len(third) else 0 for third in thirds))


def asymmetry(lungs: list[np.ndarray]) -> dict[str, float]:
    """How two lungs differ in size, ends and shape."""
    areas = np.array([lung.sum() for lung in lungs])
    if not areas.all():
        return {"area": 3.0, "bottom": 1.0, "ragged": 1.0}
    ends = np.array([np.flatnonzero(lung.any(1))[[0, -1]] for lung in lungs])
    height = ends.max() - ends.min() + 1
    hulls = [scipy.spatial.ConvexHull(hull_points(lung)).volume for lung in lungs]
    return {
        "area": float(min(abs(np.log2(areas[0] / areas[1])), 3)),
        "bottom": float(abs(ends[0, 1] - ends[1, 1]) / height),
        "ragged": float(max(1 - areas / hulls)),
    }


def hull_points(part: np.ndarray) -> np.ndarray:
    """The corners of a part's pixels, (N, 2): its convex hull has an area even for one pixel."""
    pixels = np.argwhere(part)
    return np.concatenate([pixels + corner for corner in ((0, 0), (0, 1), (1, 0), (1, 1))])
