"""Plain sentences about what makes a film unlike those that the network has learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view

from multimix.images.grey import MIN_CONTRAST
from multimix.images.reading import LoadedImage, resize

MIN_SIDE = 128  # px; smaller films are tiny
LUNG_SHARE = (0.08, 0.6)  # of the film that lungs may fill
MAX_SIZE_RATIO = 4  # of the larger lung to the smaller one
USUAL_SIZE_RATIO = 2  # beyond which the smaller one may be opaque
MAX_BRIGHT = 0.5  # of a lung's pixels that may be as bright as tissue
TISSUE = 25  # percentile of the grey between and around the lungs from which that is so
MAX_HEIGHT_DIFFERENCE = 0.3  # of the film, between the middles of the two lungs
MIN_ELONGATION = 1.2  # a lung's length over its width
MAX_EDGE_CONTACT = 0.3  # of a side of the film that lungs may touch
HEART_ROWS = (0.55, 0.8)  # of the lungs' height, where the heart parts them most
UPPER_ROWS = (0.25, 0.5)  # above it
MAX_BASE_DIFFERENCE = 0.2  # of the lungs' height; beyond, an outline is not whole
MIN_HEART_SHIFT = 0.045  # of the lungs' width to the patient's right, to be told
BORDER_CONTRAST = 0.1  # of the film's; rows and columns with less at its edges are its border
MIN_TURNED = 0.1  # by which a turned typical film is more alike than an upright one
DOUBTFUL_SUSPICION = -0.15  # of inversion: from here on the network is asked
STRONG_SUSPICION = 0.05  # from here on it is believed where the network sees no two lungs
MIN_SURENESS = 0.5  # |2p - 1| on average; trained networks have 0.97, untrained ones below 0.3
SMALL_SIDE = 32  # px that a film is reduced to for the comparison with a typical film
# (18, 18): rows and columns 7 to 24 of the mean of phantoms 0 to 11, less its mean, of length 1.
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
    found = list(image.warnings)
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
    elif looks_inverted(film):
        found.append(
            "The film may be inverted, with air bright: look at it, and if so invert its grey "
            "values (invert)."
        )
    if looks_turned(film):
        found.append("The film may be upside down or on its side: turn it upright.")
    darkest, brightest = np.percentile(film, (1, 99))
    if brightest - darkest < MIN_CONTRAST:
        found.append("The film has little contrast: it may be empty or badly exposed.")
    return (*found, *lung_warnings(lungs, resize(film, len(lungs))))


def lung_warnings(lungs: np.ndarray, film: np.ndarray) -> list[str]:
    """Whether lungs are as large, as many, as whole and as dark as a frontal film's."""
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
    else:
        found += opacity_warnings(lungs, film)
    edges = (lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1])
    if max(edge.mean() for edge in edges) > MAX_EDGE_CONTACT:
        found.append("The lungs run over the film's edge: the film may be cropped.")
    if not found and lies_on_the_right(lungs):
        found.append(
            "The heart seems to lie on the patient's right: the film may be mirrored, and what is "
            "called the right lung would be the left one."
        )
    return found


def opacity_warnings(lungs: np.ndarray, film: np.ndarray) -> list[str]:
    """Whether one of two lungs, (side, side), is opaque on a film (side, side), or may be."""
    larger, smaller = largest_parts(lungs)
    found = []
    if larger.sum() > USUAL_SIZE_RATIO * smaller.sum():
        found.append(
            "One lung is outlined less than half as large as the other: it may be opaque or "
            "cropped, and its outline too small."
        )
    (box,) = scipy.ndimage.find_objects(lungs.astype(int))
    tissue = np.percentile(film[box][~lungs[box]], TISSUE)
    if max((film[lung] > tissue).mean() for lung in (larger, smaller)) > MAX_BRIGHT:
        found.append(
            "A lung is about as bright as the tissue around it: it may be opaque, and its outline "
            "is a guess."
        )
    return found


def lies_on_the_right(lungs: np.ndarray) -> bool:
    """Whether the heart lies to the patient's right, by what parts two lungs (side, side).

    At the heart's height the middle of the gap is compared with the middle of the chest, and with
    the middle of the gap above. Never where a lung ends far above the other: it may not be whole.
    """
    parts = sorted(largest_parts(lungs), key=lambda part: np.nonzero(part)[1].mean())
    (box,) = scipy.ndimage.find_objects(np.logical_or(*parts).astype(int))
    right, left = (part[box] for part in parts)
    height, width = right.shape
    ends = [np.flatnonzero(part.any(1))[-1] for part in (right, left)]
    if abs(ends[0] - ends[1]) > MAX_BASE_DIFFERENCE * height:
        return False
    gap = width - 1 - right[:, ::-1].argmax(1) + left.argmax(1)  # twice the middle, in each row
    chest = right.argmax(1) + width - 1 - left[:, ::-1].argmax(1)
    rows, both = np.arange(height) / height, right.any(1) & left.any(1)
    low, high = (both & (rows >= first) & (rows < last) for first, last in (HEART_ROWS, UPPER_ROWS))
    if not (low.any() and high.any()):
        return False
    shift = (gap - chest)[low].mean() / (2 * width)
    return bool(shift < -MIN_HEART_SHIFT and gap[low].mean() < gap[high].mean())


