"""What the tests of layouts share: empty files in folders, and counts of what is found."""

import re
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
from drawn import draw
from helpers import SIDE

from multimix.data.film_set import FoundFilms
from multimix.images.preparation import film_box
from multimix.images.reading import resize

FILM, MASK = draw(1, 0, SIDE)
HALF = np.arange(SIDE) < SIDE // 2
LEFT, RIGHT = (np.uint8(255) * (MASK & half) for half in (HALF, ~HALF))


def touch(root: Path, *patterns: str) -> Path:
    """Empty files, as nothing is decoded: '{a,b}/{0,1}.png' are four; the folder."""
    for pattern in patterns:
        for words in product(*(part.split(",") for part in re.split("[{}]", pattern))):
            path = root / "".join(words)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


def labels(found: FoundFilms) -> dict[int | None, int]:
    return dict(Counter(film.label for film in found.films))


def splits(found: FoundFilms) -> dict[str, int]:
    return dict(Counter(film.split for film in found.films))


def as_read(film: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A film and its mask, cut to the film's box and reduced."""
    box = film_box(film)
    return resize(box.of(film), SIDE), resize(box.of(mask.astype(np.uint8) * 255), SIDE) > 127
