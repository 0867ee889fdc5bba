"""Plain sentences about what makes a film unlike those that the network has learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from multimix.images.reading import LoadedImage, resize

MIN_SIDE = 128  # px; smaller films are tiny
MIN_CONTRAST = 40  # grey values between the darkest and the brightest hundredth
LUNG_SHARE = (0.08, 0.6)  # of the film that lungs may fill
MAX_SIZE_RATIO = 4  # of the larger lung to the smaller one
MAX_HEIGHT_DIFFERENCE = 0.3  # of the film, between the middles of the two lungs
MIN_ELONGATION = 1.2  # a lung's length over its width
MAX_EDGE_CONTACT = 0.3  # of a side of the film that lungs may touch
MIN_INVERTED_CORRELATION = 0.1  # with the negative of a typical film
SMALL_SIDE = 32  # px that a film is reduced to for this comparison
CENTRE = slice(7, 25)  # of them: what lies around it may be black, white or collimated
# (18, 18): the centre of the mean of phantoms 0 to 11, less its mean, of length 1.
TYPICAL_FILM = np.load(Path(__file__).with_name("typical_film.npy"))


def quality_warnings(
    image: LoadedImage, film: np.ndarray, lungs: np.ndarray, *, inverted: bool, corrected: bool
) -> tuple[str, ...]:
    """Say what a reader should know before trusting a prediction.

    Arguments:
        image: the film as it was read.
        film: (H, W) uint8, as it was predicted.
        lungs: (side, side) bool, as they were predicted.
        inverted: whether the film as it was read looks inverted.
        corrected: whether its grey values were inverted before it was predicted.

    Returns: plain sentences; none where nothing is unusual.
    """
    found = []
    if image.first_of_several:
        found.append("The file has several pages or frames: the first was taken.")
    if image.coloured:
        found.append("The picture is in colour, which a film is not: it was converted to grey.")
    if min(film.shape) < MIN_SIDE:
        size = f"{film.shape[1]} x {film.shape[0]} pixels"
        found.append(f"The film is tiny ({size}): details are lost.")
    if corrected and inverted:
        found.append("The film looked inverted, with air bright: its grey values were inverted.")
    elif corrected:
        found.append("The film did not look inverted: its grey values were inverted all the same.")
    elif inverted:
        found.append("The film looks inverted, with air bright: invert its grey values (invert).")
    darkest, brightest = np.percentile(film, (1, 99))
    if brightest - darkest < MIN_CONTRAST:
        found.append("The film has little contrast: it may be empty or badly exposed.")
    return (*found, *lung_warnings(lungs))


def lung_warnings(lungs: np.ndarray) -> list[str]:
    """Whether lungs are as large, as many and as whole as those of a frontal chest film."""
    share = lungs.mean()
    if not LUNG_SHARE[0] < share < LUNG_SHARE[1]:
        return [
            f"The lungs fill {share:.0%} of the film, which is implausible: is it a frontal chest "
            "film?"
        ]
    found = []
    if not are_two_lungs(lungs):
        found.append(
            "The lungs are not two of about the same size, long and side by side: the film may be "
            "lateral, turned, cropped, no chest film, or one lung opaque."
        )
    edges = (lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1])
    if max(edge.mean() for edge in edges) > MAX_EDGE_CONTACT:
        found.append("The lungs run over the film's edge: the film may be cropped.")
    return found


def are_two_lungs(lungs: np.ndarray) -> bool:
    """Whether the two largest parts are alike in size, lie side by side, and are long."""
    middle = lungs.shape[1] // 2
    halves = lungs[:, :middle].sum(), lungs[:, middle:].sum()
    parts, count = ndimage.label(lungs)
    if count < 2 or max(halves) > MAX_SIZE_RATIO * min(halves):
        return False
    sizes = np.bincount(parts.flat, minlength=count + 1)[1:]
    largest, second = np.argsort(-sizes, kind="stable")[:2] + 1
    larger, smaller = np.argwhere(parts == largest), np.argwhere(parts == second)  # (pixels, 2)
    if len(larger) > MAX_SIZE_RATIO * len(smaller) or len(smaller) < 2:
        return False
    height_difference = abs(larger[:, 0].mean() - smaller[:, 0].mean()) / len(lungs)
    shortest = min(elongation(larger), elongation(smaller))
    return bool(shortest >= MIN_ELONGATION and height_difference <= MAX_HEIGHT_DIFFERENCE)


def elongation(pixels: np.ndarray) -> float:
    """Length over width of a part, from the spread of its pixels, (N, 2)."""
    smallest, largest = np.linalg.eigvalsh(np.cov(pixels.T))
    return float(np.sqrt(largest / max(smallest, 1e-9)))


def looks_inverted(film: np.ndarray) -> bool:
    """Tell whether a film (H, W) uint8 is more like the negative of a typical frontal film.

    Returns: False also where it is like neither.
    """
    small = resize(film, SMALL_SIDE)[CENTRE, CENTRE].astype(np.float32)
    small -= small.mean()
    length = max(float(np.linalg.norm(small)), 1e-12)
    correlation = (small * TYPICAL_FILM).sum() / length
    return bool(correlation < -MIN_INVERTED_CORRELATION)
