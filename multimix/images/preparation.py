"""The part of a picture that is film: plain borders, as of screenshots, are cut in each use.

A network that has never seen such borders moves its class.
"""

from typing import NamedTuple

import numpy as np
import scipy
from PIL import Image


class Box(NamedTuple):
    """A part of a picture, each edge as a share of its height or width."""

    top: float = 0.0
    left: float = 0.0
    bottom: float = 1.0
    right: float = 1.0

    def of(self, picture: np.ndarray) -> np.ndarray:
        """The part of a picture (H, W, ...), or of its mask of any size, inside the box: a view."""
        height, width = picture.shape[:2]
        rows = slice(round(self.top * height), round(self.bottom * height))
        return picture[rows, round(self.left * width) : round(self.right * width)]


WHOLE = Box()


def film_box(grey: np.ndarray) -> Box:
    """Find the film in a picture (H, W) uint8 with plain borders, and with text or buttons there.

    The film is the largest connected part of the picture that is not plain. Around it, all is cut
    from the nearest row, or column, that has one grey value; nothing, if all or none is plain.
    """
    skipped = max(1, max(grey.shape) // 1024)  # of large pictures some lines are enough
    height, width = (grey := grey[::skipped, ::skipped]).shape
    top, bottom, left, right = 0, height, 0, width
    for _ in range(3):  # frames may lie in each other
        part = grey[top:bottom, left:right]
        rows, columns = film_edges(part)
        top, bottom = top + rows[0], top + rows[1]
        left, right = left + columns[0], left + columns[1]
        if part.shape == (bottom - top, right - left):
            break
    if bottom - top < height / 5 or right - left < width / 5:
        return WHOLE
    return Box(top / height, left / width, bottom / height, right / width)


def film_edges(grey: np.ndarray) -> list[tuple[int, int]]:
    """First row and last, first column and last, of the film in (H, W); the last is excluded."""
    step = -(-max(grey.shape) // 160)
    small = np.asarray(Image.fromarray(grey).reduce(step)).astype(np.int16)
    spread = scipy.ndimage.maximum_filter(small, 3) - scipy.ndimage.minimum_filter(small, 3)
    contrast = np.ptp(np.percentile(small, (1, 99)))
    parts, _ = scipy.ndimage.label(spread > np.clip(0.04 * contrast, 2, 8), np.ones((3, 3)))
    sizes = np.bincount(parts.flat)
    sizes[0] = 0  # what is plain
    film = (sizes >= max(sizes.max() / 3, 1))[parts]
    if not film.any():
        return [(0, size) for size in grey.shape]
    # The first and last row, and column, with film: one step wider at each end.
    inside = [(np.flatnonzero(film.any(1 - axis)) * step).tolist() for axis in (0, 1)]
    (top, bottom), (left, right) = ((max(one[0] - step, 0), one[-1] + 2 * step) for one in inside)
    found = []
    sides = (grey[:, left:right], top, bottom), (grey[top:bottom].T, left, right)
    for lines, first, last in sides:
        begin = plain_lines(lines, first, step)
        end = len(lines) - plain_lines(lines[::-1], max(len(lines) - last, 0), step)
        found.append((begin, end) if begin < end else (0, len(lines)))
    return found


def plain_lines(lines: np.ndarray, start: int, step: int) -> int:
    """How many lines lie before the film, the first line of which is near `start`."""
    start = min(start, len(lines) - 1)
    inner = are_plain(lines[start : start + 4 * step])
    if inner[0]:
        return start + (len(inner) if inner.all() else int(inner.argmin()))
    outer = np.flatnonzero(are_plain(lines[:start]))
    return int(outer[-1]) + 1 if len(outer) else 0


def are_plain(lines: np.ndarray) -> np.ndarray:
    """Which lines (N, length) have one grey value, but for a twentieth of their pixels: (N,)."""
    sample = lines[:, :: max(1, lines.shape[1] // 500)].astype(np.int16)
    middle = np.median(sample, axis=1, keepdims=True)
    return (np.abs(sample - middle) <= 12).mean(axis=1) >= 0.95  # JPEGs vary by so much
