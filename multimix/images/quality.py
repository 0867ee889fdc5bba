"""Plain sentences about what makes a film unlike those that the network has learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from multimix.images.reading import LoadedImage, resize

TINY = 128  # px
CONTRAST = 40  # grey values between the darkest and the brightest hundredth
SHARE = (0.08, 0.6)  # of the film that lungs may fill
LARGER = 4  # times the smaller lung: the most that the larger one may be
APART = 0.3  # of the film: the most that one lung's middle may be higher than the other's
ROUND = 1.2  # times its width: the least that a lung's length may be
CUT = 0.3  # of a side of the film that lungs may touch
CENTRE = slice(7, 25)  # of 32 pixels: what lies around it may be black, white or collimated
# (18, 18): the centre of the mean of twelve phantoms, centred, of length 1.
TYPICAL_FILM = np.load(Path(__file__).with_name("typical_film.npy"))


def quality_warnings(
    image: LoadedImage, film: np.ndarray, lungs: np.ndarray, *, inverted: bool, corrected: bool
) -> tuple[str, ...]:
    """What a reader should know before trusting a prediction.

    Arguments:
        image: the film as it was read.
        film: (H, W) uint8, as it was predicted.
        lungs: (side, side) bool, as they were predicted.
        inverted: whether the film as it was read looks inverted.
        corrected: whether its grey values were inverted before it was predicted.
    """
    found = []
    if image.first_of_several:
        found.append("The file has several pages or frames: the first was taken.")
    if image.coloured:
        found.append("The picture is in colour, which a film is not: it was converted to grey.")
    if min(film.shape) < TINY:
        size = f"{film.shape[1]} x {film.shape[0]} pixels"
        found.append(f"The film is tiny ({size}): details are lost.")
    if corrected and inverted:
        found.append("The film looked inverted, with air bright: its grey values were inverted.")
    elif corrected:
        found.append("The film did not look inverted: its grey values were inverted all the same.")
    elif inverted:
        found.append("The film looks inverted, with air bright: invert its grey values (invert).")
    darkest, brightest = np.percentile(film, (1, 99))
    if brightest - darkest < CONTRAST:
        found.append("The film has little contrast: it may be empty or badly exposed.")
    return (*found, *lung_warnings(lungs))


def lung_warnings(mask: np.ndarray) -> list[str]:
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
            "lateral, turned, cropped, no chest film, or one lung opaque."
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
    spreads = [np.linalg.eigvalsh(np.cov(pixels.T)) for pixels in places]
    longest = [np.sqrt(largest / max(smallest, 1e-9)) for smallest, largest in spreads]
    apart = abs(places[0][:, 0].mean() - places[1][:, 0].mean()) / len(mask)
    return min(longest) >= ROUND and apart <= APART


def looks_inverted(film: np.ndarray) -> bool:
    """Whether a film (H, W) uint8 is more like the negative of a typical frontal film than like it."""
    small = resize(film, 32)[CENTRE, CENTRE].astype(np.float32)
    small -= small.mean()
    correlation = (small * TYPICAL_FILM).sum() / max(float(np.linalg.norm(small)), 1e-12)
    return bool(correlation < -0.1)