def largest_parts(lungs: np.ndarray) -> list[np.ndarray]:
    """The two largest connected parts, the larger first; one or none where there are no more."""
    parts, count = scipy.ndimage.label(lungs)
    sizes = np.bincount(parts.flat, minlength=count + 1)[1:]
    return [parts == number for number in np.argsort(-sizes, kind="stable")[:2] + 1]


def are_two_lungs(lungs: np.ndarray) -> bool:
    """Whether the two largest parts are alike in size, lie side by side, and are long."""
    middle = lungs.shape[1] // 2
    halves = lungs[:, :middle].sum(), lungs[:, middle:].sum()
    parts = largest_parts(lungs)
    if len(parts) < 2 or max(halves) > MAX_SIZE_RATIO * min(halves):
        return False
    larger, smaller = map(np.argwhere, parts)  # (pixels, 2)
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
    """Tell by its picture alone whether a film may be a negative.

    A remark, not a verdict: of 12,050 frontal films it suspects 4, and 99.0 % of their negatives
    (`tests/benchmarks/inversion.py`). `predict` asks the network as well.

    Arguments:
        film: (H, W) uint8.

    Returns: False also where the film is like no frontal film at all.
    """
    return inversion_suspicion(film) > 0


def inversion_suspicion(film: np.ndarray) -> float:
    """How much more a film's negative is like a typical film than the film is, in [-2, 2].

    The film counts in its best position of four: a film on its side resembles a negative.
    """
    film_likeness, negative_likeness = likeness(film)
    return float(negative_likeness[0] - film_likeness.max())


def looks_turned(film: np.ndarray) -> bool:
    """Tell whether a film (H, W) uint8 may be upside down or on its side."""
    film_likeness, negative_likeness = likeness(film)
    upright = max(film_likeness[0], negative_likeness[0])
    return bool(film_likeness[1:].max() > upright + MIN_TURNED)


def likeness(film: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare a film, and its negative, with a typical film, wherever the chest lies in it.

    Returns: for each the best correlation with the typical film upright and turned by one, two and
        three quarters, (4,), in [-1, 1].
    """
    small = resize(without_border(resize(film, 4 * SMALL_SIDE)), SMALL_SIDE).astype(np.float32)
    windows = sliding_window_view(small, TYPICAL_FILM.shape).reshape(-1, TYPICAL_FILM.size)
    centred = windows - windows.mean(1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    turned = np.stack([np.rot90(TYPICAL_FILM, quarters).ravel() for quarters in range(4)], 1)
    correlations = centred @ turned / np.maximum(lengths, 1)  # (windows, 4)
    return correlations.max(0), -correlations.min(0)


def without_border(film: np.ndarray) -> np.ndarray:
    """The film less the plain rows and columns at its edges; all of it where all are plain."""
    least = BORDER_CONTRAST * np.ptp(film)
    rows, columns = np.flatnonzero(np.ptp(film, 1) > least), np.flatnonzero(np.ptp(film, 0) > least)
    if min(len(rows), len(columns)) < 2:
        return film
    return film[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def is_negative(suspicion: float, negative: np.ndarray, lung: np.ndarray) -> bool:
    """Decide whether a film under suspicion is inverted, by the lungs seen in its negative.

    Arguments:
        suspicion: of the film, from `inversion_suspicion`.
        negative: (side, side) uint8.
        lung: (side, side) in [0, 1], the network's probability of lung there.

    Returns: whether these lungs are dark; whether the suspicion is strong, where they are not two
        or the network, which may never have learnt to segment, is not sure of them.
    """
    lungs, sure = lung > 0.5, np.abs(2 * lung - 1).mean() > MIN_SURENESS
    if sure and LUNG_SHARE[0] < lungs.mean() < LUNG_SHARE[1] and are_two_lungs(lungs):
        return are_dark(negative, lungs)
    return suspicion > STRONG_SUSPICION


def are_dark(film: np.ndarray, lungs: np.ndarray) -> bool:
    """Whether lungs are darker than what lies between and around them, in the box of both."""
    (box,) = scipy.ndimage.find_objects(lungs.astype(int))
    return bool(film[lungs].mean() < film[box][~lungs[box]].mean())
