"""Plain sentences about what makes a film unlike those that the network has learnt from."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

TINY = 128  # px
CONTRAST = 40  # grey values between the darkest and the brightest hundredth
SHARE = (0.08, 0.6)  # of the film that lungs may fill
LARGER = 4  # times the smaller lung: the most that the larger one may be
CUT = 0.3  # of a side of the film that lungs may touch


def doubts(film: np.ndarray, mask: np.ndarray, inverted: bool, turned: bool, coloured: bool) -> tuple[str, ...]:
    """From a film (H, W) uint8 and its lungs (side, side) bool: what a reader should know before trusting them."""
    found = []
    if coloured:
        found.append("The picture is in colour, which a film is not: it was turned to grey.")
    if min(film.shape) < TINY:
        found.append(f"The film is tiny ({film.shape[1]} x {film.shape[0]} pixels): details are lost.")
    if turned:
        why = "The film looked inverted, with air bright" if inverted else "The film did not look inverted"
        found.append(f"{why}: its grey values were turned round.")
    elif inverted:
        found.append("The film looks inverted, with air bright: turn its grey values round (invert).")
    darkest, brightest = np.percentile(film, (1, 99))
    if brightest - darkest < CONTRAST:
        found.append("The film has little contrast: it may be empty or badly exposed.")
    return (*found, *doubts_about_lungs(mask))


def doubts_about_lungs(mask: np.ndarray) -> list[str]:
    """Whether the lungs are as large, as many and as whole as those of a frontal chest film."""
    if not SHARE[0] < mask.mean() < SHARE[1]:
        return [f"The lungs fill {mask.mean():.0%} of the film, which is implausible: is it a frontal chest film?"]
    found = []
    halves = mask[:, :mask.shape[1] // 2].sum(), mask[:, mask.shape[1] // 2:].sum()
    parts, count = ndimage.label(mask)
    sizes = np.sort(np.bincount(parts.flat, minlength=count + 1)[1:])[::-1]
    if max(halves) > LARGER * min(halves) or count == 1 or sizes[0] > LARGER * sizes[1]:
        found.append("The lungs are not two of about the same size: the film may be lateral, turned, cropped, or one "
                     "lung opaque.")
    edges = [edge.mean() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])]
    if max(edges) > CUT:
        found.append("The lungs run over the film's edge: the film may be cropped.")
    return found
