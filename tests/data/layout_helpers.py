"""What the tests of layouts share: empty files in folders, and counts of what is found."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from drawn import draw
from helpers import SIDE

from multimix.data.film_set import FoundFilms
from multimix.images.preparation import film_box
from multimix.images.reading import resize

FILM, MASK = draw(1, 0, SIDE)
LUNGS = MASK.astype(np.uint8) * 255
HALF = np.arange(SIDE) < SIDE // 2
LEFT, RIGHT = np.where(HALF, LUNGS, 0), np.where(HALF, 0, LUNGS)


def touch(root: Path, *names: str | Iterable[str]) -> Path:
    """Empty files of these names, as nothing is decoded; the folder."""
    for name in names:
        for inner in [name] if isinstance(name, str) else name:
            (root / inner).parent.mkdir(parents=True, exist_ok=True)
            (root / inner).touch()
    return root


def numbered(folder: str, count: int, ending: str = ".png") -> list[str]:
    """'folder/0.png', 'folder/1.png' and so on."""
    return [f"{folder}/{i}{ending}" for i in range(count)]


def labels(found: FoundFilms) -> dict[int | None, int]:
    """How many films there are of each label."""
    return dict(Counter(film.label for film in found.films))


def splits(found: FoundFilms) -> dict[str, int]:
    """How many films there are in each split."""
    return dict(Counter(film.split for film in found.films))


def masks(found: FoundFilms) -> dict[str, list[str]]:
    """The masks of each film, by the names of the files."""
    return {film.source.name: [mask.name for mask in film.masks] for film in found.films}


def as_read(film: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A film and its mask, cut to the film's box and reduced."""
    box = film_box(film)
    return resize(box.of(film), SIDE), resize(box.of(mask.astype(np.uint8) * 255), SIDE) > 127
