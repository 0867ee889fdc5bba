"""Plain sentences about what makes a film unlike those that the network has learnt from."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

TINY = 128  # px
CONTRAST = 40  # grey values between the darkest and the brightest hundredth
SHARE = (0.08, 0.6)  # of the film that lungs may fill
LARGER = 4  # times the smaller lung: the most that the larger one may be
APART = 0.3  # of the film: the most that one lung's middle may be higher than the other's
ROUND = 1.2  # times its width: the least that a lung's length may be
CUT = 0.3  # of a side of the film that lungs may touch


def doubts(
    film: np.ndarray,
    mask: np.ndarray,
    *,
    inverted: bool,
    turned: bool,
    coloured: bool,
    first_of_several: bool,
) -> tuple[str, ...]:
    """From a film (H, W) uint8 and its lungs (side, side) bool: what a reader should know before
    trusting them.
    """
    found = []
    if first_of_several:
        found.append("The file has several pages or frames: the first was taken.")
    if coloured:
        found.append("The picture is in colour, which a film is not: it was turned to grey.")
    if min(film.shape) < TINY:
        found.append(
            f"The film is tiny ({film.shape[1]} x {film.shape[0]} pixels): details are lost."
        )
    if turned:
        why = (
            "The film looked inverted, with air bright"
            if inverted
            else "The film did not look inverted"
        )
        found.append(f"{why}: its grey values were turned round.")
    elif inverted:
        found.append(
            "The film looks inverted, with air bright: turn its grey values round (invert)."
        )
    darkest, brightest = np.percentile(film, (1, 99))
    if brightest - darkest < CONTRAST:
        found.append("The film has little contrast: it may be empty or badly exposed.")
    return (*found, *doubts_about_lungs(mask))


def doubts_about_lungs(mask: np.ndarray) -> list[str]:
    """Whether the lungs are as large, as many and as whole as those of a frontal chest film."""
    if not SHARE[0] < mask.mean() < SHARE[1]:
        return [
            f"The lungs fill {mask.mean():.0%} of the film, which is implausible: is it a frontal "
            "chest film?"
        ]
    found = []
    if not are_two_lungs(mask):
        found.append(
            "The lungs are not two of about the same size, long and side by side: the film may be "
            "lateral, "
            "turned, cropped, no chest film, or one lung opaque."
        )
    edges = [edge.mean() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])]
    if max(edges) > CUT:
        found.append("The lungs run over the film's edge: the film may be cropped.")
    return found


def are_two_lungs(mask: np.ndarray) -> bool:
    """Whether the two largest parts of a mask are alike in size, lie side by side, and are longer
    than wide.
    """
    halves = mask[:, : mask.shape[1] // 2].sum(), mask[:, mask.shape[1] // 2 :].sum()
    parts, count = ndimage.label(mask)
    sizes = np.bincount(parts.flat, minlength=count + 1)[1:]
    if count < 2 or max(halves) > LARGER * min(halves):
        return False
    places = [np.argwhere(parts == part + 1) for part in np.argsort(-sizes, kind="stable")[:2]]
    if len(places[0]) > LARGER * len(places[1]) or len(places[1]) < 2:
        return False
    spreads = [np.linalg.eigvalsh(np.cov(place.T)) for place in places]
    longest = [np.sqrt(largest / max(smallest, 1e-9)) for smallest, largest in spreads]
    apart = abs(places[0][:, 0].mean() - places[1][:, 0].mean()) / len(mask)
    return min(longest) >= ROUND and apart <= APART
