"""Warnings about what makes a film unlike those from which the network has learnt."""

from pathlib import Path

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view

from multimix.images.grey import MIN_CONTRAST
from multimix.images.reading import LoadedImage, resize

LUNG_SHARE = (0.08, 0.6)  # of the film that lungs may fill
# Suspicions that a film is inverted: of a doubtful one the network sees the negative too.
DOUBTFUL_SUSPICION, STRONG_SUSPICION = -0.15, 0.03
# (22, 22), rows and columns 5 to 26 of 32: the mean of 150 of Kermany's normal training films and
# of the adults of Hannover, both free to pass on; centred, of length 1.
TYPICAL_FILM = np.load(Path(__file__).with_name("typical_film.npy"))


def quality_warnings(
    image: LoadedImage, film: np.ndarray, lungs: np.ndarray | None, inverted: bool, corrected: bool
) -> tuple[str, ...]:
    """Plain sentences on what is unusual: what to know before trusting a prediction.

    Arguments:
        film: (H, W) uint8, the part in `image.box`, with its grey values as the network saw them.
        lungs: (side, side) bool, the predicted lungs there; None if the network learnt none.
        inverted, corrected: whether the film looked inverted, and whether its values were inverted.
    """
    found = [*image.warnings]
    height, width = film.shape
    if min(height, width) < 128:
        found.append(f"The film is tiny ({width} x {height} pixels): details are lost.")
    if inverted and corrected:
        found.append("The film looked inverted, with air bright: its grey values were inverted.")
    elif corrected:
        found.append("The film did not look inverted: its grey values were inverted all the same.")
    elif inverted:
        found.append("The film looks inverted, with air bright: predict it with invert=auto.")
    elif looks_inverted(film):
        found.append("The film may be inverted, with air bright: if so, take invert=always.")
    if looks_turned(film):
        found.append("The film may be upside down or on its side: turn it upright.")
    if np.ptp(np.percentile(film, (1, 99))) < MIN_CONTRAST:
        found.append("The film has little contrast: it may be empty or badly exposed.")
    if lungs is not None:
        found += lung_warnings(lungs, resize(film, len(lungs)))
    return tuple(found)


def lung_warnings(lungs: np.ndarray, film: np.ndarray) -> list[str]:
    """Compare lungs (side, side) bool with those of frontal films; `film` (side, side) uint8."""
    if not LUNG_SHARE[0] < lungs.mean() < LUNG_SHARE[1]:
        return [f"The lungs fill {lungs.mean():.0%} of the film: is it a frontal chest film?"]
    found = []
    if are_two_lungs(lungs):
        larger, smaller = largest_parts(lungs)
        if larger.sum() > 2 * smaller.sum():
            found.append(
                "One lung is outlined less than half as large as the other: it may be opaque or "
                "cropped, and its outline too small."
            )
        tissue = np.percentile(tissue_around(film, lungs), 25)
        if max((film[lung] > tissue).mean() for lung in (larger, smaller)) > 0.5:
            found.append(
                "A lung is about as bright as the tissue around it: it may be opaque, and its "
                "outline is a guess."
            )
    else:
        found.append(
            "The lungs are not two of about the same size, long and side by side: the film may be "
            "lateral, turned, cropped, not of a chest, or one lung opaque."
        )
    if max(edge.mean() for edge in (lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1])) > 0.3:
        found.append("The lungs run over the film's edge: the film may be cropped.")
    return found


def tissue_around(film: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """The grey values between and around the lungs (H, W), within their bounding box."""
    box = scipy.ndimage.find_objects(lungs.astype(int))[0]
    return film[box][~lungs[box]]


def largest_parts(lungs: np.ndarray) -> list[np.ndarray]:
    """The two largest connected parts, the larger first; fewer if there are fewer."""
    parts, count = scipy.ndimage.label(lungs)
    sizes = np.bincount(parts.flat, minlength=count + 1)[1:]
    return [parts == number for number in np.argsort(-sizes, kind="stable")[:2] + 1]


def are_two_lungs(lungs: np.ndarray) -> bool:
    """Whether the two largest parts are alike in size, lie side by side, and are long."""
    left, right = np.array_split(lungs, 2, axis=1)
    parts = [np.argwhere(part) for part in largest_parts(lungs)]  # (pixels, 2)
    sizes = sorted([left.sum(), right.sum()]), sorted(map(len, parts))
    if len(parts) < 2 or any(large > 4 * small for small, large in sizes):
        return False
    lengths = [np.sqrt(np.linalg.eigvalsh(np.cov(part.T))) for part in parts if len(part) > 1]
    is_long = all(long >= 1.2 * max(short, 1e-4) for short, long in lengths)
    heights = [part[:, 0].mean() for part in parts]
    return bool(is_long and abs(heights[0] - heights[1]) <= 0.3 * len(lungs))


def looks_inverted(film: np.ndarray) -> bool:
    """Tell by its picture alone whether a film (H, W) uint8 may be a negative."""
    return inversion_suspicion(film) > STRONG_SUSPICION


def inversion_suspicion(film: np.ndarray) -> float:
    """How much more similar a film's negative is to a typical film than the film is, in [-2, 2]."""
    film_similarity, negative_similarity = similarity(film)
    return float(negative_similarity[0] - film_similarity.max())  # films may lie on their side


def looks_turned(film: np.ndarray) -> bool:
    """Tell whether a film (H, W) uint8 may be upside down or on its side."""
    film_similarity, negative_similarity = similarity(film)
    return bool(film_similarity[1:].max() > max(film_similarity[0], negative_similarity[0]) + 0.06)


def similarity(film: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare a film, and its negative, with a typical film, wherever the chest lies in it.

    Returns: for each the best correlation, (4,) in [-1, 1], with four quarter turns of that film.
    """
    small = resize(film, 32).astype(np.float32)
    windows = sliding_window_view(small, TYPICAL_FILM.shape).reshape(-1, TYPICAL_FILM.size)
    centred = windows - windows.mean(1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    turned = np.stack([np.rot90(TYPICAL_FILM, quarters).ravel() for quarters in range(4)], 1)
    correlations = centred @ turned / np.maximum(lengths, 1)  # (windows, 4)
    return correlations.max(0), -correlations.min(0)


def is_negative(suspicion: float, negative: np.ndarray, lung: np.ndarray) -> bool:
    """Decide whether a film is inverted: the lungs found in its negative are dark there.

    `lung` is the probability of lung in `negative`, both (side, side). If it shows no two lungs, or
    is not sure of them, the film's `inversion_suspicion` decides.
    """
    lungs = lung > 0.5
    sure = np.abs(2 * lung - 1).mean() > 0.5  # 0.97 of trained networks, below 0.3 of untrained
    if sure and LUNG_SHARE[0] < lungs.mean() < LUNG_SHARE[1] and are_two_lungs(lungs):
        return bool(negative[lungs].mean() < tissue_around(negative, lungs).mean())
    return suspicion > STRONG_SUSPICION
