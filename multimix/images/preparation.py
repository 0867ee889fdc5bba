"""The part of a picture that is film: plain borders are cut before the network sees it.

Screenshots, letterboxed exports and scans put plain bars around a film. A network that never saw
them moves its class. So training, prediction, `doctor` and export cut them alike.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from PIL import Image

PLAIN = 12  # grey values by which a border may vary, as after JPEG compression


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
    """Find the film in a picture with plain borders, and with text or buttons in these.

    The film is the largest connected part of the picture that is not plain. Around it, all is cut
    from the nearest row, or column, that has one grey value, and so are rounded corners.

    Arguments:
        grey: (H, W) uint8.

    Returns: the whole picture where it has no plain border, or nothing else.
    """
    height, width = grey.shape
    top, bottom, left, right = 0, height, 0, width
    for _ in range(3):  # frames may lie in each other
        before = top, bottom, left, right
        rows, columns = film_edges(grey[top:bottom, left:right])
        top, bottom, left, right = (
            top + rows[0],
            top + rows[1],
            left + columns[0],
            left + columns[1],
        )
        cut = corner_cut(grey[top:bottom, left:right])
        top, bottom, left, right = top + cut, bottom - cut, left + cut, right - cut
        if before == (top, bottom, left, right):
            break
    if bottom - top < height / 5 or right - left < width / 5:
        return WHOLE
    return Box(top / height, left / width, bottom / height, right / width)


def film_edges(grey: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """First row and last, first column and last, of the film in (H, W); the last is excluded."""
    height, width = grey.shape
    step = -(-max(height, width) // 160)
    small = np.asarray(Image.fromarray(grey).reduce(step)).astype(np.int16)
    spread = scipy.ndimage.maximum_filter(small, 3) - scipy.ndimage.minimum_filter(small, 3)
    contrast = np.ptp(np.percentile(small, (1, 99)))
    parts, _ = scipy.ndimage.label(spread > np.clip(0.04 * contrast, 2, 8), np.ones((3, 3)))
    sizes = np.bincount(parts.flat)
    sizes[0] = 0  # what is plain
    film = np.isin(parts, np.flatnonzero(sizes >= max(sizes.max() / 3, 1)))
    if not film.any():
        return (0, height), (0, width)
    found = []
    for axis in (0, 1):
        inside = [np.flatnonzero(film.any(1 - side)) * step for side in (axis, 1 - axis)]
        (first, last), across = ((max(one[0] - step, 0), one[-1] + 2 * step) for one in inside)
        lines = np.moveaxis(grey, axis, 0)[:, slice(*across)]
        begin = plain_lines(lines, first, step)
        end = len(lines) - plain_lines(lines[::-1], max(len(lines) - last, 0), step)
        found.append((begin, end) if begin < end else (0, len(lines)))
    return found[0], found[1]


def plain_lines(lines: np.ndarray, start: int, step: int) -> int:
    """How many lines lie before the film, the first line of which is near `start`."""

    def is_plain(line: np.ndarray) -> bool:
        line = line[:: max(1, len(line) // 500)].astype(np.int16)
        return bool((np.abs(line - np.median(line)) <= PLAIN).mean() >= 0.95)

    start = min(start, len(lines) - 1)
    if is_plain(lines[start]):
        inner = range(start, min(start + 4 * step, len(lines)))
        return next((place for place in inner if not is_plain(lines[place])), inner.stop)
    outer = range(start - 1, -1, -1)
    return next((place + 1 for place in outer if is_plain(lines[place])), 0)


def corner_cut(film: np.ndarray) -> int:
    """How many px to cut from each side of a film (H, W) so that its rounded corners are gone.

    On the diagonal an arc lies 0.29 of its radius inside, which is at most 1/20 of the width. Four
    corners of one grey value that reach further in belong to the film.
    """
    steps = np.arange(min(int(0.016 * max(film.shape)) + 1, min(film.shape)))
    corners = np.stack([film[s, t] for s in (steps, -1 - steps) for t in (steps, -1 - steps)])
    differs = np.abs(corners.astype(np.int16) - np.median(corners[:, 0])) > PLAIN  # (4, reach)
    if differs[:, 0].any() or not differs.any(1).all():
        return 0
    return int(differs.argmax(1).max())
